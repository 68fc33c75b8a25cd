//! A subscription begins or goes on: the last keyframe from memory, or a new one from the publisher.

use std::time::Instant;

use crate::config::SubscriptionId;
use crate::forward::Meta;
use crate::forward::replay::Replay;
use crate::router::Router;
use crate::router::input::fill;
use crate::send::Note;

impl Router {
    /// A subscription begins or goes on: shows it the last keyframe, or asks for one.
    pub(in crate::router) fn catch_up(&mut self, now: Instant, id: SubscriptionId) {
        if !self.replay(now, id) {
            self.want_keyframe(now, id);
        }
    }

    /// Asks the publisher for the keyframe that a subscription waits for, if it waits for one.
    pub(in crate::router) fn want_keyframe(&mut self, now: Instant, id: SubscriptionId) {
        let Some(outgoing) = self.subscriptions.get(id.0) else {
            return;
        };
        let connected = self
            .endpoints
            .at(outgoing.endpoint)
            .is_some_and(|peer| peer.transport.is_connected());
        let (Some(encoding), true) = (outgoing.forwarder.waits_for(), connected) else {
            return;
        };
        let Some(track) = outgoing.source.and_then(|source| self.tracks.get_mut(source.0)) else {
            return;
        };
        let key = track.endpoint;
        if let Some(stream) = track.streams.get_mut(usize::from(encoding))
            && !stream.keyframe.is_wanted()
        {
            stream.keyframe.want(now);
            self.wake(key);
        }
    }

    fn replay(&mut self, now: Instant, id: SubscriptionId) -> bool {
        let Some(outgoing) = self.subscriptions.get_mut(id.0) else {
            return false;
        };
        let Some(track) = outgoing.source.and_then(|source| self.tracks.get(source.0)) else {
            return false;
        };
        let Some(endpoint) = self.endpoints.at_mut(outgoing.endpoint) else {
            return false;
        };
        let fresh = outgoing.forwarder.current().is_none();
        let Some(encoding) = outgoing.forwarder.waits_for().filter(|_| fresh && !track.muted) else {
            return false;
        };
        let Some(stream) = track.streams.get(usize::from(encoding)) else {
            return false;
        };
        let Some((keyframe, highest)) = stream.since_keyframe() else {
            return false;
        };
        let Some(replay) = Replay::of(now, &stream.history, keyframe, highest) else {
            return false;
        };
        let decodable = stream
            .history
            .get(keyframe)
            .and_then(|received| track.codec_of(received.packet.view().pt()))
            .is_some_and(|codec| outgoing.params(codec).is_some());
        if !endpoint.transport.is_connected() || !decodable {
            return false;
        }
        let rate = stream.clock_rate();
        let mut placed = None;
        replay.for_each(&stream.history, |received, before| {
            let meta = Meta::of(encoding, received);
            let (latest, step) = *placed.get_or_insert_with(|| {
                let present = Meta {
                    timestamp: replay.latest(),
                    ..meta
                };
                outgoing.forwarder.start(now, &present, rate, None);
                fill(now, track, endpoint, outgoing, &meta);
                let (frames, step) = (replay.frames(), Replay::step(rate));
                let step = outgoing.forwarder.make_room(present.timestamp, frames, step);
                (
                    replay.latest().plus(outgoing.forwarder.timestamp_shift().unwrap_or(0)),
                    step,
                )
            });
            if let Some(mut rewrite) = outgoing.forwarder.forward(now, &meta) {
                // Who is no screen would not be late: the past keeps its own time.
                if !outgoing.forwarder.is_exact() {
                    rewrite.timestamp.0 = latest.0.wrapping_sub(before * step);
                }
                outgoing.forwarder.note_time(now, rewrite.timestamp);
                let note = Note::new(outgoing.id, track.id, &meta, rewrite);
                outgoing.log.insert(now, &note);
                endpoint.queue.push(note, track.kind);
            }
        });
        endpoint.hasten_reports(now);
        let key = outgoing.endpoint;
        self.mark(key);
        true
    }

    /// Feedback to a peer has become due, or its transport has something to say.
    pub(in crate::router) fn wake(&mut self, key: usize) {
        if let Some(endpoint) = self.endpoints.at_mut(key) {
            endpoint.stirred = true;
        }
        self.mark(key);
    }
}
