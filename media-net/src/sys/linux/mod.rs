//! Linux: epoll and eventfd, recvmmsg with UDP_GRO, sendmmsg with UDP_SEGMENT.
//!
//! | file | one idea |
//! |---|---|
//! | [`poller`] | sleep until something is ready |
//! | [`socket`] | what a socket can do, and asking it to |
//! | [`message`] | addresses and control messages as C lays them out |
//! | [`recv`] | many datagrams in, in one call |
//! | [`send`] | many datagrams out, in one call |
//!
//! Message headers with pointers are filled just before each call and read only right after it, so no pointer
//! outlives the borrow that it was made from. Remote bytes are never trusted here: lengths come from the kernel and
//! are clamped to the buffers again.
#![allow(unsafe_code, reason = "system calls; see the crate's README")]
#![expect(
    clippy::cast_possible_truncation,
    reason = "sizes of C structures in the types that C wants"
)]

mod message;
mod poller;
mod recv;
mod send;
mod socket;

use std::io;

use libc::c_int;

pub(crate) use self::poller::{Poller, Waker};
pub(crate) use self::recv::RecvBatch;
pub(crate) use self::send::SendBatch;
pub(crate) use self::socket::{SocketState, wait_writable};

/// The result of a C function as a Rust result.
fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
