//! The page: its files are part of the program.

use axum::Router;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::response::IntoResponse;
use axum::routing::get;

/// Path, content type, text.
const FILES: [(&str, &str, &str); 10] = [
    ("/", "text/html; charset=utf-8", include_str!("../page/index.html")),
    (
        "/style.css",
        "text/css; charset=utf-8",
        include_str!("../page/style.css"),
    ),
    ("/app.js", SCRIPT, include_str!("../page/app.js")),
    ("/devices.js", SCRIPT, include_str!("../page/devices.js")),
    ("/room.js", SCRIPT, include_str!("../page/room.js")),
    ("/session.js", SCRIPT, include_str!("../page/session.js")),
    ("/tiles.js", SCRIPT, include_str!("../page/tiles.js")),
    ("/icon.svg", "image/svg+xml", include_str!("../page/icon.svg")),
    ("/favicon.ico", "image/svg+xml", include_str!("../page/icon.svg")),
    ("/icons.svg", "image/svg+xml", include_str!("../page/icons.svg")),
];

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Only our own files, no frames around us: the page holds a token that lets in whoever reads it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      media-src 'self' blob: mediastream:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// Serves the files.
pub(crate) fn routes() -> Router {
    FILES.into_iter().fold(Router::new(), |router, (path, kind, text)| {
        router.route(path, get(move || async move { file(kind, text) }))
    })
}

fn file(kind: &'static str, text: &'static str) -> impl IntoResponse {
    let headers = [
        (CONTENT_TYPE, kind),
        // A newer server must not meet an older page.
        (CACHE_CONTROL, "no-cache"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    (headers, text)
}
