//! What to do with a file that a crash left: where to cut it, what to put into the rooms that were set aside.
//!
//! [`plan`] reads the heads of what is in a file and touches nothing. Its memory is bounded whatever the file claims to be.
//! A file that was finished needs nothing, and what is done once needs nothing more. `directory` (feature `file`) does it
//! with all files of a folder.
//!
//! | file | one idea |
//! |---|---|
//! | `webm` | whole clusters |
//! | `mp4` | whole pairs of `moof` and `mdat` |
//! | `ogg` | whole pages with a good checksum |
//! | `reader` | small reads at many places of a large file |
//!
//! Not here: what a frame holds. A file of others is cut to what is whole, and gets no index where it has no room for one.

#[cfg(feature = "file")]
mod directory;
mod mp4;
mod ogg;
mod reader;
mod webm;

#[cfg(any(test, fuzzing))]
pub mod fuzzing;
#[cfg(test)]
mod tests;

use std::io;

use crate::container::{Container, Patch};
use crate::frame::MediaTime;

#[cfg(feature = "file")]
pub use directory::{Outcome, Recovered, directory, file};
#[cfg(feature = "file")]
pub(crate) use directory::{open_file, replace};
pub use reader::Source;

/// Rooms larger than this are none of ours: 4 MiB.
const MAX_ROOM: usize = 4 << 20;

/// What is to be done to a file: cut, then append, then patch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// How long the file is to be at most, in bytes.
    pub keep: u64,
    /// What belongs behind that.
    pub append: Vec<u8>,
    /// What is to be put in the place of other bytes.
    pub patches: Vec<Patch>,
    /// When the last frame ends.
    pub end: MediaTime,
    /// There is a whole fragment of media.
    pub has_media: bool,
}

impl Plan {
    /// There is nothing to do to a file of this length.
    #[must_use]
    pub fn is_done(&self, len: u64) -> bool {
        self.keep == len && self.append.is_empty() && self.patches.is_empty()
    }
}

/// Looks at a file. `None` when its beginning is not that of such a container, or not whole.
///
/// # Errors
///
/// When it cannot be read.
pub fn plan(container: Container, source: &mut dyn Source) -> io::Result<Option<Plan>> {
    let plan = match container {
        Container::WebM | Container::Matroska => webm::plan(source)?,
        Container::Mp4 => mp4::plan(source)?,
        Container::Ogg => ogg::plan(source)?,
    };
    plan.map(|plan| without_what_is_there(plan, source)).transpose()
}

/// Leaves out what the file has already, so that what was done once is not done again, also where nothing in the file can say
/// that it was.
fn without_what_is_there(mut plan: Plan, source: &mut dyn Source) -> io::Result<Plan> {
    let mut has = |at: u64, bytes: &[u8]| {
        let mut there = vec![0; bytes.len()];
        Ok::<_, io::Error>(source.read_at(at, &mut there)? == bytes.len() && there == bytes)
    };
    let appended = plan.keep + plan.append.len() as u64;
    let mut patches = Vec::new();
    for patch in plan.patches {
        if !has(patch.at, &patch.bytes)? {
            patches.push(patch);
        }
    }
    plan.patches = patches;
    if has(plan.keep, &plan.append)? && appended == source.size() {
        plan.keep = appended;
        plan.append = Vec::new();
    }
    Ok(plan)
}
