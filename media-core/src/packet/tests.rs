//! RTP headers: what we write we read, whatever we accept `rtc-rtp` reads the same, and nothing panics.
//!
//! Known differences to `rtc-rtp` on what we accept: it takes any version; behind id 15 (or id 0 with a length, which
//! it gives out as an element) it looks for the payload inside the extension block; the profiles 0x1001 to 0x100f,
//! which RFC 8285 §4.3 leaves to the application, are not two-byte extensions to it; and it cannot write padding of a
//! chosen length.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use rtc_shared::marshal::{Marshal, Unmarshal};

use super::view::{ExtensionForm, MAX_EXTENSIONS};
use super::*;

/// What a packet says, as plain data.
#[derive(Debug, Clone, PartialEq)]
struct Plain {
    pt: u8,
    marker: bool,
    seq: u16,
    timestamp: u32,
    ssrc: u32,
    csrcs: Vec<u32>,
    two_byte: bool,
    elements: Vec<(u8, Vec<u8>)>,
    payload: Vec<u8>,
    padding: u8,
}

fn elements() -> impl Strategy<Value = (bool, Vec<(u8, Vec<u8>)>)> {
    let one_byte = (1..=14_u8, vec(any::<u8>(), 1..=16));
    let two_byte = (1..=255_u8, vec(any::<u8>(), 0..=255));
    let browser = (1..=16_u8, vec(any::<u8>(), 0..=40));
    prop_oneof![
        vec(one_byte, 0..=MAX_EXTENSIONS).prop_map(|elements| (false, elements)),
        vec(two_byte, 1..4).prop_map(|elements| (true, elements)),
        vec(browser, 1..=MAX_EXTENSIONS).prop_map(|elements| (true, elements)),
    ]
}

prop_compose! {
    fn plain()(
        (pt, marker, seq, timestamp, ssrc) in (0..=127_u8, any::<bool>(), any::<u16>(), any::<u32>(), any::<u32>()),
        csrcs in vec(any::<u32>(), 0..=15), (two_byte, elements) in elements(),
        payload in vec(any::<u8>(), 0..40), padding in prop_oneof![2 => Just(0), 1 => 1..=255_u8],
    ) -> Plain {
        Plain { pt, marker, seq, timestamp, ssrc, csrcs, two_byte, elements, payload, padding }
    }
}

fn write(plain: &Plain, buffer: &mut [u8]) -> Option<(usize, usize)> {
    let pt = Pt::new(plain.pt);
    let mut writer = RtpWriter::new(buffer, pt, plain.marker, plain.seq, plain.timestamp, Ssrc(plain.ssrc));
    for csrc in &plain.csrcs {
        writer.csrc(Ssrc(*csrc));
    }
    if plain.two_byte {
        writer.use_two_byte();
    }
    for (id, element) in &plain.elements {
        writer.extension(*id, element);
    }
    writer.payload(&plain.payload);
    writer.padding(plain.padding);
    writer.finish()
}

fn bytes_of(plain: &Plain) -> Vec<u8> {
    let mut buffer = [0xa5; 8192];
    let (_, len) = write(plain, &mut buffer).expect("plenty of room");
    buffer[..len].to_vec()
}

fn read(view: &RtpView<'_>) -> Plain {
    Plain {
        pt: view.pt().value(),
        marker: view.marker(),
        seq: view.seq(),
        timestamp: view.timestamp(),
        ssrc: view.ssrc().0,
        csrcs: view.csrcs().map(|csrc| csrc.0).collect(),
        two_byte: view.layout().extension_form() == ExtensionForm::TwoByte,
        elements: view.extensions().map(|(id, element)| (id, element.to_vec())).collect(),
        payload: view.payload().to_vec(),
        padding: u8::try_from(view.padding()).expect("a byte on the wire"),
    }
}

fn read_by_them(mut bytes: &[u8]) -> Option<Plain> {
    let packet = rtc_rtp::Packet::unmarshal(&mut bytes).ok()?;
    let header = &packet.header;
    Some(Plain {
        pt: header.payload_type,
        marker: header.marker,
        seq: header.sequence_number,
        timestamp: header.timestamp,
        ssrc: header.ssrc,
        csrcs: header.csrc.clone(),
        two_byte: header.extension_profile == 0x1000,
        elements: header
            .extensions
            .iter()
            .map(|element| (element.id, element.payload.to_vec()))
            .collect(),
        payload: packet.payload.to_vec(),
        // They do not keep it.
        padding: 0,
    })
}

/// Everything about a view that could panic, and the index against a walk over the elements.
fn exercise(view: &RtpView<'_>) {
    assert!(view.payload().len() + view.padding() <= view.bytes().len());
    assert!(view.csrcs().count() <= 15);
    assert_eq!(view.extensions().count(), view.layout().extension_count());
    for id in 0..=255 {
        let walked = view
            .extensions()
            .find(|(known, _)| *known == id)
            .map(|(_, element)| element);
        assert_eq!(view.extension(id), walked, "id {id}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(plain in plain()) {
        let bytes = bytes_of(&plain);
        let view = RtpView::parse(&bytes).unwrap();
        prop_assert_eq!(&read(&view), &plain);
        exercise(&view);
        for room in 0..bytes.len() {
            prop_assert_eq!(write(&plain, &mut vec![0; room]), None, "{} of {} bytes", room, bytes.len());
        }
        prop_assert_eq!(write(&plain, &mut vec![0; bytes.len()]), Some((view.layout().header_len(), bytes.len())));
    }

    #[test]
    fn truncated_at_every_length(plain in plain()) {
        let bytes = bytes_of(&plain);
        let whole = Layout::parse(&bytes).unwrap();
        for len in 0..bytes.len() {
            let cut = &bytes[..len];
            match Layout::parse(cut) {
                Ok(layout) => {
                    prop_assert!(len >= whole.header_len());
                    prop_assert_eq!(layout.header_len(), whole.header_len());
                }
                Err(error) => {
                    prop_assert!(len < whole.header_len());
                    prop_assert_eq!(error, ParseError::Truncated);
                }
            }
            // A layout of the whole packet over less of it: fields are empty, nothing panics.
            let view = RtpView::with_layout(cut, whole);
            let _ = read_loosely(&view);
        }
    }

    #[test]
    fn any_bytes(bytes in vec(any::<u8>(), 0..120), other in vec(any::<u8>(), 0..120)) {
        if let Ok(view) = RtpView::parse(&bytes) {
            exercise(&view);
            let _ = read_loosely(&RtpView::with_layout(&other, *view.layout()));
            let _ = view.layout().trim_padding(&other);
        }
    }

    /// Random extension blocks in a frame that is right, small ones and large ones.
    #[test]
    fn any_extension_block(two_byte: bool, zeroes: bool, mut block in vec(any::<u8>(), 0..400), payload in vec(any::<u8>(), 0..9)) {
        block.truncate(block.len() & !3);
        if zeroes {
            // Smaller values, so that more of the elements fit.
            block.iter_mut().for_each(|byte| *byte &= 0x13);
        }
        let mut bytes = vec![0x90, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        bytes.extend(if two_byte { [0x10, 0] } else { [0xbe, 0xde] });
        bytes.extend(u16::try_from(block.len() / 4).unwrap().to_be_bytes());
        bytes.extend(&block);
        bytes.extend(&payload);
        match RtpView::parse(&bytes) {
            Ok(view) => {
                exercise(&view);
                prop_assert_eq!(view.payload(), payload);
                prop_assert!(view.layout().extension_count() <= MAX_EXTENSIONS);
            }
            Err(error) => prop_assert!(matches!(error, ParseError::Extension | ParseError::TooManyExtensions)),
        }
    }

    #[test]
    fn they_read_what_we_write(plain in plain()) {
        let bytes = bytes_of(&plain);
        let mut theirs = read_by_them(&bytes).expect("they read it");
        theirs.padding = plain.padding;
        prop_assert_eq!(theirs, plain);
    }

    #[test]
    fn we_read_what_they_write(plain in plain(), padding: bool) {
        let extensions = plain.elements.iter().map(|(id, element)| rtc_rtp::header::Extension {
            id: *id,
            payload: Bytes::copy_from_slice(element),
        });
        let packet = rtc_rtp::Packet {
            header: rtc_rtp::Header {
                version: 2,
                padding,
                extension: !plain.elements.is_empty(),
                marker: plain.marker,
                payload_type: plain.pt,
                sequence_number: plain.seq,
                timestamp: plain.timestamp,
                ssrc: plain.ssrc,
                csrc: plain.csrcs.clone(),
                extension_profile: if plain.two_byte { 0x1000 } else { 0xbede },
                extensions: extensions.collect(),
                extensions_padding: 0,
            },
            payload: Bytes::copy_from_slice(&plain.payload),
        };
        let bytes = packet.marshal().unwrap();
        let view = RtpView::parse(&bytes).unwrap();
        let expected = Plain { padding: u8::try_from(view.padding()).unwrap(), ..plain };
        prop_assert_eq!(view.padding() > 0, padding);
        prop_assert_eq!(read(&view), expected);
    }

    /// A written packet with some bytes changed: what we still accept, they read the same.
    #[test]
    fn what_we_accept_they_read_the_same(plain in plain(), changes in vec((0..80_usize, any::<u8>()), 1..4)) {
        let mut bytes = bytes_of(&plain);
        for (at, value) in changes {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        let Ok(view) = RtpView::parse(&bytes) else { return Ok(()) };
        exercise(&view);
        let ours = read(&view);
        let has_block = bytes[0] & 0x10 != 0;
        let first_element = 12 + ours.csrcs.len() * 4 + 4;
        let profile = bytes.get(first_element - 4..first_element - 2);
        let known = matches!(profile, Some([0xbe, 0xde] | [0x10, 0]));
        if has_block && !(known && all_elements_count(&view, first_element)) {
            return Ok(());
        }
        let mut theirs = read_by_them(&bytes).expect("they read it");
        theirs.padding = ours.padding;
        prop_assert_eq!(theirs, ours);
    }
}

/// Whether the elements fill their block up to padding: no id 15 and no id 0 with a length ended them.
fn all_elements_count(view: &RtpView<'_>, first_element: usize) -> bool {
    let end = view.extensions().last().map_or(first_element, |(_, element)| {
        element.as_ptr() as usize + element.len() - view.bytes().as_ptr() as usize
    });
    view.bytes()[end..view.layout().header_len()]
        .iter()
        .all(|byte| *byte == 0)
}

fn read_loosely(view: &RtpView<'_>) -> usize {
    let ids = [0, 1, 7, 8, 15, 16, 255]
        .into_iter()
        .filter(|id| view.extension(*id).is_some())
        .count();
    ids + view.csrcs().count() + view.extensions().count() + view.payload().len() + view.padding()
}

/// A packet with this extension block, one byte of payload behind it.
fn with_block(profile: [u8; 2], block: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x90, 0x80 | 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
    bytes.extend(profile);
    bytes.extend(u16::try_from(block.len() / 4).unwrap().to_be_bytes());
    bytes.extend(block);
    bytes.push(0x77);
    bytes
}

type Elements = &'static [(u8, &'static [u8])];
/// Name, extension block, what is read of it.
type Case = (&'static str, &'static [u8], Result<Elements, ParseError>);

#[test]
fn elements_of_one_byte_headers() {
    let table: [Case; 9] = [
        ("no element", &[], Ok(&[])),
        ("padding only", &[0, 0, 0, 0], Ok(&[])),
        (
            "padding between",
            &[0x10, 7, 0, 0, 0, 0x20, 8, 0],
            Ok(&[(1, &[7]), (2, &[8])]),
        ),
        ("id 15 ends", &[0x10, 7, 0xf0, 9, 0x20, 8, 0, 0], Ok(&[(1, &[7])])),
        (
            "id 0 with a length ends",
            &[0x10, 7, 0x01, 9, 9, 0x20, 8, 0],
            Ok(&[(1, &[7])]),
        ),
        (
            "an id twice: the first counts",
            &[0x10, 7, 0x10, 8],
            Ok(&[(1, &[7]), (1, &[8])]),
        ),
        (
            "sixteen bytes",
            &[0xef, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 0, 0, 0],
            { Ok(&[(14, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16])]) },
        ),
        ("past the block by one", &[0x13, 7, 7, 7], Err(ParseError::Extension)),
        ("head without a body", &[0x10, 7, 0, 0x10], Err(ParseError::Extension)),
    ];
    for (name, block, expected) in table {
        let bytes = with_block([0xbe, 0xde], block);
        let read = RtpView::parse(&bytes)
            .inspect(exercise)
            .map(|view| view.extensions().collect::<Vec<_>>());
        assert_eq!(
            read.as_deref(),
            expected.as_ref().map(|elements| &elements[..]),
            "{name}"
        );
        if let (Ok(elements), Ok(view)) = (expected, RtpView::parse(&bytes)) {
            assert_eq!(view.payload(), [0x77], "{name}");
            assert_eq!(
                view.extension(1),
                elements.iter().find(|(id, _)| *id == 1).map(|(_, element)| *element)
            );
        }
    }
}

#[test]
fn elements_of_two_byte_headers() {
    let table: [Case; 6] = [
        ("empty element", &[1, 0, 2, 0], Ok(&[(1, &[]), (2, &[])])),
        ("id 15 is an id", &[15, 1, 7, 0], Ok(&[(15, &[7])])),
        (
            "ids above 15",
            &[255, 1, 7, 16, 1, 8, 0, 0],
            Ok(&[(255, &[7]), (16, &[8])]),
        ),
        ("padding between", &[0, 1, 1, 7, 0, 0, 2, 0], Ok(&[(1, &[7]), (2, &[])])),
        ("past the block by one", &[1, 3, 7, 7], Err(ParseError::Extension)),
        ("id without a length", &[0, 0, 0, 1], Err(ParseError::Extension)),
    ];
    for (name, block, expected) in table {
        // The low four bits of the profile belong to the application.
        for profile in [[0x10, 0x00], [0x10, 0x0f]] {
            let bytes = with_block(profile, block);
            let read = RtpView::parse(&bytes)
                .inspect(exercise)
                .map(|view| view.extensions().collect::<Vec<_>>());
            assert_eq!(
                read.as_deref(),
                expected.as_ref().map(|elements| &elements[..]),
                "{name}"
            );
        }
    }
}

#[test]
fn blocks_of_other_profiles_are_stepped_over() {
    for profile in [[0, 0], [0x10, 0x10], [0xbe, 0xdf]] {
        let bytes = with_block(profile, &[0x10, 7, 0xff, 0xff]);
        let view = RtpView::parse(&bytes).unwrap();
        exercise(&view);
        assert_eq!((view.layout().extension_count(), view.payload()), (0, &[0x77][..]));
    }
}

#[test]
fn more_elements_than_the_bound_are_refused() {
    let block = |count: usize| {
        let mut block = [0x10, 7].repeat(count);
        block.resize(block.len().next_multiple_of(4), 0);
        with_block([0xbe, 0xde], &block)
    };
    assert_eq!(
        RtpView::parse(&block(MAX_EXTENSIONS)).unwrap().extensions().count(),
        MAX_EXTENSIONS
    );
    assert_eq!(
        RtpView::parse(&block(MAX_EXTENSIONS + 1)).unwrap_err(),
        ParseError::TooManyExtensions
    );
}

#[test]
fn headers_that_are_refused() {
    let good = [0x80, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0x77, 2];
    let refused = |change: fn(&mut Vec<u8>), error| {
        let mut bytes = good.to_vec();
        change(&mut bytes);
        assert_eq!(RtpView::parse(&bytes).unwrap_err(), error);
    };
    refused(|bytes| bytes[0] = 0x40, ParseError::Version);
    refused(|bytes| bytes[0] = 0x81, ParseError::Truncated);
    refused(|bytes| bytes[0] = 0x90, ParseError::Truncated);
    refused(|bytes| (bytes[0], bytes[13]) = (0xa0, 0), ParseError::Padding);
    refused(|bytes| (bytes[0], bytes[13]) = (0xa0, 3), ParseError::Padding);
    refused(|bytes| bytes.resize(70_000, 0), ParseError::TooLong);
    // Nothing but padding is what bandwidth probes look like.
    let mut probe = good;
    probe[0] = 0xa0;
    let view = RtpView::parse(&probe).unwrap();
    assert_eq!((view.payload(), view.padding()), (&[][..], 2));
}

#[test]
fn the_padding_of_the_plaintext_counts() {
    let mut bytes = bytes_of(&Plain {
        pt: 96,
        marker: false,
        seq: 1,
        timestamp: 2,
        ssrc: 3,
        csrcs: vec![],
        two_byte: false,
        elements: vec![(1, vec![1])],
        payload: vec![7; 10],
        padding: 4,
    });
    let plaintext = Bytes::from(bytes.clone());
    // As ciphertext, the last byte says anything, and an authentication tag follows.
    *bytes.last_mut().unwrap() = 0xff;
    bytes.extend([0xee; 16]);
    let layout = Layout::parse(&bytes).unwrap();
    let packet = Packet::new(plaintext.clone(), layout).unwrap();
    assert_eq!(packet.view().payload(), [7; 10]);
    assert_eq!(packet.payload(), &[7; 10][..]);
    assert_eq!(
        Packet::new(plaintext.slice(..10), layout).unwrap_err(),
        ParseError::Truncated
    );
}

#[test]
fn what_the_writer_cannot_carry_is_left_out() {
    let mut buffer = [0; 200];
    let mut writer = RtpWriter::new(&mut buffer, Pt::new(96), false, 1, 2, Ssrc(3));
    writer.extension(0, &[1]);
    writer.extension(15, &[1]);
    writer.extension(1, &[]);
    writer.extension(1, &[0; 17]);
    writer.use_two_byte();
    writer.extension(2, &[]);
    // The form is settled now, and CSRCs stand before the extensions.
    writer.csrc(Ssrc(9));
    writer.payload(&[]);
    let (header, len) = writer.finish().unwrap();
    let view = RtpView::parse(&buffer[..len]).unwrap();
    assert_eq!(view.extensions().collect::<Vec<_>>(), [(2, &[][..])]);
    assert_eq!((view.csrcs().count(), header, len), (0, 20, 20));
}
