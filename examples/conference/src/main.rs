//! Althing's conferencing server: the crates of this workspace put together on one machine.
//!
//! | file | one idea |
//! |---|---|
//! | `arguments` | the command line |
//! | `settings` | defaults, configuration file, what is refused |
//! | `invitation` | access tokens |
//! | `server` | starts all parts, ends them |
//! | `connections` | accepts HTTP connections |
//! | `media` | sockets, workers, routers |
//! | `page` | the page at `/`: the program's, or a folder's |
//! | `figures` | `GET /stats` |
//! | `rtp_in` | doors for plain RTP |
//! | `mix` | one stream of sound instead of many |
//! | `recording` | meetings on the disk, of those who agree |
//! | `compose` | one file of a recorded meeting |

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "the address and the token are this program's answer")]
#![expect(clippy::print_stderr, reason = "so is why it does not start")]

mod arguments;
mod compose;
mod connections;
mod figures;
mod invitation;
mod media;
mod mix;
mod page;
mod recording;
mod rtp_in;
mod server;
mod settings;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::arguments::{Arguments, Command};
use crate::settings::Settings;

/// Open files that are asked for.
#[cfg(unix)]
const MAX_FILES: u64 = 65_536;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("conference: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    if let Some(Command::Compose(wanted)) = &arguments.command {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        return Ok(runtime.block_on(compose::run(wanted))?);
    }
    let settings = Settings::load(&arguments.flags)?;
    if let Some(Command::Token(wanted)) = &arguments.command {
        println!("{}", invitation::make(&settings, wanted)?);
        return Ok(());
    }
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    // Each connection is a file; many systems allow 1024 at first, and more to who asks.
    #[cfg(unix)]
    if let Err(error) = rlimit::increase_nofile_limit(MAX_FILES) {
        tracing::warn!(%error, "few connections are possible");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let ready_made = arguments.flags.dev.then(|| settings.clone());
    let result = runtime.block_on(server::run(settings, |address| {
        println!("Althing is ready at http://{address}");
        if let Some(settings) = ready_made {
            println!("{}", invitation::ready_made(&settings, &address));
        }
    }));
    // What still answers a request must not hold up the end.
    runtime.shutdown_background();
    Ok(result?)
}
