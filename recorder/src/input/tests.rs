//! Frames out of packets, in virtual time: order, loss, switches, and media that wishes us ill.

use std::time::{Duration, Instant};

use althing_media_core::packet::{Pt, RtpWriter};
use althing_media_core::payload::MediaKind;
use althing_media_core::{Codec, Extension, ExtensionMap, NtpTime, Packet, Ssrc};
use bytes::Bytes;

use super::*;

type Incoming = (Codec, Packet);

/// A sender of packets whose payloads the tests write.
pub(super) struct Sender {
    pub(super) codec: Codec,
    pub(super) ssrc: u32,
    seq: u16,
}

impl Sender {
    pub(super) fn new(codec: Codec) -> Self {
        Self {
            codec,
            ssrc: 1,
            seq: 65_530,
        }
    }

    pub(super) fn packet(&mut self, timestamp: u32, marker: bool, payload: &[u8]) -> Incoming {
        let packet = rtp(self.seq, timestamp, self.ssrc, marker, payload, None);
        self.seq = self.seq.wrapping_add(1);
        (self.codec, packet)
    }

    /// A VP8 frame of two packets.
    pub(super) fn vp8(&mut self, timestamp: u32, keyframe: bool, size: (u16, u16)) -> [Incoming; 2] {
        let mut first = vec![0x10];
        if keyframe {
            first.extend_from_slice(&[0x10, 0, 0, 0x9d, 0x01, 0x2a]);
            first.extend_from_slice(&size.0.to_le_bytes());
            first.extend_from_slice(&size.1.to_le_bytes());
        } else {
            first.extend_from_slice(&[0x11, 0, 0]);
        }
        [
            self.packet(timestamp, false, &first),
            self.packet(timestamp, true, &[0x00, 0xaa, 0xbb]),
        ]
    }
}

fn rtp(seq: u16, timestamp: u32, ssrc: u32, marker: bool, payload: &[u8], capture: Option<NtpTime>) -> Packet {
    let mut buffer = vec![0; payload.len() + 64];
    let mut writer = RtpWriter::new(&mut buffer, Pt::new(96), marker, seq, timestamp, Ssrc(ssrc));
    if let Some(capture) = capture {
        writer.extension(3, &capture.0.to_be_bytes());
    }
    writer.payload(payload);
    let (_, len) = writer.finish().expect("fits");
    Packet::parse(Bytes::copy_from_slice(&buffer[..len])).expect("valid")
}

/// An input with its clock.
struct Stage {
    start: Instant,
    now: Instant,
    wall: SenderWall,
    input: Input,
    /// Whether the first frames wait for the clock.
    holds: bool,
}

impl Stage {
    fn new(kind: MediaKind) -> Self {
        let start = Instant::now();
        let extensions = ExtensionMap::new().with(Extension::AbsCaptureTime, 3);
        Self {
            start,
            now: start,
            wall: SenderWall::new(start),
            input: Input::new(kind, &extensions),
            holds: false,
        }
    }

    fn wait(&mut self, milliseconds: u64) {
        self.now += Duration::from_millis(milliseconds);
        self.input.handle_timeout(self.now, &self.wall);
    }

    fn take(&mut self, packets: impl IntoIterator<Item = Incoming>) {
        for (codec, packet) in packets {
            self.input.handle_packet(self.now, &mut self.wall, codec, packet);
            if let Some(stream) = &mut self.input.stream
                && !self.holds
            {
                stream.settles = None;
                self.input.handle_timeout(self.now, &self.wall);
            }
        }
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| Some(self.input.poll_output()).filter(|output| !matches!(output, Output::Timeout(_))))
            .collect()
    }

    fn frames(&mut self) -> Vec<Frame> {
        let outputs = self.outputs().into_iter();
        outputs
            .filter_map(|output| match output {
                Output::Frame(frame) => Some(frame),
                _ => None,
            })
            .collect()
    }
}

fn size(output: &Output) -> Option<(u32, u32)> {
    match output {
        Output::Format(TrackFormat::Video(video)) => Some((video.width, video.height)),
        _ => None,
    }
}

#[test]
fn begins_with_a_keyframe_and_asks_for_one() {
    let mut stage = Stage::new(MediaKind::Video);
    let mut sender = Sender::new(Codec::Vp8);
    stage.take(sender.vp8(0, false, (0, 0)));
    assert_eq!(stage.outputs(), [Output::WantKeyframe]);
    stage.wait(33);
    stage.take(sender.vp8(3000, false, (0, 0)));
    assert_eq!(stage.outputs(), [], "asked not long ago");
    stage.wait(1000);
    stage.take(sender.vp8(93_000, false, (0, 0)));
    assert_eq!(stage.outputs(), [Output::WantKeyframe]);
    stage.wait(33);
    stage.take(sender.vp8(96_000, true, (640, 360)));
    stage.wait(33);
    stage.take(sender.vp8(99_000, false, (0, 0)));
    let outputs = stage.outputs();
    assert_eq!(size(&outputs[0]), Some((640, 360)));
    let [_, Output::Frame(key), Output::Frame(next)] = &outputs[..] else {
        panic!("{outputs:?}");
    };
    assert_eq!((key.keyframe, next.keyframe), (true, false));
    assert_eq!(key.data[..], [0x10, 0, 0, 0x9d, 1, 0x2a, 0x80, 2, 0x68, 1, 0xaa, 0xbb]);
    assert_eq!(next.data[..], [0x11, 0, 0, 0xaa, 0xbb]);
    assert_eq!(key.at, MediaTime::new(Duration::from_millis(1066)));
    assert_eq!(
        next.at.since(key.at),
        Duration::from_nanos(33_000_000).max(next.at.since(key.at))
    );
}

#[test]
fn reordered_packets_make_whole_frames() {
    let mut stage = Stage::new(MediaKind::Video);
    stage.wait(100);
    let mut sender = Sender::new(Codec::Vp8);
    let [a, b] = sender.vp8(0, true, (640, 360));
    let [c, d] = sender.vp8(3000, false, (0, 0));
    let [e, f] = sender.vp8(6000, false, (0, 0));
    stage.take([a, c, d, f, e]);
    assert_eq!(stage.frames(), []);
    stage.wait(200);
    stage.take([b]);
    assert_eq!(stage.frames().len(), 3);
    assert_eq!(stage.input.stats().lost, 0);
}

#[test]
fn after_a_loss_nothing_is_written_before_the_next_keyframe() {
    let mut stage = Stage::new(MediaKind::Video);
    let mut sender = Sender::new(Codec::Vp8);
    stage.take(sender.vp8(0, true, (640, 360)));
    let [first, _] = sender.vp8(3000, false, (0, 0));
    stage.take([first]);
    stage.take(sender.vp8(6000, false, (0, 0)));
    assert_eq!(stage.frames().len(), 1);
    assert!(matches!(stage.input.poll_output(), Output::Timeout(Some(_))));
    stage.wait(700);
    stage.take(sender.vp8(63_000, false, (0, 0)));
    assert_eq!(stage.outputs(), [Output::WantKeyframe]);
    stage.wait(100);
    stage.take(sender.vp8(72_000, true, (640, 360)));
    let outputs = stage.outputs();
    let [Output::Break(gap), Output::Frame(frame)] = &outputs[..] else {
        panic!("{outputs:?}");
    };
    assert_eq!(
        (gap.cause, gap.until, frame.keyframe),
        (BreakCause::Loss, frame.at, true)
    );
    assert_eq!(stage.input.stats().lost, 1);
}

#[test]
fn silence_is_no_loss() {
    let mut stage = Stage::new(MediaKind::Audio);
    let mut sender = Sender::new(Codec::Opus);
    stage.take([sender.packet(0, false, &[0x78, 1, 2])]);
    stage.wait(400);
    // Discontinuous transmission: a packet now and then.
    stage.take([sender.packet(19_200, false, &[0x78])]);
    stage.wait(4000);
    stage.take([sender.packet(211_200, false, &[0x78, 1, 2])]);
    stage.wait(40);
    let _ = sender.packet(212_160, false, &[0x78, 1, 2]);
    stage.take([sender.packet(213_120, false, &[0x78, 3])]);
    stage.wait(700);
    let breaks: Vec<_> = stage
        .outputs()
        .into_iter()
        .filter_map(|output| match output {
            Output::Break(gap) => Some((gap.cause, gap.until.since(gap.from).as_millis())),
            _ => None,
        })
        .collect();
    assert_eq!(breaks, [(BreakCause::Pause, 3980), (BreakCause::Loss, 20)]);
}

#[test]
fn another_ssrc_codec_and_size_go_on_in_one_track() {
    let mut stage = Stage::new(MediaKind::Video);
    let mut sender = Sender::new(Codec::Vp8);
    stage.take(sender.vp8(0, true, (640, 360)));
    stage.wait(33);
    stage.take(sender.vp8(3000, true, (1280, 720)));
    stage.wait(33);
    let mut other = Sender::new(Codec::Vp8);
    other.ssrc = 2;
    stage.take(other.vp8(4_000_000_000, false, (0, 0)));
    stage.wait(33);
    stage.take(other.vp8(4_000_003_000, true, (1280, 720)));
    stage.wait(33);
    other.codec = Codec::H264;
    stage.take([other.packet(
        4_000_006_000,
        true,
        &[
            24, 0, 10, 0x67, 0x42, 0xc0, 0x1f, 0xf4, 0x02, 0x80, 0x2d, 0xc8, 0x80, 0, 2, 0x68, 0xce, 0, 2, 0x65, 0x88,
        ],
    )]);
    let outputs = stage.outputs();
    let sizes: Vec<_> = outputs.iter().filter_map(size).collect();
    assert_eq!(sizes, [(640, 360), (1280, 720), (1280, 720)], "{outputs:?}");
    let times: Vec<_> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::Frame(frame) => Some(frame.at.since_start().as_millis()),
            _ => None,
        })
        .collect();
    assert_eq!(times.len(), 4);
    assert!(
        times
            .iter()
            .zip([0, 33, 99, 132])
            .all(|(at, truth)| at.abs_diff(truth) <= 2),
        "{times:?}"
    );
}

/// A router gives the number of a packet that it could not get to an empty one.
#[test]
fn a_picture_with_padding_inside_is_none() {
    let mut stage = Stage::new(MediaKind::Video);
    let mut sender = Sender::new(Codec::Vp8);
    let [first, last] = sender.vp8(0, true, (640, 360));
    let view = last.1.view();
    let padding = (Codec::Vp8, rtp(view.seq(), 0, 1, false, &[], None));
    let last = (
        Codec::Vp8,
        rtp(view.seq().wrapping_add(1), 0, 1, true, view.payload(), None),
    );
    stage.take([first, padding, last]);
    assert_eq!(stage.frames(), []);
    // Between pictures it means nothing.
    sender.seq = sender.seq.wrapping_add(1);
    stage.wait(33);
    let key = sender.vp8(3000, true, (640, 360));
    let padding = sender.packet(3000, false, &[]);
    stage.take(key);
    stage.wait(33);
    let next = sender.vp8(6000, false, (0, 0));
    stage.take([padding]);
    stage.take(next);
    assert_eq!(stage.frames().len(), 2);
}

/// A router that goes to another encoding leaves the picture that it was in, and its numbers go on.
#[test]
fn a_picture_without_its_end_is_none() {
    let mut stage = Stage::new(MediaKind::Video);
    let mut sender = Sender::new(Codec::Vp8);
    stage.take(sender.vp8(0, true, (640, 360)));
    stage.wait(33);
    let [first, _] = sender.vp8(3000, false, (0, 0));
    stage.take([first]);
    sender.seq = sender.seq.wrapping_sub(1);
    stage.take(sender.vp8(6000, true, (320, 180)));
    let frames = stage.frames();
    assert_eq!(
        frames.iter().map(|frame| frame.keyframe).collect::<Vec<_>>(),
        [true, true]
    );
}

#[test]
fn spatial_layers_of_vp9_become_one_superframe() {
    let mut stage = Stage::new(MediaKind::Video);
    let mut sender = Sender::new(Codec::Vp9);
    // A keyframe of 64 by 64, and what refers to it.
    let lower = [0x82, 0x49, 0x83, 0x42, 0x00, 0x03, 0xf0, 0x03, 0xf0];
    let upper = [0x86, 1, 2];
    let structure = [0xae, 1, 0x00, 0, 0x30, 0, 64, 0, 64, 0, 128, 0, 128];
    stage.take([
        sender.packet(0, false, &[&structure[..], &lower].concat()),
        sender.packet(0, true, &[&[0xac, 1, 0x03, 0][..], &upper].concat()),
    ]);
    let outputs = stage.outputs();
    let [Output::Format(TrackFormat::Video(format)), Output::Frame(frame)] = &outputs[..] else {
        panic!("{outputs:?}");
    };
    assert_eq!((format.width, format.height), (128, 128));
    assert_eq!(format.config[..], [0, 10, 0x82, 2, 2, 2, 0, 0]);
    let index = [0xd9, 9, 0, 0, 0, 3, 0, 0, 0, 0xd9];
    assert_eq!(frame.data[..], [&lower[..], &upper, &index].concat());
}

#[test]
fn capture_times_place_frames_whatever_the_network_does() {
    let mut stage = Stage::new(MediaKind::Video);
    let mut sender = Sender::new(Codec::Vp8);
    let base = NtpTime::from_unix(Duration::from_secs(1_000));
    for n in 0..90_u32 {
        let captured = stage.start + Duration::from_millis(33) * n;
        // Encoding takes longer and longer.
        stage.now = captured + Duration::from_millis(u64::from(n) * 2);
        for (codec, packet) in sender.vp8(n * 2970, n == 0, (64, 64)) {
            let (view, at) = (packet.view(), base.plus(Duration::from_millis(33) * n));
            let packet = rtp(view.seq(), n * 2970, 1, view.marker(), view.payload(), Some(at));
            stage.take([(codec, packet)]);
        }
    }
    let frames = stage.frames();
    assert_eq!(frames.len(), 90);
    for (n, frame) in (0_u64..).zip(frames) {
        assert!(
            frame.at.since_start().as_millis().abs_diff(u128::from(n * 33)) < 10,
            "{n}: {:?}",
            frame.at
        );
    }
}

/// The last packets before a mute are missed only when others come after it, and come again then.
#[test]
fn what_was_lost_before_a_mute_comes_again_after_it_in_its_place() {
    for mute in [800, 1500, 2500, 4000] {
        let mut stage = Stage::new(MediaKind::Audio);
        let mut sender = Sender::new(Codec::Opus);
        let mut sound = |at: u64| sender.packet(u32::try_from(at * 48).expect("small"), false, &[0xf8, 1, 2]);
        let mut lost = Vec::new();
        for at in (0..5000).step_by(20) {
            let packet = sound(at);
            if at < 4940 {
                stage.take([packet]);
            } else {
                lost.push(packet);
            }
            stage.wait(20);
        }
        stage.wait(mute);
        let again = (5000 + mute..10_000 + mute).step_by(20);
        for at in again.clone() {
            stage.take([sound(at)]);
            stage.wait(20);
            if at > 5100 + mute {
                stage.take(lost.drain(..));
            }
        }
        let at: Vec<u64> = stage.frames().iter().map(|frame| frame.at.0 / 1_000_000).collect();
        assert_eq!(
            at,
            (0..5000).step_by(20).chain(again).collect::<Vec<_>>(),
            "muted for {mute} ms"
        );
    }
}

/// The first packets come late, as those do that were lost and sent again; with the clock known nothing waits.
#[test]
fn the_first_frames_wait_until_it_is_known_how_late_they_were() {
    for known in [false, true] {
        let mut stage = Stage::new(MediaKind::Audio);
        stage.holds = true;
        let mut sender = Sender::new(Codec::Opus);
        let ntp = |ms| NtpTime::from_unix(Duration::from_secs(1000) + Duration::from_millis(ms));
        let mut clock = MediaClock::new(90_000);
        if known {
            clock.on_report(&mut stage.wall, stage.now, ntp(0), RtpTime(5));
        }
        stage.now += Duration::from_secs(1);
        for n in 0..50_u32 {
            let captured = stage.start + Duration::from_secs(1) + Duration::from_millis(20) * n;
            let late = Duration::from_millis(if n < 4 { 150 } else { 10 });
            stage.now = stage.now.max(captured + late);
            stage.take([sender.packet(n * 960, false, &[0x78, 1])]);
            if known && n == 2 {
                let (now, wall) = (stage.now, &mut stage.wall);
                stage.input.handle_report(now, wall, ntp(1000 + 40), RtpTime(2 * 960));
            }
            let waits = n < if known { 3 } else { 32 };
            assert_eq!(stage.input.stats().frames == 0, waits, "{n}");
        }
        let at: Vec<u64> = stage
            .frames()
            .iter()
            .map(|frame| (frame.at.0 + 500_000) / 1_000_000)
            .collect();
        let delay = if known { 0 } else { 10 };
        let expected: Vec<u64> = (0..50).map(|n| 1000 + delay + n * 20).collect();
        assert_eq!(at, expected);
    }
}

#[test]
fn what_is_held_is_bounded_and_not_lost() {
    let mut stage = Stage::new(MediaKind::Video);
    stage.holds = true;
    stage.wait(1000);
    let mut sender = Sender::new(Codec::Vp8);
    for n in 0..400 {
        stage.take(sender.vp8(n * 90, n == 0, (64, 64)));
        assert!(
            stage
                .input
                .stream
                .as_ref()
                .is_some_and(|stream| stream.held.len() <= MAX_HELD.1)
        );
    }
    assert_eq!(stage.frames().len(), 400);
    // One that is over soon.
    let mut stage = Stage::new(MediaKind::Video);
    stage.holds = true;
    stage.wait(100);
    stage.take(sender.vp8(0, true, (64, 64)));
    stage.take(sender.vp8(90, false, (64, 64)));
    assert_eq!(stage.frames().len(), 0);
    assert!(stage.input.next_timeout() == Some(stage.now + SETTLE));
    stage.input.finish(stage.now, &stage.wall);
    assert_eq!(stage.frames().len(), 2);
}

/// Bytes from a seed.
fn noise(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

fn narrow(random: u64) -> u32 {
    u32::try_from(random >> 32).expect("half of it")
}

#[test]
fn an_endless_keyframe_is_given_up() {
    for codec in [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1] {
        let mut stage = Stage::new(MediaKind::Video);
        let mut sender = Sender::new(codec);
        let (first, rest): (&[u8], u8) = match codec {
            Codec::Vp8 => (&[0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 64, 0, 64, 0], 0x00),
            Codec::Vp9 => (&[0x08, 0x82, 0x49, 0x83, 0x42], 0x00),
            Codec::H264 => (&[0x7c, 0x85, 0x88], 0x05),
            _ => (&[0x58, 0x0a], 0xd0),
        };
        stage.take([sender.packet(0, false, first)]);
        let mut payload = vec![0x7c; 1200];
        payload[if codec == Codec::H264 { 1 } else { 0 }] = rest;
        for _ in 0..MAX_FRAME / 1000 {
            stage.take([sender.packet(0, false, &payload)]);
        }
        let held = stage.input.stream.as_ref().map(|stream| stream.assembler.held());
        assert!(
            held.is_some_and(|held| held < MAX_FRAME / 4),
            "{codec:?} holds {held:?}"
        );
        assert_eq!(stage.frames(), []);
    }
}

#[test]
fn another_size_with_every_frame_is_told_with_every_frame() {
    let mut stage = Stage::new(MediaKind::Video);
    let mut sender = Sender::new(Codec::Vp8);
    for n in 1..500_u16 {
        stage.take(sender.vp8(u32::from(n) * 3000, true, (n, n)));
        stage.wait(33);
        let outputs = stage.outputs();
        assert_eq!(outputs.len(), 2);
        assert_eq!(size(&outputs[0]), Some((n.into(), n.into())));
    }
}

#[test]
fn nobody_polls() {
    let mut stage = Stage::new(MediaKind::Audio);
    let mut sender = Sender::new(Codec::Opus);
    for n in 0..10_000 {
        stage.take([sender.packet(n * 960, false, &[0x78, 1])]);
        stage.now += Duration::from_millis(20);
    }
    assert_eq!(stage.outputs().len(), MAX_OUTPUTS);
    assert!(stage.input.stats().overflow > 10_000 - MAX_OUTPUTS as u64);
}

/// Mutated frames, wild timestamps and numbers: never a panic, times rise, pictures begin with a keyframe.
#[test]
fn hostile_packets_leave_the_track_in_order() {
    let mut state = 0x1234_5678_9abc_def1;
    for codec in [
        Codec::Vp8,
        Codec::Vp9,
        Codec::H264,
        Codec::Av1,
        Codec::Opus,
        Codec::G722,
    ] {
        let mut stage = Stage::new(codec.kind());
        let mut sender = Sender::new(codec);
        let mut last = None;
        let mut begun = false;
        for n in 0..3000_u32 {
            let random = noise(&mut state);
            let len = usize::try_from(random % 40).expect("small");
            let mut payload: Vec<u8> = (0..len).map(|_| noise(&mut state).to_be_bytes()[1]).collect();
            let timestamp = if random & 0x700 == 0 {
                narrow(noise(&mut state))
            } else {
                n / 2 * 3000
            };
            let incoming = match random >> 16 & 3 {
                0 if codec == Codec::Vp8 => sender.vp8(timestamp, random & 0x1000 != 0, (64, 64)),
                _ => [sender.packet(timestamp, random & 0x800 != 0, &payload), {
                    payload.truncate(len / 2);
                    sender.packet(timestamp, true, &payload)
                }],
            };
            if random & 0xf_0000 == 0 {
                sender.seq = (noise(&mut state) & 0xffff).try_into().unwrap();
                sender.ssrc = narrow(noise(&mut state)) & 3;
            }
            stage.take(incoming);
            stage.wait(random >> 32 & 31);
            for output in stage.outputs() {
                if let Output::Frame(frame) = output {
                    assert!(begun || frame.keyframe);
                    assert!(last < Some(frame.at) && !frame.data.is_empty());
                    let ahead = frame.at.since(MediaTime::new(stage.now - stage.start));
                    assert!(ahead <= crate::timeline::MAX_AHEAD);
                    (begun, last) = (true, Some(frame.at));
                }
            }
        }
        assert!(begun || codec.kind() == MediaKind::Video, "{codec:?}");
    }
}

#[test]
fn sound_from_before_the_beginning_is_left_out_and_what_follows_is_not() {
    let mut stage = Stage::new(MediaKind::Audio);
    let ntp = |milliseconds: u64| NtpTime((1 << 40) + (milliseconds << 32) / 1000);
    let extensions = ExtensionMap::new().with(Extension::AbsCaptureTime, 3);
    let mut camera = Input::new(MediaKind::Video, &extensions);
    // By the camera it is known what the clock shows at the beginning.
    let picture = rtp(1, 0, 2, true, &[0x10, 0x11, 0, 0], Some(ntp(1000)));
    camera.handle_packet(stage.now, &mut stage.wall, Codec::Vp8, picture);
    for n in 0..20_u16 {
        stage.wait(20);
        let captured = ntp(900 + 20 * u64::from(n));
        let packet = rtp(n, 960 * u32::from(n), 1, true, &[0x78, 1, 2], Some(captured));
        stage.take([(Codec::Opus, packet)]);
    }
    let outputs = stage.outputs();
    let frames = outputs
        .iter()
        .filter(|output| matches!(output, Output::Frame(_)))
        .count();
    assert!(
        stage.input.stats().misplaced > 0 && frames > 10,
        "{:?}",
        stage.input.stats()
    );
    assert!(
        matches!(outputs[0], Output::Format(_)),
        "there is no file without a format"
    );
}
