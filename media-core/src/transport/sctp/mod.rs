//! Data channels: SCTP inside DTLS, and what its streams mean.
//!
//! RFC 8831 (data channels), RFC 8832 (DCEP), RFC 8841 (their SDP, which is not here).
//!
//! | file | one idea |
//! |---|---|
//! | `association` | packets in, packets out: the library |
//! | `guard` | what of a hostile peer's packets is let through to it |
//! | `dcep` | the two messages that announce a channel |
//! | `channel` | one channel |
//!
//! ```text
//! 1  nothing          until the peer's first packet, or a channel of ours: a peer without channels costs a pointer
//! 2  association      the peer's INIT, or ours: the DTLS client's at once, the server's when none has come
//! 3  channel          by DCEP on a stream of the opener's parity (client even, server odd), or on an agreed stream
//! 4  messages         whole ones only, at most MAX_MESSAGE
//! 5  closed           both sides of the stream are reset (RFC 8831 §6.7), or the association or the session is over
//! ```
//!
//! What one peer can make us keep: [`MAX_CHANNELS`] with names of at most [`MAX_NAME`] each, [`RECEIVE_WINDOW`] of
//! messages that are not whole or not taken, [`MAX_BUFFERED`] towards it.

mod association;
mod channel;
mod dcep;
mod guard;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use self::association::{Association, Change, Ppid, initiate_tag};
use self::channel::{Channel, Ledger, MESSAGE_COST, State};
pub use self::channel::{
    DataChannelConfig, DataChannelId, DataEvent, DataKind, OpenDataError, Reliability, SendDataError,
};
use self::dcep::Dcep;
pub use self::dcep::MAX_NAME;
use crate::stats::DropReason;

/// Longest message, both ways, in bytes: what a peer may send that has been told nothing (RFC 8841 §6), and what we
/// tell in `a=max-message-size`.
pub const MAX_MESSAGE: u32 = 65_536;
/// Channels of one endpoint, whoever makes them.
pub const MAX_CHANNELS: usize = 128;
/// Streams of an association; identifiers are below. Chrome has no more either.
pub const MAX_STREAMS: u16 = 1024;
/// What may wait to be taken by one peer, in bytes, with 256 for each message besides its own.
pub const MAX_BUFFERED: usize = 1024 * 1024;
/// What a peer may send before it is read, in bytes, all streams together.
pub const RECEIVE_WINDOW: u32 = 256 * 1024;

/// Messages that wait for the caller, and their bytes; more stay in the association, whose window then closes.
const MAX_EVENTS: (usize, usize) = (256, 256 * 1024);
/// How long a DTLS server waits for the INIT of the client before it sends its own.
const PATIENCE: Duration = Duration::from_millis(500);

/// The data channels of a transport.
#[derive(Debug)]
pub(crate) struct Sctp {
    /// Our DTLS role, once the session stands.
    is_client: Option<bool>,
    association: Option<Association>,
    /// When we begin the association ourselves.
    connect_at: Option<Instant>,
    channels: Vec<Channel>,
    named: u64,
    events: VecDeque<DataEvent>,
    /// Bytes in `events`.
    received: usize,
    /// Streams with more to read.
    unread: Vec<u16>,
    max_message: usize,
    /// Packets and messages that meant nothing since the caller was told.
    rejected: bool,
}

impl Sctp {
    pub(crate) fn new() -> Self {
        Self {
            is_client: None,
            association: None,
            connect_at: None,
            channels: Vec::new(),
            named: 0,
            events: VecDeque::new(),
            received: 0,
            unread: Vec::new(),
            max_message: MAX_MESSAGE as usize,
            rejected: false,
        }
    }

    /// The DTLS session stands.
    pub(crate) fn start(&mut self, now: Instant, is_client: bool) {
        self.is_client = Some(is_client);
        self.want_association(now);
    }

    /// The peer takes messages of so many bytes; 0 means any (RFC 8841 §6.1).
    pub(crate) fn set_max_message(&mut self, bytes: u32) {
        let most = if bytes == 0 {
            MAX_MESSAGE
        } else {
            bytes.min(MAX_MESSAGE)
        };
        self.max_message = most as usize;
    }

    /// Makes a channel. It is opened when the peer has learnt of it; at once on an agreed stream of an association
    /// that stands.
    pub(crate) fn open(&mut self, now: Instant, config: DataChannelConfig) -> Result<DataChannelId, OpenDataError> {
        if self.channels.len() >= MAX_CHANNELS {
            return Err(OpenDataError::LimitReached);
        }
        let taken = |stream| self.channels.iter().any(|channel| channel.stream == Some(stream));
        if config.label.len() > MAX_NAME
            || config.protocol.len() > MAX_NAME
            || config
                .negotiated
                .is_some_and(|stream| stream >= MAX_STREAMS || taken(stream))
        {
            return Err(OpenDataError::InvalidConfig);
        }
        let id = self.add(config.negotiated, State::Waiting, Some(Box::new(config)));
        if self.is_up() {
            self.announce(self.channels.len() - 1);
        } else {
            self.want_association(now);
        }
        Ok(id)
    }

    /// Takes a message to send; copies it once.
    pub(crate) fn send(&mut self, id: DataChannelId, kind: DataKind, data: &[u8]) -> Result<(), SendDataError> {
        let cost = self.cost();
        let channel = self.channels.iter_mut().find(|channel| channel.id == id);
        let channel = channel.ok_or(SendDataError::NoChannel)?;
        let (stream, association) = match (channel.state, channel.stream, &mut self.association) {
            (State::Opening | State::Open, Some(stream), Some(association)) => (stream, association),
            (State::Closing | State::Gone, ..) => return Err(SendDataError::NoChannel),
            _ => return Err(SendDataError::NotOpen),
        };
        if data.len() > self.max_message {
            return Err(SendDataError::TooLong);
        }
        if cost + data.len() + MESSAGE_COST > MAX_BUFFERED {
            channel.refused = true;
            return Err(SendDataError::Full);
        }
        // SCTP has no empty messages: one byte that says nothing, and a PPID that says so (RFC 8831 §6.6).
        let (ppid, data) = match (kind, data) {
            (DataKind::Text, []) => (Ppid::TextEmpty, &[0][..]),
            (DataKind::Binary, []) => (Ppid::BinaryEmpty, &[0][..]),
            (DataKind::Text, data) => (Ppid::Text, data),
            (DataKind::Binary, data) => (Ppid::Binary, data),
        };
        if !association.write(stream, ppid, data) {
            return Err(SendDataError::NoChannel);
        }
        channel.ledger.push(data.len());
        Ok(())
    }

    /// Bytes that wait to be taken by the peer.
    pub(crate) fn buffered(&self, id: DataChannelId) -> Option<usize> {
        let channel = self.channels.iter().find(|channel| channel.id == id)?;
        Some(channel.ledger.bytes())
    }

    /// Closes a channel after what was sent on it. Harmless when it is gone.
    pub(crate) fn close(&mut self, id: DataChannelId) {
        let Some(index) = self.channels.iter().position(|channel| channel.id == id) else {
            return;
        };
        let Some(channel) = self.channels.get_mut(index) else {
            return;
        };
        match (channel.state, channel.stream, &mut self.association) {
            (State::Closing | State::Gone, ..) => {}
            (State::Opening | State::Open, Some(stream), Some(association)) => {
                channel.state = State::Closing;
                association.reset(stream);
            }
            _ => self.forget(index),
        }
    }

    /// Takes a packet of the peer.
    ///
    /// # Errors
    /// [`DropReason::DataRejected`] when it, or a message in it, means nothing here.
    pub(crate) fn handle(&mut self, now: Instant, packet: Bytes) -> Result<(), DropReason> {
        let mut resets = None;
        if initiate_tag(&packet).is_some() {
            self.on_init(now, packet);
        } else {
            let taken = self
                .association
                .as_mut()
                .and_then(|association| association.handle(now, &packet));
            self.rejected |= taken.is_none();
            resets = taken.flatten();
        }
        self.after();
        if let Some(streams) = resets
            && self.unread.is_empty()
            && let Some(association) = &mut self.association
        {
            association.give_up(&streams);
            self.after();
        }
        if std::mem::take(&mut self.rejected) {
            return Err(DropReason::DataRejected);
        }
        Ok(())
    }

    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.connect_at.is_some_and(|at| at <= now) {
            self.connect_at = None;
            if !self.has_association() {
                self.association = Association::connect();
            }
        }
        if let Some(association) = &mut self.association {
            association.handle_timeout(now);
        }
        self.after();
    }

    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let association = self.association.as_ref().and_then(Association::next_timeout);
        self.connect_at.into_iter().chain(association).min()
    }

    /// The next packet to send.
    pub(crate) fn poll_transmit(&mut self, now: Instant) -> Option<Bytes> {
        let association = self.association.as_mut()?;
        let packet = association.poll_transmit(now);
        if packet.is_none() {
            if association.is_closed() {
                self.association = None;
            }
            self.settle();
        }
        packet
    }

    /// What has happened; poll until `None`.
    pub(crate) fn poll_event(&mut self) -> Option<DataEvent> {
        if self.events.is_empty() && !self.unread.is_empty() {
            for stream in std::mem::take(&mut self.unread) {
                self.read(stream);
            }
            self.after();
        }
        let event = self.events.pop_front()?;
        if let DataEvent::Received { data, .. } = &event {
            self.received -= data.len();
        }
        Some(event)
    }

    /// How many channels there are, and what waits for the peer, in bytes with what it costs.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn held(&self) -> (usize, usize) {
        (self.channels.len(), self.cost())
    }

    /// Plans an association of our own, if there is something to open.
    fn want_association(&mut self, now: Instant) {
        let Some(is_client) = self.is_client else { return };
        if !self.has_association() && self.connect_at.is_none() && !self.channels.is_empty() {
            self.connect_at = Some(if is_client { now } else { now + PATIENCE });
        }
    }

    /// One that stands, or may.
    fn has_association(&self) -> bool {
        self.association
            .as_ref()
            .is_some_and(|association| !association.is_closed())
    }

    fn is_up(&self) -> bool {
        self.has_association() && !self.association.as_ref().is_some_and(Association::is_handshaking)
    }

    /// When both ends have begun (RFC 9260 §5.2.1 says how that goes on, the library does not do it), the INIT of the
    /// DTLS client counts.
    fn on_init(&mut self, now: Instant, packet: Bytes) {
        let keeps = match &mut self.association {
            None => false,
            Some(association) if association.is_closed() => false,
            Some(association) if association.is_handshaking() && association.is_ours() => self.is_client == Some(true),
            Some(association) => association.handle(now, &packet).is_some() || !association.is_handshaking(),
        };
        if keeps {
            return;
        }
        match Association::accept(now, packet) {
            Some(association) => {
                self.connect_at = None;
                self.association = Some(association);
            }
            None => self.rejected = true,
        }
    }

    /// Takes what the association has to say after a step.
    fn after(&mut self) {
        while let Some(change) = self.association.as_mut().and_then(Association::poll) {
            match change {
                Change::Up => self.on_up(),
                Change::Down => self.on_down(),
                Change::Readable(stream) => self.read(stream),
                Change::Finished(stream) => {
                    self.unread.retain(|unread| *unread != stream);
                    if let Some(index) = self.index_of(stream) {
                        self.finish(index);
                    }
                }
                Change::Freed(stream) => {
                    if let Some(index) = self.index_of(stream) {
                        self.forget(index);
                    }
                    if self.unread.contains(&stream) {
                        self.unread.retain(|unread| *unread != stream);
                        self.read(stream);
                    }
                }
            }
        }
        self.settle();
    }

    fn on_up(&mut self) {
        self.connect_at = None;
        let waiting: Vec<_> = self.channels.iter().map(|channel| channel.id).collect();
        for id in waiting {
            if let Some(index) = self.channels.iter().position(|channel| channel.id == id) {
                self.announce(index);
            }
        }
    }

    fn on_down(&mut self) {
        // What it still says, it says before it is forgotten; a handshake that failed says nothing.
        if self.association.as_ref().is_some_and(Association::is_handshaking) {
            self.association = None;
        }
        self.unread.clear();
        while !self.channels.is_empty() {
            self.forget(0);
        }
    }

    /// Tells the peer of a channel of ours; it is gone when no stream can be had.
    fn announce(&mut self, index: usize) {
        let (Some(association), Some(is_client)) = (&mut self.association, self.is_client) else {
            return;
        };
        let Some(channel) = self
            .channels
            .get(index)
            .filter(|channel| channel.state == State::Waiting)
        else {
            return;
        };
        let Some(config) = channel.config.as_deref() else {
            return;
        };
        let (ordered, reliability) = (config.ordered, config.reliability);
        if let Some(stream) = config.negotiated {
            if association.open(stream, false) {
                association.set_reliability(stream, ordered, reliability);
                self.opened(index, false);
            } else {
                self.forget(index);
            }
            return;
        }
        let open = Dcep::Open(config.clone()).to_bytes().unwrap_or_default();
        let taken = |stream| self.channels.iter().any(|channel| channel.stream == Some(stream));
        let free = (u16::from(!is_client)..MAX_STREAMS)
            .step_by(2)
            .find(|stream| !taken(*stream) && association.open(*stream, true));
        let Some(stream) = free.filter(|stream| association.write(*stream, Ppid::Dcep, &open)) else {
            self.forget(index);
            return;
        };
        // In order until the peer has answered, so that nothing overtakes the OPEN (RFC 8832 §6).
        association.set_reliability(stream, true, reliability);
        if let Some(channel) = self.channels.get_mut(index) {
            channel.stream = Some(stream);
            channel.state = State::Opening;
            channel.ledger.push(open.len());
        }
    }

    /// Reads the messages of a stream, as many as there is room for.
    fn read(&mut self, stream: u16) {
        let gone = |channel: &Channel| channel.stream == Some(stream) && channel.state == State::Gone;
        // A new channel on a stream of which we do not know yet that the peer has seen our reset.
        let early = self.channels.iter().any(gone);
        while !early && self.events.len() < MAX_EVENTS.0 && self.received < MAX_EVENTS.1 {
            let message = self
                .association
                .as_mut()
                .and_then(|association| association.read(stream));
            let Some((ppid, data)) = message else { return };
            match ppid {
                Ppid::Dcep => self.on_dcep(stream, &data),
                Ppid::Text => self.on_message(stream, DataKind::Text, data),
                Ppid::Binary => self.on_message(stream, DataKind::Binary, data),
                Ppid::TextEmpty => self.on_message(stream, DataKind::Text, Bytes::new()),
                Ppid::BinaryEmpty => self.on_message(stream, DataKind::Binary, Bytes::new()),
                Ppid::Unknown => self.rejected = true,
            }
        }
        if !self.unread.contains(&stream) {
            self.unread.push(stream);
        }
    }

    fn on_message(&mut self, stream: u16, kind: DataKind, data: Bytes) {
        let Some(index) = self.index_of(stream) else {
            self.rejected = true;
            return;
        };
        // A message can overtake the ACK, and says the same.
        self.confirm(index);
        let Some(channel) = self.channels.get(index).filter(|channel| channel.state == State::Open) else {
            return;
        };
        let channel = channel.id;
        self.received += data.len();
        self.events.push_back(DataEvent::Received { channel, kind, data });
    }

    fn on_dcep(&mut self, stream: u16, bytes: &[u8]) {
        match (Dcep::parse(bytes), self.index_of(stream)) {
            (Some(Dcep::Open(config)), None) if self.channels.len() < MAX_CHANNELS => self.accept(stream, config),
            (Some(Dcep::Ack), Some(index)) => self.confirm(index),
            // RFC 8832 §6: an OPEN that cannot be taken is answered with the reset of the stream.
            (_, known) => {
                self.rejected = true;
                match known.and_then(|index| self.channels.get(index)) {
                    Some(channel) => self.close(channel.id),
                    None => {
                        if let Some(association) = &mut self.association {
                            association.reset(stream);
                        }
                    }
                }
            }
        }
    }

    /// The peer has made a channel.
    fn accept(&mut self, stream: u16, config: DataChannelConfig) {
        let Some(association) = &mut self.association else {
            return;
        };
        association.set_reliability(stream, config.ordered, config.reliability);
        let ack = Dcep::Ack.to_bytes().unwrap_or_default();
        if !association.write(stream, Ppid::Dcep, &ack) {
            return;
        }
        self.add(Some(stream), State::Opening, Some(Box::new(config)));
        let index = self.channels.len() - 1;
        if let Some(channel) = self.channels.get_mut(index) {
            channel.ledger.push(ack.len());
        }
        self.opened(index, true);
    }

    /// The peer has learnt of a channel of ours.
    fn confirm(&mut self, index: usize) {
        let Some(channel) = self
            .channels
            .get(index)
            .filter(|channel| channel.state == State::Opening)
        else {
            return;
        };
        if let (Some(config), Some(stream), Some(association)) =
            (&channel.config, channel.stream, &mut self.association)
        {
            association.set_reliability(stream, config.ordered, config.reliability);
        }
        self.opened(index, false);
    }

    fn opened(&mut self, index: usize, by_peer: bool) {
        if let Some(channel) = self.channels.get_mut(index) {
            channel.state = State::Open;
            if let Some(config) = channel.config.take() {
                let channel = channel.id;
                self.events.push_back(DataEvent::Opened {
                    channel,
                    config,
                    by_peer,
                });
            }
        }
    }

    fn add(&mut self, stream: Option<u16>, state: State, config: Option<Box<DataChannelConfig>>) -> DataChannelId {
        self.named += 1;
        let id = DataChannelId(self.named);
        self.channels.push(Channel {
            id,
            state,
            stream,
            config,
            refused: false,
            ledger: Ledger::default(),
        });
        id
    }

    /// A channel is gone for the caller; its stream, and what was sent on it, is not until our side is reset as well.
    fn finish(&mut self, index: usize) {
        if let Some(channel) = self.channels.get_mut(index)
            && channel.state != State::Gone
        {
            channel.state = State::Gone;
            channel.refused = false;
            let channel = channel.id;
            self.events.push_back(DataEvent::Closed { channel });
        }
    }

    /// A channel is gone.
    fn forget(&mut self, index: usize) {
        self.finish(index);
        self.channels.remove(index);
    }

    fn index_of(&self, stream: u16) -> Option<usize> {
        self.channels.iter().position(|channel| channel.stream == Some(stream))
    }

    fn cost(&self) -> usize {
        self.channels.iter().map(|channel| channel.ledger.cost()).sum()
    }

    /// Takes what has got through off the books, and tells those who wait for room.
    fn settle(&mut self) {
        let Some(association) = &mut self.association else {
            return;
        };
        for channel in self.channels.iter_mut().filter(|channel| channel.ledger.bytes() > 0) {
            if let Some(stream) = channel.stream {
                channel.ledger.settle(association.waiting(stream));
            }
        }
        if self.channels.iter().any(|channel| channel.refused) && self.cost() <= MAX_BUFFERED / 2 {
            for channel in self.channels.iter_mut().filter(|channel| channel.refused) {
                channel.refused = false;
                let channel = channel.id;
                self.events.push_back(DataEvent::Writable { channel });
            }
        }
    }
}
