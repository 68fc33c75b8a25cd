//! Layers that are left out on the way are not promised: the dependency descriptor says which decode targets are left.

use std::time::{Duration, Instant};

use althing_media_core::config::{EndpointConfig, LayerTarget, RouterConfig, SubscriptionConfig, TrackConfig};
use althing_media_core::event::Output;
use althing_media_core::packet::RtpWriter;
use althing_media_core::payload::DependencyState;
use althing_media_core::payload::dependency_descriptor::{
    Descriptor, Indications, MAX_CHAINS, Mandatory, Structure, Template,
};
use althing_media_core::{
    Codec, CodecParams, EndpointId, Extension, ExtensionMap, MediaKind, NtpTime, Pt, Router, RtpView, Ssrc, StreamIds,
};

use crate::stage::{certificate, ms};

/// The descriptor's id at the publisher and at the watcher.
const IDS: (u8, u8) = (8, 12);
/// All three decode targets of [`structure`].
const ALL: u32 = 0b111;

/// Three temporal layers, as browsers send them: 0 2 1 2.
fn structure() -> Structure {
    let template = |temporal, symbols: &str, references: &[u8], fdiff: u8| {
        let mut chain_fdiffs = [0; MAX_CHAINS];
        chain_fdiffs[0] = fdiff;
        Template {
            spatial: 0,
            temporal,
            indications: Indications::from_symbols(symbols).unwrap(),
            references: references.iter().fold(0, |mask, back| mask | 1 << (back - 1)),
            chain_fdiffs,
        }
    };
    let templates = [
        template(0, "SSS", &[], 0),
        template(0, "SSS", &[4], 4),
        template(1, "-DS", &[2], 2),
        template(2, "--D", &[1], 1),
        template(2, "--D", &[1], 3),
    ];
    Structure::new(0, 3, &templates, &[0, 0, 0], &[]).unwrap()
}

fn descriptor(frame: u16) -> Vec<u8> {
    let template_id = if frame == 0 {
        0
    } else {
        [1, 3, 2, 4][usize::from(frame % 4)]
    };
    let mandatory = Mandatory {
        start_of_frame: true,
        end_of_frame: true,
        template_id,
        frame_number: frame,
    };
    let descriptor = Descriptor {
        attach: frame == 0,
        ..Descriptor::new(mandatory)
    };
    let mut buffer = [0; 200];
    let len = descriptor.write_to(&structure(), &mut buffer).unwrap();
    buffer[..len].to_vec()
}

struct World {
    router: Router,
    now: Instant,
    publisher: EndpointId,
    next: u16,
    /// What the watcher knows of the structure.
    state: DependencyState,
}

impl World {
    /// Sends so many frames; what the watcher reads of each that it gets: temporal layer, active decode targets, and the length
    /// of the descriptor.
    fn frames(&mut self, count: u16) -> Vec<(u8, u32, usize)> {
        let mut seen = Vec::new();
        for frame in self.next..self.next + count {
            self.now += Duration::from_millis(33);
            let (mut buf, element) = ([0; 500], descriptor(frame));
            let mut writer = RtpWriter::new(&mut buf, Pt::new(96), true, frame, u32::from(frame) * 3000, Ssrc(1));
            if element.len() > 16 {
                writer.use_two_byte();
            }
            writer.extension(IDS.0, &element);
            writer.payload(if frame == 0 { &[0x18, 0x0a] } else { &[0x10, 0x32] });
            let (_, len) = writer.finish().unwrap();
            self.router
                .handle_packet(self.now, self.publisher, &mut buf[..len])
                .unwrap();
            let mut out = [0; 1500];
            loop {
                match self.router.poll_output(self.now, &mut out) {
                    Output::Timeout(_) => break,
                    Output::Deliver(delivery) if delivery.endpoint != self.publisher => {
                        let Ok(view) = RtpView::parse(&out[..delivery.len]) else {
                            continue;
                        };
                        let Some(element) = view.extension(IDS.1) else { continue };
                        let read = self.state.read(element).unwrap();
                        seen.push((read.info.temporal, read.active, element.len()));
                    }
                    _ => {}
                }
            }
        }
        self.next += count;
        seen
    }
}

#[test]
fn left_out_layers_are_told_and_so_is_their_return() {
    let now = Instant::now();
    let config = RouterConfig {
        wall: NtpTime(0),
        certificate: certificate().clone(),
        index: 0,
        local: Vec::new(),
        max_endpoints: 2,
    };
    let mut router = Router::new(now, config);
    let publisher = router.add_endpoint(now, EndpointConfig::Local).unwrap();
    let watcher = router.add_endpoint(now, EndpointConfig::Local).unwrap();
    let codecs = vec![CodecParams::new(Codec::Av1, Pt::new(96))];
    let extensions = |id| ExtensionMap::new().with(Extension::DependencyDescriptor, id);
    let track = TrackConfig {
        mid: None,
        kind: MediaKind::Video,
        codecs: codecs.clone(),
        extensions: extensions(IDS.0),
        rids: <_>::default(),
        streams: [StreamIds::new(Ssrc(1))].into_iter().collect(),
        nack: false,
        transport_cc: false,
        encrypted: false,
    };
    let track = router.add_track(now, publisher, &track).unwrap();
    let subscription = SubscriptionConfig {
        mid: None,
        kind: MediaKind::Video,
        stream: StreamIds::new(Ssrc(7)),
        cname: "router".to_owned(),
        codecs,
        extensions: extensions(IDS.1),
        layers: LayerTarget::BEST,
        nack: false,
    };
    let watch = router.subscribe(now, watcher, subscription).unwrap();
    router.set_source(now, watch, Some(track));
    let mut world = World {
        router,
        now: now + ms(1),
        publisher,
        next: 0,
        state: DependencyState::new(),
    };

    let all = world.frames(8);
    assert_eq!(
        all.iter().map(|(temporal, ..)| *temporal).collect::<Vec<_>>(),
        [0, 2, 1, 2, 0, 2, 1, 2]
    );
    assert!(all.iter().all(|(_, active, _)| *active == ALL));
    assert!(
        all[1..].iter().all(|(.., len)| *len == 3),
        "nothing is added where nothing is left out"
    );

    let layers = |temporal| LayerTarget { spatial: 0, temporal };
    world.router.set_layers(world.now, watch, layers(0));
    let least = world.frames(8);
    assert_eq!(least, [(0, 0b001, 4), (0, 0b001, 4)]);

    world.router.set_layers(world.now, watch, layers(1));
    let some = world.frames(8);
    assert_eq!(
        some.iter().map(|(temporal, ..)| *temporal).collect::<Vec<_>>(),
        [0, 1, 0, 1]
    );
    assert!(some.iter().all(|(_, active, _)| *active == 0b011), "{some:?}");

    world.router.set_layers(world.now, watch, LayerTarget::BEST);
    let again = world.frames(12);
    assert!(again.len() > 8, "{again:?}");
    assert!(again.iter().all(|(_, active, _)| *active == ALL), "{again:?}");
}
