//! One microphone: whether what it hears is speech, and how much of it there was lately.
//!
//! A packet is active when it is clearly above the noise that is always there. The noise is followed: up slowly, down
//! quickly, since speech has gaps and a fan has none. Packets make blocks of 200 ms, and a block is active when two fifths
//! of its packets are: a knock is not. Blocks go by time, so that silence without packets (DTX) is silence.

use std::time::{Duration, Instant};

/// Length of a block.
pub const BLOCK: Duration = Duration::from_millis(200);
/// Blocks that are remembered: three seconds.
const BLOCKS: u32 = 15;
/// Blocks of the last second.
const MEDIUM: u32 = 5;
/// What is quieter is no speech, in dB below full scale.
pub const QUIET: u8 = 45;
/// Speech is so much louder than the noise, in dB.
const ABOVE_NOISE: f32 = 9.0;
/// The noise before anything was heard, in dB below full scale.
const INITIAL_NOISE: f32 = 65.0;
/// How quickly the noise is believed to rise, in dB for each packet (5 dB a second), and which part of a fall is believed.
const RISE: f32 = 0.1;
const FALL: f32 = 0.2;

/// How much speech there was lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Activity {
    /// Active packets in a hundred, of the block that is under way and the one before.
    pub immediate: u8,
    /// Active blocks of the last five: a second.
    pub medium: u8,
    /// Active blocks of the last fifteen: three seconds.
    pub long: u8,
    /// The mean of the active packets since the last time that was asked, in dB below full scale; 127 when there was none.
    pub minus_dbov: u8,
}

impl Activity {
    /// Whether somebody speaks now.
    #[must_use]
    pub fn speaks(&self) -> bool {
        self.immediate >= 40 && self.minus_dbov < 127
    }
}

/// What one microphone has heard; some fifty bytes, no allocation.
#[derive(Debug, Default)]
pub struct Voice {
    noise: Option<f32>,
    /// When the block under way began.
    since: Option<Instant>,
    /// Packets and active packets of the block under way, and of the one before.
    counts: [(u16, u16); 2],
    /// A bit for each block before that, the latest the lowest: active or not.
    blocks: u32,
    /// Sum of levels and number of active packets since the last time that was asked.
    loud: (u32, u32),
}

impl Voice {
    /// A packet has come, `minus_dbov` dB below full scale.
    #[inline]
    pub fn on_packet(&mut self, now: Instant, minus_dbov: u8) {
        self.roll(now);
        let level = f32::from(minus_dbov);
        let noise = self.noise.get_or_insert(INITIAL_NOISE);
        let active = minus_dbov <= QUIET && level + ABOVE_NOISE <= *noise;
        // Both are below full scale: the greater is the quieter.
        *noise += if level > *noise { (level - *noise) * FALL } else { -RISE };
        let (packets, loud) = &mut self.counts[0];
        *packets = packets.saturating_add(1);
        *loud = loud.saturating_add(u16::from(active));
        if active {
            self.loud.0 = self.loud.0.saturating_add(u32::from(minus_dbov));
            self.loud.1 = self.loud.1.saturating_add(1);
        }
    }

    /// How much speech there was until `now`; what was loud is told once.
    pub fn take_activity(&mut self, now: Instant) -> Activity {
        self.roll(now);
        let (packets, loud) = self.counts.iter().fold((0_u32, 0_u32), |sum, (packets, loud)| {
            (sum.0 + u32::from(*packets), sum.1 + u32::from(*loud))
        });
        let (sum, count) = std::mem::take(&mut self.loud);
        let count_of = |blocks: u32| (self.blocks & ((1 << blocks) - 1)).count_ones();
        let small = |number: u32| u8::try_from(number).unwrap_or(u8::MAX);
        Activity {
            immediate: small((loud * 100).checked_div(packets).unwrap_or(0)),
            medium: small(count_of(MEDIUM)),
            long: small(count_of(BLOCKS)),
            minus_dbov: small(sum.checked_div(count).unwrap_or(127)),
        }
    }

    /// Ends the blocks whose time is over.
    #[inline]
    fn roll(&mut self, now: Instant) {
        let since = self.since.get_or_insert(now);
        let passed = now.saturating_duration_since(*since).as_millis() / BLOCK.as_millis();
        if passed == 0 {
            return;
        }
        let passed = u32::try_from(passed).unwrap_or(u32::MAX);
        *since += BLOCK * passed;
        let (packets, loud) = std::mem::take(&mut self.counts[0]);
        // One packet alone is what DTX sends to say that nothing has changed.
        let active = packets > 1 && u32::from(loud) * 5 >= u32::from(packets) * 2;
        self.counts[1] = if passed == 1 { (packets, loud) } else { (0, 0) };
        self.blocks = self.blocks.checked_shl(1).unwrap_or(0) | u32::from(active);
        self.blocks = self.blocks.checked_shl(passed - 1).unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many packets of 20 ms at this level.
    fn hear(voice: &mut Voice, at: &mut Instant, packets: u32, minus_dbov: impl Fn(u32) -> u8) -> Activity {
        for n in 0..packets {
            voice.on_packet(*at, minus_dbov(n));
            *at += Duration::from_millis(20);
        }
        voice.take_activity(*at)
    }

    /// Syllables: loud for 160 ms, quiet for 60.
    fn talk(n: u32) -> u8 {
        if n % 11 < 8 { 25 } else { 60 }
    }

    #[test]
    fn speech_is_speech_and_silence_is_not() {
        let (mut voice, mut at) = (Voice::default(), Instant::now());
        let quiet = hear(&mut voice, &mut at, 100, |_| 70);
        assert_eq!((quiet.speaks(), quiet.long, quiet.minus_dbov), (false, 0, 127));
        let speech = hear(&mut voice, &mut at, 100, talk);
        assert!(speech.speaks() && speech.medium >= 4 && speech.long >= 8, "{speech:?}");
        assert_eq!(speech.minus_dbov, 25);
        let after = hear(&mut voice, &mut at, 50, |_| 70);
        assert!(!after.speaks() && after.medium <= 1 && after.long >= 8, "{after:?}");
    }

    #[test]
    fn a_fan_is_not_speech_for_long_and_who_speaks_beside_it_is_heard() {
        let (mut voice, mut at) = (Voice::default(), Instant::now());
        let fan = |n: u32| 38 + u8::try_from(n % 3).expect("small");
        hear(&mut voice, &mut at, 50 * 8, fan);
        let after = hear(&mut voice, &mut at, 50, fan);
        assert!(!after.speaks() && after.medium == 0, "{after:?}");
        let beside = |n: u32| if n % 11 < 8 { 18 } else { fan(n) };
        let speech = hear(&mut voice, &mut at, 100, beside);
        assert!(speech.speaks() && speech.medium >= 4, "{speech:?}");
    }

    #[test]
    fn knocks_are_no_speech() {
        let (mut voice, mut at) = (Voice::default(), Instant::now());
        let keys = hear(&mut voice, &mut at, 200, |n| if n % 7 == 0 { 15 } else { 65 });
        assert!(!keys.speaks() && keys.long == 0, "{keys:?}");
    }

    #[test]
    fn silence_without_packets_is_silence() {
        let (mut voice, mut at) = (Voice::default(), Instant::now());
        hear(&mut voice, &mut at, 150, talk);
        at += Duration::from_millis(700);
        let pause = voice.take_activity(at);
        assert!(!pause.speaks() && pause.medium <= 2 && pause.long >= 9, "{pause:?}");
        at += Duration::from_secs(3600);
        assert_eq!(
            voice.take_activity(at),
            Activity {
                minus_dbov: 127,
                ..Activity::default()
            }
        );
    }
}
