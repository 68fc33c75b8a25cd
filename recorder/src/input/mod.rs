//! From the RTP packets of one track to its frames, in order, whole, and in their place in time.
//!
//! ```text
//!  handle_packet ─► reorder ─► assemble ─► timeline ─► poll_output: formats, breaks, frames, wishes for keyframes
//!  handle_report ─► media clock ──────────────┘
//! ```
//!
//! RFC 3550; RFC 7741 (VP8), RFC 9628 (VP9), RFC 6184 (H.264), the AV1 RTP specification, RFC 7587 (Opus).
//!
//! * The stream comes repaired, as the router gives it to a subscriber: retransmissions unwrapped, duplicates gone, one
//!   encoding of simulcast at a time, left at a keyframe of another. Holes are waited for, [`reorder::MAX_WAIT`] at most.
//! * Pictures begin with a keyframe, and again after a loss that others refer to; [`Output::WantKeyframe`] asks for one.
//! * Another SSRC, another codec, another size: the track goes on, with a [`Output::Format`] before the frame that needs it.
//! * What is missing is told from what was not sent: [`Break`].
//!
//! Not here: decryption, loss detection and choice of layers (the router's), files. End-to-end encrypted payloads pass as
//! they are: what is written can be played by nobody without the key.

mod assemble;
mod av1;
mod bits;
mod depacketize;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod h264;
mod layers;
pub mod reorder;
mod vp8;
mod vp9;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

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
/// The first frames of a stream are held so long, unless its clock is known before: only then can be told how late the first
/// of them came. Less than what a crash may cost.
pub const SETTLE: Duration = Duration::from_millis(500);
/// Bytes that are held meanwhile, at most, and frames.
const MAX_HELD: (usize, usize) = (MAX_FRAME, 300);
/// A silence of at least this is told.
pub const PAUSE: Duration = Duration::from_secs(1);

/// One track of one person.
#[derive(Debug)]
pub struct Input {
    kind: MediaKind,
    capture_time: Option<u8>,
    descriptor: Option<u8>,
    stream: Option<Box<Stream>>,
    slew: Slew,
    last: Option<Last>,
    format: Option<TrackFormat>,
    outputs: VecDeque<Output>,
    stats: InputStats,
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
    /// Nothing can be written before a keyframe: ask for one. Repeated every second while packets come.
    WantKeyframe,
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
    /// Packets that never came.
    pub lost: u64,
    /// Frames from before the beginning, or faster than time.
    pub misplaced: u64,
    /// Outputs that nobody polled for.
    pub overflow: u64,
}

/// One SSRC.
#[derive(Debug)]
struct Stream {
    ssrc: Ssrc,
    reorder: Reorder,
    assembler: Assembler,
    clock: MediaClock,
    wished: Option<Instant>,
    /// Until then frames are held, if the clock is not known before; `None`: it is.
    settles: Option<Instant>,
    held: VecDeque<Assembled>,
    held_bytes: usize,
}

/// The frame before.
#[derive(Debug, Clone, Copy)]
struct Last {
    ssrc: Ssrc,
    timestamp: RtpTime,
    at: MediaTime,
    duration: Duration,
}

impl Stream {
    fn new(now: Instant, ssrc: Ssrc, codec: Codec, descriptor: Option<u8>) -> Self {
        Self {
            ssrc,
            reorder: Reorder::default(),
            assembler: Assembler::new(codec, descriptor),
            clock: MediaClock::new(codec.clock_rate()),
            wished: None,
            settles: Some(now + SETTLE),
            held: VecDeque::new(),
            held_bytes: 0,
        }
    }

    /// A frame is left out, and so is all that may refer to it.
    fn restart(&mut self, tell: bool) {
        while let Some(frame) = self.held.front()
            && !frame.keyframe
        {
            self.held_bytes -= frame.data.len();
            self.held.pop_front();
        }
        match self.held.front_mut() {
            Some(next) => next.after_loss |= tell,
            None if tell => self.assembler.tear(),
            None => self.assembler.restart(),
        }
    }

    /// The next frame that need not wait for the clock any more.
    fn release(&mut self, now: Instant, wall: &SenderWall) -> Option<Assembled> {
        let full = self.held_bytes > MAX_HELD.0 || self.held.len() > MAX_HELD.1;
        if self.settles.is_some_and(|at| now < at) && !full && !self.clock.is_settled(wall, now) {
            return None;
        }
        self.settles = None;
        let frame = self.held.pop_front()?;
        self.held_bytes -= frame.data.len();
        Some(frame)
    }
}

impl Input {
    /// A track that nothing has come of. `extensions`: the ids that its packets use.
    #[must_use]
    pub fn new(kind: MediaKind, extensions: &ExtensionMap) -> Self {
        Self {
            kind,
            capture_time: extensions.id(Extension::AbsCaptureTime),
            descriptor: extensions.id(Extension::DependencyDescriptor),
            stream: None,
            slew: Slew::new(),
            last: None,
            format: None,
            outputs: VecDeque::new(),
            stats: InputStats::default(),
        }
    }

    /// Takes a packet that came at `now`, in `codec` by its payload type; one of the other kind is dropped. `wall` is the
    /// clock of the person whose track it is.
    pub fn handle_packet(&mut self, now: Instant, wall: &mut SenderWall, codec: Codec, packet: Packet) {
        if codec.kind() != self.kind {
            return;
        }
        self.stats.packets += 1;
        let captured = self.capture_time.and_then(|id| captured(&packet, id));
        let (ssrc, rtp) = (packet.view().ssrc(), RtpTime(packet.view().timestamp()));
        if self.stream.as_ref().is_some_and(|stream| stream.ssrc != ssrc) {
            self.finish(now, wall);
        }
        let stream = self.stream_of(now, ssrc, codec);
        if let Some((ntp, rtp)) = captured {
            stream.clock.on_capture_time(wall, now, ntp, rtp);
        }
        // One that was overtaken came later than it could, by any time: what was lost before a mute is missed when that ends.
        if stream.reorder.push(now, packet) {
            stream.clock.on_arrival(wall, now, rtp);
        }
        self.drain(now, wall);
        self.wish(now);
    }

    /// Takes what a sender report says: at `ntp` the stream's media clock showed `rtp` (RFC 3550 §6.4.1).
    pub fn handle_report(&mut self, now: Instant, wall: &mut SenderWall, ntp: NtpTime, rtp: RtpTime) {
        if let Some(stream) = &mut self.stream {
            stream.clock.on_report(wall, now, ntp, rtp);
        }
    }

    /// Gives up what was waited for too long. Packets that came before `now` must have been handed over.
    pub fn handle_timeout(&mut self, now: Instant, wall: &SenderWall) {
        self.drain(now, wall);
    }

    /// Nothing more will come of the stream: gives all that was waiting.
    pub fn finish(&mut self, now: Instant, wall: &SenderWall) {
        self.drain(now + SETTLE.max(reorder::MAX_WAIT), wall);
    }

    /// The next output; [`Output::Timeout`] when there is none.
    pub fn poll_output(&mut self) -> Output {
        self.outputs
            .pop_front()
            .unwrap_or_else(|| Output::Timeout(self.next_timeout()))
    }

    /// When [`Self::handle_timeout`] has something to do.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        let stream = self.stream.as_ref()?;
        let settles = stream.settles.filter(|_| !stream.held.is_empty());
        [stream.reorder.next_timeout(), settles].into_iter().flatten().min()
    }

    /// What became of the packets.
    #[must_use]
    pub fn stats(&self) -> InputStats {
        let lost = self.stream.as_ref().map_or(0, |stream| stream.reorder.lost);
        InputStats {
            lost: self.stats.lost + lost,
            ..self.stats
        }
    }

    /// The stream of a packet: made anew for another SSRC, its assembler for another codec.
    fn stream_of(&mut self, now: Instant, ssrc: Ssrc, codec: Codec) -> &mut Stream {
        let known = self.stream.take().filter(|stream| {
            let same = stream.ssrc == ssrc;
            self.stats.lost += if same { 0 } else { stream.reorder.lost };
            same
        });
        let stream = self
            .stream
            .insert(known.unwrap_or_else(|| Box::new(Stream::new(now, ssrc, codec, self.descriptor))));
        if stream.assembler.codec() != codec {
            stream.assembler = Assembler::new(codec, self.descriptor);
            if stream.clock.rate() != codec.clock_rate() {
                stream.clock = MediaClock::new(codec.clock_rate());
            }
        }
        stream
    }

    fn drain(&mut self, now: Instant, wall: &SenderWall) {
        while let Some(stream) = &mut self.stream
            && let Some(ordered) = stream.reorder.pop(now)
        {
            if let Some(frame) = stream.assembler.push(&ordered) {
                stream.held_bytes += frame.data.len();
                stream.held.push_back(frame);
            }
            self.release(now, wall);
        }
        self.release(now, wall);
    }

    fn release(&mut self, now: Instant, wall: &SenderWall) {
        while let Some(frame) = self.stream.as_mut().and_then(|stream| stream.release(now, wall)) {
            self.on_frame(wall, frame);
        }
    }

    fn on_frame(&mut self, wall: &SenderWall, frame: Assembled) {
        let Some(stream) = &mut self.stream else { return };
        let (ssrc, timestamp) = (stream.ssrc, RtpTime(frame.timestamp));
        let target = stream.clock.target(wall, timestamp);
        let last = self.last.filter(|last| last.ssrc == ssrc);
        let elapsed = last.map(|last| stream.clock.elapsed(last.timestamp, timestamp));
        let at = self.slew.place(wall.origin(), frame.arrival, target, elapsed);
        if at.is_none() {
            self.stats.misplaced += 1;
            stream.restart(false);
        }
        // Also of a frame that has no place: that of sound is told once.
        if let Some(format) = frame.format
            && self.format.as_ref() != Some(&format)
        {
            self.format = Some(format.clone());
            self.tell(Output::Format(format));
        }
        let Some(at) = at else { return };
        self.tell_break(at, frame.after_loss);
        self.last = Some(Last {
            ssrc,
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

    fn wish(&mut self, now: Instant) {
        let Some(stream) = &mut self.stream else { return };
        if !stream.assembler.waits_for_keyframe() {
            stream.wished = None;
            return;
        }
        let waited = |wished| now.saturating_duration_since(wished) >= REPEAT_WISH;
        if stream.wished.is_none_or(waited) {
            stream.wished = Some(now);
            self.tell(Output::WantKeyframe);
        }
    }

    fn tell(&mut self, output: Output) {
        if self.outputs.len() >= MAX_OUTPUTS {
            self.stats.overflow += 1;
            // What refers to a picture that is dropped here must not follow it.
            if let Some(stream) = &mut self.stream {
                stream.restart(true);
            }
            return;
        }
        self.outputs.push_back(output);
    }
}

/// The time of capture that a packet carries, on its sender's clock (absolute capture time extension).
fn captured(packet: &Packet, id: u8) -> Option<(NtpTime, RtpTime)> {
    let view = packet.view();
    let time = view.extension(id)?.first_chunk::<8>()?;
    Some((NtpTime(u64::from_be_bytes(*time)), RtpTime(view.timestamp())))
}

#[cfg(test)]
mod tests;
