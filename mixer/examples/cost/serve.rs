//! The smallest mixing server: plain RTP on one port, by the sockets of `media-net`; who sends from a new address takes part.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use althing_media_core::event::{Output, RemoteChange, Transmit};
use althing_media_core::packet::Pool;
use althing_media_core::transport::{Protocol, Route};
use althing_media_core::{Packet, Ssrc};
use althing_media_net::{Engine, Net, NetConfig};
use althing_mixer::playout::PlayoutConfig;
use althing_mixer::{
    Encoding, Input, ListenerConfig, ListenerId, Mixer, MixerConfig, SourceConfig, SourceId, UsageError,
};
use bytes::Bytes;

use crate::talk::{LEVEL, OPUS, PT};

/// Who is silent for so long has left.
const PATIENCE: Duration = Duration::from_secs(1);
/// An RTP header without extensions.
const HEADER: usize = 12;

pub(crate) fn run(loudest: usize) -> Result<(), Box<dyn Error>> {
    let config = NetConfig {
        udp: vec!["127.0.0.1:0".parse()?],
        workers: 1,
        ..NetConfig::default()
    };
    let net = Net::start(config, move |seat| Server::new(seat.now, loudest))?;
    let local = net.local().first().ok_or("no address")?;
    println!("ready at {}", local.advertised);
    loop {
        std::thread::park();
    }
}

/// A mixer that media-net drives.
struct Server {
    mixer: Mixer,
    members: HashMap<SocketAddr, Member>,
    routes: HashMap<ListenerId, Route>,
    pool: Pool,
    /// Of the last tick, the next one last: the payload is shared by all who hear the same.
    leaving: Vec<(Route, [u8; HEADER], Bytes)>,
}

struct Member {
    source: SourceId,
    listener: ListenerId,
    last: Instant,
}

impl Server {
    fn new(now: Instant, loudest: usize) -> Self {
        let mut config = MixerConfig::default();
        config.select.loudest = loudest;
        Self {
            mixer: Mixer::new(now, config),
            members: HashMap::new(),
            routes: HashMap::new(),
            pool: Pool::new(),
            leaving: Vec::new(),
        }
    }

    fn tick(&mut self, now: Instant) {
        for mut packet in self.mixer.tick(now) {
            let (mut header, payload) = ([0; HEADER], std::mem::take(&mut packet.payload));
            if let Some((route, _)) = self.routes.get(&packet.listener).zip(packet.write(&mut header)) {
                self.leaving.push((*route, header, payload));
            }
        }
        let (mixer, routes) = (&mut self.mixer, &mut self.routes);
        self.members.retain(|_, member| {
            let stays = now.saturating_duration_since(member.last) < PATIENCE;
            if !stays {
                mixer.remove_source(member.source);
                mixer.remove_listener(member.listener);
                routes.remove(&member.listener);
            }
            stays
        });
    }
}

impl Engine for Server {
    fn handle_datagram(&mut self, now: Instant, route: Route, datagram: &mut [u8]) {
        self.pool.space(datagram.len()).copy_from_slice(datagram);
        let Ok(packet) = Packet::parse(self.pool.commit(datagram.len())) else {
            return;
        };
        let member = match self.members.entry(route.remote) {
            Entry::Occupied(member) => member.into_mut(),
            Entry::Vacant(place) => {
                let Ok((source, listener)) = join(&mut self.mixer) else {
                    return;
                };
                self.routes.insert(listener, route);
                place.insert(Member {
                    source,
                    listener,
                    last: now,
                })
            }
        };
        member.last = now;
        self.mixer.push(now, member.source, &packet);
    }

    /// The mixer is not told how long it takes: what is measured is all of its work, also where it is too much.
    fn handle_timeout(&mut self, now: Instant) {
        self.tick(now);
    }

    fn poll_output(&mut self, _: Instant, buf: &mut [u8]) -> Output {
        let Some((route, header, payload)) = self.leaving.pop() else {
            return Output::Timeout(Some(self.mixer.next_tick()));
        };
        let len = HEADER + payload.len();
        if let Some((front, rest)) = buf.get_mut(..len).and_then(|buf| buf.split_at_mut_checked(HEADER)) {
            front.copy_from_slice(&header);
            rest.copy_from_slice(&payload);
        }
        Output::Transmit(Transmit { route, len })
    }

    fn owns(&self, _: Protocol, _: SocketAddr) -> bool {
        true
    }

    fn poll_remote(&mut self) -> Option<RemoteChange> {
        None
    }

    fn close(&mut self, _: Instant) {}
}

/// Somebody who talks and listens.
fn join(mixer: &mut Mixer) -> Result<(SourceId, ListenerId), UsageError> {
    let input = Input::Rtp {
        playout: PlayoutConfig {
            payload_type: PT,
            red: None,
            comfort_noise: None,
        },
        format: OPUS,
        level_id: Some(LEVEL),
    };
    let source = mixer.add_source(&SourceConfig::new(input))?;
    let listener = ListenerConfig::new(Encoding::of(OPUS), Ssrc(1), PT);
    let listener = mixer.add_listener(ListenerConfig {
        own: source.into(),
        ..listener
    })?;
    Ok((source, listener))
}
