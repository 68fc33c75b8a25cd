//! Blocking playlist reload (RFC 8216bis §6.2.5.2): whether a playlist has what a player waits for.
//!
//! Not here: waiting.

use std::time::Duration;

use bytes::Bytes;

use super::Playlist;

/// How many segments a request may be ahead of the playlist.
const AHEAD: u64 = 2;

/// What a player waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the two directives of the specification")]
pub struct Reload {
    /// `_HLS_msn`: the number of a segment.
    pub segment: u64,
    /// `_HLS_part`: a part of it, from 0; all of it otherwise.
    pub part: Option<u64>,
}

/// Whether it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "now, later, never")]
pub enum Verdict {
    /// It is, or nothing more comes.
    Ready,
    /// It will be.
    Wait,
    /// It is further ahead than a player may ask for.
    TooFar,
}

/// A playlist as it is at one moment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Snapshot {
    /// Its text, in UTF-8; while it grows, of the last segments only.
    pub text: Bytes,
    /// The file that grows, as the playlist calls it.
    pub uri: String,
    /// How many bytes of that file the playlist tells: there begins what comes next.
    pub len: u64,
    /// Nothing more comes.
    pub finished: bool,
    /// The part that comes next: the number of its segment, and its own.
    next: (u64, u64),
    /// Parts of the segment before that.
    before: u64,
    /// How many parts a request may be ahead.
    ahead: u64,
}

impl Snapshot {
    pub(super) fn new(playlist: &Playlist) -> Self {
        let count = |segment: Option<&super::Segment>| segment.map_or(0, |segment| segment.parts.len() as u64);
        let known = playlist.gone + playlist.segments.len() as u64;
        let mut back = playlist.segments.iter().rev();
        let next = match back.clone().next() {
            Some(open) if !open.closed => {
                back.next();
                (known - 1, open.parts.len() as u64)
            }
            _ => (known, 0),
        };
        Self {
            text: playlist.live().into(),
            uri: playlist.uri.clone(),
            len: playlist.len,
            finished: playlist.finished,
            next,
            before: count(back.next()),
            ahead: ahead(playlist.config.part),
        }
    }

    /// Whether this is what a request waits for.
    #[must_use]
    pub fn answers(&self, Reload { segment, part }: Reload) -> Verdict {
        let (current, parts) = self.next;
        if self.finished {
            return Verdict::Ready;
        }
        let far = |part: u64, there: u64| part.saturating_sub(there) >= self.ahead;
        let ready = match part {
            _ if segment > current.saturating_add(AHEAD) => return Verdict::TooFar,
            Some(part) if segment >= current && far(part, if segment == current { parts } else { 0 }) => {
                return Verdict::TooFar;
            }
            // A part that a segment did not get is the first one of the next.
            Some(part) if segment + 1 == current => part < self.before || parts > 0,
            Some(part) => (segment, part) < (current, parts),
            None => segment < current,
        };
        if ready { Verdict::Ready } else { Verdict::Wait }
    }
}

/// The "advance part limit": parts of three seconds, three at least.
fn ahead(part: Duration) -> u64 {
    let millis = u64::try_from(part.as_millis()).unwrap_or(u64::MAX).max(1);
    3000_u64.div_ceil(millis).max(3)
}

#[cfg(test)]
mod tests {
    use super::super::PlaylistConfig;
    use super::super::tests::{filled, fragment};
    use super::*;

    fn verdict(playlist: &Playlist, segment: u64, part: impl Into<Option<u64>>) -> Verdict {
        let part = part.into();
        playlist.snapshot().answers(Reload { segment, part })
    }

    #[test]
    fn a_part_is_waited_for_until_it_is_there() {
        use Verdict::{Ready, TooFar, Wait};
        // Two segments of eight parts, and two parts.
        let mut playlist = filled(PlaylistConfig::default(), 18);
        for (segment, part, expected) in [
            (0, None, Ready),
            (1, None, Ready),
            (2, None, Wait),
            (4, None, Wait),
            (5, None, TooFar),
            (u64::MAX, None, TooFar),
            (0, Some(u64::MAX), Ready),
            (1, Some(7), Ready),
            // There is none, and the first one of the next segment is there.
            (1, Some(8), Ready),
            (2, Some(0), Ready),
            (2, Some(1), Ready),
            (2, Some(2), Wait),
            (2, Some(4), Wait),
            (2, Some(5), TooFar),
            (3, Some(0), Wait),
            (3, Some(3), TooFar),
            (2, Some(u64::MAX), TooFar),
        ] {
            assert_eq!(verdict(&playlist, segment, part), expected, "{segment} {part:?}");
        }
        playlist.handle_fragment(&fragment(9000, 500, false));
        assert_eq!(verdict(&playlist, 2, 2), Ready);
        playlist.finish();
        assert_eq!(verdict(&playlist, 4, 0), Ready, "nothing more comes");
    }

    #[test]
    fn a_part_that_never_came_is_the_first_of_the_next_segment() {
        let mut playlist = filled(PlaylistConfig::default(), 10);
        assert_eq!(verdict(&playlist, 1, 2), Verdict::Wait);
        playlist.begin("second.mp4");
        let snapshot = playlist.snapshot();
        assert_eq!((snapshot.uri.as_str(), snapshot.len), ("second.mp4", 0));
        assert_eq!(verdict(&playlist, 1, None), Verdict::Ready, "it has ended");
        assert_eq!(verdict(&playlist, 1, 1), Verdict::Ready);
        assert_eq!(verdict(&playlist, 1, 2), Verdict::Wait);
        playlist.handle_fragment(&fragment(5000, 500, true));
        assert_eq!(verdict(&playlist, 1, 2), Verdict::Ready);
        assert_eq!(verdict(&playlist, 2, 1), Verdict::Wait);
    }

    #[test]
    fn numbers_go_on_when_the_window_moves() {
        let window = PlaylistConfig {
            window: Some(4),
            ..PlaylistConfig::default()
        };
        let playlist = filled(window, 1000);
        assert_eq!(verdict(&playlist, 124, 7), Verdict::Ready);
        assert_eq!(verdict(&playlist, 125, 0), Verdict::Wait);
        assert_eq!(verdict(&playlist, 0, 0), Verdict::Ready);
        assert_eq!(verdict(&Playlist::new(window), 0, 0), Verdict::Wait);
    }

    #[test]
    fn short_parts_may_be_asked_for_further_ahead() {
        assert_eq!(
            [1000, 350, 0, 5000].map(|ms| ahead(Duration::from_millis(ms))),
            [3, 9, 3000, 3]
        );
    }
}
