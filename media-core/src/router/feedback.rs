//! RTCP to a peer: what it sent that is missing, what is wanted of it, how it arrived; and reports both ways.
//!
//! One datagram at a time, reduced-size (RFC 5506) where only feedback is due. Whatever does not fit stays due.

use std::time::Instant;

use smallvec::SmallVec;

use crate::endpoint::{Endpoint, REPORT_INTERVAL};
use crate::packet::Ssrc;
use crate::receive::{Stream, Track, history};
use crate::router::Router;
use crate::router::tables::Table;
use crate::rtcp::transport_cc::{self, Feedback};
use crate::rtcp::{self, ReportBlock};
use crate::send::report::Translation;

/// Longest RTCP datagram before protection, in bytes: fits every path.
const MTU: usize = 1150;
/// Space below which nothing more is put into a datagram.
const LEAST: usize = 64;
/// Report blocks in one receiver report (RFC 3550 §6.4.1).
const MAX_BLOCKS: usize = 31;

impl Router {
    /// Writes the next RTCP datagram that is due to an endpoint, not yet protected; its length, 0 when nothing is due.
    pub(super) fn write_feedback(&mut self, now: Instant, key: usize, buf: &mut [u8]) -> usize {
        let end = buf.len().min(MTU);
        let Some(buf) = buf.get_mut(..end) else { return 0 };
        let mut at = self.write_reports(now, key, buf);
        at += self.write_wishes(now, key, buf.get_mut(at..).unwrap_or_default());
        at += self.write_arrivals(now, key, buf.get_mut(at..).unwrap_or_default());
        at
    }

    /// Sender reports of what we send, each with its name; then a receiver report about what we get.
    fn write_reports(&mut self, now: Instant, key: usize, buf: &mut [u8]) -> usize {
        let Some(endpoint) = self.endpoints.at_mut(key) else {
            return 0;
        };
        if endpoint.report_due.is_some_and(|due| due <= now) {
            endpoint.report_due = Some(now + REPORT_INTERVAL);
            endpoint.report_at = Some(0);
            expire(now, endpoint, &mut self.tracks);
            self.share(now, key);
        }
        let Some(mut index) = self.endpoints.at(key).and_then(|endpoint| endpoint.report_at) else {
            return 0;
        };
        let mut at = 0;
        while let Some(&id) = self
            .endpoints
            .at(key)
            .and_then(|endpoint| endpoint.subscriptions.get(index))
        {
            // The longest: a report of 28 bytes, an item of 12 and 255 bytes of name.
            if buf.len().saturating_sub(at) < 28 + 12 + 255 + LEAST {
                if let Some(endpoint) = self.endpoints.at_mut(key) {
                    endpoint.report_at = Some(index);
                }
                return at;
            }
            at += self.write_sender_report(now, id.0, buf.get_mut(at..).unwrap_or_default());
            self.want_keyframe(now, id);
            index += 1;
        }
        if let Some(endpoint) = self.endpoints.at_mut(key) {
            endpoint.report_at = None;
        }
        at + self.write_receiver_report(now, key, buf.get_mut(at..).unwrap_or_default())
    }

    fn write_sender_report(&mut self, now: Instant, id: u64, buf: &mut [u8]) -> usize {
        let Some(outgoing) = self.subscriptions.get_mut(id) else {
            return 0;
        };
        let Some((encoding, shift)) = outgoing.forwarder.current().zip(outgoing.forwarder.timestamp_shift()) else {
            return 0;
        };
        let Some(track) = outgoing.source.and_then(|source| self.tracks.get(source.0)) else {
            return 0;
        };
        let Some(stream) = track.streams.get(usize::from(encoding)) else {
            return 0;
        };
        let Some(wall_offset) = self
            .endpoints
            .at(track.endpoint)
            .and_then(|publisher| publisher.wall_offset)
        else {
            return 0;
        };
        let Some(clock) = stream.reception.clock() else {
            return 0;
        };
        let ssrc = outgoing.stream.ssrc;
        let info = outgoing.report.make(
            now,
            ssrc,
            &clock,
            stream.clock_rate(),
            Translation { shift, wall_offset },
        );
        let Some(len) = rtcp::sr::write(buf, &info, &[]) else {
            return 0;
        };
        let rest = buf.get_mut(len..).unwrap_or_default();
        len + rtcp::sdes::write_cname(rest, ssrc, &outgoing.cname).unwrap_or(0)
    }

    fn write_receiver_report(&mut self, now: Instant, key: usize, buf: &mut [u8]) -> usize {
        let Some(endpoint) = self.endpoints.at(key) else {
            return 0;
        };
        let mut blocks: SmallVec<[ReportBlock; 8]> = SmallVec::new();
        for id in &endpoint.tracks {
            let Some(track) = self.tracks.get_mut(id.0) else {
                continue;
            };
            for stream in &mut track.streams {
                if let Some(ssrc) = stream.ssrc()
                    && blocks.len() < MAX_BLOCKS
                {
                    blocks.extend(stream.reception.report(now, ssrc));
                }
            }
        }
        if blocks.is_empty() {
            return 0;
        }
        rtcp::rr::write(buf, endpoint.rtcp_ssrc(), &blocks).unwrap_or(0)
    }

    /// Keyframe requests and retransmission requests.
    fn write_wishes(&mut self, now: Instant, key: usize, buf: &mut [u8]) -> usize {
        let Some(endpoint) = self.endpoints.at(key) else {
            return 0;
        };
        let sender = endpoint.rtcp_ssrc();
        let mut at = 0;
        for id in &endpoint.tracks {
            let Some(track) = self.tracks.get_mut(id.0) else {
                continue;
            };
            for stream in &mut track.streams {
                let Some(media) = stream.ssrc() else { continue };
                let rest = buf.get_mut(at..).unwrap_or_default();
                if rest.len() < LEAST {
                    return at;
                }
                if stream.keyframe.take_due(now) {
                    at += rtcp::pli::write(rest, sender, media).unwrap_or(0);
                }
                let Some(rest) = buf.get_mut(at..).filter(|rest| rest.len() >= LEAST) else {
                    return at;
                };
                at += write_nack(now, stream, sender, rest, &mut self.lost);
            }
        }
        at
    }

    /// Transport-wide arrival times.
    fn write_arrivals(&mut self, now: Instant, key: usize, buf: &mut [u8]) -> usize {
        let Some(endpoint) = self.endpoints.at_mut(key) else {
            return 0;
        };
        if endpoint.arrivals.next_timeout().is_none_or(|due| due > now) || buf.len() < LEAST {
            return 0;
        }
        let media = self
            .endpoints
            .at(key)
            .and_then(|endpoint| media_ssrc(endpoint, self))
            .unwrap_or(Ssrc(0));
        let Some(endpoint) = self.endpoints.at_mut(key) else {
            return 0;
        };
        let sender = endpoint.rtcp_ssrc();
        let (base_seq, feedback_count, arrivals) = endpoint.arrivals.pending();
        let written = transport_cc::write(
            buf,
            &Feedback {
                sender,
                media,
                base_seq,
                feedback_count,
            },
            arrivals,
        );
        endpoint
            .arrivals
            .reported(written.map_or(0, |written| usize::from(written.packets)));
        written.map_or(0, |written| written.len)
    }
}

/// Once a second: lets go of packets that nobody will ask for.
fn expire(now: Instant, endpoint: &Endpoint, tracks: &mut Table<Track>) {
    let Some(limit) = now.checked_sub(history::MAX_AGE) else {
        return;
    };
    for id in &endpoint.tracks {
        if let Some(track) = tracks.get_mut(id.0) {
            track.streams.iter_mut().for_each(|stream| stream.expire(limit));
        }
    }
}

fn write_nack(now: Instant, stream: &mut Stream, sender: Ssrc, buf: &mut [u8], lost: &mut Vec<u16>) -> usize {
    if stream.loss.next_timeout().is_none_or(|due| due > now) {
        return 0;
    }
    let Some(media) = stream.ssrc() else { return 0 };
    stream.loss.take_due(now, lost);
    // What does not fit is asked for with the next try.
    rtcp::nack::write(buf, sender, media, lost.iter().copied()).map_or(0, |(len, _)| len)
}

/// Some SSRC of the endpoint's media, as transport-wide feedback must name one.
fn media_ssrc(endpoint: &Endpoint, router: &Router) -> Option<Ssrc> {
    let tracks = endpoint.tracks.iter().filter_map(|id| router.tracks.get(id.0));
    tracks.flat_map(|track| &track.streams).find_map(|stream| stream.ssrc())
}
