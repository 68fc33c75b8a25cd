//! Replays the committed seeds, and gives every body some bytes from a fixed generator.

use std::path::Path;

use super::router::{run_handshake, run_plain};
use super::{Body, TARGETS};

/// Random inputs per target.
const INPUTS: usize = 60;
/// Their longest, in bytes.
const LONGEST: u64 = 600;

fn seeds() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds")
}

/// Runs one input and names it when it fails.
fn run(name: &str, what: &str, body: Body, bytes: &[u8]) {
    let outcome = std::panic::catch_unwind(|| body(bytes));
    assert!(outcome.is_ok(), "{name} fails on {what}: {bytes:02x?}");
}

#[test]
fn every_seed_passes() {
    for (name, body) in TARGETS {
        let folder = seeds().join(name);
        let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut count = 0;
        for file in files {
            let path = file.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            run(name, &path.display().to_string(), body, &bytes);
            count += 1;
        }
        assert!(count > 0, "{name} has seeds");
    }
}

#[test]
fn no_folder_of_seeds_is_left_over() {
    // `sdp` and the like belong to other crates, whose targets the fuzz workspace lists.
    let listed = std::fs::read_to_string(seeds().join("../Cargo.toml")).unwrap();
    for folder in std::fs::read_dir(seeds()).unwrap() {
        let name = folder.unwrap().file_name().into_string().unwrap();
        assert!(
            listed.contains(&format!("name = \"{name}\"")),
            "no target for the seeds of {name}"
        );
    }
}

#[test]
fn random_bytes_pass() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for (name, body) in TARGETS {
        for _ in 0..INPUTS {
            let len = next() % LONGEST;
            let bytes: Vec<u8> = (0..len).map(|_| next().to_be_bytes()[0]).collect();
            run(name, "random bytes", body, &bytes);
        }
    }
}

#[test]
fn the_worlds_of_the_router_are_alive() {
    let seed = |target: &str, name: &str| std::fs::read(seeds().join(target).join(name)).unwrap();
    let packets = run_plain(&seed("plain", "calls"));
    assert!(packets > 50, "subscribers got {packets} packets");
    assert!(run_handshake(&seed("handshake", "clean")), "nothing was in the way");
    assert!(!run_handshake(&[1; 4000]), "every datagram was lost");
}
