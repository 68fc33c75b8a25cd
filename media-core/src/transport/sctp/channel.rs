//! One data channel: what it was made with, how far it has come, what of it is on the way.
//!
//! RFC 8831 §6. The protocol between the ends is in [`super`].

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;

/// What a message costs besides its bytes, in bytes: what is kept about it until the peer has it.
pub(super) const MESSAGE_COST: usize = 256;

/// A data channel of an endpoint. Names are not used again, so an old name never means a new channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DataChannelId(pub u64);

/// What a data channel is made with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DataChannelConfig {
    /// Its name, at most [`MAX_NAME`](super::MAX_NAME) bytes; need not be unique.
    pub label: String,
    /// The name of what is spoken on it, often empty; at most [`MAX_NAME`](super::MAX_NAME) bytes.
    pub protocol: String,
    /// Messages arrive in the order in which they were sent.
    pub ordered: bool,
    /// What is done about lost messages.
    pub reliability: Reliability,
    /// The stream when both ends make the channel themselves, below [`MAX_STREAMS`](super::MAX_STREAMS); `None` when
    /// the other end is told in band.
    pub negotiated: Option<u16>,
}

impl DataChannelConfig {
    /// An ordered and reliable channel that the other end is told of.
    #[must_use]
    pub fn new(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            protocol: String::new(),
            ordered: true,
            reliability: Reliability::Reliable,
            negotiated: None,
        }
    }

    /// A channel whose messages are sent once, and may overtake one another.
    #[must_use]
    pub fn lossy(label: &str) -> Self {
        Self {
            ordered: false,
            reliability: Reliability::MaxRetransmits(0),
            ..Self::new(label)
        }
    }
}

/// What is done about lost messages (RFC 3758).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reliability {
    /// Sent again until they have arrived.
    Reliable,
    /// Sent again so many times.
    MaxRetransmits(u32),
    /// Sent again for so many milliseconds.
    MaxLifetime(u32),
}

/// What kind of message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DataKind {
    /// Said to be UTF-8; not checked here.
    Text,
    /// Bytes.
    Binary,
}

/// Something that happened to a data channel.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DataEvent {
    /// It can be used: the peer has made it, or has learnt of ours.
    Opened {
        /// Which.
        channel: DataChannelId,
        /// What it is.
        config: Box<DataChannelConfig>,
        /// The peer has made it.
        by_peer: bool,
    },
    /// A whole message.
    Received {
        /// Where.
        channel: DataChannelId,
        /// Text or binary.
        kind: DataKind,
        /// The message; may be empty.
        data: Bytes,
    },
    /// After [`SendDataError::Full`]: there is room again.
    Writable {
        /// Which.
        channel: DataChannelId,
    },
    /// It is gone; the last event of a channel.
    Closed {
        /// Which.
        channel: DataChannelId,
    },
}

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendDataError {
    /// There is no such endpoint (any more).
    NoEndpoint,
    /// There is no such channel (any more), or it is closing.
    NoChannel,
    /// It has not been opened yet: wait for the event.
    NotOpen,
    /// Longer than the peer takes.
    TooLong,
    /// Too much waits for the peer already. The message is not kept; an event tells when there is room.
    Full,
}

impl fmt::Display for SendDataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoEndpoint => "there is no such endpoint",
            Self::NoChannel => "there is no such data channel",
            Self::NotOpen => "the data channel is not open yet",
            Self::TooLong => "the message is longer than the peer takes",
            Self::Full => "too much waits for the peer already",
        })
    }
}

impl std::error::Error for SendDataError {}

/// Why a channel was not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenDataError {
    /// The transport has no data channels: plain RTP, or it is over.
    Unsupported,
    /// There are as many as there may be.
    LimitReached,
    /// A name is too long, or the stream is out of range or in use.
    InvalidConfig,
}

/// How far a channel has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Ours, and there is no association yet.
    Waiting,
    /// The peer has been told.
    Opening,
    /// In use.
    Open,
    /// Closed here; what was sent before and the reset of the stream are under way.
    Closing,
    /// Closed by both; the reset of our side of the stream is under way.
    Gone,
}

#[derive(Debug)]
pub(super) struct Channel {
    pub(super) id: DataChannelId,
    pub(super) state: State,
    /// Assigned when there is an association.
    pub(super) stream: Option<u16>,
    /// Until it is told with the opening.
    pub(super) config: Option<Box<DataChannelConfig>>,
    /// The last message found no room.
    pub(super) refused: bool,
    /// What the peer has not got.
    pub(super) ledger: Ledger,
}

/// What was sent and has not been released yet.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    lens: VecDeque<u32>,
    bytes: usize,
}

impl Ledger {
    /// A message of so many bytes was sent.
    #[expect(clippy::cast_possible_truncation, reason = "a message is shorter than 2³²")]
    pub(super) fn push(&mut self, len: usize) {
        self.lens.push_back(len as u32);
        self.bytes += len;
    }

    /// Only so many bytes still wait: takes off what is through, the oldest first. A message counts until all of it is.
    pub(super) fn settle(&mut self, waiting: usize) {
        let mut released = self.bytes.saturating_sub(waiting);
        while let Some(&len) = self.lens.front()
            && len as usize <= released
        {
            self.lens.pop_front();
            released -= len as usize;
            self.bytes -= len as usize;
        }
        if self.lens.is_empty() {
            self.lens = VecDeque::new();
        }
    }

    /// What it costs to keep.
    pub(super) fn cost(&self) -> usize {
        self.bytes + self.lens.len() * MESSAGE_COST
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_counts_until_all_of_it_is_through() {
        let mut ledger = Ledger::default();
        for len in [10, 1, 20] {
            ledger.push(len);
        }
        assert_eq!(ledger.cost(), 31 + 3 * MESSAGE_COST);
        for (waiting, bytes, messages) in [
            (31, 31, 3),
            (22, 31, 3),
            (21, 21, 2),
            (20, 20, 1),
            (1, 20, 1),
            (0, 0, 0),
        ] {
            ledger.settle(waiting);
            assert_eq!(
                (ledger.bytes(), ledger.cost()),
                (bytes, bytes + messages * MESSAGE_COST)
            );
        }
    }
}
