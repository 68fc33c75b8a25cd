//! Serves the page at `/`, and the one of recordings at `/watch`: the files that are part of the program, or those of a folder
//! in their place.
//!
//! Every answer carries a tag of what the file holds, so that a browser that has it is told so and nothing else; the files of
//! the program are also sent compressed. No listings of folders, no ranges.

mod embedded;
mod folder;

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use self::embedded::Embedded;
use self::folder::Folder;
pub(crate) use self::folder::PageError;

/// Only our own files and our own server, no frames around us: the page holds a token that lets in whoever reads it.
const POLICY: &str = "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; media-src 'self' blob: mediastream:; manifest-src 'self'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Where the files come from.
#[derive(Debug)]
enum Files {
    Embedded(Embedded),
    Folder(Folder),
}

/// One file, as it is sent.
#[derive(Debug)]
struct Found {
    kind: &'static str,
    /// Strong (RFC 9110 §8.8.3), with its quotes.
    tag: String,
    /// Whether `body` is compressed with gzip.
    packed: bool,
    body: Bytes,
}

/// Serves the files of the program, or those of `folder`.
///
/// # Errors
/// When the folder is no folder, or holds no page.
pub(crate) fn routes(folder: Option<PathBuf>) -> Result<Router, PageError> {
    let files = Arc::new(match folder {
        Some(folder) => Files::Folder(Folder::open(folder)?),
        None => Files::Embedded(Embedded::new()),
    });
    // The path `/` is named, because others answer it too, with other methods.
    Ok(Router::new()
        .route("/", get(file))
        .fallback(get(file))
        .with_state(files))
}

async fn file(State(files): State<Arc<Files>>, uri: Uri, headers: HeaderMap) -> Response {
    let name = match uri.path().trim_start_matches('/') {
        "" => "index.html",
        "watch" => "watch.html",
        "favicon.ico" => "icon.svg",
        name => name,
    };
    let found = match &*files {
        Files::Embedded(embedded) => embedded.find(name, takes_gzip(&headers)).await,
        Files::Folder(folder) => folder.find(name).await,
    };
    let Some(found) = found else {
        return (StatusCode::NOT_FOUND, "there is no such page here\n").into_response();
    };
    let common: [(HeaderName, &str); 5] = [
        // A newer server must not meet an older page: ask each time, with the tag.
        (CACHE_CONTROL, "no-cache"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (VARY, "accept-encoding"),
    ];
    if names(&headers, IF_NONE_MATCH, |tag| tag == found.tag || tag == "*") {
        return (StatusCode::NOT_MODIFIED, common, [(ETAG, found.tag)]).into_response();
    }
    let kind = [(CONTENT_TYPE, found.kind)];
    let packed = found.packed.then_some([(CONTENT_ENCODING, "gzip")]);
    match packed {
        Some(packed) => (common, kind, [(ETAG, found.tag)], packed, found.body).into_response(),
        None => (common, kind, [(ETAG, found.tag)], found.body).into_response(),
    }
}

/// Whether gzip is among what the browser takes. A weight of zero, which no browser sends, is not looked at.
fn takes_gzip(headers: &HeaderMap) -> bool {
    names(headers, ACCEPT_ENCODING, |coding| {
        coding.split(';').next().is_some_and(|name| name.trim() == "gzip")
    })
}

/// Whether one of the values of a header, which is a list with commas, is as wanted.
fn names(headers: &HeaderMap, name: HeaderName, wanted: impl Fn(&str) -> bool) -> bool {
    let values = headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        // Proxies that compress make a strong tag a weak one.
        .map(|value| value.trim().trim_start_matches("W/"))
        .any(wanted)
}

/// The content type of a file, by the end of its name.
fn kind(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        "mp3" => "audio/mpeg",
        "ogg" => "audio/ogg",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[tokio::test]
    async fn what_the_browser_has_is_not_sent_again() {
        let files = State(Arc::new(Files::Embedded(Embedded::new())));
        let uri = Uri::from_static("/");
        let first = file(files.clone(), uri.clone(), HeaderMap::new()).await;
        assert_eq!(first.status(), StatusCode::OK);
        let tag = first.headers()[ETAG].to_str().unwrap().to_owned();
        for (given, status) in [
            (tag.clone(), StatusCode::NOT_MODIFIED),
            (format!("\"other\", W/{tag}"), StatusCode::NOT_MODIFIED),
            ("\"other\"".to_owned(), StatusCode::OK),
        ] {
            let answer = file(files.clone(), uri.clone(), headers(IF_NONE_MATCH, &given)).await;
            assert_eq!(answer.status(), status, "{given}");
        }
        let none = file(files, Uri::from_static("/nothing.js"), HeaderMap::new()).await;
        assert_eq!(none.status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn gzip_is_found_among_what_a_browser_takes() {
        for (value, takes) in [
            ("gzip", true),
            ("deflate, gzip;q=0.8, br", true),
            ("br", false),
            ("x-gzipped", false),
        ] {
            assert_eq!(takes_gzip(&headers(ACCEPT_ENCODING, value)), takes, "{value}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
