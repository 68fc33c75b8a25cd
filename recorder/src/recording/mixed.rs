//! The file in which all sound that is recorded stands together. Mixing it is the caller's business.

use std::time::{Duration, Instant};

use althing_media_core::Codec;

use super::track::{File, MAX_FILES};
use crate::container::Container;
use crate::frame::{AudioFormat, Frame, TrackFormat};

/// The name of the file, without extension; further ones are numbered.
const NAME: &str = "mix";
/// What a decoder leaves out at the beginning, in samples (RFC 7845 §4.2): the look-ahead of the reference encoder.
const PRE_SKIP: u16 = 312;

/// Its files, one after another.
#[derive(Debug, Default)]
pub(super) struct Mixed {
    file: Option<File>,
    files: u32,
    rests_until: Option<Instant>,
}

impl Mixed {
    /// Begins a file for a frame, when none is open; gives it then.
    pub(super) fn begin(&mut self, now: Instant, frame: &Frame) -> Option<&File> {
        let rests = self.rests_until.is_some_and(|until| now < until);
        if self.file.is_some() || rests || self.files >= MAX_FILES {
            return None;
        }
        self.files += 1;
        let name = match self.files {
            1 => NAME.to_owned(),
            number => format!("{NAME}-{number}"),
        };
        let format = TrackFormat::Audio(AudioFormat {
            codec: Codec::Opus,
            channels: 1,
            sample_rate: 48_000,
            pre_skip: PRE_SKIP,
        });
        Some(self.file.insert(File {
            name,
            container: Container::Ogg,
            format,
            from: frame.at,
            wished: frame.at,
            until: frame.at,
        }))
    }

    /// The file, when it is so long that another one has to begin.
    pub(super) fn turn_over(&mut self, frame: &Frame, segment: Duration) -> Option<File> {
        self.file.take_if(|file| frame.at.since(file.from) >= segment)
    }

    /// The name of the file that a frame goes into.
    pub(super) fn file_for(&mut self, frame: &Frame) -> Option<String> {
        let file = self.file.as_mut()?;
        file.until = frame.at.plus(frame.duration.unwrap_or_default());
        Some(file.name.clone())
    }

    /// The file cannot be written; a new one is begun then.
    pub(super) fn fail(&mut self, name: &str, rests_until: Instant) -> Option<File> {
        let file = self.file.take_if(|file| file.name == name)?;
        self.rests_until = Some(rests_until);
        Some(file)
    }

    pub(super) fn finish(&mut self) -> Option<File> {
        self.file.take()
    }
}
