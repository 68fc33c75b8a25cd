//! Ogg: the file goes up to the last page that is whole and has a good checksum; that page is marked as the last.

use std::io;

use super::reader::Reader;
use super::{Plan, Source};
use crate::container::Patch;
use crate::container::ogg::page::{self, FLAGS_AT, HEAD, Head, LAST, MAX_PAGE, NO_GRANULE};
use crate::frame::MediaTime;

/// Pages before the first with sound: `OpusHead` and `OpusTags`. Only such files are ours.
const HEADERS: u32 = 2;

/// See [`super::plan`].
pub(super) fn plan(source: &mut dyn Source) -> io::Result<Option<Plan>> {
    let mut reader = Reader::new(source);
    let mut plan = Plan::default();
    let (mut at, mut pages, mut pre_skip) = (0, 0_u32, 0_u64);
    let mut last: Option<(u64, Head, Vec<u8>)> = None;
    while let Some(page) = page_at(&mut reader, at)? {
        let Some(head) = Head::parse(&page) else { break };
        let body = &page[HEAD + head.segments..];
        if pages == 0 {
            if !body.starts_with(b"OpusHead") || body.len() < 19 {
                return Ok(None);
            }
            pre_skip = u64::from(u16::from_le_bytes([body[10], body[11]]));
        }
        if pages >= HEADERS {
            plan.has_media = true;
            if head.granule != NO_GRANULE {
                let samples = head.granule.saturating_sub(pre_skip);
                plan.end = MediaTime(samples.saturating_mul(62_500) / 3);
            }
        }
        pages += 1;
        at += page.len() as u64;
        let done = head.flags & LAST != 0;
        last = Some((at - page.len() as u64, head, page));
        if done {
            break;
        }
    }
    if pages < HEADERS {
        return Ok(None);
    }
    plan.keep = at;
    if let Some((at, head, mut page)) = last
        && plan.has_media
        && head.flags & LAST == 0
    {
        page[FLAGS_AT] |= LAST;
        let crc = page::checksum(&page).to_le_bytes();
        page[22..26].copy_from_slice(&crc);
        page.truncate(HEAD);
        plan.patches.push(Patch { at, bytes: page.into() });
    }
    Ok(Some(plan))
}

/// The page at `at`, if it is whole and good.
fn page_at(reader: &mut Reader<'_>, at: u64) -> io::Result<Option<Vec<u8>>> {
    let bytes = reader.bytes(at, MAX_PAGE)?;
    let Some(head) = Head::parse(bytes) else {
        return Ok(None);
    };
    let body = bytes
        .get(HEAD..HEAD + head.segments)
        .map(|table| table.iter().map(|len| usize::from(*len)).sum::<usize>());
    let page = body.and_then(|body| bytes.get(..HEAD + head.segments + body));
    Ok(page.filter(|page| page::checksum(page) == head.crc).map(<[u8]>::to_vec))
}
