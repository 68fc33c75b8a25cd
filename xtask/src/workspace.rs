//! Where things lie: the workspace, its target folder, and commands that run inside them.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_path_buf()
}

/// Where cargo builds.
pub(crate) fn target() -> PathBuf {
    let named = env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    root().join(named)
}

/// A program that was built in the development profile.
pub(crate) fn built(program: &str) -> PathBuf {
    target().join("debug").join(program)
}

/// The browser tests.
pub(crate) fn e2e() -> PathBuf {
    root().join("e2e")
}

/// The Python with what the browser tests need.
pub(crate) fn python() -> PathBuf {
    target().join("e2e/venv/bin/python")
}

/// Cargo, at the root of the workspace, without what `cargo run` told this program about itself: build scripts that
/// look at those variables would run again.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") || text.starts_with("CARGO_CRATE_") {
            command.env_remove(&name);
        }
    }
    command
}
