//! Figures.

use crate::playout::PlayoutStats;

/// Of a whole mixer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct MixerStats {
    /// Sources now.
    pub sources: usize,
    /// Listeners now.
    pub listeners: usize,
    /// Sources that are heard now.
    pub heard: usize,
    /// Sources that talk now, heard or not.
    pub talkers: usize,
    /// Ticks that were mixed.
    pub ticks: u64,
    /// Ticks that were left out because the caller came much too late.
    pub missed_ticks: u64,
    /// Pieces of a tick that sources were asked for, each of which may have been decoded.
    pub pulled: u64,
    /// Frames that were encoded for all who are silent.
    pub encoded_shared: u64,
    /// Frames that were encoded for one listener alone.
    pub encoded_own: u64,
    /// Frames that could not be encoded.
    pub encode_errors: u64,
    /// Encoders that had to be made in the middle of a tick.
    pub late_encoders: u64,
    /// Ticks without noise suppression, because there was too much to do.
    pub ticks_without_denoise: u64,
    /// Ticks without levelling, because there was too much to do.
    pub ticks_without_level: u64,
    /// Ticks with fewer talkers, because there was too much to do.
    pub ticks_with_fewer_talkers: u64,
}

/// Of one source.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct SourceStats {
    /// Whether it is among the loudest.
    pub heard: bool,
    /// Its last level, in dB below full scale.
    pub minus_dbov: u8,
    /// Loudness of its speech before any gain, in LUFS.
    pub loudness: Option<f32>,
    /// What levelling adds, in dB.
    pub level_gain: f32,
    /// Samples that did not fit into the queue of a PCM source.
    pub overrun: u64,
    /// Of its playout; `None` for a PCM source.
    pub playout: Option<PlayoutStats>,
}

/// Of one listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ListenerStats {
    /// Packets that it got.
    pub packets: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// Whether something is encoded for it alone now.
    pub own_encode: bool,
}
