//! Who is mixed in one room, and who hears which mix.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc;
use std::time::Duration;

use althing_media_core::payload::{Codec, MediaKind};
use althing_media_core::{CodecParams, ExtensionMap, LayerTarget, Pt, Ssrc, StreamIds, TrackConfig};
use althing_mixer::MAX_OWN;
use althing_signalling::room::{
    Admission, Audience, Encryption, Participant, Permissions, Profile, Room, Source, Track, TrackDetails, TrackSid,
};
use althing_signalling::sdp::CodecSpec;
use althing_signalling::{GuestError, Insider, Signalling};

use tokio::time::timeout;

use super::MixSettings;
use super::thread::{self, CAPACITY, Order};

/// The attribute by which somebody chooses what they hear, and the value that means the mix.
const CHOICE: (&str, &str) = ("listen", "mix");

/// The payload type of the mix.
const OPUS: Pt = Pt::new(111);

/// After so long it is tried again what could not be done: a worker was busy, or a table full.
const AGAIN: Duration = Duration::from_secs(1);

/// The mixer's thread has ended.
struct Ended;

/// Mixes one room as long as it lasts.
pub(super) async fn serve(signalling: Signalling, room: String, settings: MixSettings) {
    if let Err(problem) = Mix::open(&signalling, &room, &settings).await {
        tracing::warn!(room, %problem, "there is no mix");
    }
}

/// The mix of one room.
struct Mix {
    insider: Insider,
    orders: mpsc::Sender<Order>,
    next_ssrc: u32,
    /// For all who do not publish sound.
    common: (TrackSid, Ssrc),
    common_heard: bool,
    /// For those who do, each without their own voice: by identity.
    own: BTreeMap<String, Own>,
    audience: Audience,
}

/// What one person hears who publishes sound.
struct Own {
    track: TrackSid,
    ssrc: Ssrc,
    voices: Vec<TrackSid>,
}

/// What there should be.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    /// Tracks to mix.
    voices: BTreeMap<TrackSid, Codec>,
    /// Who hears all voices but those, which are theirs.
    talkers: BTreeMap<String, Vec<TrackSid>>,
    /// Who hears all voices.
    listeners: BTreeSet<String>,
    /// Somebody hears all voices who is not in the room by its protocol.
    watched: bool,
}

impl Mix {
    async fn open(signalling: &Signalling, room: &str, settings: &MixSettings) -> Result<(), GuestError> {
        let profile = Profile {
            identity: settings.identity.clone(),
            name: "Everybody".to_owned(),
            attributes: BTreeMap::from([("althing.mix".to_owned(), "all".to_owned())]),
            permissions: Permissions {
                publish: true,
                subscribe: true,
                service: true,
                ..Permissions::default()
            },
            ..Profile::default()
        };
        let (mut insider, peer) = signalling.insider(room, &profile, CAPACITY).await?;
        let nobody = Audience { only: Some(Vec::new()) };
        insider.set_audience(nobody.clone());
        let ssrc = Ssrc(1);
        let common = publish(&mut insider, ssrc, Source::Microphone).await?;
        let orders = thread::start(peer, settings.loudest).map_err(GuestError::Io)?;
        let mix = Self {
            insider,
            orders,
            next_ssrc: 2,
            common: (common, ssrc),
            common_heard: false,
            own: BTreeMap::new(),
            audience: nobody,
        };
        mix.run().await
    }

    async fn run(mut self) -> Result<(), GuestError> {
        // What has been done.
        let mut before = Some(Wanted::default());
        loop {
            let (common, me) = (self.common.0.clone(), self.insider.endpoint().0);
            let wanted = self.insider.look(|room| {
                let own = room.connection_of(me).map(|connection| connection.id);
                let service = own
                    .and_then(|own| room.participant_of(own))
                    .map(|one| one.profile.identity.clone());
                Wanted::in_room(room, service.as_deref(), &common)
            });
            let Some(wanted) = wanted else { return Ok(()) };
            if before.as_ref() != Some(&wanted) {
                let Ok(followed) = self.follow(&wanted).await else {
                    return Ok(());
                };
                let Ok(told) = self.tell(&wanted).await else {
                    return Ok(());
                };
                before = (followed && told).then_some(wanted);
            }
            let changed = self.insider.changed();
            let stays = match before {
                Some(_) => changed.await,
                None => timeout(AGAIN, changed).await.unwrap_or(true),
            };
            if !stays {
                return Ok(());
            }
        }
    }

    /// Lets the mixer hear the voices that are wanted, and no others; false when one is missing.
    async fn follow(&mut self, wanted: &Wanted) -> Result<bool, Ended> {
        let gone: Vec<TrackSid> = self
            .insider
            .followed()
            .filter(|sid| !wanted.voices.contains_key(*sid))
            .cloned()
            .collect();
        for sid in gone {
            self.insider.unfollow(&sid);
            self.order(Order::Silence(sid))?;
        }
        let followed: BTreeSet<TrackSid> = self.insider.followed().cloned().collect();
        let mut all = true;
        for (sid, codec) in wanted.voices.iter().filter(|(sid, _)| !followed.contains(*sid)) {
            match self.insider.follow(sid, LayerTarget::BEST).await {
                Ok(Some(followed)) => self.order(Order::Voice(sid.clone(), *codec, followed))?,
                Ok(None) => {}
                // One that is gone already is not wanted any more at the next look.
                Err(problem) => {
                    tracing::debug!(sid = sid.0, %problem, "a voice is not in the mix");
                    all = false;
                }
            }
        }
        Ok(all)
    }

    /// Gives everybody their mix; false when somebody has none, and goes on hearing each voice.
    async fn tell(&mut self, wanted: &Wanted) -> Result<bool, Ended> {
        let common = wanted.watched || !wanted.listeners.is_empty();
        if common != self.common_heard {
            self.common_heard = common;
            self.order(if common {
                Order::Listen(self.common.1, Vec::new())
            } else {
                Order::Leave(self.common.1)
            })?;
        }
        let own = std::mem::take(&mut self.own);
        for (identity, own) in own {
            if wanted.talkers.contains_key(&identity) {
                self.own.insert(identity, own);
            } else {
                self.order(Order::Leave(own.ssrc))?;
                self.insider.unpublish(&own.track);
            }
        }
        let mut all = true;
        for (identity, voices) in &wanted.talkers {
            if let Some(own) = self.own.get_mut(identity) {
                if own.voices != *voices {
                    own.voices.clone_from(voices);
                    let ssrc = own.ssrc;
                    self.order(Order::Listen(ssrc, voices.clone()))?;
                }
                continue;
            }
            let ssrc = Ssrc(self.next_ssrc);
            self.next_ssrc = self.next_ssrc.wrapping_add(1).max(2);
            let track = match publish(&mut self.insider, ssrc, Source::Other).await {
                Ok(track) => track,
                Err(problem) => {
                    tracing::debug!(identity, %problem, "no mix for who talks");
                    all = false;
                    continue;
                }
            };
            let voices = voices.clone();
            self.order(Order::Listen(ssrc, voices.clone()))?;
            self.own.insert(identity.clone(), Own { track, ssrc, voices });
        }
        let admit = |identity: &String, track: &TrackSid| Admission {
            sid: String::new(),
            identity: identity.clone(),
            tracks: Some(vec![track.clone()]),
        };
        let listeners = wanted.listeners.iter().map(|identity| admit(identity, &self.common.0));
        let talkers = self.own.iter().map(|(identity, own)| admit(identity, &own.track));
        let audience = Audience {
            only: Some(listeners.chain(talkers).collect()),
        };
        if audience != self.audience {
            self.audience = audience.clone();
            self.insider.set_audience(audience);
        }
        Ok(all)
    }

    fn order(&self, order: Order) -> Result<(), Ended> {
        self.orders.send(order).map_err(|_| Ended)
    }
}

impl Wanted {
    fn in_room(room: &Room, me: Option<&str>, common: &TrackSid) -> Self {
        let mut wanted = Self::default();
        let mut all = room.participants().iter().flat_map(Participant::tracks);
        let track = all.find(|track| track.sid == *common);
        wanted.watched = track.is_some_and(|track| room.demand(track).is_some());
        let (choice, mix) = CHOICE;
        let others = || {
            room.participants()
                .iter()
                .filter(|one| Some(one.profile.identity.as_str()) != me)
        };
        for one in others().filter(|one| one.profile.attributes.get(choice).is_some_and(|chosen| chosen == mix)) {
            let voices: Vec<TrackSid> = voices(one).map(|track| track.sid.clone()).collect();
            let identity = one.profile.identity.clone();
            if voices.is_empty() {
                wanted.listeners.insert(identity);
            } else {
                wanted.talkers.insert(identity, voices);
            }
        }
        // While nobody listens, nothing is decoded.
        if wanted.watched || !wanted.talkers.is_empty() || !wanted.listeners.is_empty() {
            // Everybody hears the mix: it has nothing of who chooses their listeners.
            let open = others().filter(|one| one.audience.only.is_none());
            let voices = open.flat_map(voices);
            wanted.voices = voices.map(|track| (track.sid.clone(), track.codec.codec)).collect();
        }
        wanted
    }
}

/// What can be mixed of one participant: sound that is not encrypted for its receivers, and no more of it than a listener can
/// be spared of its own.
fn voices(one: &Participant) -> impl Iterator<Item = &Track> {
    let open = |track: &&Track| track.kind == MediaKind::Audio && track.details.encryption == Encryption::None;
    one.tracks().filter(open).take(MAX_OWN)
}

async fn publish(insider: &mut Insider, ssrc: Ssrc, source: Source) -> Result<TrackSid, GuestError> {
    let track = TrackConfig {
        mid: None,
        kind: MediaKind::Audio,
        codecs: vec![CodecParams::new(Codec::Opus, OPUS)],
        extensions: ExtensionMap::new(),
        rids: Default::default(),
        streams: [StreamIds::new(ssrc)].into_iter().collect(),
        nack: false,
        transport_cc: false,
        encrypted: false,
    };
    let codec = CodecSpec {
        codec: Codec::Opus,
        h264: None,
    };
    let details = TrackDetails {
        name: "mix".to_owned(),
        stream: "mix".to_owned(),
        ..TrackDetails::default()
    };
    insider.publish(track, source, codec, details).await
}
