//! What a UDP socket can do is asked of the kernel, not of its version.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr;
use std::time::Duration;

use libc::c_int;

use super::check;

/// Datagrams in one train that every kernel with UDP_SEGMENT takes.
const MAX_SEGMENTS: usize = 64;

/// What is known about one UDP socket.
#[derive(Debug)]
pub(crate) struct SocketState {
    max_segments: usize,
}

impl SocketState {
    /// Asks the kernel what it can do, and sets the socket up: joined receive with `gro`, trains with `gso`, local
    /// addresses with `wildcard`.
    pub(crate) fn new(socket: &UdpSocket, gso: bool, gro: bool, wildcard: bool) -> io::Result<Self> {
        if gro {
            // Kernels before 5.0 refuse: datagrams then come one by one.
            let _ = set_option(socket, libc::SOL_UDP, libc::UDP_GRO, 1);
        }
        // Without it (before 2.6.33) nobody tells what was lost.
        let _ = set_option(socket, libc::SOL_SOCKET, libc::SO_RXQ_OVFL, 1);
        if wildcard {
            match socket.local_addr()? {
                SocketAddr::V4(_) => set_option(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?,
                SocketAddr::V6(_) => set_option(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?,
            }
        }
        // Setting the size that stands already (none) tells whether the kernel (4.18) knows the option at all.
        let trains = gso && set_option(socket, libc::SOL_UDP, libc::UDP_SEGMENT, 0).is_ok();
        Ok(Self {
            max_segments: if trains { MAX_SEGMENTS } else { 1 },
        })
    }

    /// Most datagrams in one train; 1 when trains are not possible.
    pub(crate) fn max_segments(&self) -> usize {
        self.max_segments
    }
}

/// Sets an integer socket option.
fn set_option(socket: &impl AsRawFd, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    let size = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: the pointer leads to a live c_int and `size` is its size; the kernel copies it.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, ptr::from_ref(&value).cast(), size) }).map(drop)
}

/// Blocks until `socket` has room to send or `timeout` is over.
pub(crate) fn wait_writable(socket: &UdpSocket, timeout: Duration) -> io::Result<bool> {
    let mut poll = libc::pollfd {
        fd: socket.as_raw_fd(),
        events: libc::POLLOUT,
        revents: 0,
    };
    let millis = c_int::try_from(timeout.as_millis()).unwrap_or(c_int::MAX);
    // SAFETY: one live pollfd, and the count says one.
    Ok(check(unsafe { libc::poll(&raw mut poll, 1, millis) })? > 0)
}
