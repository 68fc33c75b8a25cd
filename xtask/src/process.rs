//! Runs a program with a time bound: reads its lines as they come, and ends it with all its descendants when it is late.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

/// How long the end of the output is waited for after the program itself has ended.
const DRAIN: Duration = Duration::from_secs(2);

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Exit code 0, in time.
    pub(crate) success: bool,
    /// It was ended because it took too long.
    pub(crate) late: bool,
    /// All that it printed, on either stream.
    pub(crate) lines: Vec<String>,
}

/// Runs `command`, writes all that it prints to `log`, and calls `each` with every line.
///
/// # Errors
///
/// When the program cannot be started or the log cannot be written.
pub(crate) fn run(
    mut command: Command,
    limit: Duration,
    log: &Path,
    mut each: impl FnMut(&str),
) -> io::Result<Outcome> {
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut log = File::options().create(true).append(true).open(log)?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (sender, receiver) = mpsc::channel();
    read_lines(child.stdout.take(), sender.clone());
    read_lines(child.stderr.take(), sender);

    let deadline = Instant::now() + limit;
    let mut lines = Vec::new();
    let mut late = false;
    let mut end = None;
    loop {
        match receiver.recv_timeout(Duration::from_millis(200)) {
            Ok(line) => {
                writeln!(log, "{line}")?;
                each(&line);
                lines.push(line);
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if end.is_none() && child.try_wait()?.is_some() {
            end = Some(Instant::now());
        }
        if end.is_some_and(|end| end.elapsed() > DRAIN) {
            break; // a grandchild still holds the stream: it has nothing to tell us
        }
        if !late && Instant::now() > deadline {
            late = true;
            kill_tree(&mut child);
        }
    }
    let status = child.wait()?;
    Ok(Outcome {
        success: status.success() && !late,
        late,
        lines,
    })
}

/// Sends the lines of a stream, from a thread of its own.
fn read_lines(stream: Option<impl Read + Send + 'static>, sender: Sender<String>) {
    let Some(stream) = stream else { return };
    thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut bytes = Vec::new();
        while reader.read_until(b'\n', &mut bytes).is_ok_and(|read| read > 0) {
            let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
            if sender.send(line).is_err() {
                return;
            }
            bytes.clear();
        }
    });
}

/// Ends a child and all that it started, by their ids; where there is no `/proc`, only the child.
fn kill_tree(child: &mut Child) {
    let mut doomed = vec![child.id()];
    let mut next = 0;
    while let Some(&parent) = doomed.get(next) {
        doomed.extend(children_of(parent));
        next += 1;
    }
    for id in doomed.iter().skip(1) {
        // A process that has ended meanwhile is no error.
        let _ = Command::new("kill")
            .args(["-KILL", &id.to_string()])
            .stderr(Stdio::null())
            .status();
    }
    let _ = child.kill();
}

/// The processes whose parent is `parent`.
fn children_of(parent: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|id| parent_of(*id) == Some(parent))
        .collect()
}

/// Field 4 of `/proc/N/stat`; the name in field 2 may hold spaces and parentheses.
fn parent_of(id: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("xtask-{}-{name}.log", std::process::id()))
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn both_streams_are_read_and_the_exit_code_counts() {
        let path = log("streams");
        let outcome = run(
            shell("echo one; echo two >&2; exit 3"),
            Duration::from_secs(20),
            &path,
            |_| {},
        )
        .unwrap();
        let mut lines = outcome.lines.clone();
        lines.sort();
        assert_eq!(lines, ["one", "two"]);
        assert!(!outcome.success && !outcome.late);
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_program_that_hangs_is_ended_with_its_children() {
        let path = log("hang");
        let start = Instant::now();
        let outcome = run(
            shell("sleep 300 & echo $!; sleep 300"),
            Duration::from_secs(1),
            &path,
            |_| {},
        )
        .unwrap();
        assert!(outcome.late && !outcome.success);
        assert!(start.elapsed() < Duration::from_secs(30));
        let grandchild: u32 = outcome.lines.first().unwrap().parse().unwrap();
        let alive = fs::read_to_string(format!("/proc/{grandchild}/stat"))
            .is_ok_and(|stat| !stat.rsplit_once(')').unwrap().1.trim_start().starts_with('Z'));
        assert!(!alive, "the grandchild outlived the time bound");
        fs::remove_file(path).unwrap();
    }
}
