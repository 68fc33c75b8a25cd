//! Trains out and in, several addresses, and refusals of the kernel.

use std::net::SocketAddr;

use althing_media_core::transport::{Protocol, Route};
use althing_media_net::NetConfig;

use crate::engine::{address, ask, binding_request, config, eventually, peer, receive, start};

const OWN_CALLS: bool = cfg!(all(target_os = "linux", not(feature = "portable")));

/// A datagram that is echoed `copies` times, `len` bytes long.
fn media(copies: u8, len: usize) -> Vec<u8> {
    let mut datagram: Vec<u8> = (0..len).map(|n| n.to_le_bytes()[0]).collect();
    datagram[..2].copy_from_slice(&[0x80, copies - 1]);
    datagram
}

#[test]
fn bursts_arrive_whole_with_and_without_trains() {
    for (gso, gro) in [(true, true), (true, false), (false, true), (false, false)] {
        let net = start(NetConfig { gso, gro, ..config(1) });
        let socket = peer(address(&net, Protocol::Udp));
        assert_eq!(ask(&socket, &binding_request(0)), [1, 0]);
        for (copies, len) in [(1, 1200), (2, 5), (64, 1200), (80, 1100), (100, 2)] {
            let datagram = media(copies, len);
            socket.send(&datagram).unwrap();
            for _ in 0..copies {
                assert_eq!(receive(&socket), datagram);
            }
        }
        eventually("all counted", || net.stats().datagrams_out == 248);
        let stats = net.stats();
        assert_eq!(
            stats.dropped_send_full + stats.dropped_send_error + stats.trains_refused,
            0,
            "{stats:?}"
        );
        // One of two, and two each of 64 and 80 (more than 65 000 bytes) and of 100 (more than 64 datagrams).
        let trains = if gso { 7 } else { 0 };
        assert!(stats.trains_out == trains || (gso && !OWN_CALLS), "{stats:?}");
    }
}

#[test]
fn a_train_from_one_engine_to_another_is_joined() {
    let (one, two) = (start(config(1)), start(config(1)));
    let (from, to) = (address(&one, Protocol::Udp), address(&two, Protocol::Udp));
    let route = Route {
        protocol: Protocol::Udp,
        local: from,
        remote: to,
    };
    one.workers()[0]
        .call(move |echo, _| {
            echo.bound.push(route);
            // 22 is no peer's business: the echo engine counts it as unknown.
            echo.out
                .extend((0..30).map(|n: u8| (route, vec![22; if n == 29 { 700 } else { 1000 }])));
        })
        .unwrap();
    let worker = two.workers()[0].clone();
    eventually("30 datagrams", || worker.call(|echo, _| echo.unknown).unwrap() == 30);
    eventually("counted", || two.stats().datagrams_in == 30);
    let stats = two.stats();
    assert_eq!(stats.bytes_in, 29_700);
    if OWN_CALLS {
        assert_eq!(
            (crate::engine::settled(&one).messages_out, stats.messages_in),
            (1, 1),
            "one train, one joined message"
        );
    }
}

#[test]
fn a_refused_datagram_costs_only_itself() {
    let net = start(config(1));
    let local = address(&net, Protocol::Udp);
    let socket = peer(local);
    let good = Route {
        protocol: Protocol::Udp,
        local,
        remote: socket.local_addr().unwrap(),
    };
    // Port 0 cannot be sent to; nor can a train. An address of the other family neither.
    let no_port = Route {
        remote: ([127, 0, 0, 1], 0).into(),
        ..good
    };
    let no_family = Route {
        remote: "[::1]:9".parse().unwrap(),
        ..good
    };
    let no_socket = Route {
        local: ([127, 0, 0, 9], 9).into(),
        ..good
    };
    net.workers()[0]
        .call(move |echo, _| {
            for (n, route) in (1..).zip([good, no_port, no_port, no_port, good, no_family, no_socket, good]) {
                echo.out.push_back((route, vec![0x80, n, 0, 0]));
            }
        })
        .unwrap();
    for n in [1, 5, 8] {
        assert_eq!(receive(&socket), [0x80, n, 0, 0]);
    }
    eventually("counted", || net.stats().datagrams_out == 3);
    let stats = net.stats();
    assert_eq!((stats.dropped_send_error, stats.dropped_no_socket), (4, 1), "{stats:?}");
    // Trains still work afterwards.
    assert_eq!(ask(&socket, &binding_request(0)), [1, 0]);
    let datagram = media(40, 900);
    socket.send(&datagram).unwrap();
    for _ in 0..40 {
        assert_eq!(receive(&socket), datagram);
    }
    assert_eq!(net.stats().trains_refused, 1, "only the train to port 0");
}

#[test]
fn a_wildcard_socket_answers_from_the_address_that_was_asked() {
    let any = SocketAddr::from(([0, 0, 0, 0], 0));
    for workers in [1, 2] {
        let net = start(NetConfig {
            udp: vec![any],
            ..config(workers)
        });
        let port = address(&net, Protocol::Udp).port();
        for ip in [[127, 0, 0, 1], [127, 0, 0, 2], [127, 7, 7, 7]] {
            // A connected socket takes nothing from another address.
            let socket = peer((ip, port).into());
            assert_eq!(ask(&socket, &binding_request(0)), [1, 0]);
            let datagram = media(20, 1200);
            socket.send(&datagram).unwrap();
            for _ in 0..20 {
                assert_eq!(receive(&socket), datagram);
            }
        }
    }
}

#[test]
fn both_families_and_several_sockets() {
    let six: SocketAddr = "[::1]:0".parse().unwrap();
    let any_six: SocketAddr = "[::]:0".parse().unwrap();
    let four = SocketAddr::from(([127, 0, 0, 1], 0));
    let net = start(NetConfig {
        udp: vec![four, six, four, any_six],
        ..config(2)
    });
    let mut addresses: Vec<_> = net
        .local()
        .iter()
        .filter(|local| local.protocol == Protocol::Udp)
        .collect();
    assert!(addresses.len() >= 4);
    let port = addresses.pop().unwrap().advertised.port();
    let mut to: Vec<SocketAddr> = addresses.iter().take(3).map(|local| local.advertised).collect();
    to.push(SocketAddr::new(six.ip(), port));
    for to in to {
        for index in [0, 1] {
            let socket = peer(to);
            assert_eq!(ask(&socket, &binding_request(index)), [1, index], "{to}");
            let datagram = media(10, 1000);
            socket.send(&datagram).unwrap();
            for _ in 0..10 {
                assert_eq!(receive(&socket), datagram);
            }
        }
    }
}

#[test]
fn what_the_kernel_drops_is_counted() {
    let net = start(config(1));
    let socket = peer(address(&net, Protocol::Udp));
    let (go, wait) = std::sync::mpsc::channel::<()>();
    net.workers()[0]
        .run(move |_, _| wait.recv().unwrap_or_default())
        .unwrap();
    // 30 MB: more than any buffer that the kernel grants.
    for _ in 0..25_000 {
        socket.send(&[22; 1200]).unwrap();
    }
    drop(go);
    assert_eq!(ask(&socket, &binding_request(0)), [1, 0]);
    let stats = crate::engine::settled(&net);
    assert!(stats.datagrams_in < 25_001);
    if OWN_CALLS {
        // The count comes with the datagrams that follow a loss.
        assert_eq!(stats.lost_by_kernel + stats.datagrams_in, 25_001, "{stats:?}");
    }
}
