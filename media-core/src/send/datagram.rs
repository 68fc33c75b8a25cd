//! A note becomes RTP in the send buffer: the subscriber's own header, then the payload, copied once.

use std::time::{Duration, Instant};

use crate::config::CodecParams;
use crate::fec::header::MAX_HEADER;
use crate::fec::protector::Row;
use crate::packet::view::ExtensionForm;
use crate::packet::{Extension, Pt, RtpView, RtpWriter, SeqNo};
use crate::payload::dependency_descriptor::{self, Structure};
use crate::payload::picture_id::MAX_PREFIX;
use crate::receive::history::Received;
use crate::send::note::{Form, Note};
use crate::send::outgoing::Outgoing;
use crate::send::redundancy::Redundancy;
use crate::time::RtpTime;

/// Bytes of an element in the one-byte form (RFC 8285 §4.2).
const ONE_BYTE_ROOM: usize = 16;

/// An RTP packet in a buffer, not yet sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Length of the header.
    pub header: usize,
    /// Length of the packet.
    pub len: usize,
    /// Its extended sequence number.
    pub seq: SeqNo,
    /// Bytes of payload.
    pub payload: usize,
}

/// What belongs to the transmission, not to the packet.
#[derive(Debug, Clone, Copy)]
pub struct Transmission {
    /// The time of sending, since some fixed moment.
    pub at: Duration,
    /// The next transport-wide sequence number.
    pub transport_seq: u16,
    /// The media section is named: until the receiver has reported on the SSRC, it may not know which one it belongs to
    /// (RFC 8843 §9.2).
    pub named: bool,
}

impl Transmission {
    /// A transmission at `now`, in the time since `epoch`.
    #[must_use]
    pub fn new(now: Instant, epoch: Instant, transport_seq: u16, outgoing: &Outgoing) -> Self {
        Self {
            at: now.saturating_duration_since(epoch),
            transport_seq,
            named: !outgoing.report.is_acknowledged(),
        }
    }

    /// Absolute send time: 6 bits of seconds, 18 of fraction.
    #[expect(clippy::cast_possible_truncation, reason = "24 bits, wraps every 64 seconds")]
    fn abs_send_time(&self) -> [u8; 3] {
        let fixed = (self.at.as_nanos() << 18) / 1_000_000_000;
        let [_, bytes @ ..] = (fixed as u32 & 0x00ff_ffff).to_be_bytes();
        bytes
    }
}

/// The decode targets that a receiver is told of (AV1 RTP specification, A.4.1).
#[derive(Debug, Clone, Copy)]
pub struct ActiveTargets<'a> {
    /// The structure in force.
    pub structure: &'a Structure,
    /// Bit n for target n.
    pub targets: u32,
}

/// What goes into a packet.
#[derive(Debug)]
pub struct Content<'a> {
    /// The received packet.
    pub received: &'a Received,
    /// The subscriber's payload types for its codec.
    pub params: CodecParams,
    /// Packets before it that go along, if there are any.
    pub redundancy: Redundancy<'a>,
    /// What its dependency descriptor has to say that it does not.
    pub active: Option<ActiveTargets<'a>>,
}

/// Writes the packet of `note` into `buf`. `None` when it does not fit.
///
/// Copies the payload once; allocates nothing.
#[inline]
pub fn write(
    note: &Note,
    content: &Content<'_>,
    outgoing: &Outgoing,
    transmission: Transmission,
    buf: &mut [u8],
) -> Option<Written> {
    let (received, params) = (content.received, content.params);
    let view = received.packet.view();
    let original = note.seq.wire();
    let redundancy = params.red.filter(|_| !content.redundancy.is_empty());
    let (pt, ssrc, seq, rtx) = match (note.form, params.rtx, outgoing.stream.rtx) {
        (form, Some(pt), Some(ssrc)) if form.is_again() => (pt, ssrc, outgoing.rtx_seq, true),
        _ => (redundancy.unwrap_or(params.pt), outgoing.stream.ssrc, note.seq, false),
    };
    let filler = matches!(note.form, Form::Filler | Form::RtxFiller);
    let marker = (view.marker() || note.ends) && !filler;
    let mut writer = RtpWriter::new(buf, pt, marker, seq.wire(), note.timestamp.0, ssrc);
    if view.layout().extension_form() == ExtensionForm::TwoByte {
        writer.use_two_byte();
    }
    write_own_extensions(&mut writer, outgoing, transmission);
    if !filler {
        pass_extensions(&mut writer, &view, outgoing, (note.frame_shift, content.active));
    }
    if rtx {
        writer.payload(&original.to_be_bytes());
    }
    if !filler {
        if redundancy.is_some() {
            content.redundancy.write(params.pt, &view, &mut writer)?;
        }
        write_payload(&mut writer, note, received, &view);
    } else if !rtx {
        // A packet without payload would be a keep-alive to some; padding is understood by all.
        writer.padding(1);
    }
    let (header, len) = writer.finish()?;
    Some(Written {
        header,
        len,
        seq,
        payload: len - header,
    })
}

/// Writes a packet of nothing but padding, 255 bytes of it, into `buf`, in the retransmission stream: what a line is probed
/// with. `None` when there is no such stream, or it does not fit.
pub fn write_padding(outgoing: &Outgoing, rtx: Pt, transmission: Transmission, buf: &mut [u8]) -> Option<Written> {
    let (ssrc, seq) = (outgoing.stream.rtx?, outgoing.rtx_seq);
    let writer = RtpWriter::new(buf, rtx, false, seq.wire(), 0, ssrc);
    write_empty(writer, seq, outgoing, transmission, u8::MAX)
}

/// Writes an FEC packet into `buf`. `None` when there is no stream of them, or it does not fit.
pub fn write_fec(
    row: &Row,
    timestamp: RtpTime,
    outgoing: &Outgoing,
    transmission: Transmission,
    buf: &mut [u8],
) -> Option<Written> {
    let (ssrc, pt, seq) = (outgoing.stream.fec?, outgoing.fec_pt()?, outgoing.fec_seq);
    let mut writer = RtpWriter::new(buf, pt, false, seq.wire(), timestamp.0, ssrc);
    write_own_extensions(&mut writer, outgoing, transmission);
    let mut head = [0; MAX_HEADER];
    let len = row.header.write(row.parity.fixed(), &mut head);
    writer.payload(&head[..len]);
    writer.payload(row.parity.rest());
    let (header, len) = writer.finish()?;
    Some(Written {
        header,
        len,
        seq,
        payload: len - header,
    })
}

/// Writes something empty under the number of `note`, whose packet is gone: its number must not be missed. `None` when it
/// does not fit.
#[cold]
pub fn write_filler(
    note: &Note,
    pt: Pt,
    outgoing: &Outgoing,
    transmission: Transmission,
    buf: &mut [u8],
) -> Option<Written> {
    let (ssrc, seq) = (outgoing.stream.ssrc, note.seq);
    let writer = RtpWriter::new(buf, pt, false, seq.wire(), note.timestamp.0, ssrc);
    write_empty(writer, seq, outgoing, transmission, 1)
}

fn write_empty(
    mut writer: RtpWriter<'_>,
    seq: SeqNo,
    outgoing: &Outgoing,
    transmission: Transmission,
    padding: u8,
) -> Option<Written> {
    write_own_extensions(&mut writer, outgoing, transmission);
    writer.padding(padding);
    let (header, len) = writer.finish()?;
    Some(Written {
        header,
        len,
        seq,
        payload: len - header,
    })
}

#[inline]
fn write_payload(writer: &mut RtpWriter<'_>, note: &Note, received: &Received, view: &RtpView<'_>) {
    let payload = view.payload();
    let mut prefix = [0; MAX_PREFIX];
    let patched = note
        .patch
        .map_or(0, |patch| received.info.ids.write_patched(payload, patch, &mut prefix));
    writer.payload(&prefix[..patched.min(MAX_PREFIX)]);
    writer.payload(payload.get(patched..).unwrap_or_default());
}

/// What the publisher's packet has that the subscriber understands.
#[inline]
fn pass_extensions(
    writer: &mut RtpWriter<'_>,
    view: &RtpView<'_>,
    outgoing: &Outgoing,
    change: (u16, Option<ActiveTargets<'_>>),
) {
    for (theirs, element) in view.extensions() {
        let Some(ours) = outgoing.passed(theirs) else { continue };
        let changes = change.0 != 0 || change.1.is_some();
        if changes && outgoing.extensions.id(Extension::DependencyDescriptor) == Some(ours) {
            let room = match view.layout().extension_form() {
                ExtensionForm::TwoByte => u8::MAX as usize,
                _ => ONE_BYTE_ROOM,
            };
            write_descriptor(writer, (ours, room), element, change);
        } else {
            writer.extension(ours, element);
        }
    }
}

/// A dependency descriptor with another frame number and other active decode targets; these only where there is `room`.
#[cold]
fn write_descriptor(
    writer: &mut RtpWriter<'_>,
    (id, room): (u8, usize),
    element: &[u8],
    (frame_shift, active): (u16, Option<ActiveTargets<'_>>),
) {
    let mut changed = [0; u8::MAX as usize];
    let told = active.and_then(|ActiveTargets { structure, targets }| {
        dependency_descriptor::set_active_targets(element, structure, targets, changed.get_mut(..room)?)
    });
    let len = told.unwrap_or(element.len());
    let (Some(number), Some(changed)) = (dependency_descriptor::frame_number(element), changed.get_mut(..len)) else {
        return writer.extension(id, element);
    };
    if told.is_none() {
        changed.copy_from_slice(element);
    }
    dependency_descriptor::set_frame_number(changed, number.wrapping_add(frame_shift));
    writer.extension(id, changed);
}

/// What the publisher's packet has no part in.
#[inline]
fn write_own_extensions(writer: &mut RtpWriter<'_>, outgoing: &Outgoing, transmission: Transmission) {
    if transmission.named
        && let (Some(mid), Some(id)) = (outgoing.mid, outgoing.extensions.id(Extension::Mid))
    {
        writer.extension(id, mid.0.as_bytes());
    }
    if let Some(id) = outgoing.extensions.id(Extension::TransportCc) {
        writer.extension(id, &transmission.transport_seq.to_be_bytes());
    }
    if let Some(id) = outgoing.extensions.id(Extension::AbsSendTime) {
        writer.extension(id, &transmission.abs_send_time());
    }
}
