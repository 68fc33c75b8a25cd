//! Payload formats: any bytes, and patches that change the numbers and nothing else.

use super::choices::Choices;
use crate::packet::{Layout, Pt, RtpView, RtpWriter, Ssrc};
use crate::payload::dependency_descriptor::{self as dd, DependencyState, Frame};
use crate::payload::picture_id::MAX_PREFIX;
use crate::payload::red::{self, Red};
use crate::payload::{Codec, Info, Patch, peek, peek_with_descriptor};
use crate::receive::red::Recovered;

/// Looks at `data` as a payload of `codec`, and writes other numbers into it.
fn payload(codec: Codec, data: &[u8]) -> Info {
    let info = peek(codec, data);
    assert!(!data.is_empty() || info == Info::default());
    let patch = Patch {
        picture_id: 0x7abc,
        tl0_pic_idx: 0x5a,
    };
    let mut out = [0; MAX_PREFIX];
    let len = info.ids.write_patched(data, patch, &mut out);
    assert!(len <= MAX_PREFIX && len <= data.len());
    if len > 0 {
        let mut patched = data.to_vec();
        patched[..len].copy_from_slice(&out[..len]);
        let again = peek(codec, &patched);
        let long = info.ids.picture_id().is_some_and(|id| id.bits() == 15);
        let expected = info.ids.picture_id().map(|_| if long { 0x7abc } else { 0x3c });
        assert_eq!(again.ids.picture_id().map(|id| id.value()), expected);
        assert_eq!(again.ids.tl0_pic_idx(), info.ids.tl0_pic_idx().map(|_| 0x5a));
        // All else is as it was.
        assert_eq!(Info { ids: info.ids, ..again }, info);
    }
    info
}

/// VP8 (RFC 7741).
pub fn vp8(data: &[u8]) {
    payload(Codec::Vp8, data);
}

/// VP9 (RFC 9628).
pub fn vp9(data: &[u8]) {
    payload(Codec::Vp9, data);
    if let Some(descriptor) = crate::payload::vp9::Descriptor::parse(data) {
        assert!(descriptor.wire_len(data).is_none_or(|len| len <= data.len()));
    }
}

/// H.264 (RFC 6184).
pub fn h264(data: &[u8]) {
    payload(Codec::H264, data);
}

/// AV1.
pub fn av1(data: &[u8]) {
    payload(Codec::Av1, data);
    if let Some(header) = crate::payload::av1::Header::parse(data) {
        let _ = (
            header.may_start_frame(),
            header.starts_keyframe(),
            header.has_sequence_header(),
        );
    }
}

/// Opus (RFC 6716 §3).
pub fn opus(data: &[u8]) {
    payload(Codec::Opus, data);
    let _ = (crate::payload::opus::duration(data), crate::payload::opus::is_dtx(data));
}

/// Redundant audio (RFC 2198): blocks lie in the payload one after another, and what they bring back are whole packets
/// before this one.
pub fn red(data: &[u8]) {
    let Some(parts) = Red::parse(data) else { return };
    let length: usize = parts.redundant.iter().map(|block| block.payload.len()).sum();
    assert_eq!(parts.primary, parts.redundant.len() * red::HEADER + 1 + length);
    assert!(parts.primary <= data.len());
    for block in &parts.redundant {
        let again = red::header(block.pt, block.offset, block.payload.len()).expect("it had a place");
        assert!(data.windows(again.len()).any(|window| window == again));
    }
    let mut buffer = vec![0; data.len() + 64];
    let mut writer = RtpWriter::new(&mut buffer, Pt::new(63), true, 3, 1000, Ssrc(1));
    writer.extension(1, &[5]);
    writer.payload(data);
    let (_, len) = writer.finish().expect("there is room");
    let packet = &mut buffer[..len];
    let layout = Layout::parse(packet).expect("it was just written");
    let mut recovered = Recovered::default();
    let primary = recovered
        .unwrap(packet, layout, parts.pt, |_| true)
        .expect("it is the payload type");
    let view = RtpView::parse(&packet[primary..]).expect("whole");
    assert_eq!(
        (view.pt(), view.seq(), view.payload()),
        (parts.pt, 3, &data[parts.primary..])
    );
    let mut after = view.seq();
    for packet in recovered.packets().collect::<Vec<_>>().into_iter().rev() {
        let lost = RtpView::parse(packet).expect("whole");
        assert_eq!((lost.pt(), lost.seq()), (parts.pt, after.wrapping_sub(1)));
        after = lost.seq();
    }
}

/// The descriptor of `frame` with other decode targets reads as it was but for these.
fn restricted(
    element: &[u8],
    (state, frame): (&DependencyState, &Frame),
    targets: u32,
    receiver: &mut DependencyState,
) {
    let structure = state.structure().expect("a frame needs a structure");
    let mut out = [0; 300];
    let Some(len) = dd::set_active_targets(element, structure, targets, &mut out) else {
        receiver.read(element);
        return;
    };
    assert!(len <= element.len() + 5);
    let read = receiver.read(&out[..len]).expect("it was readable before");
    assert_eq!(read.active, targets & structure.all_targets());
    let plain = |frame: &Frame| {
        let Frame {
            references,
            indications,
            chain_fdiffs,
            frame_number,
            attached,
            ..
        } = *frame;
        let Info {
            spatial,
            temporal,
            start_of_frame,
            end_of_frame,
            keyframe,
            ..
        } = frame.info;
        let layers = (spatial, temporal, start_of_frame, end_of_frame, keyframe);
        (references, indications, chain_fdiffs, (frame_number, attached), layers)
    };
    assert_eq!(plain(&read), plain(frame));
}

/// A series of descriptors of one stream, each with its length in front.
pub fn dependency_descriptor(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut state = DependencyState::new();
    // A receiver that gets some decode targets only.
    let (mut receiver, targets) = (DependencyState::new(), u32::try_from(data.len()).unwrap_or(u32::MAX));
    while !choices.is_empty() {
        let element = choices.short();
        if let Some(frame) = state.read(element) {
            restricted(element, (&state, &frame), targets, &mut receiver);
            let structure = state.structure().expect("a frame needs a structure");
            assert!(structure.template(structure.template_id_offset()).is_some());
            for target in 0..32 {
                let _ = (
                    frame.is_in(target),
                    frame.indications.of(target),
                    structure.protected_by(target),
                );
            }
            assert!(frame.references.iter().all(|back| back > 0));
            let best = structure.best_target(frame.info.spatial, frame.info.temporal, state.active_targets());
            assert!(best.is_none_or(|target| target < structure.decode_targets()));
        }
        let info = peek_with_descriptor(Codec::Av1, &[0x10], Some(element), &mut state);
        assert!(info.temporal < 8 && info.spatial < 8);
        let mut changed = element.to_vec();
        dd::set_frame_number(&mut changed, 0x1234);
        assert!(dd::frame_number(&changed).is_none_or(|number| number == 0x1234));
    }
}
