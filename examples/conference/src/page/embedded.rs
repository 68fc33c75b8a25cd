//! The files of the page that are part of the program.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::io::Write;

use axum::body::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::sync::OnceCell;
use tokio::task::spawn_blocking;

use super::{Found, kind};

/// What is smaller, in bytes, is sent as it is.
const WORTH_PACKING: usize = 1024;

macro_rules! files {
    ($($name:literal),* $(,)?) => { &[$(($name, include_bytes!(concat!("../../page/", $name)))),*] };
}

/// All of them, with their path in the folder `page`.
const FILES: &[(&str, &[u8])] = files![
    "icon.svg",
    "index.html",
    "js/app.js",
    "js/call.js",
    "js/chat.js",
    "js/company.js",
    "js/controls.js",
    "js/devices.js",
    "js/dom.js",
    "js/encryption.js",
    "js/float.js",
    "js/hands.js",
    "js/invitation.js",
    "js/keys.js",
    "js/layout.js",
    "js/lobby.js",
    "js/mix.js",
    "js/news.js",
    "js/panels.js",
    "js/people.js",
    "js/preferences.js",
    "js/recording.js",
    "js/settings.js",
    "js/sound.js",
    "js/stage.js",
    "js/subscriptions.js",
    "js/theme.js",
    "js/tile.js",
    "js/watch/app.js",
    "js/watch/archive.js",
    "js/watch/beside.js",
    "js/watch/captions.js",
    "js/watch/clock.js",
    "js/watch/ensemble.js",
    "js/watch/part.js",
    "js/watch/player.js",
    "js/watch/scene.js",
    "js/watch/score.js",
    "js/watch/shelf.js",
    "js/watch/tile.js",
    "js/watch/timebar.js",
    "js/watch/wording.js",
    "js/wording.js",
    "style/base.css",
    "style/call.css",
    "style/lobby.css",
    "style/panels.css",
    "style/stage.css",
    "style/watch.css",
    "vendor/SHA256SUMS",
    "vendor/livekit-client.LICENSE",
    "vendor/livekit-client.e2ee.worker.mjs",
    "vendor/livekit-client.esm.mjs",
    "vendor/livekit-client.version",
    "watch.html",
];

/// One file.
#[derive(Debug)]
struct File {
    kind: &'static str,
    plain: &'static [u8],
    tag: u64,
    /// Compressed when the first one asks for it; empty when that is not worth while.
    packed: OnceCell<Bytes>,
}

/// All files by their path.
#[derive(Debug)]
pub(super) struct Embedded(HashMap<&'static str, File>);

impl Embedded {
    pub(super) fn new() -> Self {
        let file = |&(name, plain): &(&'static str, &'static [u8])| {
            let file = File {
                kind: kind(name),
                plain,
                tag: BuildHasherDefault::<DefaultHasher>::default().hash_one(plain),
                packed: OnceCell::new(),
            };
            (name, file)
        };
        Self(FILES.iter().map(file).collect())
    }

    /// The file of that path. The first time it is asked for in compressed form costs some milliseconds for the largest.
    pub(super) async fn find(&self, name: &str, packed: bool) -> Option<Found> {
        let file = self.0.get(name)?;
        if packed {
            let body = file.packed.get_or_init(|| pack(file.plain)).await.clone();
            if !body.is_empty() {
                return Some(Found {
                    kind: file.kind,
                    tag: format!("\"{:x}-gz\"", file.tag),
                    packed: true,
                    body,
                });
            }
        }
        Some(Found {
            kind: file.kind,
            tag: format!("\"{:x}\"", file.tag),
            packed: false,
            body: Bytes::from_static(file.plain),
        })
    }
}

/// Compresses, elsewhere than where requests are answered. Empty when there is nothing to win.
async fn pack(plain: &'static [u8]) -> Bytes {
    if plain.len() < WORTH_PACKING {
        return Bytes::new();
    }
    let work = move || {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(plain).and_then(|()| encoder.finish())
    };
    match spawn_blocking(work).await {
        Ok(Ok(packed)) if packed.len() < plain.len() => Bytes::from(packed),
        _ => Bytes::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::Read;
    use std::path::Path;

    use flate2::read::GzDecoder;

    use super::*;

    fn walk(folder: &Path, prefix: &str, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let name = format!("{prefix}{}", entry.file_name().into_string().unwrap());
            if entry.path().is_dir() {
                walk(&entry.path(), &format!("{name}/"), found);
            } else {
                found.insert(name);
            }
        }
    }

    #[test]
    fn every_file_of_the_folder_is_part_of_the_program() {
        let mut there = BTreeSet::new();
        walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("page"), "", &mut there);
        let listed: BTreeSet<String> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(listed, there);
    }

    #[tokio::test]
    async fn a_large_file_is_sent_compressed_to_whom_takes_it() {
        let embedded = Embedded::new();
        let plain = embedded.find("index.html", false).await.unwrap();
        let packed = embedded.find("index.html", true).await.unwrap();
        assert!(!plain.packed && packed.packed && packed.body.len() < plain.body.len());
        assert_ne!(plain.tag, packed.tag, "they are not the same bytes");
        let mut text = Vec::new();
        GzDecoder::new(&*packed.body).read_to_end(&mut text).unwrap();
        assert_eq!(text, plain.body);
        assert!(embedded.find("../Cargo.toml", false).await.is_none());
    }
}
