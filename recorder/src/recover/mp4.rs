//! Fragmented MP4: the file goes up to the end of the last `mdat` that is whole, with its `moof` before it.

use std::io;

use super::reader::Reader;
use super::{MAX_ROOM, Plan, Source};
use crate::container::index::{Entry, Index};
use crate::container::mp4::boxes::{HEAD, Head, child, children, get32, get64};
use crate::container::mp4::layout::{self, Layout, MEHD, Reference};
use crate::frame::MediaTime;

/// The largest `moov` or `moof` that is read: 4 MiB. One of ours describes some 100 000 frames at most.
const MAX_BOX: u64 = 4 << 20;
/// `tfhd`: what comes before the defaults, and the defaults.
const BASE_DATA_OFFSET: u32 = 0x01;
const DESCRIPTION: u32 = 0x02;
const DEFAULT_DURATION: u32 = 0x08;
const DEFAULT_SIZE: u32 = 0x10;
const DEFAULT_FLAGS: u32 = 0x20;
/// `trun`: what there is.
const DATA_OFFSET: u32 = 0x01;
const FIRST_FLAGS: u32 = 0x04;
const DURATIONS: u32 = 0x100;
const SIZES: u32 = 0x200;
const FLAGS: u32 = 0x400;
const COMPOSITION: u32 = 0x800;
/// Of a sample's flags: it depends on others.
const NO_SYNC: u32 = 0x01_0000;

/// See [`super::plan`].
pub(super) fn plan(source: &mut dyn Source) -> io::Result<Option<Plan>> {
    let mut reader = Reader::new(source);
    let Some(beginning) = Beginning::read(&mut reader)? else {
        return Ok(None);
    };
    let (layout, reference) = (beginning.layout, beginning.reference());
    let mut index = Index::new(layout.references());
    let mut at = beginning.len;
    let mut plan = Plan::default();
    let mut trailer = None;
    while let Some(head) = head(&mut reader, at)? {
        let Some(end) = at.checked_add(head.size).filter(|end| *end <= reader.len()) else {
            break;
        };
        match &head.kind {
            b"moof" => {
                let Some(moof) = inside(&mut reader, at, head)? else {
                    break;
                };
                let Some(fragment) = beginning.fragment(&moof) else {
                    break;
                };
                let mdat = self::head(&mut reader, end)?.filter(|mdat| mdat.kind == *b"mdat");
                let whole = mdat.and_then(|mdat| end.checked_add(mdat.size));
                let Some(next) = whole.filter(|next| *next <= reader.len()) else {
                    break;
                };
                if fragment.independent || fragment.reference.is_none() || index.entries().is_empty() {
                    index.push(Entry {
                        at: fragment.reference.unwrap_or(fragment.start),
                        offset: at,
                        independent: fragment.independent,
                    });
                }
                plan.end = plan.end.max(fragment.end);
                plan.has_media = true;
                at = next;
            }
            b"mfra" => {
                trailer = Some(end);
                break;
            }
            b"free" | b"skip" | b"styp" | b"sidx" | b"emsg" | b"prft" | b"mdat" => at = end,
            _ => break,
        }
    }
    plan.keep = at;
    if beginning.filled && trailer == Some(reader.len()) {
        plan.keep = reader.len();
    } else if plan.has_media {
        plan.append = layout::mfra(&index, reference);
        plan.patches = layout.patches(&index, reference, plan.end, at);
    }
    Ok(Some(plan))
}

fn head(reader: &mut Reader<'_>, at: u64) -> io::Result<Option<Head>> {
    Ok(Head::parse(reader.bytes(at, HEAD)?))
}

/// What is in a box, if it is whole and not too large.
fn inside(reader: &mut Reader<'_>, at: u64, head: Head) -> io::Result<Option<Vec<u8>>> {
    let Some(len) = head.size.checked_sub(head.len).filter(|len| *len <= MAX_BOX) else {
        return Ok(None);
    };
    let len = usize::try_from(len).unwrap_or(0);
    let bytes = reader.bytes(at + head.len, len)?;
    Ok((bytes.len() == len).then(|| bytes.to_vec()))
}

/// The beginning of a file.
struct Beginning {
    layout: Layout,
    len: u64,
    tracks: Vec<Track>,
    /// The duration is there.
    filled: bool,
}

#[derive(Debug, Clone, Copy)]
struct Track {
    number: u32,
    timescale: u32,
    video: bool,
}

/// What a `moof` says.
struct Fragment {
    start: MediaTime,
    end: MediaTime,
    /// When its first frame of the reference track is shown.
    reference: Option<MediaTime>,
    independent: bool,
}

impl Beginning {
    fn read(reader: &mut Reader<'_>) -> io::Result<Option<Self>> {
        let mut at = match head(reader, 0)? {
            Some(ftyp) if ftyp.kind == *b"ftyp" => ftyp.size,
            _ => return Ok(None),
        };
        let Some(moov_head) = head(reader, at)?.filter(|head| head.kind == *b"moov") else {
            return Ok(None);
        };
        let Some(moov) = inside(reader, at, moov_head)? else {
            return Ok(None);
        };
        let tracks: Vec<Track> = children(&moov)
            .filter(|(kind, ..)| kind == b"trak")
            .filter_map(|(.., trak)| Track::read(trak))
            .take(crate::container::MAX_TRACKS)
            .collect();
        if tracks.is_empty() {
            return Ok(None);
        }
        let mut layout = Layout::default();
        let mut filled = false;
        // Without it, this is no file of fragments.
        let Some((_, mvex_at, mvex)) = children(&moov).find(|(kind, ..)| kind == b"mvex") else {
            return Ok(None);
        };
        if let Some((kind, room_at, _)) =
            children(mvex).find(|(kind, _, inside)| (kind == b"free" || kind == b"mehd") && inside.len() + 8 == MEHD)
        {
            // Both boxes have heads of eight bytes when they are ours; `moov` may be anybody's.
            layout.duration = Some(at + moov_head.len + mvex_at as u64 + 8 + room_at as u64);
            filled = kind == *b"mehd";
        }
        layout.movie_scale = child(&moov, *b"mvhd").and_then(mvhd_scale).unwrap_or(1000);
        // `inside` has seen that it is whole.
        at += moov_head.size;
        if let Some(first) = head(reader, at)?
            && (first.kind == *b"free" || first.kind == *b"sidx")
        {
            let mut end = at.saturating_add(first.size);
            if first.kind == *b"sidx"
                && let Some(rest) = head(reader, end)?.filter(|rest| rest.kind == *b"free")
            {
                end = end.saturating_add(rest.size);
            }
            let room = (end <= reader.len()).then(|| usize::try_from(end - at).ok()).flatten();
            layout.sidx = room.filter(|room| *room <= MAX_ROOM).map(|room| (at, room));
        }
        Ok(Some(Self {
            layout,
            len: at,
            tracks,
            filled,
        }))
    }

    fn reference(&self) -> Reference {
        let track = self.tracks.iter().find(|track| track.video).unwrap_or(&self.tracks[0]);
        Reference {
            number: track.number,
            timescale: track.timescale,
        }
    }

    /// Reads what is inside a `moof`; `None` when it is none, or has no frames of tracks that we know.
    fn fragment(&self, moof: &[u8]) -> Option<Fragment> {
        let wanted = self.reference().number;
        let mut all: Option<Fragment> = None;
        let mut pictures = false;
        for (.., traf) in children(moof).filter(|(kind, ..)| kind == b"traf") {
            let tfhd = child(traf, *b"tfhd")?;
            let number = get32(tfhd, 4)?;
            let Some(track) = self.tracks.iter().find(|track| track.number == number) else {
                continue;
            };
            let defaults = Defaults::read(tfhd)?;
            let tfdt = child(traf, *b"tfdt")?;
            let start = if tfdt.first()? == &1 {
                get64(tfdt, 4)?
            } else {
                u64::from(get32(tfdt, 4)?)
            };
            let (mut ticks, mut first_flags) = (0_u64, None);
            for (.., trun) in children(traf).filter(|(kind, ..)| kind == b"trun") {
                let (sum, flags) = defaults.run(trun)?;
                ticks = ticks.saturating_add(sum);
                first_flags = first_flags.or(flags);
            }
            let sync = first_flags.unwrap_or(0) & NO_SYNC == 0;
            let at = track.time(start);
            let fragment = all.get_or_insert(Fragment {
                start: at,
                end: at,
                reference: None,
                independent: true,
            });
            fragment.start = fragment.start.min(at);
            fragment.end = fragment.end.max(track.time(start.saturating_add(ticks)));
            if track.video {
                pictures = true;
                fragment.independent &= sync;
            }
            if number == wanted {
                fragment.reference.get_or_insert(at);
            }
        }
        let mut all = all?;
        all.independent &= pictures || self.tracks.iter().all(|track| !track.video);
        Some(all)
    }
}

impl Track {
    fn read(trak: &[u8]) -> Option<Self> {
        let tkhd = child(trak, *b"tkhd")?;
        let number = get32(tkhd, if tkhd.first()? == &1 { 20 } else { 12 })?;
        let mdia = child(trak, *b"mdia")?;
        let timescale = mvhd_scale(child(mdia, *b"mdhd")?)?;
        let handler = child(mdia, *b"hdlr")?.get(8..12)?;
        Some(Self {
            number,
            timescale,
            video: handler == b"vide",
        })
    }

    fn time(self, ticks: u64) -> MediaTime {
        let nanos = u128::from(ticks) * 1_000_000_000 / u128::from(self.timescale);
        MediaTime(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// Ticks of a second: in `mvhd` and `mdhd` alike behind two times.
fn mvhd_scale(full: &[u8]) -> Option<u32> {
    get32(full, if full.first()? == &1 { 20 } else { 12 }).filter(|scale| *scale > 0)
}

/// What `tfhd` says of all samples.
struct Defaults {
    duration: u32,
    flags: Option<u32>,
}

impl Defaults {
    fn read(tfhd: &[u8]) -> Option<Self> {
        let has = get32(tfhd, 0)?;
        let mut at = 8;
        for (flag, len) in [(BASE_DATA_OFFSET, 8), (DESCRIPTION, 4)] {
            if has & flag != 0 {
                at += len;
            }
        }
        let mut next = |flag: u32| {
            if has & flag == 0 {
                return Some(None);
            }
            let value = get32(tfhd, at)?;
            at += 4;
            Some(Some(value))
        };
        let duration = next(DEFAULT_DURATION)?;
        next(DEFAULT_SIZE)?;
        Some(Self {
            duration: duration.unwrap_or(0),
            flags: next(DEFAULT_FLAGS)?,
        })
    }

    /// How long a run lasts, and the flags of its first sample if they are told.
    fn run(&self, trun: &[u8]) -> Option<(u64, Option<u32>)> {
        let has = get32(trun, 0)?;
        let count = usize::try_from(get32(trun, 4)?).ok()?;
        let mut at = 8;
        if has & DATA_OFFSET != 0 {
            at += 4;
        }
        let mut flags = self.flags;
        if has & FIRST_FLAGS != 0 {
            flags = Some(get32(trun, at)?);
            at += 4;
        }
        let fields = [DURATIONS, SIZES, FLAGS, COMPOSITION];
        let each = fields.iter().filter(|flag| has & **flag != 0).count() * 4;
        let samples = trun.get(at..)?.get(..count.checked_mul(each)?)?;
        if has & FLAGS != 0 && has & FIRST_FLAGS == 0 && count > 0 {
            let before = [DURATIONS, SIZES].iter().filter(|flag| has & **flag != 0).count() * 4;
            flags = Some(get32(samples, before)?);
        }
        let ticks = if has & DURATIONS == 0 {
            u64::from(self.duration).saturating_mul(count as u64)
        } else {
            samples
                .chunks_exact(each)
                .filter_map(|sample| get32(sample, 0))
                .map(u64::from)
                .sum()
        };
        Some((ticks, flags))
    }
}
