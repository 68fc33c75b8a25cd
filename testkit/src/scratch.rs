//! Folders that belong to one test.

use std::fs;
use std::path::{Path, PathBuf};

/// A path of a test's own: nothing is there at first, and it is removed when the test is over and was good.
#[derive(Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a path that cleans up behind itself, and no more"
)]
pub struct Scratch(pub PathBuf);

impl Scratch {
    /// Below `parent`, which is `env!("CARGO_TARGET_TMPDIR")` of the test. What an earlier run has left is removed.
    #[must_use]
    pub fn new(parent: &str, name: &str) -> Self {
        let path = Path::new(parent).join(format!("{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}
