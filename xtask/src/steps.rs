//! One named step after another: progress, elapsed time, counts. A step that fails does not stop the others.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::process;
use crate::workspace;

/// How many of the last lines of a failed step are shown; all of them are in its log.
const SHOWN_ON_FAILURE: usize = 80;

/// How the result of a step is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Count {
    /// The step is one check.
    Whole,
    /// Its lines `… result: … N passed; N failed` are added up.
    Results,
}

/// What has been counted so far.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    passed: u64,
    failed: u64,
    done: usize,
    total: usize,
}

impl Steps {
    /// For so many steps.
    pub(crate) fn new(total: usize) -> Self {
        Self {
            total,
            ..Self::default()
        }
    }

    /// Runs one step: its commands one after another, until one fails.
    pub(crate) fn run(&mut self, name: &str, limit: Duration, count: Count, commands: Vec<Command>) {
        let start = Instant::now();
        self.announce(name);
        let log = workspace::target().join("xtask").join(format!("{name}.log"));
        let _ = fs::remove_file(&log);
        let mut counted = (0, 0);
        let mut good = true;
        for command in commands {
            let left = limit.saturating_sub(start.elapsed());
            let line = format!("{command:?}");
            match process::run(command, left, &log, |line| show(count, line)) {
                Ok(outcome) => {
                    if count == Count::Results {
                        let sum = outcome.lines.iter().filter_map(|line| result(line));
                        counted = sum.fold(counted, |all, one| (all.0 + one.0, all.1 + one.1));
                    }
                    good = outcome.success;
                    if outcome.late {
                        println!("      stopped after {} s: {line}", limit.as_secs());
                    }
                    if !good {
                        print_last(&outcome.lines, count);
                    }
                }
                Err(error) => {
                    println!("      {line}: {error}");
                    good = false;
                }
            }
            if !good {
                break;
            }
        }
        self.finish(start, good, counted, count);
    }

    /// Counts a step that was done elsewhere; `problem` is why it failed.
    pub(crate) fn done(&mut self, name: &str, start: Instant, problem: Option<String>) {
        self.announce(name);
        if let Some(problem) = &problem {
            println!("{problem}");
        }
        self.finish(start, problem.is_none(), (0, 0), Count::Whole);
    }

    /// Prints the sum as the last line; true when nothing failed.
    pub(crate) fn sum(self) -> bool {
        println!("{} passed, {} failed", self.passed, self.failed);
        self.failed == 0 && self.passed > 0
    }

    fn announce(&mut self, name: &str) {
        self.done += 1;
        println!("[{}/{}] {name}", self.done, self.total);
    }

    fn finish(&mut self, start: Instant, good: bool, (passed, mut failed): (u64, u64), count: Count) {
        // A step that fails without a failed test (it did not compile, it crashed, it hung) is one failure.
        if !good && failed == 0 {
            failed = 1;
        }
        let passed = if good && count == Count::Whole { 1 } else { passed };
        self.passed += passed;
        self.failed += failed;
        let word = if good { "ok" } else { "FAILED" };
        let counts = if count == Count::Results {
            format!(": {passed} passed, {failed} failed")
        } else {
            String::new()
        };
        println!("      {word} in {:.1} s{counts}", start.elapsed().as_secs_f64());
    }
}

/// The lines of a running step that a person wants to see.
fn show(count: Count, line: &str) {
    let text = line.trim_start();
    let progress = text.starts_with("Running ") || text.starts_with("Finished ") || text.starts_with("test result: F");
    let scenario = count == Count::Results
        && ["ok   ", "FAIL ", "skip ", "fuzz"]
            .iter()
            .any(|word| line.starts_with(word));
    if progress || scenario || text.starts_with("# ") {
        println!("      {text}");
    }
}

fn print_last(lines: &[String], count: Count) {
    // Of test output, what passed says nothing about what failed.
    let told: Vec<&String> = lines
        .iter()
        .filter(|line| count == Count::Whole || !line.ends_with("... ok"))
        .collect();
    for line in told.iter().skip(told.len().saturating_sub(SHOWN_ON_FAILURE)) {
        println!("      | {line}");
    }
}

/// The counts of a line like `test result: ok. 12 passed; 0 failed; …` or `e2e result: 5 passed; 1 failed`.
fn result(line: &str) -> Option<(u64, u64)> {
    let (kind, rest) = line.trim_start().split_once(" result: ")?;
    if kind.contains(' ') {
        return None;
    }
    let number_before = |word: &str| -> Option<u64> {
        let (before, _) = rest.split_once(word)?;
        before.trim_end().rsplit([' ', ';']).next()?.parse().ok()
    };
    Some((number_before(" passed")?, number_before(" failed")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_both_kinds_of_lines() {
        let line = "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.03s";
        assert_eq!(result(line), Some((12, 3)));
        assert_eq!(result("e2e result: 5 passed; 1 failed; 2 skipped"), Some((5, 1)));
        assert_eq!(result("the test result: 5 passed; 1 failed"), None);
        assert_eq!(result("test result: ok"), None);
    }

    #[test]
    fn a_step_that_fails_without_counts_is_one_failure() {
        let mut steps = Steps::new(1);
        steps.finish(Instant::now(), false, (7, 0), Count::Results);
        assert_eq!((steps.passed, steps.failed), (7, 1));
        steps.finish(Instant::now(), true, (0, 0), Count::Whole);
        assert_eq!((steps.passed, steps.failed), (8, 1));
        assert!(!steps.sum());
    }
}
