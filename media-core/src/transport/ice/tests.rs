//! The lite part against requests made by hand.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use is::stun::{StunMessage, TransId};

use super::lite::{MAX_ANSWERS, NOMINATION_LIFE};
use super::{Ice, stun_hmac};
use crate::config::LocalAddress;
use crate::stats::DropReason;
use crate::transport::{Fingerprint, FingerprintHash, IceCreds, Protocol, RemoteDescription, Route, Setup, stun};

const ROUTE_A: &str = "198.51.100.1:1000";
const ROUTE_B: &str = "198.51.100.1:2000";

fn route(remote: &str) -> Route {
    Route {
        protocol: Protocol::Udp,
        local: "0.0.0.0:7882".parse().unwrap(),
        remote: remote.parse().unwrap(),
    }
}

fn lite() -> (Ice, Instant) {
    let address = "192.0.2.1:7882".parse().unwrap();
    let local = LocalAddress {
        protocol: Protocol::Udp,
        socket: "0.0.0.0:7882".parse().unwrap(),
        advertised: address,
    };
    (Ice::lite(stun::new_creds(3), &[local]), Instant::now())
}

fn peer(ufrag: &str) -> RemoteDescription {
    RemoteDescription {
        ice: IceCreds {
            ufrag: ufrag.to_owned(),
            pwd: "0123456789abcdefghijklmn".to_owned(),
        },
        ice_lite: false,
        fingerprint: Fingerprint::of(b"", FingerprintHash::Sha256),
        setup: Setup::Active,
    }
}

/// A check of the peer `remote`.
struct Check<'a> {
    creds: &'a IceCreds,
    remote: &'a str,
    controlling: bool,
    priority: u32,
    nominates: bool,
}

impl<'a> Check<'a> {
    fn new(creds: &'a IceCreds) -> Self {
        Self {
            creds,
            remote: "peer",
            controlling: true,
            priority: 1000,
            nominates: true,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let username = format!("{}:{}", self.creds.ufrag, self.remote);
        let transaction = TransId::new();
        let message = StunMessage::binding_request(
            &username,
            transaction,
            self.controlling,
            7,
            self.priority,
            self.nominates,
        );
        let mut buf = [0; 500];
        let len = message
            .to_bytes(Some(self.creds.pwd.as_bytes()), &mut buf, stun_hmac)
            .unwrap();
        buf[..len].to_vec()
    }

    fn send(&self, ice: &mut Ice, now: Instant, from: &str) -> Result<(), DropReason> {
        ice.handle_stun(now, route(from), &self.bytes())
    }
}

#[test]
fn answers_show_the_peer_its_address_and_know_the_password() {
    let (mut ice, now) = lite();
    let creds = ice.creds().clone();
    for (from, seen) in [
        (ROUTE_A, ROUTE_A),
        ("[::ffff:198.51.100.1]:1000", ROUTE_A),
        ("[2001:db8::1]:9", "[2001:db8::1]:9"),
    ] {
        // Even before the peer's description is known.
        Check::new(&creds).send(&mut ice, now, from).unwrap();
        let mut buf = [0; 200];
        let transmit = ice.poll_transmit(&mut buf).unwrap();
        assert_eq!(transmit.route, route(from));
        let answer = StunMessage::parse(&buf[..transmit.len]).unwrap();
        assert!(answer.is_successful_binding_response() && answer.verify(creds.pwd.as_bytes(), stun_hmac));
        assert_eq!(answer.mapped_address(), Some(seen.parse::<SocketAddr>().unwrap()));
        assert_eq!(ice.poll_transmit(&mut buf), None);
    }
}

#[test]
fn who_does_not_know_the_session_is_nobody() {
    let (mut ice, now) = lite();
    let creds = ice.creds().clone();
    ice.set_remote(now, &peer("peer"));
    let wrong_pwd = IceCreds {
        pwd: "another password, of 30 letters".to_owned(),
        ..creds.clone()
    };
    let wrong_ufrag = IceCreds {
        ufrag: "Dnot-this-one".to_owned(),
        ..creds.clone()
    };
    let whole = Check::new(&creds).bytes();
    let mut flipped = whole.clone();
    flipped[30] ^= 1;
    let table = [
        Check::new(&wrong_pwd).bytes(),
        Check::new(&wrong_ufrag).bytes(),
        Check {
            remote: "stranger",
            ..Check::new(&creds)
        }
        .bytes(),
        flipped,
        whole[..whole.len() - 4].to_vec(),
    ];
    for bytes in table {
        assert_eq!(
            ice.handle_stun(now, route(ROUTE_A), &bytes),
            Err(DropReason::StunRejected)
        );
    }
    assert_eq!((ice.route(), ice.poll_transmit(&mut [0; 200])), (None, None));
    assert!(!ice.is_checked(route(ROUTE_A)));
    assert_eq!(ice.handle_stun(now, route(ROUTE_A), &whole), Ok(()));
    assert!(ice.is_checked(route(ROUTE_A)));
}

#[test]
fn a_peer_that_wants_to_be_controlled_too_is_told() {
    let (mut ice, now) = lite();
    let creds = ice.creds().clone();
    Check {
        controlling: false,
        ..Check::new(&creds)
    }
    .send(&mut ice, now, ROUTE_A)
    .unwrap();
    let mut buf = [0; 200];
    let transmit = ice.poll_transmit(&mut buf).unwrap();
    let answer = StunMessage::parse(&buf[..transmit.len]).unwrap();
    assert_eq!(answer.error_code().map(|error| error.0), Some(487));
    assert_eq!(ice.take_route_change(), None, "it nominates nothing");
}

#[test]
fn answers_are_bounded() {
    let (mut ice, now) = lite();
    let creds = ice.creds().clone();
    for count in 0..MAX_ANSWERS * 2 {
        let expected = if count < MAX_ANSWERS {
            Ok(())
        } else {
            Err(DropReason::LimitReached)
        };
        assert_eq!(Check::new(&creds).send(&mut ice, now, ROUTE_A), expected);
    }
    let answers = std::iter::from_fn(|| ice.poll_transmit(&mut [0; 200])).count();
    assert_eq!(answers, MAX_ANSWERS);
}

#[test]
fn the_path_is_the_best_that_is_nominated_or_the_only_one_that_still_is() {
    let (mut ice, now) = lite();
    let creds = ice.creds().clone();
    let from = |ice: &mut Ice, now, remote, priority, nominates| {
        Check {
            priority,
            nominates,
            ..Check::new(&creds)
        }
        .send(ice, now, remote)
        .unwrap();
        ice.poll_transmit(&mut [0; 200]);
        ice.take_route_change().map(|route| route.remote.port())
    };
    assert_eq!(from(&mut ice, now, ROUTE_A, 100, false), None);
    assert_eq!(ice.route(), Some(route(ROUTE_A)), "the only one that was checked");
    assert_eq!(from(&mut ice, now, ROUTE_A, 100, true), Some(1000));
    assert_eq!(from(&mut ice, now, ROUTE_A, 100, true), None);
    assert_eq!(
        from(&mut ice, now, ROUTE_B, 99, true),
        None,
        "a worse one while the better lives"
    );
    assert_eq!(from(&mut ice, now, ROUTE_B, 200, true), Some(2000));
    assert_eq!(from(&mut ice, now, ROUTE_A, 100, true), None);
    // B falls silent, A is nominated on and on.
    let half = now + NOMINATION_LIFE / 2;
    assert_eq!(from(&mut ice, half, ROUTE_A, 100, true), None);
    let later = now + NOMINATION_LIFE + Duration::from_millis(1);
    assert_eq!(from(&mut ice, later, ROUTE_A, 100, false), None);
    assert_eq!(from(&mut ice, later, ROUTE_A, 100, true), Some(1000));
}

#[test]
fn after_a_restart_the_old_credentials_last_until_the_new_are_used() {
    let (mut ice, now) = lite();
    let old = ice.creds().clone();
    ice.set_remote(now, &peer("peer"));
    Check::new(&old).send(&mut ice, now, ROUTE_A).unwrap();
    // The answer to this check is still waiting.
    ice.restart(now, stun::new_creds(3));
    ice.restart(now, stun::new_creds(3));
    let new = ice.creds().clone();
    ice.set_remote(now, &peer("again"));

    Check::new(&old).send(&mut ice, now, ROUTE_A).unwrap();
    for _ in 0..2 {
        let mut buf = [0; 200];
        let transmit = ice.poll_transmit(&mut buf).unwrap();
        let answer = StunMessage::parse(&buf[..transmit.len]).unwrap();
        assert!(answer.verify(old.pwd.as_bytes(), stun_hmac));
    }
    assert_eq!(ice.take_route_change(), Some(route(ROUTE_A)));
    // A worse path, but nominated in the new session.
    let check = Check {
        remote: "again",
        priority: 1,
        ..Check::new(&new)
    };
    assert_eq!(
        Check {
            remote: "peer",
            ..Check::new(&new)
        }
        .send(&mut ice, now, ROUTE_B),
        Err(DropReason::StunRejected)
    );
    check.send(&mut ice, now, ROUTE_B).unwrap();
    assert_eq!(ice.take_route_change(), Some(route(ROUTE_B)));
    assert_eq!(
        Check::new(&old).send(&mut ice, now, ROUTE_A),
        Err(DropReason::StunRejected)
    );
}
