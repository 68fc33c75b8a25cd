//! Between workers: datagrams that the kernel gave to the wrong one, and the calls that wake a sleeper.
//!
//! Sockets that share a port get their datagrams by a hash of the addresses, which knows nothing of rooms. The first
//! datagram of a peer is a STUN binding request, whose user name tells the owner (RFC 8445 §7.2.2, our fragments
//! begin with the router's index); the owner's engine then announces the address for all that follows. A stranger's
//! datagram changes nothing here: it stays with whoever received it, and is dropped there.
//!
//! | file | one idea |
//! |---|---|
//! | [`owners`] | which worker a remote address belongs to: one table of atomics for all |
//! | [`parcel`] | one copied datagram on its way to another worker, in a bounded box |
//! | [`bell`] | wakes a worker, once for many reasons |

pub(crate) mod bell;
pub(crate) mod owners;
pub(crate) mod parcel;

use althing_media_core::packet::Kind;
use althing_media_core::transport::{Route, stun};

use crate::engine::Engine;
use crate::sys::Waker;
use bell::Bell;
use owners::Owners;
use parcel::Letterbox;

/// What all workers share.
#[derive(Debug)]
pub(crate) struct Office {
    pub(crate) owners: Owners,
    desks: Vec<Desk>,
}

/// A datagram that another worker should handle.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stray {
    /// Who.
    pub(crate) owner: usize,
    /// It says so itself; otherwise the owner has announced its address.
    named: bool,
}

/// Where one worker can be reached by the others.
#[derive(Debug)]
struct Desk {
    letters: Letterbox,
    bell: Bell,
}

impl Office {
    /// One desk for each waker.
    pub(crate) fn new(wakers: Vec<Waker>) -> Self {
        let several = wakers.len() > 1;
        let desks = wakers.into_iter().map(|waker| Desk {
            letters: Letterbox::new(several),
            bell: Bell::new(waker),
        });
        Self {
            desks: desks.collect(),
            owners: Owners::new(several),
        }
    }

    /// The worker that should handle `datagram`, when it is another than `me`.
    ///
    /// A look at the first bytes and one table look-up; no allocation, no state.
    pub(crate) fn stray(&self, me: usize, engine: &impl Engine, route: Route, datagram: &[u8]) -> Option<Stray> {
        let kind = Kind::of(datagram)?;
        let named = if kind == Kind::Stun {
            addressed_to(datagram)
        } else {
            None
        };
        let named = named.filter(|owner| *owner < self.desks.len());
        let owner = match named {
            Some(owner) => owner,
            None if engine.owns(route.protocol, route.remote) => return None,
            None => self.owners.find(route.protocol, route.remote)?,
        };
        let named = named.is_some();
        (owner != me && owner < self.desks.len()).then_some(Stray { owner, named })
    }

    /// Copies `datagram` into its owner's box; false when there is no room. [`Self::ring`] must follow.
    pub(crate) fn hand_over(&self, stray: Stray, route: Route, datagram: &[u8]) -> bool {
        let stranger = stray.named && self.owners.find(route.protocol, route.remote) != Some(stray.owner);
        let desk = self.desks.get(stray.owner);
        desk.is_some_and(|desk| desk.letters.post(route, datagram, stranger))
    }

    /// Takes what others put into the box of `me`, at most a boxful.
    pub(crate) fn take(&self, me: usize, mut each: impl FnMut(Route, &mut [u8])) -> u64 {
        self.desks.get(me).map_or(0, |desk| desk.letters.take(&mut each))
    }

    /// Wakes worker `to`.
    pub(crate) fn ring(&self, to: usize) {
        if let Some(desk) = self.desks.get(to) {
            desk.bell.ring();
        }
    }

    /// Whether somebody rang for `me`; the bell is silent afterwards.
    pub(crate) fn answer(&self, me: usize) -> bool {
        self.desks.get(me).is_some_and(|desk| desk.bell.answer())
    }
}

/// The worker that a binding request is meant for, if `datagram` is one.
pub(crate) fn addressed_to(datagram: &[u8]) -> Option<usize> {
    stun::local_ufrag(datagram)
        .and_then(stun::router_index)
        .map(usize::from)
}
