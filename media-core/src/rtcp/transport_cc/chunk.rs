//! Status chunks (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1.3, §3.1.4): 16 bits that say what happened
//! to up to 8191 packets.
//!
//! ```text
//! |0| symbol (2) | run length (13)  |
//! |1|0| lost or small delta (1) × 14|
//! |1|1| symbol (2) × 7              |
//! ```

/// Longest run in one chunk.
const MAX_RUN: u16 = (1 << 13) - 1;
/// Symbols in a vector of one bit each.
const ONE_BIT: u16 = 14;
/// Symbols in a vector of two bits each.
const TWO_BIT: u16 = 7;

/// What happened to one packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Symbol {
    /// Did not arrive.
    Lost = 0,
    /// Arrived; its delta has 8 bits.
    Small = 1,
    /// Arrived; its delta has 16 bits and a sign.
    Large = 2,
    /// Means nothing.
    Reserved = 3,
}

impl Symbol {
    fn of(bits: u16) -> Self {
        match bits & 3 {
            0 => Self::Lost,
            1 => Self::Small,
            2 => Self::Large,
            _ => Self::Reserved,
        }
    }
}

/// A chunk as it stands on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chunk(u16);

impl Chunk {
    /// A run of nothing.
    pub(super) const EMPTY: Self = Self(0);

    pub(super) fn new(bits: u16) -> Self {
        Self(bits)
    }

    fn is_run(self) -> bool {
        self.0 & 0x8000 == 0
    }

    fn is_two_bit(self) -> bool {
        self.0 & 0x4000 != 0
    }

    /// Packets that it tells about; the last chunk of a message may tell about more than there are.
    pub(super) fn len(self) -> u16 {
        match (self.is_run(), self.is_two_bit()) {
            (true, _) => self.0 & MAX_RUN,
            (false, false) => ONE_BIT,
            (false, true) => TWO_BIT,
        }
    }

    pub(super) fn is_lost_run(self) -> bool {
        self.is_run() && Symbol::of(self.0 >> 13) == Symbol::Lost
    }

    /// Symbol `index`, below [`Self::len`].
    pub(super) fn symbol(self, index: u16) -> Symbol {
        match (self.is_run(), self.is_two_bit()) {
            (true, _) => Symbol::of(self.0 >> 13),
            (false, false) => Symbol::of(self.0 >> (ONE_BIT - 1).saturating_sub(index) & 1),
            (false, true) => Symbol::of(self.0 >> (2 * (TWO_BIT - 1).saturating_sub(index))),
        }
    }

    /// Bytes of deltas that its first `count` symbols call for; `None` when one of them is reserved. At most 14 steps.
    pub(super) fn delta_bytes(self, count: u16) -> Option<usize> {
        let of = |symbol| match symbol {
            Symbol::Lost => Some(0),
            Symbol::Small => Some(1),
            Symbol::Large => Some(2),
            Symbol::Reserved => None,
        };
        if self.is_run() {
            return if count == 0 {
                Some(0)
            } else {
                Some(of(self.symbol(0))? * usize::from(count))
            };
        }
        (0..count).map(|index| of(self.symbol(index))).sum()
    }
}

/// Symbols that wait until it is clear which form of chunk takes the most of them.
#[derive(Debug)]
pub(super) struct Pending {
    /// The first ones; in a run longer than this, the first stands for all.
    symbols: [Symbol; ONE_BIT as usize],
    count: u16,
    same: bool,
    large: bool,
}

impl Pending {
    pub(super) fn new() -> Self {
        Self {
            symbols: [Symbol::Lost; ONE_BIT as usize],
            count: 0,
            same: true,
            large: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn continues_run(&self, symbol: Symbol) -> bool {
        self.same && (self.count == 0 || self.symbols[0] == symbol)
    }

    /// Whether one chunk can still tell all that waits and `symbol`. When not, [`Self::emit`] makes place for it.
    pub(super) fn can_add(&self, symbol: Symbol) -> bool {
        self.count < TWO_BIT
            || (self.count < ONE_BIT && !self.large && symbol != Symbol::Large)
            || (self.count < MAX_RUN && self.continues_run(symbol))
    }

    /// Adds `symbol` up to `times` times, at least once, and says how often. Call after [`Self::can_add`].
    pub(super) fn add(&mut self, symbol: Symbol, times: u16) -> u16 {
        let run = self.continues_run(symbol);
        let taken = if run { times.min(MAX_RUN - self.count) } else { 1 };
        let (from, to) = (self.count.min(ONE_BIT), (self.count + taken).min(ONE_BIT));
        self.symbols[usize::from(from)..usize::from(to)].fill(symbol);
        self.same = run;
        self.large |= symbol == Symbol::Large;
        self.count += taken;
        taken
    }

    /// Takes as many symbols as one chunk tells: all that wait, or the first seven of them before a large one.
    pub(super) fn emit(&mut self) -> u16 {
        if !self.same && !self.large && self.count < ONE_BIT {
            let bits = self.two_bit();
            self.symbols.rotate_left(usize::from(TWO_BIT));
            self.count -= TWO_BIT.min(self.count);
            let waiting = &self.symbols[..usize::from(self.count)];
            self.same = waiting.iter().all(|symbol| *symbol == self.symbols[0]);
            return bits;
        }
        let bits = self.last();
        *self = Self::new();
        bits
    }

    /// The chunk that tells all that waits, when nothing follows.
    pub(super) fn last(&self) -> u16 {
        if self.same {
            (self.symbols[0] as u16) << 13 | self.count
        } else if self.large {
            self.two_bit()
        } else {
            let bits = self.told(ONE_BIT).fold(0, |bits, symbol| bits << 1 | symbol as u16);
            0x8000 | bits
        }
    }

    fn two_bit(&self) -> u16 {
        0xc000 | self.told(TWO_BIT).fold(0, |bits, symbol| bits << 2 | symbol as u16)
    }

    /// The first `len` symbols of a vector; what does not wait is told as lost, past the packet count.
    fn told(&self, len: u16) -> impl Iterator<Item = Symbol> + '_ {
        let count = usize::from(self.count);
        let told = self
            .symbols
            .iter()
            .enumerate()
            .map(move |(i, symbol)| if i < count { *symbol } else { Symbol::Lost });
        told.take(usize::from(len))
    }
}
