//! The machine: sources, listeners, channels, and a tick of 20 ms.
//!
//! ```text
//!  packets ─► playout ─► decode ─► denoise ─► level ─► fade ─┬─► floor ───────────────┬─► − own voice ─► limit ─► encode
//!  levels ──► who is heard                                   └─► channel + floor, ducked ─► limit ─► encode, once for all
//!                                                                                                    who are silent
//! ```
//!
//! * Who is not among the loudest costs a place in a queue, and is not decoded.
//! * Who does not talk gets what is encoded once for all who hear the same channel in the same encoding.
//! * Who talks gets the sum without itself, encoded for it alone, until 300 ms after its voice has left the sum.
//! * Announcements to one listener, and a change of channel, are done by an encode of its own as well.
//!
//! A tick allocates nothing of its own once tables and queues have their size, and takes no lock. Nothing here knows
//! sockets, sessions or RTCP.

mod channel;
mod config;
mod listener;
mod load;
mod output;
mod source;
mod stats;
mod table;
mod tick;

use std::time::{Duration, Instant};

use althing_media_core::Packet;

use crate::mix::TICK;
use crate::mix::place::Position;
use crate::mix::sound::{Playing, Sound};
use channel::Channel;
pub use config::{
    Audience, ChannelConfig, ChannelId, Encoding, Input, ListenerConfig, ListenerId, MAX_CHANNELS, MAX_OWN, MAX_SOUNDS,
    MixerConfig, Own, SourceConfig, SourceId, UsageError,
};
use listener::Listener;
pub use listener::{Mixed, MixedPacket};
use load::Load;
use output::Outputs;
use source::Source;
pub use stats::{ListenerStats, MixerStats, SourceStats};
use table::Table;

/// Mixes one room.
#[derive(Debug)]
pub struct Mixer {
    config: MixerConfig,
    sources: Table<Source>,
    channels: Table<Channel>,
    listeners: Table<Listener>,
    outputs: Outputs,
    load: Load,
    /// When the next tick is due.
    due: Instant,
    /// Ticks since the start, with those that were left out.
    elapsed: u64,
    /// Room for one mix.
    scratch: Vec<f32>,
    stats: MixerStats,
}

impl Mixer {
    /// An empty room, whose first tick is due at `now`.
    #[must_use]
    pub fn new(now: Instant, config: MixerConfig) -> Self {
        let mut channels = Table::new();
        channels.insert(Channel::new(String::new(), None, MAX_SOUNDS));
        Self {
            config,
            sources: Table::new(),
            channels,
            listeners: Table::new(),
            outputs: Outputs::default(),
            load: Load::default(),
            due: now,
            elapsed: 0,
            scratch: vec![0.0; 2 * TICK],
            stats: MixerStats::default(),
        }
    }

    /// Adds a channel beside the floor.
    ///
    /// # Errors
    /// [`UsageError::Full`].
    pub fn add_channel(&mut self, config: ChannelConfig) -> Result<ChannelId, UsageError> {
        if self.channels.len() >= MAX_CHANNELS {
            return Err(UsageError::Full);
        }
        let channel = Channel::new(config.name, config.over_floor, MAX_SOUNDS);
        Ok(ChannelId(self.channels.insert(channel)))
    }

    /// The channel of that name; the floor's is empty.
    #[must_use]
    pub fn channel(&self, name: &str) -> Option<ChannelId> {
        self.channels.find(|channel| channel.name == name).map(ChannelId)
    }

    /// Removes a channel that nobody speaks into or hears.
    ///
    /// # Errors
    /// [`UsageError::NoChannel`], [`UsageError::InUse`].
    pub fn remove_channel(&mut self, channel: ChannelId) -> Result<(), UsageError> {
        let slot = self.channel_slot(channel)?;
        let used = self.sources.iter().any(|source| source.channel == slot)
            || self
                .listeners
                .iter()
                .any(|listener| listener.channel == slot || listener.leaves == Some(slot));
        if used || channel == ChannelId::FLOOR {
            return Err(UsageError::InUse);
        }
        self.channels.remove(channel.0);
        Ok(())
    }

    /// Adds a source. Allocates its decoder and queues.
    ///
    /// # Errors
    /// [`UsageError::Full`], [`UsageError::NoChannel`], [`UsageError::Codec`].
    pub fn add_source(&mut self, config: &SourceConfig) -> Result<SourceId, UsageError> {
        if self.sources.len() >= self.config.max_sources {
            return Err(UsageError::Full);
        }
        let channel = self.channel_slot(config.channel)?;
        let id = self.sources.insert(Source::new(config, channel, self.config.level)?);
        if let Some((slot, channel)) = self.sources.slot(id).zip(self.channels.at_mut(channel)) {
            channel.selection.reserve(slot + 1);
        }
        Ok(SourceId(id))
    }

    /// Takes an RTP packet of a source. A source that is gone, or is none of packets, is ignored.
    ///
    /// Cost: a place in a queue; the payload is shared, not copied.
    pub fn push(&mut self, now: Instant, source: SourceId, packet: &Packet) {
        let Some(slot) = self.sources.slot(source.0) else {
            return;
        };
        let Some(source) = self.sources.at_mut(slot) else {
            return;
        };
        let level = source.push(now, packet);
        if let Some(level) = level.filter(|_| !source.muted && !source.leaving)
            && let Some(channel) = self.channels.at_mut(source.channel)
        {
            channel.selection.heard(now, slot, level, &self.config.select);
        }
    }

    /// Takes samples of a PCM source, interleaved, at 48 kHz: at most 200 ms wait. Gives how many it took.
    ///
    /// # Errors
    /// [`UsageError::NoSource`].
    pub fn push_pcm(&mut self, source: SourceId, pcm: &[f32]) -> Result<usize, UsageError> {
        Ok(self.source(source)?.push_pcm(pcm))
    }

    /// Changes a source's gain, in dB: within a tick, without a step.
    ///
    /// # Errors
    /// [`UsageError::NoSource`].
    pub fn set_gain(&mut self, source: SourceId, decibels: f32) -> Result<(), UsageError> {
        self.source(source)?.set_gain(decibels);
        Ok(())
    }

    /// Moves a source between left and right, within a tick.
    ///
    /// # Errors
    /// [`UsageError::NoSource`].
    pub fn set_position(&mut self, source: SourceId, position: Position) -> Result<(), UsageError> {
        self.source(source)?.set_position(position);
        Ok(())
    }

    /// Mutes a source, or lets it be heard again.
    ///
    /// # Errors
    /// [`UsageError::NoSource`].
    pub fn set_muted(&mut self, source: SourceId, muted: bool) -> Result<(), UsageError> {
        let slot = self.sources.slot(source.0).ok_or(UsageError::NoSource)?;
        let entry = self.source(source)?;
        entry.muted = muted;
        let channel = entry.channel;
        if muted {
            self.hush(channel, slot);
        }
        Ok(())
    }

    /// Removes a source. What it says fades out in the next tick.
    pub fn remove_source(&mut self, source: SourceId) {
        let Some(slot) = self.sources.slot(source.0) else {
            return;
        };
        let Some(entry) = self.sources.at_mut(slot) else { return };
        entry.leaving = true;
        let (channel, audible) = (entry.channel, entry.is_audible());
        self.hush(channel, slot);
        if !audible {
            self.sources.remove(source.0);
        }
    }

    /// Adds a listener. Allocates an encoder when it is the first of its kind, or one for the time when it talks.
    ///
    /// # Errors
    /// [`UsageError::Full`], [`UsageError::NoChannel`], [`UsageError::Codec`].
    pub fn add_listener(&mut self, config: ListenerConfig) -> Result<ListenerId, UsageError> {
        if self.listeners.len() >= self.config.max_listeners {
            return Err(UsageError::Full);
        }
        let channel = self.channel_slot(config.channel)?;
        let shared = self.outputs.join(channel, config.encoding)?;
        let listener = Listener::new(config, channel, shared, MAX_SOUNDS);
        let id = ListenerId(self.listeners.insert(listener));
        self.stock(config.encoding)?;
        Ok(id)
    }

    /// Lets a listener hear another channel: it fades over within a tick.
    ///
    /// # Errors
    /// [`UsageError::NoListener`], [`UsageError::NoChannel`], [`UsageError::Codec`].
    pub fn set_channel(&mut self, listener: ListenerId, channel: ChannelId) -> Result<(), UsageError> {
        let to = self.channel_slot(channel)?;
        let entry = self.listeners.get(listener.0).ok_or(UsageError::NoListener)?;
        let (encoding, from, home, own) = (entry.config.encoding, entry.channel, entry.shared, entry.own);
        let shared = self.outputs.join(to, encoding)?;
        let own = match own {
            Some(own) => own,
            None => self.outputs.take_own(encoding, home)?,
        };
        if let Some(entry) = self.listeners.get_mut(listener.0) {
            // Twice in one tick: it fades from where it was at the end of the last one.
            entry.leaves.get_or_insert(from);
            entry.channel = to;
            entry.config.channel = channel;
            entry.own = Some(own);
            entry.shared = shared;
            self.outputs.part(home);
        }
        self.stock(encoding)
    }

    /// Says which sources are the listener's own voices, which it then does not hear.
    ///
    /// # Errors
    /// [`UsageError::NoListener`].
    pub fn set_own(&mut self, listener: ListenerId, own: Own) -> Result<(), UsageError> {
        let entry = self.listeners.get_mut(listener.0).ok_or(UsageError::NoListener)?;
        entry.config.own = own;
        let encoding = entry.config.encoding;
        self.stock(encoding)
    }

    /// Removes a listener.
    pub fn remove_listener(&mut self, listener: ListenerId) {
        if let Some(listener) = self.listeners.remove(listener.0) {
            if let Some(own) = listener.own {
                self.outputs.return_own(own, listener.shared);
            }
            self.outputs.part(listener.shared);
            // Fewer are wanted now, so none is made.
            let _ = self.stock(listener.config.encoding);
        }
    }

    /// Plays a sound to a channel or to one listener, from the next tick on.
    ///
    /// # Errors
    /// [`UsageError::NoChannel`], [`UsageError::NoListener`]; [`UsageError::Full`] when [`MAX_SOUNDS`] are being played.
    pub fn play(&mut self, audience: Audience, sound: &Sound) -> Result<(), UsageError> {
        let sounds = match audience {
            Audience::Channel(channel) => &mut self.channels.get_mut(channel.0).ok_or(UsageError::NoChannel)?.sounds,
            Audience::Listener(listener) => {
                &mut self.listeners.get_mut(listener.0).ok_or(UsageError::NoListener)?.sounds
            }
        };
        if sounds.len() >= MAX_SOUNDS {
            return Err(UsageError::Full);
        }
        sounds.push(Playing::new(sound.clone()));
        Ok(())
    }

    /// When the next tick is due.
    #[must_use]
    pub fn next_tick(&self) -> Instant {
        self.due
    }

    /// The caller needed so long for a tick: better processor time than time, or what others do meanwhile counts as well. When
    /// that is too long again and again, or ticks were missed and this one was not short, the mixer leaves out noise
    /// suppression, then levelling, then all but the loudest talkers, and takes it back when there is time again.
    pub fn took(&mut self, time: Duration) {
        self.load.took(time);
    }

    /// Figures of the whole.
    #[must_use]
    pub fn stats(&self) -> MixerStats {
        MixerStats {
            sources: self.sources.len(),
            listeners: self.listeners.len(),
            heard: self.channels.iter().map(|channel| channel.selection.len()).sum(),
            talkers: self.channels.iter().map(|channel| channel.selection.talkers()).sum(),
            late_encoders: self.outputs.late,
            encode_errors: self.outputs.errors,
            ..self.stats
        }
    }

    /// Figures of a source; `None` when it is gone.
    #[must_use]
    pub fn source_stats(&self, source: SourceId) -> Option<SourceStats> {
        let slot = self.sources.slot(source.0)?;
        let source = self.sources.at(slot)?;
        let channel = self.channels.at(source.channel);
        Some(source.stats(channel.is_some_and(|channel| channel.selection.is_heard(slot))))
    }

    /// Figures of a listener; `None` when it is gone.
    #[must_use]
    pub fn listener_stats(&self, listener: ListenerId) -> Option<ListenerStats> {
        self.listeners.get(listener.0).map(Listener::stats)
    }

    fn source(&mut self, source: SourceId) -> Result<&mut Source, UsageError> {
        self.sources.get_mut(source.0).ok_or(UsageError::NoSource)
    }

    /// A source is not heard any more.
    fn hush(&mut self, channel: usize, slot: usize) {
        if let Some(channel) = self.channels.at_mut(channel) {
            channel.selection.remove(slot);
        }
    }

    fn channel_slot(&self, channel: ChannelId) -> Result<usize, UsageError> {
        self.channels.slot(channel.0).ok_or(UsageError::NoChannel)
    }

    /// Keeps as many encodes in stock as there may be talkers.
    fn stock(&mut self, encoding: Encoding) -> Result<(), UsageError> {
        let mine = |listener: &&Listener| listener.config.encoding == encoding;
        let members = self.listeners.iter().filter(mine);
        let (all, used) = members.fold((0, 0), |(all, used), listener| {
            (all + 1, used + usize::from(listener.own.is_some()))
        });
        let wanted = all.min(self.config.select.loudest + 1);
        Ok(self.outputs.stock(encoding, used, wanted)?)
    }
}
