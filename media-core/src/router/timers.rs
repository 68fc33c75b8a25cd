//! Which endpoint wants to be called when: a heap of deadlines, each endpoint in it about once.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use crate::endpoint::FIRST_REPORT;
use crate::event::{DisconnectReason, Event};
use crate::router::Router;
use crate::transport::TransportEvent;

/// Shortest time to the next deadline.
const LEAST_WAIT: Duration = Duration::from_micros(500);

/// Deadlines by slot. An entry whose endpoint has moved its deadline is skipped when its time comes.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, usize)>>,
}

impl Timers {
    pub(crate) fn push(&mut self, at: Instant, key: usize) {
        self.heap.push(Reverse((at, key)));
    }

    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    pub(crate) fn take_due(&mut self, now: Instant) -> Option<usize> {
        let Reverse((at, key)) = *self.heap.peek()?;
        if at > now {
            return None;
        }
        self.heap.pop();
        Some(key)
    }
}

impl Router {
    /// The deadline of an endpoint has come, or one that it had before.
    pub(super) fn on_timeout(&mut self, now: Instant, key: usize) {
        let Some(endpoint) = self.endpoints.at_mut(key) else {
            return;
        };
        if endpoint.scheduled.is_some_and(|at| at > now) {
            return;
        }
        endpoint.scheduled = None;
        endpoint.transport.handle_timeout(now);
        if let Some(line) = &mut endpoint.line {
            line.handle_timeout(now);
        }
        endpoint.stirred = true;
        self.mark(key);
    }

    /// After an endpoint has been drained: takes its events, removes it when it has said good-bye, sets its deadline.
    pub(super) fn settle(&mut self, now: Instant, key: usize) {
        let Some(endpoint) = self.endpoints.at_mut(key) else {
            return;
        };
        endpoint.dirty = false;
        // Media alone changes no deadline and makes no event.
        if !std::mem::replace(&mut endpoint.stirred, false) {
            return;
        }
        let id = endpoint.id;
        while let Some(event) = self
            .endpoints
            .at_mut(key)
            .and_then(|endpoint| endpoint.transport.poll_event())
        {
            match event {
                TransportEvent::Connected { profile } => {
                    self.on_connected(now, key);
                    self.tell(Event::Connected { endpoint: id, profile });
                }
                TransportEvent::RouteChanged(route) => {
                    self.on_route(now, key, &route);
                    self.tell(Event::RouteChanged { endpoint: id, route });
                }
                TransportEvent::Disconnected(reason) => self.on_disconnected(key, reason),
            }
        }
        if self
            .endpoints
            .at(key)
            .is_some_and(|endpoint| endpoint.leaving.is_some())
        {
            self.forget_endpoint(key);
            return;
        }
        self.tell_data(key);
        self.schedule(now, key);
    }

    fn on_connected(&mut self, now: Instant, key: usize) {
        let Some(endpoint) = self.endpoints.at_mut(key) else {
            return;
        };
        endpoint.report_due = Some(now + FIRST_REPORT);
        let waiting: Vec<_> = endpoint.subscriptions.clone();
        for subscription in waiting {
            self.catch_up(now, subscription);
        }
    }

    fn on_disconnected(&mut self, key: usize, reason: DisconnectReason) {
        let Some(endpoint) = self.endpoints.at(key) else { return };
        if endpoint.leaving.is_none() {
            let endpoint = endpoint.id;
            self.tell(Event::Disconnected { endpoint, reason });
        }
    }

    /// Puts the endpoint's soonest deadline into the heap, unless one that is not later stands there already.
    fn schedule(&mut self, now: Instant, key: usize) {
        let Some(next) = self.next_deadline(key) else { return };
        // What is overdue, for whatever reason, must not make the caller's loop a busy one.
        let next = next.max(now + LEAST_WAIT);
        let Some(endpoint) = self.endpoints.at_mut(key) else {
            return;
        };
        if endpoint.scheduled.is_none_or(|at| next < at) {
            endpoint.scheduled = Some(next);
            self.timers.push(next, key);
        }
    }

    fn next_deadline(&self, key: usize) -> Option<Instant> {
        let endpoint = self.endpoints.at(key)?;
        let streams = endpoint
            .tracks
            .iter()
            .filter_map(|track| self.tracks.get(track.0))
            .flat_map(|track| &track.streams)
            .flat_map(|stream| [stream.loss.next_timeout(), stream.keyframe.next_timeout()]);
        let own = [
            endpoint.transport.next_timeout(),
            endpoint.report_due,
            endpoint.arrivals.next_timeout(),
            endpoint.line.as_ref().and_then(|line| line.next_timeout()),
        ];
        // Feedback can wait for the connection; its deadlines then must not keep the loop busy.
        if endpoint.transport.is_connected() {
            streams.chain(own).flatten().min()
        } else {
            endpoint.transport.next_timeout()
        }
    }
}
