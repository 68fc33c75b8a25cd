//! What a muxer has made and nobody has taken yet, and how long the file is with it.

use std::collections::VecDeque;

use super::pieces::Pieces;
use super::{Fragment, FragmentKind, Output, Patch};
use crate::frame::MediaTime;

/// The outputs of one file, in order.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    queue: VecDeque<Output>,
    len: u64,
}

impl Outbox {
    /// Puts media behind all that is there; gives its place in the file.
    pub(super) fn media(&mut self, pieces: Pieces, start: MediaTime, end: MediaTime, independent: bool) -> u64 {
        self.append(Fragment {
            kind: FragmentKind::Media,
            pieces,
            start,
            end,
            independent,
        })
    }

    /// Puts what is no media behind all that is there.
    pub(super) fn other(&mut self, kind: FragmentKind, bytes: Vec<u8>, at: MediaTime) {
        self.append(Fragment {
            kind,
            pieces: bytes.into(),
            start: at,
            end: at,
            independent: false,
        });
    }

    /// Bytes in the place of others.
    pub(super) fn patches(&mut self, patches: impl IntoIterator<Item = Patch>) {
        self.queue.extend(patches.into_iter().map(Output::Patch));
    }

    /// The next thing to do.
    pub(super) fn poll(&mut self) -> Option<Output> {
        self.queue.pop_front()
    }

    /// How long the file is when all is done.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    fn append(&mut self, fragment: Fragment) -> u64 {
        let at = self.len;
        self.len += fragment.pieces.len() as u64;
        self.queue.push_back(Output::Append(fragment));
        at
    }
}
