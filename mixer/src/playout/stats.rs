//! What a playout tells of itself.

use std::time::Duration;

/// Counts since the start, and the state of now. Samples are per channel at 48 kHz.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PlayoutStats {
    /// Packets that came, of any kind.
    pub received: u64,
    /// Packets that never came, or came after their time was over.
    pub lost: u64,
    /// Packets that came after their time was over, or after it had been bridged.
    pub late: u64,
    /// Packets that came again.
    pub duplicates: u64,
    /// Packets that were dropped because of what they are: another payload type, malformed, far from any time.
    pub refused: u64,
    /// Payloads that were dropped because too many waited.
    pub overflow: u64,
    /// Packets that were lost and whose sound came in a later one: in-band FEC or redundant audio.
    pub recovered: u64,
    /// Samples that stand for what did not come in time.
    pub concealed: u64,
    /// Samples of noise in pauses of the sender.
    pub comfort_noise: u64,
    /// Samples left out to catch up.
    pub accelerated: u64,
    /// Samples put in to fall back.
    pub expanded: u64,
    /// Times that the source began anew: another SSRC, or a leap of its clock.
    pub resets: u64,
    /// How much later sound leaves than the fastest packet of late would have allowed.
    pub delay: Duration,
    /// How much later it is wanted to leave: what the jitter needs, and one tick.
    pub target: Duration,
}
