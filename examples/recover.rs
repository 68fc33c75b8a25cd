//! Closes the recordings that a crash left in a folder, and says what it found.
//!
//! ```sh
//! cargo run --example recover -- /var/lib/recordings
//! ```
//!
//! Doing it twice changes nothing; files that somebody records into are left alone.
#![expect(
    clippy::print_stdout,
    reason = "talking to the person at the terminal is this program's job"
)]

use std::path::Path;
use std::process::ExitCode;

use althing_recorder::recover::{self, Outcome, Recovered};

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1) else {
        println!("usage: recover FOLDER");
        return ExitCode::FAILURE;
    };
    let mut failed = false;
    let mut tell = |Recovered { path, outcome }: Recovered| {
        let path = path.display();
        match outcome {
            Ok(Outcome::Finished) => {}
            Ok(Outcome::Repaired { cut, end }) => {
                let seconds = end.since_start().as_secs_f64();
                println!("{path}: closed at {seconds:.1} s; {cut} bytes were no whole fragment");
            }
            Ok(Outcome::Empty) => println!("{path}: no media in it"),
            Ok(Outcome::InUse) => println!("{path}: is being recorded"),
            Ok(other) => println!("{path}: {other:?}"),
            Err(error) => {
                println!("{path}: {error}");
                failed = true;
            }
        }
    };
    if let Err(error) = recover::directory(Path::new(&folder), &mut tell) {
        println!("{}: {error}", Path::new(&folder).display());
        failed = true;
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
