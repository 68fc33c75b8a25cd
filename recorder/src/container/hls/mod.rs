//! HLS playlists (RFC 8216, and its second edition for low latency) of MP4 files, live and at the end.
//!
//! A playlist names byte ranges of the recording itself: nothing is copied, and the archive is ready when the last fragment
//! is. Each fragment is a part; a segment goes on until a fragment comes that a player can start at. A recording in several
//! files is one playlist with a discontinuity between them.
//!
//! Not here: serving. A server that holds requests until a part is there says so with [`PlaylistConfig::blocking`], and finds
//! in [`reload`] which requests those are.

pub mod reload;

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::time::Duration;

use super::{Fragment, FragmentKind, MAX_FRAGMENT, mp4};
use crate::frame::MediaTime;

pub use reload::{Reload, Snapshot, Verdict};

/// How far apart two fragments may be without a discontinuity.
const SEAM: Duration = Duration::from_millis(500);
/// Parts are told for the last so many segments.
const WITH_PARTS: usize = 3;
/// Segments that [`Playlist::live`] tells: a minute of them and more.
const LIVE: usize = 20;
/// The most segments of a playlist without a window: a day of segments of three seconds. Older ones are left out.
const MOST: usize = 28_800;

/// What is in a playlist.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "made by callers, with `..Default::default()`")]
pub struct PlaylistConfig {
    /// A segment is at least this long, and at most twice as long.
    pub segment: Duration,
    /// Tell parts, so that players can be a second or two behind.
    pub low_latency: bool,
    /// No part is longer, and few are much shorter: players stay three of it behind. A little more than
    /// [`MuxerConfig::fragment`](super::MuxerConfig::fragment).
    pub part: Duration,
    /// Whether the server holds a request for a part that is not there yet.
    pub blocking: bool,
    /// Keep only the last so many segments; all of them otherwise.
    pub window: Option<usize>,
}

impl Default for PlaylistConfig {
    fn default() -> Self {
        Self {
            segment: Duration::from_secs(3),
            low_latency: true,
            part: MAX_FRAGMENT,
            blocking: false,
            window: None,
        }
    }
}

impl PlaylistConfig {
    /// The longest segment: the target duration of players, who count it in whole seconds.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.segment * 2
    }
}

/// The media playlist of one recording; its text is what [`fmt::Display`] gives.
#[derive(Debug)]
pub struct Playlist {
    config: PlaylistConfig,
    /// The file that fragments belong to: its name, and how long it is so far.
    uri: String,
    len: u64,
    init: Option<Range>,
    segments: VecDeque<Segment>,
    /// Segments that left the window, and discontinuities with them.
    gone: u64,
    gone_seams: u64,
    last_end: Option<MediaTime>,
    seam: bool,
    finished: bool,
}

#[derive(Debug, Clone, Copy)]
struct Range {
    at: u64,
    len: u64,
}

#[derive(Debug)]
struct Segment {
    /// Set where the file is another than before.
    map: Option<(String, Range)>,
    uri: String,
    range: Range,
    duration: Duration,
    seam: bool,
    parts: Vec<Part>,
    closed: bool,
}

#[derive(Debug)]
struct Part {
    range: Range,
    duration: Duration,
    independent: bool,
}

impl Playlist {
    /// Nothing in it yet.
    #[must_use]
    pub fn new(config: PlaylistConfig) -> Self {
        Self {
            config,
            uri: String::new(),
            len: 0,
            init: None,
            segments: VecDeque::new(),
            gone: 0,
            gone_seams: 0,
            last_end: None,
            seam: false,
            finished: false,
        }
    }

    /// From here on, fragments are those of this file, as a player finds it from the playlist's place.
    pub fn begin(&mut self, uri: &str) {
        self.close();
        self.seam = !self.segments.is_empty();
        uri.clone_into(&mut self.uri);
        self.len = 0;
        self.init = None;
        self.last_end = None;
    }

    /// Notes what was appended to the file.
    pub fn handle_fragment(&mut self, fragment: &Fragment) {
        let range = Range {
            at: self.len,
            len: fragment.pieces.len() as u64,
        };
        self.len += range.len;
        match fragment.kind {
            FragmentKind::Header => {
                let len = mp4::init_len(&fragment.pieces.to_vec()) as u64;
                self.init = Some(Range { at: 0, len });
            }
            FragmentKind::Media => self.media(fragment, range),
            FragmentKind::Trailer => {}
        }
    }

    /// What it tells now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self)
    }

    /// The recording is over.
    pub fn finish(&mut self) {
        self.close();
        self.finished = true;
    }

    fn media(&mut self, fragment: &Fragment, range: Range) {
        let longest = self.config.longest();
        let length = fragment.end.since(fragment.start);
        if self.last_end.is_some_and(|end| fragment.start.since(end) > SEAM) {
            self.close();
            self.seam = true;
        }
        let open = self
            .segments
            .back()
            .filter(|segment| !segment.closed)
            .map(|segment| segment.duration);
        if open.is_some_and(|open| fragment.independent && open >= self.config.segment || open + length > longest) {
            self.close();
        }
        if self.segments.back().is_none_or(|segment| segment.closed) {
            self.segments.push_back(Segment {
                map: self.init.take().map(|init| (self.uri.clone(), init)),
                uri: self.uri.clone(),
                range: Range { at: range.at, len: 0 },
                duration: Duration::ZERO,
                seam: std::mem::take(&mut self.seam),
                parts: Vec::new(),
                closed: false,
            });
        }
        // A picture that stood still for long is told as long as a segment may be; what comes then is behind a seam.
        let told = length.min(longest);
        if let Some(segment) = self.segments.back_mut() {
            segment.range.len += range.len;
            segment.duration += told;
            segment.parts.push(Part {
                range,
                duration: told.min(self.config.part),
                independent: fragment.independent,
            });
        }
        self.last_end = Some(fragment.start.plus(told));
    }

    /// Ends the segment that is open, and forgets what is too old.
    fn close(&mut self) {
        if let Some(segment) = self.segments.back_mut() {
            segment.closed = true;
        }
        let most = self.config.window.unwrap_or(MOST).max(WITH_PARTS);
        while self.segments.len() > most {
            let Some(old) = self.segments.pop_front() else { break };
            self.gone += 1;
            self.gone_seams += u64::from(old.seam);
            if let (Some(next), Some(map)) = (self.segments.front_mut(), old.map) {
                next.map.get_or_insert(map);
            }
        }
        let plain = self.segments.len().saturating_sub(WITH_PARTS);
        // Those further back lost theirs before.
        for segment in self
            .segments
            .range_mut(..plain)
            .rev()
            .take_while(|segment| !segment.parts.is_empty())
        {
            segment.parts = Vec::new();
        }
    }
}

/// All that it has.
impl fmt::Display for Playlist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, None)
    }
}

impl Playlist {
    /// What is shown while it grows: the last segments only, as all of it would be sent with each part, to everybody.
    pub(super) fn live(&self) -> String {
        let mut text = String::new();
        // Nothing fails when it is written to memory.
        let _ = self.write(&mut text, (!self.finished).then_some(LIVE));
        text
    }

    /// Of the last so many segments, or all.
    fn write(&self, f: &mut dyn fmt::Write, most: Option<usize>) -> fmt::Result {
        let skipped = most.map_or(0, |most| self.segments.len().saturating_sub(most));
        let seams = self.segments.range(..skipped).filter(|segment| segment.seam).count() as u64;
        let (gone, gone_seams) = (self.gone + skipped as u64, self.gone_seams + seams);
        let live = !self.finished;
        let parts = self.config.low_latency && live;
        let target = self.config.longest().as_secs_f64().ceil();
        writeln!(f, "#EXTM3U\n#EXT-X-VERSION:{}", if parts { 9 } else { 7 })?;
        writeln!(f, "#EXT-X-TARGETDURATION:{target}")?;
        if parts {
            let part = self.config.part.as_secs_f64();
            let blocking = if self.config.blocking {
                "CAN-BLOCK-RELOAD=YES,"
            } else {
                ""
            };
            writeln!(f, "#EXT-X-SERVER-CONTROL:{blocking}PART-HOLD-BACK={:.3}", part * 3.0)?;
            writeln!(f, "#EXT-X-PART-INF:PART-TARGET={part:.3}")?;
        }
        writeln!(f, "#EXT-X-MEDIA-SEQUENCE:{gone}")?;
        if gone_seams > 0 {
            writeln!(f, "#EXT-X-DISCONTINUITY-SEQUENCE:{gone_seams}")?;
        }
        if most.or(self.config.window).is_none() && gone == 0 {
            f.write_str(if live {
                "#EXT-X-PLAYLIST-TYPE:EVENT\n"
            } else {
                "#EXT-X-PLAYLIST-TYPE:VOD\n"
            })?;
        }
        let mut before = self
            .segments
            .range(..skipped)
            .rev()
            .find_map(|segment| segment.map.as_ref());
        for segment in self.segments.range(skipped..) {
            if segment.seam {
                f.write_str("#EXT-X-DISCONTINUITY\n")?;
            }
            if let Some((uri, Range { at, len })) = segment.map.as_ref().or_else(|| before.take()) {
                writeln!(f, "#EXT-X-MAP:URI=\"{uri}\",BYTERANGE=\"{len}@{at}\"")?;
            }
            for part in segment.parts.iter().filter(|_| parts) {
                let (Range { at, len }, duration) = (part.range, part.duration.as_secs_f64());
                write!(
                    f,
                    "#EXT-X-PART:DURATION={duration:.3},URI=\"{}\",BYTERANGE=\"{len}@{at}\"",
                    segment.uri
                )?;
                f.write_str(if part.independent { ",INDEPENDENT=YES\n" } else { "\n" })?;
            }
            if segment.closed {
                write_segment(f, segment.duration.as_secs_f64(), segment.range, &segment.uri)?;
            }
        }
        if parts && !self.uri.is_empty() {
            writeln!(
                f,
                "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"{}\",BYTERANGE-START={}",
                self.uri, self.len
            )?;
        }
        if self.finished {
            f.write_str("#EXT-X-ENDLIST\n")?;
        }
        Ok(())
    }
}

fn write_segment(f: &mut dyn fmt::Write, duration: f64, Range { at, len }: Range, uri: &str) -> fmt::Result {
    writeln!(f, "#EXTINF:{duration:.3},\n#EXT-X-BYTERANGE:{len}@{at}\n{uri}")
}

/// Ends a playlist of ours that a crash left open: parts behind the last segment become one. `None` when it is ended
/// already, or none.
#[must_use]
pub fn close(text: &str) -> Option<String> {
    if !text.starts_with("#EXTM3U") || text.lines().any(|line| line == "#EXT-X-ENDLIST") {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    let mut open: Option<(f64, Range, String)> = None;
    // A line that was cut short is none.
    for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        if let Some(part) = line.strip_prefix("#EXT-X-PART:") {
            let (duration, range, uri) = parse_part(part)?;
            match &mut open {
                Some((sum, all, _)) => {
                    *sum += duration;
                    all.len = all.len.saturating_add(range.len);
                }
                None => open = Some((duration, range, uri)),
            }
            continue;
        }
        if line.starts_with("#EXTINF:") {
            open = None;
        }
        let live = ["#EXT-X-PRELOAD-HINT:", "#EXT-X-SERVER-CONTROL:", "#EXT-X-PART-INF:"];
        if live.iter().all(|tag| !line.starts_with(tag)) {
            let event = line == "#EXT-X-PLAYLIST-TYPE:EVENT";
            out.push_str(if event { "#EXT-X-PLAYLIST-TYPE:VOD" } else { line });
            out.push('\n');
        }
    }
    if let Some((duration, range, uri)) = open {
        write_segment(&mut out, duration, range, &uri).ok()?;
    }
    out.write_str("#EXT-X-ENDLIST\n").ok()?;
    Some(out)
}

/// The attributes of a part as we write them.
fn parse_part(attributes: &str) -> Option<(f64, Range, String)> {
    let value = |name: &str| {
        let (_, rest) = attributes.split_once(name)?;
        rest.split([',', '"']).next()
    };
    let duration = value("DURATION=")?.parse().ok()?;
    let (len, at) = value("BYTERANGE=\"")?.split_once('@')?;
    let range = Range {
        at: at.parse().ok()?,
        len: len.parse().ok()?,
    };
    Some((duration, range, value("URI=\"")?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::Pieces;

    pub(super) fn fragment(start_ms: u64, ms: u64, independent: bool) -> Fragment {
        Fragment {
            kind: FragmentKind::Media,
            pieces: Pieces::from(vec![0; 100]),
            start: MediaTime(start_ms * 1_000_000),
            end: MediaTime((start_ms + ms) * 1_000_000),
            independent,
        }
    }

    pub(super) fn filled(config: PlaylistConfig, fragments: u64) -> Playlist {
        let mut playlist = Playlist::new(config);
        playlist.begin("talk.mp4");
        for n in 0..fragments {
            playlist.handle_fragment(&fragment(n * 500, 500, n % 8 == 0));
        }
        playlist
    }

    #[test]
    fn segments_begin_where_a_player_can_start() {
        let mut playlist = filled(PlaylistConfig::default(), 20);
        let live = playlist.to_string();
        assert_eq!(live.matches("#EXTINF:4.000").count(), 2);
        assert_eq!(live.matches("#EXT-X-PART:").count(), 20, "{live}");
        assert!(live.ends_with("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"talk.mp4\",BYTERANGE-START=2000\n"));
        let closed = close(&live).unwrap();
        playlist.finish();
        let end = playlist.to_string();
        assert!(
            end.contains("#EXTINF:2.000,\n#EXT-X-BYTERANGE:400@1600\ntalk.mp4\n#EXT-X-ENDLIST\n"),
            "{end}"
        );
        assert!(!end.contains("PART"));
        // After a crash only the version is another.
        assert_eq!(closed.replace("VERSION:9", "VERSION:7"), end);
        assert_eq!(close(&end), None, "nothing left to do");
    }

    #[test]
    fn a_window_moves() {
        let window = PlaylistConfig {
            window: Some(4),
            ..PlaylistConfig::default()
        };
        let mut playlist = filled(window, 1000);
        playlist.begin("second.mp4");
        playlist.handle_fragment(&fragment(0, 500, true));
        let text = playlist.to_string();
        assert!(text.contains("#EXT-X-MEDIA-SEQUENCE:121\n"), "{text}");
        assert_eq!(text.matches("#EXTINF").count(), 4);
        assert_eq!(text.matches("#EXT-X-DISCONTINUITY\n").count(), 1);
        assert!(text.contains("URI=\"second.mp4\",BYTERANGE=\"100@0\""));
    }

    #[test]
    fn what_grows_is_told_of_the_last_minute_only() {
        let mut playlist = filled(PlaylistConfig::default(), 200);
        playlist.begin("second.mp4");
        (0..200).for_each(|n| playlist.handle_fragment(&fragment(n * 500, 500, n % 8 == 0)));
        let live = playlist.live();
        assert_eq!(live.matches("#EXTINF").count() + 1, LIVE, "one of them is open: {live}");
        assert!(
            live.contains("#EXT-X-MEDIA-SEQUENCE:30\n#EXT-X-DISCONTINUITY-SEQUENCE:1\n"),
            "{live}"
        );
        assert_eq!(
            live.matches("#EXT-X-MAP:URI=\"second.mp4\"").count(),
            0,
            "it has none: there was no header"
        );
        assert!(!live.contains("#EXT-X-PLAYLIST-TYPE"), "what is told is taken back");
        assert!(playlist.to_string().contains("#EXT-X-PLAYLIST-TYPE:EVENT"));
        playlist.finish();
        assert_eq!(playlist.live(), playlist.to_string(), "at the end all of it is there");
    }

    #[test]
    fn a_pause_is_a_seam_and_no_long_segment() {
        let mut playlist = filled(PlaylistConfig::default(), 4);
        playlist.handle_fragment(&fragment(2000, 300_000, false));
        playlist.handle_fragment(&fragment(302_000, 500, true));
        playlist.finish();
        let text = playlist.to_string();
        assert!(text.contains("#EXT-X-DISCONTINUITY\n"), "{text}");
        let longest = text
            .lines()
            .filter_map(|line| line.strip_prefix("#EXTINF:")?.strip_suffix(',')?.parse().ok());
        assert!(longest.fold(0.0, f64::max) <= 6.0, "{text}");
    }

    #[test]
    fn what_is_no_playlist_is_left_alone() {
        for text in ["", "#EXTM", "#EXTM3U\n#EXT-X-PART:DURATION=x\n"] {
            assert_eq!(close(text), None);
        }
        let cut = filled(PlaylistConfig::default(), 20).to_string();
        for end in 8..cut.len() {
            assert!(close(&cut[..end]).is_some_and(|text| text.ends_with("#EXT-X-ENDLIST\n")));
        }
    }
}
