//! Writes what `cargo xtask quality` judges.
//!
//! ```text
//! quality lossy SPEECH.wav FOLDER PERCENT...   speech over a bad line, by several ways of repair
//! quality coding FOLDER SPEECH.wav...          what the encoder makes of a voice, of two, of a voice with noise and with music
//! ```
//!
//! Reads 16-bit mono at 48 kHz.
#![expect(clippy::print_stdout, reason = "it tells what it does")]

mod coding;
mod lossy;
mod wav;

use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match &arguments[..] {
        ["lossy", speech, folder, losses @ ..] => {
            let losses: Vec<u8> = losses.iter().map(|loss| loss.parse()).collect::<Result<_, _>>()?;
            lossy::run(&wav::read(Path::new(speech))?, Path::new(folder), &losses)
        }
        ["coding", folder, speeches @ ..] if !speeches.is_empty() => {
            let speeches = speeches.iter().map(|speech| wav::read(Path::new(speech)));
            coding::run(&speeches.collect::<Result<Vec<_>, _>>()?, Path::new(folder))
        }
        _ => Err("quality [lossy SPEECH.wav FOLDER PERCENT... | coding FOLDER SPEECH.wav...]".into()),
    }
}
