//! One incoming stream of a peer: what came, what is missing, what to ask for.
//!
//! RFC 3550 §6.4.1 (report blocks), RFC 4585 (NACK, PLI), RFC 4588 (RTX). It counts like a subscriber: a gap is a gap
//! whether the network or the router made it.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::time::{Duration, Instant};

use althing_media_core::config::{LayerTarget, SubscriptionConfig};
use althing_media_core::packet::extension::ExtensionMap;
use althing_media_core::packet::{Extension, Mid, RtpView, SeqExtender, SeqNo, Ssrc};
use althing_media_core::rtcp::{ReportBlock, SenderInfo, nack, pli};
use althing_media_core::time::{NtpTime, RtpTime};
use althing_media_core::{CodecParams, MediaKind, StreamIds};

use super::body::Body;
use super::fec::Fec;
use super::red;
use super::send::Wire;
use super::view::Viewer;
use super::vp8::Vp8;

/// A packet is asked for again after this.
const NACK_EVERY: Duration = Duration::from_millis(60);
/// A packet that is missed for so long is lost: the viewer has gone on.
const GIVE_UP: Duration = Duration::from_millis(1500);
/// Shortest time between two keyframe requests: that of browsers that wait for their first picture.
const PLI_EVERY: Duration = Duration::from_millis(200);
/// How far before the first packet a reordered one may still come.
const MAX_REORDERED_START: u64 = 16;
/// Missing packets that are kept track of; a larger gap is a new start.
const MAX_MISSING: u64 = 2048;

/// What a peer receives as one stream.
#[derive(Debug, Clone)]
pub struct ReceiveConfig {
    /// The media section; `None` on a plain transport.
    pub mid: Option<Mid>,
    /// The SSRCs that were announced for it.
    pub stream: StreamIds,
    /// Of one kind: VP8 or Opus-shaped payloads are looked into.
    pub codecs: Vec<CodecParams>,
    /// The ids of the header extensions.
    pub extensions: ExtensionMap,
    /// The RTCP CNAME that was announced.
    pub cname: String,
    /// Asks for lost packets.
    pub nack: bool,
    /// Tells what has arrived by SSRC (RFC 8888).
    pub ccfb: bool,
    /// Asks for keyframes when nothing can be decoded.
    pub pli: bool,
    /// Looks into each payload and keeps every picture: for bounded runs.
    pub view: bool,
    /// What to ask the router for.
    pub layers: LayerTarget,
}

impl ReceiveConfig {
    /// Audio or video, by the first codec.
    #[must_use]
    pub fn kind(&self) -> MediaKind {
        self.codecs.first().map_or(MediaKind::Video, |codec| codec.codec.kind())
    }

    /// What the router has to be told about this stream.
    #[must_use]
    pub fn subscription(&self) -> SubscriptionConfig {
        SubscriptionConfig {
            mid: self.mid,
            kind: self.kind(),
            stream: self.stream,
            cname: self.cname.clone(),
            codecs: self.codecs.clone(),
            extensions: self.extensions,
            layers: self.layers,
            nack: self.nack,
        }
    }
}

/// What has come of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReceiveStats {
    /// Different packets, retransmitted ones too.
    pub packets: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// Packets that had come before.
    pub duplicates: u64,
    /// Packets without payload.
    pub empty: u64,
    /// Packets whose payload is not what any [`super::send::Sender`] makes.
    pub corrupt: u64,
    /// Packets of sound with redundancy.
    pub redundant: u64,
    /// Packets on the RTX stream, padding included.
    pub rtx: u64,
    /// FEC packets.
    pub fec: u64,
    /// Packets that were made out of them.
    pub mended: u64,
    /// Missing packets that came late or by RTX.
    pub recovered: u64,
    /// Missing packets that never came.
    pub lost: u64,
    /// Sequence numbers asked for, each time.
    pub nacked: u64,
    /// Keyframe requests sent.
    pub keyframe_requests: u64,
    /// Sender reports that came.
    pub sender_reports: u64,
    /// Leaps in the sequence numbers that no loss explains.
    pub leaps: u64,
    /// BYEs that came.
    pub byes: u64,
}

/// Receives one stream.
#[derive(Debug)]
pub struct Receiver {
    config: ReceiveConfig,
    extender: SeqExtender,
    first: Option<u64>,
    /// Since when which numbers are missed.
    missing: BTreeMap<u64, Instant>,
    /// When they are to be asked for again or given up, in this order; some may have come meanwhile.
    asks: VecDeque<(Instant, u64)>,
    fec: Fec,
    viewer: Viewer,
    stats: ReceiveStats,
    first_at: Option<Instant>,
    last_at: Option<Instant>,
    sender_report: Option<(SenderInfo, Instant)>,
    last_pli: Option<Instant>,
    reported: (u64, u64),
}

impl Receiver {
    /// Nothing has come yet.
    #[must_use]
    pub fn new(config: ReceiveConfig) -> Self {
        let clock_rate = config.codecs.first().map_or(90_000, |codec| codec.codec.clock_rate());
        Self {
            config,
            extender: SeqExtender::default(),
            first: None,
            missing: BTreeMap::new(),
            asks: VecDeque::new(),
            fec: Fec::default(),
            viewer: Viewer::new(clock_rate),
            stats: ReceiveStats::default(),
            first_at: None,
            last_at: None,
            sender_report: None,
            last_pli: None,
            reported: (0, 0),
        }
    }

    /// How it was made.
    #[must_use]
    pub fn config(&self) -> &ReceiveConfig {
        &self.config
    }

    /// What has come.
    #[must_use]
    pub fn stats(&self) -> &ReceiveStats {
        &self.stats
    }

    /// What a viewer makes of it.
    #[must_use]
    pub fn viewer(&self) -> &Viewer {
        &self.viewer
    }

    /// Sequence numbers below the highest that have not come and are still hoped for.
    #[must_use]
    pub fn missing(&self) -> usize {
        self.missing.len()
    }

    /// When the first packet came.
    #[must_use]
    pub fn first_at(&self) -> Option<Instant> {
        self.first_at
    }

    /// When the last packet came.
    #[must_use]
    pub fn last_at(&self) -> Option<Instant> {
        self.last_at
    }

    /// The sender's wall time of `timestamp`, by the latest sender report.
    #[must_use]
    pub fn wall_time(&self, timestamp: u32) -> Option<NtpTime> {
        let (info, _) = self.sender_report?;
        let clock = i64::from(self.config.codecs.first()?.codec.clock_rate());
        let units = i64::from(RtpTime(timestamp).since(info.rtp));
        let fixed = (i128::from(units) << 32) / i128::from(clock);
        Some(NtpTime(info.ntp.0.wrapping_add_signed(i64::try_from(fixed).ok()?)))
    }

    /// Takes a packet of this stream or of what repairs it; `false` when it is of neither.
    pub fn handle_rtp(&mut self, now: Instant, rtp: &RtpView<'_>, wire: &mut Wire) -> bool {
        let stream = self.config.stream;
        if rtp.ssrc() == stream.ssrc {
            if stream.fec.is_some() {
                self.fec
                    .on_packet(rtp, self.config.extensions.id(Extension::TransportCc));
            }
            self.on_media(now, rtp.seq(), rtp, rtp.payload(), wire);
            self.mend(now, wire);
        } else if Some(rtp.ssrc()) == stream.fec {
            self.stats.fec += 1;
            if self.fec.on_fec(rtp.payload()).is_none() {
                self.stats.corrupt += 1;
            }
            self.mend(now, wire);
        } else if Some(rtp.ssrc()) == self.config.stream.rtx {
            self.stats.rtx += 1;
            // Padding on the RTX stream has no payload: it probes the line and repairs nothing.
            if let Some((osn, payload)) = rtp.payload().split_first_chunk::<2>() {
                let seq = u16::from_be_bytes(*osn);
                self.on_media(now, seq, rtp, payload, wire);
            }
        } else {
            return false;
        }
        true
    }

    /// Takes what can be made out of FEC packets now.
    fn mend(&mut self, now: Instant, wire: &mut Wire) {
        while let Some(packet) = self.fec.take() {
            self.stats.mended += 1;
            match RtpView::parse(&packet) {
                Ok(rtp) => self.on_media(now, rtp.seq(), &rtp, rtp.payload(), wire),
                Err(_) => self.stats.corrupt += 1,
            }
        }
    }

    /// `rtp` may be a retransmission: then `seq` and `payload` are those of the original.
    fn on_media(&mut self, now: Instant, seq: u16, rtp: &RtpView<'_>, payload: &[u8], wire: &mut Wire) {
        let before = self.extender.highest().map(|highest| highest.0);
        let seq = self.extender.extend(seq).0;
        if !self.note(now, before, seq) {
            self.stats.duplicates += 1;
            return;
        }
        self.first_at.get_or_insert(now);
        self.last_at = Some(now);
        self.stats.packets += 1;
        self.stats.bytes += payload.len() as u64;
        if payload.is_empty() {
            self.stats.empty += 1;
        } else if self.config.view {
            self.look(now, seq, rtp, payload);
        }
        self.ask(now, wire);
    }

    /// Keeps count of sequence numbers; `false` for one that has come before.
    fn note(&mut self, now: Instant, before: Option<u64>, seq: u64) -> bool {
        let Some(before) = before else {
            self.first = Some(seq);
            return true;
        };
        if seq > before {
            if seq - before > MAX_MISSING {
                self.stats.leaps += 1;
            } else {
                self.miss(now, before + 1..seq);
            }
            return true;
        }
        if self.missing.remove(&seq).is_some() {
            self.stats.recovered += 1;
            return true;
        }
        self.precedes(now, seq)
    }

    /// Whether `seq` comes from before the first: the very first packets may be out of order too.
    fn precedes(&mut self, now: Instant, seq: u64) -> bool {
        let Some(first) = self
            .first
            .filter(|first| seq < *first && first - seq <= MAX_REORDERED_START)
        else {
            return false;
        };
        self.first = Some(seq);
        self.miss(now, seq + 1..first);
        true
    }

    fn miss(&mut self, now: Instant, gap: Range<u64>) {
        self.missing.extend(gap.clone().map(|seq| (seq, now)));
        // What is missed only now is asked for before all that is due later.
        gap.rev().for_each(|seq| self.asks.push_front((now, seq)));
    }

    fn look(&mut self, now: Instant, seq: u64, rtp: &RtpView<'_>, payload: &[u8]) {
        if self.config.kind() == MediaKind::Audio {
            let red = self.config.codecs.first().and_then(|codec| codec.red);
            let blocks = if red == Some(rtp.pt()) {
                self.stats.redundant += 1;
                red::blocks(payload)
            } else {
                Some(vec![payload])
            };
            self.hear(now, seq, rtp.timestamp(), blocks.as_deref());
        } else if let Some(picture) = Vp8::read(payload) {
            self.viewer.on_picture(now, seq, rtp.timestamp(), rtp.marker(), picture);
        } else {
            self.stats.corrupt += 1;
        }
    }

    /// Takes the frames of one packet of sound, the oldest first.
    fn hear(&mut self, now: Instant, seq: u64, timestamp: u32, blocks: Option<&[&[u8]]>) {
        let frame = |block: &&[u8]| Body::read(block.get(1..)?);
        let frames = blocks.and_then(|blocks| blocks.iter().map(frame).collect::<Option<Vec<Body>>>());
        let Some((primary, earlier)) = frames.as_deref().and_then(<[Body]>::split_last) else {
            self.stats.corrupt += 1;
            return;
        };
        earlier.iter().for_each(|body| self.viewer.on_redundancy(now, *body));
        self.viewer.on_sound(now, seq, timestamp, *primary);
    }

    /// A sender report about this stream has come.
    pub fn on_sender_report(&mut self, now: Instant, info: SenderInfo) {
        self.stats.sender_reports += 1;
        self.sender_report = Some((info, now));
    }

    /// The sender says that the stream has ended.
    pub fn on_bye(&mut self) {
        self.stats.byes += 1;
    }

    /// When something is to be asked for.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        let ask = self.asks.front().map(|(at, _)| *at);
        let pli = self
            .last_pli
            .filter(|_| self.wants_keyframe())
            .map(|last| last + PLI_EVERY);
        [ask, pli].into_iter().flatten().min()
    }

    /// Asks for what is missing.
    pub fn handle_timeout(&mut self, now: Instant, wire: &mut Wire) {
        self.ask(now, wire);
        if self.wants_keyframe() && self.last_pli.is_none_or(|last| now >= last + PLI_EVERY) {
            self.last_pli = Some(now);
            self.stats.keyframe_requests += 1;
            wire.push(|buf| pli::write(buf, wire_ssrc(), self.config.stream.ssrc));
        }
    }

    fn wants_keyframe(&self) -> bool {
        self.config.pli && self.config.view && self.viewer.is_stuck()
    }

    fn ask(&mut self, now: Instant, wire: &mut Wire) {
        let mut due: Vec<u16> = Vec::new();
        while let Some((_, seq)) = self.asks.pop_front_if(|(at, _)| *at <= now) {
            match self.missing.get(&seq) {
                Some(since) if now >= *since + GIVE_UP => {
                    self.missing.remove(&seq);
                    self.stats.lost += 1;
                }
                Some(_) => {
                    self.asks.push_back((now + NACK_EVERY, seq));
                    due.push(SeqNo(seq).wire());
                }
                None => {}
            }
        }
        if self.config.nack && !due.is_empty() {
            self.stats.nacked += due.len() as u64;
            let media = self.config.stream.ssrc;
            wire.push(|buf| nack::write(buf, wire_ssrc(), media, due.into_iter()).map(|(len, _)| len));
        }
    }

    /// How the stream was received since the last block.
    pub fn report_block(&mut self, now: Instant) -> Option<ReportBlock> {
        let (first, highest) = (self.first?, self.extender.highest()?.0);
        let expected = (highest + 1).saturating_sub(first);
        let (expected_before, received_before) = self.reported;
        self.reported = (expected, self.stats.packets);
        let interval = expected.saturating_sub(expected_before);
        let lost = interval.saturating_sub(self.stats.packets - received_before);
        let (last_sr, delay_since_sr) = self.sender_report.map_or((0, 0), |(info, at)| {
            let delay = now.saturating_duration_since(at).as_secs_f64() * 65_536.0;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "saturates; never negative"
            )]
            (info.ntp.middle(), delay as u32)
        });
        Some(ReportBlock {
            ssrc: self.config.stream.ssrc,
            fraction_lost: u8::try_from(lost * 256 / interval.max(1)).unwrap_or(255),
            cumulative_lost: i32::try_from(expected.saturating_sub(self.stats.packets)).unwrap_or(i32::MAX),
            // Extended numbers start one cycle above zero, and so do we count the cycles.
            highest_seq: u32::try_from((highest - 0x1_0000) & 0xffff_ffff).unwrap_or(0),
            jitter: 0,
            last_sr,
            delay_since_sr,
        })
    }
}

/// A receiver without a stream of its own reports as SSRC 1, like browsers do.
pub(super) const fn wire_ssrc() -> Ssrc {
    Ssrc(1)
}
