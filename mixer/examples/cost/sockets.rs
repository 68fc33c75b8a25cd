//! What the kernel alone takes: a server that mixes nothing. Once in 20 ms it takes all that has come, and sends everybody a
//! datagram, many of them in a call.
//!
//! This is the floor of any server that sends each listener a datagram of its own with these calls: it wakes up no more often
//! than a mixer must, and looks at nothing.
#![allow(unsafe_code, reason = "system calls that std does not have")]
#![expect(
    clippy::cast_possible_truncation,
    reason = "sizes of C structures in the types that C wants"
)]

use std::collections::HashMap;
use std::error::Error;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

/// Datagrams in a call: the most that the kernel takes (`UIO_MAXIOV`).
const BATCH: usize = 1024;
/// Bytes of what is sent: an RTP header and 20 ms of Opus at 32 kbit/s.
const BYTES: usize = 92;
/// A tick's datagrams of a thousand participants, as the kernel counts them, and more.
const BUFFER: libc::c_int = 8 << 20;
/// Whoever has been silent for so many ticks has left.
const PATIENCE: u32 = 50;

pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let bytes = BUFFER;
    for option in [libc::SO_RCVBUFFORCE, libc::SO_SNDBUFFORCE] {
        // SAFETY: the value is an int, and its length is told. Who may not do so keeps the usual buffer.
        let _ = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                option,
                (&raw const bytes).cast(),
                size_of_val(&bytes) as libc::socklen_t,
            )
        };
    }
    println!("ready at {}", socket.local_addr()?);
    let mut batch = Batch::new();
    let (mut members, mut tick) = (HashMap::new(), 0_u32);
    let mut next = Instant::now();
    loop {
        next += Duration::from_millis(20);
        thread::sleep(next.saturating_duration_since(Instant::now()));
        tick += 1;
        batch.receive(&socket, |name| {
            members.insert((name.sin_addr.s_addr, name.sin_port), (*name, tick));
        });
        members.retain(|_, (_, last)| tick - *last < PATIENCE);
        batch.send(&socket, members.values().map(|(name, _)| *name));
    }
}

/// The headers of a call, and what they refer to: for each a name and its part of the bytes.
struct Batch {
    names: Vec<libc::sockaddr_in>,
    bytes: Vec<u8>,
}

impl Batch {
    fn new() -> Self {
        let nobody = libc::sockaddr_in {
            sin_family: 0,
            sin_port: 0,
            sin_addr: libc::in_addr { s_addr: 0 },
            sin_zero: [0; 8],
        };
        Self {
            names: vec![nobody; BATCH],
            bytes: vec![0; BATCH * 1500],
        }
    }

    /// Calls `act` with so many headers.
    fn call(
        &mut self,
        count: usize,
        len: usize,
        act: impl Fn(*mut libc::mmsghdr, libc::c_uint) -> libc::c_int,
    ) -> usize {
        let mut parts: Vec<libc::iovec> = self
            .bytes
            .chunks_exact_mut(1500)
            .take(count)
            .map(|bytes| libc::iovec {
                iov_base: bytes.as_mut_ptr().cast(),
                iov_len: len,
            })
            .collect();
        let mut headers: Vec<libc::mmsghdr> = (self.names.iter_mut().zip(&mut parts))
            .map(|(name, part)| {
                // SAFETY: all zero is a valid header, which refers to nothing.
                let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
                header.msg_hdr.msg_name = std::ptr::from_mut(name).cast();
                header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
                header.msg_hdr.msg_iov = part;
                header.msg_hdr.msg_iovlen = 1;
                header
            })
            .collect();
        usize::try_from(act(headers.as_mut_ptr(), headers.len() as libc::c_uint)).unwrap_or(0)
    }

    /// All that has come.
    fn receive(&mut self, socket: &UdpSocket, mut each: impl FnMut(&libc::sockaddr_in)) {
        loop {
            // SAFETY: the headers refer to memory of their lengths, all of which outlives the call.
            let got = self.call(BATCH, 1500, |headers, count| unsafe {
                libc::recvmmsg(
                    socket.as_raw_fd(),
                    headers,
                    count,
                    libc::MSG_DONTWAIT,
                    std::ptr::null_mut(),
                )
            });
            self.names[..got].iter().for_each(&mut each);
            if got < BATCH {
                return;
            }
        }
    }

    /// To each of them the same; what the kernel does not take is lost.
    fn send(&mut self, socket: &UdpSocket, to: impl Iterator<Item = libc::sockaddr_in>) {
        let mut to = to.peekable();
        while to.peek().is_some() {
            let mut count = 0;
            for (name, to) in self.names.iter_mut().zip(to.by_ref()) {
                *name = to;
                count += 1;
            }
            // SAFETY: as above; the kernel only reads.
            let _ = self.call(count, BYTES, |headers, count| unsafe {
                libc::sendmmsg(socket.as_raw_fd(), headers, count, 0)
            });
        }
    }
}
