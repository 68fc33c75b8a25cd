//! Puts the frames of several tracks into one order, and cuts them into fragments.
//!
//! A fragment is cut when its time is over and all tracks had a moment to deliver what belongs into it. It begins with a
//! picture that can be decoded alone wherever that is possible, so that a player can start at fragments.
//!
//! Not here: bytes.

use std::collections::VecDeque;

use super::MuxerConfig;
use super::pieces::COPIED;
use crate::frame::{Frame, MediaTime};

/// A keyframe does not begin a new fragment when the last one would be shorter than this.
const SHORTEST: u64 = 100_000_000;
/// A fragment of more bytes is cut whatever its time: 8 MiB is half a second at 130 Mbit/s. So much waits at most, and
/// one frame.
const FRAGMENT_BYTES: usize = 8 << 20;
/// What a frame counts beside its bytes, so that many empty ones are not free.
const FRAME_COST: usize = 64;
/// Of frames that nobody said the length of, nor had a follower: 40 ms.
const GUESS: u64 = 40_000_000;
/// The longest that a frame is guessed to last: what is longer was a pause.
const LONGEST_GUESS: u64 = 1_000_000_000;

/// One frame in its place.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) track: usize,
    pub(super) frame: Frame,
    /// When the next frame of the track is shown; guessed where the track pauses.
    pub(super) until: MediaTime,
}

/// What belongs into one fragment, in the order of time. Never empty.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) frames: Vec<Placed>,
    pub(super) start: MediaTime,
    /// Where the next one begins, or the last frame ends when nothing waits.
    pub(super) end: MediaTime,
}

impl Batch {
    /// Of these frames, in whatever order; those of equal times keep it.
    pub(super) fn new(mut frames: Vec<Placed>, next: Option<MediaTime>) -> Option<Self> {
        frames.sort_by_key(|placed| placed.frame.at);
        let start = frames.first()?.frame.at;
        let last = frames.iter().map(|placed| placed.until).max()?;
        let end = next.unwrap_or(last);
        Some(Self { frames, start, end })
    }

    /// A player can start here: all tracks of pictures that are in it begin with a keyframe, and at least one is, if the
    /// file has any.
    pub(super) fn is_independent(&self, pictures: &[bool]) -> bool {
        let mut seen = 0_u64;
        for placed in self.frames.iter().filter(|placed| pictures[placed.track]) {
            let bit = 1 << placed.track;
            if seen & bit == 0 && !placed.frame.keyframe {
                return false;
            }
            seen |= bit;
        }
        seen != 0 || !pictures.contains(&true)
    }

    /// How many bytes of frames will be copied.
    pub(super) fn small(&self) -> usize {
        let lens = self.frames.iter().map(|placed| placed.frame.data.len());
        lens.filter(|len| *len <= COPIED).sum()
    }
}

/// Frames that wait for their fragment.
#[derive(Debug)]
pub(super) struct Interleaver {
    tracks: Vec<Track>,
    fragment: u64,
    settle: u64,
    waiting: usize,
}

#[derive(Debug)]
struct Track {
    video: bool,
    waiting: VecDeque<Frame>,
    last: Option<MediaTime>,
    /// Length of the last frame whose length is known.
    usual: u64,
}

impl Interleaver {
    /// For tracks of which each is video or not, cut into fragments.
    pub(super) fn new(video: impl Iterator<Item = bool>, config: &MuxerConfig) -> Self {
        let track = |video| Track {
            video,
            waiting: VecDeque::new(),
            last: None,
            usual: GUESS,
        };
        Self {
            tracks: video.map(track).collect(),
            fragment: MediaTime::new(config.fragment).0,
            settle: MediaTime::new(config.settle).0,
            waiting: 0,
        }
    }

    /// Takes a frame. One that is not later than the one before it in its track is put right behind that: it is needed by
    /// those that follow.
    pub(super) fn push(&mut self, track: usize, mut frame: Frame) {
        let Some(track) = self.tracks.get_mut(track) else {
            return;
        };
        if let Some(last) = track.last {
            // A millisecond is what WebM can tell apart.
            let earliest = last.0.saturating_add(1_000_000);
            if frame.at <= last {
                frame.at = MediaTime(earliest);
            }
            if frame.duration.is_none() {
                track.usual = frame.at.0.saturating_sub(last.0).min(LONGEST_GUESS);
            }
        }
        if let Some(duration) = frame.duration {
            track.usual = MediaTime::new(duration).0.min(LONGEST_GUESS);
        }
        track.last = Some(frame.at);
        self.waiting += frame.data.len() + FRAME_COST;
        track.waiting.push_back(frame);
    }

    /// The next fragment, if it is complete.
    pub(super) fn cut(&mut self) -> Option<Batch> {
        let oldest = self.oldest()?;
        let newest = self.tracks.iter().filter_map(|track| track.last).max()?;
        if self.waiting > FRAGMENT_BYTES {
            return self.take(u64::MAX);
        }
        let end = oldest.0.saturating_add(self.fragment);
        if newest.0 < end.saturating_add(self.settle) {
            return None;
        }
        let earliest = oldest.0.saturating_add(SHORTEST);
        let keyframes = self.tracks.iter().filter(|track| track.video).filter_map(|track| {
            let mut starts = track
                .waiting
                .iter()
                .filter(|frame| frame.keyframe)
                .map(|frame| frame.at.0);
            starts.find(|at| *at >= earliest)
        });
        let end = keyframes.min().filter(|at| *at < end).unwrap_or(end);
        self.take(end)
    }

    /// Everything that waits, as the last fragment.
    pub(super) fn rest(&mut self) -> Option<Batch> {
        self.take(u64::MAX)
    }

    fn oldest(&self) -> Option<MediaTime> {
        self.tracks
            .iter()
            .filter_map(|track| Some(track.waiting.front()?.at))
            .min()
    }

    /// All frames before `end`, or all of them when it is the end of time.
    fn take(&mut self, end: u64) -> Option<Batch> {
        let mut frames = Vec::new();
        for (index, track) in self.tracks.iter_mut().enumerate() {
            while let Some(frame) = track.waiting.pop_front_if(|frame| frame.at.0 < end || end == u64::MAX) {
                self.waiting -= frame.data.len() + FRAME_COST;
                let until = track
                    .waiting
                    .front()
                    .map_or_else(|| MediaTime(frame.at.0.saturating_add(track.usual)), |next| next.at);
                frames.push(Placed {
                    track: index,
                    frame,
                    until,
                });
            }
        }
        Batch::new(frames, self.oldest())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;

    fn config(fragment: Duration) -> MuxerConfig {
        MuxerConfig {
            fragment,
            ..MuxerConfig::default()
        }
    }

    fn frame(ms: u64, keyframe: bool) -> Frame {
        Frame {
            at: MediaTime(ms * 1_000_000),
            keyframe,
            duration: None,
            data: Bytes::from_static(b"x"),
        }
    }

    fn times(batch: &Batch) -> Vec<(usize, u64)> {
        let one = |placed: &Placed| (placed.track, placed.frame.at.0 / 1_000_000);
        batch.frames.iter().map(one).collect()
    }

    #[test]
    fn a_track_that_comes_late_is_in_its_place() {
        let mut one = Interleaver::new([false, true].into_iter(), &config(Duration::from_millis(200)));
        for ms in [0, 100, 200, 300, 400] {
            one.push(1, frame(ms, ms == 0));
        }
        assert!(one.cut().is_none(), "200 ms and the time to settle are not over");
        one.push(0, frame(50, true));
        one.push(0, frame(150, true));
        one.push(1, frame(500, false));
        let batch = one.cut().unwrap();
        assert_eq!(times(&batch), [(1, 0), (0, 50), (1, 100), (0, 150)]);
        assert_eq!(batch.frames[2].until, MediaTime(200_000_000), "until the next picture");
        assert!(one.cut().is_none());
        assert_eq!(times(&one.rest().unwrap()), [(1, 200), (1, 300), (1, 400), (1, 500)]);
        assert!(one.rest().is_none());
    }

    #[test]
    fn a_keyframe_begins_a_fragment() {
        let mut one = Interleaver::new([true].into_iter(), &config(Duration::from_millis(500)));
        for ms in (0..1000).step_by(50) {
            one.push(0, frame(ms, ms == 0 || ms == 50 || ms == 300));
        }
        assert_eq!(
            times(&one.cut().unwrap()).len(),
            6,
            "to 300 ms; 50 ms would be too short"
        );
        assert_eq!(times(&one.rest().unwrap())[0], (0, 300));
    }

    #[test]
    fn what_does_not_get_later_is_put_right_behind() {
        let mut one = Interleaver::new([true].into_iter(), &config(Duration::from_millis(500)));
        one.push(0, frame(100, true));
        one.push(0, frame(100, false));
        one.push(0, frame(3, false));
        assert_eq!(times(&one.rest().unwrap()), [(0, 100), (0, 101), (0, 102)]);
    }

    #[test]
    fn after_a_pause_nothing_is_long() {
        let mut one = Interleaver::new([true].into_iter(), &config(Duration::from_millis(500)));
        one.push(0, frame(0, true));
        one.push(0, frame(300_000, true));
        assert_eq!(
            one.cut().unwrap().end,
            MediaTime(300_000_000_000),
            "until the next picture"
        );
        assert_eq!(one.rest().unwrap().end, MediaTime(301_000_000_000), "nobody knows");
    }

    #[test]
    fn a_picture_that_stands_still_makes_no_fragment_longer() {
        let mut one = Interleaver::new([false, true].into_iter(), &config(Duration::from_millis(200)));
        one.push(1, frame(0, true));
        for ms in (0..1000).step_by(20) {
            one.push(0, frame(ms, true));
        }
        let batch = one.cut().unwrap();
        assert_eq!(
            (batch.start.0, batch.end.0),
            (0, 200_000_000),
            "the next one begins there"
        );
    }

    #[test]
    fn what_comes_in_order_need_not_wait() {
        let mut settled = config(Duration::from_millis(200));
        settled.settle = Duration::ZERO;
        let mut one = Interleaver::new([true].into_iter(), &settled);
        one.push(0, frame(0, true));
        one.push(0, frame(199, false));
        assert!(one.cut().is_none());
        one.push(0, frame(200, false));
        assert_eq!(times(&one.cut().unwrap()), [(0, 0), (0, 199)]);
    }

    #[test]
    fn many_bytes_do_not_wait() {
        let mut one = Interleaver::new([true].into_iter(), &config(Duration::from_secs(1)));
        let data = Bytes::from(vec![0; 1 << 20]);
        for ms in 0..7 {
            let big = Frame {
                data: data.clone(),
                ..frame(ms, false)
            };
            one.push(0, big);
            assert!(one.cut().is_none());
        }
        one.push(
            0,
            Frame {
                data,
                ..frame(7, false)
            },
        );
        assert_eq!(one.cut().unwrap().frames.len(), 8);
    }

    #[test]
    fn wild_times_end_nothing() {
        let mut one = Interleaver::new([true, false].into_iter(), &config(Duration::from_secs(1)));
        for at in [u64::MAX, 0, u64::MAX, 5, u64::MAX - 1] {
            for track in 0..2 {
                one.push(
                    track,
                    Frame {
                        at: MediaTime(at),
                        ..frame(0, true)
                    },
                );
                while one.cut().is_some() {}
            }
        }
        while one.rest().is_some() {}
        assert_eq!(one.waiting, 0);
    }
}
