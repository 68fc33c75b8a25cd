//! Who is heard: the loudest of a room, known before they are decoded.
//!
//! Levels come with the packets (RFC 6464), so they are known as a packet arrives, a playout delay before its sound is due:
//! a first syllable is decoded from its beginning. Who has begun stays for some time, so that nobody is cut off between
//! two words. When more talk than may be heard, the louder ones win, and those who talk win against those who pause; who
//! is in has an advantage, so that two equals do not take turns.
//!
//! It knows keys and levels, and nothing of packets or sound.

use std::time::{Duration, Instant};

/// Advantage of who is heard already, in dB.
const INCUMBENT: f32 = 6.0;
/// A level below the mean moves the mean by this part: it follows a voice within some ten packets.
const FALL: f32 = 0.1;
/// After as long without a loud packet a talker pauses, and makes room for another.
const PAUSE: Duration = Duration::from_millis(240);

/// Who is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SelectConfig {
    /// How many at once. Each of them costs a decoder, and an encoder when it listens too.
    pub loudest: usize,
    /// How long one stays after the last loud packet. Should be longer than playout delays are, or ends of words are lost.
    pub hold: Duration,
    /// Who is quieter is silent, in dB below full scale.
    pub threshold: u8,
}

impl Default for SelectConfig {
    fn default() -> Self {
        Self {
            loudest: 6,
            hold: Duration::from_millis(800),
            threshold: 50,
        }
    }
}

/// The loudest of those who talk. Keys are small numbers, given by the caller.
#[derive(Debug, Default)]
pub struct Selection {
    /// Who has been loud lately, in no order.
    talkers: Vec<Talker>,
    /// Where a key stands in `talkers`.
    places: Vec<Option<u32>>,
}

#[derive(Debug, Clone, Copy)]
struct Talker {
    key: usize,
    /// Mean level, in dB below full scale: rises at once, falls slowly.
    minus_dbov: f32,
    last: Instant,
    heard: bool,
}

impl Talker {
    /// Better talkers have greater scores.
    fn score(&self, now: Instant) -> f32 {
        let pauses = now.saturating_duration_since(self.last) > PAUSE;
        let advantage = if self.heard && !pauses { INCUMBENT } else { 0.0 };
        advantage - self.minus_dbov - if pauses { 1000.0 } else { 0.0 }
    }
}

impl Selection {
    /// Nobody.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes room for keys below `keys`, so that [`Self::heard`] does not allocate for them.
    pub fn reserve(&mut self, keys: usize) {
        if keys > self.places.len() {
            self.places.resize(keys, None);
        }
        self.talkers.reserve(keys.saturating_sub(self.talkers.len()));
    }

    /// A packet of `key` has come, `minus_dbov` below full scale.
    #[inline]
    pub fn heard(&mut self, now: Instant, key: usize, minus_dbov: u8, config: &SelectConfig) {
        let loud = minus_dbov <= config.threshold;
        let level = f32::from(minus_dbov);
        if let Some(talker) = self.place(key).and_then(|at| self.talkers.get_mut(at)) {
            if level < talker.minus_dbov {
                talker.minus_dbov = level;
            } else {
                talker.minus_dbov += (level - talker.minus_dbov) * FALL;
            }
            if loud {
                talker.last = now;
            }
        } else if loud {
            self.reserve(key + 1);
            self.places[key] = u32::try_from(self.talkers.len()).ok();
            self.talkers.push(Talker {
                key,
                minus_dbov: level,
                last: now,
                heard: false,
            });
        }
    }

    /// Decides anew, for at most `loudest` talkers. Cost: linear in the number of those who have talked lately.
    pub fn update(&mut self, now: Instant, loudest: usize, hold: Duration) {
        let mut at = 0;
        while let Some(talker) = self.talkers.get(at) {
            if now.saturating_duration_since(talker.last) > hold {
                self.remove(talker.key);
            } else {
                at += 1;
            }
        }
        if self.talkers.len() > loudest {
            if loudest > 0 {
                let order = |a: &Talker, b: &Talker| b.score(now).total_cmp(&a.score(now)).then(a.key.cmp(&b.key));
                self.talkers.select_nth_unstable_by(loudest - 1, order);
            }
            for (at, talker) in (0..).zip(&self.talkers) {
                self.places[talker.key] = Some(at);
            }
        }
        for (at, talker) in self.talkers.iter_mut().enumerate() {
            talker.heard = at < loudest;
        }
    }

    /// Forgets a key.
    pub fn remove(&mut self, key: usize) {
        let Some(at) = self.place(key) else { return };
        self.places[key] = None;
        self.talkers.swap_remove(at);
        if let Some(moved) = self.talkers.get(at) {
            self.places[moved.key] = u32::try_from(at).ok();
        }
    }

    /// Whether `key` is among the loudest, as of the last update.
    #[must_use]
    #[inline]
    pub fn is_heard(&self, key: usize) -> bool {
        self.place(key)
            .and_then(|at| self.talkers.get(at))
            .is_some_and(|talker| talker.heard)
    }

    /// How many are heard, as of the last update.
    #[must_use]
    pub fn len(&self) -> usize {
        self.talkers.iter().filter(|talker| talker.heard).count()
    }

    /// Whether nobody is heard.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many talk, heard or not.
    #[must_use]
    pub fn talkers(&self) -> usize {
        self.talkers.len()
    }

    fn place(&self, key: usize) -> Option<usize> {
        self.places.get(key).copied().flatten().map(|at| at as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: SelectConfig = SelectConfig {
        loudest: 2,
        hold: Duration::from_millis(800),
        threshold: 50,
    };

    /// Ticks of 20 ms with one packet of each `(key, level)`; who is heard after each tick.
    struct Room {
        selection: Selection,
        now: Instant,
    }

    impl Room {
        fn new() -> Self {
            Self {
                selection: Selection::new(),
                now: Instant::now(),
            }
        }

        fn tick(&mut self, levels: &[(usize, u8)]) -> Vec<usize> {
            self.now += Duration::from_millis(20);
            for (key, level) in levels {
                self.selection.heard(self.now, *key, *level, &CONFIG);
            }
            self.selection.update(self.now, CONFIG.loudest, CONFIG.hold);
            assert_eq!(
                self.selection.len(),
                (0..20).filter(|key| self.selection.is_heard(*key)).count()
            );
            (0..20).filter(|key| self.selection.is_heard(*key)).collect()
        }
    }

    #[test]
    fn the_first_loud_packet_is_enough() {
        let mut room = Room::new();
        assert!(room.tick(&[(0, 60), (7, 127)]).is_empty());
        assert_eq!(room.tick(&[(0, 50), (7, 127)]), [0]);
    }

    #[test]
    fn who_pauses_is_held_and_then_let_go() {
        let mut room = Room::new();
        room.tick(&[(3, 20)]);
        for tick in 1..=45 {
            assert_eq!(room.tick(&[(3, 127)]).len(), usize::from(tick <= 40), "{tick}");
        }
        assert_eq!(room.selection.talkers(), 0);
    }

    #[test]
    fn the_loudest_win_and_equals_do_not_take_turns() {
        let mut room = Room::new();
        let all: Vec<(usize, u8)> = (0..10).map(|key| (key, 40 - u8::try_from(key).unwrap())).collect();
        assert_eq!(room.tick(&all), [8, 9]);
        // Now and then one who is not heard is up to 5 dB louder than those who are.
        for tick in 0..200 {
            let rival = if tick % 3 == 0 { 27 } else { 45 };
            assert_eq!(room.tick(&[(8, 32), (9, 31), (0, rival)]), [8, 9], "{tick}");
        }
        // Much louder, it is.
        assert_eq!(room.tick(&[(8, 32), (9, 31), (0, 10)]), [0, 9]);
    }

    #[test]
    fn who_pauses_makes_room_at_once() {
        let mut room = Room::new();
        room.tick(&[(1, 10), (2, 12)]);
        for _ in 0..13 {
            assert_eq!(room.tick(&[(1, 10), (2, 127)]), [1, 2]);
        }
        assert_eq!(
            room.tick(&[(1, 10), (2, 127), (5, 48)]),
            [1, 5],
            "quieter, but it talks"
        );
        assert_eq!(room.tick(&[(1, 10), (2, 11), (5, 48)]), [1, 2], "and back again");
    }

    #[test]
    fn names_are_kept_straight_when_many_come_and_go() {
        let mut room = Room::new();
        let mut state = 1_u32;
        for _ in 0..2000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let key = (state >> 24) as usize % 20;
            if state & 0x800 == 0 {
                room.selection.remove(key);
                assert!(!room.selection.is_heard(key));
            }
            let level = u8::try_from(state >> 8 & 0x7f).unwrap();
            assert!(room.tick(&[(key, level)]).len() <= 2);
            for (at, talker) in room.selection.talkers.iter().enumerate() {
                assert_eq!(room.selection.place(talker.key), Some(at));
            }
        }
    }
}
