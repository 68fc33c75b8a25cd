//! The program `ffmpeg`: what it can do, and one run of it that can be followed and broken off.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

/// Encoders of H.264, the best first, with what they are told.
const ENCODERS: [(&str, &[&str]); 3] = [
    ("libx264", &["-preset", "veryfast", "-crf", "23"]),
    ("libopenh264", &["-b:v", "2500k"]),
    ("h264_videotoolbox", &["-b:v", "2500k"]),
];
/// What is kept of what it complains of, in bytes.
const MAX_COMPLAINTS: usize = 4096;

/// Why it did not do what it was told.
#[derive(Debug)]
#[non_exhaustive]
pub(crate) enum FfmpegError {
    /// There is no such program.
    Missing(PathBuf),
    /// It cannot be started.
    Start(PathBuf, io::Error),
    /// It cannot write H.264.
    NoEncoder,
    /// It has given up; what it said.
    Failed(String),
}

impl fmt::Display for FfmpegError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(program) => {
                let program = program.display();
                write!(
                    f,
                    "the program `{program}` is not here: install ffmpeg, or name it with --ffmpeg"
                )
            }
            Self::Start(program, error) => write!(f, "{} cannot be started: {error}", program.display()),
            Self::NoEncoder => write!(f, "this ffmpeg has no encoder of H.264 (libx264 or libopenh264)"),
            Self::Failed(said) => write!(f, "ffmpeg has given up: {said}"),
        }
    }
}

impl std::error::Error for FfmpegError {}

/// The program.
#[derive(Debug)]
pub(super) struct Ffmpeg(pub(super) PathBuf);

impl Ffmpeg {
    /// What to tell it so that it encodes H.264.
    ///
    /// # Errors
    ///
    /// When it is not there, or cannot.
    pub(super) async fn encoder(&self) -> Result<Vec<&'static str>, FfmpegError> {
        let output = self.command().args(["-hide_banner", "-encoders"]).output().await;
        let output = output.map_err(|error| self.not_started(error))?;
        let list = String::from_utf8_lossy(&output.stdout);
        let has = |name: &str| list.lines().any(|line| line.split_whitespace().nth(1) == Some(name));
        let (name, options) = ENCODERS
            .into_iter()
            .find(|(name, _)| has(name))
            .ok_or(FfmpegError::NoEncoder)?;
        Ok(["-c:v", name].into_iter().chain(options.iter().copied()).collect())
    }

    /// Whether it can write names: it was built with a library for that, and there is a font.
    pub(super) async fn writes(&self) -> bool {
        let test = "color=s=64x64:d=0.1,drawtext=font=Sans:text=A";
        self.does(["-f", "lavfi", "-i", test, "-f", "null", "-"]).await
    }

    /// Whether it can decode the beginning of a file.
    pub(super) async fn plays(&self, file: &Path) -> bool {
        let input = name(file);
        self.does([
            "-protocol_whitelist",
            "file",
            "-t",
            "0.5",
            "-i",
            &input,
            "-f",
            "null",
            "-",
        ])
        .await
    }

    async fn does<const N: usize>(&self, arguments: [&str; N]) -> bool {
        let output = self.command().args(["-v", "error"]).args(arguments).output().await;
        output.is_ok_and(|output| output.status.success())
    }

    /// Runs it in a folder, and tells how many seconds of the outcome it has made. Dropping the future kills it.
    ///
    /// # Errors
    ///
    /// What it complains of.
    pub(super) async fn run(
        &self,
        folder: &Path,
        arguments: &[String],
        mut tell: impl FnMut(f64),
    ) -> Result<(), FfmpegError> {
        let mut command = self.command();
        command
            .args(["-v", "error", "-nostats", "-progress", "pipe:1"])
            .args(arguments);
        command
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child: Child = command.spawn().map_err(|error| self.not_started(error))?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let follow = async {
            let Some(stdout) = stdout else { return };
            let mut lines = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some(at) = line.strip_prefix("out_time_us=").and_then(|at| at.parse::<f64>().ok()) {
                    tell(at / 1e6);
                }
            }
        };
        let complaints = async {
            let mut kept = Vec::new();
            let Some(mut stderr) = stderr else { return kept };
            let mut piece = [0; 1024];
            while let Ok(length @ 1..) = stderr.read(&mut piece).await {
                kept.extend_from_slice(&piece[..length]);
                // The last words are the ones that matter.
                kept.drain(..kept.len().saturating_sub(MAX_COMPLAINTS));
            }
            kept
        };
        let ((), complaints, status) = tokio::join!(follow, complaints, child.wait());
        if status.is_ok_and(|status| status.success()) {
            return Ok(());
        }
        let complaints = String::from_utf8_lossy(&complaints);
        let last: Vec<&str> = complaints.lines().rev().take(4).collect();
        Err(FfmpegError::Failed(
            last.into_iter().rev().collect::<Vec<_>>().join("; "),
        ))
    }

    /// It asks nothing, and does not outlive us.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.0);
        command.arg("-nostdin").stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    fn not_started(&self, error: io::Error) -> FfmpegError {
        match error.kind() {
            io::ErrorKind::NotFound => FfmpegError::Missing(self.0.clone()),
            _ => FfmpegError::Start(self.0.clone(), error),
        }
    }
}

/// A file as `ffmpeg` takes it: never as an option or another protocol.
pub(super) fn name(path: &Path) -> String {
    format!("file:{}", path.display())
}
