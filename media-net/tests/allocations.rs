//! A binary of its own, since it counts every allocation: workers make none per datagram, neither for their own nor
//! for strays.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use althing_media_core::event::{Output, RemoteChange, Transmit};
use althing_media_core::transport::{Protocol, Route};
use althing_media_net::{Engine, Net, NetConfig};
use althing_testkit::alloc::{CountingAllocator, allocated_so_far};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Owns one remote address and echoes what comes from there, three times, out of a fixed buffer.
struct Echo {
    peer: Option<SocketAddr>,
    told: bool,
    waiting: Option<(Route, usize)>,
    copies: u8,
    bytes: [u8; 2048],
}

impl Engine for Echo {
    fn handle_datagram(&mut self, _: Instant, route: Route, datagram: &mut [u8]) {
        if self.peer == Some(route.remote) {
            self.bytes[..datagram.len()].copy_from_slice(datagram);
            (self.waiting, self.copies) = (Some((route, datagram.len())), 3);
        }
    }

    fn handle_timeout(&mut self, _: Instant) {}

    fn poll_output(&mut self, _: Instant, buf: &mut [u8]) -> Output {
        match self.waiting {
            Some((route, len)) if self.copies > 0 => {
                self.copies -= 1;
                buf[..len].copy_from_slice(&self.bytes[..len]);
                Output::Transmit(Transmit { route, len })
            }
            _ => Output::Timeout(None),
        }
    }

    fn owns(&self, _: Protocol, remote: SocketAddr) -> bool {
        self.peer == Some(remote)
    }

    fn poll_remote(&mut self) -> Option<RemoteChange> {
        let peer = self.peer.filter(|_| !self.told)?;
        self.told = true;
        Some(RemoteChange::Bound(Protocol::Udp, peer))
    }

    fn close(&mut self, _: Instant) {}
}

#[test]
fn none_per_datagram() {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = NetConfig {
        udp: vec![any],
        workers: 2,
        gather: Duration::ZERO,
        ..NetConfig::default()
    };
    let net = Net::start(config, |_| Echo {
        peer: None,
        told: false,
        waiting: None,
        copies: 0,
        bytes: [0; 2048],
    });
    let net = net.unwrap();
    let to = net.local()[0].advertised;
    let mut seen = (false, false);
    for _ in 0..64 {
        // The kernel gives each port to one of the workers; worker 0 owns them all.
        let socket = UdpSocket::bind(any).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket.connect(to).unwrap();
        let peer = socket.local_addr().unwrap();
        net.workers()[0]
            .call(move |echo, _| (echo.peer, echo.told) = (Some(peer), false))
            .unwrap();
        let round = || {
            socket.send(&[0x80; 1200]).unwrap();
            for _ in 0..3 {
                assert_eq!(socket.recv(&mut [0; 2048]).unwrap(), 1200);
            }
        };
        let counts = || {
            let workers = net.workers().iter();
            workers
                .map(|worker| worker.call(|_, _| allocated_so_far().count).unwrap())
                .collect::<Vec<_>>()
        };
        // The first answer follows the announcement; the first command may make the channel grow.
        std::thread::sleep(Duration::from_millis(2));
        round();
        counts();
        let (before, strays) = (counts(), net.stats().taken_over);
        for _ in 0..100 {
            round();
        }
        assert!(before.iter().all(|count| *count > 0), "nothing is counted");
        assert_eq!(counts(), before);
        if net.stats().taken_over >= strays + 90 {
            seen.1 = true
        } else {
            seen.0 = true
        }
        if seen == (true, true) {
            return;
        }
    }
    panic!("the kernel gave every port to the same worker: {seen:?}");
}
