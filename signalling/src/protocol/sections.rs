//! The media sections of a connection on which the client offers: we answer, and what we send takes sections that the
//! client has offered for receiving. A client with two connections only sends on this one; see `downlink` for the other.
//!
//! RFC 9429 §5.3. When there are too few of them the client is asked for more, and when one is no longer needed it is
//! asked to offer again. A section that was freed is used again only after an answer in which nothing flows in it: a
//! browser would show no new track otherwise.

use std::collections::HashMap;

use althing_media_core::Mid;
use althing_media_core::config::SubscriptionId;
use althing_media_core::payload::{Codec, MediaKind};
use althing_media_core::transport::RemoteDescription;

use super::media::{Change, Changed, Opening};
use super::wire::proto;
use super::wishes::Wishes;
use crate::hub::{random, random_stream};
use crate::room::{Participant, Track, TrackSid};
use crate::sdp::{
    Agreement, Codecs, Description, Format, Msid, NegotiationError, Outgoing, Reception, Role, Section, Wish,
};
use crate::sdp::{MAX_SECTIONS, answer_growing};

/// All sections of a client.
#[derive(Debug, Default)]
pub(super) struct Sections {
    /// By name, as in the last offer.
    used: HashMap<Mid, Use>,
    /// Audio and video sections that are free.
    free: [usize; 2],
    total: usize,
    remote: Option<RemoteDescription>,
    /// The client was asked to offer, or will do so by itself.
    awaiting: bool,
    /// Tracks that the client cannot decode.
    refused: Vec<TrackSid>,
    session: u64,
    version: u64,
}

/// What a section is used for.
#[derive(Debug, Clone)]
enum Use {
    /// The client sends.
    Publishing(TrackSid, Reception),
    /// We send.
    Sending(Sent),
}

/// A track that we send.
#[derive(Debug, Clone)]
struct Sent {
    track: TrackSid,
    subscription: SubscriptionId,
    outgoing: Outgoing,
}

/// A new track in an offer.
#[derive(Debug, Clone)]
pub(super) struct Arrival {
    pub(super) mid: Mid,
    pub(super) expected: Expected,
}

/// An announced track that begins in a section.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    pub(super) sid: TrackSid,
    /// How it is wanted.
    pub(super) reception: Reception,
    /// Its payloads are encrypted from end to end.
    pub(super) encrypted: bool,
}

/// What follows from an offer: to be done by the router, then to be answered.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) id: u32,
    pub(super) change: Change,
    pub(super) agreement: Agreement,
    pub(super) arrivals: Vec<Arrival>,
    /// Tracks whose sections the client does not send in any more.
    pub(super) departures: Vec<TrackSid>,
    opened: Vec<(Mid, TrackSid, Outgoing)>,
    used: HashMap<Mid, Use>,
    free: [usize; 2],
    pub(super) refused: Vec<TrackSid>,
}

impl Sections {
    pub(super) fn new() -> Self {
        Self {
            awaiting: true,
            session: random() >> 2,
            ..Self::default()
        }
    }

    /// What becomes of an offer. `announced` finds the announced track for a section in which the client begins to send.
    pub(super) fn plan(
        &self,
        (id, offer): (u32, &Description),
        codecs: &Codecs,
        wanted: &[(&Participant, &Track)],
        wishes: &Wishes,
        mut announced: impl FnMut(&Section) -> Option<Expected>,
    ) -> Result<Plan, NegotiationError> {
        let mut draft = Draft::new(self, wanted);
        let agreement = answer_growing(offer, codecs, |section| draft.wish(section, &mut announced))?;
        let Draft {
            used,
            mut arrivals,
            departures,
            close,
            refused,
            mut opened,
            free,
            ..
        } = draft;
        let restarts = self
            .remote
            .as_ref()
            .is_none_or(|known| known.ice != agreement.remote.ice);
        let agreed = |mid: Mid| agreement.sections.iter().find(|agreed| agreed.mid == mid);
        // What could not be agreed (no codec) is not there.
        arrivals.retain(|arrival| agreed(arrival.mid).is_some_and(|agreed| agreed.role == Role::Receiving));
        opened.retain(|(mid, ..)| agreed(*mid).is_some_and(|agreed| matches!(agreed.role, Role::Sending(_))));
        let track = |arrival: &Arrival| {
            let mut track = agreed(arrival.mid)?.track()?;
            track.encrypted = arrival.expected.encrypted;
            Some(track)
        };
        let tracks = arrivals.iter().filter_map(track);
        let opening = |(mid, sid, _): &(Mid, TrackSid, Outgoing)| {
            let mut config = agreed(*mid)?.subscription()?;
            let (owner, track) = wanted.iter().find(|(_, track)| track.sid == *sid)?;
            config.layers = wishes.layers(track);
            Some(Opening {
                config,
                source: track.id,
                paused: wishes.pauses(sid),
                rank: wishes.rank(owner, track),
            })
        };
        let change = Change {
            endpoint: None,
            remote: restarts.then(|| agreement.remote.clone()),
            candidates: agreement.candidates.clone(),
            max_message: offer.max_message(),
            tracks: tracks.collect(),
            open: opened.iter().filter_map(opening).collect(),
            close,
        };
        Ok(Plan {
            id,
            change,
            arrivals,
            departures,
            opened,
            used,
            free,
            refused,
            agreement,
        })
    }

    /// The plan has been carried out: the answer to the offer.
    pub(super) fn finish(&mut self, plan: &Plan, changed: &Changed) -> proto::SessionDescription {
        self.used.clone_from(&plan.used);
        let arrived = plan.arrivals.iter().zip(&changed.tracks);
        self.used.extend(
            arrived.map(|(Arrival { mid, expected }, _)| {
                (*mid, Use::Publishing(expected.sid.clone(), expected.reception))
            }),
        );
        for ((mid, track, outgoing), subscription) in plan.opened.iter().zip(&changed.subscriptions) {
            let sent = Sent {
                track: track.clone(),
                subscription: *subscription,
                outgoing: outgoing.clone(),
            };
            self.used.insert(*mid, Use::Sending(sent));
        }
        self.free = plan.free;
        self.total = plan.agreement.sections.len();
        self.remote = Some(plan.agreement.remote.clone());
        self.refused.extend(plan.refused.iter().cloned());
        self.awaiting = false;
        self.version += 1;
        let mut description = plan.agreement.describe(&changed.local, self.session);
        description.version = self.version;
        let sent = |(mid, used): (&Mid, &Use)| match used {
            Use::Sending(sent) => Some((mid.0.as_str().to_owned(), sent.track.0.clone())),
            Use::Publishing(..) => None,
        };
        proto::SessionDescription {
            r#type: "answer".to_owned(),
            sdp: description.to_string(),
            id: plan.id,
            mid_to_track_id: self.used.iter().filter_map(sent).collect(),
        }
    }

    /// Asks the client for an offer, with more sections if there are too few; `None` when all is as wanted, or an offer is
    /// on its way.
    pub(super) fn requirement(&mut self, wanted: &[(&Participant, &Track)]) -> Option<proto::MediaSectionsRequirement> {
        if self.awaiting {
            return None;
        }
        let present = |sid: &TrackSid| wanted.iter().any(|(_, track)| track.sid == *sid);
        self.refused.retain(present);
        let superfluous = self.used.values().any(|used| match used {
            Use::Sending(sent) => !present(&sent.track),
            Use::Publishing(..) => false,
        });
        let waiting = self.unserved(wanted);
        let missing = |kind: MediaKind| {
            let wanted = waiting.iter().filter(|(_, track)| track.kind == kind).count();
            let missing = wanted.saturating_sub(self.free.get(slot(kind)).copied().unwrap_or_default());
            (wanted > 0, missing)
        };
        let ((audio, more_audio), (video, more_video)) = (missing(MediaKind::Audio), missing(MediaKind::Video));
        let room = MAX_SECTIONS.saturating_sub(self.total);
        let more_audio = more_audio.min(room);
        let more_video = more_video.min(room - more_audio);
        let helps = (audio && (more_audio > 0 || self.free[0] > 0)) || (video && (more_video > 0 || self.free[1] > 0));
        if !superfluous && !helps {
            return None;
        }
        self.awaiting = true;
        Some(proto::MediaSectionsRequirement {
            num_audios: u32::try_from(more_audio).unwrap_or_default(),
            num_videos: u32::try_from(more_video).unwrap_or_default(),
        })
    }

    /// An offer was taken up that leads to no answer, or the client has come back: ask again when there is a reason.
    pub(super) fn restart(&mut self) {
        self.awaiting = false;
    }

    /// The stream that carries a track.
    pub(super) fn subscription(&self, sid: &TrackSid) -> Option<SubscriptionId> {
        self.used.values().find_map(|used| match used {
            Use::Sending(sent) if sent.track == *sid => Some(sent.subscription),
            _ => None,
        })
    }

    /// All streams to the client.
    pub(super) fn subscriptions(&self) -> impl Iterator<Item = SubscriptionId> {
        self.used.values().filter_map(|used| match used {
            Use::Sending(sent) => Some(sent.subscription),
            Use::Publishing(..) => None,
        })
    }

    /// The tracks that are sent to the client now.
    pub(super) fn sending(&self) -> impl Iterator<Item = &TrackSid> {
        self.used.values().filter_map(|used| match used {
            Use::Sending(sent) => Some(&sent.track),
            Use::Publishing(..) => None,
        })
    }

    /// What is wanted, can be decoded, and is not sent yet.
    fn unserved<'a>(&self, wanted: &[(&'a Participant, &'a Track)]) -> Vec<(&'a Participant, &'a Track)> {
        let served: std::collections::HashSet<&TrackSid> = self.sending().chain(&self.refused).collect();
        let unserved = wanted.iter().filter(|(_, track)| !served.contains(&track.sid));
        unserved.copied().collect()
    }
}

/// An offer that is being gone through.
#[derive(Debug)]
struct Draft<'a> {
    before: &'a Sections,
    wanted: &'a [(&'a Participant, &'a Track)],
    waiting: Vec<(&'a Participant, &'a Track)>,
    used: HashMap<Mid, Use>,
    arrivals: Vec<Arrival>,
    departures: Vec<TrackSid>,
    close: Vec<SubscriptionId>,
    refused: Vec<TrackSid>,
    opened: Vec<(Mid, TrackSid, Outgoing)>,
    free: [usize; 2],
}

impl<'a> Draft<'a> {
    fn new(before: &'a Sections, wanted: &'a [(&'a Participant, &'a Track)]) -> Self {
        Self {
            before,
            wanted,
            waiting: before.unserved(wanted),
            used: HashMap::new(),
            arrivals: Vec::new(),
            departures: Vec::new(),
            close: Vec::new(),
            refused: Vec::new(),
            opened: Vec::new(),
            free: [0, 0],
        }
    }

    /// What we would like to do with a section.
    fn wish(&mut self, section: &Section, announced: impl FnOnce(&Section) -> Option<Expected>) -> Wish {
        let Some(kind) = section.kind.media() else {
            return Wish::Reject;
        };
        let (mid, before) = (section.mid, self.before.used.get(&section.mid));
        if section.direction.sends() {
            if let Some(Use::Publishing(track, reception)) = before {
                self.used.insert(mid, Use::Publishing(track.clone(), *reception));
                return Wish::Receive(*reception);
            }
            let Some(expected) = announced(section) else {
                return Wish::Inactive;
            };
            let reception = expected.reception;
            self.arrivals.push(Arrival { mid, expected });
            return Wish::Receive(reception);
        }
        match before {
            Some(Use::Publishing(track, _)) => self.departures.push(track.clone()),
            Some(Use::Sending(sent)) => {
                let stays = self.wanted.iter().any(|(_, track)| track.sid == sent.track);
                if stays && section.direction.receives() {
                    self.used.insert(mid, Use::Sending(sent.clone()));
                    return Wish::Send(sent.outgoing.clone());
                }
                self.close.push(sent.subscription);
                self.free[slot(kind)] += usize::from(section.direction.receives());
            }
            None if section.direction.receives() => return self.fill(section, kind),
            None => {}
        }
        Wish::Inactive
    }

    /// Uses a free section for what is waiting.
    fn fill(&mut self, section: &Section, kind: MediaKind) -> Wish {
        while let Some(at) = self.waiting.iter().position(|(_, track)| track.kind == kind) {
            let (owner, track) = self.waiting.remove(at);
            if decodes(section, track.codec.codec) {
                let outgoing = outgoing(owner, track);
                self.opened.push((section.mid, track.sid.clone(), outgoing.clone()));
                return Wish::Send(outgoing);
            }
            self.refused.push(track.sid.clone());
        }
        self.free[slot(kind)] += 1;
        Wish::Inactive
    }
}

/// The place of a kind in a table of two.
fn slot(kind: MediaKind) -> usize {
    usize::from(kind != MediaKind::Audio)
}

fn decodes(section: &Section, codec: Codec) -> bool {
    let is = |format: &Format| format.codec().is_some_and(|known| known.codec == codec);
    section.formats.iter().any(is)
}

/// Names and SSRCs for a stream that carries a track.
pub(super) fn outgoing(owner: &Participant, track: &Track) -> Outgoing {
    Outgoing {
        msid: Msid {
            stream: format!("{}|{}", owner.sid.0, track.sid.0),
            track: track.sid.0.clone(),
        },
        stream: random_stream(track.kind),
        cname: owner.sid.0.clone(),
        source: Some(track.codec),
    }
}
