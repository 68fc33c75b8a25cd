//! One listener: which encode it gets, and the headers of its packets.

use althing_media_core::packet::RtpWriter;
use althing_media_core::{RtpTime, Ssrc};
use bytes::Bytes;

use crate::mix::TICK;
use crate::mix::place::Layout;
use crate::mix::sound::Playing;
use crate::mixer::config::{Encoding, ListenerConfig, ListenerId};
use crate::mixer::output::Outputs;
use crate::mixer::source::Source;
use crate::mixer::stats::ListenerStats;
use crate::mixer::table::{Named, Table};

/// How long a listener keeps an encode of its own after it was last needed, in ticks: 300 ms. Longer than a limiter needs
/// to forget, so that both mixes are the same when it goes back.
const LINGER: u32 = 15;

/// One listener.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) config: ListenerConfig,
    /// Slot of the channel that it hears, and of the one that it heard until this tick.
    pub(super) channel: usize,
    pub(super) leaves: Option<usize>,
    /// Slot of the encode for all who are silent.
    pub(super) shared: usize,
    /// Slot of the encode for it alone.
    pub(super) own: Option<usize>,
    /// Ticks for which it keeps that.
    pub(super) keeps: u32,
    pub(super) sounds: Vec<Playing>,
    seq: u16,
    /// Whether the last tick was sent, and the first packet has no marker.
    flows: bool,
    packets: u64,
    bytes: u64,
}

impl Listener {
    pub(super) fn new(config: ListenerConfig, channel: usize, shared: usize, sounds: usize) -> Self {
        Self {
            config,
            channel,
            leaves: None,
            shared,
            own: None,
            keeps: 0,
            sounds: Vec::with_capacity(sounds),
            seq: config.seq,
            flows: false,
            packets: 0,
            bytes: 0,
        }
    }

    /// Its own voices.
    #[inline]
    pub(super) fn own_voices<'a>(&self, sources: &'a Table<Source>) -> impl Iterator<Item = &'a Source> + use<'_, 'a> {
        self.config.own.iter().filter_map(|voice| sources.get(voice.0))
    }

    /// It needs, or does not need, something of its own in this tick; whether it gets it.
    #[inline]
    pub(super) fn wants_own(&mut self, needed: bool) -> bool {
        if needed {
            self.keeps = LINGER;
        } else {
            self.keeps = self.keeps.saturating_sub(1);
        }
        self.keeps > 0
    }

    pub(super) fn stats(&self) -> ListenerStats {
        ListenerStats {
            packets: self.packets,
            bytes: self.bytes,
            own_encode: self.own.is_some(),
        }
    }
}

/// What one listener gets in one tick.
#[derive(Debug, Clone)]
pub struct MixedPacket<'a> {
    /// For whom.
    pub listener: ListenerId,
    /// The encoded tick, shared by all who hear the same; empty when the listener's encoding is plain samples.
    pub payload: Bytes,
    /// The same tick as samples, interleaved.
    pub pcm: &'a [f32],
    /// Channels of `pcm`.
    pub layout: Layout,
    /// For the header.
    pub ssrc: Ssrc,
    /// For the header.
    pub payload_type: althing_media_core::Pt,
    /// For the header.
    pub seq: u16,
    /// For the header, in units of the codec's RTP clock.
    pub timestamp: RtpTime,
    /// Whether it is the first after a pause.
    pub marker: bool,
}

impl MixedPacket<'_> {
    /// Writes the RTP packet into the front of `buffer`; its length, or `None` when the buffer is too small.
    #[must_use]
    pub fn write(&self, buffer: &mut [u8]) -> Option<usize> {
        let (seq, timestamp) = (self.seq, self.timestamp.0);
        let mut writer = RtpWriter::new(buffer, self.payload_type, self.marker, seq, timestamp, self.ssrc);
        writer.payload(&self.payload);
        writer.finish().map(|(_, len)| len)
    }
}

/// What all listeners get in one tick, one after the other. Who is not asked for gets nothing in this tick.
#[derive(Debug)]
pub struct Mixed<'a> {
    pub(super) listeners: Named<'a, Listener>,
    pub(super) outputs: &'a Outputs,
    /// Ticks since the start, with those that were left out.
    pub(super) elapsed: u64,
    /// False when it is not time yet: then there is nothing.
    pub(super) due: bool,
}

impl<'a> Iterator for Mixed<'a> {
    type Item = MixedPacket<'a>;

    #[inline]
    fn next(&mut self) -> Option<MixedPacket<'a>> {
        while self.due {
            let (_, (id, listener)) = self.listeners.next()?;
            let Some(output) = self.outputs.get(listener.own.unwrap_or(listener.shared)) else {
                continue;
            };
            let clock = match output.encoding {
                Encoding::Coded { format, .. } => format.clock_rate(),
                Encoding::Pcm(_) => crate::mix::RATE,
            };
            if output.payload.is_empty() && matches!(output.encoding, Encoding::Coded { .. }) {
                listener.flows = false;
                continue;
            }
            let seq = listener.seq;
            listener.seq = seq.wrapping_add(1);
            listener.packets += 1;
            listener.bytes += output.payload.len() as u64;
            return Some(MixedPacket {
                listener: ListenerId(*id),
                payload: output.payload.clone(),
                pcm: &output.pcm,
                layout: output.encoding.layout(),
                ssrc: listener.config.ssrc,
                payload_type: listener.config.payload_type,
                seq,
                timestamp: timestamp(listener.config.timestamp, self.elapsed, clock),
                marker: !std::mem::replace(&mut listener.flows, true),
            });
        }
        None
    }
}

/// The media time after so many ticks.
#[expect(clippy::cast_possible_truncation, reason = "media time wraps at 32 bits")]
fn timestamp(start: RtpTime, ticks: u64, clock: u32) -> RtpTime {
    let units = TICK as u64 * u64::from(clock) / u64::from(crate::mix::RATE);
    start.plus(ticks.wrapping_mul(units) as u32)
}
