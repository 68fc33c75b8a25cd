//! What mixing costs: the mixer alone, a server around it, and beside it Janus' AudioBridge where that is installed.

use std::error::Error;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::workspace::{cargo, target};

/// How long another server may take to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// Builds with optimisation, measures, prints.
///
/// # Errors
///
/// Something cannot be built or started.
pub(crate) fn run(seconds: u32) -> Result<(), Box<dyn Error>> {
    done(&mut cargo(&[
        "build",
        "--release",
        "-p",
        "althing-mixer",
        "--example",
        "cost",
    ]))?;
    let cost = target().join("release/examples/cost");
    done(&mut Command::new(&cost))?;

    println!("\nBy sockets, plain RTP, all talk and listen: µs of processor time per participant and 20 ms\n");
    println!("| server | participants | talkers | µs | of a core | packets received |\n|---|---|---|---|---|---|");
    let seconds = seconds.to_string();
    // As many are heard as talk: the other one mixes all.
    let mut serve = Command::new(&cost);
    let mut server = Server(serve.args(["serve", "50"]).stdout(Stdio::piped()).spawn()?);
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    let address = line
        .trim()
        .strip_prefix("ready at ")
        .ok_or("the server did not start")?;
    done(Command::new(&cost).args(["load", address, &server.0.id().to_string(), &seconds]))?;
    drop(server);

    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let Some(janus) = janus(port)? else {
        println!("\n(no janus here to compare with: Debian has it)");
        return Ok(());
    };
    done(Command::new(&cost).args(["janus", &port.to_string(), &janus.0.id().to_string(), &seconds]))
}

/// Starts a Janus that speaks HTTP on that port of the loopback, and nothing else; `None` when there is none.
fn janus(port: u16) -> Result<Option<Server>, Box<dyn Error>> {
    let folder = target().join("xtask/janus");
    fs::create_dir_all(&folder)?;
    let write = |name: &str, text: &str| fs::write(Path::new(&folder).join(name), text);
    write(
        "janus.jcfg",
        "general: { session_timeout = 0 }\nnat: { ice_enforce_list = \"lo\" }\n",
    )?;
    write(
        "janus.transport.http.jcfg",
        &format!("general: {{ http = true, port = {port}, ip = \"127.0.0.1\", base_path = \"/janus\" }}\n"),
    )?;
    write(
        "janus.plugin.audiobridge.jcfg",
        "general: { local_ip = \"127.0.0.1\" }\n",
    )?;
    let log = fs::File::create(folder.join("log"))?;
    let mut command = Command::new("janus");
    command.arg("--configs-folder").arg(&folder).arg("--disable-colors");
    let Ok(child) = command.stdout(log).stderr(Stdio::null()).stdin(Stdio::null()).spawn() else {
        return Ok(None);
    };
    let server = Server(child);
    let start = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if start.elapsed() > PATIENCE {
            return Err(format!("janus does not answer, see {}", folder.join("log").display()).into());
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(Some(server))
}

/// A running server, ended when it is dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It holds nothing that has to be saved.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn done(command: &mut Command) -> Result<(), Box<dyn Error>> {
    if command.status()?.success() {
        Ok(())
    } else {
        Err(format!("{command:?} has failed").into())
    }
}
