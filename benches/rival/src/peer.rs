//! A session of str0m: a publisher, whose packets come out, or a watcher, to whom they are written.

use std::net::UdpSocket;
use std::time::Instant;

use str0m::media::{KeyframeRequestKind, Mid, Pt};
use str0m::net::Receive;
use str0m::rtp::{ExtensionValues, RtpPacket, RtpWrite};
use str0m::{Event, IceConnectionState, Input, Output, Rtc, RtcError};

/// Which way the media goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// To us.
    Publisher,
    /// From us.
    Watcher,
}

/// What a peer has for the others in its room.
pub(crate) enum Heard {
    /// The publisher's packet, for the watchers.
    Packet(RtpPacket),
    /// A watcher's wish, for the publisher.
    Keyframe(KeyframeRequestKind),
}

/// A session.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) id: u64,
    pub(crate) role: Role,
    pub(crate) room: String,
    /// When it wants to be driven again.
    pub(crate) due: Instant,
    rtc: Rtc,
    /// The one section of the offer, with the payload type of its codec.
    media: Option<(Mid, Pt)>,
    /// Whom a watcher watches, and the first sequence number that it was sent.
    source: Option<(u64, u64)>,
}

impl Peer {
    /// Due at once.
    pub(crate) fn new(id: u64, role: Role, room: String, rtc: Rtc) -> Self {
        Self {
            id,
            role,
            room,
            due: Instant::now(),
            rtc,
            media: None,
            source: None,
        }
    }

    /// False when the connection has ended.
    pub(crate) fn is_alive(&self) -> bool {
        self.rtc.is_alive()
    }

    /// Whether a datagram is for this one.
    pub(crate) fn accepts(&self, input: &Input<'_>) -> bool {
        self.rtc.accepts(input)
    }

    /// Takes a datagram, sends what follows from it.
    pub(crate) fn handle_datagram(
        &mut self,
        now: Instant,
        datagram: Receive<'_>,
        socket: &UdpSocket,
        heard: &mut Vec<Heard>,
    ) {
        self.handle(Input::Receive(now, datagram), socket, heard);
    }

    /// Does what is due, sends what waits.
    pub(crate) fn drive(&mut self, now: Instant, socket: &UdpSocket, heard: &mut Vec<Heard>) {
        self.handle(Input::Timeout(now), socket, heard);
    }

    /// Ends on an error.
    fn handle(&mut self, input: Input<'_>, socket: &UdpSocket, heard: &mut Vec<Heard>) {
        let taken = self.rtc.handle_input(input);
        if let Err(error) = taken.and_then(|()| self.poll(socket, heard)) {
            eprintln!("rival: session {} ends: {error}", self.id);
            self.rtc.disconnect();
        }
    }

    fn poll(&mut self, socket: &UdpSocket, heard: &mut Vec<Heard>) -> Result<(), RtcError> {
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(due) => {
                    self.due = due;
                    return Ok(());
                }
                Output::Transmit(out) => {
                    // A full buffer, or an ICMP answer to an earlier one: the datagram is lost, as on any path.
                    let _ = socket.send_to(&out.contents, out.destination);
                }
                Output::Event(Event::RtpPacket(packet)) => heard.push(Heard::Packet(packet)),
                Output::Event(Event::KeyframeRequest(request)) => heard.push(Heard::Keyframe(request.kind)),
                Output::Event(Event::MediaAdded(added)) => {
                    let pt = self
                        .rtc
                        .media(added.mid)
                        .and_then(|media| media.remote_pts().first().copied());
                    self.media = pt.map(|pt| (added.mid, pt));
                }
                Output::Event(Event::IceConnectionStateChange(IceConnectionState::Disconnected)) => {
                    self.rtc.disconnect()
                }
                Output::Event(_) => {}
            }
        }
    }

    /// Writes a packet of a publisher; it waits until this peer is driven. A watcher stays with the publisher it heard
    /// first, and its sequence numbers start low: a rollover counter above zero would have to be signalled
    /// (RFC 3711 §3.3.1).
    pub(crate) fn write(&mut self, publisher: u64, packet: &RtpPacket) {
        let Some((mid, pt)) = self.media.filter(|_| self.rtc.is_connected()) else {
            return;
        };
        let (source, first) = *self.source.get_or_insert((publisher, *packet.seq_no));
        let Some(seq_no) = packet.seq_no.checked_sub(first).filter(|_| source == publisher) else {
            return;
        };
        let mut direct = self.rtc.direct_api();
        let Some(stream) = direct.stream_tx_by_mid(mid, None) else {
            return;
        };
        // The section and the encoding are told by each sender in its own words.
        let extensions = ExtensionValues {
            mid: None,
            rid: None,
            ..packet.header.ext_vals.clone()
        };
        let (time, arrived) = (packet.header.timestamp, packet.timestamp);
        let write = RtpWrite::new(pt, seq_no.into(), time, arrived, packet.payload.clone());
        stream.write_rtp(write.marker(packet.header.marker).ext_vals(extensions).nackable(true));
    }

    /// Asks a publisher for a keyframe; the request waits until this peer is driven.
    pub(crate) fn request_keyframe(&mut self, kind: KeyframeRequestKind) {
        let Some((mid, _)) = self.media else { return };
        if let Some(stream) = self.rtc.direct_api().stream_rx_by_mid(mid, None) {
            stream.request_keyframe(kind);
        }
    }
}
