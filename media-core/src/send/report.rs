//! Sender reports for a subscriber, with the publisher's clock (RFC 3550 §6.4.1).
//!
//! A receiver brings sound and picture of one person together by the pairs of wall clock and media time in the
//! reports. The router passes the publisher's pairs on, moved to its own media time and, by one constant per
//! publisher, to its own wall clock: so the pairs of all tracks of a publisher still agree with each other.

use std::time::{Duration, Instant};

use crate::packet::Ssrc;
use crate::receive::report::SenderClock;
use crate::rtcp::ReportBlock;
use crate::rtcp::sr::SenderInfo;
use crate::time::{NtpTime, RtpTime};

/// Reports remembered for the round trip.
const REMEMBERED: usize = 4;

/// Counters of one outgoing stream, and the round trip to its receiver.
#[derive(Debug, Default)]
pub struct SendReport {
    packets: u64,
    octets: u64,
    /// Packets sent when the last report came.
    reported: u64,
    sent: [Option<(u32, Instant)>; REMEMBERED],
    next: usize,
    rtt: Option<Duration>,
    fraction_lost: u8,
    acknowledged: bool,
}

impl SendReport {
    /// Counts a packet with `octets` of payload.
    #[inline]
    pub fn on_sent(&mut self, octets: usize) {
        self.packets += 1;
        self.octets += octets as u64;
    }

    /// Packets and payload bytes sent.
    #[must_use]
    pub fn totals(&self) -> (u64, u64) {
        (self.packets, self.octets)
    }

    /// Round trip to the receiver, once known.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// Share of packets lost on the way to the receiver, in 1/256, by its last report.
    #[must_use]
    pub fn fraction_lost(&self) -> u8 {
        self.fraction_lost
    }

    /// Whether the receiver has reported on the stream, so it knows the SSRC.
    #[must_use]
    pub fn is_acknowledged(&self) -> bool {
        self.acknowledged
    }

    /// The contents of a report at `now`. `shift` is what is added to the publisher's media time; `wall_offset` what
    /// is added to its wall clock, modulo 2⁶⁴.
    #[expect(clippy::cast_possible_truncation, reason = "the report's counters wrap at 32 bits")]
    pub fn make(&mut self, now: Instant, ssrc: Ssrc, clock: &SenderClock, rate: u32, to: Translation) -> SenderInfo {
        let elapsed = now.saturating_duration_since(clock.arrival);
        let ntp = NtpTime(clock.ntp.plus(elapsed).0.wrapping_add(to.wall_offset));
        let rtp = clock.rtp.plus(RtpTime::units(elapsed, rate)).plus(to.shift);
        self.sent[self.next] = Some((ntp.middle(), now));
        self.next = (self.next + 1) % REMEMBERED;
        SenderInfo {
            ssrc,
            ntp,
            rtp,
            packets: self.packets as u32,
            octets: self.octets as u32,
        }
    }

    /// Takes the receiver's report about this stream; how many packets were sent since the one before.
    pub fn on_report(&mut self, now: Instant, block: &ReportBlock) -> u64 {
        let packets = self.packets - std::mem::replace(&mut self.reported, self.packets);
        self.acknowledged = true;
        self.fraction_lost = block.fraction_lost;
        let Some((_, at)) = self
            .sent
            .iter()
            .flatten()
            .find(|(middle, _)| *middle == block.last_sr && *middle != 0)
        else {
            return packets;
        };
        let held = Duration::from_nanos((u64::from(block.delay_since_sr) * 1_000_000_000) >> 16);
        let sample = now.saturating_duration_since(*at).saturating_sub(held);
        self.rtt = Some(self.rtt.map_or(sample, |rtt| (rtt * 7 + sample) / 8));
        packets
    }
}

/// From a publisher's clocks to a subscriber's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Translation {
    /// Added to the media time, modulo 2³².
    pub shift: u32,
    /// Added to the wall clock, modulo 2⁶⁴.
    pub wall_offset: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pair_is_moved_and_the_round_trip_measured() {
        let start = Instant::now();
        let mut report = SendReport::default();
        let clock = SenderClock {
            ntp: NtpTime(10 << 32),
            rtp: RtpTime(1000),
            arrival: start,
        };
        let later = start + Duration::from_millis(500);
        let info = report.make(
            later,
            Ssrc(5),
            &clock,
            90_000,
            Translation {
                shift: 7,
                wall_offset: 3 << 32,
            },
        );
        assert!((info.ntp.seconds_since(NtpTime(13 << 32)) - 0.5).abs() < 1e-6);
        assert_eq!(info.rtp, RtpTime(1000 + 45_000 + 7));
        let block = ReportBlock {
            ssrc: Ssrc(5),
            fraction_lost: 12,
            cumulative_lost: 0,
            highest_seq: 0,
            jitter: 0,
            last_sr: info.ntp.middle(),
            delay_since_sr: 65_536 / 10,
        };
        (0..3).for_each(|_| report.on_sent(80));
        assert_eq!(report.on_report(later + Duration::from_millis(180), &block), 3);
        report.on_sent(80);
        assert_eq!(report.on_report(later + Duration::from_millis(180), &block), 1);
        let rtt = report.rtt().expect("measured").as_millis();
        assert!((79..=81).contains(&rtt), "{rtt} ms");
        assert_eq!((report.fraction_lost(), report.is_acknowledged()), (12, true));
    }
}
