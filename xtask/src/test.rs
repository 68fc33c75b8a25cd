//! The steps of `cargo xtask test`, in the order that gives an answer soonest.
//!
//! All share one target folder and the development profile: clippy and rustdoc share the metadata, tests, examples and
//! browsers the code. What must be installed is installed beside the first steps.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::setup;
use crate::steps::{Count, Steps};
use crate::workspace::{self, cargo};

/// One step: its name, its time bound in minutes, how it counts, what it runs.
struct Step {
    name: &'static str,
    minutes: u64,
    count: Count,
    commands: fn() -> Vec<Command>,
}

/// Installing: it runs beside the steps before it, and is waited for here.
const SETUP: &str = "setup";

/// In this order. The bounds are there for what hangs: about three times what a cold run needs on two slow cores.
const STEPS: [Step; 8] = [
    Step {
        name: "fmt",
        minutes: 2,
        count: Count::Whole,
        commands: || vec![cargo(&["fmt", "--all", "--check"])],
    },
    Step {
        name: "clippy",
        minutes: 12,
        count: Count::Whole,
        commands: || vec![clippy()],
    },
    Step {
        name: "docs",
        minutes: 8,
        count: Count::Whole,
        commands: || vec![docs()],
    },
    Step {
        name: "build",
        minutes: 15,
        count: Count::Whole,
        commands: || vec![build()],
    },
    Step {
        name: SETUP,
        minutes: 0,
        count: Count::Whole,
        commands: Vec::new,
    },
    Step {
        name: "tests",
        minutes: 15,
        count: Count::Results,
        commands: || vec![tests()],
    },
    Step {
        name: "doctests",
        minutes: 6,
        count: Count::Results,
        commands: || vec![doctests()],
    },
    Step {
        name: "browsers",
        minutes: 12,
        count: Count::Results,
        commands: || vec![node(&[])],
    },
];

/// Runs the steps, or only those that are named; true when nothing failed.
pub(crate) fn run(only: &[String]) -> bool {
    if let Some(unknown) = only
        .iter()
        .find(|name| !STEPS.iter().any(|step| step.name == name.as_str()))
    {
        println!("there is no step {unknown:?}; the steps are: {}", names().join(", "));
        return false;
    }
    let wanted: Vec<&Step> = STEPS
        .iter()
        .filter(|step| only.is_empty() || only.iter().any(|name| name == step.name))
        .collect();
    let mut steps = Steps::new(wanted.len());
    let start = Instant::now();
    let mut installing = wanted
        .iter()
        .any(|step| step.name == SETUP)
        .then(|| thread::spawn(setup::install));
    for step in wanted {
        if step.name == SETUP {
            let problem = installing.take().and_then(|thread| match thread.join() {
                Ok(result) => result.err().map(|problem| problem.to_string()),
                Err(_) => Some("installing stopped with a panic".to_owned()),
            });
            steps.done(step.name, start, problem);
        } else {
            steps.run(
                step.name,
                Duration::from_secs(step.minutes * 60),
                step.count,
                (step.commands)(),
            );
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

fn names() -> Vec<&'static str> {
    STEPS.iter().map(|step| step.name).collect()
}

fn clippy() -> Command {
    cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])
}

fn docs() -> Command {
    let mut command = cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"]);
    command.env("RUSTDOCFLAGS", "-D warnings");
    command
}

fn build() -> Command {
    cargo(&["test", "--workspace", "--all-targets", "--no-run"])
}

/// The programs that the browser tests start.
fn programs() -> Command {
    cargo(&[
        "build",
        "--package",
        "conference",
        "--package",
        "althing-testkit",
        "--bins",
    ])
}

/// Benchmarks are among the targets: here each runs once, which shows that it works.
fn tests() -> Command {
    cargo(&["test", "--workspace", "--all-targets", "--no-fail-fast"])
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
        .env("ALTHING_PYTHON", workspace::python());
    command
}
