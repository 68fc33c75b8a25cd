//! Serves what is shown live, and until the next recording of the room its archive: a playlist, and ranges of its files.
//!
//! The access token comes in the header, or for players that cannot send one in the address: then the playlist has it in its
//! addresses too. Who may be in the room may watch. While it is shown, a playlist with a part that is not there yet, and the bytes
//! that the playlist hints at, are waited for.

use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::FileExt;
use std::path::Path as FilePath;

use althing_recorder::container::hls::{Reload, Snapshot, Verdict};
use axum::extract::{ConnectInfo, Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use tokio::task::spawn_blocking;

use super::Recorder;
use super::audience::{Audience, Vain};
use super::http::{Refusal, may_record, not_recorded, other_room};
use super::live::NAME;

/// The longest range that is given at once, in bytes: what follows is asked for again.
const MAX_RANGE: u64 = 8 << 20;

/// What stands in the address behind the name.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    access_token: Option<String>,
    #[serde(rename = "_HLS_msn")]
    segment: Option<u64>,
    #[serde(rename = "_HLS_part")]
    part: Option<u64>,
}

impl Asked {
    /// What is waited for, if anything.
    fn reload(&self) -> Result<Option<Reload>, Refusal> {
        match (self.segment, self.part) {
            (None, Some(_)) => Err(bad("`_HLS_part` needs `_HLS_msn`.")),
            (segment, part) => Ok(segment.map(|segment| Reload { segment, part })),
        }
    }
}

fn bad(sentence: &str) -> Refusal {
    (StatusCode::BAD_REQUEST, sentence.to_owned())
}

fn vain(vain: Vain) -> Refusal {
    let unavailable = |sentence: &str| (StatusCode::SERVICE_UNAVAILABLE, sentence.to_owned());
    match vain {
        Vain::Far => bad("That is too far in the future."),
        Vain::Late => unavailable("It has not come in time."),
        Vain::Crowded => unavailable("Too many wait for it."),
    }
}

/// The playlist, or a part of a file. Whatever the answer is, pages from elsewhere may read it.
pub(super) async fn get(
    State(recorder): State<Recorder>,
    Path((room, file)): Path<(String, String)>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    Query(asked): Query<Asked>,
    mut headers: HeaderMap,
) -> Response {
    if let Some(token) = &asked.access_token
        && let Ok(bearer) = HeaderValue::from_str(&format!("Bearer {token}"))
    {
        headers.insert(header::AUTHORIZATION, bearer);
    }
    let audience = allowed(&recorder, &room, &headers);
    let answer = async {
        let audience = audience?;
        match kind(&file).ok_or_else(not_recorded)? {
            Kind::Playlist => playlist(audience, from.ip(), &asked).await,
            Kind::Media => media(audience, from.ip(), file, headers.get(header::RANGE)).await,
        }
    };
    let mut response = answer.await.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

/// What is shown of a room, for who may watch it.
fn allowed(recorder: &Recorder, room: &str, headers: &HeaderMap) -> Result<Audience, Refusal> {
    let claims = recorder.0.signalling.claims(headers)?;
    if !claims.video.joins(room) && !may_record(&claims, room) {
        return Err(other_room());
    }
    recorder.shown(room).ok_or_else(not_recorded)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Playlist,
    Media,
}

/// By the names that we give ourselves: there is no way to any other file.
fn kind(file: &str) -> Option<Kind> {
    let rest = file.strip_prefix(NAME)?;
    if rest == ".m3u8" {
        return Some(Kind::Playlist);
    }
    let number = rest.strip_prefix('-')?.strip_suffix(".mp4")?;
    number
        .bytes()
        .all(|digit| digit.is_ascii_digit())
        .then_some(Kind::Media)
}

async fn playlist(audience: Audience, from: IpAddr, asked: &Asked) -> Result<Response, Refusal> {
    let path = audience.folder().join(format!("{NAME}.m3u8"));
    let shown = match asked.reload()? {
        None => audience.now(),
        Some(reload) => audience
            .until(from, |shown| shown.answers(reload))
            .await
            .map_err(vain)?,
    };
    let text = match shown {
        Some(shown) => shown.text.clone(),
        None => Bytes::from(read(move || std::fs::read(path)).await?),
    };
    let body = match &asked.access_token {
        // A token that is valid has no letters that would have to be written otherwise.
        Some(token) => String::from_utf8_lossy(&text)
            .replace(".mp4", &format!(".mp4?access_token={token}"))
            .into(),
        None => text,
    };
    let headers = [
        (header::CONTENT_TYPE, "application/vnd.apple.mpegurl"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    Ok((headers, body).into_response())
}

async fn media(
    audience: Audience,
    from: IpAddr,
    file: String,
    range: Option<&HeaderValue>,
) -> Result<Response, Refusal> {
    let path = audience.folder().join(&file);
    let range = range.and_then(|range| parse(range.to_str().ok()?));
    // Of the file that grows, what the playlist tells.
    let grown = |shown: &Snapshot| (shown.uri == file).then_some(shown.len);
    let mut shown = audience.now();
    if let (Some((first, _)), Some(there)) = (range, shown.as_deref().and_then(grown))
        && first == there
    {
        let more = |shown: &Snapshot| match grown(shown) {
            Some(there) if there <= first => Verdict::Wait,
            _ => Verdict::Ready,
        };
        shown = audience.until(from, more).await.map_err(vain)?;
    }
    let size = shown.as_deref().and_then(grown);
    read(move || part(&path, size, range)).await
}

/// Reads on a thread that may be slow.
async fn read<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, Refusal> {
    let read = spawn_blocking(work).await.map_err(|_| not_recorded())?;
    read.map_err(|_| not_recorded())
}

/// A range of a file, of which there are so many bytes; all that it has otherwise.
fn part(path: &FilePath, size: Option<u64>, range: Option<(u64, Option<u64>)>) -> io::Result<Response> {
    let file = File::open(path)?;
    let size = size.map_or_else(|| file.metadata().map(|about| about.len()), Ok)?;
    let (from, until) = range.unwrap_or((0, None));
    let until = until.map_or(size, |last| last.saturating_add(1)).min(size);
    let whole = range.is_none();
    if from >= until || whole && size > MAX_RANGE {
        let size = [(header::CONTENT_RANGE, format!("bytes */{size}"))];
        return Ok((StatusCode::RANGE_NOT_SATISFIABLE, size).into_response());
    }
    let until = until.min(from.saturating_add(MAX_RANGE));
    let mut bytes = vec![0; usize::try_from(until - from).unwrap_or(0)];
    file.read_exact_at(&mut bytes, from)?;
    let headers = [
        (header::CONTENT_TYPE, "video/mp4".to_owned()),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
    ];
    if whole {
        return Ok((headers, bytes).into_response());
    }
    let range = [(header::CONTENT_RANGE, format!("bytes {from}-{}/{size}", until - 1))];
    Ok((StatusCode::PARTIAL_CONTENT, headers, range, bytes).into_response())
}

/// One range (RFC 9110 §14.1.2): from, and up to and with.
fn parse(range: &str) -> Option<(u64, Option<u64>)> {
    let (from, until) = range.strip_prefix("bytes=")?.split_once('-')?;
    let until = match until {
        "" => None,
        until => Some(until.parse().ok()?),
    };
    Some((from.parse().ok()?, until))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_shown_is_served() {
        assert_eq!(kind("live.m3u8"), Some(Kind::Playlist));
        assert_eq!(kind("live-001.mp4"), Some(Kind::Media));
        for other in [
            "events.jsonl",
            "t01-camera.webm",
            "live-../a.mp4",
            "live-a.mp4",
            "live",
            "live.m3u8/..",
        ] {
            assert_eq!(kind(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_waited_for_is_two_numbers() {
        let asked = |query: &str| {
            let uri = format!("/recordings/hall/live/live.m3u8?{query}")
                .parse()
                .expect("an address");
            let asked = Query::<Asked>::try_from_uri(&uri).map_err(|error| error.status())?;
            asked.reload().map_err(|(status, _)| status)
        };
        let reload = |segment, part| Ok(Some(Reload { segment, part }));
        assert_eq!(asked("_HLS_msn=7&access_token=x"), reload(7, None));
        assert_eq!(
            asked("_HLS_part=0&_HLS_msn=18446744073709551615&_HLS_skip=YES"),
            reload(u64::MAX, Some(0))
        );
        for nothing in ["", "access_token=x", "_HLS_skip=YES", "hls_msn=x"] {
            assert_eq!(asked(nothing), Ok(None), "{nothing}");
        }
        for wrong in [
            "_HLS_part=1",
            "_HLS_msn=",
            "_HLS_msn=-1",
            "_HLS_msn=1.5",
            "_HLS_msn=18446744073709551616",
            "_HLS_msn=1&_HLS_part=x",
            "_HLS_msn=1&_HLS_msn=2",
            "_HLS_msn=1&_HLS_part=%00",
        ] {
            assert_eq!(asked(wrong), Err(StatusCode::BAD_REQUEST), "{wrong}");
        }
    }

    #[test]
    fn ranges() {
        assert_eq!(parse("bytes=5-9"), Some((5, Some(9))));
        assert_eq!(parse("bytes=5-"), Some((5, None)));
        for none in ["bytes=-5", "bytes=5-9,11-12", "lines=1-2", "bytes=9", ""] {
            assert_eq!(parse(none), None, "{none}");
        }
    }
}
