//! What the poller's keys mean.

/// A source of the poller, packed into its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Udp(usize),
    Listener(usize),
    Connection(usize),
}

impl Key {
    pub(super) fn pack(self) -> usize {
        match self {
            Self::Udp(place) => place << 2,
            Self::Listener(place) => place << 2 | 1,
            Self::Connection(place) => place << 2 | 2,
        }
    }

    pub(super) fn unpack(key: usize) -> Self {
        match key & 3 {
            0 => Self::Udp(key >> 2),
            1 => Self::Listener(key >> 2),
            _ => Self::Connection(key >> 2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back() {
        for key in [Key::Udp(0), Key::Udp(7), Key::Listener(1), Key::Connection(1023)] {
            assert_eq!(Key::unpack(key.pack()), key);
        }
    }
}
