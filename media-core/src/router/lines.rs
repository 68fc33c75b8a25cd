//! The way to a subscriber as a line that carries so much: when a note may go, what is sent to probe, what feedback says.
//!
//! The estimate is made in [`crate::estimate`]; a peer that tells nothing of what arrives has no line, and nothing waits.

use std::time::Instant;

use crate::config::SubscriptionId;
use crate::estimate::share::Patience;
use crate::estimate::{Heard, Line};
use crate::event::Transmit;
use crate::router::Router;
use crate::router::output::seal;
use crate::rtcp::{Bitrate, Ccfb, TransportCc};
use crate::send::Note;
use crate::send::datagram::{self, Transmission};
use crate::transport::Route;

impl Router {
    /// The next note that may go to an endpoint now; for one that must wait, the endpoint is called again in time.
    #[inline]
    pub(super) fn next_note(&mut self, now: Instant, key: usize) -> Option<Note> {
        let endpoint = self.endpoints.at_mut(key)?;
        let Some(line) = &mut endpoint.line else {
            return endpoint.queue.pop();
        };
        if let Some(note) = endpoint.queue.pop_sound() {
            return Some(note);
        }
        let waiting = endpoint.queue.len();
        match line.ready(now, waiting) {
            Ok(()) => endpoint.queue.pop(),
            Err(at) => {
                let due = waiting > 0 || line.is_probed();
                if due && endpoint.burst_at.is_none_or(|known| at < known) {
                    endpoint.burst_at = Some(at);
                    self.bursts.push(at, key);
                }
                None
            }
        }
    }

    /// The next burst of an endpoint may begin.
    pub(super) fn on_burst(&mut self, now: Instant, key: usize) {
        if let Some(endpoint) = self.endpoints.at_mut(key)
            && endpoint.burst_at.is_some_and(|at| at <= now)
        {
            endpoint.burst_at = None;
            self.mark(key);
        }
    }

    /// Padding, when a line is probed and nothing waits.
    #[inline]
    pub(super) fn write_padding(&mut self, now: Instant, key: usize, buf: &mut [u8]) -> Option<Transmit> {
        let endpoint = self.endpoints.at(key)?;
        let wanted = endpoint.line.as_ref().is_some_and(|line| line.wants_padding());
        if !wanted || !endpoint.queue.is_empty() || endpoint.leaving.is_some() {
            return None;
        }
        let of = |id: &SubscriptionId| Some((*id, self.subscriptions.get(id.0)?.padding_pt()?));
        let (id, pt) = endpoint.subscriptions.iter().find_map(of)?;
        let outgoing = self.subscriptions.get_mut(id.0)?;
        let endpoint = self.endpoints.at_mut(key)?;
        let seq = endpoint.transport_seq;
        let written = datagram::write_padding(outgoing, pt, Transmission::new(now, self.epoch, seq, outgoing), buf)?;
        outgoing.rtx_seq = outgoing.rtx_seq.plus(1);
        seal(now, endpoint, (&written, true), buf)
    }

    /// The peer has another address. In another network nothing is known of its line any more, and what was under way to
    /// the one before is lost.
    pub(super) fn on_route(&mut self, now: Instant, key: usize, route: &Route) {
        let Some(endpoint) = self.endpoints.at_mut(key) else {
            return;
        };
        let network = (route.protocol, route.remote.ip());
        if endpoint.network.replace(network).is_none_or(|before| before == network) {
            return;
        }
        if let Some(line) = &mut endpoint.line {
            line.begin_anew(now);
            endpoint.shared.due = None;
        }
        for id in endpoint.subscriptions.clone() {
            if let Some(outgoing) = self.subscriptions.get_mut(id.0) {
                outgoing.patience = Patience::default();
            }
            self.refresh(now, id);
        }
    }

    /// A subscriber tells when packets arrived.
    pub(super) fn on_arrivals(&mut self, now: Instant, key: usize, feedback: &TransportCc<'_>) {
        let Some(endpoint) = self.endpoints.at_mut(key) else {
            return;
        };
        let Some(line) = &mut endpoint.line else { return };
        if let Some(heard) = line.on_feedback(now, feedback) {
            self.on_heard(now, key, heard);
        }
    }

    /// A subscriber tells the same by SSRC (RFC 8888): who does so has a line from then on.
    pub(super) fn on_ccfb(&mut self, now: Instant, key: usize, feedback: &Ccfb<'_>) {
        let Some(endpoint) = self.endpoints.at_mut(key) else {
            return;
        };
        let line = endpoint.line.get_or_insert_with(|| Box::new(Line::new(now)));
        if let Some(heard) = line.on_ccfb(now, feedback) {
            self.on_heard(now, key, heard);
        }
    }

    fn on_heard(&mut self, now: Instant, key: usize, heard: Heard) {
        let Some(endpoint) = self.endpoints.at_mut(key) else {
            return;
        };
        let before = endpoint.demand.called();
        endpoint.demand.on_arrivals(now, heard.arrived, heard.lost);
        if endpoint.demand.called() != before {
            endpoint.shared.due = None;
        }
        if heard.revived {
            // So much is missing that it would ask for a new picture in the end; Chromium takes up to 3 s for it.
            endpoint
                .subscriptions
                .clone()
                .into_iter()
                .for_each(|id| self.refresh(now, id));
        }
        self.share_when_due(now, key);
        self.wake(key);
    }

    /// A subscriber tells how much it can take: a bound for what is measured, no measure by itself.
    pub(super) fn on_bound(&mut self, key: usize, bound: Bitrate) {
        if let Some(line) = self.endpoints.at_mut(key).and_then(|endpoint| endpoint.line.as_mut()) {
            line.on_remb(bound);
        }
    }
}
