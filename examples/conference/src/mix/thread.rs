//! The mixer of one room on a thread of its own: packets and orders in, a tick every 20 ms, packets out.

use std::collections::HashMap;
use std::io;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::thread;
use std::time::Instant;

use althing_media_core::payload::Codec;
use althing_media_core::{Extension, Kind, Packet, Pt, Ssrc};
use althing_media_net::{CommandError, LocalPeer};
use althing_mixer::codec::Format;
use althing_mixer::playout::PlayoutConfig;
use althing_mixer::select::SelectConfig;
use althing_mixer::{
    Encoding, Input, ListenerConfig, ListenerId, Mixer, MixerConfig, Own, SourceConfig, SourceId, UsageError,
};
use althing_signalling::Followed;
use althing_signalling::room::TrackSid;
use cpu_time::ThreadTime;

/// One channel: people speak.
const OPUS: Format = Format::Opus { channels: 1 };
/// The payload type of the mix.
const PT: Pt = Pt::new(111);
/// Packets that may wait for the thread: a second of sixty talkers.
pub(super) const CAPACITY: usize = 3000;
/// The longest packet that comes of 20 ms, and its header.
const MAX_PACKET: usize = 1500;

/// What the thread is told.
pub(super) enum Order {
    /// This track is to be mixed, and comes like this.
    Voice(TrackSid, Codec, Followed),
    /// It is not to be mixed any more.
    Silence(TrackSid),
    /// A mix is to be made under this SSRC, or goes on, without those voices.
    Listen(Ssrc, Vec<TrackSid>),
    /// It is not wanted any more.
    Leave(Ssrc),
}

/// Starts the thread; it ends when the sender is dropped, or the worker has ended.
pub(super) fn start(peer: LocalPeer, loudest: usize) -> io::Result<Sender<Order>> {
    let (sender, orders) = mpsc::channel();
    let name = format!("mix-{}", peer.endpoint().0);
    thread::Builder::new().name(name).spawn(move || {
        let config = MixerConfig {
            select: SelectConfig {
                loudest,
                ..SelectConfig::default()
            },
            ..MixerConfig::default()
        };
        let desk = Desk {
            mixer: Mixer::new(Instant::now(), config),
            voices: HashMap::new(),
            by_ssrc: HashMap::new(),
            listeners: HashMap::new(),
            common_seq: 0,
        };
        desk.run(&peer, &orders);
        tracing::debug!(lost = peer.lost(), "a mix has ended");
    })?;
    Ok(sender)
}

struct Desk {
    mixer: Mixer,
    voices: HashMap<TrackSid, (SourceId, Ssrc)>,
    by_ssrc: HashMap<Ssrc, SourceId>,
    listeners: HashMap<Ssrc, (ListenerId, Vec<TrackSid>)>,
    /// With which number the mix without an own voice goes on. Its track stays while nobody listens, and who receives it
    /// would take numbers from before for duplicates.
    common_seq: u16,
}

impl Desk {
    fn run(mut self, peer: &LocalPeer, orders: &Receiver<Order>) {
        loop {
            if self.listeners.is_empty() {
                // Nobody listens: nothing is to be done until somebody does.
                match orders.recv() {
                    Ok(order) => {
                        self.mixer.resume(Instant::now());
                        self.take(order);
                    }
                    Err(_) => return,
                }
                continue;
            }
            match orders.try_recv() {
                Ok(order) => {
                    self.take(order);
                    continue;
                }
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return,
            }
            match peer.recv_deadline(self.mixer.next_tick()) {
                Ok(Some(packet)) => self.push(packet.at, &packet.bytes),
                Ok(None) => {}
                Err(_) => return,
            }
            // Who comes late takes all that has come, for the tick that is due.
            for _ in 0..CAPACITY {
                match peer.try_recv() {
                    Ok(Some(packet)) => self.push(packet.at, &packet.bytes),
                    Ok(None) => break,
                    Err(_) => return,
                }
            }
            if !self.tick(peer) {
                return;
            }
        }
    }

    fn take(&mut self, order: Order) {
        let done = match order {
            Order::Voice(sid, codec, followed) => self.add_voice(sid, codec, &followed),
            Order::Silence(sid) => {
                if let Some((source, ssrc)) = self.voices.remove(&sid) {
                    self.mixer.remove_source(source);
                    self.by_ssrc.remove(&ssrc);
                }
                Ok(())
            }
            Order::Listen(ssrc, own) => self.listen(ssrc, own),
            Order::Leave(ssrc) => {
                if let Some((listener, own)) = self.listeners.remove(&ssrc) {
                    if let Some(stats) = self.mixer.listener_stats(listener).filter(|_| own.is_empty()) {
                        let [low, high, ..] = stats.packets.to_le_bytes();
                        self.common_seq = self.common_seq.wrapping_add(u16::from_le_bytes([low, high]));
                    }
                    self.mixer.remove_listener(listener);
                }
                Ok(())
            }
        };
        if let Err(error) = done {
            tracing::warn!(%error, "the mix is not what it should be");
        }
    }

    fn add_voice(&mut self, sid: TrackSid, codec: Codec, followed: &Followed) -> Result<(), UsageError> {
        let Some((format, params)) = format(codec).zip(followed.codecs.iter().find(|params| params.codec == codec))
        else {
            return Ok(());
        };
        let config = SourceConfig::new(Input::Rtp {
            playout: PlayoutConfig {
                payload_type: params.pt,
                red: None,
                comfort_noise: None,
            },
            format,
            level_id: followed.extensions.id(Extension::AudioLevel),
        });
        let source = self.mixer.add_source(&config)?;
        self.by_ssrc.insert(followed.ssrc, source);
        self.voices.insert(sid.clone(), (source, followed.ssrc));
        // Whose voice it is may have been told before.
        for (listener, own) in self.listeners.values() {
            if own.contains(&sid) {
                self.mixer.set_own(*listener, self.own(own))?;
            }
        }
        Ok(())
    }

    fn listen(&mut self, ssrc: Ssrc, own: Vec<TrackSid>) -> Result<(), UsageError> {
        let voices = self.own(&own);
        if let Some((listener, known)) = self.listeners.get_mut(&ssrc) {
            *known = own;
            return self.mixer.set_own(*listener, voices);
        }
        let mut config = ListenerConfig::new(Encoding::of(OPUS), ssrc, PT);
        config.own = voices;
        if own.is_empty() {
            config.seq = self.common_seq;
        }
        let listener = self.mixer.add_listener(config)?;
        self.listeners.insert(ssrc, (listener, own));
        Ok(())
    }

    /// Those of these voices that are mixed: not more than a listener can have, because no more of one person are mixed.
    fn own(&self, voices: &[TrackSid]) -> Own {
        let mut own = Own::NONE;
        for (source, _) in voices.iter().filter_map(|voice| self.voices.get(voice)) {
            let _ = own.add(*source);
        }
        own
    }

    /// RTCP is of no use here: a mix has no other clock than its own.
    fn push(&mut self, at: Instant, bytes: &bytes::Bytes) {
        if Kind::of(bytes) == Some(Kind::Rtp)
            && let Ok(packet) = Packet::parse(bytes.clone())
            && let Some(source) = self.by_ssrc.get(&packet.view().ssrc())
        {
            self.mixer.push(at, *source, &packet);
        }
    }

    /// False when the worker has ended.
    fn tick(&mut self, peer: &LocalPeer) -> bool {
        let now = Instant::now();
        if now < self.mixer.next_tick() {
            return true;
        }
        // Processor time: what a busy machine does meanwhile is no reason to leave somebody out.
        let begun = ThreadTime::now();
        let mut buffer = [0; MAX_PACKET];
        let packets: Vec<Vec<u8>> = self
            .mixer
            .tick(now)
            .filter_map(|mixed| mixed.write(&mut buffer).map(|len| buffer[..len].to_vec()))
            .collect();
        self.mixer.took(begun.elapsed());
        // A worker that is too busy for it costs 20 ms of sound.
        packets.is_empty() || peer.send(packets) != Err(CommandError::Gone)
    }
}

/// How a codec is decoded; `None` when it cannot be mixed.
fn format(codec: Codec) -> Option<Format> {
    match codec {
        Codec::Opus => Some(OPUS),
        Codec::Pcmu => Some(Format::Pcmu),
        Codec::Pcma => Some(Format::Pcma),
        Codec::G722 => Some(Format::G722),
        _ => None,
    }
}
