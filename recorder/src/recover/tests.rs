//! Replays the seeds of the fuzz targets, some random bytes, and seeds with random changes.

use std::path::Path;

use super::fuzzing::{container, recover};

/// Random inputs and changed seeds for each target.
const INPUTS: usize = 400;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap()
    }
}

fn passes(name: &str, body: fn(&[u8]), bytes: &[u8]) {
    let outcome = std::panic::catch_unwind(|| body(bytes));
    assert!(outcome.is_ok(), "{name} fails on {bytes:02x?}");
}

#[test]
fn seeds_and_what_can_be_made_of_them_pass() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for (name, body) in [("recover", recover as fn(&[u8])), ("container", container)] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(name);
        let seeds: Vec<Vec<u8>> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
            .collect();
        assert!(seeds.len() >= 4, "{name} has seeds");
        for seed in &seeds {
            passes(name, body, seed);
        }
        for _ in 0..INPUTS {
            let len = random.below(600);
            let bytes: Vec<u8> = (0..len).map(|_| random.next().to_be_bytes()[0]).collect();
            passes(name, body, &bytes);
            let mut changed = seeds[random.below(seeds.len())].clone();
            for _ in 0..=random.below(4) {
                let at = random.below(changed.len() + 1);
                match random.below(4) {
                    0 => changed.truncate(at),
                    1 => changed.insert(at, random.next().to_be_bytes()[0]),
                    2 if at < changed.len() => drop(changed.remove(at)),
                    _ if at < changed.len() => changed[at] = random.next().to_be_bytes()[0],
                    _ => {}
                }
            }
            passes(name, body, &changed);
        }
    }
}
