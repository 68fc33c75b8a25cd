//! Parts of files over HTTP (RFC 9110 §14), as a browser's player asks for them.
//!
//! An answer to a range holds at most [`LONGEST`] bytes, whatever was asked for (RFC 9110 §15.3.7 allows it): a browser has six
//! connections for a server, and a player that has enough for now would keep one of them waiting. Not here: which file is
//! meant, and who may have it; several ranges in one answer.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use axum::body::{Body, Bytes};
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::store::StoredFile;
use super::stream::Stream;

/// The most bytes of an answer to a range.
pub(super) const LONGEST: u64 = 1 << 20;
/// How much is read at once, and how many of such pieces wait for a slow reader.
const PIECE: u64 = 64 << 10;
const PIECES: usize = 2;
/// A reader that takes nothing for so long is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which bytes are wanted.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    /// All of them.
    All,
    /// From here, so many.
    Part(u64, u64),
    /// Some that are not there.
    Nothing,
}

/// The file, or what is wanted of it. The file is read elsewhere than where requests are answered.
pub(super) async fn serve(path: PathBuf, kind: &'static str, headers: &HeaderMap) -> io::Result<Response> {
    let (mut file, size, changed) = spawn_blocking(move || open(path)).await.map_err(io::Error::other)??;
    let (response, part) = answer(size, &format!("\"{size:x}-{changed:x}\""), kind, headers);
    let Some((from, length, pieces)) = part else {
        return Ok(response);
    };
    tokio::spawn(async move {
        let (mut at, end) = (from, from + length);
        while at < end {
            let most = PIECE.min(end - at);
            // A thread for one piece, not for as long as a slow reader takes.
            let read = spawn_blocking(move || {
                let piece = read(&mut file, at, most);
                (file, piece)
            });
            let Ok((back, piece)) = read.await else { return };
            at += piece.as_ref().map_or(0, |bytes| bytes.len() as u64);
            if !give(&pieces, piece).await {
                return;
            }
            file = back;
        }
    });
    Ok(response)
}

/// As [`serve`], of a file that is only in the store.
pub(super) fn serve_stored(stored: StoredFile, kind: &'static str, headers: &HeaderMap) -> Response {
    let (response, part) = answer(stored.bytes, &format!("\"{}\"", stored.sha256), kind, headers);
    if let Some((from, length, pieces)) = part {
        tokio::spawn(async move {
            let (mut at, end) = (from, from + length);
            while at < end {
                let until = end.min(at + LONGEST);
                let piece = stored.read(at..until).await;
                if !give(&pieces, piece).await {
                    return;
                }
                at = until;
            }
        });
    }
    response
}

/// Whether more is wanted: not by who has hung up, or takes nothing for [`PATIENCE`], nor behind what could not be read.
async fn give(pieces: &mpsc::Sender<io::Result<Bytes>>, piece: io::Result<Bytes>) -> bool {
    let good = piece.is_ok();
    let given = timeout(PATIENCE, pieces.send(piece)).await;
    good && matches!(given, Ok(Ok(())))
}

/// From where, how many bytes, and where to put them.
type Part = (u64, u64, mpsc::Sender<io::Result<Bytes>>);

/// The answer to who asks for a file of this size, and what is to be read for it.
fn answer(size: u64, tag: &str, kind: &'static str, headers: &HeaderMap) -> (Response, Option<Part>) {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let common = [
        (ACCEPT_RANGES, "bytes"),
        (CACHE_CONTROL, "private, no-cache"),
        (CONTENT_TYPE, kind),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    if text(IF_NONE_MATCH) == Some(tag) {
        return ((StatusCode::NOT_MODIFIED, common, [(ETAG, tag)]).into_response(), None);
    }
    // A part of what is another file by now would not fit to what the browser has.
    let same = text(IF_RANGE).is_none_or(|known| known == tag);
    let wanted = text(RANGE)
        .filter(|_| same)
        .map_or(Wanted::All, |range| wanted(range, size));
    let (status, from, length) = match wanted {
        Wanted::All => (StatusCode::OK, 0, size),
        Wanted::Part(from, length) => (StatusCode::PARTIAL_CONTENT, from, length),
        Wanted::Nothing => {
            let range = [(CONTENT_RANGE, format!("bytes */{size}"))];
            return ((StatusCode::RANGE_NOT_SATISFIABLE, common, range).into_response(), None);
        }
    };
    let (pieces, body) = mpsc::channel(PIECES);
    let about = [(ETAG, tag), (CONTENT_LENGTH, &length.to_string())];
    let mut response = (status, common, about).into_response();
    if status == StatusCode::PARTIAL_CONTENT {
        let range = format!("bytes {from}-{}/{size}", from + length - 1);
        insert(&mut response, CONTENT_RANGE, &range);
    }
    *response.body_mut() = Body::new(Stream(body));
    (response, Some((from, length, pieces)))
}

fn insert(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// The file, its size, and when it was changed, in nanoseconds since 1970. No links: they lead elsewhere.
fn open(path: PathBuf) -> io::Result<(File, u64, u128)> {
    if !std::fs::symlink_metadata(&path)?.is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let file = File::open(path)?;
    let about = file.metadata()?;
    let changed = about.modified()?.duration_since(SystemTime::UNIX_EPOCH);
    Ok((file, about.len(), changed.unwrap_or_default().as_nanos()))
}

/// The bytes from there on: so many, or fewer.
fn read(file: &mut File, at: u64, most: u64) -> io::Result<Bytes> {
    file.seek(SeekFrom::Start(at))?;
    let mut piece = vec![0; usize::try_from(most).unwrap_or(0)];
    let length = file.read(&mut piece)?;
    if length == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    piece.truncate(length);
    Ok(piece.into())
}

/// What a `Range` asks for of so many bytes. What cannot be understood is as good as not said (RFC 9110 §14.2).
fn wanted(range: &str, size: u64) -> Wanted {
    let ends = range
        .trim()
        .strip_prefix("bytes=")
        .and_then(|ends| ends.split_once('-'));
    let number = |text: &str| (!text.is_empty()).then(|| text.trim().parse::<u64>());
    let Some((first, last)) = ends else {
        return Wanted::All;
    };
    let (from, until) = match (number(first), number(last)) {
        (Some(Ok(from)), None) => (from, size),
        (Some(Ok(from)), Some(Ok(last))) if from <= last => (from, last.saturating_add(1).min(size)),
        (None, Some(Ok(length))) => (size.saturating_sub(length), size),
        _ => return Wanted::All,
    };
    if from >= until {
        return Wanted::Nothing;
    }
    Wanted::Part(from, (until - from).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_who_takes_nothing_holds_up_nobody() {
        let path = std::env::temp_dir().join(format!("althing-range-{}", std::process::id()));
        let bytes: Vec<u8> = (0..LONGEST)
            .map(|at| at.to_le_bytes()[0] ^ at.to_le_bytes()[1])
            .collect();
        std::fs::write(&path, &bytes).expect("a file");
        let mut threads = tokio::runtime::Builder::new_current_thread();
        let runtime = threads
            .enable_time()
            .max_blocking_threads(1)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let response = serve(path.clone(), "video/mp4", &HeaderMap::new())
                .await
                .expect("it is there");
            tokio::time::sleep(Duration::from_millis(50)).await;
            let other = timeout(Duration::from_secs(5), spawn_blocking(|| ())).await;
            let body = axum::body::to_bytes(response.into_body(), bytes.len())
                .await
                .expect("all of it");
            assert!(other.is_ok(), "the only thread waits for a reader");
            assert!(body == bytes);
        });
        std::fs::remove_file(path).expect("it was there");
    }

    #[test]
    fn ranges_of_ten_bytes() {
        for (range, expected) in [
            ("bytes=0-", Wanted::Part(0, 10)),
            ("bytes=2-3", Wanted::Part(2, 2)),
            ("bytes=9-9", Wanted::Part(9, 1)),
            ("bytes=5-500", Wanted::Part(5, 5)),
            ("bytes=-3", Wanted::Part(7, 3)),
            ("bytes=-30", Wanted::Part(0, 10)),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=3-2", Wanted::All),
            ("bytes=0-1,4-5", Wanted::All),
            ("bytes=18446744073709551616-", Wanted::All),
            ("bytes=0-18446744073709551615", Wanted::Part(0, 10)),
            ("lines=1-2", Wanted::All),
            ("bytes=-", Wanted::All),
        ] {
            assert_eq!(wanted(range, 10), expected, "{range}");
        }
        assert_eq!(wanted("bytes=5-", 10 * LONGEST), Wanted::Part(5, LONGEST));
        assert_eq!(wanted("bytes=0-", 0), Wanted::Nothing);
    }
}
