//! What recording costs: a hundred cameras of 2.5 Mbit/s, from RTP packets to files on a disk, as fast as it goes; how much of a
//! core that would take in real time, and how much memory.
//!
//! ```sh
//! cargo run --release -p althing-recorder --example hundred -- /tmp/hundred
//! ```
//!
//! Counted is processor time of all threads while packets are taken, not while they are made. Linux only. The aim: less than
//! half a core.
#![expect(
    clippy::print_stdout,
    reason = "talking to the person at the terminal is this program's job"
)]

use std::error::Error;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use althing_media_core::packet::RtpWriter;
use althing_media_core::{Codec, CodecParams, ExtensionMap, MediaKind, Pt, Ssrc};
use althing_recorder::file::{Disk, DiskConfig};
use althing_recorder::recording::folder::Folder;
use althing_recorder::recording::{Person, PersonId, Recording, RecordingConfig, Signer, TrackInfo};
use althing_testkit::media::{self, RATE};
use bytes::Bytes;
use rtc_rtp::codec::vp8::Vp8Payloader;
use rtc_rtp::packetizer::Payloader;

const VP8: CodecParams = CodecParams::new(Codec::Vp8, Pt::new(96));
const TRACKS: u32 = 100;
/// How long, in seconds of media.
const LENGTH: u64 = 20;
const MTU: usize = 1100;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os()
        .nth(1)
        .ok_or("usage: hundred FOLDER, which must not be there")?;
    let clip = media::video_of(Codec::Vp8, 2, (1280, 720), 2500);
    let mut payloader = Vp8Payloader::default();
    payloader.enable_picture_id = true;
    let frames = clip.frames.iter();
    let frames = frames.map(|frame| payloader.payload(MTU, &Bytes::from(frame.data.clone())));
    let frames: Vec<Vec<Bytes>> = frames.collect::<Result<_, _>>()?;

    let start = Instant::now();
    let config = RecordingConfig::new("hundred", 0, Signer::from_seed(&[1; 32])?).by(Person::new("ada", "Ada"));
    let disk = Arc::new(Disk::start(DiskConfig::default(), |_| ())?);
    let mut folder = Folder::create(Path::new(&path), &disk, Recording::new(start, config))?;
    for track in 0..TRACKS {
        let info = TrackInfo {
            person: PersonId(1),
            kind: MediaKind::Video,
            source: "camera".to_owned(),
            ssrc: Ssrc(track),
            codecs: vec![VP8],
            extensions: ExtensionMap::new(),
        };
        folder.recording().handle_track_added(start, info);
    }
    folder.drain()?;
    let (before, mut worked, mut bytes, mut seq) = (memory("VmRSS:")?, Duration::ZERO, 0, 0_u16);
    for number in 0..LENGTH * RATE {
        let payloads = &frames[usize::try_from(number)? % frames.len()];
        let mut packets = Vec::new();
        for track in 0..TRACKS {
            for (index, payload) in payloads.iter().enumerate() {
                let mut buffer = [0; MTU + 64];
                let (marker, index) = (index + 1 == payloads.len(), u16::try_from(index)?);
                let timestamp = u32::try_from(number * 90_000 / RATE)?;
                let seq = seq.wrapping_add(index);
                let mut writer = RtpWriter::new(&mut buffer, VP8.pt, marker, seq, timestamp, Ssrc(track));
                writer.payload(payload);
                let (_, len) = writer.finish().ok_or("a packet too long")?;
                packets.push(Bytes::copy_from_slice(&buffer[..len]));
            }
        }
        seq = seq.wrapping_add(u16::try_from(payloads.len())?);
        let now = start + Duration::from_nanos(number * 1_000_000_000 / RATE);
        let began = processor_time()?;
        for packet in packets {
            bytes += packet.len();
            folder.recording().handle_packet(now, &packet);
            folder.drain()?;
        }
        folder.handle_timeout(now)?;
        // In real time there would be time for that.
        disk.wait();
        worked += processor_time()?.saturating_sub(began);
    }
    let held = memory("VmHWM:")?.saturating_sub(before);
    folder.finish(start + Duration::from_secs(LENGTH), 0)?;
    #[expect(clippy::cast_precision_loss, reason = "for people to read")]
    let rate = bytes as f64 * 8.0 / 1e6 / f64::from(TRACKS) / Duration::from_secs(LENGTH).as_secs_f64();
    let share = worked.as_secs_f64() / Duration::from_secs(LENGTH).as_secs_f64();
    println!(
        "{TRACKS} tracks of {rate:.2} Mbit/s: {share:.3} of a core, {} kB a track",
        held / u64::from(TRACKS)
    );
    Ok(())
}

/// What all threads of this process have worked.
fn processor_time() -> Result<Duration, Box<dyn Error>> {
    let mut sum = 0;
    for task in fs::read_dir("/proc/self/task")? {
        // Nanoseconds on a processor come first.
        let text = fs::read_to_string(task?.path().join("schedstat"))?;
        sum += text.split_whitespace().next().ok_or("no schedstat")?.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(sum))
}

/// A line of the process's status, in kB.
fn memory(name: &str) -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.ok_or("no such line")?.parse()?)
}
