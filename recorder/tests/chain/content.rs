//! What is seen and heard of it: real media, coded by ffmpeg, through the whole chain into files, and decoded by ffmpeg.
//!
//! White flashes and beeps at the same moments tell how far sound and picture are apart; a picture that moves everywhere, compared
//! with its source frame by frame, tells whether anything is broken.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use althing_media_core::transport::Certificate;
use althing_media_core::{Codec, CodecParams, EndpointConfig, EndpointId, Pt, TrackId};
use althing_recorder::file::{Disk, DiskConfig};
use althing_recorder::recording::folder::{Folder, MANIFEST};
use althing_recorder::recording::manifest::TrackOf;
use althing_recorder::recording::{Manifest, Person, Recording, RecordingConfig, Signer};
use althing_testkit::media::{self, Clip, RATE};
use althing_testkit::peer::preset::{VP8, camera, loudspeaker, microphone, screen};
use althing_testkit::peer::{Payloads, ReceiveConfig, SendConfig, VideoPattern};
use althing_testkit::scratch::Scratch;
use althing_testkit::simulation::{Member, Publication, Simulation};
use bytes::Bytes;
use rtc_rtp::codec::h264::H264Payloader;
use rtc_rtp::codec::vp8::Vp8Payloader;
use rtc_rtp::packetizer::Payloader;

use crate::{bad_line, follow, ms};

/// Longest payload, in bytes.
const MTU: usize = 1100;
/// How often what is due is sent and recorded.
const STEP: Duration = Duration::from_millis(5);
/// How far apart a flash and its beep may be, in seconds.
const SKEW: f64 = 0.040;
/// H.264 as the publisher numbers it, and as we do.
const H264: CodecParams = CodecParams {
    codec: Codec::H264,
    pt: Pt::new(102),
    rtx: Some(Pt::new(103)),
    red: None,
    fec: None,
};

/// A clip on its way, over and over.
struct Device {
    publication: Publication,
    clip: Clip,
    /// Frames that fill the clip exactly, and how long they last in ns.
    frames: usize,
    length: u64,
    payloader: Option<Box<dyn Payloader>>,
    begins: Instant,
    next: usize,
}

impl Device {
    fn new(simulation: &mut Simulation, member: Member, config: SendConfig, clip: Clip, drift: i32) -> Self {
        let payloader: Option<Box<dyn Payloader>> = match clip.codec {
            Codec::Vp8 => {
                let mut payloader = Vp8Payloader::default();
                payloader.enable_picture_id = true;
                Some(Box::new(payloader))
            }
            Codec::H264 => Some(Box::<H264Payloader>::default()),
            _ => None,
        };
        let publication = simulation.publish(member, config);
        let sender = simulation.sender_mut(publication);
        sender.set_muted(true);
        sender.set_drift(drift);
        let length = clip.length() / 1_000_000_000 * 1_000_000_000;
        Self {
            publication,
            frames: clip.frames.iter().filter(|frame| frame.at < length).count(),
            length,
            clip,
            payloader,
            begins: simulation.now(),
            next: 0,
        }
    }

    /// Sends what was captured up to now; nothing of it while muted.
    fn send(&mut self, simulation: &mut Simulation, muted: bool) {
        loop {
            let frame = &self.clip.frames[self.next % self.frames];
            let round = (self.next / self.frames) as u64;
            let captured = self.begins + Duration::from_nanos(frame.at + round * self.length);
            if captured > simulation.now() {
                return;
            }
            self.next += 1;
            if muted {
                continue;
            }
            let payloads = match &mut self.payloader {
                None => vec![frame.data.clone()],
                Some(payloader) => {
                    let data = if self.clip.codec == Codec::H264 {
                        annex_b(&frame.data)
                    } else {
                        frame.data.clone()
                    };
                    let payloads = payloader.payload(MTU, &Bytes::from(data)).expect("a frame");
                    payloads.iter().map(|payload| payload.to_vec()).collect()
                }
            };
            let payloads = &payloads;
            simulation.send(self.publication, Payloads { captured, payloads });
        }
    }
}

/// NAL units behind start codes instead of their lengths.
fn annex_b(mut frame: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some((len, rest)) = frame.split_first_chunk::<4>() {
        let (unit, rest) = rest.split_at(u32::from_be_bytes(*len) as usize);
        out.extend_from_slice(&[0, 0, 0, 1]);
        out.extend_from_slice(unit);
        frame = rest;
    }
    out
}

/// A recorder in the router's process that writes files.
struct Recorder {
    endpoint: EndpointId,
    folder: Folder,
    path: PathBuf,
}

impl Recorder {
    fn new(simulation: &mut Simulation, path: &Path) -> Self {
        let now = simulation.now();
        let signer = Signer::from_seed(&[1; 32]).expect("a seed");
        let config = RecordingConfig::new("content", 1_700_000_000_000, signer).by(Person::new("ada", "Ada"));
        let disk = Disk::start(DiskConfig::default(), |event| eprintln!("{event}")).expect("a thread");
        let endpoint = simulation.router.add_endpoint(now, EndpointConfig::Local);
        Self {
            endpoint: endpoint.expect("there is room"),
            folder: Folder::create(path, &Arc::new(disk), Recording::new(now, config)).expect("a folder"),
            path: path.to_owned(),
        }
    }

    fn follow(&mut self, simulation: &mut Simulation, track: TrackId, like: ReceiveConfig, source: &str) {
        follow(simulation, self.endpoint, self.folder.recording(), track, like, source);
    }

    /// Records what has come.
    fn take(&mut self, simulation: &mut Simulation) {
        for (at, packet) in simulation.take_delivered() {
            self.folder.recording().handle_packet(at, &packet.into());
        }
        let now = simulation.now();
        for packet in self.folder.handle_timeout(now).expect("a disk").feedback {
            let router = &mut simulation.router;
            let taken = router.handle_packet(now, self.endpoint, &mut packet.to_vec());
            taken.expect("it is there");
        }
    }

    fn finish(self, now: Instant) -> Manifest {
        self.folder.finish(now, 0).expect("a disk");
        let manifest = fs::read(self.path.join(MANIFEST)).expect("was written");
        serde_json::from_slice(&manifest).expect("is one")
    }
}

/// What a program has to say, all of it.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output =
        output.unwrap_or_else(|error| panic!("{program} is needed ({error}): `cargo xtask setup` installs it"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    said
}

/// The number behind each `key`.
fn numbers(text: &str, key: &str) -> Vec<f64> {
    let behind = text.split(key).skip(1);
    let number = |rest: &str| {
        let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.' && letter != '-');
        rest[..end.unwrap_or(rest.len())].parse().ok()
    };
    behind.filter_map(|rest| number(rest.trim_start())).collect()
}

/// Where the files of a track are, and when each begins, in seconds.
fn files<'a>(path: &'a Path, track: &'a TrackOf) -> impl Iterator<Item = (String, f64)> + 'a {
    track.files.iter().map(|file| {
        let name = path.join(&file.file).to_string_lossy().into_owned();
        (name, Duration::from_nanos(file.from).as_secs_f64())
    })
}

/// When it became white, in seconds of the recording; only where the picture before is there, too.
fn flashes(path: &Path, track: &TrackOf) -> Vec<f64> {
    let mut all = Vec::new();
    for (file, from) in files(path, track) {
        let filter = "signalstats,metadata=print:key=lavfi.signalstats.YAVG:file=-";
        let said = said(
            "ffmpeg",
            &["-nostdin", "-v", "error", "-i", &file, "-vf", filter, "-f", "null", "-"],
        );
        let (times, light) = (numbers(&said, "pts_time:"), numbers(&said, "YAVG="));
        assert_eq!(times.len(), light.len());
        let pairs = (1..times.len()).filter(|n| light[n - 1] < 60.0 && light[*n] > 150.0);
        all.extend(
            pairs
                .filter(|n| times[*n] - times[n - 1] < 0.05)
                .map(|n| from + times[n]),
        );
    }
    all
}

/// When it became loud, and silent again a tenth of a second later: the end of a file ends silence, too.
fn beeps(path: &Path, track: &TrackOf) -> Vec<f64> {
    let mut all = Vec::new();
    for (file, from) in files(path, track) {
        let filter = "silencedetect=n=-30dB:d=0.3";
        let said = said(
            "ffmpeg",
            &["-nostdin", "-v", "info", "-i", &file, "-af", filter, "-f", "null", "-"],
        );
        let silent = numbers(&said, "silence_start:");
        let beeps = numbers(&said, "silence_end:").into_iter();
        let beeps = beeps.filter(|at| silent.iter().any(|start| (0.05..0.2).contains(&(start - at))));
        all.extend(beeps.map(|at| from + at));
    }
    all
}

/// Records so many seconds of a person with a bad line, a camera that comes late and a sound card that drifts; both are muted now
/// and then. Gives how far sound and picture were apart at most, in seconds, and how often that could be seen.
fn skew(name: &str, seconds: u64, camera_at: u64, seed: u64) -> (f64, usize) {
    let certificate = Certificate::generate().expect("a certificate");
    let place = Scratch::new(env!("CARGO_TARGET_TMPDIR"), name);
    let mut simulation = Simulation::new(seed, &certificate);
    let publisher = simulation.join_web_rtc(bad_line(), &certificate);
    simulation.run_for(ms(1000));
    let begins = simulation.now();
    let mut recorder = Recorder::new(&mut simulation, &place.0);
    let sound = microphone(Some("0"), 50, "ada");
    let mut sound = Device::new(&mut simulation, publisher, sound, media::beeps(10), 200);
    recorder.follow(
        &mut simulation,
        sound.publication.track,
        loudspeaker(None, 8000),
        "microphone",
    );
    let mut pictures: Option<Device> = None;
    while simulation.now() < begins + Duration::from_secs(seconds) {
        simulation.run_for(STEP);
        let second = simulation.now().duration_since(begins).as_secs();
        if second >= camera_at {
            let device = pictures.get_or_insert_with(|| {
                let camera = camera(Some("1"), 1000, 1, VideoPattern::default());
                let mut device = Device::new(&mut simulation, publisher, camera, media::flashes(Codec::Vp8, 10), 0);
                recorder.follow(&mut simulation, device.publication.track, screen(None, 7000), "camera");
                // What it shows is what happens.
                device.begins = begins;
                device.next = usize::try_from(second * RATE).expect("small");
                device
            });
            device.send(&mut simulation, second % 50 > 46);
        }
        sound.send(&mut simulation, second % 30 > 27);
        recorder.take(&mut simulation);
    }
    let manifest = recorder.finish(simulation.now());
    let [sound, pictures] = &manifest.tracks[..] else {
        panic!("{:?}", manifest.tracks)
    };
    let (beeps, flashes) = (beeps(&place.0, sound), flashes(&place.0, pictures));
    let nearest = |flash: &f64| {
        let apart = beeps.iter().map(|beep| (beep - flash).abs());
        apart.fold(f64::MAX, f64::min)
    };
    // While the microphone is muted there is nothing to compare.
    for flash in flashes.iter().filter(|flash| nearest(flash) >= SKEW) {
        eprintln!("the flash at {flash} s has its nearest beep {} s away", nearest(flash));
    }
    let apart = flashes.iter().map(nearest).filter(|apart| *apart < 0.5);
    apart.fold((0.0, 0), |(most, count), apart| (f64::max(most, apart), count + 1))
}

#[test]
fn a_flash_and_its_beep_stay_together() {
    let (most, count) = skew("skew", 35, 5, 1);
    assert!(most < SKEW && count >= 20, "{most} s apart, {count} compared");
}

/// As above, for an hour with a camera that comes five minutes late.
#[test]
#[ignore = "takes a minute or two"]
fn a_flash_and_its_beep_stay_together_for_an_hour() {
    let (most, count) = skew("hour", 3600, 300, 2);
    eprintln!("{most} s apart, {count} compared");
    assert!(most < SKEW && count >= 2000, "{most} s apart, {count} compared");
}

/// The frames of a clip as ffmpeg reads them without a container of ours.
fn stream(clip: &Clip) -> Vec<u8> {
    if clip.codec == Codec::H264 {
        return clip.frames.iter().flat_map(|frame| annex_b(&frame.data)).collect();
    }
    // IVF: a header of 32 bytes, then each frame behind its length and its number.
    let mut out = b"DKIF\0\0\x20\0VP80".to_vec();
    let numbers = [clip.size.1 << 16 | clip.size.0, 30, 1, 0, 0];
    out.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    for (number, frame) in (0_u64..).zip(&clip.frames) {
        out.extend_from_slice(&u32::try_from(frame.data.len()).expect("small").to_le_bytes());
        out.extend_from_slice(&number.to_le_bytes());
        out.extend_from_slice(&frame.data);
    }
    out
}

/// Which frames of the clip a file holds: all bytes must be those of some frame, and in their order.
fn held(file: &str, clip: &Clip) -> Vec<usize> {
    let arguments = [
        "-nostdin", "-v", "error", "-i", file, "-map", "0:v", "-c", "copy", "-f", "data", "-",
    ];
    let bytes = Command::new("ffmpeg")
        .args(arguments)
        .output()
        .expect("ffmpeg runs")
        .stdout;
    let (mut rest, mut next, mut all) = (&bytes[..], 0, Vec::new());
    while !rest.is_empty() {
        let found = (next..clip.frames.len()).find(|n| rest.starts_with(&clip.frames[*n].data));
        let found = found.expect("what was recorded is what was sent");
        rest = &rest[clip.frames[found].data.len()..];
        all.push(found);
        next = found + 1;
    }
    all
}

/// How like its source each decoded picture is, 1 at most: those of `file` to those with these numbers.
fn likeness(file: &str, clip: &Clip, chosen: &[usize]) -> Vec<f64> {
    let stats = format!("{file}.ssim");
    let runs = chosen.chunk_by(|one, next| one + 1 == *next);
    let runs = runs.map(|run| format!("between(n,{},{})", run[0], run[run.len() - 1]));
    let choice = runs.collect::<Vec<_>>().join("+");
    // As long as the clip: a source without an end that gives no more pictures would never be found to be over.
    let source = format!(
        "{}:duration={},format=yuv420p,select='{choice}'",
        media::test_picture(clip.size),
        clip.length() / 1_000_000_000
    );
    let filter = format!(
        "[0:v]settb=1/30,setpts=N[seen];[1:v]settb=1/30,setpts=N[source];[seen][source]ssim=stats_file={stats}"
    );
    said(
        "ffmpeg",
        &[
            "-nostdin", "-v", "error", "-i", file, "-f", "lavfi", "-i", &source, "-lavfi", &filter, "-f", "null", "-",
        ],
    );
    numbers(&fs::read_to_string(&stats).expect("was written"), "All:")
}

/// A screen is shared over a bad line that is cut once: each picture that is recorded looks like its source, as well as the
/// encoder has made it, and where pictures are missing the manifest tells a gap.
fn shared_screen(codec: CodecParams, seed: u64) {
    let name = format!("screen-{:?}", codec.codec);
    let certificate = Certificate::generate().expect("a certificate");
    let place = Scratch::new(env!("CARGO_TARGET_TMPDIR"), &name);
    let clip = media::video_of(codec.codec, 10, (320, 180), 600);
    let mut simulation = Simulation::new(seed, &certificate);
    let publisher = simulation.join_web_rtc(bad_line(), &certificate);
    simulation.run_for(ms(1000));
    let mut recorder = Recorder::new(&mut simulation, &place.0);
    let config = SendConfig {
        codec,
        ..camera(Some("1"), 1000, 1, VideoPattern::default())
    };
    let mut device = Device::new(&mut simulation, publisher, config, clip.clone(), 0);
    let watched = ReceiveConfig {
        codecs: vec![codec],
        ..screen(None, 7000)
    };
    recorder.follow(&mut simulation, device.publication.track, watched, "screen");
    for step in 0..2080_u32 {
        simulation.run_for(STEP);
        // Ten seconds, the first round only; from 4 s on nothing comes through for more than can be repaired.
        simulation.links_mut(publisher).0.set_down((800..1000).contains(&step));
        device.send(&mut simulation, device.next >= clip.frames.len());
        recorder.take(&mut simulation);
    }
    let manifest = recorder.finish(simulation.now());
    let track = &manifest.tracks[0];
    let [(file, _)] = &files(&place.0, track).collect::<Vec<_>>()[..] else {
        panic!("{track:?}")
    };
    let held = held(file, &clip);
    assert!(held.len() > 150, "{} pictures", held.len());
    let seen = likeness(file, &clip, &held);
    let clean = place.0.join("clean");
    fs::write(&clean, stream(&clip)).expect("a disk");
    let coded = likeness(
        &clean.to_string_lossy(),
        &clip,
        &(0..clip.frames.len()).collect::<Vec<_>>(),
    );
    assert_eq!((seen.len(), coded.len()), (held.len(), clip.frames.len()));
    for (picture, likeness) in held.iter().zip(seen) {
        let coded = coded[*picture];
        assert!(
            likeness > 0.8 && (likeness - coded).abs() < 1e-4,
            "picture {picture} is like its source by {likeness}, and was by {coded}"
        );
    }
    let missing = held.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
    assert!(
        (1..=track.gaps.len()).contains(&missing),
        "{missing} times pictures are missing: {:?}",
        track.gaps
    );
}

#[test]
fn a_shared_screen_in_vp8_has_no_artefacts() {
    shared_screen(VP8, 1);
}

#[test]
fn a_shared_screen_in_h264_has_no_artefacts() {
    shared_screen(H264, 2);
}
