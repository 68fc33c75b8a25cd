//! What mixing costs in processor time, for each participant and tick of 20 ms.
//!
//! ```text
//! cost                                   a table: the mixer alone, fed with packets, in virtual time
//! cost serve LOUDEST                     a mixing server of plain RTP on one socket; prints `ready at ADDRESS`
//! cost load ADDRESS PID SECONDS          load for it, with what it costs that process
//! cost janus PORT PID SECONDS            the same load for Janus' AudioBridge, by its HTTP interface at that port
//! ```
//!
//! `cargo xtask mixer` runs all of them. Figures of one machine at one time: compare within a run.
#![expect(clippy::print_stdout, reason = "a program that talks on its standard output")]

mod alone;
mod janus;
mod load;
mod serve;
mod talk;

use std::error::Error;

/// Participants, and how many of them talk (0 for all), of the measurements by sockets.
const CASES: [(usize, usize); 5] = [(10, 3), (50, 3), (100, 3), (10, 0), (50, 0)];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => alone::table(),
        ["serve", loudest] => serve::run(loudest.parse()?),
        ["load", address, pid, seconds] => {
            let address = address.parse()?;
            for (participants, talkers) in CASES {
                let load = load::Load::new(participants, |_, _| Ok(address))?;
                load.measure("this mixer", talkers, pid.parse()?, seconds.parse()?)?;
            }
            Ok(())
        }
        ["janus", port, pid, seconds] => {
            for (room, (participants, talkers)) in (1..).zip(CASES) {
                let bridge = janus::Bridge::open(port.parse()?, room)?;
                let load = load::Load::new(participants, |_, port| bridge.join(port))?;
                load.measure("AudioBridge", talkers, pid.parse()?, seconds.parse()?)?;
                bridge.close()?;
            }
            Ok(())
        }
        _ => Err("cost [serve LOUDEST | load ADDRESS PID SECONDS | janus PORT PID SECONDS]".into()),
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
