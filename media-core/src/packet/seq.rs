//! Sequence numbers that do not wrap (RFC 3550 §A.1, RFC 3711 §3.3.1).

/// A sequence number extended to 64 bits: compare and subtract it freely.
///
/// The low 16 bits are what the wire carries; the bits above count the wraps (SRTP's rollover counter). Extended
/// numbers start one full cycle above zero, so that a packet from before the first one seen has a number too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct SeqNo(pub u64);

impl SeqNo {
    /// The 16 bits that go on the wire.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the low 16 bits are the wire's sequence number"
    )]
    pub const fn wire(self) -> u16 {
        self.0 as u16
    }

    /// The number `n` further on.
    #[must_use]
    pub const fn plus(self, n: u64) -> Self {
        Self(self.0.wrapping_add(n))
    }
}

/// Extends 16-bit sequence numbers of one RTP stream, nearest to the highest one seen.
#[derive(Debug, Clone, Copy, Default)]
pub struct SeqExtender {
    highest: Option<u64>,
}

impl SeqExtender {
    /// Extends `wire` without remembering it.
    #[must_use]
    pub fn peek(&self, wire: u16) -> SeqNo {
        let Some(highest) = self.highest else {
            return SeqNo(0x1_0000 + u64::from(wire));
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_possible_wrap,
            reason = "modular distance, RFC 1982"
        )]
        let distance = wire.wrapping_sub(highest as u16) as i16;
        SeqNo(highest.saturating_add_signed(i64::from(distance)))
    }

    /// Extends `wire` and moves on when it is the highest so far.
    pub fn extend(&mut self, wire: u16) -> SeqNo {
        let seq = self.peek(wire);
        self.highest = Some(self.highest.map_or(seq.0, |highest| highest.max(seq.0)));
        seq
    }

    /// The highest number seen.
    #[must_use]
    pub fn highest(&self) -> Option<SeqNo> {
        self.highest.map(SeqNo)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wraps_inside() {
        let mut extender = SeqExtender::default();
        let table = [
            (65_534, 0x1_fffe),
            (65_535, 0x1_ffff),
            (1, 0x2_0001),
            (0, 0x2_0000),
            (65_533, 0x1_fffd),
        ];
        for (wire, extended) in table {
            assert_eq!(extender.extend(wire), SeqNo(extended), "{wire}");
        }
        assert_eq!(extender.highest(), Some(SeqNo(0x2_0001)));
    }

    #[test]
    fn before_the_first_there_is_room() {
        let mut extender = SeqExtender::default();
        assert_eq!(extender.extend(0), SeqNo(0x1_0000));
        assert_eq!(extender.extend(65_535), SeqNo(0xffff));
    }
}
