//! What a forwarded packet costs the whole server process: the server, one publisher, many subscribers, over loopback.
//!
//! Beside it, in the same minutes and on the same machine, what the bare sending of datagrams costs: machines differ by
//! more than servers do, so only the two figures together say something.

use std::error::Error;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::workspace::{cargo, target};

/// Packets sent at once: evenly spaced, and as a camera does at 30 frames a second.
const BURSTS: [&str; 2] = ["1", "9"];

/// Builds everything with optimisation, measures, prints.
///
/// # Errors
///
/// Something cannot be built or started, or a subscriber could not connect.
pub(crate) fn run(subscribers: u32, rate: u32, seconds: u32) -> Result<(), Box<dyn Error>> {
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
    let server = Server::start()?;
    for burst in BURSTS {
        println!("\n{subscribers} subscribers, {rate} packets a second, {burst} at a time");
        let mut load = Command::new(target().join("release/subscribers"));
        load.args(["--url", &server.url, "--pid", &server.child.id().to_string()]);
        load.args(["--subscribers", &subscribers.to_string(), "--rate", &rate.to_string()]);
        load.args(["--seconds", &seconds.to_string(), "--burst", burst]);
        done(&mut load)?;
    }
    drop(server);
    println!("\nthe bare sending of as many datagrams (`offload`: trains of segments)");
    done(&mut Command::new(target().join("release/examples/udp_cost")))
}

/// A running server, ended when it is dropped.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start() -> Result<Self, Box<dyn Error>> {
        let mut command = Command::new(target().join("release/conference"));
        command.args(["--listen", "127.0.0.1:0", "--udp-port", "0", "--tcp-port", "0"]);
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        let mut server = Self {
            child,
            url: String::new(),
        };
        for line in lines {
            if let Some((_, url)) = line?.split_once(" ready at ") {
                url.clone_into(&mut server.url);
                return Ok(server);
            }
        }
        Err("the server has ended before it was ready".into())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It holds nothing that has to be saved.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn done(command: &mut Command) -> Result<(), Box<dyn Error>> {
    if command.status()?.success() {
        Ok(())
    } else {
        Err(format!("{command:?} has failed").into())
    }
}
