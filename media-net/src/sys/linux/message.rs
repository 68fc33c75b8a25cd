//! Addresses and control messages as C lays them out.

use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::ptr;

use libc::{c_int, c_void};

use crate::sys::Message;

/// Room for the control messages of one datagram: segment size, packet info and lost datagrams need 88 bytes.
pub(super) const CONTROL_BYTES: usize = 128;

/// Control messages, aligned as the kernel wants them.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct Control([u8; CONTROL_BYTES]);

impl Control {
    pub(super) const EMPTY: Self = Self([0; CONTROL_BYTES]);
}

/// An address as the kernel reads and writes it. Both begin with the family.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) union Name {
    family: libc::sa_family_t,
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

/// An all-zero C structure.
pub(super) fn zeroed_header() -> libc::mmsghdr {
    // SAFETY: integers and raw pointers only, for which zero is a value.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

pub(super) fn zeroed_name() -> Name {
    // SAFETY: integers only, for which zero is a value.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

impl Name {
    /// Writes `addr`, gives its length in bytes.
    pub(super) fn set(&mut self, addr: SocketAddr) -> libc::socklen_t {
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
    pub(super) fn addr(&self) -> Option<SocketAddr> {
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

/// What the control messages of one datagram said.
#[derive(Default)]
pub(super) struct Told {
    pub(super) segment: Option<usize>,
    pub(super) local: Option<IpAddr>,
    pub(super) lost: Option<u32>,
}

/// Reads the first `len` bytes of control messages.
pub(super) fn read_control(control: &Control, len: usize) -> Told {
    let mut told = Told::default();
    let mut header = zeroed_header().msg_hdr;
    // C knows one header for both directions; nothing writes through it here.
    header.msg_control = ptr::from_ref(control).cast_mut().cast();
    header.msg_controllen = len.min(CONTROL_BYTES) as _;
    let end = ptr::from_ref(control).cast::<u8>().wrapping_add(len.min(CONTROL_BYTES));
    // SAFETY: pointer and length describe `control`, which is live and initialised.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(&raw const header) };
    while !next.is_null() {
        // SAFETY: not null, so a whole, aligned cmsghdr lies inside `control`.
        let (level, kind, data) = unsafe { ((*next).cmsg_level, (*next).cmsg_type, libc::CMSG_DATA(next)) };
        match (level, kind) {
            (libc::SOL_UDP, libc::UDP_GRO) => {
                told.segment = read::<c_int>(data, end).and_then(|size| usize::try_from(size).ok());
            }
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                let info = read::<libc::in_pktinfo>(data, end);
                told.local = info.map(|info| IpAddr::from(info.ipi_spec_dst.s_addr.to_ne_bytes()));
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                let info = read::<libc::in6_pktinfo>(data, end);
                told.local = info.map(|info| IpAddr::from(info.ipi6_addr.s6_addr));
            }
            (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => told.lost = read::<u32>(data, end),
            _ => {}
        }
        // SAFETY: as for CMSG_FIRSTHDR.
        next = unsafe { libc::CMSG_NXTHDR(&raw const header, next) };
    }
    told
}

/// A C structure of integers that begins at `data`, unless it would go beyond `end`.
fn read<T: Copy>(data: *const u8, end: *const u8) -> Option<T> {
    let fits = (end as usize).checked_sub(data as usize)? >= size_of::<T>();
    // SAFETY: `data` to `end` is initialised memory of one control block, and long enough; integers have no invalid
    // values.
    fits.then(|| unsafe { ptr::read_unaligned(data.cast::<T>()) })
}

/// Writes segment size and source address of `message` into `control` and points `header` to it.
pub(super) fn write_control(header: &mut libc::msghdr, control: &mut Control, message: &Message) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_messages_come_back() {
        let remote = ([127, 0, 0, 1], 1).into();
        for source in [
            None,
            Some(IpAddr::from([10, 1, 2, 3])),
            Some("2001:db8::7".parse().unwrap()),
        ] {
            for segment in [None, Some(1200)] {
                let message = Message {
                    start: 0,
                    len: 0,
                    segment,
                    remote,
                    source,
                };
                let (mut header, mut control) = (zeroed_header().msg_hdr, Control::EMPTY);
                write_control(&mut header, &mut control, &message);
                let told = read_control(&control, header.msg_controllen as _);
                assert_eq!(told.local, source);
                // The type of a sent segment size is not that of a received one.
                assert_eq!((told.segment, told.lost), (None, None));
            }
        }
    }

    #[test]
    fn any_bytes_can_be_read() {
        let mut control = Control::EMPTY;
        let mut state = 1_u32;
        for round in 0..20_000_usize {
            for byte in &mut control.0 {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte = state.to_be_bytes()[0] & if round % 2 == 0 { 0x3f } else { 0xff };
            }
            // A plausible first header, so that the loop is entered.
            let first = [usize::from(control.0[16]) % 140, 0].map(usize::to_ne_bytes);
            control.0[..8].copy_from_slice(&first[0]);
            let kinds = [(17_i32, 104_i32), (0, 8), (41, 50), (1, 40)];
            let (level, kind) = kinds[round % 4];
            control.0[8..12].copy_from_slice(&level.to_ne_bytes());
            control.0[12..16].copy_from_slice(&kind.to_ne_bytes());
            let _ = read_control(&control, round % (CONTROL_BYTES + 20));
        }
    }

    #[test]
    fn addresses_come_back_without_their_flow_label() {
        let mut name = zeroed_name();
        assert_eq!(name.addr(), None);
        for addr in ["10.1.2.3:4", "[2001:db8::1]:65535", "[fe80::1%3]:9"] {
            let addr: SocketAddr = addr.parse().unwrap();
            name.set(addr);
            assert_eq!(name.addr(), Some(addr));
        }
        let label = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 5, 77, 0);
        name.set(label.into());
        assert_eq!(name.addr(), Some(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 5)));
    }
}
