//! Notes that wait for their turn to one endpoint: retransmissions and audio first.
//!
//! This is the pacer's place: today everything goes out as soon as it is polled, in this order.

use std::collections::VecDeque;

use crate::send::note::{Form, Note};

/// Packets that may wait for one endpoint; what comes on top is dropped and counted.
pub const MAX_QUEUED: usize = 4096;

/// Two lanes; bounded; no allocation after warm-up.
#[derive(Debug, Default)]
pub struct Queue {
    urgent: VecDeque<Note>,
    media: VecDeque<Note>,
}

impl Queue {
    /// Adds a note; `urgent` ones overtake. False when there is no room.
    #[inline]
    pub fn push(&mut self, note: Note, urgent: bool) -> bool {
        if self.urgent.len() + self.media.len() >= MAX_QUEUED {
            return false;
        }
        if urgent || note.form == Form::Rtx {
            self.urgent.push_back(note);
        } else {
            self.media.push_back(note);
        }
        true
    }

    /// The next note to send.
    #[inline]
    pub fn pop(&mut self) -> Option<Note> {
        self.urgent.pop_front().or_else(|| self.media.pop_front())
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.urgent.is_empty() && self.media.is_empty()
    }
}
