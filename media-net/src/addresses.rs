//! Which addresses peers are told for a socket.
//!
//! A socket bound to one address has that one. A wildcard socket has those of the interfaces; datagrams carry the
//! concrete address in and out (packet info), so every one of them is a path of its own. When an address is
//! translated on the way here (NAT), its datagrams arrive at the address of the default route.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use althing_media_core::config::LocalAddress;
use althing_media_core::transport::Protocol;

/// Addresses told for one wildcard socket at most: more candidates only slow every peer's checks down.
const MAX_ADDRESSES: usize = 8;

/// What peers are told for a socket bound to `bound`.
pub(crate) fn local_addresses(protocol: Protocol, bound: SocketAddr, advertised: &[IpAddr]) -> Vec<LocalAddress> {
    let own = if bound.ip().is_unspecified() {
        interface_addresses(bound.is_ipv4())
    } else {
        vec![bound.ip()]
    };
    pair(protocol, bound, advertised, &own)
}

/// Pairs advertised addresses with own ones. `own` begins with the one that translated datagrams arrive at.
fn pair(protocol: Protocol, bound: SocketAddr, advertised: &[IpAddr], own: &[IpAddr]) -> Vec<LocalAddress> {
    let at = |ip: IpAddr| SocketAddr::new(ip, bound.port());
    let address = |own: IpAddr, told: IpAddr| LocalAddress {
        protocol,
        socket: at(own),
        advertised: at(told),
    };
    if advertised.is_empty() {
        return own.iter().map(|ip| address(*ip, *ip)).collect();
    }
    let told = advertised.iter().filter(|ip| ip.is_ipv4() == bound.is_ipv4());
    let pairs = told.filter_map(|told| {
        let own = own.iter().find(|own| *own == told).or_else(|| own.first())?;
        Some(address(*own, *told))
    });
    pairs.collect()
}

/// The machine's addresses of one family, that of the default route first; loopback only when there is nothing else.
fn interface_addresses(v4: bool) -> Vec<IpAddr> {
    let all: Vec<IpAddr> = if_addrs::get_if_addrs()
        .unwrap_or_default()
        .iter()
        .filter(|interface| interface.ip().is_ipv4() == v4 && !interface.is_link_local())
        .map(if_addrs::Interface::ip)
        .collect();
    let mut own: Vec<IpAddr> = default_route(v4).into_iter().collect();
    for ip in all.iter().filter(|ip| !ip.is_loopback()) {
        if !own.contains(ip) && own.len() < MAX_ADDRESSES {
            own.push(*ip);
        }
    }
    if own.is_empty() { all } else { own }
}

/// The machine's IPv4 address on its network, for [`NetConfig::own_udp`](crate::NetConfig::own_udp); `None` without a
/// network. Asks the system, sends nothing.
#[must_use]
pub fn network_address() -> Option<IpAddr> {
    default_route(true)
}

/// The address that the system would use towards the internet. Connecting a UDP socket sends nothing.
fn default_route(v4: bool) -> Option<IpAddr> {
    // Addresses for documentation (RFC 5737, RFC 3849): routed like any far address.
    let (any, far) = if v4 {
        ("0.0.0.0:0", "192.0.2.1:9")
    } else {
        ("[::]:0", "[2001:db8::1]:9")
    };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(far).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified() && !ip.is_loopback()).then_some(ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(advertised: &[&str], own: &[&str]) -> Vec<(String, String)> {
        let parse = |list: &[&str]| list.iter().map(|ip| ip.parse().unwrap()).collect::<Vec<IpAddr>>();
        let pairs = pair(Protocol::Udp, ([0, 0, 0, 0], 7).into(), &parse(advertised), &parse(own));
        pairs
            .iter()
            .map(|pair| (pair.socket.ip().to_string(), pair.advertised.ip().to_string()))
            .collect()
    }

    #[test]
    fn translated_and_own() {
        let (a, b, p) = ("10.0.0.1", "10.0.0.2", "203.0.113.9");
        let pairs = |list: &[(&str, &str)]| {
            list.iter()
                .map(|(a, b)| (a.to_string(), b.to_string()))
                .collect::<Vec<_>>()
        };
        assert_eq!(told(&[], &[a, b]), pairs(&[(a, a), (b, b)]));
        assert_eq!(told(&[p], &[a, b]), pairs(&[(a, p)]));
        assert_eq!(told(&[p, b], &[a, b]), pairs(&[(a, p), (b, b)]));
        assert_eq!(told(&["2001:db8::9"], &[a]), pairs(&[]));
    }

    #[test]
    fn a_wildcard_has_addresses() {
        let addresses = local_addresses(Protocol::Tcp, ([0, 0, 0, 0], 5).into(), &[]);
        assert!(!addresses.is_empty());
        assert!(
            addresses
                .iter()
                .all(|one| !one.socket.ip().is_unspecified() && one.socket.port() == 5)
        );
    }
}
