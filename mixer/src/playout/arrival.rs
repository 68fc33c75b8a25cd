//! What comes is sorted out: who sent it, did it come before, is its time possible, what else does it carry.
//!
//! Remote input: whatever makes no sense is dropped and counted, and a leap of a clock is believed when a second packet
//! confirms it. Bounded by the state here: nothing grows.

use std::time::Instant;

use althing_media_core::packet::SeqExtender;
use althing_media_core::payload::red::Red;
use althing_media_core::{Pt, RtpTime, Ssrc};
use bytes::Bytes;

use super::waiting::{Insert, Origin, Payload};
use super::{MAX_DELAY, Phase, Playout, Received};
use crate::codec::RATE;

/// A packet this far from where the sender's clock should be is from another clock: 3 s, in samples.
const FAR_OFF: i64 = 3 * RATE as i64;
/// When packets have come too late to be played for so long, the sender's clock has stood still: 100 ms, in samples. What an
/// outage held back comes at once.
const STOOD_STILL: i64 = 4_800;
/// The packet that confirms a leap follows within one second.
const CONFIRM_WITHIN: i64 = RATE as i64;
/// Sequence numbers back to which packets are known; what is older is late in any case.
const KNOWN: u64 = 64;
/// A gap of that many numbers is no loss but another count.
pub(super) const LEAP: u64 = 3_000;
/// What a comfort noise packet stands for before the pause after it: 20 ms.
const NOISE_SAMPLES: i64 = 960;

/// What is known of the packets that came.
#[derive(Debug)]
pub(super) struct Arrivals {
    clock_rate: u32,
    ssrc: Option<Ssrc>,
    numbers: SeqExtender,
    /// The last timestamp, on the wire and without wrapping.
    last_time: Option<(RtpTime, i64)>,
    /// Numbers that came, and numbers whose sound came at least: bit n is the highest minus n.
    came: u64,
    covered: u64,
    /// A packet from another clock, that the next one may confirm.
    suspect: Option<(u16, RtpTime)>,
    /// Since when packets have come too late to be played, one and all.
    late_since: Option<i64>,
}

impl Arrivals {
    pub(super) fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate,
            ssrc: None,
            numbers: SeqExtender::default(),
            last_time: None,
            came: 0,
            covered: 0,
            suspect: None,
            late_since: None,
        }
    }

    /// Units of the RTP clock in samples at 48 kHz.
    fn samples(&self, units: i64) -> i64 {
        units * i64::from(RATE) / i64::from(self.clock_rate)
    }

    /// A timestamp without wrapping, in units of the RTP clock.
    fn extend(&self, time: RtpTime) -> i64 {
        match self.last_time {
            None => i64::from(time.0),
            Some((last, extended)) => extended + i64::from(time.since(last)),
        }
    }

    /// Takes a number: `None` when it came before or is too old; else the extended number, and whether its sound is new.
    fn number(&mut self, wire: u16) -> Option<(u64, bool)> {
        let before = self.numbers.highest().map(|seq| seq.0);
        let seq = self.numbers.extend(wire).0;
        if let Some(before) = before
            && seq > before
        {
            let ahead = seq - before;
            let shift = |mask: u64| {
                u32::try_from(ahead)
                    .ok()
                    .and_then(|by| mask.checked_shl(by))
                    .unwrap_or(0)
            };
            (self.came, self.covered) = (shift(self.came), shift(self.covered));
        }
        let bit = self.bit(seq)?;
        if self.came & bit != 0 {
            return None;
        }
        self.came |= bit;
        Some((seq, self.covered & bit == 0))
    }

    fn bit(&self, seq: u64) -> Option<u64> {
        let age = self.numbers.highest()?.0.checked_sub(seq)?;
        (age < KNOWN).then(|| 1 << age)
    }

    /// Whether the sender's clock must have stood still, by a packet that comes so `late`: with what is known of it, nothing
    /// that it sends could be played before it is forgotten.
    fn stood_still(&mut self, now: i64, late: i64) -> bool {
        if late <= MAX_DELAY {
            self.late_since = None;
            return false;
        }
        now - *self.late_since.get_or_insert(now) >= STOOD_STILL
    }

    /// The sound of `seq` comes by another packet: whether that is news.
    fn cover(&mut self, seq: u64) -> bool {
        let Some(bit) = self.bit(seq).filter(|bit| (self.came | self.covered) & bit == 0) else {
            return false;
        };
        self.covered |= bit;
        true
    }

    fn begin_anew(&mut self) {
        *self = Self {
            ssrc: self.ssrc,
            ..Self::new(self.clock_rate)
        };
    }
}

impl Playout {
    /// Takes a packet that came at `now`. What is not of this stream, came before, or makes no sense is dropped and
    /// counted.
    pub fn push(&mut self, now: Instant, packet: Received) {
        let now = self.clock(now);
        self.stats.received += 1;
        let pt = packet.payload_type;
        let is_red = self.config.red == Some(pt);
        if packet.payload.is_empty() || !(is_red || self.is_own(pt)) {
            self.stats.refused += 1;
            return;
        }
        if self.arrivals.ssrc != Some(packet.ssrc) && self.arrivals.ssrc.replace(packet.ssrc).is_some() {
            self.begin_anew();
        }
        if !self.is_possible(now, &packet) {
            self.stats.refused += 1;
            return;
        }
        let units = self.arrivals.extend(packet.timestamp);
        let first = self.arrivals.last_time.is_none();
        let Some((seq, is_new)) = self.arrivals.number(packet.seq) else {
            self.stats.duplicates += 1;
            return;
        };
        self.arrivals.last_time = Some((packet.timestamp, units));
        self.level = packet.level;
        let mut payload = Payload {
            time: self.arrivals.samples(units),
            duration: 0,
            seq,
            origin: Origin::Primary,
            noise: false,
            marker: packet.marker,
            level: packet.level,
            bytes: packet.payload,
        };
        if !is_red {
            self.take(now, pt, payload, is_new, first);
            return;
        }
        let whole = std::mem::take(&mut payload.bytes);
        let Some(red) = Red::parse(&whole) else {
            self.stats.refused += 1;
            return;
        };
        for (back, block) in (1..).zip(red.redundant.iter().rev()) {
            if !first && let Some(seq) = seq.checked_sub(back).filter(|seq| self.arrivals.cover(*seq)) {
                let copy = Payload {
                    time: self.arrivals.samples(units - i64::from(block.offset)),
                    seq,
                    origin: Origin::Copy,
                    marker: false,
                    bytes: whole.slice_ref(block.payload),
                    ..payload
                };
                self.take(now, block.pt, copy, true, first);
            }
        }
        payload.bytes = whole.slice(red.primary..);
        self.take(now, red.pt, payload, is_new, first);
    }

    /// Payload types that are played, by themselves or within redundant audio.
    fn is_own(&self, pt: Pt) -> bool {
        pt == self.config.payload_type || self.config.comfort_noise == Some(pt)
    }

    /// Whether the packet's clock is the one that we know; if a second one says so, we begin anew.
    fn is_possible(&mut self, now: i64, packet: &Received) -> bool {
        let Some(base) = self.delay.base().filter(|_| self.arrivals.last_time.is_some()) else {
            return true;
        };
        let time = self.arrivals.samples(self.arrivals.extend(packet.timestamp));
        let late = now - time - base;
        if late.abs() < FAR_OFF {
            self.arrivals.suspect = None;
            if self.arrivals.stood_still(now, late) {
                self.begin_anew();
            }
            return true;
        }
        let confirmed = self.arrivals.suspect.is_some_and(|(seq, time)| {
            let ahead = self.arrivals.samples(i64::from(packet.timestamp.since(time)));
            packet.seq == seq.wrapping_add(1) && (0..=CONFIRM_WITHIN).contains(&ahead)
        });
        if confirmed {
            self.begin_anew();
        } else {
            self.arrivals.suspect = Some((packet.seq, packet.timestamp));
        }
        confirmed
    }

    /// One payload whose packet is sorted out: measured, and put where it belongs.
    fn take(&mut self, now: i64, pt: Pt, mut payload: Payload, is_new: bool, first: bool) {
        payload.noise = self.config.comfort_noise == Some(pt);
        let duration = if payload.noise {
            Some(NOISE_SAMPLES)
        } else {
            let duration = self.decoder.duration(&payload.bytes).map(super::to_signed);
            duration.filter(|_| pt == self.config.payload_type)
        };
        let Some(duration) = duration.filter(|_| !payload.bytes.is_empty()) else {
            self.stats.refused += 1;
            return;
        };
        payload.duration = duration;
        let transit = now - payload.time;
        // What is too late to be played at all says nothing of how long it is worth to wait.
        if is_new && self.delay.base().is_none_or(|base| transit - base <= MAX_DELAY) {
            match payload.origin {
                Origin::Primary => self.delay.on_arrival(transit),
                Origin::Copy => self.delay.note(transit),
            }
        }
        if !payload.noise && !first && payload.origin == Origin::Primary {
            self.note_redundancy(now, &payload);
        }
        let known = self.phase == Phase::Skipped || self.last_seq.is_some();
        if known && payload.end() <= self.end {
            self.stats.late += u64::from(payload.origin == Origin::Primary);
            return;
        }
        match self.waiting.insert(payload) {
            Insert::Taken => {}
            Insert::Present => self.stats.duplicates += 1,
            Insert::Overflow => self.stats.overflow += 1,
        }
    }

    /// A packet that brings a copy of a missing one brings that one's sound, only later: the delay should allow for it.
    fn note_redundancy(&mut self, now: i64, payload: &Payload) {
        let copied = super::to_signed(self.decoder.redundancy(&payload.bytes));
        if copied > 0 && payload.seq > 0 && self.arrivals.cover(payload.seq - 1) {
            self.delay.note(now - (payload.time - copied));
        }
    }

    /// Another stream, or another clock: nothing of the old one is worth waiting for.
    fn begin_anew(&mut self) {
        self.arrivals.begin_anew();
        self.delay.restart();
        self.waiting.clear();
        self.lead_in = [const { Bytes::new() }; super::LEAD_IN];
        self.last_seq = None;
        self.level = None;
        self.restart = true;
        self.stats.resets += 1;
    }
}
