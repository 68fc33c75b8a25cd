//! What can be decoded after a loss without a keyframe: a picture that nothing refers to may be missing.
//!
//! Where a dependency descriptor comes with the packets (AV1 RTP specification, appendix A), it names the frames that each frame
//! refers to: all of them must have been kept. Else the temporal layers of VP8 (RFC 7741 §4.2) and VP9 (RFC 9628 §4.2) tell it:
//! pictures of the base layer are numbered, so that none is missing unseen, and refer to none above; a layer above is good again
//! from where its sender says that it refers to nothing older. Whatever tells neither waits for a keyframe.

use althing_media_core::Codec;
use althing_media_core::packet::RtpView;
use althing_media_core::payload::dependency_descriptor::{DependencyState, References};
use althing_media_core::payload::{self, Info, PictureId};

/// How far back a frame can refer, in frames.
const WINDOW: usize = 4096;
/// Frames of one picture: its spatial layers.
const MAX_FRAMES: usize = 8;
/// Pictures of the base layer are numbered with a byte: after so long, in ticks of 90 kHz, the same number may be another one.
const LONGEST: u32 = 4 * 90_000;

/// What was kept of one stream.
#[derive(Debug)]
pub(super) struct Layers {
    codec: Codec,
    /// The id of the descriptor's extension.
    descriptor: Option<u8>,
    state: DependencyState,
    kept: Kept,
    /// Frames of the picture that is being put together.
    pending: Vec<u16>,
    base: Base,
    /// The picture id of the last picture that was kept, and of the one that is being put together.
    picture: Option<PictureId>,
    next_picture: Option<PictureId>,
    /// Something was lost since the last keyframe.
    careful: bool,
}

/// What one packet says.
#[derive(Debug)]
pub(super) struct Seen {
    info: Info,
    timestamp: u32,
    /// The frame's number and what it refers to.
    frame: Option<(u16, References)>,
}

impl Seen {
    /// A decoder can start here.
    pub(super) fn is_keyframe(&self) -> bool {
        self.info.keyframe
    }
}

/// Whether a picture can be decoded with what was kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It can.
    Follows,
    /// It cannot, but others may.
    Skip,
    /// It cannot, nor anything up to the next keyframe.
    Broken,
}

/// The base layer as its pictures are numbered (`TL0PICIDX`).
#[derive(Debug, Default)]
struct Base {
    /// The last one that was kept.
    last: Option<(u8, u32)>,
    /// That of the picture that is being put together, and its timestamp.
    pending: Option<(u8, u32)>,
    /// After a loss, the layers above of which all is there that will be referred to: bit n for layer n.
    good: u8,
}

impl Layers {
    /// Of a stream that has not begun.
    pub(super) fn new(codec: Codec, descriptor: Option<u8>) -> Self {
        Self {
            codec,
            descriptor,
            state: DependencyState::new(),
            kept: Kept::default(),
            pending: Vec::new(),
            base: Base::default(),
            picture: None,
            next_picture: None,
            careful: false,
        }
    }

    /// Looks at a packet, each in its turn.
    pub(super) fn look(&mut self, view: &RtpView<'_>) -> Seen {
        let (info, timestamp) = (payload::peek(self.codec, view.payload()), view.timestamp());
        let element = self.descriptor.and_then(|id| view.extension(id));
        match element.and_then(|element| self.state.read(element)) {
            Some(frame) => Seen {
                info: Info {
                    ids: info.ids,
                    ..frame.info
                },
                timestamp,
                frame: Some((frame.frame_number, frame.references)),
            },
            None => Seen {
                info,
                timestamp,
                frame: None,
            },
        }
    }

    /// Whether a spatial layer can be decoded that begins with this packet, in a picture that can.
    pub(super) fn judge_layer(&self, seen: &Seen) -> Verdict {
        if seen.frame.is_some() && seen.info.start_of_frame {
            self.judge(seen)
        } else {
            Verdict::Follows
        }
    }

    /// Whether a picture that begins with this packet can be decoded.
    pub(super) fn judge(&self, seen: &Seen) -> Verdict {
        if !self.careful || seen.info.keyframe {
            return Verdict::Follows;
        }
        if !seen.info.start_of_frame {
            return Verdict::Skip;
        }
        let upper = seen.info.temporal > 0;
        let follows = if let Some((number, references)) = &seen.frame {
            references.iter().all(|back| {
                let of = number.wrapping_sub(back);
                self.pending.contains(&of) || self.kept.has(of)
            })
        } else {
            let (Some((last, at)), Some(base)) = (self.base.last, seen.info.ids.tl0_pic_idx()) else {
                return Verdict::Broken;
            };
            let expected = if upper { last } else { last.wrapping_add(1) };
            if base != expected || seen.timestamp.wrapping_sub(at) > LONGEST {
                return Verdict::Broken;
            }
            let needed = match self.codec {
                // "Y": it refers to the base layer alone.
                Codec::Vp8 if seen.info.switch_up => 0,
                _ => (u8::MAX >> (7 - seen.info.temporal.min(7))) & !1,
            };
            needed & !self.base.good == 0 && seen.info.spatial == 0
        };
        match (follows, upper) {
            (true, _) => Verdict::Follows,
            (false, true) => Verdict::Skip,
            (false, false) => Verdict::Broken,
        }
    }

    /// Whether a picture that begins with this packet tells by its own number that it is the one after the last that was kept.
    pub(super) fn continues(&self, seen: &Seen) -> bool {
        if let Some((number, _)) = seen.frame {
            return self.kept.newest == Some(number.wrapping_sub(1));
        }
        let (last, this) = (self.picture, seen.info.ids.picture_id());
        last.zip(this).is_some_and(|(last, this)| this.since(last.value()) == 1)
    }

    /// A picture begins that is put together.
    pub(super) fn begin(&mut self) {
        self.next_picture = None;
        self.pending.clear();
        self.base.pending = None;
    }

    /// A packet of it.
    pub(super) fn take(&mut self, seen: &Seen) {
        if let Some((number, _)) = seen.frame
            && !self.pending.contains(&number)
            && self.pending.len() < MAX_FRAMES
        {
            self.pending.push(number);
        }
        self.next_picture = seen.info.ids.picture_id().or(self.next_picture);
        if seen.info.start_of_frame && seen.info.spatial == 0 {
            if seen.info.switch_up {
                let layer = 1_u8.checked_shl(seen.info.temporal.into()).unwrap_or(0);
                self.base.good |= match self.codec {
                    Codec::Vp8 => layer,
                    // "U": no picture above it refers to one before it that is above it.
                    _ => !(layer | layer.wrapping_sub(1)),
                };
            }
            if seen.info.temporal == 0 {
                let base = seen.info.ids.tl0_pic_idx();
                self.base.pending = base.map(|base| (base, seen.timestamp));
            }
        }
    }

    /// The picture is whole and kept.
    pub(super) fn keep(&mut self, keyframe: bool) {
        if keyframe {
            self.kept = Kept::default();
            self.careful = false;
            self.base.last = None;
        }
        self.pending.drain(..).for_each(|number| self.kept.put(number));
        self.base.last = self.base.pending.take().or(self.base.last);
        self.picture = self.next_picture.take();
    }

    /// Something is lost; whether anything but a keyframe may be good after it.
    pub(super) fn lose(&mut self) -> bool {
        self.pending.clear();
        self.base.pending = None;
        self.base.good = 0;
        self.careful = true;
        self.kept.newest.is_some() || self.base.last.is_some()
    }

    /// What was kept is of no use to what follows.
    pub(super) fn forget(&mut self) {
        self.kept = Kept::default();
        self.base = Base::default();
        self.pending.clear();
    }
}

/// Numbers of frames, the last [`WINDOW`] of them.
#[derive(Debug)]
struct Kept {
    newest: Option<u16>,
    bits: [u64; WINDOW / 64],
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            newest: None,
            bits: [0; WINDOW / 64],
        }
    }
}

impl Kept {
    fn put(&mut self, number: u16) {
        if let Some(newest) = self.newest {
            let ahead = usize::from(number.wrapping_sub(newest));
            if ahead >= WINDOW {
                // Far ahead or behind: another numbering.
                self.bits = [0; WINDOW / 64];
            } else {
                // Their places belong to frames that are too old by now.
                (1..=ahead).for_each(|step| {
                    let step = u16::try_from(step).unwrap_or(0);
                    let (word, bit) = place(newest.wrapping_add(step));
                    self.bits[word] &= !bit;
                });
            }
        }
        self.newest = Some(number);
        let (word, bit) = place(number);
        self.bits[word] |= bit;
    }

    fn has(&self, number: u16) -> bool {
        let (word, bit) = place(number);
        let back = self.newest.map(|newest| usize::from(newest.wrapping_sub(number)));
        back.is_some_and(|back| back < WINDOW) && self.bits[word] & bit != 0
    }
}

fn place(number: u16) -> (usize, u64) {
    let at = usize::from(number) % WINDOW;
    (at / 64, 1 << (at % 64))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use althing_media_core::Ssrc;
    use althing_media_core::packet::{Packet, Pt, RtpWriter};
    use althing_media_core::payload::dependency_descriptor::{
        Descriptor, Indications, MAX_CHAINS, Mandatory, Structure, Template,
    };
    use bytes::Bytes;

    use super::super::assemble::Assembler;
    use super::super::reorder::Ordered;
    use super::*;

    /// The extension that carries descriptors.
    const ID: u8 = 5;
    /// Pictures between keyframes.
    const GROUP: usize = 32;
    /// Temporal layers of four pictures, and how far back each refers: the third layer's second picture to the second layer.
    const PATTERN: [(u8, u16); 4] = [(0, 4), (2, 1), (1, 2), (2, 1)];

    #[test]
    fn frames_are_known_for_as_long_as_they_can_be_referred_to() {
        let mut kept = Kept::default();
        assert!(!kept.has(0));
        for number in [65_530, 65_534, 2, 6] {
            kept.put(number);
        }
        for number in 65_500..65_535 {
            assert_eq!(kept.has(number), [65_530, 65_534].contains(&number), "{number}");
        }
        assert!(kept.has(2) && !kept.has(3) && kept.has(6) && !kept.has(7));
        kept.put(4000);
        assert!(kept.has(6) && kept.has(4000));
        kept.put(4102);
        assert!(!kept.has(6) && kept.has(4102) && !kept.has(2), "their places are taken");
        kept.put(30_000);
        assert!(!kept.has(4102) && kept.has(30_000));
    }

    /// A picture of VP8 with its layer, in two packets.
    fn vp8(n: usize) -> [Vec<u8>; 2] {
        let (tid, _) = PATTERN[n % 4];
        let keyframe = n.is_multiple_of(GROUP);
        // All but the second picture of the third layer refer to the base alone.
        let sync = u8::from(n % 4 == 1 || n % 4 == 2) << 5;
        let tl0 = u8::try_from(n / 4 % 256).unwrap();
        let descriptor = |start: u8| vec![0x80 | start, 0x60, tl0, tid << 6 | sync];
        let mut first = descriptor(0x10);
        first.extend_from_slice(if keyframe {
            &[0x10, 0, 0, 0x9d, 1, 0x2a, 64, 0, 64, 0]
        } else {
            &[0x11, 0, 0]
        });
        first.extend(u32::try_from(n).unwrap().to_be_bytes());
        let mut second = descriptor(0);
        second.push(1);
        [first, second]
    }

    fn structure() -> Structure {
        let template = |(temporal, back): (u8, u16)| Template {
            spatial: 0,
            temporal,
            indications: Indications::from_symbols(["SSS", "-SS", "--D"][usize::from(temporal)]).unwrap(),
            references: if back == 0 { 0 } else { 1 << (back - 1) },
            chain_fdiffs: [0; MAX_CHAINS],
        };
        let templates = [(0, 0), (0, 4), (1, 2), (2, 1)].map(template);
        Structure::new(0, 3, &templates, &[], &[]).unwrap()
    }

    /// A picture of H.264, whose layers only a descriptor tells, in two packets; and the descriptors.
    fn h264(n: usize) -> [(Vec<u8>, Vec<u8>); 2] {
        let keyframe = n.is_multiple_of(GROUP);
        let template_id = if keyframe { 0 } else { PATTERN[n % 4].0 + 1 };
        let number = u32::try_from(n).unwrap().to_be_bytes();
        [true, false].map(|start| {
            let mut descriptor = Descriptor::new(Mandatory {
                start_of_frame: start,
                end_of_frame: !start,
                template_id,
                frame_number: u16::from_be_bytes([number[2], number[3]]),
            });
            descriptor.attach = keyframe && start;
            let mut element = [0; 255];
            let len = descriptor.write_to(&structure(), &mut element).unwrap();
            let payload = if keyframe && start {
                // An SPS of 64 by 64 pixels, a PPS and a slice, in one packet.
                let units: [&[u8]; 3] = [
                    &[0x67, 66, 0, 10, 0xf8, 0x84, 0xc8],
                    &[0x68, 0xce, 0x38, 0x80],
                    &[0x65, 0],
                ];
                let sized = units
                    .iter()
                    .flat_map(|unit| [&[0, u8::try_from(unit.len()).unwrap()], *unit].concat());
                std::iter::once(24).chain(sized).collect()
            } else {
                [&[0x61], &number[..]].concat()
            };
            (payload, element[..len].to_vec())
        })
    }

    fn packet(seq: usize, timestamp: usize, marker: bool, payload: &[u8], element: Option<&[u8]>) -> Packet {
        let mut buffer = vec![0; payload.len() + 400];
        let seq = u16::try_from(seq % 65_536).unwrap();
        let timestamp = u32::try_from(timestamp).unwrap();
        let mut writer = RtpWriter::new(&mut buffer, Pt::new(96), marker, seq, timestamp, Ssrc(1));
        if let Some(element) = element {
            writer.extension(ID, element);
        }
        writer.payload(payload);
        let (_, len) = writer.finish().unwrap();
        Packet::parse(Bytes::copy_from_slice(&buffer[..len])).unwrap()
    }

    fn packets(codec: Codec, n: usize) -> [Packet; 2] {
        let packet = |part: usize, payload: &[u8], element: Option<&[u8]>| {
            packet(2 * n + part, n * 3000, part == 1, payload, element)
        };
        if codec == Codec::Vp8 {
            let [first, second] = vp8(n);
            [packet(0, &first, None), packet(1, &second, None)]
        } else {
            let [first, second] = h264(n);
            [
                packet(0, &first.0, Some(&first.1)),
                packet(1, &second.0, Some(&second.1)),
            ]
        }
    }

    /// What is recorded of pictures of which some packets are lost, and what a decoder could have done with what came.
    fn run(codec: Codec, pictures: usize, lost: impl Fn(usize, usize) -> bool) -> (Vec<usize>, Vec<usize>) {
        run_filled(codec, pictures, lost, false)
    }

    /// The same; `filled`: padding comes in the place of what is lost.
    fn run_filled(
        codec: Codec,
        pictures: usize,
        lost: impl Fn(usize, usize) -> bool,
        filled: bool,
    ) -> (Vec<usize>, Vec<usize>) {
        let mut assembler = Assembler::new(codec, Some(ID));
        let (mut recorded, mut decodable) = (Vec::new(), Vec::new());
        let mut after_loss = false;
        for n in 0..pictures {
            for (part, mut own) in packets(codec, n).into_iter().enumerate() {
                if lost(n, part) && !filled {
                    after_loss = true;
                    continue;
                }
                if lost(n, part) {
                    own = packet(2 * n + part, n * 3000, false, &[], None);
                }
                let ordered = Ordered {
                    packet: own,
                    arrival: Instant::now(),
                    after_loss: std::mem::take(&mut after_loss),
                };
                recorded.extend(assembler.push(&ordered).map(|_| n));
            }
            let refers = (!n.is_multiple_of(GROUP)).then(|| n - usize::from(PATTERN[n % 4].1));
            if !lost(n, 0) && !lost(n, 1) && refers.is_none_or(|to| decodable.contains(&to)) {
                decodable.push(n);
            }
        }
        (recorded, decodable)
    }

    /// A router that could not get a packet sends padding under its number: no number is missing then.
    #[test]
    fn padding_in_the_place_of_a_picture_is_a_loss() {
        for codec in [Codec::Vp8, Codec::H264] {
            for lost in 1..GROUP {
                let (recorded, decodable) = run_filled(codec, GROUP + 1, |n, _| n == lost, true);
                let wrong: Vec<_> = recorded.iter().filter(|n| !decodable.contains(n)).collect();
                assert!(wrong.is_empty(), "{codec:?} without {lost}: {wrong:?}");
                assert!(recorded.contains(&GROUP) && recorded.len() >= lost, "{recorded:?}");
            }
        }
    }

    /// Padding that belongs to the picture before takes nothing.
    #[test]
    fn padding_between_pictures_is_none() {
        let mut assembler = Assembler::new(Codec::H264, None);
        let mut recorded = 0;
        for n in 0..GROUP {
            let padding = packet(3 * n + 2, n * 3000, false, &[], None);
            for packet in packets(Codec::H264, n).into_iter().chain([padding]) {
                let ordered = Ordered {
                    packet,
                    arrival: Instant::now(),
                    after_loss: false,
                };
                recorded += usize::from(assembler.push(&ordered).is_some());
            }
        }
        assert_eq!(recorded, GROUP);
    }

    /// Numbers that come out even.
    fn dice(seed: u64, n: usize, part: usize) -> u64 {
        let mut x = seed ^ (n as u64) << 20 ^ (part as u64) << 60;
        for _ in 0..3 {
            x = (x ^ x >> 31).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
        x >> 40
    }

    #[test]
    fn a_lost_picture_of_an_upper_layer_takes_only_those_that_refer_to_it() {
        for codec in [Codec::Vp8, Codec::H264] {
            for lost in 1..GROUP {
                for part in 0..2 {
                    let (recorded, decodable) = run(codec, GROUP + 1, |n, p| (n, p) == (lost, part));
                    assert!(recorded.iter().all(|n| decodable.contains(n)));
                    let left_out = GROUP + 1 - recorded.len();
                    let expected = match lost % 4 {
                        0 => GROUP - lost,
                        2 => 2,
                        // What VP8 says does not tell whether the next of the layer refers to it.
                        1 if codec == Codec::Vp8 => 2,
                        _ => 1,
                    };
                    assert_eq!(left_out, expected, "{codec:?} without packet {part} of picture {lost}");
                }
            }
        }
    }

    #[test]
    fn whatever_is_lost_nothing_is_recorded_that_cannot_be_decoded() {
        for codec in [Codec::Vp8, Codec::H264] {
            let (mut recorded, mut decodable) = (0, 0);
            for seed in 0..40 {
                let (were, could) = run(codec, 200, |n, part| dice(seed, n, part).is_multiple_of(20));
                assert!(
                    were.iter().all(|n| could.contains(n)),
                    "{codec:?} {seed}: {were:?} of {could:?}"
                );
                recorded += were.len();
                decodable += could.len();
            }
            let least = if codec == Codec::Vp8 { 80 } else { 95 };
            assert!(
                recorded * 100 >= decodable * least,
                "{codec:?}: {recorded} of {decodable}"
            );
        }
    }
}
