//! Which protocol a datagram belongs to (RFC 7983 §7, RFC 5761 §4), by its first two bytes.

/// What a datagram on the media port is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// First byte 0 to 3: STUN (ICE).
    Stun,
    /// First byte 20 to 63: DTLS.
    Dtls,
    /// Version 2 and a payload type outside the RTCP range.
    Rtp,
    /// Version 2 and packet type 192 to 223 (RFC 5761 §4).
    Rtcp,
}

impl Kind {
    /// Tells the protocol of `datagram`, `None` for what nobody here speaks (ZRTP, TURN channels, junk).
    ///
    /// Reads at most two bytes; no allocation.
    #[must_use]
    pub fn of(datagram: &[u8]) -> Option<Self> {
        match *datagram.first()? {
            0..=3 => Some(Self::Stun),
            20..=63 => Some(Self::Dtls),
            128..=191 => match *datagram.get(1)? {
                192..=223 => Some(Self::Rtcp),
                _ => Some(Self::Rtp),
            },
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_rfc_7983() {
        let table: [(&[u8], Option<Kind>); 9] = [
            (&[], None),
            (&[0, 1], Some(Kind::Stun)),
            (&[4], None),
            (&[16], None),
            (&[22, 254], Some(Kind::Dtls)),
            (&[64], None),
            (&[0x80], None),
            (&[0x80, 96], Some(Kind::Rtp)),
            (&[0x81, 200], Some(Kind::Rtcp)),
        ];
        for (bytes, kind) in table {
            assert_eq!(Kind::of(bytes), kind, "{bytes:?}");
        }
        // A marker bit on payload type 63 is 191, on 96 it is 224: both are RTP.
        assert_eq!(Kind::of(&[0x90, 191]), Some(Kind::Rtp));
        assert_eq!(Kind::of(&[0x90, 224]), Some(Kind::Rtp));
    }
}
