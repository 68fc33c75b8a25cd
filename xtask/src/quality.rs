//! How speech sounds, encoded and over a bad line: espeak-ng speaks, the mixer's example `quality` encodes and loses packets, PESQ judges.
//!
//! Prints tables of mean opinion scores (ITU-T P.862.2): with what it costs, by way of encoding and bit rate; with mean delays, by way
//! of repair and percentage of loss. Fails when a way with redundancy is not better than a plain buffer.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::workspace::{built, cargo, root, target};
use crate::{cost, setup};

/// Voice, words a minute, and what is said: ten seconds each, as P.862 wants it.
const SPEECH: [(&str, &str, &str); 3] = [
    (
        "en-gb",
        "150",
        "The assembly met in the open field, and everybody who wished to speak was heard. Nobody was in a hurry, since the \
         days were long and the grass was dry.",
    ),
    (
        "en-us+f3",
        "160",
        "A thousand listeners sat on the slopes. When the wind came from the sea, those in the last row heard every word as \
         if it had been said beside them.",
    ),
    (
        "de",
        "150",
        "Wer etwas zu sagen hatte, stieg auf den Felsen und sprach. Die anderen schwiegen, bis er fertig war, und antworteten \
         dann der Reihe nach.",
    ),
];
/// Percent of packets that are lost, if nobody says otherwise.
const LOSSES: [u8; 6] = [1, 3, 5, 10, 20, 30];
/// What judges.
const PACKAGES: [&str; 2] = ["pesq==0.0.4", "numpy==2.4.6"];

/// Speaks, encodes, loses, judges.
///
/// # Errors
/// When something cannot be installed, built or run, or when redundancy does not help.
pub(crate) fn run(losses: &[u8]) -> Result<(), Box<dyn Error>> {
    let losses = if losses.is_empty() { &LOSSES } else { losses };
    setup::debian_packages().map_err(|error| error.to_string())?;
    let folder = target().join("quality");
    fs::create_dir_all(&folder)?;
    let python = python(&folder)?;
    cost::done(&mut cargo(&["build", "-p", "althing-mixer", "--example", "quality"]))?;
    let speeches = SPEECH
        .iter()
        .enumerate()
        .map(|(number, speech)| speak(&folder, number, speech));
    let speeches: Vec<PathBuf> = speeches.collect::<Result<_, _>>()?;

    let coding = empty(folder.join("coding"))?;
    cost::done(
        Command::new(built("examples/quality"))
            .arg("coding")
            .arg(&coding)
            .args(&speeches),
    )?;
    println!();
    judge(&python, "coding", &[coding])?;

    let mut lines = Vec::new();
    for (number, speech) in speeches.iter().enumerate() {
        let lossy = empty(folder.join(format!("{number}-lossy")))?;
        let mut lose = Command::new(built("examples/quality"));
        lose.arg("lossy").arg(speech).arg(&lossy);
        cost::done(lose.args(losses.iter().map(u8::to_string)))?;
        lines.push(lossy);
    }
    println!();
    judge(&python, "lossy", &lines)
}

/// Says something, as a file of 48 kHz.
fn speak(folder: &Path, number: usize, (voice, speed, text): &(&str, &str, &str)) -> Result<PathBuf, Box<dyn Error>> {
    let [spoken, speech] = ["spoken", "speech"].map(|name| folder.join(format!("{number}-{name}.wav")));
    let mut speak = Command::new("espeak-ng");
    cost::done(speak.args(["-v", voice, "-s", speed, "-w"]).arg(&spoken).arg(text))?;
    let mut convert = Command::new("ffmpeg");
    convert
        .args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y", "-i"])
        .arg(&spoken);
    cost::done(
        convert
            .args(["-ar", "48000", "-ac", "1", "-c:a", "pcm_s16le"])
            .arg(&speech),
    )?;
    Ok(speech)
}

/// A folder without what is there of another day, perhaps of other lines.
fn empty(folder: PathBuf) -> std::io::Result<PathBuf> {
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Judges all folders in these.
fn judge(python: &Path, what: &str, folders: &[PathBuf]) -> Result<(), Box<dyn Error>> {
    let mut judge = Command::new(python);
    judge.arg(root().join("mixer/quality.py")).arg(what);
    for folder in folders {
        for inner in fs::read_dir(folder)? {
            judge.arg(inner?.path());
        }
    }
    cost::done(&mut judge)
}

/// A Python with what judges, in a folder of its own.
fn python(folder: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let venv = folder.join("venv");
    let python = venv.join("bin/python");
    let ready = Command::new(&python).args(["-c", "import numpy, pesq"]).output();
    if !ready.is_ok_and(|output| output.status.success()) {
        cost::done(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
        let mut install = Command::new(&python);
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        cost::done(install.args(PACKAGES))?;
    }
    Ok(python)
}
