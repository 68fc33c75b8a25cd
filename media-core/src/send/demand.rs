//! How much repair goes to one receiver before it asks for it, by what it loses and how far away it is: redundancy of sound
//! (RFC 2198), and FEC over pictures where an answer to a request would come too late.
//!
//! No loss, no repair. Sound: with some loss each packet carries the one before, with much the two before. Pictures: with each
//! packet goes a share of FEC packets, more with more loss, and only where the round trip is long. It sends nothing:
//! [`crate::send::redundancy`] and [`crate::fec::protector`] do.

use std::time::{Duration, Instant};

use crate::rtcp::Bitrate;
use crate::send::redundancy::MAX_DEPTH;

/// Lost packets in a hundred from which on the sound before goes along, and the two before.
const SOUND: [f32; MAX_DEPTH] = [1.0, 6.0];
/// Lost packets in a hundred from which on pictures are protected, and with how many FEC packets for a hundred.
const PICTURES: [(f32, u8); 3] = [(1.5, 20), (4.0, 35), (8.0, 50)];
/// Round trips from which on, and down to which, pictures are protected: a packet that is asked for comes a round trip and some
/// ms late, and those who watch then wait that much longer for all of them.
const FAR: [Duration; 2] = [Duration::from_millis(160), Duration::from_millis(120)];
/// Demand falls when losses were below this share of what it began with, for so long.
const RELIEF: f32 = 0.5;
const CALM: Duration = Duration::from_secs(10);
/// Losses are averaged over about so many packets.
const PACKETS: f32 = 150.0;
/// When more than so many packets are told of at once, and most of them are lost, the line was cut: no redundancy mends that.
const GAP: f32 = 20.0;
/// What redundancy may fill of a line, together with the sound itself.
const SHARE: f64 = 0.75;

/// How much repair one receiver's losses call for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Demand {
    sound: Level,
    pictures: Level,
    /// Asking takes too long for pictures.
    far: bool,
    /// The receiver tells of each packet; its reports and requests then say nothing new.
    precise: bool,
    /// How much redundancy of sound fits the line.
    limit: Option<usize>,
    /// How much FEC over pictures fits it.
    most: Option<u8>,
}

impl Demand {
    /// How many packets of sound go along with each.
    #[must_use]
    #[inline]
    pub fn depth(&self) -> usize {
        self.limit.map_or(self.sound.level, |limit| limit.min(self.sound.level))
    }

    /// How many FEC packets go with a hundred packets of pictures, at most 50; 0 where there is no use for them, or no room.
    #[must_use]
    #[inline]
    pub fn protection(&self) -> u8 {
        self.called().min(self.most.unwrap_or(u8::MAX))
    }

    /// How many would go with them if the line carried it.
    #[must_use]
    #[inline]
    pub fn called(&self) -> u8 {
        let level = self.pictures.level.checked_sub(1).filter(|_| self.far);
        level
            .and_then(|level| PICTURES.get(level))
            .map_or(0, |(_, share)| *share)
    }

    /// The receiver has told of single packets: so many have arrived, and so many are newly known to be lost, or to have
    /// come after all.
    pub fn on_arrivals(&mut self, now: Instant, arrived: usize, lost: i64) {
        self.precise = true;
        #[expect(clippy::cast_precision_loss, reason = "a message tells of some hundreds")]
        let (arrived, lost) = (arrived as f32, lost.max(0) as f32);
        self.hear_sound(now, arrived + lost, lost);
        self.see_pictures(now, arrived + lost, lost);
    }

    /// The receiver has told the share of lost packets of one stream of sound since its last report on it, in 1/256: without
    /// those that were sent again in time. So many `packets` were sent since.
    pub fn on_report(&mut self, now: Instant, packets: u64, fraction_lost: u8) {
        if !self.precise {
            let (packets, lost) = lost_of(packets, fraction_lost);
            self.hear_sound(now, packets, lost);
        }
    }

    /// The same of one stream of pictures.
    pub fn on_picture_report(&mut self, now: Instant, packets: u64, fraction_lost: u8) {
        if !self.precise {
            let (packets, lost) = lost_of(packets, fraction_lost);
            self.see_pictures(now, packets, lost);
        }
    }

    /// The receiver has asked for a packet of sound.
    pub fn on_request(&mut self, now: Instant) {
        if !self.precise {
            self.hear_sound(now, 1.0, 1.0);
        }
    }

    /// The way to the receiver and back takes so long, without queues.
    pub fn on_round_trip(&mut self, rtt: Duration) {
        self.far = rtt >= FAR[usize::from(self.far)];
    }

    /// `sound` is what all sound to the receiver takes without redundancy, `line` what its line carries, if known.
    pub fn set_line(&mut self, sound: Bitrate, line: Option<Bitrate>) {
        let fits = |line: Bitrate, depth: usize| (sound.0 * (depth as u64 + 1)) as f64 <= line.0 as f64 * SHARE;
        self.limit = line.map(|line| (1..=MAX_DEPTH).take_while(|depth| fits(line, *depth)).count());
    }

    /// The line has been divided: so many FEC packets fit it.
    pub fn set_most_protection(&mut self, most: u8) {
        self.most = Some(most);
    }

    fn hear_sound(&mut self, now: Instant, packets: f32, lost: f32) {
        self.sound.sample(now, packets, lost, SOUND);
    }

    fn see_pictures(&mut self, now: Instant, packets: f32, lost: f32) {
        self.pictures.sample(now, packets, lost, PICTURES.map(|(from, _)| from));
    }
}

/// Of how many packets a report tells, and how many of them are lost.
fn lost_of(packets: u64, fraction_lost: u8) -> (f32, f32) {
    #[expect(clippy::cast_precision_loss, reason = "a report tells of some hundreds")]
    let packets = packets as f32;
    (packets, f32::from(fraction_lost) / 256.0 * packets)
}

/// One of some levels, by loss: up at once, down when it has been calm for long.
#[derive(Debug, Clone, Copy, Default)]
struct Level {
    /// Lost packets in a hundred, lately.
    lost: f32,
    level: usize,
    /// Since when less would do.
    calm: Option<Instant>,
}

impl Level {
    /// Of so many `packets`, so many were `lost`; `from` is where the levels begin.
    fn sample<const N: usize>(&mut self, now: Instant, packets: f32, lost: f32, from: [f32; N]) {
        if packets <= 0.0 || packets > GAP && lost > packets * 0.5 {
            return;
        }
        let weight = (packets / PACKETS).min(1.0);
        self.lost += (100.0 * lost / packets - self.lost) * weight;
        let called = |share: f32| from.iter().filter(|from| self.lost >= **from * share).count();
        let (wanted, kept) = (called(1.0), called(RELIEF));
        if wanted > self.level {
            (self.level, self.calm) = (wanted, None);
        } else if kept >= self.level {
            self.calm = None;
        } else if now.saturating_duration_since(*self.calm.get_or_insert(now)) >= CALM {
            (self.level, self.calm) = (kept, None);
        }
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

    #[test]
    fn pictures_are_protected_where_asking_takes_too_long() {
        let ms = Duration::from_millis;
        let mut demand = Demand::default();
        let at = listen(&mut demand, Instant::now(), 10, 10);
        assert_eq!(demand.protection(), 0, "10 %, the round trip is not known");
        for (rtt, share) in [(30, 0), (159, 0), (160, 50), (121, 50), (119, 0), (150, 0), (300, 50)] {
            demand.on_round_trip(ms(rtt));
            assert_eq!(demand.protection(), share, "{rtt} ms");
        }
        for (most, share) in [(0, 0), (20, 20), (50, 50)] {
            demand.set_most_protection(most);
            assert_eq!((demand.protection(), demand.called()), (share, 50));
        }
        let at = listen(&mut demand, at, 0, 30);
        assert_eq!(demand.protection(), 0, "nothing is lost");
        let at = listen(&mut demand, at, 40, 10);
        assert_eq!(demand.protection(), 20, "2.5 %");
        listen(&mut demand, at, 20, 10);
        assert_eq!(demand.protection(), 35, "5 %");
    }

    #[test]
    fn reports_on_sound_say_nothing_of_pictures() {
        let (mut demand, start) = (Demand::default(), Instant::now());
        demand.on_round_trip(Duration::from_millis(300));
        (0..10).for_each(|second| demand.on_report(start + Duration::from_secs(second), 50, 26));
        assert_eq!((demand.depth(), demand.protection()), (2, 0));
        (0..10).for_each(|second| demand.on_picture_report(start + Duration::from_secs(second), 100, 26));
        assert_eq!(demand.protection(), 50);
    }
}
