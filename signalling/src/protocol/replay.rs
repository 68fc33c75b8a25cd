//! Reliable packets of the last moments, for who could not get them: whose channel was not open yet, or who was away.
//!
//! Clients number their reliable packets and drop what they have, so that a packet may come twice.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::data::{Channel, Delivery, Meant, To};
use super::session::Handle;
use super::wire::proto;
use crate::room::{ConnectionId, Room};

/// How long a packet is kept.
const KEPT: Duration = Duration::from_secs(2);

/// Most bytes that are kept of one sender.
const MAX_BYTES: usize = 128 * 1024;

/// What one client has sent of late.
#[derive(Debug, Default)]
pub(super) struct Recent {
    packets: VecDeque<Kept>,
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    at: Instant,
    sequence: u32,
    meant: Meant,
    frame: Vec<u8>,
}

impl Recent {
    /// Keeps a packet for a while.
    pub(super) fn keep(&mut self, now: Instant, sequence: u32, meant: Meant, frame: &[u8]) {
        self.bytes += frame.len();
        self.packets.push_back(Kept {
            at: now,
            sequence,
            meant,
            frame: frame.to_vec(),
        });
        let old = |kept: &Kept| now.saturating_duration_since(kept.at) > KEPT;
        while self.bytes > MAX_BYTES || self.packets.front().is_some_and(old) {
            let gone = self.packets.pop_front();
            self.bytes -= gone.map_or(self.bytes, |kept| kept.frame.len());
        }
    }
}

/// What a client has missed of the last moments: `states` tell up to where it has got the packets of some, of the others it
/// gets what was sent since it came in.
pub(crate) fn replay(
    now: Instant,
    room: &Room,
    clients: &HashMap<ConnectionId, Handle>,
    connection: ConnectionId,
    states: &[proto::DataChannelReceiveState],
) -> Vec<Delivery> {
    let (Some(me), Some(handle)) = (room.participant_of(connection), clients.get(&connection)) else {
        return Vec::new();
    };
    let Some((endpoint, channel)) = handle.channels.way(room.connection(connection), Channel::Reliable) else {
        return Vec::new();
    };
    let mut missed: Vec<(Instant, Delivery)> = Vec::new();
    for (from, sender) in clients.iter().filter(|(from, _)| **from != connection) {
        let visible = room.participant_of(*from).is_some();
        let seen = states.iter().find(|state| state.publisher_sid == sender.sid.0);
        let new = |kept: &&Kept| {
            let young = now.saturating_duration_since(kept.at) <= KEPT;
            let unseen = seen.is_none_or(|state| kept.sequence > state.last_seq);
            young && unseen && kept.at >= me.joined && kept.meant.includes(handle)
        };
        missed.extend(
            sender
                .channels
                .recent()
                .packets
                .iter()
                .filter(|_| visible)
                .filter(new)
                .map(|kept| {
                    let to = To {
                        endpoint,
                        channel,
                        handle: None,
                    };
                    let delivery = Delivery {
                        frame: kept.frame.clone(),
                        to: vec![to],
                    };
                    (kept.at, delivery)
                }),
        );
    }
    missed.sort_by_key(|(at, _)| *at);
    missed.into_iter().map(|(_, delivery)| delivery).collect()
}
