//! The files of other projects that the conference page brings along, whole and unchanged: fetched from the npm registry
//! through its ordinary client, which checks what it got, and then known by their SHA-256.

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::Command;

use crate::workspace;

/// The package.
const PACKAGE: &str = "livekit-client";
/// Its files that we take: where they lie in the package, and their name with us.
const FILES: [(&str, &str); 3] = [
    ("dist/livekit-client.esm.mjs", "livekit-client.esm.mjs"),
    ("dist/livekit-client.e2ee.worker.mjs", "livekit-client.e2ee.worker.mjs"),
    ("LICENSE", "livekit-client.LICENSE"),
];
/// The file that names the version that we have.
const VERSION: &str = "livekit-client.version";
/// The file that holds the checksums, as `sha256sum` writes and checks them.
const SUMS: &str = "SHA256SUMS";

/// Why the files could not be fetched.
#[derive(Debug)]
pub(crate) enum VendorError {
    /// A program did not succeed: its command line and what it said.
    Failed(String, String),
    /// The file system said no.
    Io(io::Error),
}

impl fmt::Display for VendorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(command, said) => write!(f, "`{command}` failed:\n{said}"),
            Self::Io(error) => write!(f, "vendor: {error}"),
        }
    }
}

impl From<io::Error> for VendorError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Fetches `version` (without one, that which is there), writes the files and their checksums, and tells whether they are
/// what was there before.
///
/// # Errors
/// When the package cannot be fetched, or lacks one of the files.
pub(crate) fn refresh(version: Option<&str>) -> Result<(), VendorError> {
    let folder = folder();
    let version = match version {
        Some(version) => version.to_owned(),
        None => fs::read_to_string(folder.join(VERSION))?.trim().to_owned(),
    };
    let work = workspace::target().join("xtask/vendor");
    let _ = fs::remove_dir_all(&work);
    fs::create_dir_all(&work)?;
    let mut pack = Command::new("npm");
    pack.args(["pack", "--silent", &format!("{PACKAGE}@{version}")])
        .current_dir(&work);
    let archive = output(pack)?;
    let mut unpack = Command::new("tar");
    unpack.args(["-xzf", archive.trim()]).current_dir(&work);
    output(unpack)?;

    let before = fs::read_to_string(folder.join(SUMS)).unwrap_or_default();
    for (from, to) in FILES {
        fs::copy(work.join("package").join(from), folder.join(to))?;
    }
    fs::write(folder.join(VERSION), format!("{version}\n"))?;
    let mut sum = Command::new("sha256sum");
    sum.args(FILES.map(|(_, name)| name)).arg(VERSION).current_dir(&folder);
    let after = output(sum)?;
    fs::write(folder.join(SUMS), &after)?;
    let word = if before == after { "unchanged" } else { "CHANGED" };
    println!("{PACKAGE} {version}: {word}\n{after}");
    Ok(())
}

/// The command that checks the files against their checksums.
pub(crate) fn check() -> Command {
    let mut command = Command::new("sha256sum");
    command.args(["--check", "--strict", SUMS]).current_dir(folder());
    command
}

fn folder() -> PathBuf {
    workspace::root().join("examples/conference/page/vendor")
}

fn output(mut command: Command) -> Result<String, VendorError> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(VendorError::Failed(format!("{command:?}"), said))
}
