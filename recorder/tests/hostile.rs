//! What a hostile sender can make of a recording: memory stays within a stated bound, and the file is one.
//!
//! Real pictures, coded by ffmpeg, go as RTP packets into a folder and are spoiled on the way. A binary of its own, and one test,
//! because memory is counted for the whole process.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use althing_media_core::packet::RtpWriter;
use althing_media_core::{Codec, CodecParams, ExtensionMap, MediaKind, Pt, Ssrc};
use althing_recorder::file::{Disk, DiskConfig, Sync};
use althing_recorder::recording::folder::{Folder, MANIFEST};
use althing_recorder::recording::{Manifest, Person, PersonId, Recording, RecordingConfig, Signer, TrackInfo};
use althing_testkit::Rng;
use althing_testkit::alloc::{CountingAllocator, peak_during};
use althing_testkit::media::{self, Clip};
use althing_testkit::scratch::Scratch;
use bytes::Bytes;
use rtc_rtp::codec::vp8::Vp8Payloader;
use rtc_rtp::packetizer::Payloader;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const VP8: CodecParams = CodecParams::new(Codec::Vp8, Pt::new(96));
const SSRC: Ssrc = Ssrc(7);
const MTU: usize = 1100;
/// What a track may hold: a frame of 4 MiB that is put together, as its buffer doubles; 4 MiB of frames that wait for the clock
/// of their stream; a fragment of 8 MiB with its index. What good media needs is far less.
const BOUND: usize = 24 << 20;
/// Of the clip, so often.
const ROUNDS: usize = 3;

/// A recording of one camera, and where its stream is.
struct Camera {
    folder: Folder,
    disk: Arc<Disk>,
    now: Instant,
    seq: u16,
}

impl Camera {
    fn new(path: &Path) -> Self {
        let now = Instant::now();
        let signer = Signer::from_seed(&[5; 32]).unwrap();
        let config = RecordingConfig::new("hostile", 1_700_000_000_000, signer).by(Person::new("eve", "Eve"));
        let config_of_disk = DiskConfig {
            sync: Sync::Never,
            ..DiskConfig::default()
        };
        let disk = Arc::new(Disk::start(config_of_disk, |event| eprintln!("{event}")).unwrap());
        let mut folder = Folder::create(path, &disk, Recording::new(now, config)).unwrap();
        let info = TrackInfo {
            person: PersonId(1),
            kind: MediaKind::Video,
            source: "camera".to_owned(),
            ssrc: SSRC,
            codecs: vec![VP8],
            extensions: ExtensionMap::new(),
        };
        folder.recording().handle_track_added(now, info);
        Self {
            folder,
            disk,
            now,
            seq: 0,
        }
    }

    fn packet(&mut self, marker: bool, timestamp: u32, payload: &[u8]) {
        let mut buffer = [0; MTU + 64];
        let mut writer = RtpWriter::new(&mut buffer, VP8.pt, marker, self.seq, timestamp, SSRC);
        writer.payload(payload);
        let (_, len) = writer.finish().unwrap();
        self.seq = self.seq.wrapping_add(1);
        let packet = Bytes::copy_from_slice(&buffer[..len]);
        self.folder.recording().handle_packet(self.now, &packet);
        self.folder.drain().unwrap();
        // Real senders are not faster than the disk, which has a bound of its own.
        if self.disk.queued() > 0 {
            self.disk.wait();
        }
    }

    /// A thirtieth of a second goes by.
    fn tick(&mut self) {
        self.now += Duration::from_secs(1) / 30;
        self.folder.handle_timeout(self.now).unwrap();
    }
}

/// Sends the clip over and over; `spoil` changes each payload and may change when it says that it was captured.
fn play(camera: &mut Camera, clip: &Clip, mut spoil: impl FnMut(usize, &mut Vec<u8>, &mut u32)) {
    let mut payloader = Vp8Payloader::default();
    payloader.enable_picture_id = true;
    for (number, frame) in (0..ROUNDS).flat_map(|_| &clip.frames).enumerate() {
        let payloads = payloader.payload(MTU, &Bytes::from(frame.data.clone())).unwrap();
        for (index, payload) in payloads.iter().enumerate() {
            let (mut payload, mut timestamp) = (payload.to_vec(), u32::try_from(number).unwrap() * 3000);
            spoil(number, &mut payload, &mut timestamp);
            camera.packet(index + 1 == payloads.len(), timestamp, &payload);
        }
        camera.tick();
    }
}

/// Where the width of a keyframe stands in its first payload: behind descriptor, tag and start code.
fn size_of(payload: &mut [u8]) -> Option<&mut [u8]> {
    let at = payload.windows(3).take(16).position(|bytes| bytes == [0x9d, 1, 0x2a])? + 3;
    payload.get_mut(at..at + 4)
}

/// The files open, whatever a decoder says of their pictures, and the disk was not filled.
fn judge(name: &str, path: &Path) {
    let manifest: Manifest = serde_json::from_slice(&fs::read(path.join(MANIFEST)).unwrap()).unwrap();
    assert!(manifest.complete, "{name}");
    let files: Vec<_> = manifest.tracks.iter().flat_map(|track| &track.files).collect();
    assert!(!files.is_empty(), "{name}: nothing was recorded");
    for file in files {
        let file = path.join(&file.file);
        assert!(fs::metadata(&file).unwrap().len() < BOUND as u64, "{name}");
        let mut command = Command::new("ffprobe");
        command.args([
            "-v",
            "fatal",
            "-count_packets",
            "-show_entries",
            "stream=nb_read_packets",
        ]);
        let ended = command.args(["-of", "csv=p=0"]).arg(&file).output();
        let ended = ended.expect("ffprobe is needed: `cargo xtask setup` installs it");
        let packets = String::from_utf8_lossy(&ended.stdout).trim().parse().unwrap_or(0_u32);
        assert!(
            ended.status.success() && packets > 0,
            "{name}: {} does not open",
            file.display()
        );
    }
}

#[test]
fn memory_is_bounded_and_the_file_is_one() {
    let clip = media::video(Codec::Vp8, 2);
    let hostile = |name: &str, send: &mut dyn FnMut(&mut Camera)| {
        let place = Scratch::new(env!("CARGO_TARGET_TMPDIR"), &format!("hostile-{name}"));
        let ((), peak) = peak_during(|| {
            let mut camera = Camera::new(&place.0);
            // Something good comes first, so that there is a file.
            play(&mut camera, &clip, |_, _, _| ());
            send(&mut camera);
            let Camera { folder, now, .. } = camera;
            folder.finish(now, 0).unwrap();
        });
        eprintln!("{name}: {} KiB", peak >> 10);
        assert!(peak < BOUND, "{name}: {peak} bytes");
        judge(name, &place.0);
        peak
    };
    let good = hostile("good", &mut |_| ());
    assert!(good > 10_000, "memory is not counted");
    let mut rng = Rng::new(1);
    hostile("mutated", &mut |camera| {
        play(camera, &clip, |_, payload, _| {
            for _ in 0..=rng.index(3) {
                let at = rng.index(payload.len());
                payload[at] = u8::try_from(rng.index(256)).unwrap();
            }
            payload.truncate(1 + rng.index(2 * payload.len()));
        });
    });
    let mut rng = Rng::new(2);
    hostile("times", &mut |camera| {
        play(camera, &clip, |number, _, timestamp| {
            if number % 3 > 0 {
                *timestamp = u32::try_from(rng.index(1 << 32)).unwrap();
            }
        });
    });
    hostile("sizes", &mut |camera| {
        let keyframe = Clip {
            frames: vec![clip.frames[0].clone(); clip.frames.len()],
            ..clip.clone()
        };
        play(camera, &keyframe, |number, payload, _| {
            if let Some(size) = size_of(payload) {
                let side = u16::try_from(16 + number * 97 % 16_000).unwrap().to_le_bytes();
                size.copy_from_slice(&[side[0], side[1], side[1], side[0] & 0x3f]);
            }
        });
    });
    // A keyframe whose end never comes, four times as long as the longest frame.
    let endless = hostile("endless", &mut |camera| {
        let mut payload = vec![0x10];
        payload.extend_from_slice(&clip.frames[0].data[..10]);
        payload.resize(MTU, 0x55);
        camera.packet(false, 1 << 20, &payload);
        payload[0] = 0;
        for n in 0..16_000 {
            camera.packet(false, 1 << 20, &payload);
            if n % 100 == 0 {
                camera.tick();
            }
        }
        // And it goes on as if nothing had been.
        play(camera, &clip, |_, _, timestamp| *timestamp += 1 << 21);
    });
    assert!(endless > 4 << 20, "it was not even begun: {endless}");
}
