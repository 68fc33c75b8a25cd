//! Two ends, joined through memory in virtual time, without DTLS.

use proptest::prelude::*;

use super::*;
use crate::fuzzing::data::seal;

/// One way, in virtual time.
const DELAY: Duration = Duration::from_millis(20);

/// What happens to a packet on the wire: lost, or late by so many milliseconds.
type Wire = Box<dyn FnMut(&[u8]) -> Option<u64>>;

struct Pair {
    now: Instant,
    /// DTLS client and server.
    ends: [Sctp; 2],
    events: [Vec<DataEvent>; 2],
    /// Packets under way: when they arrive, in which order they left, at whom.
    flying: Vec<(Instant, usize, usize, Bytes)>,
    sent: usize,
    /// What packets to either end must carry.
    tags: [[u8; 4]; 2],
    /// The first and the latest TSN of the client.
    tsns: (u32, u32),
    wire: Wire,
    /// The caller of this end takes what has come.
    takes: [bool; 2],
}

fn random(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed.wrapping_mul(2) + 1;
    move |below| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    }
}

/// Loses some packets, and lets others overtake.
fn bad(seed: u64, percent: u64, jitter: u64) -> Wire {
    let mut random = random(seed);
    Box::new(move |_| (random(100) >= percent).then(|| random(jitter + 1)))
}

impl Pair {
    fn new(wire: Wire) -> Self {
        let now = Instant::now();
        let mut ends = [Sctp::new(), Sctp::new()];
        ends[0].start(now, true);
        ends[1].start(now, false);
        Self {
            now,
            ends,
            events: Default::default(),
            flying: Vec::new(),
            sent: 0,
            tags: [[0; 4]; 2],
            tsns: (0, 0),
            wire,
            takes: [true; 2],
        }
    }

    fn good() -> Self {
        Self::new(Box::new(|_| Some(0)))
    }

    /// Both ends have a channel of the client, opened.
    fn with_channel(wire: Wire, config: DataChannelConfig) -> (Self, DataChannelId, DataChannelId) {
        let mut pair = Self::new(wire);
        let channel = pair.ends[0].open(pair.now, config).unwrap();
        pair.run(Duration::from_secs(20));
        assert!(opened(&pair.events[0]).is_some(), "{:?}", pair.ends);
        let (other, ..) = opened(&pair.events[1]).unwrap();
        pair.events = Default::default();
        (pair, channel, other)
    }

    fn run(&mut self, duration: Duration) {
        let until = self.now + duration;
        while self.now < until {
            for from in 0..2 {
                while let Some(packet) = self.ends[from].poll_transmit(self.now) {
                    self.sent += 1;
                    self.tags[1 - from] = packet[4..8].try_into().unwrap();
                    let word = |at: usize| u32::from_be_bytes(packet[at..at + 4].try_into().unwrap());
                    match (from, packet[12]) {
                        (0, 0) => self.tsns.1 = word(16),
                        (0, 1) => self.tsns.0 = word(28),
                        _ => {}
                    }
                    if let Some(late) = (self.wire)(&packet) {
                        let at = self.now + DELAY + Duration::from_millis(late);
                        self.flying.push((at, self.sent, 1 - from, packet));
                    }
                }
                while self.takes[from]
                    && let Some(event) = self.ends[from].poll_event()
                {
                    self.events[from].push(event);
                }
            }
            let arrivals = self.flying.iter().map(|packet| packet.0);
            let timeouts = self.ends.iter().filter_map(Sctp::next_timeout);
            let next = arrivals.chain(timeouts).min().unwrap_or(until).min(until);
            self.now = self.now.max(next);
            self.flying.sort_by_key(|packet| (packet.0, packet.1));
            let due = self.flying.partition_point(|packet| packet.0 <= self.now);
            for (_, _, to, packet) in self.flying.drain(..due).collect::<Vec<_>>() {
                let _ = self.ends[to].handle(self.now, packet);
            }
            for end in &mut self.ends {
                if end.next_timeout().is_some_and(|at| at <= self.now) {
                    end.handle_timeout(self.now);
                }
            }
        }
        for end in 0..2 {
            while self.takes[end]
                && let Some(event) = self.ends[end].poll_event()
            {
                self.events[end].push(event);
            }
        }
    }

    fn received(&self, end: usize) -> Vec<Bytes> {
        let data = self.events[end].iter().filter_map(|event| match event {
            DataEvent::Received { data, .. } => Some(data.clone()),
            _ => None,
        });
        data.collect()
    }
}

fn opened(events: &[DataEvent]) -> Option<(DataChannelId, DataChannelConfig, bool)> {
    events.iter().find_map(|event| match event {
        DataEvent::Opened {
            channel,
            config,
            by_peer,
        } => Some((*channel, (**config).clone(), *by_peer)),
        _ => None,
    })
}

fn message(number: u32, len: usize) -> Vec<u8> {
    let mut random = random(u64::from(number));
    let body = (4..len).map(|_| u8::try_from(random(256)).unwrap());
    number.to_be_bytes().into_iter().chain(body).take(len).collect()
}

#[test]
fn nothing_is_sent_and_no_timer_runs_before_there_is_a_channel() {
    let mut pair = Pair::good();
    pair.run(Duration::from_secs(60));
    assert_eq!(pair.sent, 0);
    assert!(
        pair.ends
            .iter()
            .all(|end| end.association.is_none() && end.next_timeout().is_none())
    );
}

#[test]
fn a_channel_is_the_same_at_both_ends() {
    for opener in 0..2 {
        for config in [
            DataChannelConfig::new("chat"),
            DataChannelConfig::lossy("_lossy"),
            DataChannelConfig {
                protocol: "json".into(),
                ordered: false,
                reliability: Reliability::MaxLifetime(700),
                ..DataChannelConfig::new("")
            },
        ] {
            let mut pair = Pair::good();
            let id = pair.ends[opener].open(pair.now, config.clone()).unwrap();
            assert_eq!(
                pair.ends[opener].send(id, DataKind::Text, b"early"),
                Err(SendDataError::NotOpen)
            );
            pair.run(Duration::from_secs(2));
            assert_eq!(opened(&pair.events[opener]), Some((id, config.clone(), false)));
            let (other, told, by_peer) = opened(&pair.events[1 - opener]).unwrap();
            assert_eq!((told, by_peer), (config, true));
            // Even for the client, odd for the server (RFC 8832 §6).
            assert_eq!(pair.ends[0].channels[0].stream, Some(u16::try_from(opener).unwrap()));
            for (end, channel) in [(opener, id), (1 - opener, other)] {
                for (kind, data) in [
                    (DataKind::Text, "grüß dich".as_bytes()),
                    (DataKind::Binary, &[0, 255]),
                    (DataKind::Text, b""),
                    (DataKind::Binary, b""),
                ] {
                    pair.ends[end].send(channel, kind, data).unwrap();
                }
                pair.run(Duration::from_secs(1));
                let kinds: Vec<_> = pair.events[1 - end]
                    .iter()
                    .filter_map(|event| match event {
                        DataEvent::Received { kind, data, .. } => Some((*kind, data.len())),
                        _ => None,
                    })
                    .collect();
                let (text, binary) = (DataKind::Text, DataKind::Binary);
                assert_eq!(kinds, [(text, 11), (binary, 2), (text, 0), (binary, 0)]);
            }
        }
    }
}

#[test]
fn both_ends_may_begin_at_once() {
    for patience in [true, false] {
        let mut pair = Pair::good();
        let channels = [0, 1].map(|end| {
            let id = pair.ends[end].open(pair.now, DataChannelConfig::new("mine")).unwrap();
            // Without patience, the INITs cross.
            if !patience {
                pair.ends[end].connect_at = Some(pair.now);
                pair.ends[end].handle_timeout(pair.now);
            }
            id
        });
        pair.run(Duration::from_secs(5));
        for (end, channel) in channels.into_iter().enumerate() {
            assert_eq!(pair.events[end].len(), 2, "{:?}", pair.events[end]);
            pair.ends[end].send(channel, DataKind::Binary, b"x").unwrap();
        }
        pair.run(Duration::from_secs(1));
        assert_eq!(
            [0, 1].map(|end| pair.received(end).len()),
            [1, 1],
            "patience {patience}"
        );
    }
}

#[test]
fn agreed_channels_need_no_words() {
    let mut pair = Pair::good();
    let config = |stream, label: &str| DataChannelConfig {
        negotiated: Some(stream),
        ..DataChannelConfig::lossy(label)
    };
    let ids = [0, 1].map(|end| {
        let end = &mut pair.ends[end];
        [(100, "_reliable"), (101, "_lossy")].map(|(stream, label)| end.open(pair.now, config(stream, label)).unwrap())
    });
    let again = pair.ends[0].open(pair.now, config(100, "again"));
    assert_eq!(again, Err(OpenDataError::InvalidConfig));
    assert_eq!(
        pair.ends[0].open(pair.now, config(MAX_STREAMS, "high")),
        Err(OpenDataError::InvalidConfig)
    );
    pair.run(Duration::from_secs(2));
    assert_eq!(
        [pair.events[0].len(), pair.events[1].len()],
        [2, 2],
        "opened, and nothing else"
    );
    for (end, [_, lossy]) in ids.into_iter().enumerate() {
        pair.ends[end].send(lossy, DataKind::Binary, b"hello").unwrap();
    }
    pair.run(Duration::from_secs(1));
    for (end, [_, channel]) in ids.into_iter().enumerate() {
        let hello = DataEvent::Received {
            channel,
            kind: DataKind::Binary,
            data: Bytes::from_static(b"hello"),
        };
        assert_eq!(pair.events[end].last(), Some(&hello));
    }
}

#[test]
fn long_messages_come_through_loss_and_reordering() {
    for seed in 0..3 {
        let (mut pair, client, server) = Pair::with_channel(bad(seed, 10, 15), DataChannelConfig::new("files"));
        for number in 0..8 {
            for (end, channel) in [(0, client), (1, server)] {
                let data = message(number, MAX_MESSAGE as usize);
                pair.ends[end].send(channel, DataKind::Binary, &data).unwrap();
            }
        }
        let long = vec![0; MAX_MESSAGE as usize + 1];
        assert_eq!(
            pair.ends[0].send(client, DataKind::Binary, &long),
            Err(SendDataError::TooLong)
        );
        pair.run(Duration::from_secs(120));
        for end in 0..2 {
            let received = pair.received(end);
            assert_eq!(received.len(), 8, "seed {seed}");
            for (number, data) in (0..).zip(received) {
                assert_eq!(data, message(number, MAX_MESSAGE as usize), "seed {seed}");
            }
            assert_eq!(pair.ends[end].cost(), 0, "seed {seed}: all is off the books");
        }
    }
}

#[test]
fn a_peer_is_not_sent_more_than_it_takes() {
    let (mut pair, client, _) = Pair::with_channel(Box::new(|_| Some(0)), DataChannelConfig::new("small"));
    for (told, most) in [(1000, 1000), (0, MAX_MESSAGE), (200_000, MAX_MESSAGE)] {
        pair.ends[0].set_max_message(told);
        let data = vec![0; most as usize + 1];
        assert_eq!(
            pair.ends[0].send(client, DataKind::Text, &data),
            Err(SendDataError::TooLong)
        );
        assert_eq!(pair.ends[0].send(client, DataKind::Text, &data[1..]), Ok(()));
    }
}

#[test]
fn lossy_channels_lose_and_reliable_ones_do_not() {
    let count = 2000;
    for (reliability, ordered, all) in [
        (Reliability::Reliable, true, true),
        (Reliability::Reliable, false, true),
        (Reliability::MaxRetransmits(0), false, false),
        (Reliability::MaxRetransmits(0), true, false),
        (Reliability::MaxLifetime(60), false, false),
    ] {
        let config = DataChannelConfig {
            ordered,
            reliability,
            ..DataChannelConfig::new("")
        };
        let (mut pair, client, _) = Pair::with_channel(bad(7, 10, 0), config);
        for number in 0..count {
            pair.ends[0]
                .send(client, DataKind::Binary, &message(number, 700))
                .unwrap();
            pair.run(Duration::from_millis(10));
        }
        pair.run(Duration::from_secs(20));
        let received = pair.received(1);
        let numbers: Vec<_> = received
            .iter()
            .map(|data| u32::from_be_bytes(data[..4].try_into().unwrap()))
            .collect();
        assert!(
            received
                .iter()
                .zip(&numbers)
                .all(|(data, number)| *data == message(*number, 700))
        );
        if ordered {
            assert!(numbers.is_sorted());
        }
        let mut different = numbers.clone();
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), numbers.len(), "none comes twice");
        if all {
            assert_eq!(numbers.len(), count as usize);
        } else {
            let part = f64::from(u32::try_from(numbers.len()).unwrap()) / f64::from(count);
            assert!((0.80..0.97).contains(&part), "{reliability:?}: {part}");
        }
        assert_eq!(
            pair.ends[0].cost(),
            0,
            "{reliability:?}: what was given up is off the books"
        );
    }
}

#[test]
fn a_slow_peer_pushes_back() {
    let (mut pair, client, server) = Pair::with_channel(Box::new(|_| Some(0)), DataChannelConfig::new("bulk"));
    pair.takes[1] = false;
    let data = [7; 16_000];
    let mut taken = 0;
    for _ in 0..100 {
        for _ in 0..10 {
            match pair.ends[0].send(client, DataKind::Binary, &data) {
                Ok(()) => taken += 1,
                Err(error) => assert_eq!(error, SendDataError::Full),
            }
        }
        pair.run(Duration::from_millis(100));
    }
    let kept = taken * data.len();
    let most = MAX_BUFFERED + MAX_EVENTS.1 + RECEIVE_WINDOW as usize + 3 * data.len();
    assert!((MAX_BUFFERED..most).contains(&kept), "{kept}");
    assert_eq!(
        pair.ends[0].send(client, DataKind::Binary, &data),
        Err(SendDataError::Full)
    );
    assert!(pair.events[0].is_empty());
    // Small messages cannot get in either, nor by another channel.
    let other = pair.ends[0].open(pair.now, DataChannelConfig::new("more")).unwrap();
    pair.takes[1] = true;
    pair.run(Duration::from_secs(60));
    assert_eq!(pair.received(1).len(), taken);
    let writable = DataEvent::Writable { channel: client };
    assert_eq!(pair.events[0].iter().filter(|event| **event == writable).count(), 1);
    assert_eq!(pair.ends[0].send(other, DataKind::Binary, &data), Ok(()));
    assert_eq!(pair.ends[0].buffered(other), Some(data.len()));
    assert_eq!(pair.ends[1].buffered(server), Some(0));
}

#[test]
fn many_small_messages_are_bounded_too() {
    let (mut pair, client, _) = Pair::with_channel(Box::new(|_| Some(0)), DataChannelConfig::new("tiny"));
    let mut taken = 0;
    while pair.ends[0].send(client, DataKind::Binary, b"x").is_ok() {
        taken += 1;
    }
    assert!((4000..4200).contains(&taken), "{taken}");
    pair.run(Duration::from_secs(20));
    assert_eq!(pair.received(1).len(), taken);
}

#[test]
fn closing_is_told_after_what_was_sent() {
    for (closer, seed) in [(0, 1), (1, 2), (0, 3), (1, 4)] {
        let (mut pair, client, server) = Pair::with_channel(bad(seed, 20, 5), DataChannelConfig::new("chat"));
        let ids = [client, server];
        for number in 0..20 {
            let data = message(number, 3000);
            pair.ends[closer].send(ids[closer], DataKind::Binary, &data).unwrap();
        }
        pair.ends[closer].close(ids[closer]);
        pair.ends[closer].close(ids[closer]);
        assert_eq!(
            pair.ends[closer].send(ids[closer], DataKind::Text, b""),
            Err(SendDataError::NoChannel)
        );
        pair.run(Duration::from_secs(60));
        let other = 1 - closer;
        assert_eq!(pair.received(other).len(), 20);
        assert_eq!(
            pair.events[other].last(),
            Some(&DataEvent::Closed { channel: ids[other] })
        );
        assert_eq!(pair.events[closer], [DataEvent::Closed { channel: ids[closer] }]);
        assert!(pair.ends.iter().all(|end| end.channels.is_empty()), "{:?}", pair.ends);
        // The stream can be had again, under a new name.
        let again = pair.ends[0].open(pair.now, DataChannelConfig::new("chat")).unwrap();
        assert_ne!(again, client);
        pair.run(Duration::from_secs(20));
        assert_eq!(pair.ends[1].channels[0].stream, Some(0));
        pair.ends[0].send(again, DataKind::Binary, b"once more").unwrap();
        pair.run(Duration::from_secs(20));
        assert_eq!(pair.received(1).last().unwrap(), &b"once more"[..]);
    }
}

#[test]
fn what_waits_for_a_peer_counts_although_it_closed_the_channel() {
    let (mut pair, client, server) = Pair::with_channel(Box::new(|_| Some(0)), DataChannelConfig::new("leak"));
    pair.takes[1] = false;
    while pair.ends[0].send(client, DataKind::Binary, &[0; 60_000]).is_ok() {}
    pair.run(Duration::from_secs(1));
    pair.ends[1].close(server);
    pair.run(Duration::from_secs(5));
    assert!(pair.events[0].contains(&DataEvent::Closed { channel: client }) || pair.ends[0].cost() > MAX_BUFFERED / 2);
    let again = pair.ends[0].open(pair.now, DataChannelConfig::new("leak")).unwrap();
    pair.run(Duration::from_secs(1));
    let mut more = 0;
    while pair.ends[0].send(again, DataKind::Binary, &[0; 60_000]).is_ok() {
        more += 60_000;
    }
    assert!(pair.ends[0].cost() <= MAX_BUFFERED && more < MAX_BUFFERED, "{more}");
}

#[test]
fn channels_are_limited() {
    let mut pair = Pair::good();
    for number in 0..MAX_CHANNELS {
        pair.ends[0]
            .open(pair.now, DataChannelConfig::new(&number.to_string()))
            .unwrap();
    }
    assert_eq!(
        pair.ends[0].open(pair.now, DataChannelConfig::new("")),
        Err(OpenDataError::LimitReached)
    );
    pair.run(Duration::from_secs(5));
    assert_eq!([0, 1].map(|end| pair.events[end].len()), [MAX_CHANNELS; 2]);
    // A peer without manners.
    pair.ends[0].channels.remove(0);
    let refused = pair.ends[0].open(pair.now, DataChannelConfig::new("one more")).unwrap();
    pair.run(Duration::from_secs(5));
    assert_eq!(pair.events[0].last(), Some(&DataEvent::Closed { channel: refused }));
    assert_eq!(pair.ends[1].channels.len(), MAX_CHANNELS);
    let name = "x".repeat(MAX_NAME + 1);
    assert_eq!(
        Pair::good().ends[0].open(pair.now, DataChannelConfig::new(&name)),
        Err(OpenDataError::InvalidConfig)
    );
}

#[test]
fn a_lost_association_closes_all_and_another_may_follow() {
    let (mut pair, _, server) = Pair::with_channel(Box::new(|_| Some(0)), DataChannelConfig::new("chat"));
    let tag = pair.tags[1];
    // The client forgets; its new INIT is not taken while the old association stands.
    pair.ends[0] = Sctp::new();
    pair.ends[0].start(pair.now, true);
    pair.ends[0].open(pair.now, DataChannelConfig::new("new")).unwrap();
    pair.run(Duration::from_secs(3));
    assert!(pair.events[1].is_empty());
    pair.tags[1] = tag;
    let abort = forged(&pair, &[6, 0, 0, 4]);
    pair.ends[1].handle(pair.now, abort).unwrap();
    pair.run(Duration::from_secs(10));
    assert_eq!(pair.events[1][0], DataEvent::Closed { channel: server });
    assert_eq!(opened(&pair.events[1]).unwrap().1.label, "new");
}

#[test]
fn a_peer_without_sctp_is_given_up() {
    let mut pair = Pair::new(Box::new(|_| None));
    let id = pair.ends[0].open(pair.now, DataChannelConfig::new("void")).unwrap();
    pair.run(Duration::from_secs(300));
    assert_eq!(pair.events[0], [DataEvent::Closed { channel: id }]);
    assert!(pair.sent < 40 && pair.ends[0].next_timeout().is_none(), "{}", pair.sent);
}

type Chunk = (u8, u8, Vec<u8>);

/// A chunk with a byte of data.
fn data_chunk(tsn: u32, stream: u16, ssn: u16, flags: u8) -> Chunk {
    let mut value = tsn.to_be_bytes().to_vec();
    value.extend(stream.to_be_bytes());
    value.extend(ssn.to_be_bytes());
    value.extend([0, 0, 0, 53, b'x']);
    (0, flags, value)
}

/// A chunk that resets a stream of the client.
fn reset_chunk(request: u32, last: u32, stream: u16) -> Chunk {
    let mut value = vec![0, 13, 0, 18];
    value.extend(request.to_be_bytes());
    value.extend([0; 4]);
    value.extend(last.to_be_bytes());
    value.extend(stream.to_be_bytes());
    (130, 0, value)
}

/// What a peer does that wants us to keep things, packet by packet: from its number, the first free TSN and request.
type Attack = fn(u32, u32, u32) -> Vec<Chunk>;

#[test]
fn a_peer_cannot_make_us_keep_more_and_more() {
    #[expect(clippy::cast_possible_truncation, reason = "numbers wrap")]
    let attacks: [(&str, bool, Attack); 6] = [
        ("a message of bytes without end", true, |n, tsn, _| {
            vec![data_chunk(tsn + n, 0, 1, if n == 0 { 2 } else { 0 })]
        }),
        ("messages that wait for one that never comes", true, |n, tsn, _| {
            vec![data_chunk(tsn + n, 0, 2 + n as u16, 3)]
        }),
        ("a gap", false, |n, tsn, _| {
            vec![data_chunk(tsn + 1 + n, 0, 1 + n as u16, 3)]
        }),
        ("resets of a stream with half a message", true, |n, tsn, request| {
            vec![data_chunk(tsn + n, 7, 0, 2), reset_chunk(request + n, tsn + n, 7)]
        }),
        ("resets of a stream that is used again", true, |n, tsn, request| {
            vec![data_chunk(tsn + n, 7, 0, 3), reset_chunk(request + n, tsn + n, 7)]
        }),
        ("resets that wait for data", true, |n, tsn, request| {
            vec![
                data_chunk(tsn + n, 7, 0, 2),
                reset_chunk(request, tsn + 5000, 7),
                reset_chunk(request + 1 + n, 0, 7),
            ]
        }),
    ];
    for (name, ends, attack) in attacks {
        let (mut pair, ..) = Pair::with_channel(Box::new(|_| Some(0)), DataChannelConfig::new("chat"));
        let (request, tsn) = (pair.tsns.0, pair.tsns.1.wrapping_add(1));
        let (mut taken, mut lasted) = (0, 0);
        for number in 0..6000 {
            let packet = forged(&pair, &bytes_of(attack(number, tsn, request)));
            let server = &mut pair.ends[1];
            taken += usize::from(server.handle(pair.now, packet) != Err(DropReason::DataRejected));
            while server.poll_transmit(pair.now).is_some() {}
            while server.poll_event().is_some() {}
            pair.now += Duration::from_millis(1);
            server.handle_timeout(pair.now);
            lasted += usize::from(server.has_association());
        }
        if ends {
            assert!((1000..2100).contains(&lasted), "{name}: over after {lasted} packets");
        } else {
            assert!((1..2100).contains(&taken), "{name}: {taken} packets were taken");
            assert_eq!(lasted, 6000, "{name}");
        }
    }
}

#[test]
fn a_stream_may_be_used_again_before_we_know_that_it_is_free() {
    let (mut pair, _, server) = Pair::with_channel(Box::new(|_| Some(0)), DataChannelConfig::new("one"));
    let (request, tsn, now) = (pair.tsns.0, pair.tsns.1, pair.now);
    let give = |pair: &mut Pair, chunks| {
        let packet = forged(pair, &bytes_of(chunks));
        pair.ends[1].handle(now, packet).unwrap();
        std::iter::from_fn(|| pair.ends[1].poll_event()).collect::<Vec<_>>()
    };
    let events = give(&mut pair, vec![reset_chunk(request, tsn, 0)]);
    assert_eq!(events, [DataEvent::Closed { channel: server }]);
    let resets = |packet: &Bytes| packet[12] == 130 && packet[16..18] == [0, 13];
    let ours = std::iter::from_fn(|| pair.ends[1].poll_transmit(now))
        .find(resets)
        .unwrap();
    // The peer's answer to our reset is late; the next channel is not.
    let open = Dcep::Open(DataChannelConfig::new("two")).to_bytes().unwrap();
    let (mut first, mut second) = (
        data_chunk(tsn.wrapping_add(1), 0, 0, 3),
        data_chunk(tsn.wrapping_add(2), 0, 1, 3),
    );
    first.2.truncate(8);
    first.2.extend([&[0, 0, 0, 50], &open[..]].concat());
    second.2.extend(b"yz");
    assert_eq!(give(&mut pair, vec![first, second]), []);
    let answer = [&[0, 16, 0, 12], &ours[20..24], &[0, 0, 0, 1]].concat();
    let events = give(&mut pair, vec![(130, 0, answer)]);
    let [DataEvent::Opened { config, .. }, DataEvent::Received { data, .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((config.label.as_str(), &data[..]), ("two", &b"xyz"[..]));
}

fn bytes_of(chunks: Vec<Chunk>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (kind, flags, value) in chunks {
        bytes.extend([kind, flags]);
        bytes.extend(u16::try_from(value.len() + 4).unwrap().to_be_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
    }
    bytes
}

/// A packet to the server of these chunks.
fn forged(pair: &Pair, chunks: &[u8]) -> Bytes {
    let mut packet = vec![0x13, 0x88, 0x13, 0x88];
    packet.extend(pair.tags[1]);
    packet.extend([0; 4]);
    packet.extend(chunks);
    seal(&mut packet);
    packet.into()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Real packets with some bytes changed, in all states.
    #[test]
    fn changed_packets_do_no_harm(seed: u64, changes in 1..4_u64) {
        let mut random = random(seed);
        let mut pair = Pair::new(Box::new(|_| Some(0)));
        let client = pair.ends[0].open(pair.now, DataChannelConfig::new("chat")).unwrap();
        for round in 0..30 {
            let _ = pair.ends[0].send(client, DataKind::Binary, &message(round, 2000));
            for from in 0..2 {
                while let Some(packet) = pair.ends[from].poll_transmit(pair.now) {
                    let mut hostile = packet.to_vec();
                    for _ in 0..changes {
                        let at = usize::try_from(random(hostile.len() as u64)).unwrap();
                        hostile[at] = u8::try_from(random(256)).unwrap();
                    }
                    hostile.truncate(hostile.len() - usize::try_from(random(3)).unwrap());
                    seal(&mut hostile);
                    if random(3) == 0 {
                        let _ = pair.ends[1 - from].handle(pair.now, hostile.into());
                    }
                    let _ = pair.ends[1 - from].handle(pair.now, packet);
                }
            }
            for end in &mut pair.ends {
                while end.poll_event().is_some() {}
                end.handle_timeout(pair.now);
            }
            pair.now += Duration::from_millis(random(400));
        }
    }

    /// Random chunks with the right tag and sum.
    #[test]
    fn random_chunks_do_no_harm(
        chunks in proptest::collection::vec(
            (prop_oneof![0..16_u8, Just(130), Just(192), Just(194), any::<u8>()], any::<u8>(),
             proptest::collection::vec(any::<u8>(), 0..40)), 1..6),
    ) {
        let (mut pair, ..) = Pair::with_channel(Box::new(|_| Some(0)), DataChannelConfig::new("chat"));
        let packet = forged(&pair, &bytes_of(chunks));
        let _ = pair.ends[1].handle(pair.now, packet);
        pair.run(Duration::from_secs(1));
    }

    #[test]
    fn random_bytes_do_no_harm(mut bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        seal(&mut bytes);
        let mut end = Sctp::new();
        let now = Instant::now();
        let _ = end.handle(now, bytes.into());
        let _ = end.poll_transmit(now);
    }
}
