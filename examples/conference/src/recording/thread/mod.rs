//! What is written, on a thread of its own: a slow disk makes nobody else wait.
//!
//! It may be late, and nothing is lost by that: each order has the time when it was given, and what came before it is recorded
//! before it is carried out.

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use althing_media_core::payload::MediaKind;
use althing_media_net::{LocalPacket, LocalPeer};
use althing_recorder::consent::State;
use althing_recorder::frame::Frame;
use althing_recorder::recording::folder::{Drained, Folder};
use althing_recorder::recording::{Person, PersonId, Recording, TrackInfo, TrackNumber};
use althing_signalling::room::{ParticipantSid, TrackSid};
use althing_signalling::{Followed, Said};
use serde::Serialize;
use tokio::sync::{oneshot, watch};

use super::live::Live;
use super::mix::Mixing;

/// How long an order may wait for the next packet.
const PATIENCE: Duration = Duration::from_millis(50);

/// What the thread is told, and when that was.
pub(super) type Given = (Instant, Order);

/// What the thread is told.
pub(super) enum Order {
    Joined(ParticipantSid, Person),
    Left(ParticipantSid),
    Answer(ParticipantSid, bool),
    Track {
        sid: TrackSid,
        owner: ParticipantSid,
        kind: MediaKind,
        source: &'static str,
        followed: Followed,
    },
    TrackGone(TrackSid),
    Muted(TrackSid, bool),
    Speakers(Vec<ParticipantSid>),
    /// Somebody has written something to all.
    Said(Said),
    Chapter(String),
    Stop,
}

/// How far a recording has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Status {
    /// `asks`, `running` or `over`.
    pub(super) state: String,
    /// Who is there, and whether they are recorded.
    people: BTreeMap<String, bool>,
}

/// How a recording went, when everything is written.
pub(super) struct Ended {
    /// A sentence when it broke off.
    pub(super) result: Result<(), String>,
    /// Dropped by who is told last: then it is over.
    pub(super) _tell: watch::Sender<Status>,
}

/// Starts the thread. In the end it gives `tell` away with [`Ended`].
pub(super) fn start(mut tape: Tape, peer: LocalPeer, ended: oneshot::Sender<Ended>) -> io::Result<Sender<Given>> {
    let (sender, orders) = mpsc::channel();
    tape.report();
    thread::Builder::new().name("recorder".to_owned()).spawn(move || {
        let (result, tell) = tape.run(&peer, &orders);
        if let Err(error) = &result {
            tracing::error!(%error, "a recording has ended: its log cannot be written");
        }
        // Not everybody wants to know.
        let _ = ended.send(Ended {
            result: result.map_err(|error| format!("The log cannot be written: {error}")),
            _tell: tell,
        });
    })?;
    Ok(sender)
}

/// What is made of all sound.
pub(super) struct Sound {
    pub(super) mix: Option<Mixing>,
    /// Shown with it.
    pub(super) live: Option<Live>,
    /// It is a file of the recording.
    pub(super) kept: bool,
}

impl Sound {
    fn take(&mut self, now: Instant, recording: &mut Recording, frame: Frame) {
        if let Some(live) = &mut self.live {
            live.sound(&frame);
        }
        if self.kept {
            recording.handle_mix(now, frame);
        }
    }
}

/// The recording, in the hands of the thread.
pub(super) struct Tape {
    folder: Folder,
    sound: Sound,
    /// Each for one stay: who comes back is asked again.
    people: BTreeMap<ParticipantSid, (PersonId, String)>,
    tracks: BTreeMap<TrackSid, TrackNumber>,
    tell: watch::Sender<Status>,
}

impl Tape {
    /// Of these people.
    pub(super) fn new(
        folder: Folder,
        people: Vec<(ParticipantSid, Person)>,
        sound: Sound,
        tell: watch::Sender<Status>,
    ) -> Self {
        let numbered = (1..).map(PersonId).zip(people);
        let people = numbered.map(|(id, (sid, person))| (sid, (id, person.identity)));
        Self {
            folder,
            sound,
            people: people.collect(),
            tracks: BTreeMap::new(),
            tell,
        }
    }

    /// Gives back whom it tells: that is not over yet.
    fn run(mut self, peer: &LocalPeer, orders: &Receiver<Given>) -> (io::Result<()>, watch::Sender<Status>) {
        let result = self.record(peer, orders);
        let now = Instant::now();
        for frame in self.sound.mix.take().into_iter().flat_map(Mixing::finish) {
            self.sound.take(now, self.folder.recording(), frame);
        }
        if let Some(live) = self.sound.live.take() {
            live.finish();
        }
        let result = result.and_then(|()| self.folder.finish(now, peer.lost()));
        (result, self.tell)
    }

    fn record(&mut self, peer: &LocalPeer, orders: &Receiver<Given>) -> io::Result<()> {
        let mut due: Option<Instant> = None;
        // Came after an order that was waiting.
        let mut ahead: Option<LocalPacket> = None;
        loop {
            match orders.try_recv() {
                Ok((at, order)) => {
                    while let Some(packet) = ahead.take().or_else(|| peer.try_recv().ok().flatten()) {
                        if packet.at > at {
                            ahead = Some(packet);
                            break;
                        }
                        self.hear(peer, &packet)?;
                    }
                    if matches!(order, Order::Stop) {
                        break;
                    }
                    self.take(at, order);
                    due = self.drain(peer)?;
                    self.report();
                    continue;
                }
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => break,
            }
            let latest = Instant::now() + PATIENCE;
            let packet = match ahead.take() {
                Some(packet) => Some(packet),
                None => match peer.recv_deadline(due.unwrap_or(latest).min(latest)) {
                    Ok(packet) => packet,
                    Err(_) => break,
                },
            };
            if let Some(packet) = packet {
                due = self.hear(peer, &packet)?;
            }
            let now = Instant::now();
            if due.is_none_or(|due| due <= now) {
                let drained = self.folder.handle_timeout(now)?;
                due = self.after(now, peer, drained)?;
                self.report();
            }
        }
        Ok(())
    }

    /// Takes a packet; gives when something is due.
    fn hear(&mut self, peer: &LocalPeer, packet: &LocalPacket) -> io::Result<Option<Instant>> {
        self.folder.recording().handle_packet(packet.at, &packet.bytes);
        self.drain(peer)
    }

    fn drain(&mut self, peer: &LocalPeer) -> io::Result<Option<Instant>> {
        let drained = self.folder.drain()?;
        self.after(Instant::now(), peer, drained)
    }

    /// Wishes for keyframes go to the router, sound into the mix; gives when something is due.
    fn after(&mut self, now: Instant, peer: &LocalPeer, drained: Drained) -> io::Result<Option<Instant>> {
        if !drained.feedback.is_empty() {
            // A worker that is too busy for it is asked again.
            let _ = peer.send(drained.feedback.iter().map(|packet| packet.to_vec()).collect());
        }
        let recording = self.folder.recording();
        let mut any = false;
        if let Some(live) = &mut self.sound.live {
            for file in drained.pictures.into_iter().filter_map(|picture| live.see(picture)) {
                recording.request_keyframe(&file);
                any = true;
            }
        }
        let mixed = recording.time(now).zip(self.sound.mix.as_mut());
        let mixed: Vec<Frame> = mixed.map_or_else(Vec::new, |(time, mix)| mix.handle(drained.sound, time).collect());
        any |= !mixed.is_empty();
        for frame in mixed {
            self.sound.take(now, recording, frame);
        }
        if !any {
            return Ok(drained.timeout);
        }
        // The mix is no sound that is mixed once more; wishes for keyframes may have come.
        let more = self.folder.drain()?;
        if !more.feedback.is_empty() {
            let _ = peer.send(more.feedback.iter().map(|packet| packet.to_vec()).collect());
        }
        Ok(more.timeout)
    }

    fn take(&mut self, now: Instant, order: Order) {
        let recording = self.folder.recording();
        match order {
            Order::Joined(sid, person) => {
                if let Some(id) = recording.handle_join(now, &person) {
                    self.people.insert(sid, (id, person.identity));
                }
            }
            Order::Left(sid) => {
                if let Some((id, _)) = self.people.remove(&sid) {
                    recording.handle_leave(now, id);
                }
            }
            Order::Answer(sid, agrees) => {
                if let Some((id, _)) = self.people.get(&sid) {
                    recording.handle_answer(now, *id, agrees);
                }
            }
            Order::Track {
                sid,
                owner,
                kind,
                source,
                followed,
            } => {
                let Some((person, _)) = self.people.get(&owner) else {
                    return;
                };
                let info = TrackInfo {
                    person: *person,
                    kind,
                    source: source.replace('_', "-"),
                    ssrc: followed.ssrc,
                    codecs: followed.codecs,
                    extensions: followed.extensions,
                };
                if let Some(number) = recording.handle_track_added(now, info) {
                    if let Some(live) = &mut self.sound.live {
                        live.own(number, *person);
                    }
                    self.tracks.insert(sid, number);
                }
            }
            Order::TrackGone(sid) => {
                if let Some(number) = self.tracks.remove(&sid) {
                    recording.handle_track_removed(now, number);
                }
            }
            Order::Muted(sid, muted) => {
                if let Some(number) = self.tracks.get(&sid) {
                    recording.handle_track_muted(now, *number, muted);
                }
            }
            Order::Speakers(sids) => {
                let people = sids.iter().filter_map(|sid| self.people.get(sid));
                let people: Vec<PersonId> = people.map(|(id, _)| *id).collect();
                if let Some(live) = &mut self.sound.live {
                    live.hear(&people);
                }
                recording.handle_speakers(now, &people);
            }
            Order::Said(said) => {
                if let Some((id, _)) = self.people.get(&said.from) {
                    recording.handle_chat(said.at, *id, &said.text);
                }
            }
            Order::Chapter(title) => recording.handle_chapter(now, &title),
            Order::Stop => {}
        }
    }

    /// Tells all how far it has come.
    fn report(&mut self) {
        let recording = self.folder.recording();
        let state = match recording.state() {
            State::Asking => "asks",
            State::Running => "running",
            State::Over => "over",
        };
        let people = self.people.values();
        let people = people
            .map(|(id, identity)| (identity.clone(), recording.records(*id)))
            .collect();
        let status = Status {
            state: state.to_owned(),
            people,
        };
        self.tell.send_if_modified(|known| {
            let changed = *known != status;
            *known = status;
            changed
        });
    }
}

#[cfg(test)]
mod tests;
