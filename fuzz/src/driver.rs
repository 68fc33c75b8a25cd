//! Runs a body without libFuzzer: the inputs of some folders, then random changes of them, until the time is over.
//!
//! Takes the arguments of libFuzzer that `cargo xtask fuzz` gives (`-max_total_time`, `-max_len`, `-rss_limit_mb`,
//! `-artifact_prefix`, `-seed`, and folders) and steps over the rest. Blind: it learns nothing from coverage.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Inputs between two looks at the clock and at the memory.
const ROUND: u32 = 64;

struct Arguments {
    time: Duration,
    max_len: usize,
    rss_limit_mb: u64,
    artifacts: String,
    seed: u64,
    folders: Vec<PathBuf>,
}

/// Runs `body`; fails when it panics or when the memory grows over the limit.
pub fn run(body: fn(&[u8])) -> ExitCode {
    let arguments = arguments(std::env::args().skip(1));
    let corpus = corpus(&arguments);
    let mut random = Random(arguments.seed | 1);
    let end = Instant::now() + arguments.time;
    let mut runs = 0_u64;
    for input in &corpus {
        runs += 1;
        if !passes(body, input, &arguments.artifacts) {
            return ExitCode::FAILURE;
        }
    }
    while Instant::now() < end {
        for _ in 0..ROUND {
            let input = change(&corpus, arguments.max_len, &mut random);
            runs += 1;
            if !passes(body, &input, &arguments.artifacts) {
                return ExitCode::FAILURE;
            }
        }
        if rss_mb().is_some_and(|rss| rss > arguments.rss_limit_mb) {
            eprintln!("out of memory: more than {} MB", arguments.rss_limit_mb);
            return ExitCode::FAILURE;
        }
    }
    eprintln!("Done {runs} runs in {} second(s)", arguments.time.as_secs());
    ExitCode::SUCCESS
}

fn arguments(given: impl Iterator<Item = String>) -> Arguments {
    let mut arguments = Arguments {
        time: Duration::from_secs(10),
        max_len: 4096,
        rss_limit_mb: 2048,
        artifacts: String::new(),
        seed: 1,
        folders: Vec::new(),
    };
    for argument in given {
        match argument.strip_prefix('-').map(|flag| flag.split_once('=')) {
            None => arguments.folders.push(argument.into()),
            Some(Some(("max_total_time", value))) => arguments.time = Duration::from_secs(value.parse().unwrap_or(10)),
            Some(Some(("max_len", value))) => arguments.max_len = value.parse().unwrap_or(4096),
            Some(Some(("rss_limit_mb", value))) => arguments.rss_limit_mb = value.parse().unwrap_or(2048),
            Some(Some(("artifact_prefix", value))) => arguments.artifacts = value.to_owned(),
            Some(Some(("seed", value))) => arguments.seed = value.parse().unwrap_or(1),
            Some(_) => {}
        }
    }
    arguments
}

/// All files of the folders; never empty.
fn corpus(arguments: &Arguments) -> Vec<Vec<u8>> {
    let mut corpus = vec![Vec::new()];
    for folder in &arguments.folders {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            corpus.extend(std::fs::read(entry.path()));
        }
    }
    corpus
}

fn passes(body: fn(&[u8]), input: &[u8], artifacts: &str) -> bool {
    if std::panic::catch_unwind(|| body(input)).is_ok() {
        return true;
    }
    let name = format!("{artifacts}crash-{:016x}", hash(input));
    let kept = std::fs::write(&name, input);
    eprintln!("panic; input written to {name}: {}", kept.is_ok());
    false
}

fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// One input with some bytes changed, put in, taken out, or exchanged for a piece of another.
fn change(corpus: &[Vec<u8>], max_len: usize, random: &mut Random) -> Vec<u8> {
    let mut input = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(8) {
        let at = random.below(input.len() + 1);
        match random.below(7) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 if at < input.len() => input[at] = random.byte(),
            2 => input.insert(at, random.byte()),
            3 => input.truncate(at),
            4 => {
                let end = (at + random.below(16)).min(input.len());
                input.drain(at..end);
            }
            5 => {
                let other = &corpus[random.below(corpus.len())];
                let from = random.below(other.len() + 1);
                let to = (from + random.below(64)).min(other.len());
                input.splice(at..at, other[from..to].iter().copied());
            }
            _ => input.extend((0..random.below(32)).map(|_| random.byte())),
        }
    }
    input.truncate(max_len);
    input
}

/// Resident memory, where the system tells it.
fn rss_mb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kb| kb / 1024)
}

/// xorshift64: any numbers do, the same ones every time are better.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).unwrap_or(1)).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }
}
