//! The recording of one room: who is there, what they send, what they answer.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use althing_media_core::LayerTarget;
use althing_media_core::payload::MediaKind;
use althing_media_net::LocalPeer;
use althing_recorder::recording::{Person, Recording, RecordingConfig, folder::Folder};
use althing_signalling::Insider;
use althing_signalling::room::{Encryption, Participant, Permissions, Profile, Room, TrackSid};
use axum::http::StatusCode;
use tokio::sync::{mpsc, watch};

use super::thread::{self, Order, Status};
use super::{Recorder, Running, SECRET, Wish, unix_ms};

/// Packets that may wait for the recorder's thread: a second of a hundred pictures.
const CAPACITY: usize = 30_000;
/// Wishes that may wait; who sends one waits as well.
const MAX_WISHES: usize = 64;

/// Somebody wants the room to be recorded.
pub(super) async fn begin(
    recorder: &Recorder,
    room: &str,
    asked_by: Option<String>,
) -> Result<Status, (StatusCode, String)> {
    let unavailable = |problem: &dyn std::fmt::Display| (StatusCode::SERVICE_UNAVAILABLE, format!("{problem}\n"));
    if !recorder.0.signalling.rooms().iter().any(|known| known == room) {
        return Err((StatusCode::NOT_FOUND, "There is nobody in the room.".to_owned()));
    }
    let (wishes, inbox) = mpsc::channel(MAX_WISHES);
    let (tell, status) = watch::channel(Status::default());
    {
        let mut running = recorder.running();
        if running.contains_key(room) {
            return Err((StatusCode::CONFLICT, "The room is recorded already.".to_owned()));
        }
        // Its place is taken, so that nobody begins a second one meanwhile.
        running.insert(
            room.to_owned(),
            Running {
                wishes,
                status: status.clone(),
            },
        );
    }
    let opened = open(recorder, room, asked_by, tell).await;
    let (insider, orders) = match opened {
        Ok(opened) => opened,
        Err(problem) => {
            recorder.running().remove(room);
            return Err(unavailable(&problem));
        }
    };
    let task = Task {
        insider,
        orders,
        people: BTreeSet::new(),
        tracks: BTreeMap::new(),
        speakers: Vec::new(),
    };
    let (recorder, name) = (recorder.clone(), room.to_owned());
    let told = status.clone();
    tokio::spawn(async move {
        task.run(inbox, told).await;
        recorder.running().remove(&name);
    });
    Ok(status.borrow().clone())
}

async fn open(
    recorder: &Recorder,
    room: &str,
    asked_by: Option<String>,
    tell: watch::Sender<Status>,
) -> Result<(Insider, std::sync::mpsc::Sender<Order>), Box<dyn std::error::Error + Send + Sync>> {
    let shared = &recorder.0;
    let began = unix_ms();
    let name: String = room
        .chars()
        .map(|one| if one.is_ascii_alphanumeric() { one } else { '-' })
        .take(40)
        .collect();
    let name = format!("{began}-{name}");
    fs::create_dir_all(&shared.folder)?;
    keep_secret(recorder)?;
    let profile = Profile {
        identity: shared.settings.identity.clone(),
        name: "Recording".to_owned(),
        attributes: BTreeMap::from([("recording".to_owned(), "asks".to_owned())]),
        permissions: Permissions {
            subscribe: true,
            service: true,
            ..Permissions::default()
        },
        ..Profile::default()
    };
    let (insider, peer): (Insider, LocalPeer) = shared.signalling.insider(room, &profile, CAPACITY).await?;
    let mut config = RecordingConfig::new(&name, began, recorder.signer()?);
    config.room = room.to_owned();
    config.keep_days = shared.settings.keep_days;
    let people = insider
        .look(|room| present(room, &shared.settings.identity))
        .unwrap_or_default();
    config.by = asked_by.and_then(|by| people.iter().position(|one| one.identity == by));
    config.people.clone_from(&people);
    let recording = Recording::new(std::time::Instant::now(), config);
    let folder = Folder::create(&shared.folder.join(&name), &recorder.disk()?, recording)?;
    let orders = thread::start(folder, peer, people, tell)?;
    Ok((insider, orders))
}

/// The secret that signs is written down with the first recording.
fn keep_secret(recorder: &Recorder) -> std::io::Result<()> {
    let path = recorder.0.folder.with_file_name(SECRET);
    if path.exists() {
        return Ok(());
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    std::io::Write::write_all(&mut options.open(path)?, &recorder.0.secret)
}

/// The people of a room, without parts of the server.
fn present(room: &Room, me: &str) -> Vec<Person> {
    let people = room.participants().iter().filter(|one| is_person(one, me));
    people
        .map(|one| Person::new(&one.profile.identity, &one.profile.name))
        .collect()
}

fn is_person(one: &Participant, me: &str) -> bool {
    !one.profile.permissions.service && !one.profile.permissions.hidden && one.profile.identity != me
}

struct Task {
    insider: Insider,
    orders: std::sync::mpsc::Sender<Order>,
    people: BTreeSet<String>,
    tracks: BTreeMap<TrackSid, bool>,
    speakers: Vec<String>,
}

/// What the room is like now.
struct Seen {
    people: Vec<Person>,
    /// Whose, which kind, from where, muted.
    tracks: BTreeMap<TrackSid, (String, MediaKind, &'static str, bool)>,
    speakers: Vec<String>,
}

impl Task {
    async fn run(mut self, mut wishes: mpsc::Receiver<Wish>, mut status: watch::Receiver<Status>) {
        let mut told = String::new();
        while let Some(seen) = self.insider.look(Seen::of) {
            self.follow(seen).await;
            let state = status.borrow_and_update().state.clone();
            if state == "over" {
                break;
            }
            if state != told {
                self.insider.set_attribute("recording", &state);
                told = state;
            }
            tokio::select! {
                there = self.insider.changed() => if !there { break },
                changed = status.changed() => if changed.is_err() { break },
                wish = wishes.recv() => match wish {
                    Some(Wish::Answer(identity, agrees)) => self.order(Order::Answer(identity, agrees)),
                    Some(Wish::Stop) | None => break,
                },
            }
        }
        self.order(Order::Stop);
        // The thread tells no more when everything is written.
        while status.changed().await.is_ok() {}
    }

    /// Tells the recorder what has changed.
    async fn follow(&mut self, seen: Seen) {
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
        let here: BTreeSet<String> = seen.people.iter().map(|one| one.identity.clone()).collect();
        for identity in self.people.difference(&here) {
            self.order(Order::Left(identity.clone()));
        }
        for person in seen.people {
            if !self.people.contains(&person.identity) {
                self.order(Order::Joined(person));
            }
        }
        self.people = here;
        for (sid, (owner, kind, source, muted)) in seen.tracks {
            if !self.tracks.contains_key(&sid) {
                // One that is gone already is not there at the next look.
                let Ok(Some(followed)) = self.insider.follow(&sid, LayerTarget::BEST).await else {
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
    }

    /// A thread that has ended is found out by its status.
    fn order(&self, order: Order) {
        let _ = self.orders.send(order);
    }
}

impl Seen {
    fn of(room: &Room) -> Self {
        let people = || room.participants().iter().filter(|one| is_person(one, ""));
        let mut tracks = BTreeMap::new();
        for one in people() {
            // What is encrypted for its receivers nobody could play.
            for track in one
                .tracks()
                .filter(|track| track.details.encryption == Encryption::None)
            {
                let about = (
                    one.profile.identity.clone(),
                    track.kind,
                    track.source.as_str(),
                    track.muted,
                );
                tracks.insert(track.sid.clone(), about);
            }
        }
        let mut speakers: Vec<&Participant> = people().filter(|one| one.speaking > 0).collect();
        speakers.sort_by_key(|one| std::cmp::Reverse(one.speaking));
        Self {
            people: present(room, ""),
            tracks,
            speakers: speakers.into_iter().map(|one| one.profile.identity.clone()).collect(),
        }
    }
}
