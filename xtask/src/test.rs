//! The steps of `cargo xtask test`, in the order that gives an answer soonest.
//!
//! All share one target folder and the development profile: clippy and rustdoc share the metadata, tests, examples and
//! browsers the code. What must be installed is installed beside the first steps.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::setup;
use crate::steps::{Count, Steps};
use crate::vendor;
use crate::workspace::{self, cargo};

/// One step: its name, its time bound in minutes, how it counts, what it runs.
struct Step(&'static str, u64, Count, fn() -> Vec<Command>);

/// Installing: it runs beside the steps before it, and is waited for here.
const SETUP: &str = "setup";

/// In this order. The bounds are there for what hangs, not for a slow day: many times what a cold run needs.
const STEPS: [Step; 9] = [
    Step("fmt", 2, Count::Whole, || vec![cargo(&["fmt", "--all", "--check"])]),
    Step("vendor", 1, Count::Whole, || vec![vendor::check()]),
    Step("clippy", 25, Count::Whole, || vec![clippy()]),
    Step("docs", 15, Count::Whole, || vec![docs()]),
    Step("build", 25, Count::Whole, build),
    Step(SETUP, 0, Count::Whole, Vec::new),
    Step("tests", 25, Count::Results, || vec![tests()]),
    Step("doctests", 10, Count::Results, || vec![doctests()]),
    Step("browsers", 25, Count::Results, || vec![programs(), node(&[])]),
];

/// What `cargo test` builds and runs. Benchmarks are among it: each runs once, which shows that it works.
const TESTED: [&str; 5] = ["--workspace", "--lib", "--bins", "--tests", "--benches"];

/// Runs the steps, or only those that are named; true when nothing failed.
pub(crate) fn run(only: &[String]) -> bool {
    if let Some(unknown) = only.iter().find(|name| !names().contains(&name.as_str())) {
        println!("there is no step {unknown:?}; the steps are: {}", names().join(", "));
        return false;
    }
    let named = |step: &&Step| only.is_empty() || only.iter().any(|name| name == step.0);
    let wanted: Vec<&Step> = STEPS.iter().filter(named).collect();
    let mut steps = Steps::new(wanted.len());
    let start = Instant::now();
    let mut installing = wanted
        .iter()
        .any(|step| step.0 == SETUP)
        .then(|| thread::spawn(setup::install));
    for &&Step(name, minutes, count, commands) in &wanted {
        if name == SETUP {
            let problem = installing.take().and_then(|thread| match thread.join() {
                Ok(result) => result.err().map(|problem| problem.to_string()),
                Err(_) => Some("installing stopped with a panic".to_owned()),
            });
            steps.done(name, start, problem);
        } else {
            steps.run(name, Duration::from_secs(minutes * 60), count, commands());
        }
    }
    steps.sum()
}

/// Prints the names of the steps.
pub(crate) fn list() -> bool {
    println!("{}", names().join("\n"));
    true
}

/// Builds and installs what the browser tests need, then runs those that are named.
pub(crate) fn browsers(words: &[String]) -> bool {
    if let Err(problem) = setup::install() {
        println!("{problem}");
        return false;
    }
    let mut steps = Steps::new(2);
    steps.run("build", Duration::from_secs(15 * 60), Count::Whole, vec![programs()]);
    steps.run(
        "browsers",
        Duration::from_secs(20 * 60),
        Count::Results,
        vec![node(words)],
    );
    steps.sum()
}

/// Runs the benchmarks in this terminal.
pub(crate) fn bench(arguments: &[String]) -> bool {
    let mut command = cargo(&["bench", "--workspace"]);
    command.args(arguments);
    command.status().is_ok_and(|status| status.success())
}

/// Runs the scenarios of bad lines in this terminal.
pub(crate) fn network(seed: u64, words: &[String]) -> bool {
    let mut command = cargo(&[
        "run",
        "--quiet",
        "--package",
        "althing-testkit",
        "--bin",
        "network",
        "--",
    ]);
    command.arg("--out").arg(workspace::target().join("network"));
    command.arg("--seed").arg(seed.to_string()).args(words);
    command.status().is_ok_and(|status| status.success())
}

fn names() -> Vec<&'static str> {
    STEPS.iter().map(|step| step.0).collect()
}

fn clippy() -> Command {
    cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])
}

fn docs() -> Command {
    let mut command = cargo(&[
        "doc",
        "--workspace",
        "--no-deps",
        "--document-private-items",
        "--keep-going",
    ]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    command
}

/// Programs and examples as their users have them (tests start some), then everything that is run as a test.
fn build() -> Vec<Command> {
    let mut build = vec!["test", "--no-run"];
    build.extend(TESTED);
    vec![cargo(&["build", "--workspace", "--bins", "--examples"]), cargo(&build)]
}

/// The programs that the browser tests start.
fn programs() -> Command {
    cargo(&[
        "build",
        "--package",
        "conference",
        "--package",
        "althing-testkit",
        "--package",
        "althing-recorder",
        "--bins",
        "--example",
        "containers",
    ])
}

fn tests() -> Command {
    let mut tests = vec!["test", "--no-fail-fast"];
    tests.extend(TESTED);
    let mut command = cargo(&tests);
    command.env("ALTHING_PYTHON", workspace::python());
    command
}

fn doctests() -> Command {
    cargo(&["test", "--workspace", "--doc", "--no-fail-fast"])
}

fn node(words: &[String]) -> Command {
    let mut command = Command::new("node");
    command
        .arg("run.mjs")
        .args(words)
        .current_dir(workspace::e2e())
        .env("ALTHING_SERVER", workspace::built("conference"))
        .env("ALTHING_RELAY", workspace::built("relay"))
        .env("ALTHING_CONTAINERS", workspace::built("examples/containers"))
        .env("ALTHING_ECHO", workspace::built("examples/echo"))
        .env("ALTHING_PYTHON", workspace::python());
    command
}
