//! Made-up packets, with and without a guard that must mind.
#![expect(clippy::cast_possible_truncation, reason = "numbers wrap")]

use super::*;

/// A packet of chunks: type, flags, value.
fn packet(chunks: &[(u8, u8, Vec<u8>)]) -> Vec<u8> {
    let mut packet = vec![0; HEADER];
    for (kind, flags, value) in chunks {
        packet.extend([*kind, *flags]);
        packet.extend(u16::try_from(value.len() + 4).unwrap().to_be_bytes());
        packet.extend(value);
        packet.resize(packet.len().next_multiple_of(4), 0);
    }
    packet
}

fn data(tsn: u32, stream: u16, ssn: u16, flags: u8) -> (u8, u8, Vec<u8>) {
    let words = [tsn.to_be_bytes(), [0; 4], [0, 0, 0, 53]];
    let mut value = words.concat();
    value[4..6].copy_from_slice(&stream.to_be_bytes());
    value[6..8].copy_from_slice(&ssn.to_be_bytes());
    value.push(b'x');
    (kind::DATA, flags, value)
}

fn guard(first: u32) -> Guard {
    let mut guard = Guard::new();
    let mut init = vec![0; 16];
    init[12..].copy_from_slice(&first.to_be_bytes());
    assert!(guard.on_taken(&packet(&[(kind::INIT, 0, init)])));
    guard
}

fn gives(guard: &mut Guard, chunk: (u8, u8, Vec<u8>)) -> bool {
    let packet = packet(&[chunk]);
    guard.check(&packet).is_some() && guard.on_taken(&packet)
}

#[test]
fn whole_messages_leave_nothing_behind() {
    let mut guard = guard(u32::MAX - 5);
    let mut tsn = u32::MAX - 5;
    for number in 0..70_000_u32 {
        // One of three fragments, one of one, one without order; around the ends of both numbers.
        let ssn = number as u16;
        for (stream, flags) in [(1, 2), (1, 0), (1, 1), (2, 3), (3, 7)] {
            assert!(gives(&mut guard, data(tsn, stream, ssn, flags)));
            guard.on_read(1);
            tsn = tsn.wrapping_add(1);
        }
    }
    assert_eq!((guard.stranded, guard.ahead.len()), (0, 0));
}

#[test]
fn what_can_never_be_a_message_is_counted() {
    type Attack = fn(u32) -> (u8, u8, Vec<u8>);
    let attacks: [(&str, Attack); 5] = [
        ("a message without end", |n| data(n, 0, 0, if n == 0 { 2 } else { 0 })),
        ("beginnings without end", |n| data(n, 0, n as u16, 2)),
        ("ends without beginning", |n| data(n, 0, 0, 5)),
        ("a turn that never comes", |n| data(n, 0, 1 + n as u16, 3)),
        ("a gap that stays", |n| data(n + 1, 0, n as u16, 3)),
    ];
    for (name, attack) in attacks {
        let mut guard = guard(0);
        let taken = (0..10_000).take_while(|n| gives(&mut guard, attack(*n))).count();
        assert!((1000..2100).contains(&taken), "{name}: {taken}");
    }
}

#[test]
fn what_is_given_up_is_not_counted() {
    let mut guard = guard(0);
    let mut tsn = 0_u32;
    for number in 0..5000_u32 {
        // The beginning comes, the rest is given up.
        assert!(gives(&mut guard, data(tsn, 4, number as u16, 2)));
        let mut forward = (tsn + 2).to_be_bytes().to_vec();
        forward.extend([0, 4]);
        forward.extend((number as u16).to_be_bytes());
        assert!(gives(&mut guard, (kind::FORWARD_TSN, 0, forward)));
        tsn += 3;
    }
    assert!(gives(&mut guard, data(tsn, 4, 5000, 3)));
    assert_eq!(guard.stranded, 0);
}

#[test]
fn a_reset_stream_begins_again() {
    let mut guard = guard(0);
    let mut tsn = 0;
    for _ in 0..2000 {
        for ssn in 0..3 {
            assert!(gives(&mut guard, data(tsn, 5, ssn, 3)));
            tsn += 1;
        }
        let mut reset = vec![0, 13, 0, 18];
        reset.extend([0; 12]);
        reset.extend([0, 5]);
        let reset = packet(&[(kind::RE_CONFIG, 0, reset)]);
        let passed = guard.check(&reset).unwrap();
        assert_eq!(passed.resets.unwrap().as_slice(), [5]);
        assert!(guard.on_taken(&reset));
    }
    assert_eq!(guard.stranded, 0);
}

#[test]
fn what_is_not_let_through() {
    let guard = guard(100);
    let sack = |blocks: &[(u16, u16)]| {
        let mut value = vec![0; 12];
        value[9] = blocks.len().try_into().unwrap();
        value.extend(
            blocks
                .iter()
                .flat_map(|(start, end)| [start.to_be_bytes(), end.to_be_bytes()])
                .flatten(),
        );
        (kind::SACK, 0, value)
    };
    let empty = (kind::DATA, 3, data(100, 0, 0, 3).2[..12].to_vec());
    for (chunk, passes) in [
        (data(100, 1023, 0, 3), true),
        (data(100, 1024, 0, 3), false),
        (data(100 + WINDOW - 1, 0, 0, 3), true),
        (data(100 + WINDOW, 0, 0, 3), false),
        (data(7, 0, 0, 3), true),
        (empty, false),
        (sack(&[(2, 400), (500, 600)]), true),
        (sack(&[(2, 1)]), false),
        (sack(&[(1, 5000), (1, 5000)]), false),
        ((9, 0, vec![0, 1, 0, 4]), false),
        ((64, 0, vec![0; 20]), false),
    ] {
        assert_eq!(
            guard.check(&packet(std::slice::from_ref(&chunk))).is_some(),
            passes,
            "{chunk:?}"
        );
    }
    assert!(guard.check(&[0; 13]).is_none() && guard.check(&[0; 16]).is_none());
}

#[test]
fn a_full_window_takes_only_what_closes_a_gap() {
    let mut guard = guard(0);
    assert!(gives(&mut guard, data(5, 0, 1, 3)));
    let mut sack = vec![255; 12];
    sack[4..].fill(0);
    guard.on_sent(&packet(&[(kind::SACK, 0, sack.clone())]));
    assert!(!gives(&mut guard, data(7, 0, 2, 3)));
    assert!(gives(&mut guard, data(1, 0, 0, 3)));
    sack[4..8].copy_from_slice(&1_u32.to_be_bytes());
    guard.on_sent(&packet(&[(kind::SACK, 0, sack)]));
    assert!(gives(&mut guard, data(6, 0, 2, 3)));
    assert!(!gives(&mut guard, data(8, 0, 4, 3)), "that was the last byte");
    // A probe passes, and is not counted on.
    assert!(gives(&mut guard, data(7, 0, 3, 3)));
    assert_eq!(guard.ahead.len(), 7);
    guard.on_read(1);
    assert!(gives(&mut guard, data(8, 0, 4, 3)));
    assert_eq!(guard.ahead.len(), 9);
}
