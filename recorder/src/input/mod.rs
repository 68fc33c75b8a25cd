//! From the RTP packets of one track to its frames, in order, whole, and in their place in time.
//!
//! ```text
//!  handle_packet ─► reorder ─► assemble ─┐                    (for each encoding of simulcast)
//!                                        ├─► one is chosen ─► timeline ─► poll_output: formats, breaks, frames
//!  handle_report ─► media clock ─────────┘                                          wishes for keyframes
//! ```
//!
//! RFC 3550; RFC 7741 (VP8), RFC 9628 (VP9), RFC 6184 (H.264), the AV1 RTP specification, RFC 7587 (Opus).
//!
//! * The stream comes repaired: retransmissions unwrapped, duplicates gone. Holes are waited for, [`reorder::MAX_WAIT`] at
//!   most.
//! * Pictures begin with a keyframe, and again after every loss; [`Output::WantKeyframe`] asks for one. Of the encodings of
//!   simulcast the best that comes is taken, and left at a keyframe of another.
//! * Another SSRC, another codec, another size: the track goes on, with a [`Output::Format`] before the frame that needs it.
//! * What is missing is told from what was not sent: [`Break`].
//!
//! Not here: decryption, loss detection (the router's), files. End-to-end encrypted payloads pass as they are: what is
//! written can be played by nobody without the key.

mod assemble;
mod av1;
mod bits;
mod depacketize;
mod h264;
pub mod reorder;
mod vp8;
mod vp9;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use althing_media_core::config::MAX_ENCODINGS;
use althing_media_core::payload::MediaKind;
use althing_media_core::{Codec, Extension, ExtensionMap, NtpTime, Packet, RtpTime, Ssrc};

pub use self::assemble::MAX_FRAME;
use self::assemble::{Assembled, Assembler};
use self::reorder::Reorder;
use crate::frame::{Frame, MediaTime, TrackFormat};
use crate::timeline::{MediaClock, SenderWall, Slew};

/// Outputs that wait for the caller; what comes when nobody polls is dropped, and counted.
pub const MAX_OUTPUTS: usize = 4096;
/// A wish for a keyframe is repeated after so long.
const REPEAT_WISH: Duration = Duration::from_secs(1);
/// An encoding that nothing came of for so long has stopped, when another goes on. A shared screen that does not change
/// sends a picture now and then.
const STOPPED: Duration = Duration::from_secs(3);
/// A silence of at least this is told.
pub const PAUSE: Duration = Duration::from_secs(1);

/// One track of one person.
#[derive(Debug)]
pub struct Input {
    kind: MediaKind,
    capture_time: Option<u8>,
    encodings: [Option<Box<Encoding>>; MAX_ENCODINGS],
    current: Option<usize>,
    slew: Slew,
    last: Option<Last>,
    format: Option<TrackFormat>,
    outputs: VecDeque<Output>,
    stats: InputStats,
}

/// A packet from the router.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// Which encoding of simulcast, 0 the lowest; 0 without simulcast. Those above [`MAX_ENCODINGS`] are dropped.
    pub encoding: u8,
    /// What its payload type means.
    pub codec: Codec,
    /// The plaintext packet.
    pub packet: Packet,
}

/// What comes out. Poll until `Timeout`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// The next frame has this format: before the first frame, and whenever it changes.
    Format(TrackFormat),
    /// Nothing came, or something is missing, before the next frame.
    Break(Break),
    /// A frame.
    Frame(Frame),
    /// Nothing can be written before this encoding sends a keyframe: ask for one. Repeated every second.
    WantKeyframe {
        /// Which.
        encoding: u8,
    },
    /// Nothing more for now; call [`Input::handle_timeout`] then.
    Timeout(Option<Instant>),
}

/// A time without frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Break {
    /// Where the last frame ended; that of a picture is taken to be where it began.
    pub from: MediaTime,
    /// Where the next one begins.
    pub until: MediaTime,
    /// Why.
    pub cause: BreakCause,
}

/// Why there are no frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BreakCause {
    /// Packets were lost beyond repair, or what came was no frame.
    Loss,
    /// Nothing was sent for [`PAUSE`] or longer: silence, mute, a camera turned off.
    Pause,
}

/// What became of the packets. All counts are since the beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct InputStats {
    /// Packets taken.
    pub packets: u64,
    /// Frames given.
    pub frames: u64,
    /// Packets that never came, of encodings that were listened to.
    pub lost: u64,
    /// Frames from before the beginning, or faster than time.
    pub misplaced: u64,
    /// Outputs that nobody polled for.
    pub overflow: u64,
}

/// One SSRC.
#[derive(Debug)]
struct Encoding {
    ssrc: Ssrc,
    reorder: Reorder,
    assembler: Assembler,
    clock: MediaClock,
    last_arrival: Instant,
    wished: Option<Instant>,
}

/// The frame before.
#[derive(Debug, Clone, Copy)]
struct Last {
    encoding: usize,
    ssrc: Ssrc,
    timestamp: RtpTime,
    at: MediaTime,
    duration: Duration,
}

impl Encoding {
    fn new(now: Instant, ssrc: Ssrc, codec: Codec) -> Self {
        Self {
            ssrc,
            reorder: Reorder::default(),
            assembler: Assembler::new(codec),
            clock: MediaClock::new(codec.clock_rate()),
            last_arrival: now,
            wished: None,
        }
    }
}

impl Input {
    /// A track that nothing has come of. `extensions`: the ids that its sender uses.
    #[must_use]
    pub fn new(kind: MediaKind, extensions: &ExtensionMap) -> Self {
        Self {
            kind,
            capture_time: extensions.id(Extension::AbsCaptureTime),
            encodings: Default::default(),
            current: None,
            slew: Slew::new(),
            last: None,
            format: None,
            outputs: VecDeque::new(),
            stats: InputStats::default(),
        }
    }

    /// Takes a packet that came at `now`. `wall` is the clock of the person whose track it is.
    pub fn handle_packet(&mut self, now: Instant, wall: &mut SenderWall, incoming: Incoming) {
        let index = usize::from(incoming.encoding);
        if incoming.codec.kind() != self.kind || index >= MAX_ENCODINGS {
            return;
        }
        self.stats.packets += 1;
        self.note_stream(now, index, &incoming);
        let chosen = self.chosen(now);
        let Some(encoding) = self.encodings[index].as_mut() else {
            return;
        };
        encoding.last_arrival = now;
        if let Some((ntp, rtp)) = self.capture_time.and_then(|id| captured(&incoming.packet, id)) {
            encoding.clock.on_report(wall, now, ntp, rtp);
        }
        if Some(index) != self.current && index != chosen {
            // Nobody listens: when somebody does, it begins with a keyframe.
            encoding.reorder = Reorder::default();
            encoding.assembler.restart();
            return;
        }
        encoding.reorder.push(now, incoming.packet);
        self.drain(now, wall, index);
        if index == chosen {
            self.wish(now, index);
        }
    }

    /// Takes what a sender report of this encoding says (RFC 3550 §6.4.1).
    pub fn handle_report(&mut self, now: Instant, wall: &mut SenderWall, report: SenderReport) {
        if let Some(Some(encoding)) = self.encodings.get_mut(usize::from(report.encoding)) {
            encoding.clock.on_report(wall, now, report.ntp, report.rtp);
        }
    }

    /// Gives up what was waited for too long.
    pub fn handle_timeout(&mut self, now: Instant, wall: &SenderWall) {
        for index in 0..MAX_ENCODINGS {
            self.drain(now, wall, index);
        }
    }

    /// The next output; [`Output::Timeout`] when there is none.
    pub fn poll_output(&mut self) -> Output {
        self.outputs.pop_front().unwrap_or_else(|| {
            let due = self
                .encodings
                .iter()
                .flatten()
                .filter_map(|encoding| encoding.reorder.next_timeout());
            Output::Timeout(due.min())
        })
    }

    /// What became of the packets.
    #[must_use]
    pub fn stats(&self) -> InputStats {
        let lost = self.encodings.iter().flatten().map(|encoding| encoding.reorder.lost);
        InputStats {
            lost: self.stats.lost + lost.sum::<u64>(),
            ..self.stats
        }
    }

    /// The encoding that is recorded.
    #[must_use]
    pub fn current(&self) -> Option<u8> {
        self.current.and_then(|current| u8::try_from(current).ok())
    }

    /// Makes room for a new SSRC or another codec.
    fn note_stream(&mut self, now: Instant, index: usize, incoming: &Incoming) {
        let ssrc = incoming.packet.view().ssrc();
        let slot = &mut self.encodings[index];
        match slot {
            Some(encoding) if encoding.ssrc == ssrc => {
                if encoding.assembler.codec() != incoming.codec {
                    encoding.assembler = Assembler::new(incoming.codec);
                    if encoding.clock.rate() != incoming.codec.clock_rate() {
                        encoding.clock = MediaClock::new(incoming.codec.clock_rate());
                    }
                }
            }
            _ => {
                self.stats.lost += slot.as_ref().map_or(0, |before| before.reorder.lost);
                *slot = Some(Box::new(Encoding::new(now, ssrc, incoming.codec)));
            }
        }
    }

    /// The best encoding that packets come for; the one that is recorded when none do.
    fn chosen(&self, now: Instant) -> usize {
        let live = |encoding: &Encoding| now.saturating_duration_since(encoding.last_arrival) < STOPPED;
        let best = self
            .encodings
            .iter()
            .rposition(|slot| slot.as_ref().is_some_and(|encoding| live(encoding)));
        best.or(self.current).unwrap_or(0)
    }

    fn drain(&mut self, now: Instant, wall: &SenderWall, index: usize) {
        while let Some(encoding) = &mut self.encodings[index]
            && let Some(ordered) = encoding.reorder.pop(now)
        {
            for frame in encoding.assembler.push(&ordered).into_iter().flatten() {
                self.on_frame(wall, index, frame);
            }
        }
    }

    fn on_frame(&mut self, wall: &SenderWall, index: usize, frame: Assembled) {
        let Some(encoding) = &mut self.encodings[index] else {
            return;
        };
        let timestamp = RtpTime(frame.timestamp);
        let same = |last: &Last| last.encoding == index && last.ssrc == encoding.ssrc;
        let target = encoding.clock.target(wall, frame.arrival, timestamp);
        let elapsed = self
            .last
            .filter(same)
            .map(|last| encoding.clock.elapsed(last.timestamp, timestamp));
        let Some(at) = self.slew.place(wall.origin(), frame.arrival, target, elapsed) else {
            self.stats.misplaced += 1;
            encoding.assembler.restart();
            return;
        };
        if self.current != Some(index) {
            if let Some(Some(before)) = self.current.map(|before| &mut self.encodings[before]) {
                before.assembler.restart();
            }
            self.current = Some(index);
        }
        self.tell_format(index, frame.format);
        self.tell_break(at, frame.after_loss);
        self.last = self.encodings[index].as_ref().map(|encoding| Last {
            encoding: index,
            ssrc: encoding.ssrc,
            timestamp,
            at,
            duration: frame.duration.unwrap_or_default(),
        });
        self.stats.frames += 1;
        self.tell(Output::Frame(Frame {
            at,
            keyframe: frame.keyframe,
            duration: frame.duration,
            data: frame.data,
        }));
    }

    /// An assembler tells the changes of its own stream; here they are those of the track.
    fn tell_format(&mut self, index: usize, changed: Option<TrackFormat>) {
        let switched = self.last.is_none_or(|last| last.encoding != index);
        let own = self.encodings[index]
            .as_ref()
            .and_then(|encoding| encoding.assembler.format());
        let format = changed.or_else(|| own.filter(|_| switched).cloned());
        if let Some(format) = format.filter(|format| self.format.as_ref() != Some(format)) {
            self.format = Some(format.clone());
            self.tell(Output::Format(format));
        }
    }

    fn tell_break(&mut self, at: MediaTime, after_loss: bool) {
        let Some(last) = self.last else { return };
        let from = last.at.plus(last.duration).min(at);
        let cause = if after_loss {
            BreakCause::Loss
        } else if at.since(from) >= PAUSE {
            BreakCause::Pause
        } else {
            return;
        };
        self.tell(Output::Break(Break { from, until: at, cause }));
    }

    fn wish(&mut self, now: Instant, index: usize) {
        let Some(encoding) = &mut self.encodings[index] else {
            return;
        };
        if !encoding.assembler.waits_for_keyframe() {
            encoding.wished = None;
            return;
        }
        if encoding
            .wished
            .is_some_and(|wished| now.saturating_duration_since(wished) < REPEAT_WISH)
        {
            return;
        }
        encoding.wished = Some(now);
        let encoding = u8::try_from(index).unwrap_or(u8::MAX);
        self.tell(Output::WantKeyframe { encoding });
    }

    fn tell(&mut self, output: Output) {
        if self.outputs.len() >= MAX_OUTPUTS {
            self.stats.overflow += 1;
            // What refers to a picture that is dropped here must not follow it.
            let encodings = self.encodings.iter_mut().flatten();
            encodings.for_each(|encoding| encoding.assembler.tear());
            return;
        }
        self.outputs.push_back(output);
    }
}

/// What a sender report says of one encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderReport {
    /// Which.
    pub encoding: u8,
    /// The sender's wall clock.
    pub ntp: NtpTime,
    /// Its media clock at the same moment.
    pub rtp: RtpTime,
}

/// The time of capture that a packet carries, on its sender's clock (absolute capture time extension).
fn captured(packet: &Packet, id: u8) -> Option<(NtpTime, RtpTime)> {
    let view = packet.view();
    let time = view.extension(id)?.first_chunk::<8>()?;
    Some((NtpTime(u64::from_be_bytes(*time)), RtpTime(view.timestamp())))
}

#[cfg(test)]
mod tests;
