//! HLS: a playlist on the disk, live and at the end, played by ffmpeg.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use althing_media_core::Codec;
use althing_recorder::container::Container;
use althing_recorder::container::hls::{self, PlaylistConfig};
use althing_recorder::file::{Disk, DiskConfig, Event, Sync, Writer, WriterConfig};
use althing_testkit::media;

use crate::tools::{Folder, decodes, format, interleaved, probe};

const SECOND: u64 = 1_000_000_000;

/// Records 14 s of picture and sound with a playlist; gives it as it was a moment before the end, and what was told.
fn record(folder: &Folder, segment: Option<Duration>) -> (String, Vec<Event>) {
    let (tell, told) = channel();
    let config = DiskConfig {
        sync: Sync::Never,
        ..DiskConfig::default()
    };
    let disk = Arc::new(Disk::start(config, move |event| tell.send(event).unwrap()).unwrap());
    let clips = [media::video(Codec::H264, 2), media::audio(2)];
    let config = WriterConfig {
        segment,
        playlist: Some(PlaylistConfig::default()),
        ..WriterConfig::new(Container::Mp4)
    };
    let mut writer = Writer::new(&disk, &folder.join("talk"), &clips.each_ref().map(format), config).unwrap();
    let place = folder.join("talk.m3u8");
    let ended = Arc::new(AtomicBool::new(false));
    let end = Arc::clone(&ended);
    writer.show(move |shown| {
        assert_eq!(std::fs::read(&place).unwrap(), shown.text, "what is told is there");
        let grown = std::fs::metadata(place.with_file_name(&shown.uri)).unwrap().len();
        assert_eq!(grown, shown.len, "and all that it names");
        assert!(!end.swap(shown.finished, Ordering::Relaxed), "the end is told last");
    });
    for (track, frame) in interleaved(&clips, 14 * SECOND) {
        writer.handle_frame(track, frame).unwrap();
    }
    while disk.queued() > 0 {
        std::thread::yield_now();
    }
    let live = std::fs::read_to_string(folder.join("talk.m3u8")).unwrap();
    writer.finish();
    // What was wrong on its thread would be heard here.
    drop(disk);
    assert!(ended.load(Ordering::Relaxed));
    (live, told.iter().collect())
}

/// All frames are found through the playlist.
fn is_whole(folder: &Folder) {
    let sound = interleaved(&[media::audio(2)], 14 * SECOND).len();
    let (packets, said) = probe(&folder.join("talk.m3u8"));
    assert_eq!(said, "");
    let count = |stream| packets.iter().filter(|packet| packet.0 == stream).count();
    assert_eq!((count(0), count(1)), (14 * 30, sound));
}

#[test]
fn a_recording_is_live_and_then_an_archive() {
    let folder = Folder::new("hls");
    let (live, _) = record(&folder, None);
    assert!(
        live.contains("#EXT-X-PART:") && live.contains("#EXT-X-PRELOAD-HINT:"),
        "{live}"
    );
    assert!(!live.contains("#EXT-X-ENDLIST"));
    is_whole(&folder);
    decodes(&folder.join("talk.m3u8"));
    decodes(&folder.join("talk.mp4"));
    // What a player saw that came while it was live.
    let path = folder.write("live.m3u8", &hls::close(&live).unwrap().into_bytes());
    decodes(&path);
    assert!(probe(&path).0.len() > 1000);
}

#[test]
fn a_recording_in_several_files_is_one_playlist() {
    let folder = Folder::new("hls-files");
    let (_, told) = record(&folder, Some(Duration::from_secs(6)));
    assert_eq!(
        told.iter()
            .filter(|event| matches!(event, Event::Finished { .. }))
            .count(),
        3
    );
    let end = std::fs::read_to_string(folder.join("talk.m3u8")).unwrap();
    assert_eq!(end.matches("#EXT-X-DISCONTINUITY\n").count(), 2, "{end}");
    is_whole(&folder);
    for number in 1..=3 {
        decodes(&folder.join(format!("talk-{number:03}.mp4")));
    }
}
