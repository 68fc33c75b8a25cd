//! A recording on a disk: a folder with the log, the media and, in the end, the manifest.
//!
//! ```text
//!  2026-11-27-standup/
//!    events.jsonl         the log: appended to, nothing else; what is signed is synced before media that it allows
//!    t01-microphone.webm  one file for each track, more when its codec changes
//!    t02-camera.webm
//!    manifest.json        made of the log when the recording ends; after a crash, by [`recover`]
//! ```
//!
//! Here is the only code of the machine that touches files. It blocks for as long as the log takes: a few lines of text now
//! and then; media go through the thread of [`crate::file::Disk`]. What lies in a store instead is known by the journal of
//! [`crate::upload`]. Not here: where recordings lie, who may have them; how they get into a store.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use althing_media_core::Codec;
use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;

use super::chain::{Chain, Fault, Log, Signer, hex};
use super::entry::{DeleteReason, DeletedFile, Entry, Erased};
use super::{Manifest, Output, Recording};
use crate::container::Container;
use crate::file::{Disk, Taken, Writer, WriterConfig};
use crate::frame::{Frame, MediaTime, TrackFormat};
use crate::recover;
use crate::upload::{JOURNAL, Journal, Stored};

/// The log's name.
pub const LOG: &str = "events.jsonl";
/// The manifest's name.
pub const MANIFEST: &str = "manifest.json";
/// The largest log that is read, in bytes.
const MAX_LOG: u64 = 1 << 30;
/// What waits for its fragment to fill is given out after so long: nothing came.
const FLUSH: Duration = Duration::from_secs(1);
/// A day, in milliseconds.
const DAY: u64 = 86_400_000;

/// A recording that is being written.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    disk: Arc<Disk>,
    log: File,
    recording: Recording,
    writers: HashMap<String, Writer>,
    /// Files of sound that is heard: their codec.
    sounds: HashMap<String, Codec>,
    /// Files of pictures that are shown: their format.
    pictures: Option<HashMap<String, TrackFormat>>,
    flushed: Option<Instant>,
}

/// What is left to do after [`Folder::drain`].
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Drained {
    /// RTCP packets for the router.
    pub feedback: Vec<Bytes>,
    /// Call [`Folder::handle_timeout`] then.
    pub timeout: Option<Instant>,
    /// The sound that was recorded, for who mixes it ([`Recording::handle_mix`]).
    pub sound: Vec<Heard>,
    /// The pictures that were recorded, where somebody wants to show them ([`Folder::show_pictures`]).
    pub pictures: Vec<Shown>,
}

/// A picture that was recorded.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Shown {
    /// The file that it went into, without extension.
    pub file: String,
    /// Its format.
    pub format: TrackFormat,
    /// The picture.
    pub frame: Frame,
}

/// A packet of sound that was recorded.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Heard {
    /// The file that it went into, without extension: one voice.
    pub file: String,
    /// In which it is coded.
    pub codec: Codec,
    /// The packet.
    pub frame: Frame,
}

impl Folder {
    /// Makes the folder, which must not be there, and the log in it.
    ///
    /// # Errors
    ///
    /// When they cannot be made.
    pub fn create(path: &Path, disk: &Arc<Disk>, recording: Recording) -> io::Result<Self> {
        fs::create_dir(path)?;
        let log = OpenOptions::new().append(true).create_new(true).open(path.join(LOG))?;
        // So that nobody finishes or deletes what is being written.
        log.lock()?;
        let mut folder = Self {
            path: path.to_owned(),
            disk: Arc::clone(disk),
            log,
            recording,
            writers: HashMap::new(),
            sounds: HashMap::new(),
            pictures: None,
            flushed: None,
        };
        folder.drain()?;
        Ok(folder)
    }

    /// The machine, to be told what happens; then [`Self::drain`].
    pub fn recording(&mut self) -> &mut Recording {
        &mut self.recording
    }

    /// Pictures are given out as well from now on, see [`Drained::pictures`]: those of files that begin then.
    pub fn show_pictures(&mut self) {
        self.pictures.get_or_insert_default();
    }

    /// Does what the machine wants done.
    ///
    /// # Errors
    ///
    /// When the log cannot be written: then nothing may be recorded any more. Drop the folder, and later [`recover()`] it.
    /// What is wrong with a media file is written down, and told by the disk.
    pub fn drain(&mut self) -> io::Result<Drained> {
        let mut drained = Drained::default();
        loop {
            match self.recording.poll_output() {
                Output::Log { line, durable } => {
                    self.log.write_all(line.as_bytes())?;
                    if durable {
                        self.log.sync_data()?;
                    }
                }
                Output::Begin {
                    file,
                    container,
                    format,
                    origin,
                } => {
                    if let TrackFormat::Audio(audio) = &format
                        && container != Container::Ogg
                    {
                        self.sounds.insert(file.clone(), audio.codec);
                    }
                    if let (TrackFormat::Video(_), Some(pictures)) = (&format, &mut self.pictures) {
                        pictures.insert(file.clone(), format.clone());
                    }
                    let mut config = WriterConfig::new(container);
                    config.muxer.origin = origin;
                    let path = self.path.join(&file);
                    match Writer::new(&self.disk, &path, &[format], config) {
                        Ok(writer) => drop(self.writers.insert(file, writer)),
                        Err(problem) => self.fail(&file, &problem.to_string()),
                    }
                }
                Output::Frame { file, frame } => {
                    if let Some(codec) = self.sounds.get(&file) {
                        drained.sound.push(Heard {
                            file: file.clone(),
                            codec: *codec,
                            frame: frame.clone(),
                        });
                    }
                    if let Some(format) = self.pictures.as_ref().and_then(|pictures| pictures.get(&file)) {
                        drained.pictures.push(Shown {
                            file: file.clone(),
                            format: format.clone(),
                            frame: frame.clone(),
                        });
                    }
                    let taken = self.writers.get_mut(&file).map(|writer| writer.handle_frame(0, frame));
                    if matches!(taken, Some(Ok(Taken::Failed))) {
                        self.fail(&file, "the disk");
                    }
                }
                Output::Finish { file } => {
                    self.forget(&file);
                    if let Some(writer) = self.writers.remove(&file) {
                        writer.finish();
                    }
                }
                Output::Feedback(packet) => drained.feedback.push(packet),
                Output::Timeout(timeout) => {
                    let flush = self.flushed.map(|at| at + FLUSH);
                    drained.timeout = [timeout, flush].into_iter().flatten().min();
                    return Ok(drained);
                }
            }
        }
    }

    /// Does what is due: timers of the machine, media that wait for more. Call it at least once a second.
    ///
    /// # Errors
    ///
    /// As [`Self::drain`].
    pub fn handle_timeout(&mut self, now: Instant) -> io::Result<Drained> {
        self.recording.handle_timeout(now);
        if self.flushed.is_none_or(|at| now.saturating_duration_since(at) >= FLUSH) {
            self.flushed = Some(now);
            for (file, writer) in &mut self.writers {
                writer.flush();
                if writer.wants_keyframe(MediaTime::ZERO) {
                    self.recording.request_keyframe(file);
                }
            }
        }
        self.drain()
    }

    /// Ends the recording: finishes the files, closes the log, writes the manifest. `missed`: packets that did not fit the
    /// queue in front.
    ///
    /// # Errors
    ///
    /// As [`Self::drain`].
    pub fn finish(mut self, now: Instant, missed: u64) -> io::Result<()> {
        self.recording.stop(now, missed);
        self.drain()?;
        // The manifest says that the files are whole: then they are.
        self.disk.wait();
        self.log.sync_data()?;
        let log = read(&self.path.join(LOG), None)?;
        write_manifest(&self.path, &log, &mut |_| None)
    }

    /// Nobody hears or sees any more of a file.
    fn forget(&mut self, file: &str) {
        self.sounds.remove(file);
        if let Some(pictures) = &mut self.pictures {
            pictures.remove(file);
        }
    }

    fn fail(&mut self, file: &str, problem: &str) {
        self.writers.remove(file);
        self.forget(file);
        self.recording.handle_file_failed(file, problem);
    }
}

/// What became of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// Its manifest is complete now, or was before.
    Complete,
    /// Somebody records into it. It was left as it is.
    InUse,
    /// It has no log.
    Foreign,
    /// Its log was changed behind our back: it is read up to there, and the rest is left as it is.
    Damaged(Fault),
}

/// Finishes what a crash has left: cuts a torn line, closes the media, writes the manifest. Does nothing to a recording that
/// was finished. `key`: see [`Log::read`].
///
/// # Errors
///
/// When a file cannot be read or written.
pub fn recover(path: &Path, key: Option<&str>) -> io::Result<State> {
    let Some(file) = lock(path)? else {
        return Ok(if path.join(LOG).exists() {
            State::InUse
        } else {
            State::Foreign
        });
    };
    let log = read(&path.join(LOG), key)?;
    if let Some(fault) = log.fault
        && fault != Fault::Torn
        && log.lines.is_empty()
    {
        // Of a log that says nothing (it may be another server's) no manifest is made, least of all over a good one.
        return Ok(State::Damaged(fault));
    }
    let deleted = log.lines.iter().any(|line| matches!(line.entry, Entry::Deleted { .. }));
    if is_told(path, &log) && !deleted {
        return Ok(state_of(&log));
    }
    if log.fault == Some(Fault::Torn) {
        file.set_len(log.len as u64)?;
    }
    if deleted {
        // Half of it may be there still.
        remove_media(path)?;
    } else {
        recover::directory(path, &mut |_| ())?;
    }
    write_manifest(path, &log, &mut |name| length(&path.join(name)))?;
    Ok(state_of(&log))
}

/// Deletes the media of a recording, and writes down, signed, what is deleted; the log and the manifest stay. `unix_ms` is the
/// time, in milliseconds since 1970. Does nothing to a recording that somebody records into, or that is none. Media in a store
/// are told too; it is for the caller to erase them there, and then to say so by [`note_erased`].
///
/// # Errors
///
/// When a file cannot be read, written or removed; call it again.
pub fn delete(path: &Path, reason: DeleteReason, signer: Signer, unix_ms: u64) -> io::Result<State> {
    let key = signer.public_key();
    let state = recover(path, Some(&key))?;
    if state != State::Complete {
        return Ok(state);
    }
    let Some(mut file) = lock(path)? else {
        return Ok(State::InUse);
    };
    let log = read(&path.join(LOG), Some(&key))?;
    let mut files = media(path)?
        .iter()
        .map(|file| describe(file))
        .collect::<io::Result<Vec<_>>>()?;
    let told = |name: &str| is_deleted(&log, name) || files.iter().any(|file| file.file == name);
    let away: Vec<DeletedFile> = stored(path)?.into_iter().filter(|file| !told(&file.file)).collect();
    files.extend(away);
    if !files.is_empty() {
        let mut chain = Chain::after(signer, &log);
        let at = log.lines.last().map_or(MediaTime::ZERO, |line| MediaTime(line.at));
        let deleted = Entry::Deleted { unix_ms, reason, files };
        let line = chain.line(at, &deleted).ok_or(io::ErrorKind::FileTooLarge)?;
        file.write_all(line.as_bytes())?;
        file.sync_data()?;
        remove_media(path)?;
        let log = read(&path.join(LOG), Some(&key))?;
        write_manifest(path, &log, &mut |_| None)?;
    }
    Ok(State::Complete)
}

/// Writes down, signed, that these files are no longer in the store at `url`. Does nothing to a recording that somebody records
/// into, or whose log is not whole.
///
/// # Errors
///
/// When the log cannot be read or written.
pub fn note_erased(path: &Path, signer: Signer, erased: Erased) -> io::Result<State> {
    let Some(mut file) = lock(path)? else {
        return Ok(State::InUse);
    };
    let log = read(&path.join(LOG), Some(&signer.public_key()))?;
    match log.fault {
        // What was written of an earlier try.
        Some(Fault::Torn) => file.set_len(log.len as u64)?,
        Some(fault) => return Ok(State::Damaged(fault)),
        None => {}
    }
    let mut chain = Chain::after(signer, &log);
    let at = log.lines.last().map_or(MediaTime::ZERO, |line| MediaTime(line.at));
    let line = chain
        .line(at, &Entry::Erased(erased))
        .ok_or(io::ErrorKind::FileTooLarge)?;
    file.write_all(line.as_bytes())?;
    file.sync_data()?;
    let log = read(&path.join(LOG), None)?;
    write_manifest(path, &log, &mut |_| None)?;
    Ok(State::Complete)
}

/// The files of a recording that were deleted and are not yet known to be gone from a store; `None` when it was not deleted.
///
/// # Errors
///
/// When the log cannot be read.
pub fn to_erase(path: &Path) -> io::Result<Option<BTreeSet<String>>> {
    let log = read(&path.join(LOG), None)?;
    let mut names: Option<BTreeSet<String>> = None;
    for line in log.lines {
        match line.entry {
            Entry::Deleted { files, .. } => {
                let files = files.into_iter().map(|file| file.file);
                names.get_or_insert_default().extend(files);
            }
            Entry::Erased(erased) => {
                if let Some(names) = &mut names {
                    names.retain(|name| !erased.files.contains(name));
                }
            }
            _ => {}
        }
    }
    Ok(names)
}

/// Deletes the media of a recording whose time is over at `unix_ms`; whether it is.
///
/// # Errors
///
/// As [`delete`].
pub fn expire(path: &Path, signer: Signer, unix_ms: u64) -> io::Result<bool> {
    let log = match read(&path.join(LOG), Some(&signer.public_key())) {
        Ok(log) => log,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let manifest = Manifest::of(&log, &mut |_| None);
    let end = manifest.unix_ms.saturating_add(manifest.duration / 1_000_000);
    let kept = manifest.keep_days.map(|days| end.saturating_add(u64::from(days) * DAY));
    if kept.is_none_or(|until| unix_ms < until) {
        return Ok(false);
    }
    Ok(delete(path, DeleteReason::Expired, signer, unix_ms)? == State::Complete)
}

/// The log, if nobody else has it.
fn lock(path: &Path) -> io::Result<Option<File>> {
    let file = match OpenOptions::new().append(true).read(true).open(path.join(LOG)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

fn read(path: &Path, key: Option<&str>) -> io::Result<Log> {
    let file = File::open(path)?;
    // Half of it would look like one that a crash has torn, and be cut.
    if file.metadata()?.len() > MAX_LOG {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut bytes = Vec::new();
    file.take(MAX_LOG).read_to_end(&mut bytes)?;
    Ok(Log::read(&bytes, key))
}

/// The manifest says all that the log says.
fn is_told(path: &Path, log: &Log) -> bool {
    let manifest = fs::read(path.join(MANIFEST)).ok();
    let manifest = manifest.and_then(|bytes| serde_json::from_slice::<Manifest>(&bytes).ok());
    let last = log.lines.last().map(|line| line.hash.as_str());
    log.fault.is_none() && manifest.is_some_and(|manifest| Some(manifest.log.hash.as_str()) == last)
}

fn state_of(log: &Log) -> State {
    match log.fault {
        Some(fault) if fault != Fault::Torn => State::Damaged(fault),
        _ => State::Complete,
    }
}

fn is_deleted(log: &Log, name: &str) -> bool {
    log.lines.iter().any(|line| match &line.entry {
        Entry::Deleted { files, .. } => files.iter().any(|file| file.file == name),
        _ => false,
    })
}

/// The media that a store has whole, as its journal says.
fn stored(path: &Path) -> io::Result<Vec<DeletedFile>> {
    let journal = match fs::read(path.join(JOURNAL)) {
        Ok(bytes) => Journal::read(&bytes)?.0,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let media = journal.files().filter(|(name, _)| holds_media(Path::new(name)));
    let whole = media.filter_map(|(name, sent)| Some((name, sent.stored.as_ref()?)));
    let file = |(name, stored): (&str, &Stored)| DeletedFile::new(name.to_owned(), stored.bytes, stored.sha256.clone());
    Ok(whole.map(file).collect())
}

fn write_manifest(path: &Path, log: &Log, length_of: &mut dyn FnMut(&str) -> Option<MediaTime>) -> io::Result<()> {
    let json = serde_json::to_vec_pretty(&Manifest::of(log, length_of))?;
    recover::replace(&path.join(MANIFEST), &json)
}

/// How long a file of media is.
fn length(path: &Path) -> Option<MediaTime> {
    let file = File::open(path).ok()?;
    let len = file.metadata().ok()?.len();
    let plan = recover::plan(Container::of(path)?, &mut Whole { file, len }).ok()??;
    Some(plan.end).filter(|_| plan.has_media)
}

struct Whole {
    file: File,
    len: u64,
}

impl recover::Source for Whole {
    fn size(&self) -> u64 {
        self.len
    }

    fn read_at(&mut self, at: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(buf, at)
    }
}

/// What holds what was said or shown: media, and captions that somebody has put beside them.
#[must_use]
pub fn holds_media(file: &Path) -> bool {
    Container::of(file).is_some() || file.extension().is_some_and(|end| end == "vtt")
}

/// The media of a recording, by name.
fn media(path: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(path)?.collect::<io::Result<Vec<_>>>()?;
    let files = entries.iter().map(fs::DirEntry::path);
    let mut media: Vec<_> = files.filter(|file| holds_media(file)).collect();
    media.sort();
    Ok(media)
}

fn remove_media(path: &Path) -> io::Result<()> {
    media(path)?.iter().try_for_each(fs::remove_file)
}

fn describe(path: &Path) -> io::Result<DeletedFile> {
    let mut file = File::open(path)?;
    let (mut hash, mut bytes) = (Context::new(&SHA256), 0);
    let mut piece = vec![0; 64 * 1024];
    loop {
        match file.read(&mut piece)? {
            0 => break,
            len => {
                hash.update(&piece[..len]);
                bytes += len as u64;
            }
        }
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(DeletedFile::new(name, bytes, hex(hash.finish().as_ref())))
}
