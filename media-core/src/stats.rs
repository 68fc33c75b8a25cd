//! What was dropped and why: remote input is never an error, it is counted.

/// Why something that came from the network was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum DropReason {
    /// Neither STUN, DTLS, RTP nor RTCP (RFC 7983).
    UnknownProtocol,
    /// From an address that no endpoint has proved to own.
    UnknownSource,
    /// STUN whose user name names no endpoint, or that fails its integrity check.
    StunRejected,
    /// DTLS before ICE has a checked path, or that the handshake refuses.
    DtlsRejected,
    /// RTP or RTCP before the keys are there.
    NotReady,
    /// The header does not parse.
    Malformed,
    /// SRTP or SRTCP authentication failed.
    Unauthentic,
    /// Seen before, or older than the replay window.
    Replayed,
    /// No track of the endpoint has this SSRC, MID or payload type.
    UnknownStream,
    /// A table that the peer can fill is full.
    LimitReached,
    /// Too late, or a duplicate of what was forwarded.
    Stale,
    /// The track or subscription is muted or paused.
    Muted,
    /// Longer than the buffers for one datagram.
    TooLong,
    /// SCTP that is damaged or belongs to no association, or a message that belongs to no data channel.
    DataRejected,
}

/// How many reasons there are.
pub const DROP_REASONS: usize = 14;

/// One counter for each [`DropReason`]; fixed size, no allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Drops {
    counts: [u64; DROP_REASONS],
}

impl Drops {
    /// Counts one.
    pub fn count(&mut self, reason: DropReason) {
        self.counts[reason as usize] += 1;
    }

    /// How many were dropped for `reason`.
    #[must_use]
    pub fn of(&self, reason: DropReason) -> u64 {
        self.counts[reason as usize]
    }

    /// All that was dropped.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_reason_has_a_counter() {
        let mut drops = Drops::default();
        drops.count(DropReason::DataRejected);
        assert_eq!(DropReason::DataRejected as usize + 1, DROP_REASONS);
        assert_eq!((drops.of(DropReason::DataRejected), drops.total()), (1, 1));
    }
}
