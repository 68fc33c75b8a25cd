//! How a data channel is announced: the two messages of DCEP.
//!
//! RFC 8832 §5. What they mean for a channel is decided in [`super`].

use super::channel::{DataChannelConfig, Reliability};

/// Longest label, and longest protocol name, in bytes. RFC 8832 has room for 65535; names that long are no names.
pub const MAX_NAME: usize = 1024;

/// DATA_CHANNEL_ACK.
const ACK: u8 = 2;
/// DATA_CHANNEL_OPEN.
const OPEN: u8 = 3;
/// Bytes of an OPEN before its names.
const OPEN_HEADER: usize = 12;
/// Bit of the channel type: messages may overtake one another.
const UNORDERED: u8 = 0x80;
/// Channel type: as often as it takes.
const RELIABLE: u8 = 0;
/// Channel type: so many retransmissions.
const RETRANSMITS: u8 = 1;
/// Channel type: for so many milliseconds.
const LIFETIME: u8 = 2;
/// The priority that we write: "normal" (RFC 8831 §6.4). That of others is not used.
const PRIORITY: u16 = 256;

/// A message about a channel, sent on the channel's own stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Dcep {
    /// The sender has made a channel.
    Open(DataChannelConfig),
    /// The receiver has it too.
    Ack,
}

impl Dcep {
    /// Reads a message; `None` when it is malformed, unknown, or its names are no text or too long.
    ///
    /// ```text
    ///  0                   1                   2                   3
    ///  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    /// +---------------+---------------+-------------------------------+
    /// |     type 3    |  channel type |            priority           |
    /// +---------------+---------------+-------------------------------+
    /// |                    reliability parameter                      |
    /// +-------------------------------+-------------------------------+
    /// |         label length          |        protocol length        |
    /// +-------------------------------+-------------------------------+
    /// |                     label, then protocol                      |
    /// +---------------------------------------------------------------+
    /// ```
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (header, names) = match bytes {
            // Some senders pad it.
            [ACK, ..] => return Some(Self::Ack),
            [OPEN, ..] => bytes.split_first_chunk::<OPEN_HEADER>()?,
            _ => return None,
        };
        let &[_, kind, _, _, p0, p1, p2, p3, l0, l1, q0, q1] = header;
        let parameter = u32::from_be_bytes([p0, p1, p2, p3]);
        let label = usize::from(u16::from_be_bytes([l0, l1]));
        let protocol = usize::from(u16::from_be_bytes([q0, q1]));
        let reliability = match kind & !UNORDERED {
            RELIABLE => Reliability::Reliable,
            RETRANSMITS => Reliability::MaxRetransmits(parameter),
            LIFETIME => Reliability::MaxLifetime(parameter),
            _ => return None,
        };
        let name = |from: usize, len: usize| {
            let bytes = names.get(from..from + len).filter(|bytes| bytes.len() <= MAX_NAME)?;
            String::from_utf8(bytes.to_vec()).ok()
        };
        Some(Self::Open(DataChannelConfig {
            label: name(0, label)?,
            protocol: name(label, protocol)?,
            ordered: kind & UNORDERED == 0,
            reliability,
            negotiated: None,
        }))
    }

    /// The message as bytes; `None` when a name is too long.
    pub(super) fn to_bytes(&self) -> Option<Vec<u8>> {
        let config = match self {
            Self::Ack => return Some(vec![ACK]),
            Self::Open(config) => config,
        };
        let (kind, parameter) = match config.reliability {
            Reliability::Reliable => (RELIABLE, 0),
            Reliability::MaxRetransmits(times) => (RETRANSMITS, times),
            Reliability::MaxLifetime(ms) => (LIFETIME, ms),
        };
        let order = if config.ordered { 0 } else { UNORDERED };
        let len = |name: &str| u16::try_from(name.len()).ok().filter(|_| name.len() <= MAX_NAME);
        let mut bytes = Vec::with_capacity(OPEN_HEADER + config.label.len() + config.protocol.len());
        bytes.extend([OPEN, kind | order]);
        bytes.extend(PRIORITY.to_be_bytes());
        bytes.extend(parameter.to_be_bytes());
        bytes.extend(len(&config.label)?.to_be_bytes());
        bytes.extend(len(&config.protocol)?.to_be_bytes());
        bytes.extend(config.label.as_bytes());
        bytes.extend(config.protocol.as_bytes());
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reliability() -> impl Strategy<Value = Reliability> {
        prop_oneof![
            Just(Reliability::Reliable),
            any::<u32>().prop_map(Reliability::MaxRetransmits),
            any::<u32>().prop_map(Reliability::MaxLifetime),
        ]
    }

    proptest! {
        #[test]
        fn an_open_comes_back_and_no_part_of_it_does(
            label in ".{0,40}", protocol in ".{0,40}", ordered: bool, reliability in reliability(),
        ) {
            let open = Dcep::Open(DataChannelConfig { label, protocol, ordered, reliability, negotiated: None });
            let bytes = open.to_bytes().unwrap();
            prop_assert_eq!(Dcep::parse(&bytes), Some(open));
            for len in 0..bytes.len() {
                prop_assert_eq!(Dcep::parse(&bytes[..len]), None);
            }
        }

        #[test]
        fn random_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Some(Dcep::Open(config)) = Dcep::parse(&bytes) {
                prop_assert!(config.label.len() + config.protocol.len() + OPEN_HEADER <= bytes.len());
            }
        }
    }

    #[test]
    fn bytes_of_a_browser() {
        // Chrome: createDataChannel("_lossy", { ordered: false, maxRetransmits: 0 }).
        let bytes = b"\x03\x81\x01\x00\x00\x00\x00\x00\x00\x06\x00\x00_lossy";
        let Some(Dcep::Open(config)) = Dcep::parse(bytes) else {
            panic!("an OPEN")
        };
        assert_eq!((config.label.as_str(), config.ordered), ("_lossy", false));
        assert_eq!(config.reliability, Reliability::MaxRetransmits(0));
        assert_eq!(Dcep::Open(config).to_bytes().unwrap(), bytes);
    }

    #[test]
    fn names_must_be_text_and_short() {
        assert_eq!(
            Dcep::parse(b"\x03\x00\x01\x00\x00\x00\x00\x00\x00\x01\x00\x00\xff"),
            None
        );
        let long = DataChannelConfig::new(&"x".repeat(MAX_NAME + 1));
        assert_eq!(Dcep::Open(long).to_bytes(), None);
        let mut bytes = vec![3, 0, 1, 0, 0, 0, 0, 0];
        bytes.extend([4, 1, 0, 0]);
        bytes.extend([b'x'; MAX_NAME + 1]);
        assert_eq!(Dcep::parse(&bytes), None);
    }
}
