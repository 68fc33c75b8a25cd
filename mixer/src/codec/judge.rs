//! Programs that judge our codecs: ffmpeg and Debian's opus-tools. `cargo xtask test` installs them; where one is
//! missing, the test fails and says so.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A file of our own that goes when this does.
struct Scratch(PathBuf);

impl Scratch {
    fn new(content: &[u8]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("althing-mixer-{}-{number}", std::process::id()));
        fs::write(&path, content).expect("the temporary folder can be written");
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Somebody may have tidied up.
        let _ = fs::remove_file(&self.0);
    }
}

fn run(mut command: Command, program: &str) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{program} does not run ({error}): `cargo xtask test` installs it"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

/// What ffmpeg makes of `input`, read and written as the arguments say.
pub(super) fn ffmpeg(input: &[u8], reading: &[&str], writing: &[&str]) -> Vec<u8> {
    let (from, to) = (Scratch::new(input), Scratch::new(&[]));
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y"]);
    command.args(reading).arg("-i").arg(&from.0).args(writing).arg(&to.0);
    run(command, "ffmpeg");
    fs::read(&to.0).expect("ffmpeg has written")
}

/// An Opus file of 16-bit samples at 48 kHz, by opusenc.
pub(super) fn opusenc(pcm: &[i16], channels: usize, arguments: &[&str]) -> Vec<u8> {
    let bytes: Vec<u8> = pcm.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let (from, to) = (Scratch::new(&bytes), Scratch::new(&[]));
    let mut command = Command::new("opusenc");
    command.args([
        "--quiet",
        "--raw",
        "--raw-rate",
        "48000",
        "--raw-chan",
        &channels.to_string(),
    ]);
    command.args(arguments).arg(&from.0).arg(&to.0);
    run(command, "opusenc");
    fs::read(&to.0).expect("opusenc has written")
}

/// The samples of an Opus file at 48 kHz, by opusdec, without dither.
pub(super) fn opusdec(file: &[u8]) -> Vec<f32> {
    let (from, to) = (Scratch::new(file), Scratch::new(&[]));
    let mut command = Command::new("opusdec");
    command.args(["--quiet", "--float", "--rate", "48000", "--no-dither"]);
    command.arg(&from.0).arg(&to.0);
    run(command, "opusdec");
    // The name has no ending, so there is no header either.
    let raw = fs::read(&to.0).expect("opusdec has written");
    let samples = raw.as_chunks::<4>().0;
    samples.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}
