//! A thousand people who join within ten seconds, in virtual time: what it costs those who are there.

use std::collections::HashMap;

use prost::Message as _;

use super::*;
use crate::protocol::wire;
use crate::room::ConnectionId;

const PEOPLE: u64 = 1000;
const WITHIN: Duration = Duration::from_secs(10);
/// One comes in each of these.
const STEP: Duration = Duration::from_millis(10);
/// So many steps after they come, media flows.
const CONNECTING: u64 = 30;
/// One of so many is looked at.
const LOOK_AT: u64 = 50;

/// A client and what it was told, as its session would tell it.
struct Told {
    client: Client,
    /// When it was told last, and has to be told next.
    last: Instant,
    due: Option<Instant>,
    seen: u64,
    messages: usize,
    bytes: usize,
    described: HashMap<String, (usize, i32)>,
}

impl Told {
    fn new(client: Client, first: &[Response], now: Instant) -> Self {
        let mut told = Self {
            client,
            last: now,
            due: None,
            seen: 0,
            messages: 0,
            bytes: 0,
            described: HashMap::new(),
        };
        let Some(Response::Join(join)) = first.first() else {
            panic!("{first:?}");
        };
        assert!(join.other_participants.len() <= 200, "the first message is one page");
        told.note(&join.other_participants);
        told.take(&first[1..]);
        told
    }

    fn follow(&mut self, stage: &mut Stage, now: Instant) {
        if self.due.is_none() && self.seen != stage.room.revision() {
            self.seen = stage.room.revision();
            self.due = Some(now.max(self.last + self.client.gather));
        }
        if self.due.is_some_and(|due| due <= now) {
            (self.due, self.last) = (None, now);
            self.client.follow(&mut stage.room);
            let told = stage.run(&mut self.client);
            self.take(&told);
        }
    }

    fn take(&mut self, told: &[Response]) {
        for response in told {
            if let Response::Update(update) = response {
                self.messages += 1;
                self.bytes += wire::encode(response.clone()).len();
                assert!(update.participants.len() <= 200 && update.encoded_len() <= 256 * 1024);
                self.note(&update.participants);
            }
        }
    }

    fn note(&mut self, participants: &[proto::ParticipantInfo]) {
        for one in participants {
            let known = self.described.entry(one.identity.clone()).or_default();
            *known = (known.0 + 1, one.state);
        }
    }
}

/// Who joins is there after `CONNECTING` steps.
fn connect(room: &mut Room, number: u64) {
    room.on_connected(EndpointId(number));
}

fn join(stage: &mut Stage, number: u64) -> ConnectionId {
    let profile = profile(&format!("participant-{number}"));
    let connection = stage.room.join(Instant::now(), &profile).unwrap();
    stage.room.attach(connection, EndpointId(number));
    connection
}

#[test]
fn a_thousand_joins_cost_each_client_few_messages() {
    let mut stage = Stage::new();
    // Numbers of the clients' own endpoints are elsewhere.
    stage.last = 10 * PEOPLE;
    let start = Instant::now();
    let mut looked_at: Vec<Told> = Vec::new();
    for step in 0..PEOPLE + 2 * CONNECTING + 200 {
        let now = start + STEP * u32::try_from(step).unwrap();
        if step < PEOPLE && step % LOOK_AT == 0 {
            let (client, first) = stage.join(&format!("participant-{step}"));
            looked_at.push(Told::new(client, &first, now));
        } else if step < PEOPLE {
            join(&mut stage, step);
        }
        if step >= CONNECTING {
            connect(&mut stage.room, step - CONNECTING);
        }
        looked_at.iter_mut().for_each(|one| one.follow(&mut stage, now));
    }
    assert_eq!(stage.room.participants().len(), 1000);
    assert_eq!(STEP * u32::try_from(PEOPLE).unwrap(), WITHIN);
    for one in &looked_at {
        let most = one.described.values().map(|(times, _)| *times).max();
        // The bounds that docs/protocol.md states.
        assert!(one.messages <= 50, "{} messages", one.messages);
        assert!(one.bytes <= 150_000, "{} bytes", one.bytes);
        assert!(most <= Some(3), "somebody was described {most:?} times");
        assert_eq!(one.described.len(), 1000);
        let active = proto::participant_info::State::Active as i32;
        assert!(
            one.described.values().all(|(_, state)| *state == active),
            "somebody's last state is missing"
        );
    }
}

#[test]
fn long_metadata_makes_more_pages_not_longer_ones() {
    let mut stage = Stage::new();
    let (mut ada, _) = stage.join("ada");
    for number in 1..20 {
        let connection = join(&mut stage, 1000 + number);
        stage
            .room
            .change_profile(connection, |profile| profile.metadata = "m".repeat(60_000));
    }
    let told = stage.sync(&mut ada);
    let sizes: Vec<usize> = told
        .iter()
        .filter_map(|one| match one {
            Response::Update(update) => Some(update.participants.len()),
            _ => None,
        })
        .collect();
    assert_eq!(
        sizes,
        [5, 4, 4, 4, 3],
        "ada herself, and nineteen others by four in a page"
    );
    let (_, told) = stage.join("ben");
    let Response::Join(join) = &told[0] else {
        panic!("{told:?}");
    };
    assert_eq!(join.other_participants.len(), 5);
    assert_eq!(updated(&told).len(), 15, "the rest follows");
}
