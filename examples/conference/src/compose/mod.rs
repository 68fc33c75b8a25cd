//! `conference compose`: one MP4 of a recorded meeting, made by the program `ffmpeg`.
//!
//! All is decoded once and encoded once, in one run of `ffmpeg`, without a file in between; the outcome has its name when it
//! is whole, and what is broken off leaves nothing. Memory is what `ffmpeg` needs for its decoders: a few pictures of each file.
//!
//! | file | one idea |
//! |---|---|
//! | this | what is asked for, what is refused, how far it has come |
//! | `scenes` | who is where in the picture, and when |
//! | `graph` | the same in the words of `ffmpeg` |
//! | `ffmpeg` | the program |

mod ffmpeg;
mod graph;
mod scenes;

use std::fmt;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use althing_recorder::recording::Manifest;
use althing_recorder::recording::entry::VERSION;
use althing_recorder::recording::folder::MANIFEST;
use clap::{Args, ValueEnum};

use self::ffmpeg::{Ffmpeg, FfmpegError, name};
use self::scenes::{MOST_CHANGES, Scenes, TooMuch, seconds};
use crate::server;

/// The largest manifest that is read, in bytes.
const MAX_MANIFEST: u64 = 64 << 20;
/// The most files that are decoded at once, each with its decoder.
const MOST_FILES: usize = 400;
/// The longest meeting, in seconds: three days.
const LONGEST: f64 = 3.0 * 86_400.0;
/// A graph of filters that is longer goes into a file: systems allow 128 KiB for one argument.
const LONG_GRAPH: usize = 100 << 10;
/// Letters of a name.
const MOST_LETTERS: usize = 40;

/// What is to be made of which recording.
#[derive(Debug, Args)]
pub(crate) struct ComposeArguments {
    /// The folder of the recording.
    pub(crate) folder: PathBuf,
    /// Who is seen: the one who speaks large and others beside, or all alike.
    #[arg(long, value_enum, default_value_t = Layout::Speaker)]
    pub(crate) layout: Layout,
    /// The file to make; it must not be there.
    #[arg(long, short, value_name = "FILE.mp4")]
    pub(crate) output: PathBuf,
    /// Width and height in pixels.
    #[arg(long, default_value = "1280x720", value_parser = size, value_name = "WIDTHxHEIGHT")]
    pub(crate) size: (u32, u32),
    /// The program ffmpeg.
    #[arg(long, default_value = "ffmpeg", value_name = "PROGRAM")]
    pub(crate) ffmpeg: PathBuf,
}

/// Who is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Layout {
    /// The one who speaks, large.
    Speaker,
    /// All alike.
    Grid,
}

/// Why there is no file.
#[derive(Debug)]
#[non_exhaustive]
pub(crate) enum ComposeError {
    /// The manifest cannot be read.
    Manifest(PathBuf, io::Error),
    /// It is of another version.
    Version(u32),
    /// The media were deleted.
    Deleted,
    /// None of its files is there and can be decoded.
    Nothing,
    /// More than can be made in one run.
    TooMuch(String),
    /// The outcome is there already.
    Exists(PathBuf),
    /// It cannot be written.
    Output(PathBuf, io::Error),
    /// `ffmpeg` did not do it.
    Ffmpeg(FfmpegError),
    /// Somebody broke it off.
    BrokenOff,
}

impl fmt::Display for ComposeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manifest(path, error) => write!(f, "{} cannot be read: {error}", path.display()),
            Self::Version(version) => write!(
                f,
                "the recording is of version {version}, which this program does not know"
            ),
            Self::Deleted => write!(f, "the media of this recording were deleted"),
            Self::Nothing => write!(f, "there is nothing to see or hear in this recording"),
            Self::TooMuch(what) => write!(f, "this is more than can be made in one run: {what}"),
            Self::Exists(path) => write!(f, "{} is there already", path.display()),
            Self::Output(path, error) => write!(f, "{} cannot be written: {error}", path.display()),
            Self::Ffmpeg(error) => write!(f, "{error}"),
            Self::BrokenOff => write!(f, "broken off, nothing was written"),
        }
    }
}

impl std::error::Error for ComposeError {}

impl From<FfmpegError> for ComposeError {
    fn from(error: FfmpegError) -> Self {
        Self::Ffmpeg(error)
    }
}

/// Makes it, and tells on standard error how far it has come.
///
/// # Errors
///
/// [`ComposeError`]; then there is no file.
pub(crate) async fn run(wanted: &ComposeArguments) -> Result<(), ComposeError> {
    let stop =
        server::stopped().map_err(|error| ComposeError::Output(wanted.output.clone(), io::Error::other(error)))?;
    tokio::select! {
        made = make(wanted) => made,
        // What is dropped here kills ffmpeg and removes what it has written.
        () = stop => Err(ComposeError::BrokenOff),
    }
}

async fn make(wanted: &ComposeArguments) -> Result<(), ComposeError> {
    if wanted.output.exists() {
        return Err(ComposeError::Exists(wanted.output.clone()));
    }
    let ffmpeg = Ffmpeg(wanted.ffmpeg.clone());
    let encoder = ffmpeg.encoder().await?;
    let folder =
        fs::canonicalize(&wanted.folder).map_err(|error| ComposeError::Manifest(wanted.folder.clone(), error))?;
    let manifest = manifest(&folder.join(MANIFEST))?;
    let files = present(&folder, &manifest);
    bounded(files.len(), seconds(manifest.duration))?;
    let good = usable(&ffmpeg, &folder, files).await;
    let there = |file: &str| good.contains(&file);
    let scenes = Scenes::of(&manifest, wanted.layout, wanted.size, &there);
    let scenes =
        scenes.map_err(|TooMuch| ComposeError::TooMuch(format!("more than {MOST_CHANGES} changes of the picture")))?;
    if scenes.pictures.is_empty() && scenes.sounds.is_empty() {
        return Err(if manifest.deleted.is_empty() {
            ComposeError::Nothing
        } else {
            ComposeError::Deleted
        });
    }
    // A file of sound with long pauses is more than one.
    bounded(scenes.pictures.len() + scenes.sounds.len(), scenes.duration)?;
    let names = ffmpeg.writes().await;
    if !names {
        eprintln!("names are left out: this ffmpeg has no `drawtext`, or finds no font");
    }
    let workshop =
        Workshop::beside(&wanted.output).map_err(|error| ComposeError::Output(wanted.output.clone(), error))?;
    let graph = graph::write(&scenes, wanted.size, names);
    let arguments = workshop
        .prepare(&scenes, &graph, &folder, &encoder)
        .map_err(|error| ComposeError::Output(wanted.output.clone(), error))?;
    let mut bar = Bar::new(scenes.duration);
    ffmpeg.run(&workshop.0, &arguments, |at| bar.show(at)).await?;
    bar.show(scenes.duration);
    // Whoever has made one of that name meanwhile keeps it.
    fs::hard_link(workshop.0.join(PART), &wanted.output)
        .or_else(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Err(error),
            _ => fs::rename(workshop.0.join(PART), &wanted.output),
        })
        .map_err(|error| ComposeError::Output(wanted.output.clone(), error))
}

fn manifest(path: &Path) -> Result<Manifest, ComposeError> {
    let problem = |error| ComposeError::Manifest(path.to_owned(), error);
    if fs::metadata(path).map_err(problem)?.len() > MAX_MANIFEST {
        return Err(problem(io::ErrorKind::FileTooLarge.into()));
    }
    let bytes = fs::read(path).map_err(problem)?;
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| problem(error.into()))?;
    if manifest.version == VERSION {
        Ok(manifest)
    } else {
        Err(ComposeError::Version(manifest.version))
    }
}

/// Refuses what is too much for one run.
fn bounded(files: usize, seconds: f64) -> Result<(), ComposeError> {
    if files <= MOST_FILES && seconds <= LONGEST {
        return Ok(());
    }
    let hours = seconds / 3600.0;
    Err(ComposeError::TooMuch(format!("{files} files, {hours:.1} hours")))
}

/// The files that are there; the others are told. A manifest names files of its own folder only.
fn present<'a>(folder: &Path, manifest: &'a Manifest) -> Vec<&'a str> {
    let files = manifest.tracks.iter().flat_map(|track| &track.files);
    let there = |file: &&str| {
        let plain = !file.contains(['/', '\\', ':', '\0']) && !file.starts_with('.');
        let there = plain && folder.join(file).is_file();
        if !there && manifest.deleted.is_empty() {
            eprintln!("{file} is left out: it is missing");
        }
        there
    };
    files.map(|file| file.file.as_str()).filter(there).collect()
}

/// Those of the files that can be decoded; the others are told.
async fn usable<'a>(ffmpeg: &Ffmpeg, folder: &Path, files: Vec<&'a str>) -> Vec<&'a str> {
    let mut good = Vec::new();
    for file in files {
        if ffmpeg.plays(&folder.join(file)).await {
            good.push(file);
        } else {
            eprintln!("{file} is left out: it cannot be decoded");
        }
    }
    good
}

/// The outcome before it has its name.
const PART: &str = "part.mp4";

/// A folder for what is being made, beside where the outcome will be; gone in the end, whatever the end.
struct Workshop(PathBuf);

impl Workshop {
    fn beside(output: &Path) -> io::Result<Self> {
        let parent = match output.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let folder = fs::canonicalize(parent)?.join(format!(".compose-{}", std::process::id()));
        fs::create_dir(&folder)?;
        Ok(Self(folder))
    }

    /// Puts down what `ffmpeg` has to read; gives what to tell it.
    fn prepare(&self, scenes: &Scenes, graph: &str, folder: &Path, encoder: &[&str]) -> io::Result<Vec<String>> {
        let mut arguments = Vec::new();
        let mut tell = |words: &[&str]| arguments.extend(words.iter().map(|word| (*word).to_owned()));
        for picture in &scenes.pictures {
            // A picture of another size must not begin the whole graph anew.
            let (from, file) = (format!("{:.6}", picture.from), name(&folder.join(&picture.file)));
            tell(&[
                "-protocol_whitelist",
                "file",
                "-reinit_filter",
                "0",
                "-itsoffset",
                &from,
                "-i",
                &file,
            ]);
        }
        for sound in &scenes.sounds {
            tell(&["-protocol_whitelist", "file"]);
            if sound.start > 0.0 {
                tell(&["-ss", &format!("{:.6}", sound.start)]);
            }
            if let Some(length) = sound.length {
                tell(&["-t", &format!("{length:.6}")]);
            }
            tell(&["-i", &name(&folder.join(&sound.file))]);
        }
        for (index, tile) in scenes.tiles.iter().enumerate() {
            fs::write(self.0.join(format!("n{index}.txt")), shortened(&tile.name))?;
        }
        if graph.len() > LONG_GRAPH {
            fs::write(self.0.join("graph.txt"), graph)?;
            tell(&["-filter_complex_script", "graph.txt"]);
        } else {
            tell(&["-filter_complex", graph]);
        }
        tell(&["-map", "[video]"]);
        if !scenes.sounds.is_empty() {
            tell(&["-map", "[audio]", "-c:a", "aac", "-b:a", "128k"]);
        }
        tell(encoder);
        let length = format!("{:.3}", scenes.duration);
        tell(&["-pix_fmt", "yuv420p", "-t", &length, "-movflags", "+faststart", PART]);
        Ok(arguments)
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A name in one line, not too long for a tile.
fn shortened(name: &str) -> String {
    let line: String = name
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    let mut letters = line.chars();
    let mut short: String = letters.by_ref().take(MOST_LETTERS).collect();
    if letters.next().is_some() {
        short.push('…');
    }
    short
}

/// How far it has come: a bar on a terminal, a line for each tenth elsewhere.
struct Bar {
    length: f64,
    terminal: bool,
    told: u32,
}

impl Bar {
    fn new(length: f64) -> Self {
        let terminal = io::stderr().is_terminal();
        Self {
            length,
            terminal,
            told: 0,
        }
    }

    fn show(&mut self, at: f64) {
        let part = (at / self.length.max(f64::MIN_POSITIVE)).clamp(0.0, 1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100")]
        let percent = (part * 100.0) as u32;
        if percent <= self.told {
            return;
        }
        if self.terminal {
            self.told = percent;
            let done = usize::try_from(percent / 4).unwrap_or(0);
            let end = if percent == 100 { "\n" } else { "" };
            eprint!("\r[{:<25}] {percent:3} %{end}", "#".repeat(done));
            let _ = io::stderr().flush();
        } else if percent / 10 > self.told / 10 {
            self.told = percent;
            eprintln!("{percent} %");
        }
    }
}

/// Reads `1280x720`.
fn size(text: &str) -> Result<(u32, u32), String> {
    let problem = || "two even numbers from 160 to 4096 with an x between them".to_owned();
    let (width, height) = text.split_once('x').ok_or_else(problem)?;
    let side = |text: &str| {
        text.parse()
            .ok()
            .filter(|side: &u32| (160..=4096).contains(side) && side.is_multiple_of(2))
    };
    side(width).zip(side(height)).ok_or_else(problem)
}
