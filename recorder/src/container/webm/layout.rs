//! The beginning of a file: what stands there from the start, and the room that is filled at the end.
//!
//! ```text
//! EBML │ Segment, of unknown size ─ patched
//!      │ SeekHead: Info, Tracks, Void ─ becomes a Seek to Cues
//!      │ Info: …, Void ─ becomes Duration
//!      │ Tracks
//!      │ Void ─ becomes Cues and a smaller Void
//!      │ Cluster …
//! ```
//!
//! Elements: RFC 9559 §5.1.

use althing_media_core::Codec;

use super::ebml;
use crate::container::index::Index;
use crate::container::{Container, FormatError, Patch, ogg};
use crate::frame::{AudioFormat, MediaTime, TrackFormat, VideoFormat};

pub(crate) const EBML: u32 = 0x1a45_dfa3;
pub(crate) const SEGMENT: u32 = 0x1853_8067;
pub(crate) const SEEK_HEAD: u32 = 0x114d_9b74;
pub(crate) const INFO: u32 = 0x1549_a966;
pub(crate) const TRACKS: u32 = 0x1654_ae6b;
pub(crate) const CUES: u32 = 0x1c53_bb6b;
pub(crate) const CLUSTER: u32 = 0x1f43_b675;
pub(crate) const SEEK: u32 = 0x4dbb;
pub(crate) const DURATION: u32 = 0x4489;

/// A Seek element as we write it: `4DBB 92 53AB 84 id 53AC 88 position`.
pub(crate) const SEEK_LEN: usize = 21;
/// A Duration element as we write it: `4489 88` and a float of eight bytes.
pub(crate) const DURATION_LEN: usize = 11;
/// A CuePoint as we write it, with eight bytes for time and place.
const CUE_LEN: usize = 27;
/// Beside the points: the head of Cues, and the Void behind them.
const CUES_HEAD: usize = 8 + 9;
/// The delay in which a decoder of Opus settles, in ns (RFC 9559, appendix on Opus; RFC 7845 §4.6).
const SEEK_PRE_ROLL: u64 = 80_000_000;

/// What the file says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DocType {
    /// `webm`.
    WebM,
    /// `matroska`.
    Matroska,
}

/// Where things stand in a file. `None`: there is no such room, as in files that others wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Where the eight bytes of the Segment's size begin.
    pub(crate) segment_size: Option<u64>,
    /// Where the Segment's inside begins: what positions are counted from.
    pub(crate) inside: u64,
    /// The Void for the Seek.
    pub(crate) seek: Option<u64>,
    /// The Void for the Duration.
    pub(crate) duration: Option<u64>,
    /// The Void for the Cues, and its length.
    pub(crate) cues: Option<(u64, usize)>,
}

impl Layout {
    /// Writes the beginning of a file, with room for so many cues.
    pub(super) fn write(
        doc_type: DocType,
        tracks: &[TrackFormat],
        cues: usize,
    ) -> Result<(Self, Vec<u8>), FormatError> {
        let mut out = Vec::new();
        ebml::master(&mut out, EBML, |out| {
            ebml::uint(out, 0x4286, 1); // EBMLVersion
            ebml::uint(out, 0x42f7, 1); // EBMLReadVersion
            ebml::uint(out, 0x42f2, 4); // EBMLMaxIDLength
            ebml::uint(out, 0x42f3, 8); // EBMLMaxSizeLength
            let name: &[u8] = match doc_type {
                DocType::WebM => b"webm",
                DocType::Matroska => b"matroska",
            };
            ebml::binary(out, 0x4282, name);
            ebml::uint(out, 0x4287, 4); // DocTypeVersion
            ebml::uint(out, 0x4285, 2); // DocTypeReadVersion
        });
        ebml::id(&mut out, SEGMENT);
        let segment_size = out.len();
        out.extend_from_slice(&[0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        let inside = out.len();

        // The three Seeks all have the same length, so the places of Info and Tracks are known before they are written.
        let mut info = Vec::new();
        ebml::master(&mut info, INFO, |out| {
            ebml::uint(out, 0x002a_d7b1, 1_000_000); // TimestampScale: milliseconds
            ebml::binary(out, 0x4d80, b"althing"); // MuxingApp
            ebml::binary(out, 0x5741, b"althing"); // WritingApp
            ebml::void(out, DURATION_LEN);
        });
        let seek_head = 8 + 3 * SEEK_LEN;
        ebml::master(&mut out, SEEK_HEAD, |out| {
            seek(out, INFO, seek_head as u64);
            seek(out, TRACKS, (seek_head + info.len()) as u64);
            ebml::void(out, SEEK_LEN);
        });
        let seek = out.len() - SEEK_LEN;
        out.extend_from_slice(&info);
        let duration = out.len() - DURATION_LEN;
        let mut entries = Vec::new();
        for (number, track) in (1..).zip(tracks) {
            track_entry(&mut entries, number, track)?;
        }
        ebml::master(&mut out, TRACKS, |out| out.extend_from_slice(&entries));
        let (cues_at, cues_len) = (out.len(), CUES_HEAD + CUE_LEN * cues);
        ebml::void(&mut out, cues_len);
        let layout = Self {
            segment_size: Some(segment_size as u64),
            inside: inside as u64,
            seek: Some(seek as u64),
            duration: Some(duration as u64),
            cues: Some((cues_at as u64, cues_len)),
        };
        Ok((layout, out))
    }

    /// How many cues there is room for.
    pub(crate) fn cues(&self) -> usize {
        self.cues.map_or(0, |(_, len)| len.saturating_sub(CUES_HEAD) / CUE_LEN)
    }

    /// What is to be put into the rooms of a file of this length, in an order in which each step is good alone.
    pub(crate) fn patches(&self, index: &Index, track: u64, duration: MediaTime, len: u64) -> Vec<Patch> {
        let mut patches = Vec::new();
        let mut patch = |at: u64, bytes: Vec<u8>| {
            patches.push(Patch {
                at,
                bytes: bytes.into(),
            });
        };
        if let Some((at, room)) = self.cues
            && !index.entries().is_empty()
            && self.cues() > 0
        {
            let mut out = Vec::with_capacity(room);
            ebml::master(&mut out, CUES, |out| {
                for entry in index.entries().iter().take(self.cues()) {
                    let position = entry.offset.saturating_sub(self.inside);
                    cue(out, entry.at.units(1000), track, position);
                }
            });
            let rest = room - out.len();
            ebml::void(&mut out, rest);
            patch(at, out);
            if let Some(place) = self.seek {
                let mut out = Vec::new();
                seek(&mut out, CUES, at - self.inside);
                patch(place, out);
            }
        }
        if let Some(at) = self.duration {
            let mut out = Vec::new();
            // Exact up to 2^53 ms; later than that, nobody will miss the rest.
            #[expect(clippy::cast_precision_loss, reason = "said above")]
            ebml::float(&mut out, DURATION, duration.units(1000).max(1) as f64);
            patch(at, out);
        }
        if let Some(at) = self.segment_size {
            let mut out = Vec::new();
            ebml::wide_size(&mut out, len.saturating_sub(self.inside).min((1 << 56) - 2), 8);
            patch(at, out);
        }
        patches
    }
}

fn seek(out: &mut Vec<u8>, id: u32, position: u64) {
    ebml::id(out, SEEK);
    ebml::size(out, (SEEK_LEN - 3) as u64);
    ebml::binary(out, 0x53ab, &id.to_be_bytes());
    ebml::wide_uint(out, 0x53ac, position);
}

fn cue(out: &mut Vec<u8>, time: u64, track: u64, position: u64) {
    out.extend_from_slice(&[0xbb, 0x99]); // CuePoint, 25 bytes
    ebml::wide_uint(out, 0xb3, time);
    out.extend_from_slice(&[0xb7, 0x8d]); // CueTrackPositions, 13 bytes
    ebml::uint(out, 0xf7, track);
    ebml::wide_uint(out, 0xf1, position);
}

fn track_entry(out: &mut Vec<u8>, number: u64, track: &TrackFormat) -> Result<(), FormatError> {
    let codec = track.codec();
    let (name, private) = match track {
        TrackFormat::Audio(audio) => audio_codec(audio)?,
        TrackFormat::Video(video) => video_codec(video)?,
    };
    ebml::master(out, 0xae, |out| {
        ebml::uint(out, 0xd7, number); // TrackNumber
        ebml::uint(out, 0x73c5, number); // TrackUID
        ebml::uint(out, 0x9c, 0); // FlagLacing
        ebml::binary(out, 0x0022_b59c, b"und"); // Language
        ebml::binary(out, 0x86, name.as_bytes()); // CodecID
        if !private.is_empty() {
            ebml::binary(out, 0x63a2, &private); // CodecPrivate
        }
        match track {
            TrackFormat::Audio(audio) => {
                ebml::uint(out, 0x83, 2); // TrackType
                if codec == Codec::Opus {
                    ebml::uint(out, 0x56aa, u64::from(audio.pre_skip) * 1_000_000 / 48); // CodecDelay
                    ebml::uint(out, 0x56bb, SEEK_PRE_ROLL); // SeekPreRoll
                }
                ebml::master(out, 0xe1, |out| {
                    ebml::float(out, 0xb5, f64::from(audio.sample_rate)); // SamplingFrequency
                    ebml::uint(out, 0x9f, u64::from(audio.channels)); // Channels
                });
            }
            TrackFormat::Video(video) => {
                ebml::uint(out, 0x83, 1);
                ebml::master(out, 0xe0, |out| {
                    ebml::uint(out, 0xb0, u64::from(video.width)); // PixelWidth
                    ebml::uint(out, 0xba, u64::from(video.height)); // PixelHeight
                });
            }
        }
    });
    Ok(())
}

/// CodecID and CodecPrivate of sound.
fn audio_codec(audio: &AudioFormat) -> Result<(&'static str, Vec<u8>), FormatError> {
    match audio.codec {
        Codec::Opus => Ok(("A_OPUS", ogg::opus_head(audio).to_vec())),
        Codec::Pcmu => Ok(("A_MS/ACM", wave_format(audio, 7))),
        Codec::Pcma => Ok(("A_MS/ACM", wave_format(audio, 6))),
        codec => Err(FormatError::Codec(Container::Matroska, codec)),
    }
}

/// CodecID and CodecPrivate of pictures.
fn video_codec(video: &VideoFormat) -> Result<(&'static str, Vec<u8>), FormatError> {
    // Both records begin with a version, in different bits, and go on with the profile.
    let config = |least: usize, version: u8| {
        let good = video.config.len() >= least && video.config[0] == version;
        good.then(|| video.config.to_vec())
            .ok_or(FormatError::Config(video.codec))
    };
    match video.codec {
        Codec::Vp8 => Ok(("V_VP8", Vec::new())),
        Codec::Vp9 => Ok(("V_VP9", Vec::new())),
        Codec::Av1 => Ok(("V_AV1", config(4, 0x81)?)),
        Codec::H264 => Ok(("V_MPEG4/ISO/AVC", config(7, 1)?)),
        codec => Err(FormatError::Codec(Container::Matroska, codec)),
    }
}

/// The `WAVEFORMATEX` of G.711.
fn wave_format(audio: &AudioFormat, tag: u16) -> Vec<u8> {
    let channels = u16::from(audio.channels);
    let mut out = Vec::with_capacity(18);
    out.extend_from_slice(&tag.to_le_bytes());
    out.extend_from_slice(&channels.to_le_bytes());
    out.extend_from_slice(&audio.sample_rate.to_le_bytes());
    out.extend_from_slice(&(audio.sample_rate * u32::from(channels)).to_le_bytes());
    out.extend_from_slice(&channels.to_le_bytes()); // bytes of one sample of all channels
    out.extend_from_slice(&8_u16.to_le_bytes()); // bits of one sample
    out.extend_from_slice(&0_u16.to_le_bytes()); // nothing behind it
    out
}
