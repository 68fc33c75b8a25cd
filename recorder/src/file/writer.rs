//! One recording on a disk: a muxer and its files, one after another when it is long.
//!
//! A new file begins at a picture that can be decoded alone. Frames that come late still go into the file before it.
//! When the disk cannot keep up, frames are left out before the muxer sees them, so that the file stays a good one with a
//! gap in it.
//!
//! Not here: the manifest; what is recorded, and when.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::disk::{Disk, DiskFile};
use crate::container::hls::{Playlist, PlaylistConfig, Snapshot};
use crate::container::{Container, FormatError, FrameError, Muxer, MuxerConfig, Output};
use crate::frame::{Frame, MediaTime, TrackFormat};

/// How long a file is kept open for frames that come late, after the next one was begun.
const LATE: Duration = Duration::from_millis(300);

/// How a recording is written.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "made by callers")]
pub struct WriterConfig {
    /// The kind of its files.
    pub container: Container,
    /// How they are made. `origin` is that of the first; each further one begins with its first frame.
    pub muxer: MuxerConfig,
    /// A new file is begun after so long; at the next keyframe, if there are pictures.
    pub segment: Option<Duration>,
    /// A playlist beside the files, for MP4.
    pub playlist: Option<PlaylistConfig>,
}

impl WriterConfig {
    /// One file of this kind, whatever its length.
    #[must_use]
    pub fn new(container: Container) -> Self {
        Self {
            container,
            muxer: MuxerConfig::default(),
            segment: None,
            playlist: None,
        }
    }
}

/// What has become of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Taken {
    /// It will be in the file.
    Written,
    /// The disk is behind, or a picture before it was left out: it is left out too.
    Dropped,
    /// The file has failed; an event has said why.
    Failed,
}

/// Writes one recording. Never blocks.
#[derive(Debug)]
pub struct Writer {
    disk: Arc<Disk>,
    config: WriterConfig,
    base: PathBuf,
    tracks: Vec<Track>,
    formats: Vec<TrackFormat>,
    current: Part,
    previous: Option<Part>,
    parts: u32,
    playlist: Option<(Playlist, PathBuf)>,
    audience: Option<Audience>,
    dropped: u64,
}

/// Who is told of each playlist that is in its place.
#[derive(Clone)]
struct Audience(Arc<dyn Fn(Snapshot) + Send + Sync>);

impl fmt::Debug for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Audience")
    }
}

#[derive(Debug, Clone, Copy)]
struct Track {
    video: bool,
    /// A frame was left out: nothing is good before the next keyframe.
    broken: bool,
}

impl Track {
    fn new(format: &TrackFormat) -> Self {
        Self {
            video: matches!(format, TrackFormat::Video(_)),
            broken: false,
        }
    }
}

/// One file.
#[derive(Debug)]
struct Part {
    muxer: Muxer,
    file: DiskFile,
    origin: MediaTime,
}

impl Part {
    fn new(
        disk: &Disk,
        path: &Path,
        origin: MediaTime,
        tracks: &[TrackFormat],
        config: &WriterConfig,
    ) -> Result<Self, FormatError> {
        let muxer_config = MuxerConfig { origin, ..config.muxer };
        let muxer = Muxer::new(config.container, tracks, &muxer_config)?;
        Ok(Self {
            muxer,
            file: disk.create(path, config.container),
            origin,
        })
    }

    /// Gives the disk what the muxer has made, and tells the playlist; true when it is longer now.
    fn drain(&mut self, mut playlist: Option<&mut Playlist>) -> bool {
        let mut longer = false;
        while let Some(output) = self.muxer.poll_output() {
            if let (Output::Append(fragment), Some(playlist)) = (&output, playlist.as_deref_mut()) {
                playlist.handle_fragment(fragment);
                longer = true;
            }
            self.file.write(output);
        }
        longer
    }
}

impl Writer {
    /// Begins a recording. `base` is the name of its file without extension; with `segment`, `-001` and so on is added.
    ///
    /// # Errors
    ///
    /// When the container cannot hold these tracks.
    pub fn new(
        disk: &Arc<Disk>,
        base: &Path,
        tracks: &[TrackFormat],
        config: WriterConfig,
    ) -> Result<Self, FormatError> {
        let path = part_path(base, 1, &config);
        let current = Part::new(disk, &path, config.muxer.origin, tracks, &config)?;
        let playlist = config
            .playlist
            .filter(|_| config.container == Container::Mp4)
            .map(|playlist| {
                let mut playlist = Playlist::new(playlist);
                playlist.begin(&name(&path));
                (playlist, path_with(base, ".m3u8"))
            });
        let mut writer = Self {
            disk: Arc::clone(disk),
            config,
            base: base.to_owned(),
            tracks: tracks.iter().map(Track::new).collect(),
            formats: tracks.to_vec(),
            current,
            previous: None,
            parts: 1,
            playlist,
            audience: None,
            dropped: 0,
        };
        writer.drain();
        Ok(writer)
    }

    /// From now on `tell` is called with each playlist, as soon as it and all that it names can be read. On the disk's thread,
    /// for which it must not be slow; not with one that cannot be written. It is dropped with the last of what is written.
    pub fn show(&mut self, tell: impl Fn(Snapshot) + Send + Sync + 'static) {
        self.audience = Some(Audience(Arc::new(tell)));
    }

    /// Takes a frame of a track.
    ///
    /// # Errors
    ///
    /// When there is no such track or the frame has no bytes or too many.
    pub fn handle_frame(&mut self, track: usize, frame: Frame) -> Result<Taken, FrameError> {
        let Some(state) = self.tracks.get_mut(track) else {
            return Err(FrameError::Track);
        };
        if self.current.file.is_failed() {
            return Ok(Taken::Failed);
        }
        let room = self.disk.has_room();
        if !room || state.broken && !frame.keyframe {
            state.broken = true;
            self.dropped += 1;
            return Ok(Taken::Dropped);
        }
        state.broken = false;
        let (video, keyframe, at) = (state.video, frame.keyframe, frame.at);
        if self.is_due(at) && (video && keyframe || self.tracks.iter().all(|track| !track.video)) {
            self.next(at);
        }
        if let Some(previous) = &mut self.previous {
            if at < self.current.origin {
                previous.muxer.handle_frame(track, frame)?;
                return Ok(Taken::Written);
            }
            if at.since(self.current.origin) > LATE {
                self.end_previous();
            }
        }
        self.current.muxer.handle_frame(track, frame)?;
        self.drain();
        Ok(Taken::Written)
    }

    /// A keyframe would be welcome: pictures were left out, or a new file is due at `now`.
    #[must_use]
    pub fn wants_keyframe(&self, now: MediaTime) -> bool {
        self.tracks.iter().any(|track| track.video && track.broken) || self.is_due(now)
    }

    /// How many frames were left out because the disk was behind.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Nothing is written any more.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.current.file.is_failed()
    }

    /// Gives the disk what waits for its fragment to fill, for when no frame has come in a while.
    pub fn flush(&mut self) {
        self.current.muxer.flush();
        self.drain();
    }

    /// Finishes the recording; that its files are finished is told as events.
    pub fn finish(mut self) {
        self.end_previous();
        self.current.muxer.finish();
        self.drain();
        if let Some((mut playlist, path)) = self.playlist.take() {
            playlist.finish();
            self.publish(&playlist, &path);
        }
        self.current.file.finish();
    }

    fn is_due(&self, now: MediaTime) -> bool {
        self.config
            .segment
            .is_some_and(|segment| now.since(self.current.origin) >= segment)
    }

    /// Goes on with other tracks, or the same in other formats, in a new file from `at` on. Its name is numbered where
    /// [`WriterConfig::segment`] says that there are several.
    ///
    /// # Errors
    ///
    /// As [`Self::new`]; then it goes on as before.
    pub fn restart(&mut self, tracks: &[TrackFormat], at: MediaTime) -> Result<(), FormatError> {
        // It tells whether there can be such a file.
        Muxer::new(self.config.container, tracks, &self.config.muxer)?;
        self.formats = tracks.to_vec();
        self.tracks = tracks.iter().map(Track::new).collect();
        self.next(at);
        Ok(())
    }

    /// Begins the next file.
    fn next(&mut self, at: MediaTime) {
        self.end_previous();
        let path = part_path(&self.base, self.parts + 1, &self.config);
        // The same tracks were good for the file before.
        let Ok(part) = Part::new(&self.disk, &path, at, &self.formats, &self.config) else {
            return;
        };
        self.parts += 1;
        self.previous = Some(std::mem::replace(&mut self.current, part));
        if self.playlist.is_some() {
            // A playlist tells one file after another: what comes late is left to the new one.
            self.end_previous();
        }
        if let Some((playlist, _)) = &mut self.playlist {
            playlist.begin(&name(&path));
        }
        self.drain();
    }

    fn end_previous(&mut self) {
        if let Some(mut previous) = self.previous.take() {
            previous.muxer.finish();
            previous.drain(self.playlist.as_mut().map(|(playlist, _)| playlist));
            previous.file.finish();
        }
    }

    fn drain(&mut self) {
        let playlist = self.playlist.as_mut().map(|(playlist, _)| playlist);
        if self.current.drain(playlist)
            && let Some((playlist, path)) = &self.playlist
        {
            self.publish(playlist, path);
        }
    }

    fn publish(&self, playlist: &Playlist, path: &Path) {
        let snapshot = playlist.snapshot();
        let text = snapshot.text.clone();
        let audience = self.audience.clone();
        let then = move || {
            if let Some(Audience(tell)) = audience {
                tell(snapshot);
            }
        };
        self.disk.replace_then(path, text, Box::new(then));
    }
}

/// Not by [`Path::with_extension`], which takes a dot in a name for an extension.
fn path_with(base: &Path, ending: &str) -> PathBuf {
    let mut path = base.as_os_str().to_owned();
    path.push(ending);
    path.into()
}

fn part_path(base: &Path, number: u32, config: &WriterConfig) -> PathBuf {
    let extension = config.container.extension();
    match config.segment {
        Some(_) => path_with(base, &format!("-{number:03}.{extension}")),
        None => path_with(base, &format!(".{extension}")),
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
