//! Linux: epoll and eventfd, recvmmsg with UDP_GRO, sendmmsg with UDP_SEGMENT.
//!
//! Message headers with pointers are filled just before each call and read only right after it, so no pointer
//! outlives the borrow that it was made from. Remote bytes are never trusted here: lengths come from the kernel and
//! are clamped to the buffers again.
#![allow(unsafe_code, reason = "system calls; the only such module, see the crate's README")]
#![expect(
    clippy::cast_possible_truncation,
    reason = "sizes of C structures in the types that C wants"
)]

use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use libc::{c_int, c_void};

use super::{Message, RECV_SLOT_BYTES, RECV_SLOTS, Ready, Received, SEND_MESSAGES};

/// The key of the eventfd.
const WAKE_KEY: usize = usize::MAX;

/// Events that one wait can report; more are reported by the next one.
const EPOLL_EVENTS: usize = 64;

/// Room for the control messages of one datagram: segment size and packet info need 64 bytes at most.
const CONTROL_BYTES: usize = 128;

/// Datagrams in one train that every kernel with UDP_SEGMENT takes.
const MAX_SEGMENTS: usize = 64;

/// What can be polled.
pub(crate) trait Source: AsRawFd {}
impl<T: AsRawFd> Source for T {}

/// The result of a C function as a Rust result.
fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
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

/// Sleeps until something is ready. Level-triggered: what was not read is reported again.
#[derive(Debug)]
pub(crate) struct Poller {
    epoll: OwnedFd,
    wake: Arc<OwnedFd>,
    /// Cleared when the kernel is older than 5.11 and can only count milliseconds.
    nanoseconds: bool,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the result is checked before it is owned.
        let epoll = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: a new descriptor that nobody else owns.
        let epoll = unsafe { OwnedFd::from_raw_fd(epoll) };
        // SAFETY: no pointers; the result is checked before it is owned.
        let wake = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: a new descriptor that nobody else owns.
        let wake = Arc::new(unsafe { OwnedFd::from_raw_fd(wake) });
        let poller = Self {
            epoll,
            wake,
            nanoseconds: true,
        };
        poller.control(libc::EPOLL_CTL_ADD, &*poller.wake, WAKE_KEY, libc::EPOLLIN)?;
        Ok(poller)
    }

    pub(crate) fn waker(&self) -> Waker {
        Waker {
            wake: self.wake.clone(),
        }
    }

    /// Starts to report `source` under `key` when it can be read.
    pub(crate) fn add(&self, source: &impl Source, key: usize) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, source, key, libc::EPOLLIN)
    }

    /// Changes whether room to write is reported too.
    pub(crate) fn want_write(&self, source: &impl Source, key: usize, write: bool) -> io::Result<()> {
        let events = if write {
            libc::EPOLLIN | libc::EPOLLOUT
        } else {
            libc::EPOLLIN
        };
        self.control(libc::EPOLL_CTL_MOD, source, key, events)
    }

    /// Stops to report `source`; call it before the source is closed or moved to another poller.
    pub(crate) fn remove(&self, source: &impl Source) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, source, 0, 0)
    }

    /// Waits until something is ready or `timeout` is over (`None`: forever), and appends what is.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EPOLL_EVENTS];
        let count = match self.wait_once(timeout, &mut events) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            other => other?,
        };
        for event in events.iter().take(count) {
            let (bits, key) = (event.events, event.u64 as usize);
            if key == WAKE_KEY {
                self.drain_wake();
                continue;
            }
            let readable = bits & (libc::EPOLLIN | libc::EPOLLERR | libc::EPOLLHUP) as u32 != 0;
            let writable = bits & (libc::EPOLLOUT | libc::EPOLLERR | libc::EPOLLHUP) as u32 != 0;
            ready.push(Ready {
                key,
                readable,
                writable,
            });
        }
        Ok(())
    }

    fn wait_once(&mut self, timeout: Option<Duration>, events: &mut [libc::epoll_event]) -> io::Result<usize> {
        let (epoll, room) = (self.epoll.as_raw_fd(), events.len() as c_int);
        if self.nanoseconds {
            let spec = timeout.map(|timeout| libc::timespec {
                tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
                tv_nsec: timeout.subsec_nanos().into(),
            });
            let spec = spec.as_ref().map_or(ptr::null(), ptr::from_ref);
            let no_mask = ptr::null::<libc::sigset_t>();
            // SAFETY: `events` has room for `room` entries, `spec` is null or leads to a live timespec, and without
            // a signal mask its size is ignored. By number, since older C libraries have no function for it.
            let count = unsafe {
                libc::syscall(
                    libc::SYS_epoll_pwait2,
                    epoll,
                    events.as_mut_ptr(),
                    room,
                    spec,
                    no_mask,
                    0_usize,
                )
            };
            match check(count as c_int) {
                Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => self.nanoseconds = false,
                other => return other.map(|count| count as usize),
            }
        }
        // Rounded up: to wake too early would mean to wake twice.
        let millis = timeout.map_or(-1, |timeout| {
            c_int::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(c_int::MAX)
        });
        // SAFETY: `events` has room for `room` entries.
        check(unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), room, millis) }).map(|count| count as usize)
    }

    fn control(&self, operation: c_int, source: &impl AsRawFd, key: usize, events: c_int) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: events as u32,
            u64: key as u64,
        };
        // SAFETY: the pointer leads to a live event; the kernel copies it. Descriptors are only numbers here.
        check(unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), operation, source.as_raw_fd(), &raw mut event) })
            .map(drop)
    }

    fn drain_wake(&self) {
        let mut count = 0_u64;
        // SAFETY: eight live bytes, as an eventfd wants. It does not block; a failure means that it was empty.
        unsafe { libc::read(self.wake.as_raw_fd(), (&raw mut count).cast(), size_of::<u64>()) };
    }
}

/// Ends the sleep of a [`Poller`], from any thread.
#[derive(Debug, Clone)]
pub(crate) struct Waker {
    wake: Arc<OwnedFd>,
}

impl Waker {
    pub(crate) fn wake(&self) {
        let one = 1_u64;
        // SAFETY: eight live bytes, as an eventfd wants. It can only fail when the counter is full: then it is awake.
        unsafe { libc::write(self.wake.as_raw_fd(), (&raw const one).cast(), size_of::<u64>()) };
    }
}

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

/// Control messages, aligned as the kernel wants them.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);

/// An address as the kernel reads and writes it. Both begin with the family.
#[derive(Clone, Copy)]
#[repr(C)]
union Name {
    family: libc::sa_family_t,
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

/// An all-zero C structure.
fn zeroed_header() -> libc::mmsghdr {
    // SAFETY: integers and raw pointers only, for which zero is a value.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

fn zeroed_name() -> Name {
    // SAFETY: integers only, for which zero is a value.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

impl Name {
    /// Writes `addr`, gives its length in bytes.
    fn set(&mut self, addr: SocketAddr) -> libc::socklen_t {
        *self = zeroed_name();
        match addr {
            SocketAddr::V4(addr) => {
                let in_addr = libc::in_addr {
                    s_addr: u32::from_ne_bytes(addr.ip().octets()),
                };
                let (family, port) = (libc::AF_INET as libc::sa_family_t, addr.port().to_be());
                self.v4 = libc::sockaddr_in {
                    sin_family: family,
                    sin_port: port,
                    sin_addr: in_addr,
                    sin_zero: [0; 8],
                };
                size_of::<libc::sockaddr_in>() as libc::socklen_t
            }
            SocketAddr::V6(addr) => {
                self.v6 = libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as libc::sa_family_t,
                    sin6_port: addr.port().to_be(),
                    sin6_flowinfo: 0,
                    sin6_addr: libc::in6_addr {
                        s6_addr: addr.ip().octets(),
                    },
                    sin6_scope_id: addr.scope_id(),
                };
                size_of::<libc::sockaddr_in6>() as libc::socklen_t
            }
        }
    }

    /// The address, without flow label so that equal peers compare equal; `None` for another family.
    fn addr(&self) -> Option<SocketAddr> {
        // SAFETY: every variant begins with the family, and all bytes are initialised.
        match c_int::from(unsafe { self.family }) {
            libc::AF_INET => {
                // SAFETY: all bytes are initialised, integers only.
                let v4 = unsafe { self.v4 };
                let ip = Ipv4Addr::from(v4.sin_addr.s_addr.to_ne_bytes());
                Some(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
            }
            libc::AF_INET6 => {
                // SAFETY: all bytes are initialised, integers only.
                let v6 = unsafe { self.v6 };
                let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
                Some(SocketAddrV6::new(ip, u16::from_be(v6.sin6_port), 0, v6.sin6_scope_id).into())
            }
            _ => None,
        }
    }
}

/// The buffers of one receive call: 1 MiB, of which the kernel touches only what arrives. Not `Send`.
pub(crate) struct RecvBatch {
    headers: Box<[libc::mmsghdr]>,
    parts: Box<[libc::iovec]>,
    names: Box<[Name]>,
    controls: Box<[Control]>,
    bytes: Box<[u8]>,
    filled: usize,
}

impl RecvBatch {
    pub(crate) fn new() -> Self {
        Self {
            headers: vec![zeroed_header(); RECV_SLOTS].into(),
            parts: vec![
                libc::iovec {
                    iov_base: ptr::null_mut(),
                    iov_len: 0
                };
                RECV_SLOTS
            ]
            .into(),
            names: vec![zeroed_name(); RECV_SLOTS].into(),
            controls: vec![Control([0; CONTROL_BYTES]); RECV_SLOTS].into(),
            bytes: vec![0; RECV_SLOTS * RECV_SLOT_BYTES].into(),
            filled: 0,
        }
    }

    /// Receives what is there, without waiting; gives how many slots were filled. One system call, no allocation.
    pub(crate) fn receive(&mut self, socket: &UdpSocket, _state: &SocketState) -> io::Result<usize> {
        self.filled = 0;
        let slots = self.bytes.chunks_exact_mut(RECV_SLOT_BYTES);
        for (index, slot) in slots.enumerate() {
            self.parts[index] = libc::iovec {
                iov_base: slot.as_mut_ptr().cast(),
                iov_len: slot.len(),
            };
            let header = &mut self.headers[index].msg_hdr;
            header.msg_name = (&raw mut self.names[index]).cast();
            header.msg_namelen = size_of::<Name>() as libc::socklen_t;
            header.msg_iov = &raw mut self.parts[index];
            header.msg_iovlen = 1;
            header.msg_control = (&raw mut self.controls[index]).cast();
            header.msg_controllen = CONTROL_BYTES as _;
        }
        let (headers, count) = (self.headers.as_mut_ptr(), self.headers.len() as u32);
        // SAFETY: `count` headers, each of which names one live part, name and control block of the lengths that it
        // says, all owned by `self`, which is borrowed mutably and not touched during the call.
        let got = unsafe { libc::recvmmsg(socket.as_raw_fd(), headers, count, libc::MSG_DONTWAIT, ptr::null_mut()) };
        self.filled = check(got)? as usize;
        Ok(self.filled)
    }

    /// What the last call received, in order.
    pub(crate) fn received(&mut self) -> impl Iterator<Item = Received<'_>> {
        let slots = self.bytes.chunks_exact_mut(RECV_SLOT_BYTES).take(self.filled);
        slots
            .zip(self.headers.iter())
            .zip(self.names.iter())
            .filter_map(|((slot, header), name)| {
                let bytes = slot.get_mut(..header.msg_len as usize)?;
                let (segment, local) = read_control(&header.msg_hdr);
                let segment = segment.filter(|size| *size > 0).unwrap_or_else(|| bytes.len().max(1));
                Some(Received {
                    segment,
                    remote: name.addr()?,
                    local,
                    bytes,
                })
            })
    }
}

/// Reads segment size and local address from the control messages that the kernel has just written.
fn read_control(header: &libc::msghdr) -> (Option<usize>, Option<IpAddr>) {
    let (mut segment, mut local) = (None, None);
    // SAFETY: the header's control pointer and length describe a live, initialised control block that the kernel
    // filled; CMSG_FIRSTHDR and CMSG_NXTHDR stay inside it.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !next.is_null() {
        // SAFETY: not null, so a whole, aligned cmsghdr lies inside the block.
        let (level, kind, data) = unsafe { ((*next).cmsg_level, (*next).cmsg_type, libc::CMSG_DATA(next)) };
        match (level, kind) {
            (libc::SOL_UDP, libc::UDP_GRO) => {
                // SAFETY: the kernel writes a c_int for this type.
                let size = unsafe { ptr::read_unaligned(data.cast::<c_int>()) };
                segment = usize::try_from(size).ok();
            }
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                // SAFETY: the kernel writes an in_pktinfo for this type.
                let info = unsafe { ptr::read_unaligned(data.cast::<libc::in_pktinfo>()) };
                local = Some(IpAddr::from(info.ipi_spec_dst.s_addr.to_ne_bytes()));
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                // SAFETY: the kernel writes an in6_pktinfo for this type.
                let info = unsafe { ptr::read_unaligned(data.cast::<libc::in6_pktinfo>()) };
                local = Some(IpAddr::from(info.ipi6_addr.s6_addr));
            }
            _ => {}
        }
        // SAFETY: as for CMSG_FIRSTHDR.
        next = unsafe { libc::CMSG_NXTHDR(header, next) };
    }
    (segment, local)
}

/// The headers of one send call. Not `Send`.
pub(crate) struct SendBatch {
    headers: Box<[libc::mmsghdr]>,
    parts: Box<[libc::iovec]>,
    names: Box<[Name]>,
    controls: Box<[Control]>,
}

impl SendBatch {
    pub(crate) fn new() -> Self {
        Self {
            headers: vec![zeroed_header(); SEND_MESSAGES].into(),
            parts: vec![
                libc::iovec {
                    iov_base: ptr::null_mut(),
                    iov_len: 0
                };
                SEND_MESSAGES
            ]
            .into(),
            names: vec![zeroed_name(); SEND_MESSAGES].into(),
            controls: vec![Control([0; CONTROL_BYTES]); SEND_MESSAGES].into(),
        }
    }

    /// Sends `messages` (at most [`SEND_MESSAGES`] of them) of `arena` without waiting; gives how many the kernel
    /// took. An error belongs to the first. One system call, no allocation.
    pub(crate) fn send(
        &mut self,
        socket: &UdpSocket,
        _state: &SocketState,
        arena: &[u8],
        messages: &[Message],
    ) -> io::Result<usize> {
        let mut count = 0_u32;
        for (index, message) in messages.iter().take(SEND_MESSAGES).enumerate() {
            let bytes = &arena[message.start..message.start + message.len];
            // The kernel only reads from it, but C knows one iovec for both directions.
            self.parts[index] = libc::iovec {
                iov_base: bytes.as_ptr().cast_mut().cast(),
                iov_len: bytes.len(),
            };
            let name_len = self.names[index].set(message.remote);
            let header = &mut self.headers[index].msg_hdr;
            header.msg_name = (&raw mut self.names[index]).cast();
            header.msg_namelen = name_len;
            header.msg_iov = &raw mut self.parts[index];
            header.msg_iovlen = 1;
            header.msg_control = ptr::null_mut();
            header.msg_controllen = 0;
            if message.segment.is_some() || message.source.is_some() {
                write_control(header, &mut self.controls[index], message);
            }
            count += 1;
        }
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: `count` headers, each of which names one live part, name and control block of the lengths that it
        // says; parts lead into `arena`, which is borrowed during the call and only read by it.
        let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), self.headers.as_mut_ptr(), count, flags as _) };
        check(sent).map(|sent| sent as usize)
    }
}

/// Writes segment size and source address of `message` into `control` and points `header` to it.
fn write_control(header: &mut libc::msghdr, control: &mut Control, message: &Message) {
    control.0.fill(0);
    header.msg_control = ptr::from_mut(control).cast();
    header.msg_controllen = CONTROL_BYTES as _;
    // SAFETY: the block is live, zeroed and large enough for a first header.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
    let mut used = 0;
    let mut push = |level, kind, data: *const c_void, len: usize| {
        // SAFETY: at most two entries of at most 40 bytes each are pushed into a block of 128, so `next` is inside
        // it, and `len` bytes from `data` (a live value of the caller) fit behind its header.
        unsafe {
            (*next).cmsg_level = level;
            (*next).cmsg_type = kind;
            (*next).cmsg_len = libc::CMSG_LEN(len as u32) as _;
            ptr::copy_nonoverlapping(data.cast::<u8>(), libc::CMSG_DATA(next), len);
            used += libc::CMSG_SPACE(len as u32) as usize;
            next = libc::CMSG_NXTHDR(header, next);
        }
    };
    if let Some(size) = message.segment {
        push(
            libc::SOL_UDP,
            libc::UDP_SEGMENT,
            ptr::from_ref(&size).cast(),
            size_of::<u16>(),
        );
    }
    match message.source {
        Some(IpAddr::V4(ip)) => {
            let in_addr = libc::in_addr {
                s_addr: u32::from_ne_bytes(ip.octets()),
            };
            let info = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: in_addr,
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            push(
                libc::IPPROTO_IP,
                libc::IP_PKTINFO,
                ptr::from_ref(&info).cast(),
                size_of_val(&info),
            );
        }
        Some(IpAddr::V6(ip)) => {
            let info = libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr { s6_addr: ip.octets() },
                ipi6_ifindex: 0,
            };
            push(
                libc::IPPROTO_IPV6,
                libc::IPV6_PKTINFO,
                ptr::from_ref(&info).cast(),
                size_of_val(&info),
            );
        }
        None => {}
    }
    header.msg_controllen = used as _;
}
