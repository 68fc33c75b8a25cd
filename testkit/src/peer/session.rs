//! One participant above any transport: sends tracks, receives streams, speaks RTCP. Plaintext packets in and out.

use std::time::{Duration, Instant};

use althing_media_core::packet::{Extension, Kind, RtpView, Ssrc};
use althing_media_core::receive::arrival::Arrivals;
use althing_media_core::rtcp::transport_cc::{self, Feedback};
use althing_media_core::rtcp::{self, Message, rr};
use althing_media_core::time::{NtpTime, WallClock};

use super::ccfb::Ccfb;
use super::receive::{ReceiveConfig, Receiver, wire_ssrc};
use super::send::{Payloads, SendConfig, Sender, Wire};
use crate::rng::Rng;

/// Time between reports.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// The first reports come sooner: names are sent until somebody reports, and lip sync waits for them.
const FIRST_REPORT: Duration = Duration::from_millis(200);

/// Sends and receives.
///
/// `handle_packet` and `handle_timeout` put in, `poll_packet` takes out until `None`; `next_timeout` says when to call
/// again. What is added stays until the end.
#[derive(Debug)]
pub struct Session {
    rng: Rng,
    wire: Wire,
    senders: Vec<Sender>,
    receivers: Vec<Receiver>,
    next_report: Instant,
    /// Of packets with transport-wide numbers.
    arrivals: Arrivals,
    /// Of streams whose receiver tells of them by SSRC.
    ccfb: Ccfb,
    stats: SessionStats,
}

/// What does not belong to one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SessionStats {
    /// RTP packets of streams that were not announced.
    pub unknown: u64,
    /// Packets that do not parse.
    pub malformed: u64,
    /// Transport-cc feedback messages that came.
    pub transport_cc: u64,
    /// Packets that they say have arrived.
    pub acknowledged: u64,
}

impl Session {
    /// A participant whose numbers come from `seed`. Its wall clock shows `wall` now.
    #[must_use]
    pub fn new(now: Instant, seed: u64, wall: NtpTime) -> Self {
        Self {
            rng: Rng::new(seed),
            wire: Wire::new(WallClock::new(now, wall)),
            senders: Vec::new(),
            receivers: Vec::new(),
            next_report: now + FIRST_REPORT,
            stats: SessionStats::default(),
            arrivals: Arrivals::new(now),
            ccfb: Ccfb::new(now),
        }
    }

    /// Starts to send; the index for [`Self::senders`].
    pub fn send(&mut self, now: Instant, config: SendConfig) -> usize {
        self.senders.push(Sender::new(now, config, &mut self.rng));
        self.senders.len() - 1
    }

    /// Starts to listen; the index for [`Self::receivers`].
    pub fn receive(&mut self, config: ReceiveConfig) -> usize {
        self.receivers.push(Receiver::new(config));
        self.receivers.len() - 1
    }

    /// Media can flow from now on: frames begin to come.
    pub fn start(&mut self, now: Instant) {
        self.next_report = now + FIRST_REPORT;
        self.senders.iter_mut().for_each(|sender| sender.start(now));
    }

    /// What is sent, in the order of adding.
    #[must_use]
    pub fn senders(&self) -> &[Sender] {
        &self.senders
    }

    /// What is received, in the order of adding.
    #[must_use]
    pub fn receivers(&self) -> &[Receiver] {
        &self.receivers
    }

    /// To change one in mid-run.
    pub fn sender_mut(&mut self, index: usize) -> Option<&mut Sender> {
        self.senders.get_mut(index)
    }

    /// Sends a frame that the caller has coded, as [`Sender::send`].
    pub fn send_coded(&mut self, index: usize, frame: Payloads<'_>) {
        if let Some(sender) = self.senders.get_mut(index) {
            sender.send(frame, &mut self.wire);
        }
    }

    /// What does not belong to one stream.
    #[must_use]
    pub fn stats(&self) -> &SessionStats {
        &self.stats
    }

    /// Takes a plaintext RTP or RTCP packet.
    pub fn handle_packet(&mut self, now: Instant, packet: &[u8]) {
        match Kind::of(packet) {
            Some(Kind::Rtp) => match RtpView::parse(packet) {
                Ok(rtp) => {
                    self.note_arrival(now, &rtp);
                    if self.receivers.iter().any(|receiver| receiver.config().ccfb) {
                        self.ccfb.on_packet(now, &rtp);
                    }
                    let wire = &mut self.wire;
                    if !self
                        .receivers
                        .iter_mut()
                        .any(|receiver| receiver.handle_rtp(now, &rtp, wire))
                    {
                        self.stats.unknown += 1;
                    }
                }
                Err(_) => self.stats.malformed += 1,
            },
            Some(Kind::Rtcp) => {
                for message in rtcp::messages(packet) {
                    match message {
                        Ok(message) => self.on_message(now, &message),
                        Err(_) => self.stats.malformed += 1,
                    }
                }
            }
            _ => self.stats.malformed += 1,
        }
    }

    /// Notes the arrival of a packet that has a transport-wide number.
    fn note_arrival(&mut self, now: Instant, rtp: &RtpView<'_>) {
        let ids = self
            .receivers
            .iter()
            .map(|receiver| receiver.config().extensions.id(Extension::TransportCc));
        let number = ids.flatten().next().and_then(|id| rtp.extension(id));
        if let Some(&[high, low]) = number {
            self.arrivals.on_packet(now, u16::from_be_bytes([high, low]));
        }
    }

    /// Transport-wide feedback, when it is due.
    fn report_arrivals(&mut self, now: Instant) {
        if self.arrivals.next_timeout().is_none_or(|due| due > now) {
            return;
        }
        let (base_seq, feedback_count, arrivals) = self.arrivals.pending();
        let feedback = Feedback {
            sender: wire_ssrc(),
            media: Ssrc(0),
            base_seq,
            feedback_count,
        };
        let mut packets = 0;
        self.wire.push(|buf| {
            let written = transport_cc::write(buf, &feedback, arrivals)?;
            packets = usize::from(written.packets);
            Some(written.len)
        });
        self.arrivals.reported(packets);
    }

    fn on_message(&mut self, now: Instant, message: &Message<'_>) {
        let (senders, wire) = (&mut self.senders, &mut self.wire);
        match message {
            Message::SenderReport(report) => {
                let info = report.info();
                let of = |receiver: &&mut Receiver| receiver.config().stream.ssrc == info.ssrc;
                self.receivers
                    .iter_mut()
                    .filter(of)
                    .for_each(|receiver| receiver.on_sender_report(now, info));
                report
                    .blocks()
                    .for_each(|block| senders.iter_mut().for_each(|s| s.on_report(block.ssrc)));
            }
            Message::ReceiverReport(report) => {
                report
                    .blocks()
                    .for_each(|block| senders.iter_mut().for_each(|s| s.on_report(block.ssrc)));
            }
            Message::Nack(nack) => senders
                .iter_mut()
                .for_each(|s| s.on_nack(nack.media, nack.lost(), wire)),
            Message::Pli(pli) => senders.iter_mut().for_each(|s| s.on_keyframe_request(pli.media)),
            Message::TransportCc(feedback) => {
                self.stats.transport_cc += 1;
                self.stats.acknowledged += feedback.received().count() as u64;
            }
            Message::Bye(bye) => {
                for ssrc in bye.ssrcs() {
                    let of = |receiver: &&mut Receiver| receiver.config().stream.ssrc == ssrc;
                    self.receivers.iter_mut().filter(of).for_each(Receiver::on_bye);
                }
            }
            _ => {}
        }
    }

    /// When [`Self::handle_timeout`] has something to do.
    #[must_use]
    pub fn next_timeout(&self) -> Instant {
        let frames = self.senders.iter().map(Sender::next_timeout);
        let asks = self.receivers.iter().filter_map(Receiver::next_timeout);
        frames
            .chain(asks)
            .chain(self.arrivals.next_timeout())
            .chain(self.ccfb.next_timeout())
            .fold(self.next_report, Instant::min)
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.senders
            .iter_mut()
            .for_each(|sender| sender.handle_timeout(now, &mut self.wire));
        self.receivers
            .iter_mut()
            .for_each(|receiver| receiver.handle_timeout(now, &mut self.wire));
        self.report_arrivals(now);
        if let Some(report) = self.ccfb.take(now) {
            self.wire.push(|buf| {
                buf.get_mut(..report.len())?.copy_from_slice(&report);
                Some(report.len())
            });
        }
        if now >= self.next_report {
            self.next_report = now + REPORT_EVERY;
            self.senders
                .iter()
                .for_each(|sender| sender.report(now, &mut self.wire));
            let blocks: Vec<_> = self
                .receivers
                .iter_mut()
                .filter_map(|receiver| receiver.report_block(now))
                .collect();
            for blocks in blocks.chunks(rtcp::MAX_COUNT) {
                self.wire.push(|buf| rr::write(buf, wire_ssrc(), blocks));
            }
        }
    }

    /// Whether no packet waits to be sent.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.wire.is_empty()
    }

    /// The next packet to be sent, in plaintext.
    pub fn poll_packet(&mut self) -> Option<Vec<u8>> {
        self.wire.pop()
    }
}
