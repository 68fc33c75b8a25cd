//! WebM and Matroska: the file goes up to the end of the last whole cluster.

use std::io;

use super::reader::Reader;
use super::{MAX_ROOM, Plan, Source};
use crate::container::index::{Entry, Index};
use crate::container::webm::ebml::{HEAD, Head, UNKNOWN, VOID};
use crate::container::webm::layout::{
    CLUSTER, CUES, DURATION, DURATION_LEN, EBML, INFO, Layout, SEEK, SEEK_HEAD, SEEK_LEN, SEGMENT, TRACKS,
};
use crate::container::webm::{KEYFRAME, SIMPLE_BLOCK, TIMESTAMP};
use crate::frame::MediaTime;

/// The most that is read of the description of tracks.
const MAX_TRACKS_LEN: u64 = 1 << 20;
/// Tracks with a number of one byte: all that we write.
const MAX_NUMBER: usize = 127;
/// What the last frame lasts when its track has no other, in ms.
const GUESS: u64 = 20;
/// What may stand between clusters and behind them: also tags, attachments, chapters, which others write.
const OTHERS: [u32; 8] = [
    CUES,
    VOID,
    SEEK_HEAD,
    INFO,
    TRACKS,
    0x1254_c367,
    0x1941_a469,
    0x1043_a770,
];
const BLOCK_GROUP: u32 = 0xa0;
const BLOCK: u32 = 0xa1;
const POSITION: u32 = 0xa7;
const PREV_SIZE: u32 = 0xab;
const CRC: u32 = 0xbf;

/// See [`super::plan`].
pub(super) fn plan(source: &mut dyn Source) -> io::Result<Option<Plan>> {
    let mut scan = Scan {
        reader: Reader::new(source),
        layout: Layout::default(),
        reference: 1,
        filled: false,
        last: [None; MAX_NUMBER + 1],
        end: 0,
    };
    let Some(first) = scan.beginning()? else {
        return Ok(None);
    };
    let mut index = Index::new(scan.layout.cues());
    let mut at = first;
    let mut has_media = false;
    while let Some((next, keyframe)) = scan.element(at)? {
        if let Some(ms) = keyframe {
            index.push(Entry {
                at: MediaTime(ms.saturating_mul(1_000_000)),
                offset: at,
                independent: true,
            });
        }
        has_media |= scan.head(at)?.is_some_and(|head| head.id == CLUSTER);
        at = next;
    }
    let end = MediaTime(scan.end.saturating_mul(1_000_000));
    let mut plan = Plan {
        keep: at,
        end,
        has_media,
        ..Plan::default()
    };
    if has_media && !(scan.filled && at == scan.reader.len()) {
        plan.patches = scan.layout.patches(&index, scan.reference, end, at);
    }
    Ok(Some(plan))
}

struct Scan<'a> {
    reader: Reader<'a>,
    layout: Layout,
    /// The track of pictures, or the first.
    reference: u64,
    /// Duration and size of the segment are there.
    filled: bool,
    /// Of each track, when its last frame was and how long after the one before, in ms.
    last: [Option<(u64, u64)>; MAX_NUMBER + 1],
    /// When the last frame ends, in ms.
    end: u64,
}

impl Scan<'_> {
    fn head(&mut self, at: u64) -> io::Result<Option<Head>> {
        Ok(Head::parse(self.reader.bytes(at, HEAD)?))
    }

    /// Reads up to the first cluster; gives its place, or that of the end.
    fn beginning(&mut self) -> io::Result<Option<u64>> {
        let Some(ebml) = self.head(0)?.filter(|head| head.id == EBML) else {
            return Ok(None);
        };
        let Some(segment_at) = ebml.len.checked_add(ebml.size) else {
            return Ok(None);
        };
        let Some(segment) = self.head(segment_at)?.filter(|head| head.id == SEGMENT) else {
            return Ok(None);
        };
        let inside = segment_at + segment.len;
        self.layout.segment_size = (segment.len == 12).then_some(segment_at + 4);
        self.layout.inside = inside;
        let sized = segment.size == self.reader.len().saturating_sub(inside);
        let mut at = inside;
        let mut tracks = false;
        while let Some(head) = self.head(at)? {
            if head.id == CLUSTER {
                break;
            }
            let start = at + head.len;
            let Some(end) = start.checked_add(head.size).filter(|end| *end <= self.reader.len()) else {
                break;
            };
            match head.id {
                // The room is the last of its Seeks.
                SEEK_HEAD if head.size >= SEEK_LEN as u64 => {
                    self.layout.seek = self.room(end - SEEK_LEN as u64, end, SEEK_LEN, SEEK)?.map(|(at, _)| at);
                }
                INFO => {
                    let room = self.room(start, end, DURATION_LEN, DURATION)?;
                    self.layout.duration = room.map(|(at, _)| at);
                    self.filled = sized && room.is_some_and(|(_, id)| id == DURATION);
                }
                TRACKS => {
                    tracks = true;
                    self.tracks(start, end)?;
                }
                VOID if self.layout.cues.is_none() => self.layout.cues = cues_room(at, end),
                CUES => {
                    let void = self.head(end)?.filter(|head| head.id == VOID);
                    let rest = void.map_or(0, |void| void.len.saturating_add(void.size));
                    let whole = end.checked_add(rest).filter(|whole| *whole <= self.reader.len());
                    self.layout.cues = cues_room(at, whole.unwrap_or(end));
                }
                _ => {}
            }
            at = end;
        }
        Ok(tracks.then_some(at))
    }

    /// The first element between `start` and `end` that is `len` bytes long and means nothing, or has been filled.
    fn room(&mut self, start: u64, end: u64, len: usize, id: u32) -> io::Result<Option<(u64, u32)>> {
        let mut at = start;
        while at < end
            && let Some(head) = self.head(at)?
        {
            let Some(next) = (at + head.len).checked_add(head.size) else {
                break;
            };
            if next - at == len as u64 && (head.id == VOID || head.id == id) && next <= end {
                return Ok(Some((at, head.id)));
            }
            at = next;
        }
        Ok(None)
    }

    /// Finds the first track of pictures; the first of all, if there is none.
    fn tracks(&mut self, start: u64, end: u64) -> io::Result<()> {
        let mut first = None;
        let mut at = start;
        while at < end.min(start + MAX_TRACKS_LEN)
            && let Some(entry) = self.head(at)?
        {
            let inside = at + entry.len;
            let Some(next) = inside.checked_add(entry.size).filter(|next| *next <= end) else {
                break;
            };
            let (mut number, mut kind, mut at_inside) = (0, 0, inside);
            while at_inside < next
                && let Some(head) = self.head(at_inside)?
            {
                let place = at_inside + head.len;
                match head.id {
                    0xd7 => number = self.uint(place, head.size)?,
                    0x83 => kind = self.uint(place, head.size)?,
                    _ => {}
                }
                let Some(behind) = place.checked_add(head.size) else {
                    break;
                };
                at_inside = behind;
            }
            if kind == 1 {
                self.reference = number;
                return Ok(());
            }
            first.get_or_insert(number);
            at = next;
        }
        self.reference = first.unwrap_or(1);
        Ok(())
    }

    fn uint(&mut self, at: u64, size: u64) -> io::Result<u64> {
        let len = usize::try_from(size.min(8)).unwrap_or(8);
        let bytes = self.reader.bytes(at, len)?;
        Ok(bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// The element of the segment at `at`, if it is whole: where the next one is, and when a cluster's first picture is
    /// shown, if that is a keyframe.
    fn element(&mut self, at: u64) -> io::Result<Option<(u64, Option<u64>)>> {
        let Some(head) = self.head(at)? else { return Ok(None) };
        if head.id == CLUSTER {
            return self.cluster(at + head.len, head.size);
        }
        if !OTHERS.contains(&head.id) {
            return Ok(None);
        }
        let end = (at + head.len).checked_add(head.size);
        Ok(end.filter(|end| *end <= self.reader.len()).map(|end| (end, None)))
    }

    fn cluster(&mut self, start: u64, size: u64) -> io::Result<Option<(u64, Option<u64>)>> {
        let len = self.reader.len();
        let end = if size == UNKNOWN {
            len
        } else {
            start.saturating_add(size)
        };
        if end > len {
            return Ok(None);
        }
        let (mut at, mut time, mut first) = (start, 0, None);
        // Noted for the file only when the cluster is whole.
        let before = (self.last, self.end);
        while at < end {
            let Some(head) = self.head(at)? else { break };
            let inside = at + head.len;
            let Some(next) = inside.checked_add(head.size).filter(|next| *next <= end) else {
                break;
            };
            match head.id {
                TIMESTAMP => time = self.uint(inside, head.size)?,
                SIMPLE_BLOCK => {
                    if let Some(keyframe) = self.block(inside, time)? {
                        first = first.or(Some(keyframe));
                    }
                }
                // Written by others; a player finds its way in them.
                BLOCK_GROUP | BLOCK | POSITION | PREV_SIZE | CRC | VOID => {}
                _ => break,
            }
            at = next;
        }
        // One of unknown size ends at anything that cannot be inside it.
        if at == end || size == UNKNOWN && at > start {
            Ok(Some((at, first.flatten())))
        } else {
            (self.last, self.end) = before;
            Ok(None)
        }
    }

    /// Notes a block. `Some` when it is of the reference track, with its time if it is a keyframe.
    fn block(&mut self, at: u64, cluster: u64) -> io::Result<Option<Option<u64>>> {
        let bytes = self.reader.bytes(at, 12)?;
        let Some((number, len)) = Head::parse_size(bytes) else {
            return Ok(None);
        };
        let Some([high, low, flags, ..]) = bytes.get(len..) else {
            return Ok(None);
        };
        let ahead = i64::from(i16::from_be_bytes([*high, *low]));
        let flags = *flags;
        let time = cluster.saturating_add_signed(ahead);
        if let Some(last) = usize::try_from(number)
            .ok()
            .and_then(|number| self.last.get_mut(number))
        {
            let apart = match *last {
                // What is longer than a second was a pause.
                Some((before, apart)) => match time.saturating_sub(before) {
                    0 => apart,
                    new => new.min(1000),
                },
                None => GUESS,
            };
            *last = Some((time, apart));
            self.end = self.end.max(time.saturating_add(apart));
        }
        Ok((number == self.reference).then_some((flags & KEYFRAME != 0).then_some(time)))
    }
}

/// The room for Cues, if it is one that we would set aside.
fn cues_room(at: u64, end: u64) -> Option<(u64, usize)> {
    let len = usize::try_from(end - at).ok()?;
    (len <= MAX_ROOM).then_some((at, len))
}
