//! Files that were cut off anywhere, and a folder after a crash.

use std::fs::{self, File};

use althing_media_core::Codec;
use althing_recorder::container::Container;
use althing_recorder::recover::{self, Outcome, Recovered};
use althing_testkit::media::{self, Clip};

use crate::tools::{Folder, checked, decodes, duration, mux, probe};

const SECOND: u64 = 1_000_000_000;

fn kinds() -> [(Container, Vec<Clip>); 4] {
    [
        (Container::WebM, vec![media::video(Codec::Vp8, 2), media::audio(2)]),
        (Container::Matroska, vec![media::video(Codec::H264, 2), media::audio(2)]),
        (Container::Mp4, vec![media::video(Codec::Av1, 2), media::audio(2)]),
        (Container::Ogg, vec![media::audio(2)]),
    ]
}

#[test]
fn a_file_cut_anywhere_is_closed() {
    let folder = Folder::new("cut");
    for (container, clips) in kinds() {
        let (before, _) = mux(container, &clips, 4 * SECOND);
        let path = folder.join(format!("cut.{}", container.extension()));
        let mut last = 0;
        for len in (0..before.len()).step_by(before.len() / 61) {
            fs::write(&path, &before[..len]).unwrap();
            match recover::file(&path).unwrap() {
                Outcome::Repaired { cut, end } => {
                    assert!(cut < len as u64 && end.0 >= last, "{container:?} {len}: {cut} {end:?}");
                    last = end.0;
                }
                Outcome::Empty => {
                    assert_eq!(last, 0, "{container:?}: nothing is left of {len} bytes");
                    assert_eq!(fs::metadata(&path).unwrap().len(), len as u64, "left as it is");
                    continue;
                }
                other => panic!("{other:?}"),
            }
            let recovered = fs::read(&path).unwrap();
            assert_eq!(recover::file(&path).unwrap(), Outcome::Finished);
            assert!(fs::read(&path).unwrap() == recovered, "the second time changes nothing");
        }
        assert!(last > 2 * SECOND);
        // The last of them, all but whole.
        decodes(&path);
        checked(container, &path);
        #[expect(clippy::cast_precision_loss, reason = "seconds of a test")]
        let end = last as f64 / 1e9;
        assert!(
            (duration(&path) - end).abs() < 0.03,
            "{container:?}: {} for {end}",
            duration(&path)
        );
        assert_eq!(probe(&path).1, "");
    }
}

#[test]
fn a_finished_file_is_left_alone() {
    let folder = Folder::new("finished");
    for (container, clips) in kinds() {
        let (_, after) = mux(container, &clips, 2 * SECOND);
        let path = folder.write(&format!("talk.{}", container.extension()), &after);
        assert_eq!(recover::file(&path).unwrap(), Outcome::Finished);
        assert!(fs::read(&path).unwrap() == after);
        // Not quite finished: the machine died between the last patches.
        let mut torn = after.clone();
        torn.truncate(after.len() - 1);
        fs::write(&path, &torn).unwrap();
        assert!(
            matches!(recover::file(&path).unwrap(), Outcome::Repaired { .. }),
            "{container:?}"
        );
        decodes(&path);
        checked(container, &path);
    }
}

/// Files that ffmpeg wrote, with a layout of its own.
#[test]
fn files_of_others_are_not_harmed() {
    let folder = Folder::new("others");
    for (container, clips) in kinds() {
        let (_, ours) = mux(container, &clips, 2 * SECOND);
        let extension = container.extension();
        let source = folder.write(&format!("ours.{extension}"), &ours);
        let theirs = folder.join(format!("theirs.{extension}"));
        let arguments = [
            "-nostdin",
            "-v",
            "error",
            "-i",
            source.to_str().unwrap(),
            "-c",
            "copy",
            theirs.to_str().unwrap(),
        ];
        assert!(crate::tools::run("ffmpeg", &arguments).status.success());
        let before = fs::read(&theirs).unwrap();
        let outcome = recover::file(&theirs).unwrap();
        // An MP4 that is no fragmented one is none of ours.
        assert!(
            matches!(outcome, Outcome::Finished | Outcome::Empty),
            "{container:?}: {outcome:?}"
        );
        assert!(fs::read(&theirs).unwrap() == before);
    }
}

#[test]
fn a_folder_is_recovered() {
    let folder = Folder::new("folder");
    let (_, clips) = &kinds()[0];
    let (before, after) = mux(Container::WebM, clips, 2 * SECOND);
    fs::create_dir_all(folder.join("hall/monday")).unwrap();
    folder.write("hall/crashed.webm", &before);
    folder.write("hall/monday/good.webm", &after);
    folder.write("hall/nothing.mp4", b"");
    folder.write("hall/notes.txt", b"notes");
    folder.write(
        "hall/talk.m3u8",
        b"#EXTM3U\n#EXT-X-PART:DURATION=0.500,URI=\"talk.mp4\",BYTERANGE=\"9@5\"\n#EXT-X-PR",
    );
    let busy = folder.write("hall/busy.webm", &before);
    let lock = File::open(&busy).unwrap();
    lock.lock().unwrap();
    let mut told = Vec::new();
    let mut tell = |Recovered { path, outcome }: Recovered| {
        let name = path.strip_prefix(folder.path()).unwrap().to_str().unwrap().to_owned();
        told.push((name, outcome.unwrap()));
    };
    recover::directory(folder.path(), &mut tell).unwrap();
    let told: Vec<(&str, Outcome)> = told.iter().map(|(name, outcome)| (name.as_str(), *outcome)).collect();
    assert!(
        matches!(
            told[..],
            [
                ("hall/busy.webm", Outcome::InUse),
                ("hall/crashed.webm", Outcome::Repaired { cut: 0, .. }),
                ("hall/monday/good.webm", Outcome::Finished),
                ("hall/nothing.mp4", Outcome::Empty),
                ("hall/talk.m3u8", Outcome::Repaired { .. }),
            ]
        ),
        "{told:?}"
    );
    assert_eq!(fs::read(&busy).unwrap(), before);
    decodes(&folder.join("hall/crashed.webm"));
    let playlist = fs::read_to_string(folder.join("hall/talk.m3u8")).unwrap();
    assert_eq!(
        playlist,
        "#EXTM3U\n#EXTINF:0.500,\n#EXT-X-BYTERANGE:9@5\ntalk.mp4\n#EXT-X-ENDLIST\n"
    );
    assert!(recover::directory(&folder.join("none"), &mut |_| {}).is_err());
}
