//! One channel: the sum of what is said into it, and of the floor beneath it.

use crate::mix::TICK;
use crate::mix::duck::{Duck, DuckConfig};
use crate::mix::place::{Layout, Position, Ramp, Voice};
use crate::mix::sound::Playing;
use crate::select::Selection;

/// One channel.
#[derive(Debug, Default)]
pub(super) struct Channel {
    pub(super) name: String,
    duck: Option<Duck>,
    /// How much of the floor is in it in this tick; `None`: nothing.
    pub(super) floor: Option<Ramp>,
    /// Who is heard of those who speak into it: an interpreter does not compete with the floor.
    pub(super) selection: Selection,
    pub(super) sounds: Vec<Playing>,
    mono: Vec<f32>,
    stereo: Vec<f32>,
}

impl Channel {
    pub(super) fn new(name: String, over_floor: Option<DuckConfig>, sounds: usize) -> Self {
        Self {
            name,
            duck: over_floor.map(Duck::new),
            floor: None,
            selection: Selection::new(),
            sounds: Vec::with_capacity(sounds),
            mono: vec![0.0; TICK],
            stereo: vec![0.0; 2 * TICK],
        }
    }

    /// The sum of this tick.
    pub(super) fn sum(&self, layout: Layout) -> &[f32] {
        match layout {
            Layout::Mono => &self.mono,
            Layout::Stereo => &self.stereo,
        }
    }

    fn sum_mut(&mut self, layout: Layout) -> &mut [f32] {
        match layout {
            Layout::Mono => &mut self.mono,
            Layout::Stereo => &mut self.stereo,
        }
    }

    /// Begins a tick with silence.
    pub(super) fn clear(&mut self, layouts: &[Layout]) {
        for layout in layouts {
            self.sum_mut(*layout).fill(0.0);
        }
    }

    /// Adds a voice.
    pub(super) fn add(&mut self, voice: &Voice<'_>, layouts: &[Layout]) {
        for layout in layouts {
            voice.add_to(self.sum_mut(*layout), *layout);
        }
    }

    /// Adds the sounds that are played into it.
    pub(super) fn play(&mut self, layouts: &[Layout]) {
        let mut sound = [0.0; TICK];
        if mix_sounds(&mut self.sounds, &mut sound) {
            let voice = Voice::moving(&sound, Layout::Mono, Position(0.0), Position(0.0));
            self.add(&voice, layouts);
        }
    }

    /// Adds the floor, as loud as it may be in this tick.
    pub(super) fn lie_over(&mut self, floor: &Self, layouts: &[Layout]) {
        let talks = !self.selection.is_empty();
        self.floor = self.duck.as_mut().map(|duck| duck.tick(talks));
        let Some(ramp) = self.floor.filter(|ramp| !ramp.is_silent()) else {
            return;
        };
        for layout in layouts {
            add_ramped(self.sum_mut(*layout), floor.sum(*layout), ramp, *layout);
        }
    }
}

/// Adds `sound`, with a gain that moves.
pub(super) fn add_ramped(sum: &mut [f32], sound: &[f32], ramp: Ramp, layout: Layout) {
    let channels = layout.channels();
    let step = (ramp.to - ramp.from) / TICK as f32;
    let mut gain = ramp.from;
    for (sum, sound) in sum.chunks_exact_mut(channels).zip(sound.chunks_exact(channels)) {
        gain += step;
        for (sum, sound) in sum.iter_mut().zip(sound) {
            *sum += gain * sound;
        }
    }
}

/// Adds the sounds that are played to one listener.
pub(super) fn play(sounds: &mut Vec<Playing>, mix: &mut [f32], layout: Layout) {
    let mut sound = [0.0; TICK];
    if mix_sounds(sounds, &mut sound) {
        Voice::moving(&sound, Layout::Mono, Position(0.0), Position(0.0)).add_to(mix, layout);
    }
}

/// Adds up sounds, and forgets those that are over; whether there was any.
fn mix_sounds(sounds: &mut Vec<Playing>, sum: &mut [f32; TICK]) -> bool {
    let any = !sounds.is_empty();
    sounds.retain_mut(|sound| {
        let mut piece = [0.0; TICK];
        let more = sound.read(&mut piece);
        sum.iter_mut().zip(piece).for_each(|(sum, sample)| *sum += sample);
        more
    });
    any
}
