//! A recording that is kept: what it holds, its files, its end. Which there are, the index tells.
//!
//! | request | who | |
//! |---|---|---|
//! | `GET /recordings/{room}/{recording}` | as for the beginning of one | its manifest, and a pass for its files |
//! | `GET /recordings/{room}/{recording}/{pass}/{file}` | who has the pass | a file, or a part of it |
//! | `DELETE /recordings/{room}/{recording}` | a token with `roomAdmin` for the room | its media are deleted |
//!
//! A player in a browser cannot send a token with what it asks for, so the files are asked for with a pass: a name with
//! a time that this server has sealed. What is asked for is never a path: names of recordings and files are plain, and a
//! recording belongs to the room that its own log names.

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path as FilePath, PathBuf};

use althing_recorder::recording::Entry;
use althing_recorder::recording::entry::DeleteReason;
use althing_recorder::recording::folder::{self, LOG, MANIFEST, State as FolderState};
use aws_lc_rs::hmac;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use tokio::task::spawn_blocking;

use super::http::{Refusal, recording_of};
use super::{Recorder, range, unix_ms};

/// How long a pass is good, in milliseconds: for a long meeting, watched with breaks.
const PASS_MS: u64 = 12 * 3_600_000;
/// What passes are sealed for, so that the secret that signs logs seals nothing else by accident.
const PURPOSE: &str = "althing: a pass for the files of a recording";
/// The largest manifest that is read, in bytes.
const MAX_MANIFEST: u64 = 64 << 20;
/// The longest first line of a log, in bytes.
const MAX_LINE: u64 = 64 << 10;
/// Files with captions of a recording that are told.
const MAX_CAPTIONS: usize = 32;

pub(super) fn routes() -> Router<Recorder> {
    Router::new()
        .route("/recordings/{room}/{recording}", get(open).delete(delete))
        .route("/recordings/{room}/{recording}/{pass}/{file}", get(file))
}

fn not_found() -> Refusal {
    (StatusCode::NOT_FOUND, "There is no such recording.".to_owned())
}

fn being_made() -> Refusal {
    (StatusCode::CONFLICT, "The recording is still being made.".to_owned())
}

fn unreadable(error: &io::Error) -> Refusal {
    if error.kind() == io::ErrorKind::NotFound {
        return not_found();
    }
    tracing::warn!(%error, "a recording cannot be read");
    let sentence = "The recording cannot be read.".to_owned();
    (StatusCode::INTERNAL_SERVER_ERROR, sentence)
}

async fn open(
    State(recorder): State<Recorder>,
    Path((room, recording)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let claims = recording_of(&recorder, &headers, &room)?;
    let path = recorder.path(&room, &recording).ok_or_else(not_found)?;
    let read = spawn_blocking(move || Ok((manifest(&path)?, captions(&path)))).await;
    let read = read.map_err(io::Error::other).and_then(|read| read);
    let (manifest, captions) = read.map_err(|error| unreadable(&error))?;
    let manifest = manifest.ok_or_else(being_made)?;
    let until = unix_ms() + PASS_MS;
    let about = serde_json::json!({
        "pass": recorder.pass(&recording, until),
        "captions": captions,
        "may_delete": claims.video.administers(&room),
    });
    // The manifest goes through as it is, whatever a later version puts into it.
    let mut body = about.to_string().into_bytes();
    body.pop();
    body.extend_from_slice(b",\"manifest\":");
    body.extend_from_slice(&manifest);
    body.push(b'}');
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from(body)).into_response())
}

async fn file(
    State(recorder): State<Recorder>,
    Path((_, recording, pass, file)): Path<(String, String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    if !recorder.admits(&recording, &pass, unix_ms()) {
        let sentence = "This link has expired: open the recording again.".to_owned();
        return Err((StatusCode::FORBIDDEN, sentence));
    }
    let kind = kind(&file).filter(|_| is_plain(&recording)).ok_or_else(not_found)?;
    let folder = recorder.0.folder.join(recording);
    let served = range::serve(folder.join(&file), kind, &headers).await;
    if let Some(store) = &recorder.0.store
        && matches!(&served, Err(error) if error.kind() == io::ErrorKind::NotFound)
        && let Some(stored) = store.stored(&folder, &file).await
    {
        return Ok(range::serve_stored(stored, kind, &headers));
    }
    served.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => (StatusCode::NOT_FOUND, "There is no such file.".to_owned()),
        _ => unreadable(&error),
    })
}

async fn delete(
    State(recorder): State<Recorder>,
    Path((room, recording)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, Refusal> {
    let claims = recorder.0.signalling.claims(&headers)?;
    if !claims.video.administers(&room) {
        let sentence = "The access token does not allow to delete recordings of this room.";
        return Err((StatusCode::FORBIDDEN, sentence.to_owned()));
    }
    let path = recorder.path(&room, &recording).ok_or_else(not_found)?;
    if !path.join(MANIFEST).exists() {
        return Err(being_made());
    }
    let deleted = spawn_blocking(move || {
        let signer = recorder.signer()?;
        let delete = |path: &FilePath| folder::delete(path, DeleteReason::Requested, signer, unix_ms());
        recorder.change(&recording, delete)
    })
    .await;
    let deleted = deleted.map_err(io::Error::other).and_then(|state| state);
    match deleted.map_err(|error| unreadable(&error))? {
        FolderState::Complete => Ok(StatusCode::NO_CONTENT),
        FolderState::InUse => Err(being_made()),
        FolderState::Damaged(fault) => {
            let sentence = format!("The recording's log was changed ({fault:?}), so that nothing can be proved by it.");
            Err((StatusCode::CONFLICT, sentence))
        }
        _ => Err(not_found()),
    }
}

impl Recorder {
    /// The folder of a recording, if there is one of that name and it is of this room.
    fn path(&self, room: &str, recording: &str) -> Option<PathBuf> {
        let path = self.0.folder.join(Some(recording).filter(|name| is_plain(name))?);
        (room_of(&path)? == room).then_some(path)
    }

    /// Lets who has it have the files of a recording until then, in milliseconds since 1970.
    fn pass(&self, recording: &str, until: u64) -> String {
        let seal = hmac::sign(&self.sealing(), format!("{until} {recording}").as_bytes());
        let seal: String = seal.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{until}-{seal}")
    }

    fn admits(&self, recording: &str, pass: &str, now: u64) -> bool {
        let Some((until, seal)) = pass.split_once('-') else {
            return false;
        };
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        let seal: Option<Vec<u8>> = seal.as_bytes().chunks(2).map(byte).collect();
        let sealed = format!("{until} {recording}");
        let genuine = |seal: Vec<u8>| hmac::verify(&self.sealing(), sealed.as_bytes(), &seal).is_ok();
        until.parse().is_ok_and(|until: u64| now < until) && seal.is_some_and(genuine)
    }

    fn sealing(&self) -> hmac::Key {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, &self.0.secret);
        hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&secret, PURPOSE.as_bytes()).as_ref())
    }
}

/// Letters, digits and `-`: what we call recordings.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// The content type of a file that a player may have; none for the others, and for what is no plain name.
fn kind(file: &str) -> Option<&'static str> {
    let (name, end) = file.rsplit_once('.')?;
    if !name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        || name.is_empty()
    {
        return None;
    }
    Some(match end {
        "webm" => "video/webm",
        "mkv" => "video/x-matroska",
        "mp4" => "video/mp4",
        "ogg" => "audio/ogg",
        "vtt" => "text/vtt; charset=utf-8",
        _ => return None,
    })
}

/// The room that the first line of a recording's log names.
fn room_of(path: &FilePath) -> Option<String> {
    #[derive(Deserialize)]
    struct Line {
        #[serde(flatten)]
        entry: Entry,
    }
    let mut line = String::new();
    let file = fs::File::open(path.join(LOG)).ok()?;
    BufReader::new(file.take(MAX_LINE)).read_line(&mut line).ok()?;
    match serde_json::from_str(&line).ok()? {
        Line {
            entry: Entry::Opened { room, .. },
        } => Some(room),
        _ => None,
    }
}

/// The bytes of the manifest, if there is one yet.
fn manifest(path: &FilePath) -> io::Result<Option<Vec<u8>>> {
    let file = match fs::File::open(path.join(MANIFEST)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if file.metadata()?.len() > MAX_MANIFEST {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut bytes = Vec::new();
    file.take(MAX_MANIFEST).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// The names of the files with captions: `captions.vtt`, or `captions-de.vtt` for a language.
fn captions(path: &FilePath) -> Vec<String> {
    let files = fs::read_dir(path).into_iter().flatten().flatten();
    let names = files.filter_map(|file| file.file_name().into_string().ok());
    let captions = |name: &String| name.starts_with("captions") && name.ends_with(".vtt") && kind(name).is_some();
    let mut names: Vec<String> = names.filter(captions).take(MAX_CAPTIONS).collect();
    names.sort_unstable();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_files_and_recordings() {
        assert_eq!(kind("t01-microphone.webm"), Some("video/webm"));
        assert_eq!(kind("captions-de.vtt"), Some("text/vtt; charset=utf-8"));
        for name in [
            "../t.webm",
            "a/b.webm",
            "..webm",
            ".webm",
            "events.jsonl",
            "manifest.json",
            "t.webm/",
            "t\\.webm",
            "a%2fb.webm",
            "webm",
            "",
        ] {
            assert_eq!(kind(name), None, "{name}");
        }
        assert!(is_plain("1700000000000-hall"));
        for name in ["", ".", "..", "a/b", "a.b", "a b", "é"] {
            assert!(!is_plain(name), "{name}");
        }
    }
}
