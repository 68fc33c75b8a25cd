//! What a forwarded packet costs the whole server process: the server, one publisher, many subscribers, over loopback.
//!
//! Beside it, in the same minutes and on the same machine, what another forwarder costs (`benches/rival`), when that is
//! wanted, and what the bare sending of datagrams costs: machines differ by more than servers do, so only the figures
//! together say something.

use std::error::Error;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::workspace::{cargo, target};

/// Packets sent at once: evenly spaced, and as a camera does at 30 frames a second.
const BURSTS: [&str; 2] = ["1", "9"];

/// Builds everything with optimisation, measures, prints.
///
/// # Errors
///
/// Something cannot be built or started, or a subscriber could not connect.
pub(crate) fn run(subscribers: u32, rate: u32, seconds: u32, rival: bool) -> Result<(), Box<dyn Error>> {
    let programs = ["-p", "conference", "-p", "althing-testkit", "--bins"];
    done(cargo(&["build", "--release"]).args(programs))?;
    done(&mut cargo(&[
        "build",
        "--release",
        "-p",
        "althing-media-net",
        "--example",
        "udp_cost",
    ]))?;
    let mut programs = vec![Program::ours()];
    if rival {
        programs.push(Program::rival()?);
    }
    for burst in BURSTS {
        for program in &programs {
            println!(
                "\n{}: {subscribers} subscribers, {rate} packets a second, {burst} at a time",
                program.name
            );
            // A new one each time, so that none carries the load before.
            let server = Server::start(program)?;
            let mut load = Command::new(target().join("release/subscribers"));
            load.args(["--url", &server.url, "--pid", &server.child.id().to_string()]);
            load.args(["--subscribers", &subscribers.to_string(), "--rate", &rate.to_string()]);
            load.args(["--seconds", &seconds.to_string(), "--burst", burst]);
            done(&mut load)?;
        }
    }
    println!("\nthe bare sending of as many datagrams (`offload`: trains of segments)");
    done(&mut Command::new(target().join("release/examples/udp_cost")))
}

/// A server that speaks WHIP and WHEP.
struct Program {
    name: &'static str,
    path: PathBuf,
    arguments: &'static [&'static str],
    /// Stands before its address in a line that it prints when it is ready.
    ready: &'static str,
}

impl Program {
    fn ours() -> Self {
        Self {
            name: "conference",
            path: target().join("release/conference"),
            arguments: &["--listen", "127.0.0.1:0", "--udp-port", "0", "--tcp-port", "0"],
            ready: " ready at ",
        }
    }

    /// Builds it: it is a workspace of its own.
    fn rival() -> Result<Self, Box<dyn Error>> {
        let folder = target().join("rival");
        let mut build = cargo(&["build", "--release", "--locked"]);
        build.args(["--manifest-path", "benches/rival/Cargo.toml", "--target-dir"]);
        done(build.arg(&folder))?;
        Ok(Self {
            name: "rival",
            path: folder.join("release/althing-rival"),
            arguments: &[],
            ready: " ready at ",
        })
    }
}

/// A running server, ended when it is dropped.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(program: &Program) -> Result<Self, Box<dyn Error>> {
        let mut command = Command::new(&program.path);
        let mut child = command.args(program.arguments).stdout(Stdio::piped()).spawn()?;
        let lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        let mut server = Self {
            child,
            url: String::new(),
        };
        for line in lines {
            if let Some((_, url)) = line?.split_once(program.ready) {
                url.clone_into(&mut server.url);
                return Ok(server);
            }
        }
        Err(format!("{} has ended before it was ready", program.name).into())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It holds nothing that has to be saved.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn done(command: &mut Command) -> Result<(), Box<dyn Error>> {
    if command.status()?.success() {
        Ok(())
    } else {
        Err(format!("{command:?} has failed").into())
    }
}
