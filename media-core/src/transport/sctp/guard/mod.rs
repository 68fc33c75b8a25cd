//! What of a peer's packets is let through to the library, so that a hostile one cannot make it keep or do much.
//!
//! RFC 9260 §3 (chunks), §6.9 (fragments), RFC 3758 (FORWARD-TSN), RFC 6525 (RE-CONFIG). The library bounds the *bytes*
//! that it keeps, by the receive window, and searches linearly through the chunks that hold them. So chunks are counted
//! here: those ahead of a gap ([`WINDOW`]), those of the message that is being received ([`MAX_FRAGMENTS`]), and those
//! that no well-behaved peer leaves lying about because they can never become a message ([`MAX_STRANDED`]).
//!
//! Decides nothing about data channels, and does not repair: a packet passes, or is lost, or the association is over.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::{MAX_STREAMS, RECEIVE_WINDOW};

/// Bytes of the header that all packets have.
pub(super) const HEADER: usize = 12;

/// How far a chunk may be ahead of the first that is missing, in TSNs.
const WINDOW: u32 = 2048;
/// Fragments of one message: packets that carry less than 64 bytes are no way to send a long one.
const MAX_FRAGMENTS: usize = 1024;
/// Chunks of messages that will never be whole, or never have their turn.
const MAX_STRANDED: usize = 1024;
/// TSNs that the gap blocks of one SACK may cover, counted as often as they are named.
const MAX_SPAN: usize = 8192;

/// Chunk types that we have offered to understand, except ERROR: the library ends an association for it.
mod kind {
    pub(super) const DATA: u8 = 0;
    pub(super) const INIT: u8 = 1;
    pub(super) const INIT_ACK: u8 = 2;
    pub(super) const SACK: u8 = 3;
    pub(super) const HEARTBEAT: u8 = 4;
    pub(super) const ABORT: u8 = 6;
    pub(super) const SHUTDOWN: u8 = 7;
    pub(super) const SHUTDOWN_ACK: u8 = 8;
    pub(super) const COOKIE_ECHO: u8 = 10;
    pub(super) const COOKIE_ACK: u8 = 11;
    pub(super) const SHUTDOWN_COMPLETE: u8 = 14;
    pub(super) const RE_CONFIG: u8 = 130;
    pub(super) const FORWARD_TSN: u8 = 192;
}

/// The parameter of RE-CONFIG that resets streams of its sender.
const OUTGOING_RESET: u16 = 13;

/// What is known of the chunks of one association.
#[derive(Debug)]
pub(super) struct Guard {
    /// All TSNs up to this one have come; `None` before the handshake has told the first.
    cumulative: Option<u32>,
    /// Those behind.
    ahead: VecDeque<Option<Piece>>,
    /// The message whose last chunk came last.
    message: Option<Message>,
    stranded: usize,
    /// What the next message of a stream must be numbered.
    turns: FxHashMap<u16, Turn>,
    /// What is left of the window, as far as the peer can know.
    credit: u32,
}

/// What is to be known of a packet that is let through.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Passed {
    /// Chunks with data.
    pub(super) data: usize,
    /// Streams that it resets, if any: none for all.
    pub(super) resets: Option<SmallVec<[u16; 4]>>,
}

#[derive(Debug, Clone, Copy)]
struct Piece {
    stream: u16,
    ssn: u16,
    unordered: bool,
    begins: bool,
    ends: bool,
}

#[derive(Debug)]
struct Message {
    first: Piece,
    fragments: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Turn {
    next: u16,
    /// The peer has reset the stream: numbers begin at 0 again.
    reset: bool,
}

impl Guard {
    pub(super) fn new() -> Self {
        Self {
            cumulative: None,
            ahead: VecDeque::new(),
            message: None,
            stranded: 0,
            turns: FxHashMap::default(),
            credit: RECEIVE_WINDOW,
        }
    }

    /// Looks at a packet of the peer; `None` when it is to be taken for lost.
    pub(super) fn check(&self, packet: &[u8]) -> Option<Passed> {
        let mut passed = Passed::default();
        for chunk in chunks(packet) {
            let (kind, flags, value) = chunk?;
            match kind {
                kind::DATA => {
                    self.check_data(flags, value)?;
                    passed.data += 1;
                }
                kind::SACK => check_sack(value)?,
                kind::RE_CONFIG => {
                    if let Some(streams) = resets(value) {
                        passed.resets = Some(streams.collect());
                    }
                }
                kind::INIT | kind::INIT_ACK | kind::COOKIE_ECHO | kind::COOKIE_ACK | kind::FORWARD_TSN => {}
                kind::HEARTBEAT | kind::ABORT | kind::SHUTDOWN | kind::SHUTDOWN_ACK | kind::SHUTDOWN_COMPLETE => {}
                _ => return None,
            }
        }
        Some(passed)
    }

    /// The library has taken that packet. False when the association must end.
    pub(super) fn on_taken(&mut self, packet: &[u8]) -> bool {
        for (kind, flags, value) in chunks(packet).flatten() {
            match kind {
                kind::DATA => self.on_data(flags, value),
                kind::INIT | kind::INIT_ACK if self.cumulative.is_none() => {
                    self.cumulative = word(value, 12).map(|first| first.wrapping_sub(1));
                }
                kind::FORWARD_TSN => self.on_forward(value),
                kind::RE_CONFIG => self.on_resets(value),
                _ => {}
            }
        }
        let fragments = self.message.as_ref().map_or(0, |message| message.fragments);
        self.stranded <= MAX_STRANDED && fragments <= MAX_FRAGMENTS
    }

    /// A message of so many bytes was read.
    pub(super) fn on_read(&mut self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.credit = self.credit.saturating_add(bytes).min(RECEIVE_WINDOW);
    }

    /// A packet of ours: a SACK tells how far the library is, and the window.
    pub(super) fn on_sent(&mut self, packet: &[u8]) {
        if let Some(Some((kind::SACK, _, value))) = chunks(packet).next()
            && let (Some(cumulative), Some(window)) = (word(value, 0), word(value, 4))
        {
            self.credit = window;
            if window >= RECEIVE_WINDOW {
                self.stranded = 0;
            }
            self.skip_to(cumulative);
            self.advance();
        }
    }

    fn check_data(&self, flags: u8, value: &[u8]) -> Option<()> {
        let (tsn, piece, len) = piece(flags, value)?;
        let distance = tsn.wrapping_sub(self.cumulative?);
        let behind = distance == 0 || distance > u32::MAX / 2;
        let fits = behind || distance <= WINDOW;
        // The next one passes even when the window is full: the library drops it, and answers with the window.
        let welcome = self.credit > 0 || behind || distance as usize <= self.ahead.len() + 1;
        (piece.stream < MAX_STREAMS && len > 0 && fits && welcome).then_some(())
    }

    fn on_data(&mut self, flags: u8, value: &[u8]) {
        let (Some((tsn, piece, len)), Some(cumulative)) = (piece(flags, value), self.cumulative) else {
            return;
        };
        let distance = tsn.wrapping_sub(cumulative);
        if distance == 0 || distance > WINDOW {
            return;
        }
        let distance = distance as usize;
        if self.ahead.len() < distance {
            if self.credit == 0 {
                return;
            }
            self.ahead.resize(distance, None);
        }
        if let Some(place @ None) = self.ahead.get_mut(distance - 1) {
            *place = Some(piece);
            self.credit = self.credit.saturating_sub(len);
        }
        self.advance();
    }

    fn on_forward(&mut self, value: &[u8]) {
        if !word(value, 0).is_some_and(|to| self.skip_to(to)) {
            return;
        }
        for entry in value.get(4..).unwrap_or_default().chunks_exact(4) {
            if let &[s0, s1, n0, n1] = entry
                && let (stream, ssn) = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([n0, n1]))
                && stream < MAX_STREAMS
            {
                let turn = self.turns.entry(stream).or_default();
                if ssn.wrapping_sub(turn.next) < 0x8000 {
                    turn.next = ssn.wrapping_add(1);
                }
            }
        }
        self.advance();
    }

    /// All up to this TSN has come, or will not. False when that is not new.
    fn skip_to(&mut self, to: u32) -> bool {
        let distance = self.cumulative.map_or(0, |cumulative| to.wrapping_sub(cumulative));
        if distance == 0 || distance > u32::MAX / 2 {
            return false;
        }
        for _ in 0..distance.min(WINDOW) {
            match self.ahead.pop_front() {
                Some(Some(piece)) => self.settle(piece),
                // The message that it belonged to is given up.
                _ => self.message = None,
            }
        }
        self.message = None;
        self.cumulative = Some(to);
        true
    }

    fn on_resets(&mut self, value: &[u8]) {
        let Some(mut streams) = resets(value) else { return };
        if let Some(first) = streams.next() {
            for stream in std::iter::once(first)
                .chain(streams)
                .filter(|stream| *stream < MAX_STREAMS)
            {
                self.turns.entry(stream).or_default().reset = true;
            }
        } else {
            self.turns.values_mut().for_each(|turn| turn.reset = true);
        }
    }

    /// Takes what is complete.
    fn advance(&mut self) {
        while let Some(&Some(piece)) = self.ahead.front() {
            self.ahead.pop_front();
            self.cumulative = self.cumulative.map(|cumulative| cumulative.wrapping_add(1));
            self.settle(piece);
        }
        if self.ahead.is_empty() {
            self.ahead = VecDeque::new();
        }
    }

    /// The next chunk, in the order of TSNs: fragments of a message follow one another (RFC 9260 §6.9).
    fn settle(&mut self, piece: Piece) {
        match &mut self.message {
            Some(message) if !piece.begins && message.first.same(piece) => message.fragments += 1,
            unfinished => {
                self.stranded += unfinished.take().map_or(0, |message| message.fragments);
                if !piece.begins {
                    self.stranded += 1;
                    return;
                }
                *unfinished = Some(Message {
                    first: piece,
                    fragments: 1,
                });
            }
        }
        if piece.ends
            && let Some(message) = self.message.take()
            && !piece.unordered
            && !self.turns.entry(piece.stream).or_default().takes(piece.ssn)
        {
            self.stranded += message.fragments;
        }
    }
}

impl Piece {
    fn same(self, other: Self) -> bool {
        (self.stream, self.ssn, self.unordered) == (other.stream, other.ssn, other.unordered)
    }
}

impl Turn {
    fn takes(&mut self, ssn: u16) -> bool {
        let starts = self.reset && ssn == 0;
        let right = ssn == self.next || starts;
        if right {
            self.next = ssn.wrapping_add(1);
            self.reset &= !starts;
        }
        right
    }
}

/// The chunks of a packet: type, flags, value; `None` for what is no chunk.
fn chunks(packet: &[u8]) -> impl Iterator<Item = Option<(u8, u8, &[u8])>> {
    let mut rest = packet.get(HEADER..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (&[kind, flags, l0, l1], _) = match rest.split_first_chunk::<4>() {
            Some(split) => split,
            None if rest.is_empty() => return None,
            None => {
                rest = &[];
                return Some(None);
            }
        };
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        let chunk = rest.get(4..len).map(|value| (kind, flags, value));
        rest = rest.get(len.max(4).next_multiple_of(4)..).unwrap_or_default();
        Some(chunk)
    })
}

/// A chunk of type DATA: TSN, what it is a piece of, bytes.
fn piece(flags: u8, value: &[u8]) -> Option<(u32, Piece, u32)> {
    let (&[t0, t1, t2, t3, s0, s1, n0, n1, _, _, _, _], data) = value.split_first_chunk::<12>()?;
    let piece = Piece {
        stream: u16::from_be_bytes([s0, s1]),
        ssn: u16::from_be_bytes([n0, n1]),
        unordered: flags & 4 != 0,
        begins: flags & 2 != 0,
        ends: flags & 1 != 0,
    };
    Some((
        u32::from_be_bytes([t0, t1, t2, t3]),
        piece,
        u32::try_from(data.len()).ok()?,
    ))
}

fn check_sack(value: &[u8]) -> Option<()> {
    let blocks = usize::from(u16::from_be_bytes(*value.get(8..)?.first_chunk()?));
    let mut span = 0;
    for block in value.get(12..)?.chunks_exact(4).take(blocks) {
        if let &[s0, s1, e0, e1] = block {
            let (start, end) = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([e0, e1]));
            span += usize::from(end.checked_sub(start)?) + 1;
        }
    }
    (span <= MAX_SPAN).then_some(())
}

/// The streams that a RE-CONFIG resets: `None` when it does not, none for all.
fn resets(value: &[u8]) -> Option<impl Iterator<Item = u16>> {
    let mut rest = value;
    while let Some((&[k0, k1, l0, l1], _)) = rest.split_first_chunk::<4>() {
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        let parameter = rest.get(4..len)?;
        if u16::from_be_bytes([k0, k1]) == OUTGOING_RESET {
            let streams = parameter.get(12..)?.chunks_exact(2);
            return Some(streams.filter_map(|stream| Some(u16::from_be_bytes(*stream.first_chunk()?))));
        }
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    }
    None
}

fn word(value: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*value.get(at..)?.first_chunk()?))
}
