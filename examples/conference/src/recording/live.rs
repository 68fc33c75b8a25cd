//! What a large audience watches while it is recorded: one picture with all sound, as HLS.
//!
//! Nothing is decoded or encoded for it. The pictures are those that are recorded, of one track at a time: a shared screen, or
//! else who speaks; another track begins at a keyframe that is asked for. The sound is the mix. Both go into fragmented MP4 with a
//! playlist (`live.m3u8`, with parts for low latency), which is the archive in the moment of hanging up. Pictures that MP4 cannot
//! hold (VP8) are not shown: the server asks clients for others.
//!
//! Not here: serving it, who may watch, who waits.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use althing_media_core::Codec;
use althing_recorder::container::Container;
use althing_recorder::container::hls::PlaylistConfig;
use althing_recorder::file::{Disk, Writer, WriterConfig};
use althing_recorder::frame::{AudioFormat, Frame, MediaTime, TrackFormat};
use althing_recorder::recording::folder::Shown;
use althing_recorder::recording::{PersonId, TrackNumber};

use super::audience::Stage;

/// The name of the playlist and its files, without extension.
pub(super) const NAME: &str = "live";
/// What players are told at once: they stay three of it behind the last one.
const PART: Duration = Duration::from_millis(300);
/// The longest part: a picture does not end where sound does.
const LONGEST_PART: Duration = Duration::from_millis(350);
/// How long an audience waits for what is not there: three segments of the longest sort (RFC 8216bis §6.2.5.2).
pub(super) const WAIT: Duration = Duration::from_secs(18);
/// A player can start so often: a keyframe is asked for.
const START: Duration = Duration::from_secs(3);
/// Who has sent no picture for so long gives way.
const STILL: Duration = Duration::from_secs(3);
/// The programme begins without pictures when none have come for so long.
const PATIENCE: Duration = Duration::from_secs(5);
/// A keyframe that does not come is asked for again after so long.
const REPEAT: Duration = Duration::from_secs(1);
/// Pictures that may wait for their sound: 20 s; more are left out.
const MAX_WAITING: usize = 600;
/// Times of pictures differ by at least so much.
const STEP: Duration = Duration::from_millis(1);

/// The programme of one recording.
pub(super) struct Live {
    disk: Arc<Disk>,
    path: PathBuf,
    writer: Option<Writer>,
    /// Who is told of it, until it begins: then it is the writer who tells.
    stage: Option<Stage>,
    /// The disk does not take it any more.
    over: bool,
    owners: HashMap<TrackNumber, PersonId>,
    speaker: Option<PersonId>,
    /// The track whose pictures are shown.
    shown: Option<Shot>,
    waiting: VecDeque<Shown>,
    /// What the file can hold now.
    format: Option<TrackFormat>,
    last: MediaTime,
    /// When a keyframe was asked for.
    asked: MediaTime,
    /// When the first sound came.
    since: Option<MediaTime>,
}

struct Shot {
    /// And whether it is a screen.
    track: (TrackNumber, bool),
    last: MediaTime,
    keyframe: MediaTime,
}

impl Live {
    /// Nothing yet, in the folder of the recording.
    pub(super) fn new(disk: Arc<Disk>, folder: &Path, stage: Stage) -> Self {
        Self {
            disk,
            path: folder.join(NAME),
            writer: None,
            stage: Some(stage),
            over: false,
            owners: HashMap::new(),
            speaker: None,
            shown: None,
            waiting: VecDeque::new(),
            format: None,
            last: MediaTime::ZERO,
            asked: MediaTime::ZERO,
            since: None,
        }
    }

    /// A track has an owner.
    pub(super) fn own(&mut self, track: TrackNumber, person: PersonId) {
        self.owners.insert(track, person);
    }

    /// Who speaks, the loudest first. In a silence the last one stays.
    pub(super) fn hear(&mut self, people: &[PersonId]) {
        self.speaker = people.first().copied().or(self.speaker);
    }

    /// Takes a picture that was recorded; gives the file of which a keyframe is wanted.
    pub(super) fn see(&mut self, picture: Shown) -> Option<String> {
        if self.over || !Container::Mp4.holds(picture.format.codec()) {
            return None;
        }
        let at = picture.frame.at;
        let track = track_of(&picture.file)?;
        let current = self.shown.as_ref().is_some_and(|shot| shot.track == track);
        let better = !current && self.is_better(track, at);
        if better && picture.frame.keyframe {
            self.shown = Some(Shot {
                track,
                last: at,
                keyframe: at,
            });
        } else if !current {
            return if better { self.ask(at, &picture.file) } else { None };
        }
        let file = picture.file.clone();
        let shot = self.shown.as_mut()?;
        shot.last = at;
        if picture.frame.keyframe {
            shot.keyframe = at;
        }
        let due = at.since(shot.keyframe) >= START;
        if self.waiting.len() >= MAX_WAITING {
            // It goes on with the next keyframe.
            self.waiting.clear();
            self.shown = None;
            return None;
        }
        self.waiting.push_back(picture);
        if due { self.ask(at, &file) } else { None }
    }

    /// Takes a packet of the mix: what is to be seen up to then is written with it.
    pub(super) fn sound(&mut self, frame: &Frame) {
        if self.over {
            return;
        }
        while let Some(picture) = self.waiting.pop_front_if(|picture| picture.frame.at <= frame.at) {
            self.show(picture);
        }
        if self.writer.is_none() {
            // Players do not like it when pictures come later.
            let since = *self.since.get_or_insert(frame.at);
            if frame.at.since(since) < PATIENCE {
                return;
            }
            self.begin(&[sound_format()], frame.at);
        }
        let track = usize::from(self.format.is_some());
        self.write(track, frame.clone());
    }

    /// No more comes.
    pub(super) fn finish(mut self) {
        if let Some(writer) = self.writer.take() {
            writer.finish();
        }
    }

    fn show(&mut self, picture: Shown) {
        let Shown { format, mut frame, .. } = picture;
        if self.format.as_ref() != Some(&format) {
            // Of another sender: a picture that does not begin anew belongs to what was before.
            if !frame.keyframe {
                return;
            }
            let formats = [format.clone(), sound_format()];
            match &mut self.writer {
                Some(writer) => {
                    if writer.restart(&formats, frame.at).is_err() {
                        return;
                    }
                }
                None => self.begin(&formats, frame.at),
            }
            self.format = Some(format);
        }
        frame.at = frame.at.max(self.last.plus(STEP));
        self.last = frame.at;
        // It stands until the next one, which is here already because sound is late: players stop at a hole.
        let next = self.waiting.front().map(|next| next.frame.at.max(frame.at.plus(STEP)));
        frame.duration = next.map(|next| next.since(frame.at)).or(frame.duration);
        self.write(0, frame);
    }

    fn begin(&mut self, formats: &[TrackFormat], origin: MediaTime) {
        let mut config = WriterConfig::new(Container::Mp4);
        config.muxer.origin = origin;
        // A new file begins where formats change, never by time.
        config.segment = Some(Duration::MAX);
        config.muxer.fragment = PART;
        // Pictures are written with their sound.
        config.muxer.settle = Duration::ZERO;
        config.playlist = Some(playlist());
        match Writer::new(&self.disk, &self.path, formats, config) {
            Ok(mut writer) => {
                if let Some(stage) = self.stage.take() {
                    writer.show(move |shown| drop(stage.send_replace((!shown.finished).then(|| Arc::new(shown)))));
                }
                self.writer = Some(writer);
            }
            Err(problem) => {
                tracing::warn!(%problem, "a recording cannot be shown live");
                self.over = true;
            }
        }
    }

    fn write(&mut self, track: usize, frame: Frame) {
        let Some(writer) = &mut self.writer else { return };
        // What the disk has no time for is left out.
        let _ = writer.handle_frame(track, frame);
        self.over = writer.is_failed();
    }

    /// Whether this track is to be shown instead of the one that is.
    fn is_better(&self, track: (TrackNumber, bool), now: MediaTime) -> bool {
        let Some(shot) = &self.shown else { return true };
        now.since(shot.last) > STILL || self.rank(track) > self.rank(shot.track)
    }

    /// A screen before a camera, who speaks before who does not.
    fn rank(&self, (track, screen): (TrackNumber, bool)) -> (bool, bool) {
        let owner = self.owners.get(&track);
        (screen, owner.is_some() && owner == self.speaker.as_ref())
    }

    fn ask(&mut self, now: MediaTime, file: &str) -> Option<String> {
        if now.since(self.asked) < REPEAT {
            return None;
        }
        self.asked = now;
        Some(file.to_owned())
    }
}

fn playlist() -> PlaylistConfig {
    PlaylistConfig {
        part: LONGEST_PART,
        blocking: true,
        ..PlaylistConfig::default()
    }
}

/// The track of a file, and whether it is a screen, as its name tells.
fn track_of(file: &str) -> Option<(TrackNumber, bool)> {
    let (number, source) = file.strip_prefix('t')?.split_once('-')?;
    Some((TrackNumber(number.parse().ok()?), source.starts_with("screen")))
}

/// Of the mix.
fn sound_format() -> TrackFormat {
    TrackFormat::Audio(AudioFormat {
        codec: Codec::Opus,
        channels: 1,
        sample_rate: 48_000,
        pre_skip: 0,
    })
}

#[cfg(test)]
mod tests {
    use althing_recorder::file::DiskConfig;

    use super::super::audience::Audience;
    use super::*;

    #[test]
    fn screens_come_before_speakers_before_others() {
        let disk = Arc::new(Disk::start(DiskConfig::default(), |_| ()).expect("a disk"));
        let (_, stage) = Audience::new(Path::new("."), WAIT);
        let mut live = Live::new(disk, Path::new("."), stage);
        assert_eq!(WAIT, 3 * playlist().longest());
        for (track, person) in [(1, 1), (2, 2), (3, 2)] {
            live.own(TrackNumber(track), PersonId(person));
        }
        live.hear(&[PersonId(1)]);
        live.hear(&[]);
        let [ada, ben, screen] =
            ["t01-camera", "t02-camera-2", "t03-screen-share"].map(|file| track_of(file).expect("a track"));
        let now = MediaTime::new(Duration::from_secs(10));
        assert!(live.is_better(ben, now), "better than nothing");
        let shot = |track| {
            Some(Shot {
                track,
                last: now,
                keyframe: now,
            })
        };
        live.shown = shot(ben);
        assert!(live.is_better(ada, now), "who speaks");
        live.shown = shot(ada);
        assert!(!live.is_better(ben, now) && live.is_better(screen, now));
        live.shown = shot(screen);
        assert!(!live.is_better(ada, now));
        assert!(live.is_better(ada, now.plus(2 * STILL)), "what does not move gives way");
        assert_eq!(track_of("mix"), None);
    }
}
