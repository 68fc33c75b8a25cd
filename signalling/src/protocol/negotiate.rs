//! Offers and answers of a client, both ways: what they lead to, and when there is nothing to hope for any more.

use althing_media_core::config::EndpointId;
use althing_media_core::transport::{Candidate, LocalDescription};
use serde::Deserialize;

use super::client::{Client, Step};
use super::media::{Change, Changed, Touch};
use super::publish::Announced;
use super::sections::Plan;
use super::wire::{Response, proto};
use crate::room::{Room, TrackSid};
use crate::sdp::Description;

impl Client {
    /// The router has done what an offer wants.
    pub(super) fn negotiated(&mut self, room: &mut Room, plan: &Plan, changed: &Changed) {
        self.endpoint = Some(changed.endpoint);
        if let Some(downlink) = self.downlink.as_mut().filter(|_| plan.agreement.has_fec()) {
            downlink.allow_fec();
        }
        let answer = self.sections.finish(plan, changed);
        self.arrive(room, plan, changed);
        // Who publishes must be known before their media comes.
        self.sync(room);
        self.refuse_tracks(&plan.refused);
        self.send(Response::Answer(answer));
    }

    /// The router is ready for an offer of ours.
    pub(super) fn proposed(&mut self, endpoint: EndpointId, local: &LocalDescription) {
        if let Some(downlink) = &mut self.downlink {
            let offer = downlink.describe(endpoint, local);
            self.send(Response::Offer(offer));
        }
    }

    /// The client has answered our offer.
    pub(super) fn answer(&mut self, room: &Room, answer: &proto::SessionDescription) {
        let (Some(downlink), Some(me)) = (&mut self.downlink, room.participant_of(self.connection)) else {
            return;
        };
        let wanted = self.wishes.wanted(room, me);
        let outcome = Description::parse(&answer.sdp).map_err(|error| error.to_string());
        let outcome = outcome.and_then(|description| {
            let outcome = downlink.answer((answer.id, &description), &wanted, &self.wishes);
            outcome.map_err(|error| error.to_string())
        });
        match outcome {
            Ok(Some((change, refused))) => {
                self.refuse_tracks(&refused);
                self.steps.push_back(Step::Accept(Box::new(change)));
            }
            Ok(None) => {}
            Err(problem) => self.give_up(&problem),
        }
    }

    /// The router has done what an answer wants.
    pub(super) fn answered(&mut self, room: &mut Room, change: &Change, changed: &Changed) {
        if let Some(downlink) = &mut self.downlink {
            downlink.finish(change, changed);
        }
        self.sync(room);
    }

    /// Nothing good comes of this negotiation any more.
    pub(super) fn give_up(&mut self, problem: &str) {
        tracing::info!(participant = self.sid.0, problem, "a negotiation has failed");
        let action = proto::leave_request::Action::Reconnect;
        self.dismiss(proto::DisconnectReason::StateMismatch, action);
    }

    /// The client cannot decode these.
    fn refuse_tracks(&mut self, tracks: &[TrackSid]) {
        for track in tracks {
            self.send(Response::SubscriptionResponse(proto::SubscriptionResponse {
                track_sid: track.0.clone(),
                err: proto::SubscriptionError::SeCodecUnsupported as i32,
            }));
        }
    }

    pub(super) fn offer(&mut self, room: &mut Room, offer: &proto::SessionDescription) {
        let plan = self.plan(room, offer);
        match plan {
            Ok(plan) => self.steps.push_back(Step::Negotiate(Box::new(plan))),
            Err(problem) => self.give_up(&problem),
        }
    }

    fn plan(&self, room: &mut Room, offer: &proto::SessionDescription) -> Result<Plan, String> {
        let description = Description::parse(&offer.sdp).map_err(|error| error.to_string())?;
        let me = room.participant_of(self.connection).ok_or("the connection is gone")?;
        let wanted = match self.downlink {
            Some(_) => Vec::new(),
            None => self.wishes.wanted(room, me),
        };
        let mut taken: Vec<TrackSid> = Vec::new();
        let announced = &self.announced;
        let find = |section: &crate::sdp::Section| Announced::find(announced, section, &mut taken);
        let numbered = (offer.id, &description);
        let plan = self.sections.plan(numbered, &self.codecs, &wanted, &self.wishes, find);
        let mut plan = plan.map_err(|error| error.to_string())?;
        plan.change.endpoint = self.endpoint;
        for track in &plan.departures {
            room.unpublish(self.connection, track);
        }
        Ok(plan)
    }

    /// Candidates before the first answer are not needed: we do not send the first check.
    pub(super) fn trickle(&mut self, trickle: &proto::TrickleRequest) {
        #[derive(Deserialize)]
        struct Init {
            candidate: String,
        }
        let init = serde_json::from_str::<Init>(&trickle.candidate_init).ok();
        let candidate = init.and_then(|init| init.candidate.parse::<Candidate>().ok());
        let endpoint = match &self.downlink {
            Some(downlink) if trickle.target() == proto::SignalTarget::Subscriber => downlink.endpoint(),
            _ => self.endpoint,
        };
        if let (Some(candidate), Some(endpoint)) = (candidate, endpoint) {
            self.steps.push_back(Step::Touch(Touch::Candidate(endpoint, candidate)));
        }
    }
}
