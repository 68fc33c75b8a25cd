//! A track: one media section that a publisher sends, with its codecs, encodings and listeners.

use std::time::Instant;

use smallvec::SmallVec;

use crate::config::{MAX_ENCODINGS, StageId, SubscriptionId, TrackConfig, TrackId};
use crate::forward::LayerSet;
use crate::packet::{ExtensionMap, Mid, Pt, Rid};
use crate::payload::{Codec, MediaKind};
use crate::receive::stream::Stream;
use crate::speakers::Voice;

/// What a payload type means for a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum PtUse {
    /// Nothing that was negotiated.
    #[default]
    Unknown,
    /// Media in this codec.
    Media(Codec),
    /// Retransmissions of media with this payload type.
    Rtx(Pt),
    /// Media with this payload type, and redundancy.
    Red(Pt),
    /// FEC over media of any payload type.
    Fec,
}

/// One track.
#[derive(Debug)]
pub struct Track {
    /// Its name.
    pub id: TrackId,
    /// Key of its publisher in the router's table.
    pub(crate) endpoint: usize,
    /// Its media section.
    pub mid: Option<Mid>,
    /// Audio or video.
    pub kind: MediaKind,
    uses: [PtUse; 128],
    /// The ids of its header extensions.
    pub extensions: ExtensionMap,
    rids: SmallVec<[Rid; MAX_ENCODINGS]>,
    /// Its encoded streams, the lowest first; one without simulcast.
    pub streams: SmallVec<[Stream; MAX_ENCODINGS]>,
    /// Who gets it.
    pub subscribers: Vec<SubscriptionId>,
    /// Nothing is forwarded.
    pub muted: bool,
    /// The publisher wants transport-wide feedback.
    pub transport_cc: bool,
    /// Nobody but its listeners can read its payloads.
    pub encrypted: bool,
    /// How much speech there was lately.
    pub voice: Voice,
    /// Where only the loudest are heard, and its key there.
    pub(crate) stage: Option<(StageId, usize)>,
    live: LayerSet,
    /// A packet has come.
    pub(crate) started: bool,
}

impl Track {
    /// Builds the tables of `config`.
    #[must_use]
    pub(crate) fn new(id: TrackId, endpoint: usize, config: &TrackConfig) -> Self {
        let mut uses = [PtUse::Unknown; 128];
        for params in &config.codecs {
            uses[usize::from(params.pt.value())] = PtUse::Media(params.codec);
            if let Some(rtx) = params.rtx {
                uses[usize::from(rtx.value())] = PtUse::Rtx(params.pt);
            }
            if let Some(red) = params.red {
                uses[usize::from(red.value())] = PtUse::Red(params.pt);
            }
            if let Some(fec) = params.fec {
                uses[usize::from(fec.value())] = PtUse::Fec;
            }
        }
        let clock_rate = config.codecs.first().map_or(90_000, |params| params.codec.clock_rate());
        let count = config.rids.len().max(config.streams.len()).clamp(1, MAX_ENCODINGS);
        let mut streams: SmallVec<[Stream; MAX_ENCODINGS]> = (0..count)
            .map(|_| Stream::new(config.kind, clock_rate, config.nack))
            .collect();
        for (stream, ids) in streams.iter_mut().zip(&config.streams) {
            stream.set_ssrc(ids.ssrc);
            if let Some(rtx) = ids.rtx {
                stream.set_rtx(rtx);
            }
            if let Some(fec) = ids.fec {
                stream.set_fec(fec);
            }
        }
        Self {
            id,
            endpoint,
            mid: config.mid,
            kind: config.kind,
            uses,
            extensions: config.extensions,
            rids: config.rids.clone(),
            streams,
            subscribers: Vec::new(),
            muted: false,
            transport_cc: config.transport_cc,
            encrypted: config.encrypted,
            voice: Voice::default(),
            stage: None,
            live: LayerSet::default(),
            started: false,
        }
    }

    /// What `pt` means.
    #[must_use]
    #[inline]
    pub fn pt_use(&self, pt: Pt) -> PtUse {
        self.uses[usize::from(pt.value() & 0x7f)]
    }

    /// The encoding that `rid` names.
    #[must_use]
    pub fn encoding_of(&self, rid: &[u8]) -> Option<usize> {
        self.rids.iter().position(|known| known.0.as_bytes() == rid)
    }

    /// Looks which encodings are being received; returns whether that has changed.
    #[inline]
    pub fn update_live(&mut self, now: Instant) -> bool {
        let mut live = LayerSet::default();
        for (encoding, stream) in (0_u8..).zip(&self.streams) {
            if stream.is_live(now) {
                live.insert(encoding);
            }
        }
        std::mem::replace(&mut self.live, live) != live
    }

    /// The codec of a packet of this track.
    #[must_use]
    pub fn codec_of(&self, pt: Pt) -> Option<Codec> {
        match self.pt_use(pt) {
            PtUse::Media(codec) => Some(codec),
            _ => None,
        }
    }

    /// The encodings that are being received.
    #[must_use]
    pub fn live(&self) -> LayerSet {
        self.live
    }
}
