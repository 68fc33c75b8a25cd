//! Sound that goes along with later sound (RFC 2198): how much a receiver's losses call for, and which packets it is.
//!
//! [`Demand`] is one receiver's: no loss, no redundancy; some, and each packet carries the one before; much, and it carries
//! the two before. [`Redundancy`] is what one packet carries: packets that went to this receiver right before, found in the
//! publisher's history. It keeps nothing and copies only into the datagram.

use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::packet::{Pt, RtpView, RtpWriter, SeqNo};
use crate::payload::red;
use crate::receive::Stream;
use crate::receive::history::Received;
use crate::rtcp::Bitrate;
use crate::send::note::Note;
use crate::send::outgoing::Outgoing;

/// Most packets that go along.
pub const MAX_DEPTH: usize = 2;
/// Lost packets in a hundred from which on the one before goes along, and the two before.
const DEMAND: [f32; MAX_DEPTH] = [1.0, 6.0];
/// Demand falls when losses were below this share of what it began with, for so long.
const RELIEF: f32 = 0.5;
const CALM: Duration = Duration::from_secs(10);
/// Losses are averaged over about so many packets.
const PACKETS: f32 = 150.0;
/// When more than so many packets are told of at once, and most of them are lost, the line was cut: no redundancy mends that.
const GAP: f32 = 20.0;
/// What redundancy may fill of a line, together with the sound itself.
const SHARE: f64 = 0.75;
/// Longest payload with redundancy, in bytes: such a packet must fit every path.
const MAX_PAYLOAD: usize = 1000;

/// How much redundancy one receiver's losses call for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Demand {
    /// Lost packets in a hundred, lately.
    lost: f32,
    depth: usize,
    /// Since when less would do.
    calm: Option<Instant>,
    /// The receiver tells of each packet; its reports and requests then say nothing new.
    precise: bool,
    /// What fits the line.
    limit: Option<usize>,
}

impl Demand {
    /// How many packets go along with each.
    #[must_use]
    #[inline]
    pub fn depth(&self) -> usize {
        self.limit.map_or(self.depth, |limit| limit.min(self.depth))
    }

    /// The receiver has told of single packets: so many have arrived, and so many are newly known to be lost, or to have
    /// come after all.
    pub fn on_arrivals(&mut self, now: Instant, arrived: usize, lost: i64) {
        self.precise = true;
        #[expect(clippy::cast_precision_loss, reason = "a message tells of some hundreds")]
        let (arrived, lost) = (arrived as f32, lost.max(0) as f32);
        self.sample(now, arrived + lost, lost);
    }

    /// The receiver has told the share of lost packets of one stream of sound since its last report on it, in 1/256: without
    /// those that were sent again in time. So many `packets` were sent since.
    pub fn on_report(&mut self, now: Instant, packets: u64, fraction_lost: u8) {
        if !self.precise {
            #[expect(clippy::cast_precision_loss, reason = "a report tells of some hundreds")]
            let packets = packets as f32;
            self.sample(now, packets, f32::from(fraction_lost) / 256.0 * packets);
        }
    }

    /// The receiver has asked for a packet of sound.
    pub fn on_request(&mut self, now: Instant) {
        if !self.precise {
            self.sample(now, 1.0, 1.0);
        }
    }

    /// `sound` is what all sound to the receiver takes without redundancy, `line` what its line carries, if known.
    pub fn set_line(&mut self, sound: Bitrate, line: Option<Bitrate>) {
        let fits = |line: Bitrate, depth: usize| (sound.0 * (depth as u64 + 1)) as f64 <= line.0 as f64 * SHARE;
        self.limit = line.map(|line| (1..=MAX_DEPTH).take_while(|depth| fits(line, *depth)).count());
    }

    fn sample(&mut self, now: Instant, packets: f32, lost: f32) {
        if packets <= 0.0 || packets > GAP && lost > packets * 0.5 {
            return;
        }
        let weight = (packets / PACKETS).min(1.0);
        self.lost += (100.0 * lost / packets - self.lost) * weight;
        let called = |share: f32| DEMAND.iter().filter(|from| self.lost >= **from * share).count();
        let (wanted, kept) = (called(1.0), called(RELIEF));
        if wanted > self.depth {
            (self.depth, self.calm) = (wanted, None);
        } else if kept >= self.depth {
            self.calm = None;
        } else if now.saturating_duration_since(*self.calm.get_or_insert(now)) >= CALM {
            (self.depth, self.calm) = (kept, None);
        }
    }
}

/// The packets that go along with one, the oldest first.
#[derive(Debug, Default)]
pub struct Redundancy<'a> {
    packets: SmallVec<[&'a Received; MAX_DEPTH]>,
}

impl<'a> Redundancy<'a> {
    /// The packets right before that of `note`, at most `depth`, as far as the subscriber got them, they are still there and
    /// fit.
    #[must_use]
    pub fn of(note: &Note, received: &Received, (outgoing, stream): (&Outgoing, &'a Stream), depth: usize) -> Self {
        let mut packets = SmallVec::new();
        let timestamp = received.packet.view().timestamp();
        let mut size = received.packet.view().payload().len();
        for back in (1..).take(depth) {
            let Some(source) = note.source.0.checked_sub(back).map(SeqNo) else {
                break;
            };
            let went = outgoing
                .forwarder
                .sent(source)
                .is_some_and(|seq| seq.plus(back) == note.seq);
            let Some(before) = stream.history.get(source).filter(|_| went && !stream.is_hidden(source)) else {
                break;
            };
            let view = before.packet.view();
            let offset = timestamp.wrapping_sub(view.timestamp());
            size += red::HEADER + view.payload().len();
            let same = view.pt() == received.packet.view().pt();
            if !same
                || size >= MAX_PAYLOAD
                || offset == 0
                || red::header(view.pt(), offset, view.payload().len()).is_none()
            {
                break;
            }
            packets.push(before);
        }
        packets.reverse();
        Self { packets }
    }

    /// Whether nothing goes along.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// How many go along.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.packets.len()
    }

    /// Writes headers and redundant blocks; the payload of `primary` has to follow. `None` when one has no place.
    pub(super) fn write(&self, pt: Pt, primary: &RtpView<'_>, writer: &mut RtpWriter<'_>) -> Option<()> {
        for before in &self.packets {
            let view = before.packet.view();
            let offset = primary.timestamp().wrapping_sub(view.timestamp());
            writer.payload(&red::header(pt, offset, view.payload().len())?);
        }
        writer.payload(&red::primary_header(pt));
        for before in &self.packets {
            writer.payload(before.packet.view().payload());
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fifty packets a second, every `nth` of them lost (0: none), for so many seconds.
    fn listen(demand: &mut Demand, start: Instant, nth: u32, seconds: u32) -> Instant {
        for tick in 0..seconds * 10 {
            let at = start + Duration::from_millis(100) * tick;
            let lost = (tick * 5..tick * 5 + 5).filter(|n| nth > 0 && n % nth == 0).count();
            demand.on_arrivals(at, 5 - lost, i64::try_from(lost).expect("at most five"));
        }
        start + Duration::from_secs(1) * seconds
    }

    #[test]
    fn no_loss_no_redundancy_and_more_with_more() {
        let mut demand = Demand::default();
        let at = listen(&mut demand, Instant::now(), 0, 10);
        assert_eq!(demand.depth(), 0);
        let at = listen(&mut demand, at, 40, 10);
        assert_eq!(demand.depth(), 1, "2.5 %");
        let at = listen(&mut demand, at, 10, 3);
        assert_eq!(demand.depth(), 2, "10 %");
        let at = listen(&mut demand, at, 0, 9);
        assert_eq!(demand.depth(), 2, "not at once");
        listen(&mut demand, at, 0, 12);
        assert_eq!(demand.depth(), 0);
    }

    #[test]
    fn reports_tell_where_arrivals_do_not() {
        let mut demand = Demand::default();
        let start = Instant::now();
        for second in 0..10 {
            let at = start + Duration::from_secs(second);
            demand.on_report(at, 50, 26);
            demand.on_report(at, 0, 0);
        }
        assert_eq!(demand.depth(), 2);
        let mut demand = Demand::default();
        for tick in 0..100 {
            let at = start + Duration::from_millis(100) * tick;
            demand.on_request(at);
            if tick % 10 == 0 {
                demand.on_report(at, 50, 0);
            }
        }
        assert_eq!(
            demand.depth(),
            2,
            "what was sent again was lost all the same: ten of fifty"
        );
        let mut demand = Demand::default();
        demand.on_arrivals(start, 5, 0);
        (0..10).for_each(|second| demand.on_report(start + Duration::from_secs(second), 50, 26));
        assert_eq!(demand.depth(), 0, "the arrivals say that there is none");
    }

    #[test]
    fn each_stream_of_a_report_counts() {
        let mut demand = Demand::default();
        let start = Instant::now();
        for second in 0..10 {
            let at = start + Duration::from_secs(second);
            demand.on_report(at, 50, 0);
            demand.on_report(at, 50, 52);
        }
        assert_eq!(demand.depth(), 2, "10 % of both together");
    }

    #[test]
    fn a_narrow_line_has_no_room_for_it() {
        let mut demand = Demand::default();
        listen(&mut demand, Instant::now(), 10, 10);
        for (line, depth) in [(None, 2), (Some(600_000), 2), (Some(150_000), 1), (Some(90_000), 0)] {
            demand.set_line(Bitrate(50_000), line.map(Bitrate));
            assert_eq!(demand.depth(), depth, "{line:?}");
        }
    }
}
