//! The files of a folder, for those who want a page of their own: read anew each time, so that a change shows at once.
//!
//! Nothing outside the folder is served, whatever the path says and wherever a link inside points; nor is any file whose name
//! begins with a dot.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use axum::body::Bytes;
use tokio::task::spawn_blocking;

use super::{Found, kind};

/// Why a folder cannot be served.
#[derive(Debug)]
#[non_exhaustive]
pub(crate) enum PageError {
    /// It is not there, or may not be read.
    Folder(PathBuf, io::Error),
    /// It has no `index.html`.
    NoIndex(PathBuf),
}

impl fmt::Display for PageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder, error) => {
                write!(
                    f,
                    "the folder of the page, {}, cannot be read: {error}",
                    folder.display()
                )
            }
            Self::NoIndex(folder) => write!(f, "the folder of the page, {}, holds no index.html", folder.display()),
        }
    }
}

impl std::error::Error for PageError {}

/// A folder whose files are served.
#[derive(Debug)]
pub(super) struct Folder {
    /// Absolute, without links.
    root: PathBuf,
}

impl Folder {
    /// # Errors
    /// [`PageError`].
    pub(super) fn open(folder: PathBuf) -> Result<Self, PageError> {
        let root = match fs::canonicalize(&folder) {
            Ok(root) if root.is_dir() => root,
            Ok(_) => return Err(PageError::Folder(folder, io::ErrorKind::NotADirectory.into())),
            Err(error) => return Err(PageError::Folder(folder, error)),
        };
        if !root.join("index.html").is_file() {
            return Err(PageError::NoIndex(folder));
        }
        Ok(Self { root })
    }

    /// The file of that path. Costs reading it, elsewhere than where requests are answered.
    pub(super) async fn find(&self, name: &str) -> Option<Found> {
        let (root, path) = (self.root.clone(), self.root.join(relative(name)?));
        let kind = kind(name);
        spawn_blocking(move || read(&root, &path, kind)).await.ok()?
    }
}

fn read(root: &Path, path: &Path, kind: &'static str) -> Option<Found> {
    let path = fs::canonicalize(path).ok()?;
    if !path.starts_with(root) {
        return None; // a link that leads out of the folder
    }
    let about = fs::metadata(&path).ok()?;
    let changed = about.modified().ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(Found {
        kind,
        tag: format!("\"{:x}-{:x}\"", about.len(), changed.as_nanos()),
        packed: false,
        body: Bytes::from(fs::read(&path).ok()?),
    })
}

/// The path inside the folder that a request names; nothing for one that could lead elsewhere. Names with percent signs are
/// not decoded: the files of a page need none.
fn relative(name: &str) -> Option<&Path> {
    let plain = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', ':', '%', '\0']);
    name.split('/').all(plain).then_some(Path::new(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of its own, gone afterwards.
    struct Temporary(PathBuf);

    impl Temporary {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("althing-page-{}-{name}", std::process::id()));
            fs::create_dir_all(path.join("page/parts")).unwrap();
            Self(path)
        }
    }

    impl Drop for Temporary {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[tokio::test]
    async fn only_what_is_inside_the_folder_is_served() {
        let there = Temporary::new("inside");
        fs::write(there.0.join("secret.txt"), "secret").unwrap();
        let page = there.0.join("page");
        fs::write(page.join("index.html"), "hello").unwrap();
        fs::write(page.join("parts/one.js"), "1").unwrap();
        fs::write(page.join(".hidden"), "hidden").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(there.0.join("secret.txt"), page.join("link.txt")).unwrap();
        let folder = Folder::open(page).unwrap();
        let found = folder.find("parts/one.js").await.unwrap();
        assert_eq!(
            (&*found.body, found.kind),
            (b"1".as_slice(), "text/javascript; charset=utf-8")
        );
        let secret = there.0.join("secret.txt");
        for name in [
            "../secret.txt",
            "parts/../../secret.txt",
            "..%2fsecret.txt",
            "..\\secret.txt",
            "./index.html",
            ".hidden",
            "link.txt",
            "parts",
            "parts/",
            "nothing",
            "",
            secret.to_str().unwrap(),
        ] {
            assert!(folder.find(name).await.is_none(), "{name}");
        }
    }

    #[tokio::test]
    async fn a_change_shows_at_once() {
        let there = Temporary::new("change");
        let page = there.0.join("page");
        fs::write(page.join("index.html"), "one").unwrap();
        let folder = Folder::open(page.clone()).unwrap();
        let before = folder.find("index.html").await.unwrap();
        fs::write(page.join("index.html"), "another").unwrap();
        let after = folder.find("index.html").await.unwrap();
        assert_eq!(
            (&*before.body, &*after.body),
            (b"one".as_slice(), b"another".as_slice())
        );
        assert_ne!(before.tag, after.tag);
    }

    #[test]
    fn what_cannot_be_served_is_named() {
        let there = Temporary::new("named");
        let missing = Folder::open(there.0.join("nowhere")).unwrap_err().to_string();
        assert!(missing.contains("nowhere"), "{missing}");
        let empty = Folder::open(there.0.join("page")).unwrap_err().to_string();
        assert!(empty.contains("index.html"), "{empty}");
    }
}
