//! The lite part (RFC 8445 §2.5): answers checks and takes the path that the peer nominates.
//!
//! ```text
//! 1  check with our password  → answer, remember the route
//! 2  check with USE-CANDIDATE → this is the path
//! 3  restart                  → new credentials; the old ones answer until a check comes with the new
//! ```
//!
//! No memory is taken for anybody who does not know the password.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use is::stun::{StunMessage, TransId};

use super::{Locals, Path, stun_hmac};
use crate::config::LocalAddress;
use crate::event::Transmit;
use crate::stats::DropReason;
use crate::transport::{Candidate, IceCreds, RemoteDescription, Route, TcpType};

/// Answers that wait to be sent; a check that finds the queue full is dropped, the peer repeats it.
pub(super) const MAX_ANSWERS: usize = 16;
/// A path that was not nominated again for so long gives way to any other. Browsers repeat the nomination of the path
/// in use every 2.5 s, and change the path by nominating another; a client with several nominated paths repeats them
/// all, and gets the best.
pub(super) const NOMINATION_LIFE: Duration = Duration::from_secs(4);

#[derive(Debug)]
pub(in crate::transport) struct Lite {
    now: Generation,
    /// Credentials from before the restart.
    before: Option<Generation>,
    local: Locals,
    pub(super) path: Path,
    nomination: Option<Nomination>,
    answers: VecDeque<Answer>,
}

#[derive(Debug, Clone)]
struct Generation {
    local: IceCreds,
    remote_ufrag: Option<String>,
}

#[derive(Debug, Clone, Copy)]
struct Nomination {
    priority: u32,
    at: Instant,
    /// Made before the last restart: any new one wins.
    outdated: bool,
}

#[derive(Debug)]
struct Answer {
    route: Route,
    transaction: TransId,
    role_conflict: bool,
    before_restart: bool,
}

impl Lite {
    pub(super) fn new(creds: IceCreds, local: &[LocalAddress]) -> Self {
        Self {
            now: Generation {
                local: creds,
                remote_ufrag: None,
            },
            before: None,
            local: Locals::from_slice(local),
            path: Path::default(),
            nomination: None,
            answers: VecDeque::new(),
        }
    }

    pub(super) fn creds(&self) -> &IceCreds {
        &self.now.local
    }

    pub(super) fn candidates(&self) -> Vec<Candidate> {
        let candidate = |(index, local): (u16, &LocalAddress)| {
            Candidate::host(local.protocol, local.advertised, index, TcpType::Passive)
        };
        (0..).zip(&self.local).map(candidate).collect()
    }

    pub(super) fn set_remote(&mut self, now: Instant, remote: &RemoteDescription) {
        self.now.remote_ufrag = Some(remote.ice.ufrag.clone());
        self.path.started.get_or_insert(now);
    }

    pub(super) fn restart(&mut self, creds: IceCreds) {
        let old = std::mem::replace(
            &mut self.now,
            Generation {
                local: creds,
                remote_ufrag: None,
            },
        );
        // After two restarts in a row the peer is still on the path of the first credentials.
        self.before.get_or_insert(old);
        self.answers.iter_mut().for_each(|answer| answer.before_restart = true);
        self.nomination = self.nomination.map(|nomination| Nomination {
            outdated: true,
            ..nomination
        });
        self.path.checked.retain(|route| self.path.nominated == Some(*route));
    }

    pub(super) fn handle_stun(&mut self, now: Instant, route: Route, datagram: &[u8]) -> Result<(), DropReason> {
        let message = StunMessage::parse(datagram).map_err(|_| DropReason::StunRejected)?;
        if !message.is_binding_request() {
            return Err(DropReason::StunRejected);
        }
        let before_restart = self.authenticate(&message).ok_or(DropReason::StunRejected)?;
        if self.answers.len() >= MAX_ANSWERS {
            return Err(DropReason::LimitReached);
        }
        self.path.check(route)?;
        self.path.on_sign_of_life(now);

        // We are the controlled side for ever; a peer that thinks it is too must change (RFC 8445 §7.3.1.1).
        let role_conflict = message.ice_controlled().is_some();
        self.answers.push_back(Answer {
            route,
            transaction: message.trans_id(),
            role_conflict,
            before_restart,
        });
        if !before_restart {
            self.before = None;
            if message.use_candidate() && !role_conflict {
                self.nominate(now, route, message.prio().unwrap_or(0));
            }
        }
        Ok(())
    }

    /// Whether the message is from before the restart; `None` when its sender does not know the password.
    fn authenticate(&self, message: &StunMessage<'_>) -> Option<bool> {
        let (local, remote) = message.split_username()?;
        let before_restart = self.now.local.ufrag != local;
        let generation = if before_restart {
            self.before.as_ref()?
        } else {
            &self.now
        };
        let named = generation.local.ufrag == local
            && generation
                .remote_ufrag
                .as_ref()
                .is_none_or(|expected| expected == remote);
        (named && message.verify(generation.local.pwd.as_bytes(), stun_hmac)).then_some(before_restart)
    }

    fn nominate(&mut self, now: Instant, route: Route, priority: u32) {
        let takes_over = self.nomination.is_none_or(|current| {
            current.outdated
                || self.path.nominated == Some(route)
                || priority > current.priority
                || now.saturating_duration_since(current.at) > NOMINATION_LIFE
        });
        if takes_over {
            self.nomination = Some(Nomination {
                priority,
                at: now,
                outdated: false,
            });
            self.path.nominate(route);
        }
    }

    pub(super) fn poll_transmit(&mut self, buf: &mut [u8]) -> Option<Transmit> {
        loop {
            let Answer {
                route,
                transaction,
                role_conflict,
                before_restart,
            } = self.answers.pop_front()?;
            let generation = if before_restart {
                self.before.as_ref()
            } else {
                Some(&self.now)
            };
            let Some(generation) = generation else { continue };
            let message = if role_conflict {
                StunMessage::binding_role_conflict_reply(transaction)
            } else {
                // A socket for both families shows IPv4 peers as mapped IPv6 addresses; they know themselves as IPv4.
                let seen = SocketAddr::new(route.remote.ip().to_canonical(), route.remote.port());
                StunMessage::binding_reply(transaction, seen)
            };
            if let Ok(len) = message.to_bytes(Some(generation.local.pwd.as_bytes()), buf, stun_hmac) {
                return Some(Transmit { route, len });
            }
        }
    }
}
