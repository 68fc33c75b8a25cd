//! The smallest mixing server: plain RTP on one socket; who sends from a new address takes part.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::error::Error;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use althing_media_core::packet::Pool;
use althing_media_core::{Packet, Ssrc};
use althing_mixer::playout::PlayoutConfig;
use althing_mixer::{
    Encoding, Input, ListenerConfig, ListenerId, Mixer, MixerConfig, SourceConfig, SourceId, UsageError,
};

use crate::talk::{LEVEL, OPUS, PT};

/// Who is silent for so long has left.
const PATIENCE: Duration = Duration::from_secs(1);

pub(crate) fn run(loudest: usize) -> Result<(), Box<dyn Error>> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    println!("ready at {}", socket.local_addr()?);
    let mut config = MixerConfig::default();
    config.select.loudest = loudest;
    let mut mixer = Mixer::new(Instant::now(), config);
    let (mut members, mut addresses) = (HashMap::new(), HashMap::new());
    let (mut pool, mut buf) = (Pool::new(), [0; 1500]);
    loop {
        let wait = mixer.next_tick().saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            socket.set_read_timeout(Some(wait))?;
            let Ok((len, from)) = socket.recv_from(pool.space(1500)) else {
                continue;
            };
            let now = Instant::now();
            let Ok(packet) = Packet::parse(pool.commit(len)) else {
                continue;
            };
            let (source, _, last) = match members.entry(from) {
                Entry::Occupied(member) => member.into_mut(),
                Entry::Vacant(place) => {
                    let (source, listener) = join(&mut mixer)?;
                    addresses.insert(listener, from);
                    place.insert((source, listener, now))
                }
            };
            *last = now;
            mixer.push(now, *source, &packet);
            continue;
        }
        let now = Instant::now();
        for packet in mixer.tick(now) {
            if let Some((to, len)) = addresses.get(&packet.listener).zip(packet.write(&mut buf)) {
                // Whoever has gone is noticed below.
                let _ = socket.send_to(&buf[..len], to);
            }
        }
        mixer.took(now.elapsed());
        members.retain(|_, (source, listener, last)| {
            let stays = now.saturating_duration_since(*last) < PATIENCE;
            if !stays {
                mixer.remove_source(*source);
                mixer.remove_listener(*listener);
                addresses.remove(listener);
            }
            stays
        });
    }
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
        own: Some(source),
        ..listener
    })?;
    Ok((source, listener))
}
