//! WHIP and WHEP (RFC 9725, draft-ietf-wish-whep), as much as the load needs: one request on a connection, one request
//! at a time, nobody is asked for a token.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use str0m::change::SdpOffer;
use str0m::{Candidate, RtcConfig};

use crate::peer::{Peer, Role};

/// Longest request, in bytes.
const MAX_REQUEST: usize = 64 * 1024;
/// How long one read or write may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// What the loop is told.
pub(crate) enum Change {
    /// Somebody comes.
    Join(Box<Peer>),
    /// The session with this number ends.
    Leave(u64),
}

/// Answers requests until the loop is gone. `media`: where the media socket is.
pub(crate) fn serve(listener: &TcpListener, media: SocketAddr, changes: &Sender<Change>) {
    let mut sessions = 0;
    for stream in listener.incoming().flatten() {
        // Who does not speak HTTP, or hangs up, gets no answer.
        let _ = exchange(stream, |method, path, body| {
            let mut words = path.trim_start_matches('/').split('/');
            let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let role = match (method, first) {
                ("POST", "whip") => Role::Publisher,
                ("POST", "whep") => Role::Watcher,
                ("DELETE", "session") => {
                    let _ = second.parse().map(|id| changes.send(Change::Leave(id)));
                    return "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned();
                }
                _ => return "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned(),
            };
            sessions += 1;
            match negotiate(sessions, role, second, body, media) {
                Ok((peer, answer)) => {
                    // Before the answer: the peer's first datagram may come as soon as it has that.
                    let _ = changes.send(Change::Join(Box::new(peer)));
                    format!(
                        "HTTP/1.1 201 Created\r\ncontent-type: application/sdp\r\nlocation: /session/{sessions}\r\n\
                         content-length: {}\r\n\r\n{answer}",
                        answer.len()
                    )
                }
                Err(problem) => format!(
                    "HTTP/1.1 400 Bad Request\r\ncontent-length: {}\r\n\r\n{problem}",
                    problem.len()
                ),
            }
        });
    }
}

fn negotiate(id: u64, role: Role, room: &str, offer: &str, media: SocketAddr) -> Result<(Peer, String), String> {
    let offer = SdpOffer::from_sdp_string(offer).map_err(|error| error.to_string())?;
    let config = RtcConfig::new().set_rtp_mode(true).set_ice_lite(true);
    let mut rtc = config.clear_codecs().enable_vp8(true).build(Instant::now());
    rtc.add_local_candidate(Candidate::host(media, "udp").map_err(|error| error.to_string())?);
    let answer = rtc.sdp_api().accept_offer(offer).map_err(|error| error.to_string())?;
    Ok((Peer::new(id, role, room.to_owned(), rtc), answer.to_sdp_string()))
}

/// Reads a request, writes what `answer` says to its method, path and body.
fn exchange(mut stream: TcpStream, answer: impl FnOnce(&str, &str, &str) -> String) -> io::Result<()> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text
            .split_once("\r\n\r\n")
            .filter(|(head, body)| body.len() >= body_len(head))
        {
            let mut words = head.split(' ');
            let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            return stream.write_all(answer(method, path, body).as_bytes());
        }
        let mut some = [0; 4096];
        let len = stream.read(&mut some)?;
        bytes.extend(some.iter().take(len));
        if len == 0 || bytes.len() > MAX_REQUEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

fn body_len(head: &str) -> usize {
    let mut headers = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let length = headers.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    length
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or_default()
}
