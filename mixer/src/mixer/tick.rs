//! One tick: who is heard, what they say, the sums, and who gets what.

use std::time::Instant;

use crate::mix::place::{Layout, Ramp};
use crate::mix::{TICK, TICK_TIME};
use crate::mixer::Mixer;
use crate::mixer::channel::{Channel, add_ramped, play};
use crate::mixer::listener::Mixed;
use crate::mixer::load::Effort;
use crate::mixer::source::Source;
use crate::mixer::table::Table;

/// A caller who comes so much too late, in ticks, is not caught up with: the time between is left out.
const MAX_LATE: u32 = 10;
/// Slot of the floor: it is the first channel, and stays.
const FLOOR: usize = 0;

impl Mixer {
    /// Mixes the next tick, if it is due, and gives what each listener gets, one after the other.
    ///
    /// Call it for [`Mixer::next_tick`]. A late call mixes one tick; call again until the next one is not due. Who comes more
    /// than 200 ms late has missed what is between.
    ///
    /// Cost: some 30 µs for each source that is heard and 60 µs for each encode (Opus without redundancy), and well below 1 µs for every other
    /// source and listener.
    pub fn tick(&mut self, now: Instant) -> Mixed<'_> {
        let due = now >= self.due;
        if due {
            self.keep_pace(now);
            self.mix();
        }
        Mixed {
            elapsed: self.elapsed.saturating_sub(1),
            due,
            listeners: self.listeners.named_mut(),
            outputs: &self.outputs,
        }
    }

    /// Goes on after a time in which nobody called [`Mixer::tick`] because nobody listened: media time has passed, and the
    /// caller was not late.
    pub fn resume(&mut self, now: Instant) {
        self.leave_out(now);
    }

    /// Leaves out what is too late to be heard.
    fn keep_pace(&mut self, now: Instant) {
        let missed = self.leave_out(now);
        if missed > 0 {
            self.stats.missed_ticks += u64::from(missed);
            self.load.missed();
        }
    }

    /// The time between is left out, when it is long; how many ticks.
    fn leave_out(&mut self, now: Instant) -> u32 {
        let late = now.saturating_duration_since(self.due);
        if late <= TICK_TIME * MAX_LATE {
            return 0;
        }
        let missed = u32::try_from(late.as_nanos() / TICK_TIME.as_nanos()).unwrap_or(u32::MAX);
        self.due += TICK_TIME * missed;
        self.elapsed += u64::from(missed);
        missed
    }

    fn mix(&mut self) {
        let effort = self.load.effort(self.config.select.loudest);
        self.stats.ticks += 1;
        self.stats.ticks_without_denoise += u64::from(!effort.denoise);
        self.stats.ticks_without_level += u64::from(!effort.level);
        self.stats.ticks_with_fewer_talkers += u64::from(effort.measured > 1);
        let layouts: &[Layout] = match self.outputs.layouts() {
            (true, true) => &[Layout::Mono, Layout::Stereo],
            (true, false) => &[Layout::Mono],
            (false, true) => &[Layout::Stereo],
            (false, false) => &[],
        };
        self.choose(effort);
        self.speak(effort, layouts);
        self.sum(layouts);
        self.route();
        self.encode();
        self.sources.retain(|_, source| {
            source.arrive();
            !source.leaving
        });
        self.due += TICK_TIME;
        self.elapsed += 1;
    }

    /// Measures those who do not tell how loud they are, and decides who is heard.
    fn choose(&mut self, effort: Effort) {
        let due = self.due;
        let turn = usize::try_from(self.elapsed % 1024).unwrap_or(0);
        for (slot, source) in self.sources.iter_mut() {
            let Some(channel) = self.channels.at_mut(source.channel) else {
                continue;
            };
            let untold = !source.tells && !source.muted && !source.leaving;
            if untold && (channel.selection.is_heard(slot) || (slot + turn) % effort.measured == 0) {
                source.pull(due);
                self.stats.pulled += 1;
                let level = source.measure();
                channel.selection.heard(due, slot, level, &self.config.select);
            }
        }
        for (_, channel) in self.channels.iter_mut() {
            channel.selection.update(due, effort.loudest, self.config.select.hold);
        }
    }

    /// Fetches what those who are heard say, and adds it to their channels. Time passes for the others.
    fn speak(&mut self, effort: Effort, layouts: &[Layout]) {
        for (_, channel) in self.channels.iter_mut() {
            channel.clear(layouts);
        }
        for (slot, source) in self.sources.iter_mut() {
            let Some(channel) = self.channels.at_mut(source.channel) else {
                continue;
            };
            let heard = channel.selection.is_heard(slot);
            if !heard && !source.is_audible() {
                source.pass(self.due);
                continue;
            }
            if source.pull(self.due) {
                self.stats.pulled += 1;
            }
            source.shape(heard, effort);
            if source.sounds {
                channel.add(&source.voice(), layouts);
            }
        }
    }

    /// Adds announcements, and the floor beneath the other channels.
    fn sum(&mut self, layouts: &[Layout]) {
        for (_, channel) in self.channels.iter_mut() {
            channel.play(layouts);
        }
        // The floor is taken out for a moment, because the others read it.
        let Some(floor) = self.channels.at_mut(FLOOR).map(std::mem::take) else {
            return;
        };
        for (slot, channel) in self.channels.iter_mut() {
            if slot != FLOOR {
                channel.lie_over(&floor, layouts);
            }
        }
        if let Some(place) = self.channels.at_mut(FLOOR) {
            *place = floor;
        }
    }

    /// Gives an encode of its own to who needs one, and takes it back from who does not any more.
    fn route(&mut self) {
        self.outputs.begin();
        let Self {
            listeners,
            sources,
            channels,
            outputs,
            ..
        } = self;
        for (_, listener) in listeners.iter_mut() {
            let needs = listener.leaves.is_some()
                || !listener.sounds.is_empty()
                || listener
                    .own_voices(sources)
                    .any(|source| is_in(source, listener.channel, channels));
            let wants = listener.wants_own(needs);
            match listener.own {
                // It has been made before with the same settings. If not, the listener goes on hearing all.
                None if wants => listener.own = outputs.take_own(listener.config.encoding, listener.shared).ok(),
                Some(own) if !wants => {
                    listener.own = None;
                    outputs.return_own(own, listener.shared);
                }
                _ => {}
            }
            if listener.own.is_none() {
                outputs.listen(listener.shared);
            }
        }
    }

    /// Encodes once for all who are silent, and once for each who is not.
    fn encode(&mut self) {
        let Self {
            listeners,
            sources,
            channels,
            outputs,
            scratch,
            stats,
            ..
        } = self;
        stats.encoded_shared += outputs.finish_shared(|channel, output| {
            if let Some(channel) = channels.at(channel) {
                output.pcm.copy_from_slice(channel.sum(output.encoding.layout()));
            }
        });
        for (_, listener) in listeners.iter_mut() {
            let Some(slot) = listener.own else { continue };
            stats.encoded_own += 1;
            outputs.finish_own(slot, |output| {
                let layout = output.encoding.layout();
                let mix = &mut output.pcm[..];
                hear(mix, layout, listener.channel, listener.own_voices(sources), channels);
                if let Some(left) = listener.leaves.take() {
                    let old = &mut scratch[..layout.samples()];
                    hear(old, layout, left, listener.own_voices(sources), channels);
                    Ramp { from: 0.0, to: 1.0 }.apply(mix, layout.channels());
                    add_ramped(mix, old, Ramp { from: 1.0, to: 0.0 }, layout);
                }
                play(&mut listener.sounds, mix, layout);
            });
        }
    }
}

/// Whether what a source says is in the sum of a channel.
fn is_in(source: &Source, channel: usize, channels: &Table<Channel>) -> bool {
    let beneath = || channels.at(channel).is_some_and(|channel| channel.floor.is_some());
    source.sounds && (source.channel == channel || source.channel == FLOOR && beneath())
}

/// The sum of a channel, without one's own voices.
fn hear<'a>(
    mix: &mut [f32],
    layout: Layout,
    channel: usize,
    own: impl Iterator<Item = &'a Source>,
    channels: &Table<Channel>,
) {
    let Some(heard) = channels.at(channel) else { return };
    mix.copy_from_slice(heard.sum(layout));
    for own in own.filter(|own| own.sounds) {
        if own.channel == channel {
            own.voice().take_from(mix, layout);
        } else if let Some(ramp) = heard.floor.filter(|_| own.channel == FLOOR) {
            let mut voice = [0.0; 2 * TICK];
            let voice = &mut voice[..layout.samples()];
            own.voice().take_from(voice, layout);
            add_ramped(mix, voice, ramp, layout);
        }
    }
}
