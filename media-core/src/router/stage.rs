//! Stages: microphones of which only the loudest are forwarded.
//!
//! Who is heard is decided in [`crate::speakers::loudest`], with each packet. Here is what follows: whoever stops being heard
//! stops for all listeners without a gap in their numbers; whoever begins brings the packets before the first loud one along,
//! so that no first syllable is lost. Peers in the same process hear everybody: mixers choose for themselves, and recorders
//! keep all.

use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::config::{StageConfig, StageId, TrackId};
use crate::forward::Meta;
use crate::packet::{Extension, SeqNo};
use crate::receive::Stream;
use crate::router::Router;
use crate::speakers::loudest::{SelectConfig, Selection};
use crate::transport::Transport;

/// Packets that are brought along by who begins, and how old they may be.
const BEFORE: u64 = 3;
const MAX_AGE: Duration = Duration::from_millis(200);

/// Microphones together.
#[derive(Debug, Default)]
pub(super) struct Stage {
    config: SelectConfig,
    selection: Selection,
    /// By key: who it is, and whether it is heard.
    members: Vec<Option<(TrackId, bool)>>,
}

/// Whether a track on a stage is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// It is.
    Yes,
    /// From now on.
    Begins,
    /// It is not.
    No,
}

impl Stage {
    /// Whether the member `key` was heard with the stage's last packet.
    pub(super) fn hears(&self, key: usize) -> bool {
        self.members.get(key).copied().flatten().is_some_and(|(_, heard)| heard)
    }

    /// A packet of the member `key` has come; `stopped` gets those who are not heard any more.
    fn on_packet(
        &mut self,
        now: Instant,
        key: usize,
        minus_dbov: Option<u8>,
        stopped: &mut SmallVec<[TrackId; 4]>,
    ) -> Heard {
        if let Some(minus_dbov) = minus_dbov {
            self.selection.heard(now, key, minus_dbov, &self.config);
            self.selection.update(now, self.config.loudest, self.config.hold);
        }
        for (member, slot) in self.members.iter_mut().enumerate() {
            if let Some((track, heard)) = slot.as_mut().filter(|(_, heard)| *heard)
                && !self.selection.is_heard(member)
            {
                *heard = false;
                stopped.push(*track);
            }
        }
        match self.members.get_mut(key) {
            Some(Some((_, heard))) if self.selection.is_heard(key) => {
                if std::mem::replace(heard, true) {
                    Heard::Yes
                } else {
                    Heard::Begins
                }
            }
            _ => Heard::No,
        }
    }
}

impl Router {
    /// Puts a microphone on a stage, or takes it off. Of those on a stage only the loudest are forwarded; a track whose
    /// packets cannot tell a level (RFC 6464) is heard always, on no stage. The last configuration counts.
    pub fn set_stage(&mut self, _now: Instant, id: TrackId, stage: Option<(StageId, StageConfig)>) {
        let Some(track) = self.tracks.get_mut(id.0) else { return };
        let before = track.stage.take();
        let tells = track.extensions.id(Extension::AudioLevel).is_some();
        if let Some((stage, config)) = stage.filter(|_| tells) {
            let stage_of = self.stages.entry(stage).or_default();
            stage_of.config = SelectConfig {
                loudest: config.loudest,
                hold: config.hold,
                ..SelectConfig::default()
            };
            let free = stage_of.members.iter().position(Option::is_none);
            let key = free.unwrap_or(stage_of.members.len());
            if free.is_none() {
                stage_of.members.push(None);
            }
            stage_of.members[key] = Some((id, false));
            track.stage = Some((stage, key));
        }
        leave(&mut self.stages, before);
        self.interrupt_far(id);
    }

    /// A packet of a track on a stage has come. Whether it is heard there.
    pub(super) fn on_stage(&mut self, now: Instant, (stage, key): (StageId, usize), minus_dbov: Option<u8>) -> Heard {
        let Some(stage) = self.stages.get_mut(&stage) else {
            return Heard::Yes;
        };
        let mut stopped = SmallVec::new();
        let heard = stage.on_packet(now, key, minus_dbov, &mut stopped);
        for track in stopped {
            self.interrupt_far(track);
        }
        heard
    }

    /// The packets right before `meta`, of a track that begins to be heard: the first of those that are still there, are
    /// young, and were not sent before a mute.
    pub(super) fn first_syllable(now: Instant, stream: &Stream, meta: &Meta) -> Option<Meta> {
        let young = |seq: &SeqNo| {
            let received = stream.history.get(*seq)?;
            let fresh = now.saturating_duration_since(received.arrival) <= MAX_AGE;
            (fresh && !stream.is_hidden(*seq)).then(|| Meta::of(meta.encoding, received))
        };
        let before = (1..=BEFORE).filter_map(|back| meta.seq.0.checked_sub(back).map(SeqNo));
        before
            .map(|seq| young(&seq))
            .take_while(Option::is_some)
            .flatten()
            .last()
    }

    /// Ends the present turn of a track for all listeners but those in the same process.
    fn interrupt_far(&mut self, id: TrackId) {
        let Some(track) = self.tracks.get(id.0) else { return };
        for subscription in &track.subscribers {
            let Some(outgoing) = self.subscriptions.get_mut(subscription.0) else {
                continue;
            };
            let near = self.endpoints.at(outgoing.endpoint);
            if !near.is_some_and(|endpoint| matches!(endpoint.transport, Transport::Local(_))) {
                outgoing.forwarder.interrupt();
            }
        }
    }
}

/// Takes a member off its stage, and the stage away when it was the last one.
pub(super) fn leave(stages: &mut FxHashMap<StageId, Stage>, member: Option<(StageId, usize)>) {
    let Some((id, key)) = member else { return };
    if let Some(stage) = stages.get_mut(&id) {
        stage.selection.remove(key);
        if let Some(slot) = stage.members.get_mut(key) {
            *slot = None;
        }
        if stage.members.iter().all(Option::is_none) {
            stages.remove(&id);
        }
    }
}
