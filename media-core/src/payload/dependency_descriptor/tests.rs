//! The descriptor's tests: one structure worked out bit by bit, structures of browsers' scalability modes, round trips,
//! truncation, random bytes.

use proptest::prelude::*;

use super::*;
use crate::payload::{Codec, Ids, PictureId, peek_with_descriptor};

/// A template in the notation of the specification's appendix: layers, symbols, references, chains.
fn template(spatial: u8, temporal: u8, symbols: &str, references: &[u8], chains: &[u8]) -> Template {
    let mut chain_fdiffs = [0; MAX_CHAINS];
    chain_fdiffs[..chains.len()].copy_from_slice(chains);
    Template {
        spatial,
        temporal,
        indications: Indications::from_symbols(symbols).unwrap(),
        references: references.iter().fold(0, |mask, fdiff| mask | 1 << (fdiff - 1)),
        chain_fdiffs,
    }
}

/// Three temporal layers: 0 2 1 2.
fn l1t3(offset: u8) -> Structure {
    let templates = [
        template(0, 0, "SSS", &[], &[0]),
        template(0, 0, "SSS", &[4], &[4]),
        template(0, 1, "-DS", &[2], &[2]),
        template(0, 2, "--D", &[1], &[1]),
        template(0, 2, "--D", &[1], &[3]),
    ];
    Structure::new(offset, 3, &templates, &[0, 0, 0], &[]).unwrap()
}

/// Two spatial layers that depend on each other only in key pictures, two temporal layers.
fn l2t2_key(offset: u8) -> Structure {
    let templates = [
        template(0, 0, "SSSS", &[], &[0, 0]),
        template(0, 0, "SS--", &[4], &[4, 3]),
        template(0, 1, "-D--", &[2], &[2, 1]),
        template(1, 0, "--SS", &[1], &[1, 1]),
        template(1, 0, "--SS", &[4], &[1, 4]),
        template(1, 1, "---D", &[2], &[3, 2]),
    ];
    let sizes = [
        Resolution {
            width: 640,
            height: 360,
        },
        Resolution {
            width: 1280,
            height: 720,
        },
    ];
    Structure::new(offset, 4, &templates, &[0, 0, 1, 1], &sizes).unwrap()
}

fn mandatory(template_id: u8, frame_number: u16) -> Mandatory {
    Mandatory {
        start_of_frame: true,
        end_of_frame: true,
        template_id,
        frame_number,
    }
}

fn written(descriptor: Descriptor<'_>, structure: &Structure) -> Vec<u8> {
    let mut buffer = [0xff; 300];
    let len = descriptor.write_to(structure, &mut buffer).unwrap();
    buffer[..len].to_vec()
}

fn keyframe(structure: &Structure, frame_number: u16) -> Vec<u8> {
    let mandatory = mandatory(structure.template_id_offset(), frame_number);
    written(
        Descriptor {
            attach: true,
            ..Descriptor::new(mandatory)
        },
        structure,
    )
}

fn plain(structure: &Structure, template: u8, frame_number: u16) -> Vec<u8> {
    let template_id = (structure.template_id_offset() + template) & 0x3f;
    written(Descriptor::new(mandatory(template_id, frame_number)), structure)
}

fn state_with(structure: &Structure) -> DependencyState {
    let mut state = DependencyState::new();
    state.read(&keyframe(structure, 0)).unwrap();
    state
}

/// L1T2 with a chain and a size, put together by hand from the tables of A.4.1.
#[test]
fn a_structure_bit_by_bit() {
    let bits = concat!(
        "1",
        "0",
        "000101",
        "0000000100000000", // first, not last packet; template 5; frame 256
        "1",
        "0",
        "0",
        "0",
        "0", // a structure, nothing else
        "000101",
        "00001", // template ids from 5; two decode targets
        "00",
        "01",
        "11", // T0, again T0, T1, no more
        "1010",
        "1011",
        "0001", // SS, SR, -D
        "0",
        "1",
        "0001",
        "0",
        "1",
        "0000",
        "1",
        "0010",
        "0", // no reference; 2; 1 and 3
        "10",
        "0000",
        "0010",
        "0001", // ns(3): one chain; it protects both (ns(1) has no bits); 0, 2, 1
        "1",
        "0000001001111111",
        "0000000101100111", // 640 by 360
    );
    let mut element = vec![0; bits.len().div_ceil(8)];
    for (index, bit) in bits.bytes().enumerate() {
        element[index / 8] |= (bit - b'0') << (7 - index % 8);
    }
    let mut state = DependencyState::new();
    let frame = state.read(&element).unwrap();
    assert!(frame.attached && frame.info.start_of_frame && !frame.info.end_of_frame && frame.info.keyframe);
    assert_eq!((frame.frame_number, frame.active), (256, 0b11));

    let templates = [
        template(0, 0, "SS", &[], &[0]),
        template(0, 0, "SR", &[2], &[2]),
        template(0, 1, "-D", &[1, 3], &[1]),
    ];
    let sizes = [Resolution {
        width: 640,
        height: 360,
    }];
    let expected = Structure::new(5, 2, &templates, &[0, 0], &sizes).unwrap();
    assert_eq!(state.structure(), Some(&expected));
    let mut first = mandatory(5, 256);
    first.end_of_frame = false;
    assert_eq!(
        written(
            Descriptor {
                attach: true,
                ..Descriptor::new(first)
            },
            &expected
        ),
        element
    );
}

#[test]
fn structure_knows_its_layers() {
    let structure = l2t2_key(60);
    assert_eq!(structure.templates().len(), 6);
    assert_eq!(structure.template(61).unwrap().temporal, 0);
    assert_eq!(structure.template(1).unwrap().spatial, 1, "ids wrap at 64");
    assert_eq!((structure.template(2), structure.template(59)), (None, None));
    assert_eq!(
        (structure.targets_of_spatial(0), structure.targets_of_spatial(1)),
        (0b0011, 0b1100)
    );
    assert_eq!(
        (structure.targets_of_temporal(0), structure.targets_of_temporal(1)),
        (0b0101, 0b1010)
    );
    assert_eq!(
        (
            structure.protected_by(1),
            structure.protected_by(3),
            structure.protected_by(4)
        ),
        (Some(0), Some(1), None)
    );
    assert_eq!(
        structure.resolution(1),
        Some(Resolution {
            width: 1280,
            height: 720
        })
    );
    assert_eq!((structure.resolution(2), l1t3(0).resolution(0)), (None, None));
    // The best target within layers, and among those that are sent.
    assert_eq!(structure.best_target(3, 7, 0b1111), Some(3));
    assert_eq!(structure.best_target(u8::MAX, u8::MAX, 0b1111), Some(3));
    assert_eq!(structure.best_target(1, 0, 0b1111), Some(2));
    assert_eq!(structure.best_target(3, 7, 0b0011), Some(1));
    assert_eq!(structure.best_target(0, 0, 0b1100), None);
}

#[test]
fn what_the_format_cannot_carry() {
    let one = template(0, 0, "S", &[], &[0]);
    type Case<'a> = (&'a str, u8, u8, Vec<Template>, &'a [u8], &'a [Resolution]);
    let cases: [Case<'_>; 11] = [
        ("no templates", 0, 1, vec![], &[], &[]),
        ("too many templates", 0, 1, vec![one; 65], &[], &[]),
        ("no decode targets", 0, 0, vec![one], &[], &[]),
        ("too many decode targets", 0, 33, vec![one], &[], &[]),
        ("template ids of seven bits", 64, 1, vec![one], &[], &[]),
        (
            "layers that fall",
            0,
            1,
            vec![template(0, 1, "S", &[], &[]), one],
            &[],
            &[],
        ),
        (
            "a layer left out",
            0,
            1,
            vec![one, template(0, 2, "S", &[], &[])],
            &[],
            &[],
        ),
        (
            "a fifth spatial layer",
            0,
            1,
            vec![template(4, 0, "S", &[], &[])],
            &[],
            &[],
        ),
        (
            "a ninth temporal layer",
            0,
            1,
            vec![template(0, 8, "S", &[], &[])],
            &[],
            &[],
        ),
        ("a chain without a decode target", 0, 1, vec![one], &[9], &[]),
        (
            "a size for no layer",
            0,
            1,
            vec![one],
            &[],
            &[Resolution { width: 1, height: 1 }; 2],
        ),
    ];
    for (why, offset, targets, templates, chains, sizes) in cases {
        assert_eq!(
            Structure::new(offset, targets, &templates, chains, sizes),
            None,
            "{why}"
        );
    }
    assert!(Structure::new(63, 1, &[one; 64], &[0], &[]).is_some());
}

#[test]
fn temporal_layers_rise_where_the_structure_allows() {
    let structure = l1t3(10);
    let mut state = state_with(&structure);
    let expected = [
        // Template, temporal layer, may rise to, discardable.
        (1, 0, 0b111, false),
        (3, 2, 0, true),
        (2, 1, 0b100, false),
        (4, 2, 0, true),
    ];
    for (template, temporal, switch_to, discardable) in expected {
        let info = state
            .read(&plain(&structure, template, u16::from(template)))
            .unwrap()
            .info;
        assert!(info.start_of_frame && info.end_of_frame && !info.keyframe);
        let found = (info.spatial, info.temporal, info.switch_to, info.discardable);
        assert_eq!(found, (0, temporal, switch_to, discardable), "template {template}");
    }
    let base = state.read(&plain(&structure, 1, 8)).unwrap().info;
    assert_eq!(
        [
            base.raised(0, 2),
            base.raised(0, 1),
            base.raised(0, 0),
            base.raised(0, u8::MAX)
        ],
        [2, 1, 0, 2]
    );
    let top = state.read(&plain(&structure, 3, 9)).unwrap().info;
    assert_eq!([top.raised(0, 2), top.raised(1, 2)], [0, 1]);
}

#[test]
fn spatial_layers_rise_in_key_pictures() {
    let structure = l2t2_key(0);
    let mut state = DependencyState::new();
    let key = state.read(&keyframe(&structure, 100)).unwrap();
    assert!(key.info.keyframe && key.info.spatial_switch_up && !key.info.not_for_upper && !key.info.discardable);
    let upper = state.read(&plain(&structure, 3, 101)).unwrap();
    assert!(!upper.info.keyframe && upper.info.spatial_switch_up && upper.info.spatial == 1);
    assert_eq!(upper.references.iter().collect::<Vec<_>>(), [1]);
    assert_eq!(upper.chain_fdiffs[..2], [1, 1]);
    let base = state.read(&plain(&structure, 1, 102)).unwrap();
    assert!(!base.info.spatial_switch_up && base.info.not_for_upper && !base.info.discardable);
    assert!(base.is_in(0) && base.is_in(1) && !base.is_in(2) && !base.is_in(40));
    let upper = state.read(&plain(&structure, 4, 103)).unwrap();
    assert!(!upper.info.spatial_switch_up);
    assert_eq!(upper.info.switch_to, 0b11);
}

#[test]
fn decode_targets_that_are_not_sent_do_not_count() {
    let structure = l2t2_key(0);
    let mut state = state_with(&structure);
    assert_eq!(state.active_targets(), 0b1111);
    let with = |template_id, frame_number, active| {
        let descriptor = Descriptor {
            active: Some(active),
            ..Descriptor::new(mandatory(template_id, frame_number))
        };
        written(descriptor, &structure)
    };
    let frame = state.read(&with(1, 10, 0b0001)).unwrap();
    assert_eq!((frame.active, frame.info.switch_to), (0b0001, 0b01));
    assert_eq!(state.active_targets(), 0b0001);
    let later = state.read(&plain(&structure, 2, 11)).unwrap();
    assert!(later.info.discardable && !later.is_in(1), "its decode target is off");
    // An older packet that comes late speaks for itself only; numbers wrap.
    assert_eq!(state.read(&with(1, 8, 0b0111)).unwrap().active, 0b0111);
    assert_eq!(state.active_targets(), 0b0001);
    state.read(&with(1, 0x7fff, 0b0011)).unwrap();
    state.read(&with(1, 0xfffe, 0b0111)).unwrap();
    state.read(&with(1, 0x0003, 0b1111)).unwrap();
    assert_eq!(state.active_targets(), 0b1111);
    // A new structure starts with all.
    state.read(&with(1, 4, 0b0001)).unwrap();
    state.read(&keyframe(&structure, 5)).unwrap();
    assert_eq!(state.active_targets(), 0b1111);
}

#[test]
fn a_packet_may_differ_from_its_template() {
    let structure = l2t2_key(0);
    let mut state = state_with(&structure);
    let references = [1, 16, 17, 256, 257, 4096];
    let descriptor = Descriptor {
        indications: Indications::from_symbols("RSD-"),
        references: Some(&references),
        chain_fdiffs: Some(&[200, 0]),
        ..Descriptor::new(mandatory(3, 7))
    };
    let frame = state.read(&written(descriptor, &structure)).unwrap();
    assert_eq!(frame.references.iter().collect::<Vec<_>>(), references);
    assert_eq!(format!("{:?}", frame.references), "[1, 16, 17, 256, 257, 4096]");
    assert_eq!(frame.chain_fdiffs[..3], [200, 0, 0]);
    let found: Vec<_> = (0..5).map(|target| frame.indications.of(target)).collect();
    use Indication::{Discardable, NotPresent, Required, Switch};
    assert_eq!(found, [Required, Switch, Discardable, NotPresent, NotPresent]);
    assert!(!frame.info.spatial_switch_up);
    let too_many = [1; MAX_REFERENCES + 1];
    let descriptor = Descriptor {
        references: Some(&too_many),
        ..Descriptor::new(mandatory(3, 7))
    };
    assert_eq!(state.read(&written(descriptor, &structure)), None);
}

#[test]
fn two_structures_are_known() {
    let (old, new) = (l1t3(0), l2t2_key(10));
    let mut state = state_with(&old);
    state.read(&keyframe(&new, 50)).unwrap();
    assert_eq!(state.structure(), Some(&new));
    assert_eq!(state.read(&plain(&old, 3, 49)).unwrap().info.temporal, 2, "late");
    // The old keyframe once more, retransmitted: both stay known.
    state.read(&keyframe(&old, 0)).unwrap();
    assert_eq!(state.read(&plain(&new, 3, 51)).unwrap().info.spatial, 1);
    // A third takes the place of the one that came first.
    let third = l1t3(30);
    state.read(&keyframe(&third, 60)).unwrap();
    assert!(state.read(&plain(&third, 1, 61)).is_some());
    assert_eq!(state.read(&plain(&new, 3, 52)), None);
    // Overlapping ids: the newer structure holds.
    state.read(&keyframe(&l2t2_key(29), 70)).unwrap();
    assert_eq!(state.read(&[0xc0 | 32, 0, 71]).unwrap().info.spatial, 1);
}

#[test]
fn what_remains_without_the_structure() {
    let structure = l1t3(0);
    let mut state = DependencyState::new();
    let encrypted = [0x10, 0x00]; // looks like a VP8 keyframe
    let mut element = plain(&structure, 3, 9);
    let seen = |state: &mut DependencyState, element: &[u8]| {
        peek_with_descriptor(Codec::Vp8, &encrypted, Some(element), state)
    };
    let info = seen(&mut state, &element);
    assert_eq!(
        info,
        Info {
            start_of_frame: true,
            end_of_frame: true,
            frame_number: Some(9),
            ..Info::default()
        }
    );
    element[0] &= 0x3f;
    let middle = Info {
        frame_number: Some(9),
        ..Info::default()
    };
    assert_eq!(seen(&mut state, &element), middle);
    // A structure that does not parse does not hide a keyframe, a descriptor that is cut off nothing at all.
    let whole = keyframe(&structure, 9);
    assert!(seen(&mut state, &whole[..8]).keyframe);
    assert!(seen(&mut state, &whole[..2]).keyframe);
    // With the structure the payload's word does not count.
    assert!(seen(&mut state, &whole).keyframe);
    let info = seen(&mut state, &plain(&structure, 3, 10));
    assert!(!info.keyframe && info.temporal == 2);
    assert_eq!(info.ids, Ids::NONE);
    // The numbers inside the payload are still told, sound has no descriptor, padding says nothing.
    let numbered = [0x90, 0x80, 0x11, 0x00];
    let info = peek_with_descriptor(Codec::Vp8, &numbered, Some(&whole), &mut state);
    assert_eq!(info.ids.picture_id().map(PictureId::value), Some(0x11));
    let descriptor = plain(&structure, 3, 11);
    assert!(peek_with_descriptor(Codec::Opus, &[0x78], Some(&descriptor), &mut state).keyframe);
    assert_eq!(
        peek_with_descriptor(Codec::Vp8, &[], Some(&descriptor), &mut state),
        Info::default()
    );
    assert_eq!(
        peek_with_descriptor(Codec::Vp8, &[0x10, 0x00], None, &mut state).temporal,
        0
    );
}

#[test]
fn frame_numbers_are_patched_in_place() {
    let structure = l1t3(0);
    let mut element = keyframe(&structure, 0x1234);
    assert_eq!(frame_number(&element), Some(0x1234));
    let before = element.clone();
    set_frame_number(&mut element, 0xfedc);
    assert_eq!(frame_number(&element), Some(0xfedc));
    assert_eq!((element[0], &element[3..]), (before[0], &before[3..]));
    let mut short = [0x80, 0x12];
    set_frame_number(&mut short, 7);
    assert_eq!((short, frame_number(&short)), ([0x80, 0x12], None));
}

#[test]
fn truncated_at_every_length() {
    let structure = l2t2_key(20);
    let whole = keyframe(&structure, 3);
    for len in 0..whole.len() {
        let mut state = DependencyState::new();
        assert_eq!(state.read(&whole[..len]), None, "{len}");
        assert_eq!(state.structure(), None, "{len}: accepted whole or not at all");
    }
    let descriptor = Descriptor {
        active: Some(0b1111),
        indications: Indications::from_symbols("SSSS"),
        references: Some(&[300, 2]),
        chain_fdiffs: Some(&[1, 2]),
        ..Descriptor::new(mandatory(21, 4))
    };
    let whole = written(descriptor, &structure);
    let mut state = state_with(&structure);
    assert!(state.read(&whole).is_some());
    for len in 4..whole.len() {
        assert_eq!(state.read(&whole[..len]), None, "{len}");
    }
    for len in 0..whole.len() {
        assert_eq!(descriptor.write_to(&structure, &mut [0; 64][..len]), None, "{len}");
    }
}

#[test]
fn the_writer_refuses_what_the_structure_does_not_have() {
    let structure = l1t3(0);
    let mut out = [0; 64];
    let plain = Descriptor::new(mandatory(1, 0));
    let mut refused = |descriptor: Descriptor<'_>| descriptor.write_to(&structure, &mut out).is_none();
    assert!(refused(Descriptor::new(mandatory(5, 0))));
    assert!(refused(Descriptor {
        references: Some(&[0]),
        ..plain
    }));
    assert!(refused(Descriptor {
        references: Some(&[4097]),
        ..plain
    }));
    assert!(refused(Descriptor {
        chain_fdiffs: Some(&[1, 1]),
        ..plain
    }));
    assert!(!refused(plain));
    assert_eq!(
        (
            Indications::from_symbols("SX"),
            Indications::from_symbols(&"S".repeat(33))
        ),
        (None, None)
    );
}

/// Two of `bits` for each decode target.
fn symbols_of(bits: u64, targets: u8) -> String {
    let symbol = |target: u8| ['-', 'D', 'S', 'R'][usize::try_from(bits >> (2 * target) & 3).unwrap()];
    (0..targets).map(symbol).collect()
}

prop_compose! {
    fn any_structure()(targets in 1..=32_u8, chains in 0..=32_u8, count in 1..=64_usize)(
        offset in 0..64_u8,
        steps in proptest::collection::vec(0..3_u8, count),
        fields in proptest::collection::vec((any::<u64>(), any::<u16>(), any::<[u8; MAX_CHAINS]>()), count),
        protected in proptest::collection::vec(any::<u8>(), usize::from(targets)),
        sizes in proptest::option::of(any::<[(u16, u16); MAX_SPATIAL_LAYERS]>()),
        targets in Just(targets),
        chains in Just(chains.min(targets)),
    ) -> Structure {
        let (mut spatial, mut temporal) = (0, 0);
        let mut templates = Vec::new();
        for (step, (symbols, references, fdiffs)) in steps.iter().zip(&fields) {
            match step {
                1 if !templates.is_empty() && temporal < 7 => temporal += 1,
                2 if !templates.is_empty() && spatial < 3 => (spatial, temporal) = (spatial + 1, 0),
                _ => {}
            }
            let symbols = symbols_of(*symbols, targets);
            let fdiffs: Vec<u8> = fdiffs.iter().take(usize::from(chains)).map(|fdiff| fdiff & 15).collect();
            let mut template = template(spatial, temporal, &symbols, &[], &fdiffs);
            template.references = *references;
            templates.push(template);
        }
        let mut protected: Vec<u8> = protected.iter().map(|chain| chain % chains.max(1)).collect();
        match chains {
            0 => protected.clear(),
            _ => protected[0] = chains - 1,
        }
        let sizes: Vec<_> = sizes
            .iter()
            .flatten()
            .take(usize::from(spatial) + 1)
            .map(|(width, height)| Resolution { width: u32::from(*width) + 1, height: u32::from(*height) + 1 })
            .collect();
        Structure::new(offset, targets, &templates, &protected, &sizes).unwrap()
    }
}

proptest! {
    #[test]
    fn any_structure_comes_back(structure in any_structure(), frame_number: u16, active: Option<u32>) {
        let active = active.map(|active| active & structure.all_targets());
        let first = mandatory(structure.template_id_offset(), frame_number);
        let mut buffer = [0xff; 3000];
        let descriptor = Descriptor { attach: true, active, ..Descriptor::new(first) };
        let len = descriptor.write_to(&structure, &mut buffer).unwrap();
        let mut state = DependencyState::new();
        let frame = state.read(&buffer[..len]).unwrap();
        prop_assert_eq!(state.structure(), Some(&structure));
        prop_assert_eq!(frame.active, active.unwrap_or_else(|| structure.all_targets()));
        prop_assert_eq!(frame.frame_number, frame_number);
        for (index, template) in (0_u8..).zip(structure.templates()) {
            let frame = state.read(&plain(&structure, index, frame_number)).unwrap();
            prop_assert_eq!((frame.info.spatial, frame.info.temporal), (template.spatial, template.temporal));
            prop_assert_eq!(frame.indications, template.indications);
            prop_assert_eq!(frame.chain_fdiffs, template.chain_fdiffs);
            let references = frame.references.iter().fold(0, |mask, fdiff| mask | 1_u16 << (fdiff - 1));
            prop_assert_eq!(references, template.references);
        }
        for target in 0..structure.decode_targets() {
            let symbols = structure.templates().iter().filter(|t| t.indications.of(target) != Indication::NotPresent);
            let layers = symbols.map(|t| (t.spatial, t.temporal)).fold(None, |best: Option<(u8, u8)>, (s, t)| {
                Some(best.map_or((s, t), |(a, b)| (a.max(s), b.max(t))))
            });
            if let Some((spatial, temporal)) = layers {
                prop_assert!(structure.targets_of_spatial(spatial) >> target & 1 == 1);
                prop_assert!(structure.targets_of_temporal(temporal) >> target & 1 == 1);
            }
        }
    }

    #[test]
    fn any_packet_comes_back(
        structure in any_structure(),
        template in 0..64_u8,
        frame_number: u16,
        symbols: Option<u64>,
        references in proptest::option::of(proptest::collection::vec(1..=4096_u16, 0..=MAX_REFERENCES)),
        fdiffs in proptest::option::of(any::<[u8; MAX_CHAINS]>()),
    ) {
        let mut state = DependencyState::new();
        let mut buffer = [0; 3000];
        let first = mandatory(structure.template_id_offset(), 0);
        let len = Descriptor { attach: true, ..Descriptor::new(first) }.write_to(&structure, &mut buffer).unwrap();
        state.read(&buffer[..len]).unwrap();
        let index = template % u8::try_from(structure.templates().len()).unwrap();
        let template_id = (structure.template_id_offset() + index) & 0x3f;
        let targets = structure.decode_targets();
        let indications = symbols.map(|bits| Indications::from_symbols(&symbols_of(bits, targets)).unwrap());
        let descriptor = Descriptor {
            indications,
            references: references.as_deref(),
            chain_fdiffs: fdiffs.as_ref().map(|fdiffs| &fdiffs[..usize::from(structure.chains())]),
            ..Descriptor::new(mandatory(template_id, frame_number))
        };
        let len = descriptor.write_to(&structure, &mut buffer).unwrap();
        let frame = state.read(&buffer[..len]).unwrap();
        prop_assert_eq!(frame.frame_number, frame_number);
        if let Some(indications) = indications {
            prop_assert_eq!(frame.indications, indications);
        }
        if let Some(references) = references {
            prop_assert_eq!(frame.references.iter().collect::<Vec<_>>(), references);
        }
        if let Some(fdiffs) = fdiffs {
            let chains = usize::from(structure.chains());
            prop_assert_eq!(&frame.chain_fdiffs[..chains], &fdiffs[..chains]);
        }
    }

    #[test]
    fn any_bytes(elements in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..256), 1..20)) {
        let mut state = state_with(&l2t2_key(0));
        for element in &elements {
            let before = state.structure().cloned();
            let frame = state.read(element);
            let attached = frame.is_some_and(|frame| frame.attached);
            prop_assert!(attached || state.structure() == before.as_ref());
            prop_assert_eq!(frame.map(|frame| frame.frame_number), frame.and_then(|_| frame_number(element)));
            let _ = state.refine(element, Info::default());
        }
    }
}

#[test]
fn decode_targets_are_told_and_nothing_else_changes() {
    for structure in [l1t3(0), l2t2_key(60)] {
        let all = structure.all_targets();
        let custom = |descriptor: Descriptor<'_>| {
            let id = structure.template_id_offset();
            written(
                Descriptor {
                    mandatory: mandatory(id, 5),
                    ..descriptor
                },
                &structure,
            )
        };
        let empty = Descriptor::new(mandatory(0, 0));
        let elements = [
            keyframe(&structure, 1),
            plain(&structure, 1, 2),
            plain(&structure, 3, 3),
            custom(Descriptor {
                active: Some(0b10),
                ..empty
            }),
            custom(Descriptor {
                references: Some(&[1, 20, 300]),
                ..empty
            }),
            custom(Descriptor {
                attach: true,
                active: Some(0b1),
                references: Some(&[]),
                ..empty
            }),
            custom(Descriptor {
                indications: Indications::from_symbols("SRD"),
                ..empty
            }),
        ];
        for element in elements {
            for targets in 0..=all {
                let mut out = [0xff; 300];
                let len = set_active_targets(&element, &structure, targets, &mut out).unwrap();
                let (before, after) = (
                    state_with(&structure).read(&element),
                    state_with(&structure).read(&out[..len]),
                );
                let (before, after) = (before.unwrap(), after.unwrap());
                assert_eq!(after.active, targets);
                assert_eq!(
                    (
                        after.indications,
                        after.references,
                        after.chain_fdiffs,
                        after.frame_number,
                        after.attached
                    ),
                    (
                        before.indications,
                        before.references,
                        before.chain_fdiffs,
                        before.frame_number,
                        before.attached
                    )
                );
            }
        }
        let mut out = [0; 300];
        assert_eq!(
            set_active_targets(&plain(&structure, 0, 1), &l1t3(20), 1, &mut out),
            None,
            "another structure"
        );
        assert_eq!(
            set_active_targets(&keyframe(&structure, 1), &structure, 1, &mut out[..10]),
            None,
            "no room"
        );
        assert_eq!(set_active_targets(&[0, 0], &structure, 1, &mut out), None, "cut short");
    }
}

#[test]
fn decode_targets_within_layers() {
    let structure = l2t2_key(0);
    let within = |spatial, temporal| structure.targets_within(spatial, temporal);
    assert_eq!(
        (within(0..=0, 0), within(0..=0, 1), within(0..=1, 0)),
        (0b0001, 0b0011, 0b0101)
    );
    assert_eq!(
        (within(1..=1, 1), within(0..=u8::MAX, u8::MAX), within(2..=3, 9)),
        (0b1100, 0b1111, 0)
    );
}
