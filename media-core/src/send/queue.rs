//! Notes that wait for their turn to one endpoint: sound first, then repair, then pictures.
//!
//! When the turn is, the pacer says; sound does not wait for it.

use std::collections::VecDeque;

use crate::payload::MediaKind;
use crate::send::note::{Form, Note};

/// Packets that may wait for one endpoint; what comes on top is dropped and counted.
pub const MAX_QUEUED: usize = 4096;

/// Three lanes; bounded; no allocation after warm-up.
#[derive(Debug, Default)]
pub struct Queue {
    sound: VecDeque<Note>,
    repair: VecDeque<Note>,
    media: VecDeque<Note>,
}

impl Queue {
    /// Adds a note of a stream of `kind`. False when there is no room.
    #[inline]
    pub fn push(&mut self, note: Note, kind: MediaKind) -> bool {
        if self.sound.len() + self.len() >= MAX_QUEUED {
            return false;
        }
        let lane = match (kind, note.form) {
            (MediaKind::Audio, _) => &mut self.sound,
            (_, form) if form.is_again() || form == Form::Fec => &mut self.repair,
            _ => &mut self.media,
        };
        lane.push_back(note);
        true
    }

    /// The next note of sound.
    #[inline]
    pub fn pop_sound(&mut self) -> Option<Note> {
        self.sound.pop_front()
    }

    /// The next note to send.
    #[inline]
    pub fn pop(&mut self) -> Option<Note> {
        let first = self.sound.pop_front().or_else(|| self.repair.pop_front());
        first.or_else(|| self.media.pop_front())
    }

    /// How many wait, without sound.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.repair.len() + self.media.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sound.is_empty() && self.len() == 0
    }
}
