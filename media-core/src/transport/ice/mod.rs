//! Finding a path, and proof that the peer still wants what we send on it.
//!
//! RFC 8445 (ICE), RFC 7675 (consent), RFC 6544 (TCP). Two parts with one interface: [`Lite`] answers checks, [`Full`]
//! sends them. Neither knows what flows on the path.
//!
//! Consent: a full agent needs an answer to one of its checks every 30 s (RFC 7675 §5.1). A lite agent sends none, so
//! there the peer's own checks count, since whoever sends one knows our password and wants the path. In both, a media
//! packet that SRTP has authenticated counts as well: some small clients stop checking when they send. 30 s of
//! neither, and the transport is disconnected.

mod full;
mod lite;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use smallvec::SmallVec;

use crate::config::LocalAddress;
use crate::event::{DisconnectReason, Transmit};
use crate::stats::DropReason;
use crate::transport::{Candidate, IceCreds, RemoteDescription, Route};

use full::Full;
#[cfg(test)]
pub(super) use full::MAX_REMOTE_CANDIDATES;
use lite::Lite;

/// How long a path lives without a sign of the peer (RFC 7675 §5.1).
pub(in crate::transport) const CONSENT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long the first path may take from the moment that both descriptions are known.
pub(in crate::transport) const ICE_TIMEOUT: Duration = Duration::from_secs(30);
/// Addresses from which one peer may send good checks between two ICE restarts; those from more are dropped.
pub(in crate::transport) const MAX_ROUTES: usize = 32;

/// One of the two parts.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "the lite part, of which servers have thousands, wants no second box"
)]
pub(super) enum Ice {
    Lite(Lite),
    Full(Box<Full>),
}

/// The local addresses of an endpoint: few.
type Locals = SmallVec<[LocalAddress; 4]>;

impl Ice {
    pub(super) fn lite(creds: IceCreds, local: &[LocalAddress]) -> Self {
        Self::Lite(Lite::new(creds, local))
    }

    pub(super) fn full(now: Instant, creds: IceCreds, controlling: bool, local: &[LocalAddress]) -> Self {
        Self::Full(Box::new(Full::new(now, creds, controlling, local)))
    }

    pub(super) fn is_lite(&self) -> bool {
        matches!(self, Self::Lite(_))
    }

    pub(super) fn creds(&self) -> &IceCreds {
        match self {
            Self::Lite(lite) => lite.creds(),
            Self::Full(full) => full.creds(),
        }
    }

    pub(super) fn candidates(&self) -> Vec<Candidate> {
        match self {
            Self::Lite(lite) => lite.candidates(),
            Self::Full(full) => full.candidates(),
        }
    }

    pub(super) fn set_remote(&mut self, now: Instant, remote: &RemoteDescription) {
        match self {
            Self::Lite(lite) => lite.set_remote(now, remote),
            Self::Full(full) => full.set_remote(now, remote),
        }
    }

    pub(super) fn add_remote_candidate(&mut self, now: Instant, candidate: &Candidate) {
        match self {
            // Who only answers needs no addresses to send to.
            Self::Lite(_) => {}
            Self::Full(full) => full.add_remote_candidate(now, candidate),
        }
    }

    pub(super) fn restart(&mut self, now: Instant, creds: IceCreds) {
        match self {
            Self::Lite(lite) => lite.restart(creds),
            Self::Full(full) => full.restart(now, creds),
        }
    }

    pub(super) fn handle_stun(&mut self, now: Instant, route: Route, datagram: &[u8]) -> Result<(), DropReason> {
        match self {
            Self::Lite(lite) => lite.handle_stun(now, route, datagram),
            Self::Full(full) => full.handle_stun(now, route, datagram),
        }
    }

    /// A media packet was authentic: the peer is there.
    pub(super) fn on_media(&mut self, now: Instant) {
        self.path_mut().on_sign_of_life(now);
    }

    pub(super) fn poll_transmit(&mut self, buf: &mut [u8]) -> Option<Transmit> {
        match self {
            Self::Lite(lite) => lite.poll_transmit(buf),
            Self::Full(full) => full.poll_transmit(buf),
        }
    }

    /// Does what is due; the reason when the path is gone.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<DisconnectReason> {
        if let Self::Full(full) = self {
            full.handle_timeout(now);
        }
        self.path().verdict(now)
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let path = self.path().deadline();
        match self {
            Self::Lite(_) => path,
            Self::Full(full) => path.into_iter().chain(full.next_timeout()).min(),
        }
    }

    /// Whether a good check has come from there.
    pub(super) fn is_checked(&self, route: Route) -> bool {
        self.path().is_checked(route)
    }

    /// Where to send: the nominated path, or before there is one, the last that was checked.
    pub(super) fn route(&self) -> Option<Route> {
        self.path().route()
    }

    /// The newly nominated path, once.
    pub(super) fn take_route_change(&mut self) -> Option<Route> {
        let path = self.path_mut();
        std::mem::take(&mut path.changed).then_some(path.nominated).flatten()
    }

    fn path(&self) -> &Path {
        match self {
            Self::Lite(lite) => &lite.path,
            Self::Full(full) => &full.path,
        }
    }

    fn path_mut(&mut self) -> &mut Path {
        match self {
            Self::Lite(lite) => &mut lite.path,
            Self::Full(full) => &mut full.path,
        }
    }
}

/// The path in use and what keeps it alive: the same for both parts.
#[derive(Debug, Default)]
struct Path {
    /// Where good checks came from since the last restart, at most [`MAX_ROUTES`].
    checked: SmallVec<[Route; 4]>,
    nominated: Option<Route>,
    changed: bool,
    /// When both descriptions were known.
    started: Option<Instant>,
    /// The last sign of the peer.
    alive: Option<Instant>,
}

impl Path {
    fn is_checked(&self, route: Route) -> bool {
        self.nominated == Some(route) || self.checked.contains(&route)
    }

    fn route(&self) -> Option<Route> {
        self.nominated.or_else(|| self.checked.last().copied())
    }

    /// Notes a good check.
    fn check(&mut self, route: Route) -> Result<(), DropReason> {
        if !self.checked.contains(&route) {
            if self.checked.len() >= MAX_ROUTES {
                return Err(DropReason::LimitReached);
            }
            self.checked.push(route);
        }
        Ok(())
    }

    fn nominate(&mut self, route: Route) {
        self.changed |= self.nominated != Some(route);
        self.nominated = Some(route);
    }

    fn on_sign_of_life(&mut self, now: Instant) {
        self.alive = Some(now);
    }

    fn deadline(&self) -> Option<Instant> {
        match (self.alive, self.started) {
            (Some(alive), _) => Some(alive + CONSENT_TIMEOUT),
            (None, started) => started.map(|started| started + ICE_TIMEOUT),
        }
    }

    fn verdict(&self, now: Instant) -> Option<DisconnectReason> {
        let reason = if self.alive.is_some() {
            DisconnectReason::ConsentLost
        } else {
            DisconnectReason::IceFailed
        };
        self.deadline()
            .is_some_and(|deadline| now >= deadline)
            .then_some(reason)
    }
}

/// HMAC-SHA1 for the integrity of STUN messages (RFC 8489 §14.5).
#[derive(Debug)]
struct StunHmac;

impl is::Sha1HmacProvider for StunHmac {
    fn sha1_hmac(&self, key: &[u8], payloads: &[&[u8]]) -> [u8; 20] {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
        let mut context = hmac::Context::with_key(&key);
        payloads.iter().for_each(|payload| context.update(payload));
        let mut tag = [0; 20];
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }
}

/// For the functions of `is` that want a closure.
fn stun_hmac(key: &[u8], payloads: &[&[u8]]) -> [u8; 20] {
    is::Sha1HmacProvider::sha1_hmac(&StunHmac, key, payloads)
}
