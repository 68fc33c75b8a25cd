//! Serves what is shown live, and until the next recording of the room its archive: a playlist, and ranges of its files.
//!
//! The access token comes in the header, or for players that cannot send one in the address: then the playlist has it in its
//! addresses too. Who may be in the room may watch.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path as FilePath;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::task::spawn_blocking;

use super::Recorder;
use super::http::{Refusal, may_record, not_recorded, other_room};
use super::live::NAME;

/// The longest range that is given at once, in bytes: what follows is asked for again.
const MAX_RANGE: u64 = 8 << 20;

#[derive(Debug, Deserialize)]
pub(super) struct Token {
    access_token: Option<String>,
}

/// The playlist, or a part of a file.
pub(super) async fn get(
    State(recorder): State<Recorder>,
    Path((room, file)): Path<(String, String)>,
    Query(token): Query<Token>,
    mut headers: HeaderMap,
) -> Result<Response, Refusal> {
    if let Some(token) = &token.access_token
        && let Ok(bearer) = HeaderValue::from_str(&format!("Bearer {token}"))
    {
        headers.insert(header::AUTHORIZATION, bearer);
    }
    let claims = recorder.0.signalling.claims(&headers)?;
    if !claims.video.joins(&room) && !may_record(&claims, &room) {
        return Err(other_room());
    }
    let folder = recorder.shown(&room).ok_or_else(not_recorded)?;
    let kind = kind(&file).ok_or_else(not_recorded)?;
    let path = folder.join(&file);
    let range = headers.get(header::RANGE).and_then(|range| parse(range.to_str().ok()?));
    let read = spawn_blocking(move || match kind {
        Kind::Playlist => playlist(&path, token.access_token.as_deref()),
        Kind::Media => media(&path, range),
    });
    let read = read.await.map_err(|_| not_recorded())?;
    let mut response = read.map_err(|_| not_recorded())?;
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    Ok(response)
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

fn playlist(path: &FilePath, token: Option<&str>) -> io::Result<Response> {
    let mut text = std::fs::read_to_string(path)?;
    if let Some(token) = token {
        // A token that is valid has no letters that would have to be written otherwise.
        text = text.replace(".mp4", &format!(".mp4?access_token={token}"));
    }
    let headers = [
        (header::CONTENT_TYPE, "application/vnd.apple.mpegurl"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    Ok((headers, text).into_response())
}

fn media(path: &FilePath, range: Option<(u64, Option<u64>)>) -> io::Result<Response> {
    let file = File::open(path)?;
    let size = file.metadata()?.len();
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
    fn ranges() {
        assert_eq!(parse("bytes=5-9"), Some((5, Some(9))));
        assert_eq!(parse("bytes=5-"), Some((5, None)));
        for none in ["bytes=-5", "bytes=5-9,11-12", "lines=1-2", "bytes=9", ""] {
            assert_eq!(parse(none), None, "{none}");
        }
    }
}
