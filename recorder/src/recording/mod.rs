//! The recording of a room: who is in it, what they agree to, which frames go into which file, and the log of it all.
//!
//! ```text
//!  people, tracks, answers ─► Consent ─┐
//!  packets of a local peer ─► Input ───┴─► Recording ─► poll_output: lines for the log, files, frames, wishes (RTCP)
//!  speakers, chat, chapters ───────────────┘
//! ```
//!
//! Sans-I/O. Each track of each person who agrees has files of its own; a new one begins when the codec changes, or what an
//! MP4 says of it once and for all. The log ([`Chain`]) holds all else, and the [`Manifest`] is made of it, at the end or
//! after a crash.
//!
//! | file | one idea |
//! |---|---|
//! | this | the machine |
//! | `config`, `output` | what it is told, what it wants done |
//! | `track` | one track and its files |
//! | `mixed` | the file of all sound together |
//! | `shares` | how much one person takes of what there is for all |
//! | [`entry`] | what the log can say |
//! | [`chain`] | how it says it so that nobody can change it |
//! | [`manifest`] | what a player wants to know, made of the log |
//! | `folder` (feature `file`) | a recording on a disk: written, finished after a crash, deleted |

pub mod chain;
mod config;
pub mod entry;
#[cfg(feature = "file")]
pub mod folder;
pub mod manifest;
mod mixed;
mod output;
mod shares;
#[cfg(test)]
mod tests;
mod track;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use althing_media_core::packet::Kind as PacketKind;
use althing_media_core::payload::MediaKind;
use althing_media_core::rtcp::{self, Message};
use althing_media_core::{Packet, Ssrc};
use bytes::Bytes;

pub use self::chain::{Chain, Log, Signer};
pub use self::config::{Person, RecordingConfig, TrackInfo};
pub use self::entry::{Entry, PersonId, TrackNumber};
pub use self::manifest::Manifest;
use self::mixed::Mixed;
pub use self::output::Output;
use self::shares::Shares;
pub use self::track::MAX_FILES;
use self::track::{File, Track, codec_name};
use crate::consent::{self, Consent, State};
use crate::frame::{Frame, MediaTime, TrackFormat};
use crate::input::{self, Break, BreakCause, Input};
use crate::timeline::SenderWall;

/// Tracks of one recording, over its whole time.
pub const MAX_TRACKS: u32 = 10_000;
/// Tracks of one person, known by the identity, over all stays; further ones are not recorded.
pub const MAX_TRACKS_EACH: u32 = 500;
/// Stays of one person; who comes more often is not asked any more, and not recorded.
pub const MAX_STAYS: u32 = 200;
/// Messages of one person that are kept, over all stays.
pub const MAX_MESSAGES_EACH: u32 = 2_000;
/// Bytes of the messages of one person that are kept, as JSON.
pub const MAX_CHAT_EACH: u64 = 1 << 20;
/// Bytes of the messages of all that are kept, as JSON: manifest and log stay small enough to be read.
pub const MAX_CHAT: u64 = 16 << 20;
/// Lines of the log about one track; what changes more often is not told any further.
const MAX_TRACK_LINES: u32 = 5_000;
/// Lines of the log in all. Consent, files and the end are told beyond it.
const MAX_LINES: u64 = 1_000_000;
/// The longest text of a person or about one that is kept, in bytes.
const MAX_TEXT: usize = 16 * 1024;
/// The longest name that is kept, in bytes.
const MAX_NAME: usize = 256;
/// How long a track rests after its file could not be written: a full disk is not tried with each packet.
const REST: Duration = Duration::from_secs(10);
/// Where a file should end a keyframe is asked for so often.
const REPEAT_WISH: Duration = Duration::from_secs(1);
/// Under which SSRC keyframes are asked for: a receiver has none of its own.
const OUR_SSRC: Ssrc = Ssrc(1);

/// A recording.
#[derive(Debug)]
pub struct Recording {
    chain: Chain,
    created: Instant,
    /// The latest moment that was told.
    now: Instant,
    created_ms: u64,
    started: Option<Instant>,
    consent: Consent,
    walls: BTreeMap<PersonId, SenderWall>,
    /// When they did so last.
    agreed: HashMap<PersonId, Instant>,
    people: u32,
    shares: Shares,
    tracks: BTreeMap<TrackNumber, Track>,
    numbers: u32,
    by_ssrc: HashMap<Ssrc, TrackNumber>,
    speakers: Vec<PersonId>,
    mixed: Mixed,
    segment: Option<Duration>,
    outputs: VecDeque<Output>,
    lines: u64,
    closed: bool,
}

impl Recording {
    /// Somebody wants a recording: those who are there are asked.
    #[must_use]
    pub fn new(now: Instant, config: RecordingConfig) -> Self {
        let people = u32::try_from(config.people.len().min(consent::MAX_PEOPLE)).unwrap_or(0);
        let by = config.by.and_then(|by| u32::try_from(by + 1).ok()).map(PersonId);
        let mut recording = Self {
            chain: Chain::new(config.signer),
            created: now,
            now,
            created_ms: config.unix_ms,
            started: None,
            consent: Consent::ask(now, by, (1..=people).map(PersonId)),
            walls: BTreeMap::new(),
            agreed: HashMap::new(),
            people,
            shares: Shares::default(),
            tracks: BTreeMap::new(),
            numbers: 0,
            by_ssrc: HashMap::new(),
            speakers: Vec::new(),
            mixed: Mixed::default(),
            segment: config.segment,
            outputs: VecDeque::new(),
            lines: 0,
            closed: false,
        };
        let opened = Entry::Opened {
            version: entry::VERSION,
            recording: cut(&config.name, MAX_NAME),
            room: cut(&config.room, MAX_NAME),
            unix_ms: config.unix_ms,
            key: recording.chain.public_key(),
            keep_days: config.keep_days,
        };
        recording.log(now, &opened);
        for (n, person) in (1..=people).zip(&config.people) {
            recording.log(now, &joined(PersonId(n), person));
            recording.shares.enter(PersonId(n), &person.identity);
        }
        recording.settle(now);
        recording
    }

    /// How far it has come.
    #[must_use]
    pub fn state(&self) -> State {
        self.consent.state()
    }

    /// Whether what this person sends is recorded.
    #[must_use]
    pub fn records(&self, person: PersonId) -> bool {
        self.consent.allows(person)
    }

    /// Somebody comes and is asked; `None` after [`consent::MAX_PEOPLE`], or [`MAX_STAYS`] of the same identity.
    pub fn handle_join(&mut self, now: Instant, person: &Person) -> Option<PersonId> {
        if self.people as usize >= consent::MAX_PEOPLE || self.closed {
            return None;
        }
        let id = PersonId(self.people + 1);
        if !self.shares.enter(id, &person.identity) {
            return None;
        }
        self.people += 1;
        self.log(now, &joined(id, person));
        self.consent.join(now, id);
        self.settle(now);
        Some(id)
    }

    /// Somebody goes, with all tracks.
    pub fn handle_leave(&mut self, now: Instant, person: PersonId) {
        let of = |track: &(&TrackNumber, &Track)| track.1.info.person == person;
        let tracks: Vec<_> = self.tracks.iter().filter(of).map(|(number, _)| *number).collect();
        tracks
            .into_iter()
            .for_each(|track| self.handle_track_removed(now, track));
        self.log(now, &Entry::PersonLeft { person });
        self.consent.leave(person);
        self.shares.leave(person);
        self.walls.remove(&person);
        self.agreed.remove(&person);
        self.settle(now);
    }

    /// Somebody agrees or declines.
    pub fn handle_answer(&mut self, now: Instant, person: PersonId, agrees: bool) {
        self.consent.answer(person, agrees);
        self.settle(now);
    }

    /// A track is there; `None` after [`MAX_TRACKS`], or [`MAX_TRACKS_EACH`] of the same person.
    pub fn handle_track_added(&mut self, now: Instant, info: TrackInfo) -> Option<TrackNumber> {
        if self.numbers >= MAX_TRACKS || self.closed || !self.shares.take_track(info.person) {
            return None;
        }
        self.numbers += 1;
        let number = TrackNumber(self.numbers);
        let kind = match info.kind {
            MediaKind::Audio => entry::Kind::Audio,
            _ => entry::Kind::Video,
        };
        let (person, ssrc) = (info.person, info.ssrc);
        let track = Track::new(info);
        let added = Entry::TrackAdded {
            track: number,
            person,
            kind,
            source: track.source.clone(),
        };
        self.log(now, &added);
        self.by_ssrc.insert(ssrc, number);
        self.tracks.insert(number, track);
        Some(number)
    }

    /// A track is gone. Harmless when it was not there.
    pub fn handle_track_removed(&mut self, now: Instant, number: TrackNumber) {
        self.finish_input(now, number);
        self.finish_file(now, number);
        if let Some(track) = self.tracks.remove(&number) {
            self.by_ssrc
                .retain(|ssrc, of| *of != number || *ssrc != track.info.ssrc);
            self.log(now, &Entry::TrackRemoved { track: number });
        }
    }

    /// A track is muted, or heard again.
    pub fn handle_track_muted(&mut self, now: Instant, track: TrackNumber, muted: bool) {
        self.note(now, track, &Entry::TrackMuted { track, muted });
    }

    /// Takes an RTP or RTCP packet that came at `now`. What is nobody's, or of somebody who did not agree, is dropped.
    pub fn handle_packet(&mut self, now: Instant, packet: &Bytes) {
        self.now = now;
        match PacketKind::of(packet) {
            Some(PacketKind::Rtp) => self.handle_rtp(now, packet),
            Some(PacketKind::Rtcp) => self.handle_rtcp(now, packet),
            _ => {}
        }
    }

    /// Who speaks now, the loudest first.
    pub fn handle_speakers(&mut self, now: Instant, people: &[PersonId]) {
        let people: Vec<_> = people.iter().copied().filter(|person| self.records(*person)).collect();
        if people != self.speakers && self.lines < MAX_LINES {
            self.speakers.clone_from(&people);
            self.log(now, &Entry::Speakers { people });
        }
    }

    /// A message to all that came at `now`; kept when its author had agreed by then, up to [`MAX_MESSAGES_EACH`], [`MAX_CHAT_EACH`] and [`MAX_CHAT`].
    pub fn handle_chat(&mut self, now: Instant, person: PersonId, text: &str) {
        if self.recorded_at(now, person) && self.lines < MAX_LINES {
            let text = cut(text, MAX_TEXT);
            if self.shares.take_message(person, &text) {
                self.log(now, &Entry::Chat { person, text });
            }
        }
    }

    /// Somebody marks the place.
    pub fn handle_chapter(&mut self, now: Instant, title: &str) {
        if self.state() == State::Running && self.lines < MAX_LINES {
            let title = cut(title, MAX_NAME);
            self.log(now, &Entry::Chapter { title });
        }
    }

    /// Pictures of a file were left out, because the disk is behind: asks for a keyframe, after which it can go on.
    pub fn request_keyframe(&mut self, file: &str) {
        let of = |track: &&Track| track.file.as_ref().is_some_and(|open| open.name == file);
        if let Some(ssrc) = self.tracks.values().find(of).map(|track| track.info.ssrc) {
            self.outputs.push_back(wish(ssrc));
        }
    }

    /// A file that was begun cannot be written any more: after ten seconds the track goes on in another one.
    pub fn handle_file_failed(&mut self, file: &str, problem: &str) {
        let of = |track: &Track| track.file.as_ref().is_some_and(|open| open.name == file);
        let found = self.tracks.values_mut().find(|track| of(track));
        let open = match found {
            Some(track) => {
                track.input = None;
                track.rests_until = Some(self.now + REST);
                track.file.take()
            }
            None => self.mixed.fail(file, self.now + REST),
        };
        let Some(open) = open else { return };
        let failed = Entry::FileFailed {
            file: open.file_name(),
            problem: cut(problem, MAX_NAME),
        };
        self.log(self.now, &failed);
    }

    /// A packet of Opus with all the sound that was recorded, mixed: it goes into a file of its own. The caller mixes what
    /// comes out as frames, so that nobody is in it who did not agree; times rise.
    pub fn handle_mix(&mut self, now: Instant, frame: Frame) {
        self.now = now;
        if self.closed || self.started.is_none() {
            return;
        }
        let over = self.segment.and_then(|segment| self.mixed.turn_over(&frame, segment));
        self.end_file(now, over);
        if let Some(file) = self.mixed.begin(now, &frame) {
            let begun = Entry::FileBegun {
                file: file.file_name(),
                track: None,
                from: frame.at.0,
            };
            let begin = Output::Begin {
                file: file.name.clone(),
                container: file.container,
                format: file.format.clone(),
                origin: frame.at,
            };
            self.log(now, &begun);
            self.outputs.push_back(begin);
        }
        if let Some(file) = self.mixed.file_for(&frame) {
            self.outputs.push_back(Output::Frame { file, frame });
        }
    }

    /// The time of the recording; `None` before its beginning.
    #[must_use]
    pub fn time(&self, now: Instant) -> Option<MediaTime> {
        let started = self.started?;
        Some(MediaTime::new(now.saturating_duration_since(started)))
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        self.consent.handle_timeout(now);
        self.settle(now);
        let numbers: Vec<_> = self.tracks.keys().copied().collect();
        for number in numbers {
            if let Some((track, wall)) = self.track(number) {
                let Some(input) = &mut track.input else { continue };
                input.handle_timeout(now, wall);
                self.pump(now, number);
            }
        }
    }

    /// Ends it: files are finished, the log is closed. `missed`: packets that the queue in front was too full for. Harmless
    /// when it has ended.
    pub fn stop(&mut self, now: Instant, missed: u64) {
        if self.closed {
            return;
        }
        let numbers: Vec<_> = self.tracks.keys().copied().collect();
        numbers.into_iter().for_each(|number| self.finish_input(now, number));
        self.consent.stop();
        self.settle(now);
        let mixed = self.mixed.finish();
        self.end_file(now, mixed);
        self.closed = true;
        self.log(now, &Entry::Closed { missed });
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Output {
        self.outputs.pop_front().unwrap_or_else(|| {
            let inputs = self.tracks.values().filter_map(|track| track.input.as_ref());
            let timeouts = inputs.filter_map(Input::next_timeout);
            Output::Timeout(timeouts.chain(self.consent.next_timeout()).min())
        })
    }

    /// Whether what this person sent then is recorded. What waited in a queue when somebody agreed was said before.
    fn recorded_at(&self, at: Instant, person: PersonId) -> bool {
        let after = |since: Option<&Instant>| since.is_some_and(|since| at >= *since);
        self.records(person) && after(self.started.as_ref()) && after(self.agreed.get(&person))
    }

    fn handle_rtp(&mut self, now: Instant, packet: &Bytes) {
        let Ok(packet) = Packet::parse(packet.clone()) else {
            return;
        };
        let (ssrc, pt) = (packet.view().ssrc(), packet.view().pt());
        let Some(&number) = self.by_ssrc.get(&ssrc) else { return };
        let owner = self.tracks.get(&number).map(|track| track.info.person);
        let recorded = owner.is_some_and(|owner| self.recorded_at(now, owner));
        let Some((track, wall)) = self.track(number) else {
            return;
        };
        let codec = track.info.codecs.iter().find(|params| params.pt == pt);
        let (Some(input), Some(params)) = (&mut track.input, codec) else {
            return;
        };
        if !recorded {
            return;
        }
        input.handle_packet(now, wall, params.codec, packet);
        self.pump(now, number);
    }

    fn handle_rtcp(&mut self, now: Instant, packet: &[u8]) {
        for message in rtcp::messages(packet).map_while(Result::ok) {
            if let Message::SenderReport(report) = message
                && let Some(&number) = self.by_ssrc.get(&report.ssrc)
                && let Some((track, wall)) = self.track(number)
                && let Some(input) = &mut track.input
            {
                input.handle_report(now, wall, report.ntp, report.rtp);
            }
        }
    }

    /// A track of somebody who agreed, with its input, and the clock of the person.
    fn track(&mut self, number: TrackNumber) -> Option<(&mut Track, &mut SenderWall)> {
        let started = self.started?;
        let track = self.tracks.get_mut(&number)?;
        let person = track.info.person;
        let rests = track.rests_until.is_some_and(|until| self.now < until);
        if rests || !self.consent.allows(person) || track.files > MAX_FILES {
            return None;
        }
        let wall = self.walls.entry(person).or_insert_with(|| SenderWall::new(started));
        if track.input.is_none() {
            track.input = Some(Input::new(track.info.kind, &track.info.extensions));
        }
        Some((track, wall))
    }

    /// What a track's input still waits with is recorded.
    fn finish_input(&mut self, now: Instant, number: TrackNumber) {
        if let Some((track, wall)) = self.track(number)
            && let Some(input) = &mut track.input
        {
            input.finish(now, wall);
            self.pump(now, number);
        }
    }

    /// Takes what a track's input has.
    fn pump(&mut self, now: Instant, number: TrackNumber) {
        loop {
            let Some(track) = self.tracks.get_mut(&number) else {
                return;
            };
            let Some(input) = &mut track.input else { return };
            match input.poll_output() {
                input::Output::Format(format) => self.on_format(now, number, format),
                input::Output::Break(gap) => self.on_break(now, number, gap),
                input::Output::Frame(frame) => self.on_frame(now, number, frame),
                input::Output::WantKeyframe => {
                    let ssrc = track.info.ssrc;
                    self.outputs.push_back(wish(ssrc));
                }
                input::Output::Timeout(_) => return,
            }
        }
    }

    fn on_format(&mut self, now: Instant, number: TrackNumber, format: TrackFormat) {
        let Some(track) = self.tracks.get_mut(&number) else {
            return;
        };
        let (width, height) = match &format {
            TrackFormat::Video(video) => (Some(video.width), Some(video.height)),
            TrackFormat::Audio(_) => (None, None),
        };
        let told = Entry::Format {
            track: number,
            codec: codec_name(format.codec()).to_owned(),
            width,
            height,
        };
        if !track.set_format(format) {
            self.finish_file(now, number);
        }
        self.note(now, number, &told);
    }

    fn on_break(&mut self, now: Instant, number: TrackNumber, gap: Break) {
        let told = Entry::Break {
            track: number,
            from: gap.from.0,
            until: gap.until.0,
            lost: gap.cause == BreakCause::Loss,
        };
        self.note(now, number, &told);
    }

    fn on_frame(&mut self, now: Instant, number: TrackNumber, frame: Frame) {
        self.turn_over(now, number, &frame);
        self.begin_file(now, number, &frame);
        let Some(file) = self.tracks.get_mut(&number).and_then(|track| track.file.as_mut()) else {
            return;
        };
        file.until = frame.at.plus(frame.duration.unwrap_or_default());
        let file = file.name.clone();
        self.outputs.push_back(Output::Frame { file, frame });
    }

    /// Ends a file that is long enough, where another one can begin.
    fn turn_over(&mut self, now: Instant, number: TrackNumber, frame: &Frame) {
        let (Some(segment), Some(track)) = (self.segment, self.tracks.get_mut(&number)) else {
            return;
        };
        let Some(file) = track.file.as_mut().filter(|file| frame.at.since(file.from) >= segment) else {
            return;
        };
        if frame.keyframe {
            self.finish_file(now, number);
        } else if frame.at.since(file.wished) >= REPEAT_WISH {
            file.wished = frame.at;
            let ssrc = track.info.ssrc;
            self.outputs.push_back(wish(ssrc));
        }
    }

    fn begin_file(&mut self, now: Instant, number: TrackNumber, frame: &Frame) {
        let track = self.tracks.get_mut(&number);
        let Some(file) = track.and_then(|track| track.begin_file(number, frame)) else {
            return;
        };
        let begin = Output::Begin {
            file: file.name.clone(),
            container: file.container,
            format: file.format.clone(),
            origin: frame.at,
        };
        let begun = Entry::FileBegun {
            file: file.file_name(),
            track: Some(number),
            from: frame.at.0,
        };
        self.log(now, &begun);
        self.outputs.push_back(begin);
    }

    fn finish_file(&mut self, now: Instant, number: TrackNumber) {
        let file = self.tracks.get_mut(&number).and_then(|track| track.file.take());
        self.end_file(now, file);
    }

    fn end_file(&mut self, now: Instant, file: Option<File>) {
        let Some(file) = file else { return };
        let ended = Entry::FileEnded {
            file: file.file_name(),
            until: file.until.0,
        };
        self.outputs.push_back(Output::Finish { file: file.name });
        self.log(now, &ended);
    }

    /// Writes down what has become of consent, and acts accordingly.
    fn settle(&mut self, now: Instant) {
        while let Some(event) = self.consent.poll_event() {
            let began = event == consent::Event::Began;
            if let consent::Event::Agreed { person, .. } = event {
                self.agreed.insert(person, now);
            }
            self.log(now, &Entry::Consent(event));
            if began {
                self.started = Some(now);
                let since = now.saturating_duration_since(self.created).as_millis();
                let unix_ms = self.created_ms + u64::try_from(since).unwrap_or(0);
                self.log(now, &Entry::Started { unix_ms });
            }
        }
        let gone =
            |track: &(&TrackNumber, &Track)| track.1.input.is_some() && !self.consent.allows(track.1.info.person);
        let gone: Vec<_> = self.tracks.iter().filter(gone).map(|(number, _)| *number).collect();
        for number in gone {
            self.finish_file(now, number);
            if let Some(track) = self.tracks.get_mut(&number) {
                (track.input, track.format) = (None, None);
            }
        }
        // Nor is it said any further that they speak.
        let people = self.speakers.clone();
        self.handle_speakers(now, &people);
    }

    /// As [`Self::log`], within what may be said of one track.
    fn note(&mut self, now: Instant, number: TrackNumber, entry: &Entry) {
        let Some(track) = self.tracks.get_mut(&number) else {
            return;
        };
        if track.lines < MAX_TRACK_LINES && self.lines < MAX_LINES {
            track.lines += 1;
            self.log(now, entry);
        }
    }

    fn log(&mut self, now: Instant, entry: &Entry) {
        let at = self.time(now).unwrap_or_default();
        if let Some(line) = self.chain.line(at, entry) {
            self.lines += 1;
            let durable = entry.is_signed();
            self.outputs.push_back(Output::Log { line, durable });
        }
    }
}

/// Asks for a keyframe (RFC 4585 §6.3.1).
fn wish(ssrc: Ssrc) -> Output {
    let mut pli = [0; 12];
    let len = rtcp::pli::write(&mut pli, OUR_SSRC, ssrc).unwrap_or(0);
    Output::Feedback(Bytes::copy_from_slice(&pli[..len]))
}

fn joined(id: PersonId, person: &Person) -> Entry {
    Entry::PersonJoined {
        person: id,
        identity: cut(&person.identity, MAX_NAME),
        name: cut(&person.name, MAX_NAME),
    }
}

/// The beginning of a text, at most `most` bytes.
fn cut(text: &str, most: usize) -> String {
    text[..text.floor_char_boundary(most)].to_owned()
}
