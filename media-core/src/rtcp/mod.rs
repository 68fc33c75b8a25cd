//! RTCP: what we make, consume, forward and ignore, one file per message (`docs/rtcp.md` says which and why).
//!
//! RFC 3550 §6 (SR, RR, SDES, BYE), RFC 4585 (NACK, PLI), RFC 5104 (FIR), RFC 5506 (reduced-size), RFC 3611 (XR),
//! draft-alvestrand-rmcat-remb-03 (REMB), draft-holmer-rmcat-transport-wide-cc-extensions-01 (transport-cc), RFC 8888. This
//! room knows bytes; it does not know when to send, to whom, or what a report means for a stream.
//!
//! Reading borrows: [`messages`] walks over a datagram, each [`Message`] keeps slices of it. Writing goes into the
//! caller's buffer: every `write` puts one whole message at the start of `buf` and gives its length, so a compound
//! packet is a few calls behind each other, and nothing here allocates.
//!
//! ```
//! use althing_media_core::packet::Ssrc;
//! use althing_media_core::rtcp::{self, Message, nack, rr};
//!
//! let mut buf = [0; 100];
//! let mut len = rr::write(&mut buf, Ssrc(1), &[]).expect("100 bytes are enough");
//! let (more, _) = nack::write(&mut buf[len..], Ssrc(1), Ssrc(2), [7, 9].into_iter()).expect("still enough");
//! len += more;
//! let lost: Vec<u16> = rtcp::messages(&buf[..len])
//!     .filter_map(|message| match message { Ok(Message::Nack(nack)) => Some(nack), _ => None })
//!     .flat_map(|nack| nack.lost())
//!     .collect();
//! assert_eq!(lost, [7, 9]);
//! ```
//!
//! | file | one idea |
//! |---|---|
//! | `frame` | the common header, padding, and a cursor over the bytes |
//! | [`sr`], [`rr`], [`report`] | sender report, receiver report, the block that both carry |
//! | [`sdes`], [`bye`] | who a source is, and that it leaves |
//! | [`nack`], [`pli`], [`fir`] | please send again, please send a keyframe |
//! | [`remb`], [`transport_cc`], [`ccfb`] | how much arrives, and when each packet did |
//! | [`xr`] | extended reports, read only |

mod frame;

pub mod bye;
pub mod ccfb;
pub mod fir;
pub mod nack;
pub mod pli;
pub mod remb;
pub mod report;
pub mod rr;
pub mod sdes;
pub mod sr;
pub mod transport_cc;
pub mod xr;

pub use bye::Bye;
pub use ccfb::Ccfb;
pub use fir::Fir;
pub use frame::{MAX_COUNT, ParseError};
pub use nack::Nack;
pub use pli::Pli;
pub use remb::{Bitrate, Remb};
pub use report::ReportBlock;
pub use rr::ReceiverReport;
pub use sdes::Sdes;
pub use sr::{SenderInfo, SenderReport};
pub use transport_cc::TransportCc;
pub use xr::Xr;

use frame::Frame;

/// Transport layer feedback (RFC 4585 §6.2).
const RTPFB: u8 = 205;
/// Payload-specific feedback (RFC 4585 §6.3).
const PSFB: u8 = 206;

/// One RTCP message, borrowed from the datagram.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Message<'a> {
    /// SR: what a sender has sent, and which wall time its timestamps mean.
    SenderReport(SenderReport<'a>),
    /// RR: what a receiver got.
    ReceiverReport(ReceiverReport<'a>),
    /// SDES: names of sources.
    Sdes(Sdes<'a>),
    /// BYE: sources that end.
    Bye(Bye<'a>),
    /// Generic NACK: packets that are missed.
    Nack(Nack<'a>),
    /// PLI: a keyframe is wanted.
    Pli(Pli),
    /// FIR: a keyframe is wanted, by a mixer or for a newcomer.
    Fir(Fir<'a>),
    /// REMB: the receiver's own bandwidth estimate.
    Remb(Remb<'a>),
    /// Transport-cc: arrival times by transport-wide sequence number.
    TransportCc(TransportCc<'a>),
    /// RFC 8888: arrival times by SSRC and sequence number.
    Ccfb(Ccfb<'a>),
    /// XR: extended reports.
    Xr(Xr<'a>),
    /// Well framed, but of a type or format that nobody here speaks (APP, SLI, TMMBR, …).
    Other {
        /// The packet type.
        packet_type: u8,
        /// The five bits of count or format.
        fmt: u8,
    },
}

impl<'a> Message<'a> {
    fn parse(frame: Frame<'a>) -> Result<Self, ParseError> {
        Ok(match (frame.packet_type, frame.count) {
            (sr::PT, _) => Self::SenderReport(SenderReport::parse(frame)?),
            (rr::PT, _) => Self::ReceiverReport(ReceiverReport::parse(frame)?),
            (sdes::PT, _) => Self::Sdes(Sdes::parse(frame)?),
            (bye::PT, _) => Self::Bye(Bye::parse(frame)?),
            (RTPFB, nack::FMT) => Self::Nack(Nack::parse(frame)?),
            (RTPFB, transport_cc::FMT) => Self::TransportCc(TransportCc::parse(frame)?),
            (RTPFB, ccfb::FMT) => Self::Ccfb(Ccfb::parse(frame)?),
            (PSFB, pli::FMT) => Self::Pli(Pli::parse(frame)?),
            (PSFB, fir::FMT) => Self::Fir(Fir::parse(frame)?),
            (PSFB, remb::FMT) if remb::is_remb(frame) => Self::Remb(Remb::parse(frame)?),
            (xr::PT, _) => Self::Xr(Xr::parse(frame)?),
            (packet_type, fmt) => Self::Other { packet_type, fmt },
        })
    }
}

/// Reads a compound packet (RFC 3550 §6.1) or a reduced-size one (RFC 5506): any messages in any order.
///
/// Costs about 20 ns per message; no allocation. A datagram of `n` bytes holds at most `n / 4` messages.
#[must_use]
pub fn messages(bytes: &[u8]) -> Messages<'_> {
    Messages { rest: bytes }
}

/// Iterator over the messages of one datagram. After an error it ends: what follows cannot be trusted.
#[derive(Debug, Clone)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let message = Frame::split(self.rest).and_then(|(frame, rest)| {
            self.rest = rest;
            Message::parse(frame)
        });
        if message.is_err() {
            self.rest = &[];
        }
        Some(message)
    }
}

impl std::iter::FusedIterator for Messages<'_> {}

#[cfg(test)]
mod differential;
#[cfg(test)]
mod tests;
