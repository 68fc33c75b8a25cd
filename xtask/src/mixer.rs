//! What mixing costs: the mixer alone, a server around it, and beside it Janus' AudioBridge where that is installed.

use std::error::Error;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::workspace::{cargo, target};

/// Seconds of each measurement by sockets, if nobody says otherwise.
pub(crate) const SECONDS: u32 = 2;

/// How long another server may take to start.
const PATIENCE: Duration = Duration::from_secs(10);

/// Builds with optimisation, with both libraries for Opus, measures, prints. But for the builds, some six minutes at most.
///
/// # Errors
///
/// Something cannot be built or started.
pub(crate) fn run(seconds: u32) -> Result<(), Box<dyn Error>> {
    let libopus = build(&["--features", "libopus"], "cost-libopus")?;
    let cost = build(&[], "cost")?;
    for program in [&cost, &libopus] {
        done(&mut Command::new(program))?;
        println!();
    }

    println!(
        "By sockets, plain RTP, all talk and listen: µs of processor time per participant and 20 ms (of a core)\n"
    );
    let seconds = seconds.to_string();
    // As users get it: the loudest six are heard. Then as the other one does it: all are.
    let six = serve(&cost, &["serve", "6"])?;
    let (all, all_by_libopus) = (serve(&cost, &["serve", "50"])?, serve(&libopus, &["serve", "50"])?);
    // The floor: as many datagrams, and nothing else.
    let sockets = if cfg!(target_os = "linux") {
        Some(serve(&cost, &["sockets"])?)
    } else {
        None
    };
    let mut load = Command::new(&cost);
    load.args(["load", &seconds]);
    let servers = [
        Some(("6 heard (default)", &six)),
        sockets.as_ref().map(|sockets| ("sockets alone", sockets)),
        Some(("all heard", &all)),
        Some(("all heard, libopus", &all_by_libopus)),
    ];
    for (name, server) in servers.into_iter().flatten() {
        load.args([name, &server.at, &server.child.id().to_string()]);
    }
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let janus = janus(port)?;
    match &janus {
        Some(janus) => load.args(["Janus, AudioBridge", &janus.at, &janus.child.id().to_string()]),
        None => {
            println!("(no janus here to compare with: Debian has it)\n");
            &mut load
        }
    };
    done(&mut load)
}

/// The program that measures and is measured, kept under that name.
fn build(features: &[&str], name: &str) -> Result<PathBuf, Box<dyn Error>> {
    let mut build = cargo(&["build", "--release", "-p", "althing-mixer", "--example", "cost"]);
    done(build.args(features))?;
    let folder = target().join("xtask");
    fs::create_dir_all(&folder)?;
    let program = folder.join(name);
    fs::copy(target().join("release/examples/cost"), &program)?;
    Ok(program)
}

/// Starts a server.
fn serve(program: &Path, arguments: &[&str]) -> Result<Server, Box<dyn Error>> {
    let mut child = Command::new(program).args(arguments).stdout(Stdio::piped()).spawn()?;
    let output = child.stdout.take().ok_or("no output")?;
    let mut server = Server {
        child,
        at: String::new(),
    };
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    let address = line
        .trim()
        .strip_prefix("ready at ")
        .ok_or("the server did not start")?;
    address.clone_into(&mut server.at);
    Ok(server)
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
    let server = Server {
        child,
        at: format!("janus:{port}"),
    };
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
struct Server {
    child: Child,
    /// Where `cost load` finds it.
    at: String,
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
