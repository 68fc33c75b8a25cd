//! Datagrams that the kernel gave to the wrong worker, and floods of strangers.

use althing_media_core::transport::Protocol;

use crate::engine::{address, ask, binding_request, config, eventually, peer, settled, start};

#[test]
fn every_peer_reaches_its_worker() {
    let net = start(config(2));
    let to = address(&net, Protocol::Udp);
    let peers: Vec<_> = (0..24).map(|n| (peer(to), n % 2)).collect();
    for (socket, index) in &peers {
        assert_eq!(ask(socket, &binding_request(*index)), [1, *index]);
    }
    for round in 0..20 {
        for (socket, _) in &peers {
            // Not STUN: only the announced address tells the owner.
            let media = [0x80, 100, round, 0];
            assert_eq!(ask(socket, &media), media);
        }
    }
    let stats = net.stats();
    // The kernel's hash spreads 24 peers over two sockets; that none is misplaced has odds of 2 to the -24.
    assert!(stats.handed_over > 0);
    assert_eq!(stats.dropped_handover, 0);
    eventually("all taken over", || net.stats().taken_over == net.stats().handed_over);
    let bound: Vec<_> = net
        .workers()
        .iter()
        .map(|worker| worker.call(|echo, _| echo.bound.len()).unwrap())
        .collect();
    assert_eq!(bound, [12, 12]);
}

#[test]
fn strangers_change_nothing() {
    let net = start(config(2));
    let to = address(&net, Protocol::Udp);
    let friend = peer(to);
    assert_eq!(ask(&friend, &binding_request(1)), [1, 1]);
    let before = settled(&net).handed_over;
    let strangers: Vec<_> = (0..50).map(|_| peer(to)).collect();
    // RTP, DTLS, junk, and a binding request for a router that does not exist.
    let garbage: [&[u8]; 4] = [&[0x80, 100, 0, 0], &[22, 254, 253], &[77], &binding_request(60)];
    for socket in &strangers {
        for datagram in garbage {
            socket.send(datagram).unwrap();
        }
    }
    let unknown = || {
        net.workers()
            .iter()
            .map(|worker| worker.call(|echo, _| echo.unknown).unwrap())
            .sum::<u64>()
    };
    eventually("all garbage dropped", || unknown() == 200);
    assert_eq!(settled(&net).handed_over, before, "strangers were handed over");
    let bound = net
        .workers()
        .iter()
        .map(|worker| worker.call(|echo, _| echo.bound.len()).unwrap())
        .sum::<usize>();
    assert_eq!(bound, 1);
    assert_eq!(ask(&friend, &[0x80, 100, 1, 2]), [0x80, 100, 1, 2]);
}

#[cfg(target_os = "linux")] // elsewhere 127.0.0.2 is no address of the machine
#[test]
fn a_socket_for_this_machine_admits_nobody_else() {
    let own = "127.0.0.1:0".parse().unwrap();
    let mut config = config(1);
    config.udp = Vec::new();
    config.own_udp = vec![own, "203.0.113.1:0".parse().unwrap()];
    let net = start(config);
    assert_eq!(
        net.local().iter().filter(|one| one.protocol == Protocol::Udp).count(),
        1,
        "the far one is left out"
    );
    let to = address(&net, Protocol::Udp);
    let friend = peer(to);
    assert_eq!(ask(&friend, &binding_request(0)), [1, 0]);
    let stranger = std::net::UdpSocket::bind("127.0.0.2:0").unwrap();
    for _ in 0..3 {
        stranger.send_to(&binding_request(0), to).unwrap();
    }
    eventually("all dropped", || net.stats().dropped_foreign == 3);
    let bound = net.workers()[0].call(|echo, _| echo.bound.len()).unwrap();
    assert_eq!(bound, 1);
    assert_eq!(ask(&friend, &[0x80, 100, 1, 2]), [0x80, 100, 1, 2]);
}

#[test]
fn a_released_address_is_a_stranger_again() {
    let net = start(config(2));
    let to = address(&net, Protocol::Udp);
    let peers: Vec<_> = (0..16).map(|_| peer(to)).collect();
    for socket in &peers {
        assert_eq!(ask(socket, &binding_request(1)), [1, 1]);
    }
    net.workers()[1].call(althing_media_net::Engine::close).unwrap();
    for socket in &peers {
        assert_eq!(crate::engine::receive(socket), crate::engine::BYE);
    }
    let before = settled(&net).handed_over;
    for socket in &peers {
        socket.send(&[0x80, 100, 0, 0]).unwrap();
    }
    let unknown = || {
        net.workers()
            .iter()
            .map(|worker| worker.call(|echo, _| echo.unknown).unwrap())
            .sum::<u64>()
    };
    eventually("all dropped", || unknown() == 16);
    assert_eq!(settled(&net).handed_over, before);
}
