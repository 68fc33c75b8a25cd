//! The project's commands: `cargo xtask test | e2e | bench | cost | mixer | fuzz | network | quality | setup | vendor`.
//!
//! What CI does is what a person runs by hand: `cargo xtask test`, or one part of it with `--only STEP`.

#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    reason = "talking to the person at the terminal is this program's job"
)]

mod cost;
mod fuzz;
mod mixer;
mod process;
mod quality;
mod setup;
mod steps;
mod test;
mod vendor;
mod workspace;

use std::fmt::Display;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's commands.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run every check: format, lints, tests, documentation, fuzz smoke, browsers. Installs what is missing.
    Test {
        /// Run only this step (may be given several times).
        #[arg(long, value_name = "STEP")]
        only: Vec<String>,
        /// List the steps and stop.
        #[arg(long)]
        list: bool,
    },
    /// Run the browser tests whose name contains one of the words (all of them, without words).
    E2e {
        /// Parts of names of scenarios.
        words: Vec<String>,
    },
    /// Run the benchmarks; what follows `--` goes to `cargo bench`. `bench mixer` is another name of `mixer`.
    Bench {
        /// What is no benchmark of criterion.
        what: Option<Bench>,
        /// Arguments for `cargo bench`.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Measure what a forwarded packet costs the running server, in processor time.
    Cost {
        /// How many watch.
        #[arg(long, default_value_t = 100)]
        subscribers: u32,
        /// Packets a second of the one publisher.
        #[arg(long, default_value_t = 260)]
        rate: u32,
        /// Seconds of each measurement.
        #[arg(long, default_value_t = 10)]
        seconds: u32,
        /// Measure another forwarder too (`benches/rival`, on the crate str0m), with the same load.
        #[arg(long)]
        rival: bool,
    },
    /// Measure what mixing costs, in processor time, beside Janus' AudioBridge where that is installed.
    Mixer {
        /// Seconds of each measurement by sockets.
        #[arg(long, default_value_t = mixer::SECONDS)]
        seconds: u32,
    },
    /// Build all fuzz targets and run each for some seconds.
    Fuzz {
        /// Seconds per target.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        /// Only to see that all build and start: in the development profile, not guided by coverage.
        #[arg(long)]
        smoke: bool,
    },
    /// What the bandwidth estimator makes of bad lines, in virtual time: a table of aims, and pictures in
    /// `target/network/`.
    Network {
        /// Where all luck comes from.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Parts of names of scenarios.
        words: Vec<String>,
    },
    /// How speech sounds, encoded and over lossy lines: espeak-ng speaks, the mixer's playout repairs, PESQ judges: tables.
    Quality {
        /// Percent of packets that are lost [default: 1 3 5 10 20 30].
        losses: Vec<u8>,
    },
    /// Install what the tests need: browsers, ffmpeg, Node, Python, and their packages.
    Setup,
    /// Fetch the client SDK that the conference page brings along, and write its checksums.
    Vendor {
        /// The version [default: the one that is there].
        #[arg(long)]
        version: Option<String>,
    },
}

/// Measurements by programs of their own.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Bench {
    /// What mixing costs.
    Mixer,
}

fn main() -> ExitCode {
    let good = match Arguments::parse().command {
        Command::Test { list: true, .. } => test::list(),
        Command::Test { only, .. } => test::run(&only),
        Command::E2e { words } => test::browsers(&words),
        Command::Bench {
            what: Some(Bench::Mixer),
            ..
        } => succeeded(mixer::run(mixer::SECONDS)),
        Command::Bench { arguments, .. } => test::bench(&arguments),
        Command::Cost {
            subscribers,
            rate,
            seconds,
            rival,
        } => succeeded(cost::run(subscribers, rate, seconds, rival)),
        Command::Mixer { seconds } => succeeded(mixer::run(seconds)),
        Command::Fuzz { seconds, smoke } => succeeded(fuzz::run(seconds, smoke)),
        Command::Network { seed, words } => test::network(seed, &words),
        Command::Quality { losses } => succeeded(quality::run(&losses)),
        Command::Setup => succeeded(setup::install()),
        Command::Vendor { version } => succeeded(vendor::refresh(version.as_deref())),
    };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Tells what went wrong.
fn succeeded(outcome: Result<(), impl Display>) -> bool {
    match outcome {
        Ok(()) => true,
        Err(problem) => {
            println!("{problem}");
            false
        }
    }
}
