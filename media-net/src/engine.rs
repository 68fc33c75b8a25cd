//! What a worker drives: the sans-I/O machine behind the sockets.
//!
//! [`Engine`] is the run loop of `althing-media-core`'s router as a trait, so that load generators, other machines and
//! this crate's own tests run on the same sockets. It knows addresses and datagrams, not what they mean.

use std::net::SocketAddr;
use std::time::Instant;

use althing_media_core::config::LocalAddress;
use althing_media_core::event::{Output, RemoteChange};
use althing_media_core::router::Router;
use althing_media_core::transport::{Protocol, Route};

/// A sans-I/O machine with datagrams on one side. It lives on one worker thread and need not be `Send`.
pub trait Engine: 'static {
    /// Takes a datagram; remote input is never an error.
    fn handle_datagram(&mut self, now: Instant, route: Route, datagram: &mut [u8]);

    /// A time that [`Output::Timeout`] named is reached.
    fn handle_timeout(&mut self, now: Instant);

    /// Gives the next datagram (written to the front of `buf`), event or deadline. Called until `Timeout`.
    fn poll_output(&mut self, now: Instant, buf: &mut [u8]) -> Output;

    /// Whether datagrams from `remote` belong to a peer of this engine. Asked for every datagram when there are
    /// several workers: one table look-up.
    fn owns(&self, protocol: Protocol, remote: SocketAddr) -> bool;

    /// The next change of what [`Self::owns`] answers, so that the other workers learn it; `None` when there is none.
    fn poll_remote(&mut self) -> Option<RemoteChange>;

    /// Removes every peer; farewells (BYE, close_notify) come out of the following [`Self::poll_output`] calls.
    fn close(&mut self, now: Instant);
}

impl Engine for Router {
    #[inline]
    fn handle_datagram(&mut self, now: Instant, route: Route, datagram: &mut [u8]) {
        self.handle_datagram(now, route, datagram);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.handle_timeout(now);
    }

    #[inline]
    fn poll_output(&mut self, now: Instant, buf: &mut [u8]) -> Output {
        self.poll_output(now, buf)
    }

    #[inline]
    fn owns(&self, protocol: Protocol, remote: SocketAddr) -> bool {
        self.owns(protocol, remote)
    }

    fn poll_remote(&mut self) -> Option<RemoteChange> {
        self.poll_remote()
    }

    fn close(&mut self, now: Instant) {
        self.remove_all_endpoints(now);
    }
}

/// What an engine is told when its worker makes it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Seat {
    /// Number of the worker, 0 to 63: the index of its router among those that share the ports.
    pub index: u8,
    /// The time at the start.
    pub now: Instant,
    /// Where peers can reach the worker; the same for all.
    pub local: Vec<LocalAddress>,
}
