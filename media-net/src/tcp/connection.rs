//! One connection: its stream, its buffers, its deadlines.

use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use althing_media_core::transport::{Protocol, Route};
use socket2::SockRef;

use super::frame::FrameBuffer;
use super::permits::Permit;
use super::queue::{QUEUE_BYTES, SendQueue};

/// Time that a peer has from the connection to being accepted by a router.
pub(crate) const PROOF_TIMEOUT: Duration = Duration::from_secs(10);

/// Silence after which a connection is closed. ICE consent checks come every 5 seconds (RFC 7675 §5.1).
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// A connection. It can move to another worker with all that it has received.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    pub(crate) route: Route,
    pub(crate) frames: FrameBuffer,
    pub(crate) queue: SendQueue,
    /// A router has accepted the peer.
    proved: bool,
    /// Something was queued in this turn.
    pub(crate) dirty: bool,
    /// The poller reports room to write.
    pub(crate) blocked: bool,
    since: Instant,
    heard: Instant,
    permit: Permit,
}

impl Connection {
    /// Takes over an accepted stream. Errors when it is gone already.
    pub(crate) fn new(now: Instant, stream: TcpStream, remote: SocketAddr, permit: Permit) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        // What the kernel holds for a slow reader is stale media too; without the option it may be megabytes.
        #[cfg(target_os = "linux")]
        let _ = SockRef::from(&stream).set_tcp_notsent_lowat(u32::try_from(QUEUE_BYTES).unwrap_or(u32::MAX));
        #[cfg(not(target_os = "linux"))]
        let _ = SockRef::from(&stream).set_send_buffer_size(QUEUE_BYTES);
        let route = Route {
            protocol: Protocol::Tcp,
            local: stream.local_addr()?,
            remote,
        };
        Ok(Self {
            stream,
            route,
            frames: FrameBuffer::new(),
            queue: SendQueue::default(),
            proved: false,
            dirty: false,
            blocked: false,
            since: now,
            heard: now,
            permit,
        })
    }

    /// Whether a router has accepted the peer.
    pub(crate) fn proved(&self) -> bool {
        self.proved
    }

    /// Reads once; false when nothing was there. An end of the stream is an error.
    pub(crate) fn read(&mut self, now: Instant) -> io::Result<bool> {
        match self.stream.read(self.frames.space()) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(len) => {
                self.frames.filled(len);
                self.heard = now;
                Ok(true)
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A router has accepted the peer, or no longer knows it: then it has some time to be accepted again.
    pub(crate) fn set_proved(&mut self, now: Instant, proved: bool) {
        self.proved = proved;
        self.since = now;
        if proved {
            self.permit.accepted();
        }
    }

    /// Whether its time is over.
    pub(crate) fn expired(&self, now: Instant) -> bool {
        let late = !self.proved && now.saturating_duration_since(self.since) >= PROOF_TIMEOUT;
        late || now.saturating_duration_since(self.heard) >= IDLE_TIMEOUT
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::tcp::Permits;

    #[test]
    fn ten_seconds_to_prove_and_a_minute_of_silence() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, remote) = listener.accept().unwrap();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let permit = Permits::new(1).take(remote.ip()).unwrap();
        let mut connection = Connection::new(start, stream, remote, permit).unwrap();
        assert!(!connection.expired(at(9)) && connection.expired(at(10)));
        connection.set_proved(at(5), true);
        assert!(!connection.expired(at(59)) && connection.expired(at(60)));
        // Its endpoint was removed: it may belong to the next one, for which it has ten seconds.
        connection.set_proved(at(20), false);
        assert!(!connection.expired(at(29)) && connection.expired(at(30)));
    }
}
