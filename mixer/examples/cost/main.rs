//! What mixing costs in processor time, for each participant and tick of 20 ms.
//!
//! ```text
//! cost                                     tables: the mixer alone, fed with packets, in virtual time; and one voice
//! cost alone PARTICIPANTS TALKERS LOUDEST  one figure of the first table, for profilers
//! cost serve LOUDEST                       a mixing server of plain RTP on one socket; prints `ready at ADDRESS`
//! cost sockets                             (Linux) a server that mixes nothing and sends as much; prints the same
//! cost load SECONDS [NAME WHERE PID]...    a table: the same load for several servers, with what it costs their processes;
//!                                          WHERE is an address, or `janus:PORT` for an AudioBridge by its HTTP interface
//! ```
//!
//! `cargo xtask bench mixer` runs all of them. Figures of one machine at one time: compare within a run.
#![expect(clippy::print_stdout, reason = "a program that talks on its standard output")]

mod alone;
mod janus;
mod load;
mod serve;
#[cfg(target_os = "linux")]
mod sockets;
mod talk;

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match &arguments[..] {
        [] => alone::tables(),
        ["alone", participants, talkers, loudest] => {
            alone::one(participants.parse()?, talkers.parse()?, loudest.parse()?)
        }
        ["serve", loudest] => serve::run(loudest.parse()?),
        #[cfg(target_os = "linux")]
        ["sockets"] => sockets::run(),
        ["load", seconds, targets @ ..] => {
            let targets: Result<Vec<_>, _> = targets.as_chunks::<3>().0.iter().map(load::Target::parse).collect();
            load::table(&targets?, seconds.parse()?)
        }
        _ => Err(
            "cost [alone PARTICIPANTS TALKERS LOUDEST | serve LOUDEST | sockets | load SECONDS [NAME WHERE PID]...]"
                .into(),
        ),
    }
}

/// Processor time of all threads of a process, in seconds.
fn processor_time(pid: u32) -> Result<f64, Box<dyn Error>> {
    let mut nanoseconds = 0.0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may have ended in between.
        let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) else {
            continue;
        };
        nanoseconds += text.split(' ').next().ok_or("no figures")?.parse::<f64>()?;
    }
    Ok(nanoseconds / 1e9)
}
