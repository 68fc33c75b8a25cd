//! The connection on which a client with two of them receives: we offer, it answers.
//!
//! One offer is under way at a time; what is wanted meanwhile goes into the next one. A section that was freed is used
//! again only after an answer in which nothing flows in it: a browser would show no new track otherwise. RFC 9429 §5.2,
//! §5.10.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use althing_media_core::config::{EndpointId, SubscriptionId};
use althing_media_core::payload::{Codec, MediaKind};
use althing_media_core::transport::{LocalDescription, RemoteDescription};

use super::media::{Change, Changed, Opening, Proposal};
use super::sections::outgoing;
use super::wire::proto;
use super::wishes::Wishes;
use crate::hub::random;
use crate::room::{Participant, Track, TrackSid};
use crate::sdp::{
    Description, Lane as Offered, MAX_SECTIONS, NegotiationError, OfferedStream, Outgoing, accept, offer_to_send,
};

/// A client that has not answered an offer within this time is asked to begin anew.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// All that is sent to a client.
#[derive(Debug, Default)]
pub(super) struct Downlink {
    endpoint: Option<EndpointId>,
    lanes: Vec<Lane>,
    /// Of the last offer.
    id: u32,
    pending: Option<Pending>,
    /// ICE starts anew with the next offer.
    restart: bool,
    remote: Option<RemoteDescription>,
    /// Tracks that the client cannot decode.
    refused: Vec<TrackSid>,
    /// The client has listed FEC on its other connection.
    fec: bool,
    session: u64,
}

/// An offer under way.
#[derive(Debug)]
struct Pending {
    since: Instant,
    /// `None` until the router has said what stands in it.
    offer: Option<Description>,
}

/// One media section. It never goes away.
#[derive(Debug)]
struct Lane {
    kind: MediaKind,
    /// Of the last track.
    codec: Codec,
    carries: Option<Sent>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In use, or ready to be.
    Good,
    /// Silent since the offer that is under way.
    Resting,
    /// The client has refused it.
    Dead,
}

#[derive(Debug)]
struct Sent {
    track: TrackSid,
    outgoing: Outgoing,
    /// `None` until the answer has come.
    subscription: Option<SubscriptionId>,
}

impl Downlink {
    pub(super) fn new() -> Self {
        Self {
            session: random() >> 2,
            ..Self::default()
        }
    }

    /// What has to be done for the next offer; `None` when all is as wanted, or an offer is under way.
    pub(super) fn propose(&mut self, now: Instant, wanted: &[(&Participant, &Track)]) -> Option<Proposal> {
        if self.pending.is_some() {
            return None;
        }
        let present: HashSet<&TrackSid> = wanted.iter().map(|(_, track)| &track.sid).collect();
        self.refused.retain(|sid| present.contains(sid));
        let mut close = Vec::new();
        let mut changed = self.endpoint.is_none() || self.restart;
        for lane in &mut self.lanes {
            if let Some(sent) = lane.carries.take_if(|sent| !present.contains(&sent.track)) {
                close.extend(sent.subscription);
                lane.state = State::Resting;
                changed = true;
            }
        }
        let served: HashSet<TrackSid> = self.sending().chain(&self.refused).cloned().collect();
        for (owner, track) in wanted.iter().filter(|(_, track)| !served.contains(&track.sid)) {
            changed |= self.place(owner, track);
        }
        if !changed {
            return None;
        }
        self.pending = Some(Pending {
            since: now,
            offer: None,
        });
        Some(Proposal {
            endpoint: self.endpoint,
            restart: std::mem::take(&mut self.restart),
            close,
        })
    }

    /// Finds a lane for a track; false when there are as many as there may be.
    fn place(&mut self, owner: &Participant, track: &Track) -> bool {
        let mut outgoing = outgoing(owner, track);
        outgoing.stream.fec = outgoing.stream.fec.filter(|_| self.fec);
        let sent = Sent {
            track: track.sid.clone(),
            outgoing,
            subscription: None,
        };
        let codec = track.codec.codec;
        let free = |lane: &&mut Lane| lane.kind == track.kind && lane.state == State::Good && lane.carries.is_none();
        if let Some(lane) = self.lanes.iter_mut().find(free) {
            (lane.codec, lane.carries) = (codec, Some(sent));
            return true;
        }
        // The first section is for data.
        let room = self.lanes.len() + 1 < MAX_SECTIONS;
        if room {
            self.lanes.push(Lane {
                kind: track.kind,
                codec,
                carries: Some(sent),
                state: State::Good,
            });
        }
        room
    }

    /// The router is ready: the offer.
    pub(super) fn describe(&mut self, endpoint: EndpointId, local: &LocalDescription) -> proto::SessionDescription {
        self.endpoint = Some(endpoint);
        self.id += 1;
        let lanes: Vec<Offered> = self.lanes.iter().map(Lane::offered).collect();
        let offer = offer_to_send(local, (self.session, u64::from(self.id)), &lanes);
        let sdp = offer.to_string();
        if let Some(pending) = &mut self.pending {
            pending.offer = Some(offer);
        }
        let named =
            |(index, lane): (usize, &Lane)| Some(((index + 1).to_string(), lane.carries.as_ref()?.track.0.clone()));
        proto::SessionDescription {
            r#type: "offer".to_owned(),
            sdp,
            id: self.id,
            mid_to_track_id: self.lanes.iter().enumerate().filter_map(named).collect(),
        }
    }

    /// What becomes of an answer; `None` when it is to no offer that is under way. Also which tracks were refused.
    ///
    /// Some clients answer with the number of the offer, others with 0.
    pub(super) fn answer(
        &mut self,
        (id, answer): (u32, &Description),
        wanted: &[(&Participant, &Track)],
        wishes: &Wishes,
    ) -> Result<Option<(Change, Vec<TrackSid>)>, NegotiationError> {
        let pending = self.pending.as_ref().filter(|_| id == 0 || id == self.id);
        let Some(offer) = pending.and_then(|pending| pending.offer.as_ref()) else {
            return Ok(None);
        };
        let agreement = accept(offer, answer)?;
        let mut open = Vec::new();
        let mut refused = Vec::new();
        for (lane, agreed) in self.lanes.iter_mut().zip(agreement.sections.iter().skip(1)) {
            if lane.state == State::Resting {
                lane.state = State::Good;
            }
            let Some(sent) = lane.carries.as_ref().filter(|sent| sent.subscription.is_none()) else {
                continue;
            };
            let Some(mut config) = agreed.subscription().filter(|config| !config.codecs.is_empty()) else {
                refused.push(sent.track.clone());
                lane.carries = None;
                lane.state = State::Dead;
                continue;
            };
            // When it has gone meanwhile the next offer says so.
            let Some((owner, track)) = wanted.iter().find(|(_, track)| track.sid == sent.track) else {
                continue;
            };
            config.layers = wishes.layers(track);
            open.push(Opening {
                config,
                source: track.id,
                paused: wishes.pauses(&sent.track),
                rank: wishes.rank(owner, track),
            });
        }
        self.refused.extend(refused.iter().cloned());
        let new = self.remote.as_ref() != Some(&agreement.remote);
        self.remote = Some(agreement.remote.clone());
        let change = Change {
            endpoint: self.endpoint,
            remote: new.then_some(agreement.remote),
            candidates: agreement.candidates,
            max_message: answer.max_message(),
            tracks: Vec::new(),
            open,
            close: Vec::new(),
        };
        Ok(Some((change, refused)))
    }

    /// The router has done what the answer wants.
    pub(super) fn finish(&mut self, change: &Change, changed: &Changed) {
        for (opening, subscription) in change.open.iter().zip(&changed.subscriptions) {
            let ssrc = opening.config.stream.ssrc;
            let mut sent = self.lanes.iter_mut().filter_map(|lane| lane.carries.as_mut());
            if let Some(sent) = sent.find(|sent| sent.outgoing.stream.ssrc == ssrc) {
                sent.subscription = Some(*subscription);
            }
        }
        self.pending = None;
    }

    /// The client has come back: no answer will come to what was offered, and its network may be another one.
    pub(super) fn restart(&mut self) {
        self.pending = None;
        self.restart = self.endpoint.is_some();
    }

    /// The client takes FEC over pictures: what begins from now on is offered with it.
    pub(super) fn allow_fec(&mut self) {
        self.fec = true;
    }

    /// The client takes too long to answer.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        let late = |pending: &Pending| now.saturating_duration_since(pending.since) > ANSWER_TIMEOUT;
        self.pending.as_ref().is_some_and(late)
    }

    pub(super) fn endpoint(&self) -> Option<EndpointId> {
        self.endpoint
    }

    /// The stream that carries a track.
    pub(super) fn subscription(&self, sid: &TrackSid) -> Option<SubscriptionId> {
        let mut sent = self.sent().filter(|sent| sent.track == *sid);
        sent.find_map(|sent| sent.subscription)
    }

    /// All streams to the client.
    pub(super) fn subscriptions(&self) -> impl Iterator<Item = SubscriptionId> {
        self.sent().filter_map(|sent| sent.subscription)
    }

    /// The tracks that are sent to the client, or soon will be.
    pub(super) fn sending(&self) -> impl Iterator<Item = &TrackSid> {
        self.sent().map(|sent| &sent.track)
    }

    fn sent(&self) -> impl Iterator<Item = &Sent> {
        self.lanes.iter().filter_map(|lane| lane.carries.as_ref())
    }
}

impl Lane {
    fn offered(&self) -> Offered {
        match &self.carries {
            Some(sent) => {
                let Outgoing {
                    msid, stream, cname, ..
                } = sent.outgoing.clone();
                let stream = OfferedStream {
                    msid,
                    cname,
                    rids: Vec::new(),
                    streams: vec![stream],
                };
                Offered::Stream(self.codec, stream)
            }
            None if self.state == State::Dead => Offered::Dead(self.codec),
            None => Offered::Silent(self.codec),
        }
    }
}
