//! The program `ffmpeg`: what it can do, and one run of it that can be followed and broken off.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// Encoders of H.264, the best first, with what they are told.
const ENCODERS: [(&str, &[&str]); 3] = [
    ("libx264", &["-preset", "veryfast", "-crf", "23"]),
    ("libopenh264", &["-b:v", "2500k"]),
    ("h264_videotoolbox", &["-b:v", "2500k"]),
];
/// What is kept of what it complains of, in bytes.
const MAX_COMPLAINTS: usize = 4096;
/// What is read of what it says of itself, in bytes.
const MAX_SAID: u64 = 1 << 20;
/// How long something short may take, as to decode the beginning of a file.
const PATIENCE: Duration = Duration::from_secs(60);
/// What it has said of its progress and nobody has read yet; it says so twice a second.
const PROGRESS: usize = 16;

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
        let output = self.output(&["-hide_banner", "-encoders"]).await;
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
        let arguments: Vec<&str> = ["-v", "error"].into_iter().chain(arguments).collect();
        let output = self.output(&arguments).await;
        output.is_ok_and(|output| output.status.success())
    }

    /// What it says of something short. Dropping the future kills it.
    async fn output(&self, arguments: &[&str]) -> io::Result<Output> {
        let mut command = self.command();
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut running = Running(command.spawn()?);
        let stdout = running.0.stdout.take();
        let said = spawn_blocking(move || {
            let mut said = Vec::new();
            let read = stdout.map(|stdout| stdout.take(MAX_SAID).read_to_end(&mut said));
            read.transpose().map(|_| said)
        });
        let status = timeout(PATIENCE, running.ended()).await??;
        Ok(Output {
            status,
            stdout: said.await.map_err(io::Error::other)??,
            stderr: Vec::new(),
        })
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
        let mut running = Running(command.spawn().map_err(|error| self.not_started(error))?);
        let (told, mut progress) = mpsc::channel(PROGRESS);
        let (stdout, stderr) = (running.0.stdout.take(), running.0.stderr.take());
        spawn_blocking(move || follow(stdout, &told));
        let complaints = spawn_blocking(move || complaints(stderr));
        while let Some(at) = progress.recv().await {
            tell(at);
        }
        let status = running.ended().await;
        let complaints = complaints.await.unwrap_or_default();
        if status.is_ok_and(|status| status.success()) {
            return Ok(());
        }
        let complaints = String::from_utf8_lossy(&complaints);
        let last: Vec<&str> = complaints.lines().rev().take(4).collect();
        Err(FfmpegError::Failed(
            last.into_iter().rev().collect::<Vec<_>>().join("; "),
        ))
    }

    /// It asks nothing.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.0);
        command.arg("-nostdin").stdin(Stdio::null());
        command
    }

    fn not_started(&self, error: io::Error) -> FfmpegError {
        match error.kind() {
            io::ErrorKind::NotFound => FfmpegError::Missing(self.0.clone()),
            _ => FfmpegError::Start(self.0.clone(), error),
        }
    }
}

/// It does not outlive who waits for it.
struct Running(Child);

impl Running {
    async fn ended(&mut self) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(status);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Of one that has ended already there is nothing to kill.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Tells how far it says that it is, in seconds, until it says no more.
fn follow(stdout: Option<impl Read>, told: &mpsc::Sender<f64>) {
    let Some(stdout) = stdout else { return };
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        let at = line.strip_prefix("out_time_us=").and_then(|at| at.parse::<f64>().ok());
        if at.is_some_and(|at| told.blocking_send(at / 1e6).is_err()) {
            return;
        }
    }
}

/// What it complains of: the last words, which are the ones that matter.
fn complaints(stderr: Option<impl Read>) -> Vec<u8> {
    let mut kept = Vec::new();
    let Some(mut stderr) = stderr else { return kept };
    let mut piece = [0; 1024];
    while let Ok(length @ 1..) = stderr.read(&mut piece) {
        kept.extend_from_slice(&piece[..length]);
        kept.drain(..kept.len().saturating_sub(MAX_COMPLAINTS));
    }
    kept
}

/// A file as `ffmpeg` takes it: never as an option or another protocol.
pub(super) fn name(path: &Path) -> String {
    format!("file:{}", path.display())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn what_nobody_waits_for_is_killed() {
        let folder = std::env::temp_dir().join(format!("althing-ffmpeg-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        // Another process writes the program: while a file is open for writing here, a child may have it too, and it cannot run.
        let script = r##"printf '#!/bin/sh\necho $$ > "%s/new" && mv "%s/new" "%s/pid"\nexec sleep 10\n' "$1" "$1" "$1" > "$1/run"; chmod +x "$1/run""##;
        let made = Command::new("sh").args(["-c", script, "sh"]).arg(&folder).status();
        assert!(made.unwrap().success());
        let ffmpeg = Ffmpeg(folder.join("run"));
        let pid = async {
            loop {
                if let Ok(pid) = fs::read_to_string(folder.join("pid")) {
                    return pid;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let pid = tokio::select! {
            _ = ffmpeg.plays(Path::new("any")) => panic!("it takes longer"),
            pid = pid => pid,
        };
        let there = Command::new("sh")
            .args(["-c", "kill -0 $1 2>&1", "sh", pid.trim()])
            .stdout(Stdio::null())
            .status();
        assert!(!there.unwrap().success(), "it goes on");
        fs::remove_dir_all(&folder).unwrap();
    }
}
