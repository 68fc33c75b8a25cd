//! One encoded stream from a publisher (RFC 7656 §2.1.7): an SSRC, and what has come of it.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::fec::Recovery;
use crate::fec::recovery::Known;
use crate::forward::Meta;
use crate::packet::{Extension, ExtensionMap, Packet, SeqExtender, SeqNo, Ssrc};
use crate::payload::{self, Codec, DependencyState, MediaKind};
use crate::receive::history::{self, History, Received};
use crate::receive::keyframe::KeyframeRequest;
use crate::receive::loss::{self, Arrival, LossDetector};
use crate::receive::meter::Meter;
use crate::receive::report::Reception;
use crate::time::RtpTime;

/// A stream is taken for stopped when nothing came for five times its usual interval, within these bounds.
const STALL: (Duration, Duration) = (Duration::from_millis(350), Duration::from_secs(3));
/// The interval that is assumed before one was measured.
const INITIAL_INTERVAL: Duration = Duration::from_millis(66);

/// How a packet has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// As it was sent.
    Sent,
    /// Sent again in a stream of its own (RFC 4588), with other extensions.
    Again,
    /// Out of others (RFC 2198, FEC): its arrival says nothing about the network.
    Redundancy,
}

/// One encoded stream.
#[derive(Debug)]
pub struct Stream {
    ssrc: Option<Ssrc>,
    rtx: Option<Ssrc>,
    fec: Option<Ssrc>,
    clock_rate: u32,
    extender: SeqExtender,
    /// Missing packets.
    pub loss: LossDetector,
    /// Statistics and the sender's clock.
    pub reception: Reception,
    /// How much it takes.
    pub meter: Meter,
    /// The last packets.
    pub history: History,
    /// Wishes for a keyframe.
    pub keyframe: KeyframeRequest,
    /// The structure that the stream's dependency descriptors refer to.
    dependency: DependencyState,
    /// The first packet of the last keyframe, and its timestamp.
    last_keyframe: Option<(SeqNo, RtpTime)>,
    /// Up to here nothing is shown to anybody any more.
    hidden: Option<SeqNo>,
    last_frame: Option<(RtpTime, Instant)>,
    interval: Duration,
    nack: bool,
    kind: MediaKind,
    /// FEC packets that wait, once some have come.
    recovery: Option<Box<Recovery>>,
}

impl Stream {
    /// A stream that may come; `nack`: ask for what is lost.
    #[must_use]
    pub fn new(kind: MediaKind, clock_rate: u32, nack: bool) -> Self {
        let capacity = if kind == MediaKind::Audio {
            history::AUDIO
        } else {
            history::VIDEO
        };
        Self {
            ssrc: None,
            rtx: None,
            fec: None,
            clock_rate,
            extender: SeqExtender::default(),
            loss: LossDetector::new(nack.then_some(match kind {
                MediaKind::Audio => loss::SOUND,
                MediaKind::Video => loss::PICTURES,
            })),
            reception: Reception::new(clock_rate),
            meter: Meter::default(),
            history: History::new(capacity),
            keyframe: KeyframeRequest::default(),
            dependency: DependencyState::default(),
            last_keyframe: None,
            hidden: None,
            last_frame: None,
            interval: INITIAL_INTERVAL,
            nack,
            kind,
            recovery: None,
        }
    }

    /// The structure that its dependency descriptors refer to.
    #[must_use]
    pub fn dependency(&self) -> &DependencyState {
        &self.dependency
    }

    /// Its SSRC, once known.
    #[must_use]
    pub fn ssrc(&self) -> Option<Ssrc> {
        self.ssrc
    }

    /// The SSRC of its retransmissions, once known.
    #[must_use]
    pub fn rtx(&self) -> Option<Ssrc> {
        self.rtx
    }

    /// Media clock in Hz.
    #[must_use]
    pub fn clock_rate(&self) -> u32 {
        self.clock_rate
    }

    /// Learns the SSRC of the retransmissions; gives the one before.
    pub fn set_rtx(&mut self, rtx: Ssrc) -> Option<Ssrc> {
        self.rtx.replace(rtx)
    }

    /// Learns the SSRC of FEC over it; gives the one before.
    pub fn set_fec(&mut self, fec: Ssrc) -> Option<Ssrc> {
        self.fec.replace(fec)
    }

    /// Learns its SSRC. Another one than before is another stream: all that was known of the old one is forgotten.
    /// Gives the SSRCs of the old one and of what repairs it; none if that is not so.
    pub fn set_ssrc(&mut self, ssrc: Ssrc) -> [Option<Ssrc>; 3] {
        let mut before = [None; 3];
        if self.ssrc.is_some_and(|before| before != ssrc) {
            before = [self.ssrc, self.rtx, self.fec];
            *self = Self::new(self.kind, self.clock_rate, self.nack);
        }
        self.ssrc = Some(ssrc);
        before
    }

    /// The stream has ended (BYE); its SSRC may come back.
    pub fn end(&mut self) {
        self.last_frame = None;
    }

    /// Whether the packet that has the number `wire`, near the last ones, has not come and would still be taken.
    #[must_use]
    pub fn lacks(&self, wire: u16) -> bool {
        self.loss.lacks(self.extender.peek(wire))
    }

    /// Takes the payload of an FEC packet over this stream, before [`Self::mend`]; whether it is one.
    pub fn on_fec(&mut self, now: Instant, payload: Bytes) -> bool {
        let Some(ssrc) = self.ssrc else { return false };
        let recovery = self.recovery.get_or_insert_default();
        recovery.on_fec(now, payload, ssrc, |wire| self.extender.peek(wire))
    }

    /// Lets go of all that came before `limit` and nobody will ask for.
    pub fn expire(&mut self, limit: Instant) {
        self.history.expire(limit);
        if let Some(recovery) = &mut self.recovery {
            recovery.expire(limit);
        }
    }

    /// Whether FEC packets wait for more of what they protect.
    #[must_use]
    #[inline]
    pub fn awaits_repair(&self) -> bool {
        self.recovery.as_ref().is_some_and(|recovery| recovery.waiting() > 0)
    }

    /// The packet `come` has come, or an FEC packet: the number and the length of a packet that was lost and can be made now.
    pub fn mend(&mut self, come: Option<SeqNo>, extensions: &ExtensionMap) -> Option<(SeqNo, usize)> {
        let (history, loss) = (&self.history, &self.loss);
        let known = |seq| match history.get(seq) {
            Some(received) if received.exact => Known::Exact(received.packet.view()),
            None if loss.lacks(seq) => Known::Lacking,
            _ => Known::Otherwise,
        };
        let recovery = self.recovery.as_mut()?;
        let made = recovery.recover(come, extensions, known)?;
        Some((made, recovery.made()))
    }

    /// Writes the packet that [`Self::mend`] has given into `out`, which has its length.
    pub fn write_mended(&self, seq: SeqNo, out: &mut [u8]) {
        if let (Some(recovery), Some(ssrc)) = (&self.recovery, self.ssrc) {
            recovery.write(ssrc, seq, out);
        }
    }

    /// Takes a packet of this stream, or one that came inside another; `None` for a duplicate.
    pub fn on_packet(
        &mut self,
        now: Instant,
        packet: Packet,
        (codec, extensions): (Codec, &ExtensionMap),
        (encoding, origin): (u8, Origin),
    ) -> Option<Meta> {
        let view = packet.view();
        let seq = self.extender.extend(view.seq());
        if origin == Origin::Redundancy {
            self.loss.unask(seq);
        }
        let arrival = self.loss.on_packet(now, seq);
        if arrival == Arrival::Duplicate {
            return None;
        }
        let timestamp = RtpTime(view.timestamp());
        let in_order = matches!(arrival, Arrival::New { .. }) && origin == Origin::Sent;
        self.reception
            .on_packet(now, seq, timestamp, view.payload().len(), in_order);
        let descriptor = extensions
            .id(Extension::DependencyDescriptor)
            .and_then(|id| view.extension(id));
        let info = payload::peek_with_descriptor(codec, view.payload(), descriptor, &mut self.dependency);
        self.meter.on_packet(now, view.payload().len(), info);
        if info.keyframe && self.kind == MediaKind::Video && !self.is_hidden(seq) {
            self.note_keyframe(seq, timestamp);
        }
        if in_order {
            self.note_interval(now, timestamp);
        }
        let empty = view.payload().is_empty();
        self.history.insert(Received {
            packet,
            seq,
            arrival: now,
            info,
            exact: origin != Origin::Again,
        });
        Some(Meta {
            encoding,
            seq,
            timestamp,
            info,
            empty,
        })
    }

    /// A keyframe may say so in several of its packets; the first one counts.
    fn note_keyframe(&mut self, seq: SeqNo, timestamp: RtpTime) {
        self.keyframe.satisfy();
        match self.last_keyframe {
            Some((first, at)) if at == timestamp => self.last_keyframe = Some((first.min(seq), at)),
            Some((last, _)) if last > seq => {}
            _ => self.last_keyframe = Some((seq, timestamp)),
        }
    }

    fn note_interval(&mut self, now: Instant, timestamp: RtpTime) {
        match self.last_frame {
            Some((last, at)) if last != timestamp => {
                let gap = now.saturating_duration_since(at).min(STALL.1);
                self.interval = (self.interval * 7 + gap) / 8;
                self.last_frame = Some((timestamp, now));
            }
            Some((_, ref mut at)) => *at = now,
            None => self.last_frame = Some((timestamp, now)),
        }
    }

    /// Whether packets keep coming.
    #[must_use]
    pub fn is_live(&self, now: Instant) -> bool {
        let patience = (self.interval * 5).clamp(STALL.0, STALL.1);
        self.last_frame
            .is_some_and(|(_, at)| now.saturating_duration_since(at) <= patience)
    }

    /// What was sent until now is shown to nobody any more, not even what comes late: the next picture for anybody is a
    /// new one.
    pub fn hide_the_past(&mut self) {
        self.last_keyframe = None;
        self.hidden = self.extender.highest();
    }

    /// Whether the packet with this number was sent before [`Self::hide_the_past`].
    #[must_use]
    #[inline]
    pub fn is_hidden(&self, seq: SeqNo) -> bool {
        self.hidden.is_some_and(|hidden| seq <= hidden)
    }

    /// The highest number received.
    #[must_use]
    pub fn highest(&self) -> Option<SeqNo> {
        self.extender.highest()
    }

    /// The first packet of the last keyframe and the last packet of all.
    #[must_use]
    pub fn since_keyframe(&self) -> Option<(SeqNo, SeqNo)> {
        Some((self.last_keyframe?.0, self.extender.highest()?))
    }
}
