//! Installs what the tests need and the machine lacks: Debian packages, Node packages, Python packages.
//!
//! Each registry is asked through its ordinary client; versions are pinned by `e2e/package-lock.json` and
//! `e2e/requirements.txt`. Nothing is asked when all is there.

use std::env;
use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::process;
use crate::workspace;

/// Programs that the tests run, and the Debian package that holds each.
const PROGRAMS: [(&str, &str); 9] = [
    ("chromium", "chromium"),
    ("firefox-esr", "firefox-esr"),
    ("espeak-ng", "espeak-ng"),
    ("ffmpeg", "ffmpeg"),
    ("mkvmerge", "mkvtoolnix"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("opusinfo", "opus-tools"),
    ("python3", "python3"),
];

/// The longest that one installing program may take: a slow mirror is no reason to wait for ever.
const LIMIT: Duration = Duration::from_secs(8 * 60);

/// Why something could not be installed.
#[derive(Debug)]
pub(crate) enum SetupError {
    /// This is no Debian, or we are not allowed to: the packages that a person must install.
    Missing(Vec<&'static str>),
    /// A program that installs did not succeed: its command line and its last lines.
    Failed(String, Vec<String>),
    /// The file system said no.
    Io(io::Error),
}

impl fmt::Display for SetupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(packages) => write!(f, "please install: {}", packages.join(", ")),
            Self::Failed(command, lines) => write!(f, "`{command}` failed:\n{}", lines.join("\n")),
            Self::Io(error) => write!(f, "setup: {error}"),
        }
    }
}

impl From<io::Error> for SetupError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Installs all that is missing.
///
/// # Errors
///
/// When a package cannot be installed; the text says which.
pub(crate) fn install() -> Result<(), SetupError> {
    debian_packages()?;
    node_packages()?;
    python_packages()
}

/// Installs the programs that are missing, and no packages of languages.
///
/// # Errors
///
/// When a package cannot be installed; the text says which.
pub(crate) fn debian_packages() -> Result<(), SetupError> {
    let mut missing: Vec<&'static str> = PROGRAMS
        .iter()
        .filter(|(program, _)| !on_path(program))
        .map(|(_, package)| *package)
        .collect();
    if !runs("python3", &["-c", "import ensurepip, venv"]) {
        missing.push("python3-venv");
    }
    if missing.is_empty() {
        return Ok(());
    }
    let root = runs("sh", &["-c", "test $(id -u) = 0"]);
    if !on_path("apt-get") || !(root || on_path("sudo")) {
        return Err(SetupError::Missing(missing));
    }
    let apt = |arguments: &[&str]| {
        let mut command = if root {
            Command::new("apt-get")
        } else {
            Command::new("sudo")
        };
        if !root {
            command.args(["--non-interactive", "apt-get"]);
        }
        command
            .args(["-q", "-y"])
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive");
        succeed(command)
    };
    apt(&["update"])?;
    let mut install = vec!["install", "--no-install-recommends"];
    install.extend(missing);
    apt(&install)
}

fn node_packages() -> Result<(), SetupError> {
    let wanted = workspace::e2e().join("package-lock.json");
    let stamp = workspace::e2e().join("node_modules/.installed-lock");
    if same(&wanted, &stamp) {
        return Ok(());
    }
    let mut command = Command::new("npm");
    command
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(workspace::e2e());
    succeed(command)?;
    fs::copy(wanted, stamp)?;
    Ok(())
}

fn python_packages() -> Result<(), SetupError> {
    let wanted = workspace::e2e().join("requirements.txt");
    let python = workspace::python();
    let folder = workspace::target().join("e2e/venv");
    let stamp = folder.join("installed-requirements.txt");
    if same(&wanted, &stamp) && runs(&python, &["-c", "import aiortc"]) {
        return Ok(());
    }
    let mut command = Command::new("python3");
    command.args(["-m", "venv", "--clear"]).arg(&folder);
    succeed(command)?;
    let mut command = Command::new(python);
    command
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
        .arg(&wanted);
    succeed(command)?;
    fs::copy(wanted, stamp)?;
    Ok(())
}

/// Whether both files exist and hold the same.
fn same(one: &Path, other: &Path) -> bool {
    matches!((fs::read(one), fs::read(other)), (Ok(one), Ok(other)) if one == other)
}

fn on_path(program: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

/// Whether a short command ends well; its output is of no interest.
fn runs(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .output()
        .is_ok_and(|output| output.status.success())
}

fn succeed(command: Command) -> Result<(), SetupError> {
    let name = format!("{command:?}");
    let outcome = process::run(command, LIMIT, &workspace::target().join("xtask/setup.log"), |_| {})?;
    if outcome.success {
        return Ok(());
    }
    let first = outcome.lines.len().saturating_sub(30);
    Err(SetupError::Failed(
        name,
        outcome.lines.into_iter().skip(first).collect(),
    ))
}
