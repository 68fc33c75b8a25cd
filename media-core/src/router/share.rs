//! Who of a subscriber's streams may be sent, and how well, by what its line carries.
//!
//! [`crate::estimate::share`] divides; here stand what asks, and what follows: other layers, a pause, the end of one.

use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::config::{EndpointId, LayerTarget, SubscriptionId};
use crate::endpoint::Shared;
use crate::estimate::share::{self, Claim, TO_SPARE};
use crate::event::Event;
use crate::payload::MediaKind;
use crate::receive::Track;
use crate::router::Router;
use crate::router::tables::Table;
use crate::rtcp::Bitrate;
use crate::send::Outgoing;
use crate::transport::Transport;

/// Time from one division to the next, when nothing has changed and nothing is wrong.
const INTERVAL: Duration = Duration::from_millis(500);
/// Least time between two divisions that reports ask for: how many of them come is up to the peer.
const PAUSE: Duration = Duration::from_millis(50);
/// What is sent may take so much more than was proved, in percent, as long as there is no queue.
const LOOSE: u64 = 15;
/// A line that carries less than what is sent may recover within this time: the pacer holds back the rest meanwhile.
const GRACE: Duration = Duration::from_millis(300);
/// What a stream that was not measured yet is thought to take: the lowest encoding, and each better one by this factor.
const UNMEASURED: (u64, u64) = (150_000, 3);
/// What a line without a queue is thought to carry of sound with redundancy: sound alone proves too little of a line, and what
/// is lost at such rates is not lost for their sake.
const AMPLE: Bitrate = Bitrate(300_000);
/// What is looked for in a line, at least, as long as something was not measured.
const UNKNOWN: u64 = 1_000_000;

impl Router {
    /// Has an endpoint never be sent more than `most`, as if its line carried no more; `None` takes that back.
    pub fn limit(&mut self, now: Instant, id: EndpointId, most: Option<Bitrate>) {
        let key = Table::<crate::endpoint::Endpoint>::key(id.0);
        if let Some(line) = self.endpoints.get_mut(id.0).and_then(|endpoint| endpoint.line.as_mut()) {
            line.set_most(most);
            self.share(now, key);
        }
    }

    /// The line of a subscription's endpoint is divided anew with its next report.
    pub(super) fn share_anew(&mut self, id: SubscriptionId) {
        if let Some(outgoing) = self.subscriptions.get(id.0)
            && let Some(endpoint) = self.endpoints.at_mut(outgoing.endpoint)
        {
            endpoint.shared.due = None;
        }
    }

    /// Divides what the line of an endpoint carries when it is time, or when less is carried than is sent.
    pub(super) fn share_when_due(&mut self, now: Instant, key: usize) {
        let Some(endpoint) = self.endpoints.at_mut(key) else {
            return;
        };
        let Some(budget) = endpoint.line.as_ref().and_then(|line| line.budget(now)) else {
            return;
        };
        let Shared {
            due,
            last,
            short,
            granted,
            ..
        } = &mut endpoint.shared;
        if budget.rate >= *granted {
            *short = None;
        } else {
            short.get_or_insert(now);
        }
        if last.is_some_and(|last| now < last + PAUSE) {
            return;
        }
        if short.is_some() || due.is_none_or(|due| due <= now) {
            self.share(now, key);
        }
    }

    /// Divides what the line of an endpoint carries. Costs a look at each of its subscriptions, and some more where there
    /// is not enough.
    pub(super) fn share(&mut self, now: Instant, key: usize) {
        let Some(endpoint) = self.endpoints.at_mut(key) else {
            return;
        };
        let Some(line) = &mut endpoint.line else { return };
        endpoint.shared.last = Some(now);
        let budget = line.budget(now);
        let Shared { short, granted, .. } = endpoint.shared;
        // Whoever is not heard on a stage takes nothing of a line; peers in the same process hear everybody.
        let near = matches!(endpoint.transport, Transport::Local(_));
        let hears = |(stage, key)| near || self.stages.get(&stage).is_none_or(|stage| stage.hears(key));
        let flows = |track: &Track| !track.muted && track.stage.is_none_or(hears);
        let called = endpoint.demand.called();
        let mut claims = std::mem::take(&mut self.claims);
        claims.clear();
        let (mut sound, mut measured) = (0, true);
        let mut idle: SmallVec<[SubscriptionId; 4]> = SmallVec::new();
        for id in &endpoint.subscriptions {
            let Some(outgoing) = self.subscriptions.get(id.0) else {
                continue;
            };
            let track = outgoing.source.and_then(|source| self.tracks.get(source.0));
            let Some(track) = track.filter(|track| flows(track) && !outgoing.forwarder.is_paused()) else {
                if outgoing.forwarder.granted().is_none() {
                    idle.push(*id);
                }
                continue;
            };
            if outgoing.kind == MediaKind::Audio {
                let rate = track.streams.first().and_then(|stream| stream.meter.rate(now));
                measured &= rate.is_some() || !track.started;
                sound += rate.map_or(0, |rate| rate.0);
            } else {
                let (claim, known) = claim(now, track, outgoing, called);
                measured &= known;
                claims.push(claim);
            }
        }
        // What goes along with sound, in case it is lost, is sound as well.
        let alone = Bitrate(sound);
        let calm = budget.as_ref().is_some_and(|budget| budget.calm);
        let most_sound = if calm { AMPLE } else { Bitrate(0) };
        let carries = line.estimate().map(|estimate| estimate.max(most_sound));
        endpoint.demand.set_line(alone, carries);
        let recovers = |rate: Bitrate| short.is_some_and(|since| now < since + GRACE) && rate.0 > granted.0 / 2;
        let Some(budget) = budget.filter(|budget| !recovers(budget.rate)) else {
            self.claims = claims;
            return;
        };
        sound *= 1 + endpoint.demand.depth() as u64;
        let best: u64 = claims.iter().map(Claim::wished).sum();
        let left = Bitrate(budget.rate.0.saturating_sub(sound));
        let loose = if budget.calm { LOOSE } else { 0 };
        let (mut taken, ahead) = share::divide_ahead(left, loose, endpoint.demand.protection() > 0, &mut claims);
        endpoint.demand.set_most_protection(if ahead { called } else { 0 });
        if !budget.settled {
            taken = share::begin(&mut claims);
        }
        line.set_bare(taken.0 == 0);
        let ample = claims.iter().all(Claim::is_satisfied);
        // What is to rise needs room to spare, and this has to be proved.
        let spare = if ample && ahead { 0 } else { best * TO_SPARE / 100 };
        let wanted = alone.0 + best + spare;
        let wanted = if measured { wanted } else { wanted.max(UNKNOWN) };
        // Where there is only sound that was not measured yet the probes of the beginning go on.
        if measured || best > 0 {
            line.set_wanted(now, Bitrate(wanted));
        }
        endpoint.shared = Shared {
            due: Some(now + INTERVAL),
            last: Some(now),
            short: None,
            granted: Bitrate(taken.0 + sound),
            ample,
        };
        self.carry_out(now, &mut claims, budget.gone);
        self.claims = claims;
        // What is not to be sent does not wait for room either; when it goes on, it begins with the least.
        for id in idle {
            self.grant(now, id, Some(LayerTarget::SMALLEST), true);
        }
    }

    /// Has each stream be sent as well as it was granted.
    fn carry_out(&mut self, now: Instant, claims: &mut Vec<Claim<SubscriptionId>>, gone: bool) {
        for claim in claims.drain(..) {
            // What does not come at all is not told to be held back.
            if claim.best().is_some() {
                // Who has all they wish for may wish for more.
                let all = claim.is_satisfied().then_some(LayerTarget::BEST);
                let granted = all.or_else(|| claim.granted().map(|step| step.layers));
                self.grant(now, claim.id, granted, gone);
            }
        }
    }

    /// A stream may be sent this well from now on.
    fn grant(&mut self, now: Instant, id: SubscriptionId, granted: Option<LayerTarget>, gone: bool) {
        let Some(outgoing) = self.subscriptions.get_mut(id.0) else {
            return;
        };
        let before = outgoing.forwarder.granted();
        if before == granted {
            return;
        }
        outgoing.forwarder.set_granted(granted);
        let [was, is] = [before, granted].map(|layers| layers.map(|layers| layers.spatial));
        if !gone {
            outgoing.patience.on_change(now, was, is);
        }
        let key = outgoing.endpoint;
        if was.is_some() != is.is_some()
            && let Some(endpoint) = self.endpoints.at(key).map(|endpoint| endpoint.id)
        {
            self.tell(Event::StreamState {
                endpoint,
                subscription: id,
                flows: is.is_some(),
            });
        }
        if was.is_none() {
            self.catch_up(now, id);
        } else {
            self.want_keyframe(now, id);
        }
    }
}

/// How a stream of `track` can be sent to a subscriber, and what each way takes; and whether that was measured. `ahead`: so
/// many FEC packets go with a hundred, if it takes them.
fn claim(now: Instant, track: &Track, outgoing: &Outgoing, ahead: u8) -> (Claim<SubscriptionId>, bool) {
    let forwarder = &outgoing.forwarder;
    let mut claim = Claim::new(outgoing.id, outgoing.rank, !outgoing.patience.is_over(now));
    // What is lost has to be sent again.
    let lost = u64::from(outgoing.report.fraction_lost());
    claim.ahead = outgoing.protector.as_ref().map_or(0, |_| ahead);
    let again = |rate: Bitrate| Bitrate(rate.0 + rate.0 * lost / 256);
    let target = forwarder.target();
    let Some(best) = track.live().best(target.spatial) else {
        return (claim, true);
    };
    let mut measured = true;
    let mut usual = UNMEASURED.0;
    for (encoding, stream) in (0..=best).zip(&track.streams) {
        let live = track.live().contains(encoding);
        match stream.meter.rates(now).filter(|_| live) {
            Some(rates) => {
                let [layers, _] = rates.highest();
                let inner = if track.live().is_simulcast() {
                    None
                } else {
                    Some(target.spatial)
                };
                for spatial in 0..=inner.map_or(0, |most| layers.min(most)) {
                    let (own, layer) = if inner.is_some() {
                        (spatial, spatial)
                    } else {
                        (u8::MAX, encoding)
                    };
                    push(&mut claim, layer, target.temporal, rates.highest()[1], |temporal| {
                        again(rates.up_to(own, temporal))
                    });
                }
                usual = rates.up_to(u8::MAX, u8::MAX).0;
            }
            None if live => {
                let spatial = encoding;
                claim.push(LayerTarget { spatial, ..target }, Bitrate(usual));
                measured = false;
            }
            None => {}
        }
        usual *= UNMEASURED.1;
    }
    claim.set_current(forwarder.granted());
    (claim, measured)
}

/// Adds the ways to send one spatial layer: of the lowest also the slowest, of others only one that is slower than the
/// best, as a smaller picture that moves is better than a larger one that hardly does.
fn push(claim: &mut Claim<SubscriptionId>, spatial: u8, most: u8, highest: u8, rate: impl Fn(u8) -> Bitrate) {
    let top = highest.min(most);
    let least = if claim.best().is_none() {
        0
    } else {
        top.saturating_sub(1)
    };
    for temporal in least..=top {
        // The best needs no look at each packet.
        let passes = if temporal == highest { u8::MAX } else { temporal };
        claim.push(
            LayerTarget {
                spatial,
                temporal: passes,
            },
            rate(temporal),
        );
    }
}
