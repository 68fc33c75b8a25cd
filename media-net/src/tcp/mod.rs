//! ICE over TCP (RFC 6544, passive): one listener for all peers, frames of RFC 4571 on each connection.
//!
//! A connection begins with strangers: its first frame must be a STUN binding request for one of our routers, which
//! decides the worker that it moves to; within ten seconds the router must have accepted its sender. This room does
//! not know STUN beyond that first look, and it never waits for a slow reader.
//!
//! | file | one idea |
//! |---|---|
//! | [`frame`] | length-prefixed frames out of a byte stream, in place |
//! | [`queue`] | bytes that a slow reader has not taken yet, bounded |
//! | [`connection`] | one connection: its buffers and its deadlines |
//! | [`permits`] | how many there may be, in all and of strangers |
//! | [`room`] | all connections of a worker |

pub(crate) mod connection;
pub(crate) mod frame;
pub(crate) mod permits;
pub(crate) mod queue;
pub(crate) mod room;

pub(crate) use connection::Connection;
pub(crate) use permits::Permits;
pub(crate) use room::TcpRoom;

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Socket, Type};

/// Connections that the kernel may hold before we accept them.
const BACKLOG: i32 = 256;

/// Listens on `addr`, without blocking.
pub(crate) fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(socket2::Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // On Unix this lets a restarted server listen again at once; elsewhere it would let others steal the port.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
