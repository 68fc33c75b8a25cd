//! A late joiner is shown the last keyframe at once, and what came after it, without asking the publisher.
//!
//! All frames since the keyframe go out in one burst. Their timestamps are squeezed together before the latest one, a
//! millisecond apart or less, so that the receiver decodes them in a row and is at the present picture, instead of playing the
//! past at normal speed and staying late.

use std::time::{Duration, Instant};

use crate::packet::SeqNo;
use crate::receive::history::{History, Received};
use crate::time::RtpTime;

/// The oldest keyframe that is worth showing: what follows must not be a flood.
const MAX_AGE: Duration = Duration::from_millis(1500);
/// The longest burst, in packets.
const MAX_PACKETS: u64 = 400;
/// Time between two squeezed frames.
const STEP: Duration = Duration::from_millis(1);

/// What can be shown of a stream at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replay {
    /// The first packet of the keyframe.
    pub first: SeqNo,
    /// The last packet received.
    pub last: SeqNo,
    frames: u32,
    latest: RtpTime,
}

impl Replay {
    /// Looks whether the stream from `keyframe` to `highest` is young, short and whole enough.
    #[must_use]
    pub fn of(now: Instant, history: &History, keyframe: SeqNo, highest: SeqNo) -> Option<Self> {
        let first = history.get(keyframe)?;
        let packets = highest.0.checked_sub(keyframe.0)?;
        if packets >= MAX_PACKETS || now.saturating_duration_since(first.arrival) > MAX_AGE {
            return None;
        }
        let mut frames = 0;
        let mut latest = RtpTime(first.packet.view().timestamp());
        for seq in keyframe.0 + 1..=highest.0 {
            // Loss that has not been repaired: a fresh keyframe is the better start.
            let at = RtpTime(history.get(SeqNo(seq))?.packet.view().timestamp());
            if at.since(latest) > 0 {
                frames += 1;
                latest = at;
            }
        }
        Some(Self {
            first: keyframe,
            last: highest,
            frames,
            latest,
        })
    }

    /// The publisher's media time of the latest frame.
    #[must_use]
    pub fn latest(&self) -> RtpTime {
        self.latest
    }

    /// How many frames there are before the latest.
    #[must_use]
    pub fn frames(&self) -> u32 {
        self.frames
    }

    /// How far apart frames are put, where there is room, in units of a clock of `clock_rate` Hz.
    #[must_use]
    pub fn step(clock_rate: u32) -> u32 {
        RtpTime::units(STEP, clock_rate)
    }

    /// Calls `each` with the packets in order and how many frames each is before the latest.
    pub fn for_each(&self, history: &History, mut each: impl FnMut(&Received, u32)) {
        let mut frame = 0;
        let mut at = None;
        for seq in self.first.0..=self.last.0 {
            let Some(received) = history.get(SeqNo(seq)) else {
                return;
            };
            let timestamp = RtpTime(received.packet.view().timestamp());
            if at.is_some_and(|at| timestamp.since(at) > 0) {
                frame += 1;
            }
            at = Some(at.filter(|at| timestamp.since(*at) <= 0).unwrap_or(timestamp));
            each(received, self.frames - frame.min(self.frames));
        }
    }
}
