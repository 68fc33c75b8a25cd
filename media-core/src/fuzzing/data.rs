//! Data channels between two ends, one of which has lost its manners.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::choices::Choices;
use crate::transport::sctp::{
    DataChannelConfig, DataChannelId, DataEvent, DataKind, MAX_BUFFERED, MAX_CHANNELS, Reliability, Sctp,
};

/// Bytes of the header of a packet.
const HEADER: usize = 12;
/// Packets that one input may make: an association that answers each with two would never be at rest.
const MAX_PACKETS: usize = 2000;

struct End {
    sctp: Sctp,
    channels: Vec<DataChannelId>,
    /// What packets to it must carry, and the numbers that it expects next: of data, of requests, of what it has sent.
    tag: [u8; 4],
    tsn: u32,
    request: u32,
    sent: u32,
}

/// Commands to both ends; their packets lost, doubled, changed; forged packets with the right tags and near numbers.
pub fn data(input: &[u8]) {
    let mut choices = Choices::new(input);
    let mut now = Instant::now();
    let mut packets = 0;
    let mut ends = [true, false].map(|is_client| {
        let mut sctp = Sctp::new();
        sctp.start(now, is_client);
        End {
            sctp,
            channels: Vec::new(),
            tag: [0; 4],
            tsn: 0,
            request: 0,
            sent: 0,
        }
    });
    ends[0].command(now, &mut Choices::new(&[0]));
    while !choices.is_empty() && packets < MAX_PACKETS {
        let side = usize::from(choices.below(2));
        match choices.below(4) {
            0 => ends[side].command(now, &mut choices),
            1 => {
                let packet = ends[side].forge(&mut choices);
                let _ = ends[side].sctp.handle(now, packet);
                packets += 1;
            }
            2 => exchange(now, &mut ends, &mut choices, &mut packets),
            _ => exchange(now, &mut ends, &mut Choices::new(&[]), &mut packets),
        }
        now += Duration::from_millis(u64::from(choices.below(64)) * 10);
        for end in &mut ends {
            end.sctp.handle_timeout(now);
            end.drain();
        }
    }
}

/// Everything that both have to send arrives, or not, or not as it was.
fn exchange(now: Instant, ends: &mut [End; 2], choices: &mut Choices<'_>, packets: &mut usize) {
    for _ in 0..4 {
        for from in 0..2 {
            while let Some(packet) = ends[from].sctp.poll_transmit(now) {
                *packets += 1;
                ends[1 - from].look_at(&packet);
                ends[from].look_back(&packet);
                let copies = match choices.below(8) {
                    1 => 0,
                    2 => 2,
                    3 | 4 => {
                        let mut changed = packet.to_vec();
                        let at = usize::from(choices.word()) % changed.len();
                        changed[at] ^= choices.byte();
                        seal(&mut changed);
                        let _ = ends[1 - from].sctp.handle(now, changed.into());
                        usize::from(choices.flag())
                    }
                    _ => 1,
                };
                for _ in 0..copies {
                    let _ = ends[1 - from].sctp.handle(now, packet.clone());
                }
                if *packets > MAX_PACKETS {
                    return;
                }
            }
        }
    }
}

impl End {
    fn command(&mut self, now: Instant, choices: &mut Choices<'_>) {
        let channel = |channels: &[DataChannelId], choice: u8| {
            let at = usize::from(choice) % channels.len().max(1);
            channels.get(at).copied().unwrap_or(DataChannelId(99))
        };
        match choices.below(4) {
            0 => {
                let config = DataChannelConfig {
                    ordered: choices.flag(),
                    reliability: match choices.below(3) {
                        0 => Reliability::Reliable,
                        1 => Reliability::MaxRetransmits(u32::from(choices.byte())),
                        _ => Reliability::MaxLifetime(u32::from(choices.byte())),
                    },
                    negotiated: choices.flag().then(|| choices.word() % 1100),
                    ..DataChannelConfig::new("label")
                };
                self.channels.extend(self.sctp.open(now, config));
            }
            1 => self.sctp.close(channel(&self.channels, choices.byte())),
            _ => {
                let kind = if choices.flag() {
                    DataKind::Text
                } else {
                    DataKind::Binary
                };
                let data = vec![b'm'; usize::from(choices.word())];
                let _ = self.sctp.send(channel(&self.channels, choices.byte()), kind, &data);
            }
        }
    }

    /// Takes what has happened, and looks whether all keeps its bounds.
    fn drain(&mut self) {
        while let Some(event) = self.sctp.poll_event() {
            match event {
                DataEvent::Opened { channel, .. } => self.channels.push(channel),
                DataEvent::Closed { channel } => self.channels.retain(|known| *known != channel),
                _ => {}
            }
        }
        let (channels, cost) = self.sctp.held();
        assert!(channels <= MAX_CHANNELS, "{channels} channels");
        assert!(cost <= MAX_BUFFERED + 4096, "{cost} bytes wait");
    }

    /// A packet to this end.
    fn look_at(&mut self, packet: &[u8]) {
        self.tag.copy_from_slice(&packet[4..8]);
        let word = |at: usize| {
            packet
                .get(at..at + 4)
                .map(|word| u32::from_be_bytes([word[0], word[1], word[2], word[3]]))
        };
        match packet.get(HEADER) {
            Some(0) => self.tsn = word(HEADER + 4).unwrap_or(0).wrapping_add(1),
            Some(1 | 2) => {
                self.tsn = word(HEADER + 16).unwrap_or(0);
                self.request = self.tsn;
            }
            Some(130) => self.request = word(HEADER + 8).unwrap_or(0).wrapping_add(1),
            _ => {}
        }
    }

    /// A packet from this end.
    fn look_back(&mut self, packet: &[u8]) {
        if let (Some(0), Some(tsn)) = (packet.get(HEADER), packet.get(HEADER + 4..HEADER + 8)) {
            self.sent = u32::from_be_bytes([tsn[0], tsn[1], tsn[2], tsn[3]]);
        }
    }

    /// A packet that this end takes for one of its peer.
    fn forge(&mut self, choices: &mut Choices<'_>) -> Bytes {
        let mut packet = vec![0x13, 0x88, 0x13, 0x88];
        packet.extend(if choices.below(16) == 0 { [0; 4] } else { self.tag });
        packet.extend([0; 4]);
        for _ in 0..=choices.below(6) {
            let (kind, flags, value) = self.chunk(choices);
            let len = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
            packet.extend([kind, flags]);
            packet.extend(len.to_be_bytes());
            packet.extend(&value);
            packet.resize(packet.len().next_multiple_of(4), 0);
        }
        seal(&mut packet);
        packet.into()
    }

    fn chunk(&mut self, choices: &mut Choices<'_>) -> (u8, u8, Vec<u8>) {
        let near = |number: u32, choices: &mut Choices<'_>| match choices.below(8) {
            0 => u32::from(choices.word()) << 16,
            step => number.wrapping_add(u32::from(step) - 1),
        };
        let mut value = Vec::new();
        match choices.below(8) {
            0..=2 => {
                let tsn = near(self.tsn, choices);
                self.tsn = tsn.wrapping_add(1);
                value.extend(tsn.to_be_bytes());
                value.extend([0, choices.below(4), 0, choices.below(8), 0, 0, 0, 50 + choices.below(8)]);
                value.extend(choices.short());
                (0, choices.byte(), value)
            }
            3 => {
                let acked = near(self.sent.wrapping_sub(2), choices);
                value.extend(acked.to_be_bytes());
                value.extend([0, choices.byte(), choices.byte(), choices.byte()]);
                let blocks = choices.below(8);
                value.extend([0, blocks, 0, 0]);
                for _ in 0..blocks {
                    let start = u16::from(choices.byte());
                    value.extend(start.to_be_bytes());
                    value.extend((start + u16::from(choices.below(32))).to_be_bytes());
                }
                (3, 0, value)
            }
            4 => {
                self.tsn = near(self.tsn, choices);
                value.extend(self.tsn.wrapping_sub(1).to_be_bytes());
                for _ in 0..choices.below(4) {
                    value.extend([0, choices.below(4), 0, choices.below(8)]);
                }
                (192, 0, value)
            }
            5 => {
                let streams = choices.below(4);
                value.extend([0, 13, 0, 16 + 2 * streams]);
                self.request = near(self.request, choices);
                value.extend(self.request.to_be_bytes());
                self.request = self.request.wrapping_add(1);
                value.extend(choices.take(4));
                value.resize(12, 0);
                value.extend(near(self.tsn.wrapping_sub(1), choices).to_be_bytes());
                for _ in 0..streams {
                    value.extend([0, choices.below(4)]);
                }
                (130, 0, value)
            }
            6 => {
                value.extend([0, 16, 0, 12]);
                value.extend(near(self.sent, choices).to_be_bytes());
                value.extend([0, 0, 0, choices.below(8)]);
                (130, 0, value)
            }
            _ => (choices.byte(), choices.byte(), choices.short().to_vec()),
        }
    }
}

/// Writes the checksum (CRC32c, RFC 9260 appendix A), so that what was changed gets past it.
pub(crate) fn seal(packet: &mut [u8]) {
    let Some(sum) = packet.get_mut(8..HEADER) else { return };
    sum.fill(0);
    let mut sum = u32::MAX;
    for byte in packet.iter() {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { sum >> 1 ^ 0x82f6_3b78 } else { sum >> 1 };
        }
    }
    if let Some(place) = packet.get_mut(8..HEADER) {
        place.copy_from_slice(&(!sum).to_le_bytes());
    }
}
