//! Builds every fuzz target and runs each for some seconds, two at a time on two cores, with bounded memory.
//!
//! | there is | the targets are |
//! |---|---|
//! | a nightly toolchain and a C++ compiler | guided by coverage, with the address sanitizer |
//! | a C++ compiler | guided by coverage: the flags for that are stable, only sanitizers are not |
//! | neither | mutated blindly from the seeds, by `fuzz/src/driver.rs` |
//!
//! An input that breaks something stays in `fuzz/artifacts/TARGET/`; what widens the coverage in `fuzz/corpus/TARGET/`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use crate::process;
use crate::workspace;

/// Longest build, cold and on a busy machine.
const BUILD_LIMIT: Duration = Duration::from_secs(20 * 60);
/// Given to a target on top of its time: to start, to read its corpus, to finish its last input.
const GRACE: Duration = Duration::from_secs(60);
/// Most memory of one target, in MB.
const MEMORY: u32 = 2048;
/// Longest input, in bytes: more than two datagrams.
const MAX_LEN: u32 = 4096;
/// Longest run of one input, in seconds.
const INPUT_LIMIT: u32 = 20;
/// Lines shown of a target that failed.
const SHOWN: usize = 25;
/// Counters on every edge, and what comparisons compare: what libFuzzer is guided by.
const COVERAGE: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

/// How targets are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flavour {
    Sanitized,
    Guided,
    Blind,
    /// Like `Blind`, in the development profile: shows that all targets build and start.
    Smoke,
}

impl Flavour {
    /// What this machine can do, the best first.
    fn possible() -> Vec<Self> {
        let cpp = ["c++", "g++", "clang++"]
            .iter()
            .any(|compiler| answers(compiler, &["--version"]));
        let nightly = answers("cargo", &["+nightly", "--version"]);
        [
            (Self::Sanitized, cpp && nightly),
            (Self::Guided, cpp),
            (Self::Blind, true),
        ]
        .into_iter()
        .filter_map(|(flavour, possible)| possible.then_some(flavour))
        .collect()
    }

    fn describe(self) -> &'static str {
        match self {
            Self::Sanitized => "guided by coverage, with the address sanitizer",
            Self::Guided => "guided by coverage, without sanitizers",
            Self::Blind => "blind, for want of a C++ compiler",
            Self::Smoke => "blind and slow, only to see them run",
        }
    }

    fn build(self, host: &str) -> Command {
        let mut command = Command::new("cargo");
        let mut flags = vec!["--cfg", "fuzzing"];
        match self {
            Self::Sanitized => {
                command.args(["+nightly", "build"]);
                flags.extend(COVERAGE);
                flags.push("-Zsanitizer=address");
            }
            Self::Guided => {
                command.arg("build");
                flags.extend(COVERAGE);
            }
            Self::Blind | Self::Smoke => {
                command.args(["build", "--no-default-features"]);
            }
        }
        // A named target keeps the flags away from build scripts and procedural macros.
        command.args(["--bins", "--target", host, "--target-dir"]);
        command.arg(self.target()).current_dir(folder());
        if self != Self::Smoke {
            command.arg("--release");
        }
        command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
        command
    }

    /// A folder each, so that going from one to another builds nothing again.
    fn target(self) -> PathBuf {
        let name = match self {
            Self::Sanitized => "sanitized",
            Self::Guided => "guided",
            Self::Blind => "blind",
            // Beside everything else that the tests build.
            Self::Smoke => return workspace::target().join("fuzz-smoke"),
        };
        folder().join("target").join(name)
    }

    /// Where its programs are.
    fn programs(self, host: &str) -> PathBuf {
        let profile = if self == Self::Smoke { "debug" } else { "release" };
        self.target().join(host).join(profile)
    }
}

fn folder() -> PathBuf {
    workspace::root().join("fuzz")
}

fn logs() -> PathBuf {
    workspace::target().join("xtask/fuzz")
}

fn answers(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    command.output().is_ok_and(|output| output.status.success())
}

/// Builds all targets and runs each for `seconds`; prints one line for each. `smoke`: builds them in the quickest way.
///
/// # Errors
///
/// Names the targets that failed, or says why nothing could be built.
pub(crate) fn run(seconds: u64, smoke: bool) -> Result<(), String> {
    let host = host().ok_or("rustc does not tell its host")?;
    let targets = targets().map_err(|error| format!("fuzz/fuzz_targets: {error}"))?;
    let flavours = if smoke {
        vec![Flavour::Smoke]
    } else {
        Flavour::possible()
    };
    let programs = build(&host, &flavours)?;
    let failed = Mutex::new(Vec::new());
    let next = Mutex::new(targets.iter());
    let lanes = thread::available_parallelism().map_or(1, |cores| cores.get().min(4));
    thread::scope(|scope| {
        for _ in 0..lanes {
            scope.spawn(|| {
                loop {
                    let Some(target) = next.lock().ok().and_then(|mut rest| rest.next()) else {
                        return;
                    };
                    if let Err(problem) = run_target(&programs, target, seconds) {
                        println!("fuzz {target}: {problem}");
                        failed
                            .lock()
                            .into_iter()
                            .for_each(|mut failed| failed.push(target.clone()));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap_or_default();
    println!(
        "fuzz result: {} passed; {} failed",
        targets.len() - failed.len(),
        failed.len()
    );
    if failed.is_empty() {
        Ok(())
    } else {
        Err(format!("failed: {}", failed.join(", ")))
    }
}

/// Builds in the best way that works; the folder of the programs.
fn build(host: &str, flavours: &[Flavour]) -> Result<PathBuf, String> {
    let mut problem = String::new();
    for flavour in flavours {
        println!("fuzz: building the targets, {}", flavour.describe());
        let log = logs().join("build.log");
        let _ = fs::remove_file(&log);
        match process::run(flavour.build(host), BUILD_LIMIT, &log, |_| {}) {
            Ok(outcome) if outcome.success => return Ok(flavour.programs(host)),
            Ok(outcome) if outcome.late => problem = format!("no end after {} s", BUILD_LIMIT.as_secs()),
            Ok(outcome) => {
                let last = outcome.lines.len().saturating_sub(SHOWN);
                problem = outcome.lines[last..].join("\n");
            }
            Err(error) => problem = error.to_string(),
        }
        println!("fuzz: that does not build here, see {}", log.display());
    }
    Err(format!("the fuzz targets do not build:\n{problem}"))
}

fn run_target(programs: &Path, target: &str, seconds: u64) -> Result<(), String> {
    let [corpus, seeds, artifacts] = ["corpus", "seeds", "artifacts"].map(|name| folder().join(name).join(target));
    for path in [&corpus, &artifacts] {
        fs::create_dir_all(path).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let mut command = Command::new(programs.join(target));
    command.args([&corpus, &seeds].into_iter().filter(|path| path.is_dir()));
    command.arg(format!("-max_total_time={seconds}"));
    command.arg(format!("-rss_limit_mb={MEMORY}"));
    command.arg(format!("-max_len={MAX_LEN}"));
    command.arg(format!("-timeout={INPUT_LIMIT}"));
    command.arg(format!("-artifact_prefix={}/", artifacts.display()));
    // The leak sanitizer needs ptrace, which containers forbid; what leaks runs into the bound of the memory.
    command.args(["-detect_leaks=0", "-print_final_stats=1"]);
    command.current_dir(folder()).env("RUST_BACKTRACE", "1");
    let log = logs().join(format!("{target}.log"));
    let _ = fs::remove_file(&log);
    let limit = Duration::from_secs(seconds) + GRACE;
    let outcome = process::run(command, limit, &log, |_| {}).map_err(|error| error.to_string())?;
    if outcome.success {
        println!("fuzz {target}: ok, {} runs", runs(&outcome.lines));
        return Ok(());
    }
    let last = outcome.lines.len().saturating_sub(SHOWN);
    let why = if outcome.late { "does not end" } else { "FAILED" };
    Err(format!(
        "{why}; input in {}, all it said in {}\n{}",
        artifacts.display(),
        log.display(),
        outcome.lines[last..].join("\n")
    ))
}

/// How many inputs were run, as libFuzzer and the driver say at the end.
fn runs(lines: &[String]) -> &str {
    let done = lines.iter().rev().find_map(|line| line.strip_prefix("Done "));
    done.and_then(|rest| rest.split(' ').next()).unwrap_or("?")
}

fn targets() -> io::Result<Vec<String>> {
    let mut targets = Vec::new();
    for entry in fs::read_dir(folder().join("fuzz_targets"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        targets.extend(name.strip_suffix(".rs").map(str::to_owned));
    }
    targets.sort();
    Ok(targets)
}

/// The triple of this machine.
fn host() -> Option<String> {
    let output = Command::new("rustc").arg("-vV").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_has_seeds_and_a_program() {
        let manifest = fs::read_to_string(folder().join("Cargo.toml")).unwrap();
        let targets = targets().unwrap();
        assert!(targets.len() > 15);
        for target in targets {
            assert!(
                manifest.contains(&format!("name = \"{target}\"")),
                "{target} is not in fuzz/Cargo.toml"
            );
            let seeds = fs::read_dir(folder().join("seeds").join(&target)).map_or(0, Iterator::count);
            assert!(seeds > 0, "{target} has no seeds");
        }
    }

    #[test]
    fn the_number_of_runs_is_read() {
        let lines = ["#2 INITED", "Done 1234 runs in 10 second(s)", "stat::x: 1"].map(str::to_owned);
        assert_eq!(runs(&lines), "1234");
    }
}
