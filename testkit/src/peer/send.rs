//! One outgoing track of a peer: packets from frames, names until they are known, retransmissions, keyframes on demand,
//! sender reports.
//!
//! RFC 3550 §5, §6.4.1, RFC 4588 (RTX), RFC 8852 (RID), RFC 9143 (MID), RFC 7741, RFC 7587. It does not pace and does
//! not listen to any estimate of bandwidth.

use std::collections::VecDeque;
use std::time::Instant;

use althing_media_core::config::{MAX_ENCODINGS, TrackConfig};
use althing_media_core::packet::extension::ExtensionMap;
use althing_media_core::packet::{Extension, Mid, Rid, RtpWriter, Ssrc};
use althing_media_core::rtcp::{SenderInfo, sdes, sr};
use althing_media_core::time::{RtpTime, WallClock};
use althing_media_core::{CodecParams, MediaKind, StreamIds};

use super::body::{Body, MIN_BODY};
use super::fec;
use super::red;
use super::source::{Beat, Frame, FrameSource, Pattern};
use super::vp8::Vp8;
use crate::rng::Rng;

/// Packets kept for retransmission, of each encoding.
const HISTORY: usize = 1024;
/// Packets under one FEC packet.
const FEC_ROW: usize = 3;
/// Largest header and payload that is written.
const MAX_PACKET: usize = 1500;
/// First byte of an Opus payload: 20 ms, stereo, fullband (RFC 6716 §3.1).
const OPUS_TOC: u8 = 0xfc;

/// What a peer sends as one track.
#[derive(Debug, Clone)]
pub struct SendConfig {
    /// The media section; `None` on a plain transport.
    pub mid: Option<Mid>,
    /// VP8 or Opus: what the packets are shaped like follows from `pattern`.
    pub codec: CodecParams,
    /// The ids of the header extensions; those that are not here are not sent.
    pub extensions: ExtensionMap,
    /// How frames come.
    pub pattern: Pattern,
    /// One, or the encodings of simulcast, the lowest first.
    pub encodings: Vec<EncodingConfig>,
    /// The RTCP CNAME.
    pub cname: String,
}

/// One encoding.
#[derive(Debug, Clone, Copy)]
pub struct EncodingConfig {
    /// Its name, with simulcast.
    pub rid: Option<Rid>,
    /// Its SSRCs.
    pub stream: StreamIds,
}

impl SendConfig {
    /// What the router has to be told about this track: with SSRCs when there are no names to tell streams by.
    #[must_use]
    pub fn track(&self) -> TrackConfig {
        let named = self.extensions.id(Extension::Mid).is_some() && self.mid.is_some();
        let encodings = self.encodings.iter().take(MAX_ENCODINGS);
        TrackConfig {
            mid: self.mid,
            kind: self.codec.codec.kind(),
            codecs: vec![self.codec],
            extensions: self.extensions,
            rids: encodings.clone().filter_map(|encoding| encoding.rid).collect(),
            streams: if named {
                <_>::default()
            } else {
                encodings.map(|encoding| encoding.stream).collect()
            },
            nack: self.codec.rtx.is_some() || self.codec.codec.kind() == MediaKind::Audio,
            transport_cc: self.extensions.id(Extension::TransportCc).is_some(),
            encrypted: false,
        }
    }
}

/// What was sent of one encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SendStats {
    /// Media packets, without retransmissions.
    pub packets: u32,
    /// Their payload bytes.
    pub octets: u32,
    /// Frames.
    pub frames: u32,
    /// Of those, keyframes.
    pub keyframes: u32,
    /// Packets that somebody asked for again.
    pub nacked: u32,
    /// Retransmissions.
    pub retransmitted: u32,
    /// FEC packets.
    pub fec: u32,
    /// Keyframe requests that came.
    pub keyframe_requests: u32,
    /// Report blocks about it that came.
    pub reports: u32,
}

/// Sends one track.
#[derive(Debug)]
pub struct Sender {
    config: SendConfig,
    beat: Beat,
    encodings: Vec<EncodingState>,
    muted: bool,
}

/// A coded frame, cut into payloads by the caller.
#[derive(Debug, Clone, Copy)]
pub struct Payloads<'a> {
    /// When it was captured.
    pub captured: Instant,
    /// One for each packet.
    pub payloads: &'a [Vec<u8>],
}

#[derive(Debug)]
struct EncodingState {
    index: u8,
    config: EncodingConfig,
    source: FrameSource,
    start: Instant,
    next_seq: u16,
    next_rtx_seq: u16,
    timestamp_offset: u32,
    /// How much faster than the computer's clock the device's is, in parts per million.
    drift: i32,
    picture_id: u16,
    tl0_pic_idx: u8,
    active: bool,
    /// Somebody has reported on the retransmissions.
    rtx_known: bool,
    history: VecDeque<Sent>,
    /// Packets that the next FEC packet is over.
    row: Vec<Vec<u8>>,
    next_fec_seq: u16,
    stats: SendStats,
}

#[derive(Debug)]
struct Sent {
    seq: u16,
    marker: bool,
    timestamp: u32,
    payload: Vec<u8>,
    /// The whole packet as it went out, for sound: it is sent again like that.
    packet: Option<Vec<u8>>,
}

impl Sender {
    /// Starts at `now` with a keyframe; the numbers that RFC 3550 wants random come from `rng`.
    #[must_use]
    pub fn new(now: Instant, config: SendConfig, rng: &mut Rng) -> Self {
        let encodings = (0..).zip(&config.encodings).map(|(index, encoding)| EncodingState {
            index,
            config: *encoding,
            source: FrameSource::new(config.pattern, index, rng.fork()),
            start: now,
            next_seq: rng.next_u16(),
            next_rtx_seq: rng.next_u16(),
            timestamp_offset: rng.next_u32(),
            drift: 0,
            picture_id: rng.next_u16() & 0x7fff,
            tl0_pic_idx: u8::try_from(rng.below(256)).unwrap_or(0),
            active: true,
            rtx_known: false,
            history: VecDeque::new(),
            row: Vec::new(),
            next_fec_seq: rng.next_u16(),
            stats: SendStats::default(),
        });
        Self {
            encodings: encodings.collect(),
            beat: Beat::new(now, config.pattern.every()),
            config,
            muted: false,
        }
    }

    /// How it was made.
    #[must_use]
    pub fn config(&self) -> &SendConfig {
        &self.config
    }

    /// What was sent of `encoding`; nothing for one that is not there.
    #[must_use]
    pub fn stats(&self, encoding: usize) -> SendStats {
        self.encodings
            .get(encoding)
            .map(|encoding| encoding.stats)
            .unwrap_or_default()
    }

    /// Stops or starts all frames, as a muted camera does.
    pub fn set_muted(&mut self, muted: bool) {
        self.muted = muted;
    }

    /// The device's clock runs faster than the computer's by so many parts per million. Tell it before anything is sent.
    pub fn set_drift(&mut self, parts: i32) {
        self.encodings.iter_mut().for_each(|encoding| encoding.drift = parts);
    }

    /// Sends a frame that the caller has coded, in the first encoding. Mute the sender first: its own frames would come between.
    pub fn send(&mut self, frame: Payloads<'_>, wire: &mut Wire) {
        let Some(encoding) = self.encodings.first_mut() else {
            return;
        };
        let (clock, video) = (
            self.config.codec.codec.clock_rate(),
            self.config.codec.codec.kind() == MediaKind::Video,
        );
        let timestamp = encoding.timestamp(clock, frame.captured);
        encoding.stats.frames += 1;
        for (index, payload) in frame.payloads.iter().enumerate() {
            let marker = video && index + 1 == frame.payloads.len();
            encoding.emit(&self.config, (timestamp, marker), payload.clone(), wire);
        }
    }

    /// How loud the microphone is from now on, in dB below full scale. Nothing for a camera.
    pub fn set_level(&mut self, minus_dbov: u8) {
        if let Pattern::Audio(audio) = &mut self.config.pattern {
            audio.minus_dbov = minus_dbov;
        }
    }

    /// Stops or starts one encoding, as a browser does when its uplink is too slow. It starts with a keyframe.
    pub fn set_active(&mut self, encoding: usize, active: bool) {
        if let Some(encoding) = self.encodings.get_mut(encoding) {
            encoding.active = active;
            encoding.source.request_keyframe();
        }
    }

    /// The first frame comes now.
    pub fn start(&mut self, now: Instant) {
        self.beat = Beat::new(now, self.config.pattern.every());
    }

    /// When the next frame is due.
    #[must_use]
    pub fn next_timeout(&self) -> Instant {
        self.beat.next_timeout()
    }

    /// Makes the packets of all frames that are due.
    pub fn handle_timeout(&mut self, now: Instant, wire: &mut Wire) {
        loop {
            let due = self.beat.next_timeout();
            let Some(number) = self.beat.take_due(now) else { return };
            if self.muted {
                continue;
            }
            for encoding in self.encodings.iter_mut().filter(|encoding| encoding.active) {
                let frame = encoding.source.next_frame(number);
                encoding.send_frame(&self.config, due, frame, wire);
            }
        }
    }

    /// Somebody misses packets of one of our streams.
    pub fn on_nack(&mut self, media: Ssrc, lost: impl Iterator<Item = u16>, wire: &mut Wire) {
        if let Some(encoding) = self.encodings.iter_mut().find(|e| e.config.stream.ssrc == media) {
            lost.for_each(|seq| encoding.retransmit(&self.config, seq, wire));
        }
    }

    /// Somebody wants a keyframe of one of our streams.
    pub fn on_keyframe_request(&mut self, media: Ssrc) {
        if let Some(encoding) = self.encodings.iter_mut().find(|e| e.config.stream.ssrc == media) {
            encoding.stats.keyframe_requests += 1;
            encoding.source.request_keyframe();
        }
    }

    /// Somebody has received our stream: its names need not be sent any more.
    pub fn on_report(&mut self, media: Ssrc) {
        for encoding in &mut self.encodings {
            encoding.stats.reports += u32::from(encoding.config.stream.ssrc == media);
            encoding.rtx_known |= encoding.config.stream.rtx == Some(media);
        }
    }

    /// Sender reports of all streams that have sent, each with its CNAME.
    pub fn report(&self, now: Instant, wire: &mut Wire) {
        let clock = self.config.codec.codec.clock_rate();
        for encoding in self.encodings.iter().filter(|encoding| encoding.stats.packets > 0) {
            let info = SenderInfo {
                ssrc: encoding.config.stream.ssrc,
                ntp: wire.wall.ntp(now),
                rtp: RtpTime(encoding.timestamp(clock, now)),
                packets: encoding.stats.packets,
                octets: encoding.stats.octets,
            };
            wire.push(|buf| {
                let len = sr::write(buf, &info, &[])?;
                Some(len + sdes::write_cname(buf.get_mut(len..)?, info.ssrc, &self.config.cname)?)
            });
        }
    }
}

impl EncodingState {
    fn timestamp(&self, clock: u32, at: Instant) -> u32 {
        let elapsed = at.saturating_duration_since(self.start);
        let drift = elapsed / 1_000_000 * self.drift.unsigned_abs();
        let units = RtpTime::units(
            if self.drift < 0 {
                elapsed - drift
            } else {
                elapsed + drift
            },
            clock,
        );
        self.timestamp_offset.wrapping_add(units)
    }

    fn send_frame(&mut self, config: &SendConfig, captured: Instant, frame: Frame, wire: &mut Wire) {
        let timestamp = self.timestamp(config.codec.codec.clock_rate(), captured);
        self.stats.frames += 1;
        self.stats.keyframes += u32::from(frame.keyframe);
        self.picture_id = (self.picture_id + 1) & 0x7fff;
        self.tl0_pic_idx = self.tl0_pic_idx.wrapping_add(u8::from(frame.temporal == 0));
        let packet_bytes = match config.pattern {
            Pattern::Video(video) => video.packet_bytes,
            Pattern::Audio(_) => usize::MAX,
        };
        let count = u16::try_from(frame.bytes.div_ceil(packet_bytes).max(1)).unwrap_or(u16::MAX);
        let len = (frame.bytes / usize::from(count)).max(MIN_BODY);
        let captured = u64::try_from((wire.wall.ntp(captured).0 as u128 * 1_000_000) >> 32).unwrap_or(0);
        for index in 0..count {
            let Frame {
                number,
                reference,
                temporal,
                ..
            } = frame;
            let body = Body {
                encoding: self.index,
                temporal,
                frame: number,
                reference,
                index,
                count,
                captured,
            };
            let mut payload = Vec::with_capacity(len + 20);
            if config.codec.codec.kind() == MediaKind::Video {
                let vp8 = Vp8 {
                    start: index == 0,
                    non_reference: frame.non_reference,
                    picture_id: self.picture_id,
                    tl0_pic_idx: self.tl0_pic_idx,
                    tid: temporal,
                    sync: frame.sync,
                    keyframe: frame.keyframe && index == 0,
                };
                vp8.write(&body, len, &mut payload);
            } else {
                payload.push(OPUS_TOC);
                body.write(len, &mut payload);
            }
            let marker = config.codec.codec.kind() == MediaKind::Video && index + 1 == count;
            self.emit(config, (timestamp, marker), payload, wire);
        }
    }

    /// Sends a new packet and keeps it.
    fn emit(&mut self, config: &SendConfig, (timestamp, marker): (u32, bool), payload: Vec<u8>, wire: &mut Wire) {
        let mut sent = Sent {
            seq: self.next_seq,
            marker,
            timestamp,
            payload,
            packet: None,
        };
        self.send(config, &sent, None, wire);
        if config.codec.codec.kind() == MediaKind::Audio {
            sent.packet = wire.last().cloned();
        }
        self.protect(config, &sent, wire);
        self.next_seq = self.next_seq.wrapping_add(1);
        self.stats.packets += 1;
        self.stats.octets += u32::try_from(sent.payload.len()).unwrap_or(0);
        if self.history.len() >= HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(sent);
    }

    /// An FEC packet over each three packets, and over what is left of a picture.
    fn protect(&mut self, config: &SendConfig, sent: &Sent, wire: &mut Wire) {
        let (Some(pt), Some(ssrc)) = (config.codec.fec, self.config.stream.fec) else {
            return;
        };
        self.row.extend(wire.last().cloned());
        if self.row.len() < FEC_ROW && !sent.marker {
            return;
        }
        let payload = fec::payload(&self.row, config.extensions.id(Extension::TransportCc));
        self.row.clear();
        let transport_seq = wire.take_transport_seq();
        wire.push(|buf| {
            let mut writer = RtpWriter::new(buf, pt, false, self.next_fec_seq, sent.timestamp, ssrc);
            for (which, bytes) in [
                (Extension::Mid, config.mid.as_ref().map(|mid| mid.0.as_bytes())),
                (Extension::TransportCc, Some(&transport_seq.to_be_bytes()[..])),
            ] {
                if let (Some(id), Some(bytes)) = (config.extensions.id(which), bytes) {
                    writer.extension(id, bytes);
                }
            }
            writer.payload(&payload);
            writer.finish().map(|(_, len)| len)
        });
        self.next_fec_seq = self.next_fec_seq.wrapping_add(1);
        self.stats.fec += 1;
    }

    fn retransmit(&mut self, config: &SendConfig, seq: u16, wire: &mut Wire) {
        self.stats.nacked += 1;
        let Some(sent) = self.history.iter().find(|sent| sent.seq == seq) else {
            return;
        };
        if let Some(packet) = &sent.packet {
            wire.packets.push_back(packet.clone());
            self.stats.retransmitted += 1;
            return;
        }
        let Some(rtx) = self.config.stream.rtx.zip(config.codec.rtx) else {
            return;
        };
        self.send(config, sent, Some(rtx.0), wire);
        self.next_rtx_seq = self.next_rtx_seq.wrapping_add(1);
        self.stats.retransmitted += 1;
    }

    /// Writes `sent`, as a retransmission on the stream `rtx` if there is one.
    fn send(&self, config: &SendConfig, sent: &Sent, rtx: Option<Ssrc>, wire: &mut Wire) {
        let transport_seq = wire.take_transport_seq();
        // The names of a stream are sent until its own SSRC is known to be known (RFC 8852 §3.3).
        let named = if rtx.is_some() {
            !self.rtx_known
        } else {
            self.stats.reports == 0
        };
        wire.push(|buf| {
            let (pt, seq, ssrc) = match (rtx, config.codec.rtx) {
                (Some(ssrc), Some(pt)) => (pt, self.next_rtx_seq, ssrc),
                _ => (
                    config.codec.red.unwrap_or(config.codec.pt),
                    sent.seq,
                    self.config.stream.ssrc,
                ),
            };
            let mut writer = RtpWriter::new(buf, pt, sent.marker, seq, sent.timestamp, ssrc);
            let mut extension = |which, bytes: &[u8]| {
                if let Some(id) = config.extensions.id(which) {
                    writer.extension(id, bytes);
                }
            };
            if let Some(mid) = config.mid.filter(|_| named) {
                extension(Extension::Mid, mid.0.as_bytes());
            }
            if let Some(rid) = self.config.rid.filter(|_| named) {
                let which = if rtx.is_some() {
                    Extension::RepairedRid
                } else {
                    Extension::Rid
                };
                extension(which, rid.0.as_bytes());
            }
            if let Pattern::Audio(audio) = config.pattern {
                extension(Extension::AudioLevel, &[0x80 | audio.minus_dbov & 0x7f]);
            }
            extension(Extension::TransportCc, &transport_seq.to_be_bytes());
            if rtx.is_some() {
                writer.payload(&sent.seq.to_be_bytes());
            }
            if config.codec.red.is_some() {
                let before = self
                    .history
                    .back()
                    .map(|before| (before.timestamp, before.payload.as_slice()));
                writer.payload(&red::payload(config.codec.pt, (sent.timestamp, &sent.payload), before));
            } else {
                writer.payload(&sent.payload);
            }
            writer.finish().map(|(_, len)| len)
        });
    }
}

/// Plaintext packets on their way out, and what all streams of a peer share.
#[derive(Debug)]
pub struct Wire {
    /// Our wall clock.
    pub wall: WallClock,
    packets: VecDeque<Vec<u8>>,
    transport_seq: u16,
}

impl Wire {
    /// Nothing on its way.
    #[must_use]
    pub fn new(wall: WallClock) -> Self {
        Self {
            wall,
            packets: VecDeque::new(),
            transport_seq: 0,
        }
    }

    /// Adds what `write` writes; nothing when that does not fit.
    pub fn push(&mut self, write: impl FnOnce(&mut [u8]) -> Option<usize>) {
        let mut packet = vec![0; MAX_PACKET];
        if let Some(len) = write(&mut packet) {
            packet.truncate(len);
            self.packets.push_back(packet);
        }
    }

    /// The oldest packet.
    pub fn pop(&mut self) -> Option<Vec<u8>> {
        self.packets.pop_front()
    }

    fn last(&self) -> Option<&Vec<u8>> {
        self.packets.back()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    fn take_transport_seq(&mut self) -> u16 {
        self.transport_seq = self.transport_seq.wrapping_add(1);
        self.transport_seq
    }
}
