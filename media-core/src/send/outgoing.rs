//! One outgoing RTP stream: the ids that the subscriber negotiated, the forwarder behind it, the log of what was sent.

use smallvec::SmallVec;

use crate::config::{CodecParams, StreamIds, SubscriptionConfig, SubscriptionId, TrackId};
use crate::estimate::share::Patience;
use crate::fec::Protector;
use crate::forward::Forwarder;
use crate::packet::{Extension, ExtensionMap, Mid, Pt, SeqNo};
use crate::payload::{Codec, DependencyState, MediaKind};
use crate::send::datagram::ActiveTargets;
use crate::send::log::{self, SentLog};
use crate::send::note::{Form, Note};
use crate::send::repeat::Repeats;
use crate::send::report::SendReport;

/// One subscription of an endpoint.
#[derive(Debug)]
pub struct Outgoing {
    /// Its name.
    pub id: SubscriptionId,
    /// Key of its endpoint in the router's table.
    pub(crate) endpoint: usize,
    /// Its media section.
    pub mid: Option<Mid>,
    /// Audio or video.
    pub kind: MediaKind,
    /// Its SSRCs.
    pub stream: StreamIds,
    /// The RTCP CNAME.
    pub cname: String,
    /// The ids that the subscriber negotiated.
    pub extensions: ExtensionMap,
    codecs: SmallVec<[CodecParams; 4]>,
    /// Where it comes from.
    pub source: Option<TrackId>,
    /// From the source's extension ids to the subscriber's, for what is passed on.
    passed: SmallVec<[(u8, u8); 8]>,
    /// Which packets, under which numbers.
    pub forwarder: Forwarder,
    /// What was sent.
    pub log: SentLog,
    /// How sound was written that may be asked for again without a retransmission stream.
    pub(crate) repeats: Option<Repeats>,
    /// FEC over what was sent, if negotiated.
    pub(crate) protector: Option<Box<Protector>>,
    /// Number of the next FEC packet.
    pub(crate) fec_seq: SeqNo,
    /// Counters and round trip.
    pub report: SendReport,
    /// Number of the next retransmission.
    pub(crate) rtx_seq: SeqNo,
    /// Those of higher rank are served first when there is not enough for all.
    pub(crate) rank: u8,
    /// Keeps it from going up and down all the time.
    pub(crate) patience: Patience,
    /// Not all decode targets of the stream are produced for the receiver, or it was told so since the last structure.
    restricted: bool,
    /// The last layer that was told in an event.
    pub(crate) told_layer: Option<u8>,
}

impl Outgoing {
    /// Builds the tables of `config`.
    #[must_use]
    pub(crate) fn new(id: SubscriptionId, endpoint: usize, config: SubscriptionConfig) -> Self {
        let capacity = if config.kind == MediaKind::Audio {
            log::AUDIO
        } else {
            log::VIDEO
        };
        let stream = config.stream;
        Self {
            id,
            endpoint,
            mid: config.mid,
            kind: config.kind,
            stream,
            cname: config.cname,
            extensions: config.extensions,
            repeats: Repeats::for_stream(config.kind, config.nack && stream.rtx.is_none()),
            codecs: config.codecs.into_iter().collect(),
            source: None,
            passed: SmallVec::new(),
            forwarder: Forwarder::new(config.kind, stream.ssrc, config.layers),
            log: SentLog::new(if config.nack { capacity } else { 1 }),
            protector: stream.fec.map(|_| Box::default()),
            fec_seq: SeqNo(stream.fec.map_or(0, |fec| 0x1_0000 + u64::from(fec.0 >> 17))),
            report: SendReport::default(),
            rtx_seq: SeqNo(0x1_0000 + u64::from(stream.ssrc.0 >> 17)),
            rank: 0,
            patience: Patience::default(),
            restricted: false,
            told_layer: None,
        }
    }

    /// The decode targets that the receiver is to be told of with the packet of `note`; `None` where it knows. `anew`: the packet
    /// brings a structure, with which all targets are produced unless it says otherwise.
    #[inline]
    pub(crate) fn active_targets<'a>(
        &mut self,
        note: &Note,
        dependency: &'a DependencyState,
        anew: bool,
    ) -> Option<ActiveTargets<'a>> {
        self.extensions
            .id(Extension::DependencyDescriptor)
            .filter(|_| note.form == Form::Media)?;
        let (structure, all) = (dependency.structure()?, dependency.active_targets());
        let (spatial, temporal) = self.forwarder.layers(note.encoding)?;
        let targets = structure.targets_within(spatial, temporal) & all;
        self.restricted = targets != all || self.restricted && !anew;
        // Without any target it is better to say nothing.
        (self.restricted && targets != 0).then_some(ActiveTargets { structure, targets })
    }

    /// Puts another track behind the stream.
    pub(crate) fn set_source(&mut self, source: Option<(TrackId, &ExtensionMap)>) {
        self.source = source.map(|(track, _)| track);
        self.passed = source.map_or_else(SmallVec::new, |(_, theirs)| {
            theirs
                .iter()
                .filter(|(extension, _)| extension.is_forwarded())
                .filter_map(|(extension, id)| Some((id, self.extensions.id(extension)?)))
                .collect()
        });
        self.forwarder.reset_source();
        self.told_layer = None;
    }

    /// The subscriber's payload types for `codec`. `None` when it cannot decode it.
    #[must_use]
    #[inline]
    pub fn params(&self, codec: Codec) -> Option<&CodecParams> {
        self.codecs.iter().find(|params| params.codec == codec)
    }

    /// A payload type that the subscriber negotiated, for packets without payload.
    #[must_use]
    pub fn any_pt(&self) -> Option<Pt> {
        self.codecs.first().map(|params| params.pt)
    }

    /// The payload type of FEC, if negotiated.
    #[must_use]
    pub fn fec_pt(&self) -> Option<Pt> {
        self.codecs.iter().find_map(|params| params.fec)
    }

    /// The payload type of retransmissions, if a line can be probed with them: their arrival is told.
    #[must_use]
    pub fn padding_pt(&self) -> Option<Pt> {
        let told = self.extensions.id(Extension::TransportCc).is_some() && self.stream.rtx.is_some();
        let mut rtx = self.codecs.iter().filter_map(|params| params.rtx);
        rtx.next().filter(|_| told)
    }

    /// The subscriber's id for the publisher's extension `id`, if it is passed on.
    #[must_use]
    #[inline]
    pub fn passed(&self, id: u8) -> Option<u8> {
        self.passed
            .iter()
            .find(|(theirs, _)| *theirs == id)
            .map(|(_, ours)| *ours)
    }
}
