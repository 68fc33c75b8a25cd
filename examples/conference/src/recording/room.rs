//! The recording of one room: who is there, what they send, what they answer.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use althing_media_core::LayerTarget;
use althing_media_core::payload::MediaKind;
use althing_recorder::recording::{Person, Recording, RecordingConfig, folder::Folder};
use althing_signalling::egress::Wanted;
use althing_signalling::room::{Encryption, Participant, ParticipantSid, Permissions, Profile, Room, TrackSid};
use althing_signalling::{Insider, Said};
use axum::http::StatusCode;
use tokio::sync::{mpsc, oneshot, watch};

use super::audience::Audience;
use super::index::State;
use super::keep::Kept;
use super::live::{self, Live};
use super::mix::Mixing;
use super::thread::{self, Ended, Given, Order, Sound, Status, Tape};
use super::{ATTRIBUTE, OF, Recorder, Running, SECRET, Wish, unix_ms};

/// Packets that may wait for the recorder's thread: a second of a hundred pictures.
const CAPACITY: usize = 30_000;
/// After so long it is tried again to follow a track that could not be.
const TRY_AGAIN: Duration = Duration::from_millis(250);
/// Wishes that may wait; who sends one waits as well.
const MAX_WISHES: usize = 64;

/// What somebody wants recorded.
pub(super) struct Asked {
    /// The identity of who wants it; `None` when the application's server does.
    pub(super) by: Option<String>,
    pub(super) wanted: Wanted,
}

impl Asked {
    /// The whole room.
    pub(super) fn all() -> Self {
        Self {
            by: None,
            wanted: Wanted::Room { audio_only: false },
        }
    }
}

/// A recording that people are asked for.
pub(super) struct Begun {
    pub(super) status: watch::Receiver<Status>,
    /// Ends it.
    pub(super) wishes: mpsc::Sender<Wish>,
    pub(super) end: oneshot::Receiver<Ended>,
    pub(super) path: PathBuf,
}

/// Somebody wants the room, or something in it, to be recorded.
pub(super) async fn begin(recorder: &Recorder, room: &str, asked: Asked) -> Result<Begun, (StatusCode, String)> {
    if !recorder.0.signalling.rooms().iter().any(|known| known == room) {
        return Err((StatusCode::NOT_FOUND, "There is nobody in the room.".to_owned()));
    }
    let (wishes, inbox) = mpsc::channel(MAX_WISHES);
    let (tell, status) = watch::channel(Status::default());
    let place = Place::take(
        recorder,
        room,
        Running {
            wishes: wishes.clone(),
            status: status.clone(),
        },
    )?;
    let (reply, answer) = oneshot::channel();
    let (recorder, room) = (recorder.clone(), room.to_owned());
    // On its own: it goes on, or cleans up, when who has asked hangs up.
    tokio::spawn(async move {
        let _place = place;
        match Task::open(&recorder, &room, asked, tell).await {
            Ok((task, path, end)) => {
                let _ = reply.send(Ok(Begun {
                    status: status.clone(),
                    wishes,
                    end,
                    path,
                }));
                task.run(inbox, status).await;
            }
            Err(problem) => {
                tracing::warn!(room, %problem, "a recording cannot begin");
                let _ = reply.send(Err((StatusCode::SERVICE_UNAVAILABLE, problem.to_string())));
            }
        }
    });
    let over = |_| {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "The recording is over already.".to_owned(),
        )
    };
    answer.await.map_err(over)?
}

/// The place of a room's recording among all: nobody begins a second one.
struct Place(Recorder, String);

impl Place {
    fn take(recorder: &Recorder, room: &str, running: Running) -> Result<Self, (StatusCode, String)> {
        let mut all = recorder.running();
        if recorder.0.closed.load(Ordering::Relaxed) {
            return Err((StatusCode::SERVICE_UNAVAILABLE, "The server stops.".to_owned()));
        }
        if all.contains_key(room) {
            return Err((StatusCode::CONFLICT, "The room is recorded already.".to_owned()));
        }
        all.insert(room.to_owned(), running);
        Ok(Self(recorder.clone(), room.to_owned()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.running().remove(&self.1);
    }
}

/// The secret that signs is written down with the first recording: whole, or not at all.
fn keep_secret(recorder: &Recorder) -> io::Result<()> {
    let path = recorder.0.folder.with_file_name(SECRET);
    if path.exists() {
        return Ok(());
    }
    let beside = path.with_extension("new");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&beside)?;
    file.write_all(&recorder.0.secret)?;
    file.sync_all()?;
    fs::rename(&beside, &path)
}

/// The people of a room of whom anything is wanted, without parts of the server: each for this stay.
fn present(room: &Room, wanted: &Wanted) -> Vec<(ParticipantSid, Person)> {
    let people = room.participants().iter();
    let people = people.filter(|one| is_person(one) && wanted.concerns(one));
    let person = |one: &Participant| Person::new(&one.profile.identity, &one.profile.name);
    people.map(|one| (one.sid.clone(), person(one))).collect()
}

fn is_person(one: &Participant) -> bool {
    !one.profile.permissions.service && !one.profile.permissions.hidden
}

struct Task {
    insider: Insider,
    wanted: Wanted,
    kept: Kept,
    orders: std::sync::mpsc::Sender<Given>,
    chat: mpsc::Receiver<Said>,
    people: BTreeSet<ParticipantSid>,
    tracks: BTreeMap<TrackSid, bool>,
    speakers: Vec<ParticipantSid>,
}

/// What the room is like now.
struct Seen {
    people: Vec<(ParticipantSid, Person)>,
    /// Whose, which kind, from where, muted.
    tracks: BTreeMap<TrackSid, (ParticipantSid, MediaKind, &'static str, bool)>,
    speakers: Vec<ParticipantSid>,
}

impl Task {
    async fn open(
        recorder: &Recorder,
        room: &str,
        Asked { by, wanted }: Asked,
        tell: watch::Sender<Status>,
    ) -> Result<(Self, PathBuf, oneshot::Receiver<Ended>), Box<dyn Error + Send + Sync>> {
        let shared = &recorder.0;
        let began = unix_ms();
        let plain = |one: char| if one.is_ascii_alphanumeric() { one } else { '-' };
        let name = format!("{began}-{}", room.chars().map(plain).take(40).collect::<String>());
        fs::create_dir_all(&shared.folder)?;
        keep_secret(recorder)?;
        let mut attributes = BTreeMap::from([(ATTRIBUTE.to_owned(), "asks".to_owned())]);
        let all = matches!(wanted, Wanted::Room { .. });
        if !all {
            // Until it is known whom.
            attributes.insert(OF.to_owned(), "[]".to_owned());
        }
        let profile = Profile {
            identity: shared.settings.identity.clone(),
            name: "Recording".to_owned(),
            attributes,
            permissions: Permissions {
                subscribe: true,
                service: true,
                ..Permissions::default()
            },
            ..Profile::default()
        };
        let (insider, peer) = shared.signalling.insider(room, &profile, CAPACITY).await?;
        let people = insider.look(|room| present(room, &wanted)).unwrap_or_default();
        if !all {
            let identities: Vec<&str> = people.iter().map(|(_, one)| one.identity.as_str()).collect();
            insider.set_attribute(OF, &serde_json::to_string(&identities)?);
        }
        let mut config = RecordingConfig::new(&name, began, recorder.signer()?);
        config.room = room.to_owned();
        config.keep_days = shared.settings.keep_days;
        let minutes = shared.settings.segment_minutes;
        config.segment = minutes.map(|minutes| Duration::from_secs(60 * u64::from(minutes.get())));
        config.by = by.and_then(|by| people.iter().position(|(_, one)| one.identity == by));
        config.people = people.iter().map(|(_, one)| one.clone()).collect();
        let recording = Recording::new(Instant::now(), config);
        let path = shared.folder.join(&name);
        let disk = recorder.disk()?;
        let mut folder = Folder::create(&path, &disk, recording)?;
        let live = (all && shared.settings.live).then(|| {
            folder.show_pictures();
            let (audience, stage) = Audience::new(&path, live::WAIT);
            recorder.show(room, audience);
            Live::new(disk, &path, stage)
        });
        let (ended, end) = oneshot::channel();
        let mix = (all && (shared.settings.mix || shared.settings.live))
            .then(Mixing::start)
            .transpose()?;
        let task = Self {
            kept: Kept::begin(recorder, &path, room, began).await,
            chat: insider.chat(),
            insider,
            wanted,
            // They are known to the machine: who has gone meanwhile has to be told to it.
            people: people.iter().map(|(sid, _)| sid.clone()).collect(),
            orders: thread::start(
                Tape::new(
                    folder,
                    people,
                    Sound {
                        mix,
                        live,
                        kept: shared.settings.mix,
                    },
                    tell,
                ),
                peer,
                ended,
            )?,
            tracks: BTreeMap::new(),
            speakers: Vec::new(),
        };
        Ok((task, path, end))
    }

    async fn run(mut self, mut wishes: mpsc::Receiver<Wish>, mut status: watch::Receiver<Status>) {
        let mut told = String::new();
        while let Some(seen) = self.insider.look(|room| Seen::of(room, &self.wanted)) {
            let all = self.follow(seen).await;
            let state = status.borrow_and_update().state.clone();
            if state == "over" {
                break;
            }
            if state != told {
                self.insider.set_attribute(ATTRIBUTE, &state);
                if state == "running" {
                    self.kept.set_state(State::Recording).await;
                }
                told = state;
            }
            if !self.attend(&mut wishes, &mut status, all).await {
                break;
            }
        }
        self.order(Order::Stop);
        // There is nothing more to tell when everything is written, and told to the server API.
        self.kept.set_state(State::Closing).await;
        while status.changed().await.is_ok() {}
        self.kept.end().await;
    }

    /// Hands on what is wished and said until the room has to be looked at again, which nothing that is said changes; false when
    /// it is over.
    async fn attend(
        &mut self,
        wishes: &mut mpsc::Receiver<Wish>,
        status: &mut watch::Receiver<Status>,
        all: bool,
    ) -> bool {
        let mut again = pin!(tokio::time::sleep(TRY_AGAIN));
        loop {
            tokio::select! {
                // Who comes is known before the answer, and who declines has declined before what is said.
                biased;
                there = self.insider.changed() => return there,
                changed = status.changed() => return changed.is_ok(),
                () = &mut again, if !all => return true,
                wish = wishes.recv() => match wish {
                    Some(Wish::Answer(identity, agrees)) => self.answer(&identity, agrees),
                    Some(Wish::Chapter(title)) => self.order(Order::Chapter(title)),
                    Some(Wish::Stop) | None => return false,
                },
                Some(said) = self.chat.recv() => self.order(Order::Said(said)),
            }
        }
    }

    /// Tells the recorder what has changed; false when something has to be tried again.
    async fn follow(&mut self, seen: Seen) -> bool {
        let mut all = true;
        let gone: Vec<TrackSid> = self
            .tracks
            .keys()
            .filter(|sid| !seen.tracks.contains_key(*sid))
            .cloned()
            .collect();
        for sid in gone {
            self.tracks.remove(&sid);
            self.insider.unfollow(&sid);
            self.order(Order::TrackGone(sid));
        }
        self.greet(seen.people);
        for (sid, (owner, kind, source, muted)) in seen.tracks {
            if !self.tracks.contains_key(&sid) {
                // One that is gone already is not there at the next look; of one that is there, a worker that is too busy now
                // must not be the reason that it is never recorded.
                let Ok(Some(followed)) = self.insider.follow(&sid, LayerTarget::BEST).await else {
                    all = false;
                    continue;
                };
                self.order(Order::Track {
                    sid: sid.clone(),
                    owner,
                    kind,
                    source,
                    followed,
                });
            }
            if self.tracks.insert(sid.clone(), muted).unwrap_or(false) != muted {
                self.order(Order::Muted(sid, muted));
            }
        }
        if seen.speakers != self.speakers {
            self.speakers.clone_from(&seen.speakers);
            self.order(Order::Speakers(seen.speakers));
        }
        all
    }

    /// Tells the recorder who has come and gone.
    fn greet(&mut self, people: Vec<(ParticipantSid, Person)>) {
        let here: BTreeSet<ParticipantSid> = people.iter().map(|(sid, _)| sid.clone()).collect();
        for sid in self.people.difference(&here) {
            self.order(Order::Left(sid.clone()));
        }
        for (sid, person) in people {
            if !self.people.contains(&sid) {
                self.order(Order::Joined(sid, person));
            }
        }
        self.people = here;
    }

    /// Whoever has this identity now says something.
    fn answer(&mut self, identity: &str, agrees: bool) {
        let Some(present) = self.insider.look(|room| present(room, &self.wanted)) else {
            return;
        };
        let found = present.iter().find(|(_, one)| one.identity == identity);
        let found = found.map(|(sid, _)| sid.clone());
        // Who has come since the last look is to be known before the answer.
        self.greet(present);
        if let Some(sid) = found {
            self.order(Order::Answer(sid, agrees));
        }
    }

    /// A thread that has ended is found out by its status.
    fn order(&self, order: Order) {
        let _ = self.orders.send((Instant::now(), order));
    }
}

impl Seen {
    fn of(room: &Room, wanted: &Wanted) -> Self {
        let people = || room.participants().iter().filter(|one| is_person(one));
        let mut tracks = BTreeMap::new();
        for one in people() {
            // What is encrypted for its receivers nobody could play.
            for track in one
                .tracks()
                .filter(|track| wanted.takes(one, track) && track.details.encryption == Encryption::None)
            {
                let about = (one.sid.clone(), track.kind, track.source.as_str(), track.muted);
                tracks.insert(track.sid.clone(), about);
            }
        }
        let mut speakers: Vec<&Participant> = people().filter(|one| one.speaking > 0).collect();
        speakers.sort_by_key(|one| std::cmp::Reverse(one.speaking));
        Self {
            people: present(room, wanted),
            tracks,
            speakers: speakers.into_iter().map(|one| one.sid.clone()).collect(),
        }
    }
}
