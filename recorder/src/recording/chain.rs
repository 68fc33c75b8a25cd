//! The log of a recording: lines of JSON that nobody can change, take out or add to unseen.
//!
//! ```text
//! {"n":7,"at":93000000,"prev":"<hash of line 6>","type":"consent",…,"hash":"<SHA-256>","signature":"<Ed25519>"}
//!  └──────────────────────────── hashed ─────────────────────────┘
//! ```
//!
//! The hash is that of the line's bytes before `,"hash"`, so that checking needs no canonical form; it is signed where the
//! line matters (begin, consent, end, deletion), and through the chain so is every line before. Appending is all that is
//! ever done, so a crash leaves at most one torn line at the end.
//!
//! Not here: files; what the lines mean ([`super::entry`]).

use std::fmt::{self, Write};

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::error::{KeyRejected, Unspecified};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use super::entry::Entry;
use crate::frame::MediaTime;

/// The longest line that is written or read, in bytes: a chat message of the longest kind fits.
pub const MAX_LINE: usize = 256 * 1024;
/// What stands before the first line.
const NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Signs for one server.
pub struct Signer(Ed25519KeyPair);

impl Signer {
    /// With this secret of 32 random bytes, which the server keeps.
    ///
    /// # Errors
    /// When the library refuses it.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, KeyRejected> {
        Ed25519KeyPair::from_seed_unchecked(seed).map(Self)
    }

    /// With a secret that nobody keeps: changes of the log by others show all the same, but nothing can be added to it later.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn random() -> Result<Self, Unspecified> {
        let mut seed = [0; 32];
        aws_lc_rs::rand::fill(&mut seed)?;
        Ok(Self::from_seed(&seed)?)
    }

    /// What signatures are checked with: 32 bytes in hexadecimal.
    #[must_use]
    pub fn public_key(&self) -> String {
        hex(self.0.public_key().as_ref())
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Signer").field(&self.public_key()).finish()
    }
}

/// Makes the lines of one log.
#[derive(Debug)]
pub struct Chain {
    signer: Signer,
    next: u64,
    prev: String,
}

#[derive(Serialize)]
struct Body<'a> {
    n: u64,
    at: u64,
    prev: &'a str,
    #[serde(flatten)]
    entry: &'a Entry,
}

/// A line that was read.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Line {
    /// Its number, from 0.
    pub n: u64,
    /// When, in nanoseconds since the recording began; 0 before that.
    pub at: u64,
    /// The hash of the line before.
    pub prev: String,
    /// What.
    #[serde(flatten)]
    pub entry: Entry,
    /// The hash of this line.
    pub hash: String,
    /// Who wrote this line wrote all before.
    pub signature: Option<String>,
}

impl Chain {
    /// A log without lines.
    #[must_use]
    pub fn new(signer: Signer) -> Self {
        Self {
            signer,
            next: 0,
            prev: NOTHING.to_owned(),
        }
    }

    /// Goes on with a log that was read, behind its last good line.
    #[must_use]
    pub fn after(signer: Signer, log: &Log) -> Self {
        let last = log.lines.last();
        Self {
            signer,
            next: last.map_or(0, |line| line.n + 1),
            prev: last.map_or_else(|| NOTHING.to_owned(), |line| line.hash.clone()),
        }
    }

    /// What the log's signatures are checked with.
    #[must_use]
    pub fn public_key(&self) -> String {
        self.signer.public_key()
    }

    /// The next line, with its line feed; `None` when it would be longer than [`MAX_LINE`].
    #[must_use]
    pub fn line(&mut self, at: MediaTime, entry: &Entry) -> Option<String> {
        let body = Body {
            n: self.next,
            at: at.0,
            prev: &self.prev,
            entry,
        };
        let mut line = serde_json::to_string(&body).ok()?;
        line.pop();
        if line.len() > MAX_LINE - 256 {
            return None;
        }
        let hash = digest(&SHA256, line.as_bytes());
        let signature = entry
            .is_signed()
            .then(|| hex(self.signer.0.sign(hash.as_ref()).as_ref()));
        let mut line = seal(&line, hash.as_ref(), signature.as_deref());
        line.push('\n');
        self.next += 1;
        self.prev = hex(hash.as_ref());
        Some(line)
    }
}

/// A log that was read and checked.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Log {
    /// Its good lines.
    pub lines: Vec<Line>,
    /// How many bytes they take: where to cut, and to go on.
    pub len: usize,
    /// What is wrong with the line behind them, if there is one.
    pub fault: Option<Fault>,
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It has no end: a crash, if it is the last.
    Torn,
    /// It is no JSON of ours, or of a later version.
    Unreadable,
    /// It does not follow the line before: one was taken out or put in.
    OutOfOrder,
    /// Its hash is not that of its bytes: it was changed.
    Changed,
    /// It is not signed by the key that the first line names, though it must be.
    Unsigned,
}

impl Log {
    /// Reads and checks a log up to the first fault. `key`: what the server's own signatures are checked with; without it,
    /// what the first line names is believed, and only changes by others than its writer show.
    #[must_use]
    pub fn read(bytes: &[u8], key: Option<&str>) -> Self {
        let mut log = Self::default();
        let mut key = key.map(str::to_owned);
        let mut prev = NOTHING.to_owned();
        for raw in bytes.split_inclusive(|byte| *byte == b'\n') {
            match check(raw, log.lines.len() as u64, &prev, &mut key) {
                Ok(line) => {
                    log.len += raw.len();
                    prev.clone_from(&line.hash);
                    log.lines.push(line);
                }
                Err(fault) => {
                    log.fault = Some(fault);
                    break;
                }
            }
        }
        log
    }
}

fn check(raw: &[u8], n: u64, prev: &str, key: &mut Option<String>) -> Result<Line, Fault> {
    let text = raw.strip_suffix(b"\n").ok_or(Fault::Torn)?;
    let text = std::str::from_utf8(text)
        .ok()
        .filter(|text| text.len() <= MAX_LINE)
        .ok_or(Fault::Unreadable)?;
    let line: Line = serde_json::from_str(text).map_err(|_| Fault::Unreadable)?;
    if line.n != n || line.prev != prev {
        return Err(Fault::OutOfOrder);
    }
    let (body, _) = text.rsplit_once(r#","hash":"#).ok_or(Fault::Unreadable)?;
    let hash = digest(&SHA256, body.as_bytes());
    // What is not hashed must be what we would have written.
    if text != seal(body, hash.as_ref(), line.signature.as_deref()) {
        return Err(Fault::Changed);
    }
    if let Entry::Opened { key: named, .. } = &line.entry {
        key.get_or_insert_with(|| named.clone());
    }
    if line.entry.is_signed() {
        let key = key.as_deref().and_then(unhex).ok_or(Fault::Unsigned)?;
        let signature = line.signature.as_deref().and_then(unhex).ok_or(Fault::Unsigned)?;
        let key = UnparsedPublicKey::new(&ED25519, key);
        key.verify(hash.as_ref(), &signature).map_err(|_| Fault::Unsigned)?;
    }
    Ok(line)
}

/// A whole line, without line feed.
fn seal(body: &str, hash: &[u8], signature: Option<&str>) -> String {
    let hash = hex(hash);
    match signature {
        Some(signature) => format!(r#"{body},"hash":"{hash}","signature":"{signature}"}}"#),
        None => format!(r#"{body},"hash":"{hash}"}}"#),
    }
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks_exact(2);
    if !digits.remainder().is_empty() || text.len() > 1024 {
        return None;
    }
    digits
        .map(|pair| {
            std::str::from_utf8(pair)
                .ok()
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
        })
        .collect()
}
