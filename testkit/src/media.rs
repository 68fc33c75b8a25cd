//! Real media: short clips that ffmpeg encodes, taken apart into frames as a recorder holds them.
//!
//! A clip is made once per target folder and then read from there. Not here: decoding, and any container of ours.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use althing_media_core::Codec;
use althing_media_core::payload::opus;

/// Pictures per second of all clips.
pub const RATE: u64 = 30;
/// By so much luma each second of [`clock`] is brighter than the one before, and each tenth of a second.
pub const SECOND_STEP: u32 = 40;
/// See [`SECOND_STEP`].
pub const TENTH_STEP: u32 = 23;
/// A keyframe stands at each second.
const KEYFRAMES: &str = "30";

/// One coded frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coded {
    /// When it is shown, in ns since the clip's beginning.
    pub at: u64,
    /// How long, in ns.
    pub duration: u64,
    /// A decoder can start here.
    pub keyframe: bool,
    /// What MP4 and Matroska hold: NAL units behind their lengths, OBUs without temporal delimiter.
    pub data: Vec<u8>,
}

/// A clip of one track.
#[derive(Debug, Clone)]
pub struct Clip {
    /// What it is coded in.
    pub codec: Codec,
    /// Width and height; zero for sound.
    pub size: (u32, u32),
    /// The decoder configuration record: `avcC`, `av1C`, `vpcC`; empty where there is none.
    pub config: Vec<u8>,
    /// In order.
    pub frames: Vec<Coded>,
}

impl Clip {
    /// How long it lasts, in ns.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.frames.last().map_or(0, |last| last.at + last.duration)
    }

    /// Its frames over and over, times going on.
    pub fn repeated(&self) -> impl Iterator<Item = Coded> {
        (0_u64..).flat_map(|round| {
            let ahead = round * self.length();
            self.frames.iter().map(move |frame| Coded {
                at: frame.at + ahead,
                ..frame.clone()
            })
        })
    }
}

/// A moving test picture of 320 × 180 at [`RATE`], in this codec and at about 300 kbit/s.
///
/// # Panics
///
/// When ffmpeg is not there or cannot encode it: `cargo xtask setup` installs it.
#[must_use]
pub fn video(codec: Codec, seconds: u32) -> Clip {
    video_of(codec, seconds, (320, 180), 300)
}

/// The same in another size, at about so many kbit/s.
///
/// # Panics
///
/// As [`video`].
#[must_use]
pub fn video_of(codec: Codec, seconds: u32, size: (u32, u32), kbits: u32) -> Clip {
    let source = format!("{},format=yuv420p", test_picture(size));
    let name = format!("{codec:?}-{}x{}-{kbits}-{seconds}", size.0, size.1);
    coded_video(codec, (seconds, kbits), size, (&name, &source))
}

/// The picture of [`video_of`] as a source of ffmpeg's, before it is coded.
#[must_use]
pub fn test_picture((width, height): (u32, u32)) -> String {
    format!("testsrc2=size={width}x{height}:rate={RATE}")
}

/// Black, and white for a tenth of a second in the middle of each second.
///
/// # Panics
///
/// As [`video`].
#[must_use]
pub fn flashes(codec: Codec, seconds: u32) -> Clip {
    let source = format!(
        "color=black:size=160x90:rate={RATE},drawbox=color=white:t=fill:enable='between(mod(t,1),0.49,0.59)',format=yuv420p"
    );
    coded_video(
        codec,
        (seconds, 100),
        (160, 90),
        (&format!("{codec:?}-flashes-{seconds}"), &source),
    )
}

/// 320 × 180 whose left half tells the second by its brightness and whose right half the tenth of it, black being 0: see
/// [`SECOND_STEP`], [`TENTH_STEP`]. At most six seconds.
///
/// # Panics
///
/// As [`video`].
#[must_use]
pub fn clock(codec: Codec, seconds: u32) -> Clip {
    let light = format!("16+if(lt(X,W/2),{SECOND_STEP}*floor(N/{RATE}),{TENTH_STEP}*mod(floor(10*N/{RATE}),10))");
    // Eight points are computed, and each made large.
    let source = format!(
        "color=black:size=4x2:rate={RATE},format=yuv420p,geq=lum='{light}':cb=128:cr=128,scale=320:180:flags=neighbor,setsar=1"
    );
    let name = format!("{codec:?}-clock-{seconds}");
    coded_video(codec, (seconds, 300), (320, 180), (&name, &source))
}

fn coded_video(codec: Codec, (seconds, kbits): (u32, u32), size: (u32, u32), (name, source): (&str, &str)) -> Clip {
    let (encoder, extension): (&[&str], &str) = match codec {
        Codec::Vp8 => (&["libvpx", "-deadline", "realtime", "-cpu-used", "8"], "ivf"),
        Codec::Vp9 => (
            &[
                "libvpx-vp9",
                "-deadline",
                "realtime",
                "-cpu-used",
                "8",
                "-lag-in-frames",
                "0",
            ],
            "ivf",
        ),
        Codec::Av1 => (
            &[
                "libaom-av1",
                "-usage",
                "realtime",
                "-cpu-used",
                "8",
                "-lag-in-frames",
                "0",
            ],
            "ivf",
        ),
        Codec::H264 => (
            &[
                "libx264",
                "-preset",
                "ultrafast",
                "-bf",
                "0",
                "-x264-params",
                "aud=1:scenecut=0",
            ],
            "h264",
        ),
        other => panic!("no clips of {other:?}"),
    };
    let (length, rate) = (seconds.to_string(), format!("{kbits}k"));
    let mut arguments = vec!["-f", "lavfi", "-i", source, "-t", &length, "-c:v"];
    arguments.extend(encoder);
    arguments.extend(["-b:v", &rate, "-g", KEYFRAMES, "-keyint_min", KEYFRAMES]);
    let file = made(&format!("{name}.{extension}"), &arguments);
    let pictures = if codec == Codec::H264 {
        annex_b(&file)
    } else {
        ivf(&file)
    };
    let frames = (0_u64..).zip(pictures).map(|(number, data)| {
        let (at, next) = (number * 1_000_000_000 / RATE, (number + 1) * 1_000_000_000 / RATE);
        let data = match codec {
            Codec::H264 => length_prefixed(&data),
            Codec::Av1 => without_delimiter(&data).to_vec(),
            _ => data,
        };
        Coded {
            at,
            duration: next - at,
            keyframe: is_keyframe(codec, &data),
            data,
        }
    });
    let frames: Vec<Coded> = frames.collect();
    Clip {
        codec,
        size,
        config: config(codec, &frames[0].data),
        frames,
    }
}

/// A tone in Opus, in packets of 20 ms.
///
/// # Panics
///
/// As [`video`].
#[must_use]
pub fn audio(seconds: u32) -> Clip {
    coded_audio(seconds, ("Opus", "sine=frequency=440:sample_rate=48000"))
}

/// Silence, and a tone for a tenth of a second in the middle of each second.
///
/// # Panics
///
/// As [`video`].
#[must_use]
pub fn beeps(seconds: u32) -> Clip {
    let source = "aevalsrc='if(between(mod(t,1),0.5,0.6),sin(2*PI*1000*t)/2,0)':s=48000";
    coded_audio(seconds, ("Opus-beeps", source))
}

fn coded_audio(seconds: u32, (name, source): (&str, &str)) -> Clip {
    let length = seconds.to_string();
    let arguments = [
        "-f", "lavfi", "-i", source, "-t", &length, "-c:a", "libopus", "-b:a", "48k",
    ];
    let file = made(&format!("{name}-{seconds}.ogg"), &arguments);
    let mut position = 0;
    let frames = ogg(&file).into_iter().skip(2).map(|data| {
        let samples = u64::from(opus::duration(&data).expect("ffmpeg writes Opus"));
        let at = position;
        position += samples;
        let nanos = |samples: u64| samples * 62_500 / 3;
        Coded {
            at: nanos(at),
            duration: nanos(position) - nanos(at),
            keyframe: true,
            data,
        }
    });
    Clip {
        codec: Codec::Opus,
        size: (0, 0),
        config: Vec::new(),
        frames: frames.collect(),
    }
}

/// The bytes of a file that ffmpeg makes with these arguments, once.
fn made(name: &str, arguments: &[&str]) -> Vec<u8> {
    let file = folder().join(name);
    if let Ok(bytes) = fs::read(&file) {
        return bytes;
    }
    // Tests run beside each other: each makes its own, and the last one stays.
    let beside = folder().join(format!(
        "{}-{:?}-{name}",
        std::process::id(),
        std::thread::current().id()
    ));
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-y"])
        .args(arguments)
        .arg(&beside)
        .output()
        .expect("ffmpeg is needed: `cargo xtask setup` installs it");
    assert!(
        output.status.success(),
        "ffmpeg: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    fs::rename(&beside, &file).expect("a folder that can be written");
    fs::read(&file).expect("it was just written")
}

/// `media` beside the folders of programs in the target folder.
fn folder() -> PathBuf {
    let program = std::env::current_exe().expect("a running program");
    let folder = program
        .ancestors()
        .nth(2)
        .unwrap_or_else(|| Path::new("."))
        .join("media");
    fs::create_dir_all(&folder).expect("a folder that can be written");
    folder
}

/// The frames of an IVF file: 32 bytes of header, then each behind 12 bytes that begin with its length.
fn ivf(file: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut rest = &file[32..];
    while let Some((head, behind)) = rest.split_first_chunk::<12>() {
        let len = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        frames.push(behind[..len].to_vec());
        rest = &behind[len..];
    }
    frames
}

/// The access units of an Annex B stream in which each begins with a delimiter.
fn annex_b(file: &[u8]) -> Vec<Vec<u8>> {
    let mut units: Vec<Vec<u8>> = Vec::new();
    for nal in nals(file) {
        if nal[0] & 31 == 9 {
            units.push(Vec::new());
            continue;
        }
        if let Some(unit) = units.last_mut() {
            unit.extend_from_slice(&[0, 0, 0, 1]);
            unit.extend_from_slice(nal);
        }
    }
    units
}

/// What stands between start codes.
fn nals(stream: &[u8]) -> Vec<&[u8]> {
    let starts: Vec<usize> = (0..stream.len().saturating_sub(3))
        .filter(|at| stream[*at..].starts_with(&[0, 0, 1]))
        .collect();
    let ends = starts.iter().skip(1).copied().chain([stream.len()]);
    let between = starts.iter().zip(ends).map(|(start, end)| &stream[start + 3..end]);
    // The fourth byte of a start code, or padding, belongs to none.
    between
        .map(|nal| &nal[..=nal.iter().rposition(|byte| *byte != 0).unwrap_or(0)])
        .collect()
}

fn length_prefixed(unit: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for nal in nals(unit) {
        out.extend_from_slice(&u32::try_from(nal.len()).expect("a small picture").to_be_bytes());
        out.extend_from_slice(nal);
    }
    out
}

fn without_delimiter(unit: &[u8]) -> &[u8] {
    unit.strip_prefix(&[0x12, 0]).unwrap_or(unit)
}

/// The packets of an Ogg file with one stream.
fn ogg(file: &[u8]) -> Vec<Vec<u8>> {
    let (mut packets, mut open) = (Vec::new(), Vec::new());
    let mut rest = file;
    while rest.starts_with(b"OggS") {
        let count = usize::from(rest[26]);
        let (table, mut body) = rest[27..].split_at(count);
        for len in table {
            let (segment, behind) = body.split_at(usize::from(*len));
            open.extend_from_slice(segment);
            body = behind;
            if *len < 255 {
                packets.push(std::mem::take(&mut open));
            }
        }
        rest = body;
    }
    packets
}

fn is_keyframe(codec: Codec, data: &[u8]) -> bool {
    match codec {
        Codec::Vp8 => data[0] & 1 == 0,
        // Profile 0: marker, no existing frame, key.
        Codec::Vp9 => data[0] & 0x0c == 0,
        // A temporal unit that begins with a sequence header.
        Codec::Av1 => data[0] >> 3 & 15 == 1,
        // It begins with parameter sets.
        _ => data[4] & 31 == 7,
    }
}

/// What a container needs to know, of the first frame.
fn config(codec: Codec, first: &[u8]) -> Vec<u8> {
    match codec {
        // Profile 0, level 1, 8 bits, 4:2:0, colours not told.
        Codec::Vp9 => vec![0, 10, 0x82, 2, 2, 2, 0, 0],
        Codec::Av1 => {
            // Behind the OBU's head and size of one byte each: profile in 3 bits, level in 5 from the 24th on.
            let header = &first[..2 + usize::from(first[1])];
            let (profile, level) = (header[2] >> 5, header[5] >> 3);
            let mut config = vec![0x81, profile << 5 | level, 0x0c, 0];
            config.extend_from_slice(header);
            config
        }
        Codec::H264 => {
            let of = |kind: u8| {
                let mut rest = first;
                while let Some((len, behind)) = rest.split_first_chunk::<4>() {
                    let (nal, next) = behind.split_at(u32::from_be_bytes(*len) as usize);
                    if nal[0] & 31 == kind {
                        return nal;
                    }
                    rest = next;
                }
                panic!("no parameter set of kind {kind}")
            };
            let (sps, pps) = (of(7), of(8));
            let mut config = vec![1, sps[1], sps[2], sps[3], 0xff, 0xe1];
            for set in [sps, pps] {
                config.extend_from_slice(&u16::try_from(set.len()).expect("short").to_be_bytes());
                config.extend_from_slice(set);
                if set == sps {
                    config.push(1);
                }
            }
            config
        }
        _ => Vec::new(),
    }
}
