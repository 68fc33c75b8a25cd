//! The beginning of a file, and what is filled or appended at the end.
//!
//! ```text
//! ftyp │ moov: mvhd, trak …, mvex: free ─ becomes mehd, the duration; trex …
//!      │ free ─ becomes sidx and a smaller free
//!      │ moof mdat …
//!      │ mfra ─ appended
//! ```
//!
//! Boxes: ISO/IEC 14496-12 §8. `sidx` is for players that read from the front, `mfra` for those that look at the end.

use althing_media_core::Codec;

use super::boxes::{boxed, free, full, put16, put32, put64};
use crate::container::index::Index;
use crate::container::{Container, FormatError, Patch};
use crate::frame::{AudioFormat, MediaTime, TrackFormat, VideoFormat};

/// Ticks of a second of the whole file; tracks have their own.
const MOVIE_SCALE: u32 = 1000;
/// Ticks of a second of pictures: RTP's.
const VIDEO_SCALE: u32 = 90_000;
/// `mehd` with a duration of eight bytes.
pub(crate) const MEHD: usize = 20;
/// `sidx` with times of eight bytes, without its references.
const SIDX: usize = 40;
/// One reference of `sidx`.
const REFERENCE: usize = 12;
/// What is left of the room for `sidx` has to be a box too.
const FREE: usize = 8;
/// A picture that depends on no other, and one that does (ISO/IEC 14496-12 §8.8.3.1).
pub(super) const SYNC: u32 = 0x0200_0000;
pub(super) const NO_SYNC: u32 = 0x0101_0000;
/// No rotation.
const MATRIX: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

/// Where things stand in a file. `None`: there is no such room, as in files that others wrote.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The box for the duration.
    pub(crate) duration: Option<u64>,
    /// Ticks of a second of the duration.
    pub(crate) movie_scale: u32,
    /// The box for the `sidx`, and its length.
    pub(crate) sidx: Option<(u64, usize)>,
}

/// The ticks of a second of a track.
pub(super) fn timescale(track: &TrackFormat) -> u32 {
    match track {
        TrackFormat::Audio(audio) => audio.sample_rate.max(1),
        TrackFormat::Video(_) => VIDEO_SCALE,
    }
}

impl Layout {
    /// Writes the beginning of a file, with room for so many references.
    pub(super) fn write(tracks: &[TrackFormat], references: usize) -> Result<(Self, Vec<u8>), FormatError> {
        let mut entries = Vec::new();
        for track in tracks {
            entries.push(match track {
                TrackFormat::Audio(audio) => audio_entry(audio)?,
                TrackFormat::Video(video) => video_entry(video)?,
            });
        }
        let mut out = Vec::new();
        boxed(&mut out, *b"ftyp", |out| {
            out.extend_from_slice(b"iso6");
            put32(out, 0);
            out.extend_from_slice(b"iso6isommp41");
        });
        let mut duration = 0;
        boxed(&mut out, *b"moov", |out| {
            mvhd(out, tracks.len());
            for (number, (track, entry)) in (1..).zip(tracks.iter().zip(&entries)) {
                trak(out, number, track, entry);
            }
            boxed(out, *b"mvex", |out| {
                duration = out.len();
                free(out, MEHD);
                for (number, track) in (1..).zip(tracks) {
                    full(out, *b"trex", 0, 0, |out| {
                        put32(out, number);
                        put32(out, 1); // sample description
                        put32(out, 0); // duration
                        put32(out, 0); // size
                        put32(
                            out,
                            if matches!(track, TrackFormat::Audio(_)) {
                                SYNC
                            } else {
                                NO_SYNC
                            },
                        );
                    });
                }
            });
        });
        let room = SIDX + REFERENCE * references.min(usize::from(u16::MAX)) + FREE;
        let sidx = out.len();
        free(&mut out, room);
        let layout = Self {
            duration: Some(duration as u64),
            movie_scale: MOVIE_SCALE,
            sidx: Some((sidx as u64, room)),
        };
        Ok((layout, out))
    }

    /// How many references there is room for.
    pub(crate) fn references(&self) -> usize {
        let room = self.sidx.map_or(0, |(_, len)| len.saturating_sub(SIDX + FREE));
        (room / REFERENCE).min(usize::from(u16::MAX))
    }

    /// What is to be put into the rooms of a file whose media ends at `media_end`, in an order in which each step is good
    /// alone.
    pub(crate) fn patches(&self, index: &Index, reference: Reference, end: MediaTime, media_end: u64) -> Vec<Patch> {
        let mut patches = Vec::new();
        let mut patch = |at: u64, bytes: Vec<u8>| {
            patches.push(Patch {
                at,
                bytes: bytes.into(),
            });
        };
        if let Some((at, room)) = self.sidx
            && let Some(mut bytes) = self.sidx(index, reference, (end, media_end), at)
        {
            let rest = room - bytes.len();
            free(&mut bytes, rest);
            patch(at, bytes);
        }
        if let Some(at) = self.duration {
            let mut out = Vec::with_capacity(MEHD);
            full(&mut out, *b"mehd", 1, 0, |out| put64(out, end.units(self.movie_scale)));
            patch(at, out);
        }
        patches
    }

    /// The segment index (§8.16.3) that stands at `at`, of media that ends at that moment and place.
    fn sidx(&self, index: &Index, track: Reference, end: (MediaTime, u64), at: u64) -> Option<Vec<u8>> {
        let entries = index.entries();
        let entries = &entries[..entries.len().min(self.references())];
        let first = entries.first()?;
        let len = SIDX + REFERENCE * entries.len();
        let mut good = true;
        let mut out = Vec::with_capacity(len + FREE);
        full(&mut out, *b"sidx", 1, 0, |out| {
            put32(out, track.number);
            put32(out, track.timescale);
            put64(out, first.at.units(track.timescale));
            put64(out, first.offset.saturating_sub(at + len as u64));
            put16(out, 0);
            put16(out, u16::try_from(entries.len()).unwrap_or(u16::MAX));
            let next = entries.iter().skip(1).map(|entry| (entry.at, entry.offset));
            for (entry, (until, to)) in entries.iter().zip(next.chain([end])) {
                let size = to.saturating_sub(entry.offset);
                let ticks = until
                    .units(track.timescale)
                    .saturating_sub(entry.at.units(track.timescale));
                good &= size < 1 << 31 && u32::try_from(ticks).is_ok();
                put32(out, u32::try_from(size).unwrap_or(0));
                put32(out, u32::try_from(ticks).unwrap_or(u32::MAX));
                put32(out, if entry.independent { 0x9000_0000 } else { 0 }); // starts with a SAP of type 1
            }
        });
        good.then_some(out)
    }
}

/// The track that indexes speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reference {
    /// From 1 on.
    pub(crate) number: u32,
    /// Ticks of a second.
    pub(crate) timescale: u32,
}

/// The random access index that stands at the end of a file (§8.8.9).
pub(crate) fn mfra(index: &Index, track: Reference) -> Vec<u8> {
    let starts = index.entries().iter().filter(|entry| entry.independent);
    let mut out = Vec::new();
    boxed(&mut out, *b"mfra", |out| {
        full(out, *b"tfra", 1, 0, |out| {
            put32(out, track.number);
            put32(out, 0); // the three numbers below have one byte each
            put32(out, u32::try_from(starts.clone().count()).unwrap_or(u32::MAX));
            for entry in starts {
                put64(out, entry.at.units(track.timescale));
                put64(out, entry.offset);
                out.extend_from_slice(&[1, 1, 1]); // of the first traf the first trun's first sample
            }
        });
        let len = out.len() + 16; // `out` begins with mfra, and ends with mfro
        full(out, *b"mfro", 0, 0, |out| put32(out, u32::try_from(len).unwrap_or(0)));
    });
    out
}

fn mvhd(out: &mut Vec<u8>, tracks: usize) {
    full(out, *b"mvhd", 0, 0, |out| {
        put64(out, 0); // created and changed: the manifest says when
        put32(out, MOVIE_SCALE);
        put32(out, 0); // what is in moov lasts no time
        put32(out, 0x1_0000); // rate
        put16(out, 0x0100); // volume
        put16(out, 0);
        put64(out, 0);
        MATRIX.iter().for_each(|value| put32(out, *value));
        out.resize(out.len() + 24, 0);
        put32(out, u32::try_from(tracks + 1).unwrap_or(u32::MAX)); // next track
    });
}

fn trak(out: &mut Vec<u8>, number: u32, track: &TrackFormat, entry: &[u8]) {
    let (audio, width, height) = match track {
        TrackFormat::Audio(_) => (true, 0, 0),
        TrackFormat::Video(video) => (false, video.width, video.height),
    };
    boxed(out, *b"trak", |out| {
        full(out, *b"tkhd", 0, 3, |out| {
            put64(out, 0);
            put32(out, number);
            put64(out, 0);
            put64(out, 0);
            put32(out, 0); // layer, group
            put16(out, if audio { 0x0100 } else { 0 });
            put16(out, 0);
            MATRIX.iter().for_each(|value| put32(out, *value));
            put32(out, width.min(0xffff) << 16);
            put32(out, height.min(0xffff) << 16);
        });
        if let TrackFormat::Audio(audio) = track
            && audio.pre_skip > 0
        {
            boxed(out, *b"edts", |out| {
                full(out, *b"elst", 1, 0, |out| {
                    put32(out, 1);
                    put64(out, 0); // to the end
                    put64(out, u64::from(audio.pre_skip) * u64::from(audio.sample_rate) / 48_000);
                    put32(out, 0x1_0000);
                });
            });
        }
        boxed(out, *b"mdia", |out| {
            full(out, *b"mdhd", 0, 0, |out| {
                put64(out, 0);
                put32(out, timescale(track));
                put32(out, 0);
                put16(out, 0x55c4); // language: und
                put16(out, 0);
            });
            full(out, *b"hdlr", 0, 0, |out| {
                put32(out, 0);
                out.extend_from_slice(if audio { b"soun" } else { b"vide" });
                out.resize(out.len() + 12, 0);
                out.extend_from_slice(b"althing\0");
            });
            boxed(out, *b"minf", |out| {
                if audio {
                    full(out, *b"smhd", 0, 0, |out| put32(out, 0));
                } else {
                    full(out, *b"vmhd", 0, 1, |out| put64(out, 0));
                }
                boxed(out, *b"dinf", |out| {
                    full(out, *b"dref", 0, 0, |out| {
                        put32(out, 1);
                        full(out, *b"url ", 0, 1, |_| {}); // in this file
                    });
                });
                boxed(out, *b"stbl", |out| {
                    full(out, *b"stsd", 0, 0, |out| {
                        put32(out, 1);
                        out.extend_from_slice(entry);
                    });
                    full(out, *b"stts", 0, 0, |out| put32(out, 0));
                    full(out, *b"stsc", 0, 0, |out| put32(out, 0));
                    full(out, *b"stsz", 0, 0, |out| put64(out, 0));
                    full(out, *b"stco", 0, 0, |out| put32(out, 0));
                });
            });
        });
    });
}

/// The sample entry of sound (Opus in ISO-BMFF §4.3).
fn audio_entry(audio: &AudioFormat) -> Result<Vec<u8>, FormatError> {
    if audio.codec != Codec::Opus {
        return Err(FormatError::Codec(Container::Mp4, audio.codec));
    }
    let mut out = Vec::new();
    boxed(&mut out, *b"Opus", |out| {
        out.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 1]); // data reference
        put64(out, 0);
        put16(out, u16::from(audio.channels));
        put16(out, 16);
        put32(out, 0);
        put32(out, 48_000 << 16);
        boxed(out, *b"dOps", |out| {
            out.extend_from_slice(&[0, audio.channels]);
            put16(out, audio.pre_skip);
            put32(out, audio.sample_rate);
            out.extend_from_slice(&[0, 0, 0]); // gain, mapping family
        });
    });
    Ok(out)
}

/// The sample entry of pictures.
fn video_entry(video: &VideoFormat) -> Result<Vec<u8>, FormatError> {
    // avc3: parameter sets may stand in the stream, so that a picture of another size needs no other file.
    let (entry, config, least) = match video.codec {
        Codec::H264 => (*b"avc3", *b"avcC", 7),
        Codec::Av1 => (*b"av01", *b"av1C", 4),
        Codec::Vp9 => (*b"vp09", *b"vpcC", 8),
        codec => return Err(FormatError::Codec(Container::Mp4, codec)),
    };
    if video.config.len() < least {
        return Err(FormatError::Config(video.codec));
    }
    let mut out = Vec::new();
    boxed(&mut out, entry, |out| {
        out.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 1]); // data reference
        out.resize(out.len() + 16, 0);
        put16(out, u16::try_from(video.width).unwrap_or(u16::MAX));
        put16(out, u16::try_from(video.height).unwrap_or(u16::MAX));
        put32(out, 0x0048_0000); // 72 dots per inch, as all say
        put32(out, 0x0048_0000);
        put32(out, 0);
        put16(out, 1); // frames per sample
        out.resize(out.len() + 32, 0); // compressor's name
        put16(out, 0x0018);
        put16(out, 0xffff);
        boxed(out, config, |out| {
            if video.codec == Codec::Vp9 {
                put32(out, 0x0100_0000); // version 1
            }
            out.extend_from_slice(&video.config);
        });
    });
    Ok(out)
}
