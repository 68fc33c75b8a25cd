//! Reception statistics of one incoming RTP stream (RFC 3550 §6.4.1, §A.3, §A.8) and the sender's clock.

use std::time::{Duration, Instant};

use crate::packet::{SeqNo, Ssrc};
use crate::rtcp::ReportBlock;
use crate::time::{NtpTime, RtpTime};

/// The relation of a sender's media clock to its wall clock, from its last sender report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderClock {
    /// Wall clock of the sender at the report.
    pub ntp: NtpTime,
    /// Media clock at the same moment.
    pub rtp: RtpTime,
    /// When the report came.
    pub arrival: Instant,
}

impl SenderClock {
    /// The sender's wall clock at media time `rtp`.
    #[must_use]
    pub fn ntp_at(&self, rtp: RtpTime, clock_rate: u32) -> NtpTime {
        let units = rtp.since(self.rtp);
        let distance = units_to_duration(units.unsigned_abs(), clock_rate);
        if units < 0 {
            NtpTime(self.ntp.0.wrapping_sub(NtpTime(0).plus(distance).0))
        } else {
            self.ntp.plus(distance)
        }
    }

    /// The media time at the sender's wall clock `ntp`.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "media time wraps")]
    pub fn rtp_at(&self, ntp: NtpTime, clock_rate: u32) -> RtpTime {
        let units = ntp.seconds_since(self.ntp) * f64::from(clock_rate);
        self.rtp.plus(units.round() as i64 as u32)
    }
}

fn units_to_duration(units: u32, clock_rate: u32) -> Duration {
    Duration::from_nanos(u64::from(units) * 1_000_000_000 / u64::from(clock_rate.max(1)))
}

/// Counts what arrived and makes report blocks.
#[derive(Debug)]
pub struct Reception {
    clock_rate: u32,
    base: Option<SeqNo>,
    highest: SeqNo,
    received: u64,
    bytes: u64,
    expected_prior: u64,
    received_prior: u64,
    transit: Option<i64>,
    /// In 1/16 of a media clock unit.
    jitter: u64,
    epoch: Option<(Instant, RtpTime)>,
    clock: Option<SenderClock>,
}

impl Reception {
    /// Nothing received yet.
    #[must_use]
    pub fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate,
            base: None,
            highest: SeqNo(0),
            received: 0,
            bytes: 0,
            expected_prior: 0,
            received_prior: 0,
            transit: None,
            jitter: 0,
            epoch: None,
            clock: None,
        }
    }

    /// Counts a packet; `in_order` is false for retransmitted or late ones, which say nothing about jitter.
    pub fn on_packet(&mut self, now: Instant, seq: SeqNo, rtp: RtpTime, bytes: usize, in_order: bool) {
        if self.base.is_none() {
            self.base = Some(seq);
            self.highest = seq;
        }
        self.highest = self.highest.max(seq);
        self.received += 1;
        self.bytes += bytes as u64;
        if in_order {
            self.update_jitter(now, rtp);
        }
    }

    fn update_jitter(&mut self, now: Instant, rtp: RtpTime) {
        let (at, first) = *self.epoch.get_or_insert((now, rtp));
        let elapsed = RtpTime::units(now.saturating_duration_since(at), self.clock_rate);
        let transit = i64::from(RtpTime(elapsed).since(RtpTime(rtp.0.wrapping_sub(first.0))));
        if let Some(before) = self.transit.replace(transit) {
            let difference = transit.abs_diff(before).min(u64::from(self.clock_rate) * 10);
            self.jitter = (self.jitter + difference).saturating_sub((self.jitter + 8) >> 4);
        }
    }

    /// Takes the clocks of a sender report.
    pub fn on_sender_report(&mut self, now: Instant, ntp: NtpTime, rtp: RtpTime) {
        self.clock = Some(SenderClock { ntp, rtp, arrival: now });
    }

    /// How long ago the first packet came in order.
    #[must_use]
    pub fn age(&self, now: Instant) -> Duration {
        self.epoch
            .map_or(Duration::ZERO, |(at, _)| now.saturating_duration_since(at))
    }

    /// The sender's clock, once a report came.
    #[must_use]
    pub fn clock(&self) -> Option<SenderClock> {
        self.clock
    }

    /// Packets and bytes received, without retransmitted duplicates.
    #[must_use]
    pub fn totals(&self) -> (u64, u64) {
        (self.received, self.bytes)
    }

    /// Packets that never came.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.expected().saturating_sub(self.received)
    }

    fn expected(&self) -> u64 {
        self.base.map_or(0, |base| self.highest.0.saturating_sub(base.0) + 1)
    }

    /// The report block for `ssrc`; starts a new interval. `None` when nothing was received.
    pub fn report(&mut self, now: Instant, ssrc: Ssrc) -> Option<ReportBlock> {
        self.base?;
        let expected = self.expected() - self.expected_prior;
        let received = self.received - self.received_prior;
        (self.expected_prior, self.received_prior) = (self.expected(), self.received);
        let lost = expected.saturating_sub(received);
        let fraction_lost = (lost * 256).checked_div(expected).unwrap_or(0).min(255);
        let (last_sr, delay) = self.clock.map_or((0, 0), |clock| {
            let delay = now.saturating_duration_since(clock.arrival);
            (clock.ntp.middle(), RtpTime::units(delay, 65_536))
        });
        Some(ReportBlock {
            ssrc,
            fraction_lost: u8::try_from(fraction_lost).unwrap_or(255),
            cumulative_lost: i32::try_from(self.lost()).unwrap_or(i32::MAX),
            // The first cycle of an extended number is 1; on the wire it counts from 0.
            highest_seq: u32::try_from(self.highest.0.saturating_sub(0x1_0000) & 0xffff_ffff).unwrap_or(0),
            jitter: u32::try_from(self.jitter >> 4).unwrap_or(u32::MAX),
            last_sr,
            delay_since_sr: delay,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fraction_lost_counts_since_the_last_report() {
        let now = Instant::now();
        let mut reception = Reception::new(90_000);
        for seq in [0, 1, 2, 4, 5, 6, 7, 9] {
            reception.on_packet(now, SeqNo(0x1_0000 + seq), RtpTime(0), 100, true);
        }
        let block = reception.report(now, Ssrc(1)).expect("packets came");
        assert_eq!(
            (block.fraction_lost, block.cumulative_lost, block.highest_seq),
            (51, 2, 9)
        );
        reception.on_packet(now, SeqNo(0x1_000a), RtpTime(0), 100, true);
        let block = reception.report(now, Ssrc(1)).expect("packets came");
        assert_eq!((block.fraction_lost, block.cumulative_lost), (0, 2));
        assert_eq!(reception.totals(), (9, 900));
    }

    #[test]
    fn jitter_of_a_steady_stream_is_zero_and_of_an_unsteady_one_is_not() {
        let start = Instant::now();
        let mut steady = Reception::new(48_000);
        let mut unsteady = Reception::new(48_000);
        for n in 0..200_u32 {
            let at = start + Duration::from_millis(20) * n;
            let late = Duration::from_millis(if n % 2 == 0 { 0 } else { 10 });
            steady.on_packet(at, SeqNo(0x1_0000 + u64::from(n)), RtpTime(n * 960), 1, true);
            unsteady.on_packet(at + late, SeqNo(0x1_0000 + u64::from(n)), RtpTime(n * 960), 1, true);
        }
        assert!(steady.report(start, Ssrc(1)).expect("packets came").jitter <= 1);
        let jitter = unsteady.report(start, Ssrc(1)).expect("packets came").jitter;
        assert!(
            (430..=490).contains(&jitter),
            "10 ms at 48 kHz is 480 units, not {jitter}"
        );
    }

    #[test]
    fn the_senders_clock_both_ways() {
        let clock = SenderClock {
            ntp: NtpTime(5 << 32),
            rtp: RtpTime(1000),
            arrival: Instant::now(),
        };
        let earlier = clock.ntp_at(RtpTime(1000_u32.wrapping_sub(45_000)), 90_000);
        assert!((earlier.seconds_since(NtpTime(5 << 32)) + 0.5).abs() < 1e-6);
        assert_eq!(clock.rtp_at(earlier, 90_000), RtpTime(1000_u32.wrapping_sub(45_000)));
    }
}
