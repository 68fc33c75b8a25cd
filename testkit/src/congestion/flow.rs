//! One peer that is sent voice and video by the estimator and the pacer, and reports what it gets.
//!
//! ```text
//!  Source ─► lanes ─► Pacer ─► shared Link ─► Receiver
//!               ▲                                │ transport-wide feedback, real bytes
//!               └──── Estimator ◄── own Link ◄───┘
//! ```

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use althing_media_core::Ssrc;
use althing_media_core::estimate::{Estimator, Limits};
use althing_media_core::receive::arrival::Arrivals;
use althing_media_core::rtcp::transport_cc::{self, Feedback};
use althing_media_core::rtcp::{self, Bitrate, Message};
use althing_media_core::send::Pacer;

use super::source::{Source, Wanted, voice_rate};
use crate::network::{Link, LinkConfig, OVERHEAD};
use crate::rng::Rng;

/// An encoder skips pictures when what waits would take longer than this.
const LATE: Duration = Duration::from_millis(200);
/// Length of a datagram of padding.
const PADDING: usize = 275;
/// Bytes of [`Datagram`].
pub const HEADER: usize = 16;

/// The first bytes of every datagram on the shared link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram {
    /// Whose.
    pub flow: u16,
    /// What.
    pub kind: Kind,
    /// Number within the flow.
    pub seq: u16,
    /// When it was made, in µs.
    pub made: u64,
}

/// What a datagram carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// Voice.
    Voice,
    /// Pictures.
    Video,
    /// Nothing: sent to probe the link.
    Padding,
    /// A segment of a flow that is none of ours.
    Segment,
}

impl Datagram {
    /// As bytes, filled up to `len`.
    #[must_use]
    pub fn write(&self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len.max(HEADER)];
        bytes[..2].copy_from_slice(&self.flow.to_be_bytes());
        bytes[2] = self.kind as u8;
        bytes[4..6].copy_from_slice(&self.seq.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.made.to_be_bytes());
        bytes
    }

    /// From bytes.
    ///
    /// # Panics
    /// When [`Self::write`] did not make them.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let kind = [Kind::Voice, Kind::Video, Kind::Padding, Kind::Segment][usize::from(bytes[2])];
        let number = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        Self {
            flow: number(0),
            kind,
            seq: number(4),
            made: u64::from_be_bytes(*bytes[8..].first_chunk().expect("a whole header")),
        }
    }
}

/// A sender and its receiver.
#[derive(Debug)]
pub struct Flow {
    id: u16,
    epoch: Instant,
    source: Source,
    estimator: Estimator,
    pacer: Pacer,
    next_burst: Option<Instant>,
    voice: VecDeque<(Instant, usize)>,
    video: VecDeque<(Instant, usize)>,
    waiting: usize,
    seq: u16,
    arrivals: Arrivals,
    back: Link,
    counts: Counts,
}

/// What has happened since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Bytes sent, on the wire.
    pub sent: u64,
    /// Of them, padding.
    pub padding: u64,
    /// Bytes of voice and video that arrived, on the wire.
    pub arrived: u64,
    /// Packets of voice that were made.
    pub voice_made: u64,
    /// And that arrived.
    pub voice_arrived: u64,
}

impl Flow {
    /// A flow that begins at `now`; `back` is the way of the feedback.
    #[must_use]
    pub fn new(now: Instant, id: u16, mut rng: Rng, most: u64, back: LinkConfig) -> Self {
        let mut estimator = Estimator::new(now, Limits::default());
        let source = Source::new(now, rng.fork(), most);
        estimator.set_wanted(now, Bitrate(source.wanted()));
        Self {
            id,
            epoch: now,
            source,
            estimator,
            pacer: Pacer::default(),
            next_burst: None,
            voice: VecDeque::new(),
            video: VecDeque::new(),
            waiting: 0,
            seq: 0,
            arrivals: Arrivals::new(now),
            back: Link::new(rng.next_u64(), back),
            counts: Counts::default(),
        }
    }

    /// The camera wants at most so much.
    pub fn set_most(&mut self, now: Instant, most: u64) {
        self.source.set_most(most);
        self.estimator.set_wanted(now, Bitrate(self.source.wanted()));
    }

    /// What it may send, in bits per second.
    #[must_use]
    pub fn target(&self) -> u64 {
        self.estimator.target().0
    }

    /// What has happened since the last call.
    pub fn take_counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    /// When it wants to be called.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        [
            Some(self.source.next_timeout()),
            self.next_burst,
            self.arrivals.next_timeout(),
            self.back.next_timeout(),
            self.estimator.next_timeout(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// A datagram of this flow has arrived.
    pub fn on_arrival(&mut self, now: Instant, datagram: &Datagram, len: usize) {
        self.arrivals.on_packet(now, datagram.seq);
        if datagram.kind != Kind::Padding {
            self.counts.arrived += (len + OVERHEAD) as u64;
        }
        self.counts.voice_arrived += u64::from(datagram.kind == Kind::Voice);
    }

    /// Does what is due; what goes out is given to `send`.
    pub fn handle_timeout(&mut self, now: Instant, send: impl FnMut(Vec<u8>)) {
        self.report(now);
        self.estimator.handle_timeout(now);
        let target = self.estimator.target();
        let late = Duration::from_secs_f64(self.waiting as f64 * 8.0 / target.0 as f64) > LATE;
        let mut made = Vec::new();
        self.estimator.set_bare(target.0 <= voice_rate());
        self.source.make(now, target.0, late, |wanted| made.push(wanted));
        for Wanted { len, voice } in made {
            self.counts.voice_made += u64::from(voice);
            self.waiting += len + OVERHEAD;
            let lane = if voice { &mut self.voice } else { &mut self.video };
            lane.push_back((now, len));
        }
        self.send(now, send);
    }

    /// Feedback goes back, and is taken where it has arrived.
    fn report(&mut self, now: Instant) {
        if self.arrivals.next_timeout().is_some_and(|due| due <= now) {
            let mut buf = [0; 1200];
            let (base_seq, feedback_count, arrivals) = self.arrivals.pending();
            let (sender, media) = (Ssrc(1), Ssrc(2));
            let feedback = Feedback {
                sender,
                media,
                base_seq,
                feedback_count,
            };
            let written = transport_cc::write(&mut buf, &feedback, arrivals);
            self.arrivals
                .reported(written.map_or(0, |written| written.packets.into()));
            if let Some(written) = written {
                self.back.handle_input(now, buf[..written.len].to_vec());
            }
        }
        while let Some(bytes) = self.back.poll_output(now) {
            for message in rtcp::messages(&bytes) {
                if let Ok(Message::TransportCc(feedback)) = message {
                    self.estimator.on_feedback(now, &feedback);
                }
            }
        }
    }

    fn send(&mut self, now: Instant, mut send: impl FnMut(Vec<u8>)) {
        self.next_burst = None;
        loop {
            let pacing = self.estimator.pacing(now);
            if self.voice.is_empty() && self.video.is_empty() && !pacing.probed {
                return;
            }
            if let Err(next) = self.pacer.ready(now, pacing.burst) {
                self.next_burst = Some(next);
                return;
            }
            let lanes = [(&mut self.voice, Kind::Voice), (&mut self.video, Kind::Video)];
            let queued = lanes
                .into_iter()
                .find_map(|(lane, kind)| lane.pop_front().map(|(made, len)| (made, len, kind)));
            if let Some((_, len, _)) = queued {
                self.waiting -= len + OVERHEAD;
            }
            let padding = pacing.probed.then_some((now, PADDING, Kind::Padding));
            let Some((made, len, kind)) = queued.or(padding) else {
                return;
            };
            let datagram = Datagram {
                flow: self.id,
                kind,
                seq: self.seq,
                made: u64::try_from((made - self.epoch).as_micros()).unwrap_or(u64::MAX),
            };
            self.seq = self.seq.wrapping_add(1);
            self.estimator.on_sent(now, datagram.seq, len);
            self.pacer.on_sent(now, len + OVERHEAD, pacing.rate);
            self.counts.sent += (len + OVERHEAD) as u64;
            if kind == Kind::Padding {
                self.counts.padding += (len + OVERHEAD) as u64;
            }
            send(datagram.write(len));
        }
    }
}
