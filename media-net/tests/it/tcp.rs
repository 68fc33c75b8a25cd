//! ICE-TCP: framing, moving to the owner, and peers that misbehave.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use althing_media_core::transport::Protocol;
use althing_media_net::NetConfig;

use crate::engine::{PATIENCE, address, ask, binding_request, config, eventually, peer, start};

fn connect(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn framed(datagram: &[u8]) -> Vec<u8> {
    let mut frame = u16::try_from(datagram.len()).unwrap().to_be_bytes().to_vec();
    frame.extend(datagram);
    frame
}

fn read_frame(stream: &mut TcpStream) -> Vec<u8> {
    let mut len = [0; 2];
    stream.read_exact(&mut len).unwrap();
    let mut frame = vec![0; usize::from(u16::from_be_bytes(len))];
    stream.read_exact(&mut frame).unwrap();
    frame
}

/// Whether the other side has closed.
fn closed(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 16]) {
        Ok(len) => len == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

#[test]
fn frames_split_at_every_byte_reach_either_worker() {
    let net = start(config(2));
    let to = address(&net, Protocol::Tcp);
    for index in [0, 1] {
        let first = framed(&binding_request(index));
        for cut in 0..=first.len() {
            let mut stream = connect(to);
            let (one, two) = first.split_at(cut);
            stream.write_all(one).unwrap();
            if cut % 8 == 1 {
                // Long enough to be read in two turns.
                std::thread::sleep(Duration::from_millis(3));
            }
            stream.write_all(two).unwrap();
            assert_eq!(read_frame(&mut stream), [1, index], "cut at {cut}");
            stream.write_all(&framed(&[0x80, 4, 1, 2, 3])).unwrap();
            for _ in 0..5 {
                assert_eq!(read_frame(&mut stream), [0x80, 4, 1, 2, 3]);
            }
        }
    }
    eventually("all closed", || net.stats().tcp_open == 0);
    let stats = net.stats();
    assert_eq!(
        (stats.tcp_refused, stats.tcp_rejected, stats.tcp_dropped),
        (0, 0, 0),
        "{stats:?}"
    );
}

#[test]
fn what_is_not_ice_is_closed() {
    let net = start(config(2));
    let to = address(&net, Protocol::Tcp);
    let firsts: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\nHost: example\r\n\r\n",
        &framed(&[0x80, 0, 0, 0]),
        &framed(&binding_request(63)),
        &[0xff, 0xff, 0, 1],
        &framed(&[22, 254, 253]),
    ];
    for first in firsts {
        let mut stream = connect(to);
        stream.write_all(first).unwrap();
        assert!(closed(&mut stream), "{first:?}");
    }
    eventually("counted", || net.stats().tcp_rejected == 5 && net.stats().tcp_open == 0);

    // A peer that was fine until now.
    let mut stream = connect(to);
    stream.write_all(&framed(&binding_request(1))).unwrap();
    assert_eq!(read_frame(&mut stream), [1, 1]);
    stream.write_all(&[0x08, 0x01, 0x80]).unwrap();
    assert!(closed(&mut stream));
}

#[test]
fn a_slow_reader_loses_frames_and_disturbs_nobody() {
    let net = start(config(1));
    let mut slow = connect(address(&net, Protocol::Tcp));
    slow.write_all(&framed(&binding_request(0))).unwrap();
    assert_eq!(read_frame(&mut slow), [1, 0]);
    let fast = peer(address(&net, Protocol::Udp));
    assert_eq!(ask(&fast, &binding_request(0)), [1, 0]);
    let mut media = vec![7; 1200];
    // Each asks for a hundred copies: 96 MB in all, far more than the kernel takes.
    media[..2].copy_from_slice(&[0x80, 99]);
    for n in 0..800_u32 {
        media[2..6].copy_from_slice(&n.to_be_bytes());
        slow.write_all(&framed(&media)).unwrap();
        if n % 50 == 0 {
            assert_eq!(ask(&fast, &[0x80, 100, 5]), [0x80, 100, 5]);
        }
    }
    eventually("all frames in, and what they asked for", || {
        let stats = net.stats();
        stats.tcp_frames_in == 801 && stats.tcp_frames_out + stats.tcp_dropped == 80_001
    });
    let stats = net.stats();
    assert!(stats.tcp_dropped > 10_000, "{stats:?}");
    // What was queued is still whole frames.
    for _ in 0..stats.tcp_frames_out - 1 {
        let frame = read_frame(&mut slow);
        assert_eq!((frame.len(), frame[1], frame[1199]), (1200, 99, 7));
    }
    // And the connection is alive.
    slow.write_all(&framed(&[0x80, 0, 9])).unwrap();
    assert_eq!(read_frame(&mut slow), [0x80, 0, 9]);
}

#[test]
fn no_more_connections_than_allowed() {
    let net = start(NetConfig {
        max_connections: 3,
        ..config(2)
    });
    let to = address(&net, Protocol::Tcp);
    let mut streams: Vec<_> = (0..3).map(|_| connect(to)).collect();
    for stream in &mut streams {
        stream.write_all(&framed(&binding_request(1))).unwrap();
        assert_eq!(read_frame(stream), [1, 1]);
    }
    assert!(closed(&mut connect(to)));
    eventually("counted", || net.stats().tcp_refused == 1);
    streams.pop();
    eventually("a place is free", || {
        let mut stream = connect(to);
        stream.write_all(&framed(&binding_request(0))).is_ok() && stream.read_exact(&mut [0; 4]).is_ok()
    });
}
