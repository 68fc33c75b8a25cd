//! One track of a recording: its input, and the files that its frames go into, one after another.

use std::time::Instant;

use althing_media_core::Codec;

use super::config::TrackInfo;
use super::entry::TrackNumber;
use crate::container::Container;
use crate::frame::{Frame, MediaTime, TrackFormat};
use crate::input::Input;

/// Files of one track: a sender that changes codecs more often is not recorded any further.
pub const MAX_FILES: u32 = 200;

/// One track.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) info: TrackInfo,
    pub(super) source: String,
    /// Made when the person has agreed.
    pub(super) input: Option<Input>,
    pub(super) format: Option<TrackFormat>,
    pub(super) file: Option<File>,
    pub(super) files: u32,
    pub(super) lines: u32,
    pub(super) rests_until: Option<Instant>,
}

impl Track {
    pub(super) fn new(info: TrackInfo) -> Self {
        Self {
            source: plain(&info.source),
            info,
            input: None,
            format: None,
            file: None,
            files: 0,
            lines: 0,
            rests_until: None,
        }
    }

    /// Takes the format of what follows; false when the open file cannot hold it.
    pub(super) fn set_format(&mut self, format: TrackFormat) -> bool {
        let fits = self.file.as_ref().is_none_or(|file| goes_on(file, &format));
        self.format = Some(format);
        fits
    }

    /// Begins a file for a frame, if none is open and it can be the first of one.
    pub(super) fn begin_file(&mut self, number: TrackNumber, frame: &Frame) -> Option<&File> {
        if self.file.is_some() || !frame.keyframe {
            return None;
        }
        let format = self.format.clone()?;
        self.files += 1;
        if self.files > MAX_FILES {
            self.input = None;
            return None;
        }
        let mut name = format!("t{:02}-{}", number.0, self.source);
        if self.files > 1 {
            name.push_str(&format!("-{}", self.files));
        }
        Some(self.file.insert(File {
            name,
            container: container_for(format.codec()),
            format,
            from: frame.at,
            wished: MediaTime::ZERO,
            until: frame.at,
        }))
    }
}

/// The file that is being written.
#[derive(Debug, Clone)]
pub(super) struct File {
    pub(super) name: String,
    pub(super) container: Container,
    pub(super) format: TrackFormat,
    /// Its time zero.
    pub(super) from: MediaTime,
    /// When a keyframe was asked for last, so that it can end.
    pub(super) wished: MediaTime,
    pub(super) until: MediaTime,
}

impl File {
    pub(super) fn file_name(&self) -> String {
        format!("{}.{}", self.name, self.container.extension())
    }
}

/// Matroska says little once and for all, and its frames bring all that decoders need; in MP4 the configuration is fixed.
fn goes_on(file: &File, format: &TrackFormat) -> bool {
    let same = file.format.codec() == format.codec();
    match file.container {
        Container::WebM | Container::Matroska => same,
        _ => file.format == *format,
    }
}

/// What browsers play.
fn container_for(codec: Codec) -> Container {
    [Container::WebM, Container::Mp4]
        .into_iter()
        .find(|container| container.holds(codec))
        .unwrap_or(Container::Matroska)
}

pub(super) fn codec_name(codec: Codec) -> &'static str {
    match codec {
        Codec::Opus => "opus",
        Codec::Pcmu => "pcmu",
        Codec::Pcma => "pcma",
        Codec::G722 => "g722",
        Codec::Vp8 => "vp8",
        Codec::Vp9 => "vp9",
        Codec::H264 => "h264",
        Codec::Av1 => "av1",
        _ => "unknown",
    }
}

/// Small letters, digits and `-`, so that it may be part of a file's name.
fn plain(text: &str) -> String {
    let letters = text.chars().take(24).map(|letter| match letter.to_ascii_lowercase() {
        letter @ ('a'..='z' | '0'..='9') => letter,
        _ => '-',
    });
    letters.collect()
}
