//! Feedback by SSRC (RFC 8888), written apart from the product.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use althing_media_core::packet::{RtpView, SeqExtender, Ssrc};

/// Time between two reports.
const EVERY: Duration = Duration::from_millis(50);

/// What has come since the last report.
#[derive(Debug)]
pub(super) struct Ccfb {
    epoch: Instant,
    streams: BTreeMap<Ssrc, Stream>,
    due: Option<Instant>,
}

#[derive(Debug, Default)]
struct Stream {
    extender: SeqExtender,
    /// The number behind the highest that was reported on.
    next: Option<u64>,
    come: BTreeMap<u64, Instant>,
}

impl Ccfb {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            epoch: now,
            streams: BTreeMap::new(),
            due: None,
        }
    }

    pub(super) fn on_packet(&mut self, now: Instant, rtp: &RtpView<'_>) {
        let stream = self.streams.entry(rtp.ssrc()).or_default();
        let seq = stream.extender.extend(rtp.seq()).0;
        if stream.next.is_none_or(|next| seq >= next) {
            stream.come.insert(seq, now);
            self.due.get_or_insert(now + EVERY);
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// The report, when it is due.
    pub(super) fn take(&mut self, now: Instant) -> Option<Vec<u8>> {
        self.due.take_if(|due| *due <= now)?;
        let mut message = vec![0x80 | 11, 205, 0, 0, 0, 0, 0, 1];
        for (ssrc, stream) in &mut self.streams {
            let Some((&highest, _)) = stream.come.last_key_value() else {
                continue;
            };
            let first = stream
                .next
                .or_else(|| stream.come.keys().next().copied())
                .unwrap_or(highest);
            let first = first.max(highest.saturating_sub(300));
            message.extend(ssrc.0.to_be_bytes());
            message.extend(u16::try_from(first & 0xffff).unwrap_or(0).to_be_bytes());
            message.extend(u16::try_from(highest - first + 1).unwrap_or(0).to_be_bytes());
            for seq in first..=highest {
                let word = stream.come.get(&seq).map_or(0, |at| {
                    let ticks = now.saturating_duration_since(*at).as_micros() * 1024 / 1_000_000;
                    0x8000 | u16::try_from(ticks).unwrap_or(0x1ffe).min(0x1ffe)
                });
                message.extend(word.to_be_bytes());
            }
            message.resize(message.len().next_multiple_of(4), 0);
            stream.next = Some(highest + 1);
            stream.come.clear();
        }
        let stamp = now.saturating_duration_since(self.epoch).as_micros() * 65_536 / 1_000_000;
        message.extend(u32::try_from(stamp & 0xffff_ffff).unwrap_or(0).to_be_bytes());
        let words = u16::try_from(message.len() / 4 - 1).unwrap_or(0);
        message[2..4].copy_from_slice(&words.to_be_bytes());
        Some(message)
    }
}
