//! Simulcast: the encodings of one section by their RIDs, and which of them is the lowest.
//!
//! RFC 8851 (`a=rid`), RFC 8853 (`a=simulcast`). SDP does not say how large an encoding is: the order comes from names
//! that are in use, else from the offer.

use althing_media_core::Rid;

/// RIDs that one section may carry in one direction.
pub const MAX_RIDS: usize = 8;

/// An `a=rid` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RidLine {
    /// The name.
    pub rid: Rid,
    /// Who sends it.
    pub direction: RidDirection,
}

/// Who sends an encoding, seen by who wrote the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RidDirection {
    /// Who wrote it.
    Send,
    /// Who reads it.
    Recv,
}

/// An `a=simulcast` line: per direction the encodings, of alternatives the first. Empty: nothing in that direction.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Simulcast {
    /// Sent by who wrote the line.
    pub send: Vec<Rid>,
    /// Received by who wrote the line.
    pub recv: Vec<Rid>,
}

impl RidLine {
    /// Reads `<rid> send|recv [restrictions]`. Restrictions are not kept: we take what comes.
    pub(super) fn parse(value: &str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        let rid = Rid::new(words.next()?)?;
        let direction = match words.next()? {
            "send" => RidDirection::Send,
            "recv" => RidDirection::Recv,
            _ => return None,
        };
        Some(Self { rid, direction })
    }
}

impl Simulcast {
    /// Reads `send|recv <list> [recv|send <list>]`. A `~` (paused at first) is ignored.
    pub(super) fn parse(value: &str) -> Option<Self> {
        let mut simulcast = Self::default();
        let mut words = value.split_ascii_whitespace();
        while let Some(direction) = words.next() {
            let list = match direction {
                "send" => &mut simulcast.send,
                "recv" => &mut simulcast.recv,
                _ => return None,
            };
            if !list.is_empty() {
                return None;
            }
            for alternatives in words.next()?.split(';') {
                let first = alternatives.split(',').next()?;
                list.push(Rid::new(first.strip_prefix('~').unwrap_or(first))?);
            }
            if list.len() > MAX_RIDS {
                return None;
            }
        }
        (!simulcast.send.is_empty() || !simulcast.recv.is_empty()).then_some(simulcast)
    }
}

/// Puts the encodings in order, the lowest first, when all their names belong to one known family; else leaves the
/// order of the offer.
pub fn order_lowest_first(rids: &mut [Rid]) {
    const FAMILIES: [&[&str]; 6] = [
        &["q", "h", "f"],
        &["l", "m", "h"],
        &["low", "mid", "high"],
        &["low", "medium", "high"],
        &["s", "m", "l"],
        &["small", "medium", "large"],
    ];
    let rank = |family: &[&str], rid: &Rid| family.iter().position(|name| *name == rid.0.as_str());
    for family in FAMILIES {
        if rids.iter().all(|rid| rank(family, rid).is_some()) {
            rids.sort_by_key(|rid| rank(family, rid));
            return;
        }
    }
    // Numbers with one common word in front: 0 1 2, r0 r1 r2, layer1 layer2.
    let number = |rid: &Rid| {
        let name = rid.0.as_str();
        let digits = name.trim_start_matches(|letter: char| !letter.is_ascii_digit());
        digits
            .parse::<u32>()
            .ok()
            .map(|number| (name.len() - digits.len(), number))
    };
    let prefix = rids.first().and_then(number).map(|(len, _)| len);
    let same = |rid: &Rid, first: &Rid| {
        prefix.is_some_and(|len| {
            number(rid).is_some_and(|(own, _)| own == len) && rid.0.as_str().get(..len) == first.0.as_str().get(..len)
        })
    };
    if let Some(first) = rids.first().copied()
        && rids.iter().all(|rid| same(rid, &first))
    {
        rids.sort_by_key(|rid| number(rid).map(|(_, number)| number));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(names: &str) -> String {
        let mut rids: Vec<Rid> = names.split(' ').filter_map(Rid::new).collect();
        order_lowest_first(&mut rids);
        rids.iter().map(|rid| rid.0.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn known_names_are_put_in_order() {
        for (offered, expected) in [
            ("f h q", "q h f"),
            ("h q", "q h"),
            ("h m l", "l m h"),
            ("l m h", "l m h"),
            ("l s", "s l"),
            ("high low mid", "low mid high"),
            ("high medium", "medium high"),
            ("2 1 0", "0 1 2"),
            ("10 9", "9 10"),
            ("r2 r0 r1", "r0 r1 r2"),
            ("a2 b1", "a2 b1"),
            ("zebra apple", "zebra apple"),
            ("f", "f"),
            ("2 x", "2 x"),
        ] {
            assert_eq!(ordered(offered), expected, "{offered}");
        }
    }

    #[test]
    fn reads_both_directions() {
        let both = Simulcast::parse("send 1,2;~3 recv 4").unwrap();
        assert_eq!(both.send, [Rid::new("1").unwrap(), Rid::new("3").unwrap()]);
        assert_eq!(both.recv, [Rid::new("4").unwrap()]);
        for bad in [
            "",
            "send",
            "send ;",
            "both 1",
            "send 1 send 2",
            "send 1;2;3;4;5;6;7;8;9",
        ] {
            assert_eq!(Simulcast::parse(bad), None, "{bad}");
        }
    }
}
