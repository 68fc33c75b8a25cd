use std::time::{Duration, Instant};

use super::{Burst, Chance, Link, LinkConfig, MAX_IN_FLIGHT, OVERHEAD, Queue, Rate};
use crate::clock::Clock;

const MS: Duration = Duration::from_millis(1);

/// Sends `count` numbered datagrams of `len` bytes, one each `every`; gives number and travelling time as they arrive.
fn send(link: &mut Link, count: u32, len: usize, every: Duration) -> Vec<(u32, Duration)> {
    let mut clock = Clock::new();
    let mut sent_at = Vec::new();
    let mut arrived = Vec::new();
    let mut drain = |link: &mut Link, until: Instant, sent_at: &[Instant]| {
        while let Some(at) = link.next_timeout().filter(|at| *at <= until) {
            assert!(
                link.poll_output(at - Duration::from_nanos(1)).is_none(),
                "nothing comes early"
            );
            let datagram = link.poll_output(at).unwrap();
            let number = u32::from_be_bytes(*datagram.first_chunk().unwrap());
            arrived.push((number, at - sent_at[number as usize]));
        }
    };
    for number in 0..count {
        drain(link, clock.now(), &sent_at);
        sent_at.push(clock.now());
        let mut datagram = number.to_be_bytes().to_vec();
        datagram.resize(len, 0);
        link.handle_input(clock.now(), datagram);
        clock.advance(every);
    }
    drain(link, clock.now() + Duration::from_secs(3600), &sent_at);
    arrived
}

#[test]
fn a_perfect_wire() {
    let mut link = Link::new(1, LinkConfig::default());
    let arrived = send(&mut link, 100, 100, MS);
    assert_eq!(arrived, (0..100).map(|n| (n, Duration::ZERO)).collect::<Vec<_>>());
    assert_eq!(
        (link.stats().sent, link.stats().delivered, link.stats().delivered_bytes),
        (100, 100, 10_000)
    );
}

#[test]
fn the_same_seed_is_the_same_network() {
    let config = LinkConfig {
        loss: Chance::percent(10.0),
        jitter: 30 * MS,
        reorder: Chance::percent(5.0),
        hold: 10 * MS,
        duplicate: Chance::percent(5.0),
        ..LinkConfig::default()
    };
    let run = |seed| send(&mut Link::new(seed, config), 2000, 50, MS);
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn loses_as_many_as_it_says() {
    let mut link = Link::new(
        3,
        LinkConfig {
            loss: Chance::percent(5.0),
            ..LinkConfig::default()
        },
    );
    let arrived = send(&mut link, 20_000, 4, MS);
    assert!((18_800..19_200).contains(&arrived.len()), "{}", arrived.len());
    assert_eq!(link.stats().lost + link.stats().delivered, 20_000);
}

#[test]
fn bursts_have_their_length() {
    let burst = Burst {
        enter: Chance::percent(1.0),
        leave: Chance::percent(20.0),
        loss: Chance::ALWAYS,
    };
    let mut link = Link::new(
        4,
        LinkConfig {
            burst: Some(burst),
            ..LinkConfig::default()
        },
    );
    let arrived = send(&mut link, 50_000, 4, MS);
    let gaps: Vec<u32> = arrived
        .windows(2)
        .map(|w| w[1].0 - w[0].0 - 1)
        .filter(|gap| *gap > 0)
        .collect();
    let mean = gaps.iter().sum::<u32>() / u32::try_from(gaps.len()).unwrap();
    assert!((4..=6).contains(&mean), "mean burst {mean} of {}", gaps.len());
    assert!((350..650).contains(&gaps.len()), "{}", gaps.len());
}

#[test]
fn jitter_keeps_order_and_bounds() {
    let mut link = Link::new(
        5,
        LinkConfig {
            delay: 50 * MS,
            jitter: 20 * MS,
            ..LinkConfig::default()
        },
    );
    let arrived = send(&mut link, 1000, 4, 5 * MS);
    assert!(arrived.is_sorted_by_key(|(number, _)| *number));
    assert!(arrived.iter().all(|(_, took)| (50 * MS..70 * MS).contains(took)));
    assert!(arrived.iter().any(|(_, took)| *took > 65 * MS));
}

#[test]
fn held_back_datagrams_are_overtaken() {
    let config = LinkConfig {
        reorder: Chance::percent(10.0),
        hold: 12 * MS,
        ..LinkConfig::default()
    };
    let arrived = send(&mut Link::new(6, config), 1000, 4, 5 * MS);
    let late = arrived.iter().filter(|(_, took)| *took == 12 * MS).count();
    assert_eq!(arrived.len(), 1000);
    assert!((60..140).contains(&late), "{late}");
    assert!(!arrived.is_sorted_by_key(|(number, _)| *number));
}

#[test]
fn doubles_arrive_twice() {
    let mut link = Link::new(
        7,
        LinkConfig {
            duplicate: Chance::ALWAYS,
            ..LinkConfig::default()
        },
    );
    assert_eq!(send(&mut link, 10, 4, MS).len(), 20);
    assert_eq!(
        (link.stats().sent, link.stats().duplicated, link.stats().delivered),
        (10, 10, 20)
    );
}

#[test]
fn a_slow_link_queues_and_then_drops() {
    // 972 bytes and the overhead are 1000: at 1 Mbit/s, 8 ms each. One a ms is eight times too many.
    let config = LinkConfig {
        rate: Some(Rate::bits(1_000_000)),
        queue: Queue::Time(100 * MS),
        ..LinkConfig::default()
    };
    let mut link = Link::new(8, config);
    let arrived = send(&mut link, 1000, 1000 - OVERHEAD, MS);
    assert_eq!(arrived[0].1, 8 * MS);
    assert_eq!(arrived[1].1, 15 * MS);
    assert!(arrived.iter().all(|(_, took)| *took <= 108 * MS));
    assert!(
        (130..145).contains(&arrived.len()),
        "1 s at 125 a second and a full queue: {}",
        arrived.len()
    );
    assert_eq!(link.stats().queue_dropped, 1000 - link.stats().delivered);
    assert!(link.stats().queue_delay_max > 90 * MS && link.stats().queue_delay_max <= 100 * MS);
    assert!(link.stats().queue_delay_mean() > 50 * MS);
}

#[test]
fn a_queue_of_bytes() {
    let config = LinkConfig {
        rate: Some(Rate::bits(1_000_000)),
        queue: Queue::Bytes(5_000),
        ..LinkConfig::default()
    };
    let mut link = Link::new(9, config);
    assert_eq!(send(&mut link, 20, 1000 - OVERHEAD, Duration::ZERO).len(), 5);
}

#[test]
fn a_cut_wire_loses_everything_and_heals() {
    let mut link = Link::new(10, LinkConfig::delay(10 * MS));
    link.set_down(true);
    assert!(send(&mut link, 5, 4, MS).is_empty());
    link.set_down(false);
    assert_eq!(send(&mut link, 5, 4, MS).len(), 5);
    assert_eq!(link.stats().lost, 5);
}

#[test]
fn what_is_under_way_has_a_bound() {
    let mut link = Link::new(11, LinkConfig::delay(Duration::from_secs(10)));
    let now = Instant::now();
    for _ in 0..MAX_IN_FLIGHT + 7 {
        link.handle_input(now, Vec::new());
    }
    assert_eq!(link.stats().queue_dropped, 7);
}
