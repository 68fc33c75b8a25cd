//! Uploading a recording: what of a file may be sent when, and what was sent already. Sans-I/O.
//!
//! ```text
//!  part 0        part 1        part 2        …        last part
//!  ├─────────────┼─────────────┼─────────────┼────────┼──────┤
//!  rooms at the   sent as soon as the file has grown past its end;   index behind the media (MP4), shorter
//!  start, patched nothing is ever patched there                      than the others
//!  at the end:
//!  sent last
//! ```
//!
//! What stores call a multipart upload takes parts in any order. A container of ours patches only the rooms at its start, which
//! are in part 0 ([`Parts`] sees to that); all else is appended and stays. So all but part 0 and the last part go out while the
//! meeting lasts, and hanging up leaves two parts to send, whatever the length of the file.
//!
//! The [`Journal`] says what was sent: one file `upload.jsonl` in the recording's folder, appended to, so that a server that was
//! killed goes on where it was. A part is taken for sent only when its checksum is still that of the file.
//!
//! Not here: sockets, stores, files, retries.

mod journal;
mod parts;

pub use journal::{Damaged, Journal, Line, Sent, SentPart, Stored};
pub use parts::{MIN_PART, Parts};

/// The journal's name, in the recording's folder.
pub const JOURNAL: &str = "upload.jsonl";
