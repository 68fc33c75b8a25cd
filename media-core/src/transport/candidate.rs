//! ICE candidates as SDP writes them.
//!
//! RFC 8839 §5.1 (the attribute), RFC 6544 §4.5 (`tcptype`), RFC 8445 §5.1.2 (priority). Which candidates are tried,
//! and when, is not decided here.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use crate::transport::Protocol;

/// Longest candidate attribute that is read, in bytes; browsers write less than 200.
pub const MAX_CANDIDATE: usize = 1024;
/// Longest foundation (RFC 8839 §5.1), in bytes.
const MAX_FOUNDATION: usize = 32;
/// The port that an active TCP candidate shows (RFC 6544 §4.5): nobody connects to it.
const DISCARD_PORT: u16 = 9;

/// One way to reach a peer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Candidate {
    /// Candidates with the same kind, base and server share it; 1 to 32 letters.
    pub foundation: String,
    /// 1 for RTP, 2 for RTCP without multiplexing.
    pub component: u16,
    /// UDP or TCP.
    pub protocol: Protocol,
    /// The higher the better.
    pub priority: u32,
    /// Where.
    pub address: SocketAddr,
    /// How the address was found.
    pub kind: CandidateKind,
    /// What it was found from.
    pub related: Option<SocketAddr>,
    /// Who opens the connection; on TCP only.
    pub tcp_type: Option<TcpType>,
    /// To which ICE generation it belongs, if told.
    pub ufrag: Option<String>,
}

impl Candidate {
    /// A host candidate for `address`, the `index`-th of ours, lower is better.
    ///
    /// `tcp_type` counts on TCP only; an active one gets the port 9.
    #[must_use]
    pub fn host(protocol: Protocol, mut address: SocketAddr, index: u16, tcp_type: TcpType) -> Self {
        let tcp_type = (protocol == Protocol::Tcp).then_some(tcp_type);
        if tcp_type == Some(TcpType::Active) {
            address.set_port(DISCARD_PORT);
        }
        // RFC 8445 §5.1.2.1 and, for TCP, RFC 6544 §4.2: a host candidate of type preference 126, below it for TCP;
        // on TCP the direction takes the high bits of the local preference.
        let (preference, direction) = match tcp_type {
            None => (126, 7),
            Some(TcpType::Active) => (90, 6),
            Some(TcpType::Passive) => (90, 4),
            Some(TcpType::SimultaneousOpen) => (90, 2),
        };
        let local = (direction << 13) + u32::from(8191_u16.saturating_sub(index));
        let family = if address.is_ipv6() { 6 } else { 4 };
        let transport = if protocol == Protocol::Tcp { 1 } else { 0 };
        Self {
            foundation: format!("{family}{transport}{index}"),
            component: 1,
            protocol,
            priority: (preference << 24) + (local << 8) + 255,
            address,
            kind: CandidateKind::Host,
            related: None,
            tcp_type,
            ufrag: None,
        }
    }
}

impl FromStr for Candidate {
    type Err = CandidateError;

    /// Reads `candidate:…`, with or without `a=` in front; unknown extensions are skipped.
    fn from_str(text: &str) -> Result<Self, CandidateError> {
        use CandidateError::{Hostname, Malformed, MulticastDns, Transport};
        if text.len() > MAX_CANDIDATE {
            return Err(Malformed);
        }
        // Anything else would come back to the peer, or into a log, as it is.
        if !text.bytes().all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace()) {
            return Err(Malformed);
        }
        let text = text.trim_ascii();
        let text = text.strip_prefix("a=").unwrap_or(text);
        let mut words = text
            .strip_prefix("candidate:")
            .ok_or(Malformed)?
            .split_ascii_whitespace();
        let mut word = || words.next().ok_or(Malformed);

        let foundation = word()?;
        if foundation.len() > MAX_FOUNDATION {
            return Err(Malformed);
        }
        let component = word()?.parse().map_err(|_| Malformed)?;
        let transport = word()?;
        let priority = word()?.parse().map_err(|_| Malformed)?;
        let host = word()?;
        let port = word()?.parse().map_err(|_| Malformed)?;
        if word()? != "typ" {
            return Err(Malformed);
        }
        let kind = CandidateKind::parse(word()?).ok_or(Malformed)?;
        let protocol = match transport {
            _ if transport.eq_ignore_ascii_case("udp") => Protocol::Udp,
            _ if transport.eq_ignore_ascii_case("tcp") => Protocol::Tcp,
            _ => return Err(Transport),
        };
        let ip: IpAddr = host.parse().map_err(|_| {
            let local = host.len() >= 6
                && host
                    .get(host.len() - 6..)
                    .is_some_and(|end| end.eq_ignore_ascii_case(".local"));
            if local { MulticastDns } else { Hostname }
        })?;

        let (mut raddr, mut rport, mut tcp_type, mut ufrag) = (None, None, None, None);
        while let Some(name) = words.next() {
            let value = words.next().ok_or(Malformed)?;
            match name {
                // A browser hides it as a host name too; it is for diagnosis only.
                "raddr" => raddr = value.parse::<IpAddr>().ok(),
                "rport" => rport = Some(value.parse().map_err(|_| Malformed)?),
                "tcptype" => tcp_type = Some(TcpType::parse(value).ok_or(Malformed)?),
                "ufrag" => ufrag = Some(value.to_owned()),
                _ => {}
            }
        }
        if (protocol == Protocol::Tcp) != tcp_type.is_some() {
            return Err(Malformed);
        }
        Ok(Self {
            foundation: foundation.to_owned(),
            component,
            protocol,
            priority,
            address: SocketAddr::new(ip, port),
            kind,
            related: raddr.zip(rport).map(|(ip, port)| SocketAddr::new(ip, port)),
            tcp_type,
            ufrag,
        })
    }
}

impl fmt::Display for Candidate {
    /// Writes `candidate:…`, the value of the attribute.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = if self.protocol == Protocol::Tcp { "tcp" } else { "udp" };
        let (ip, port) = (self.address.ip(), self.address.port());
        write!(
            f,
            "candidate:{} {} {protocol} {} ",
            self.foundation, self.component, self.priority
        )?;
        write!(f, "{ip} {port} typ {}", self.kind)?;
        if let Some(related) = self.related {
            write!(f, " raddr {} rport {}", related.ip(), related.port())?;
        }
        if let Some(tcp_type) = self.tcp_type {
            write!(f, " tcptype {tcp_type}")?;
        }
        if let Some(ufrag) = &self.ufrag {
            write!(f, " ufrag {ufrag}")?;
        }
        Ok(())
    }
}

/// How an address was found (RFC 8445 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CandidateKind {
    /// On an interface.
    Host,
    /// By asking a STUN server.
    ServerReflexive,
    /// By a check of the peer.
    PeerReflexive,
    /// On a TURN server.
    Relayed,
}

impl CandidateKind {
    fn parse(value: &str) -> Option<Self> {
        match value {
            "host" => Some(Self::Host),
            "srflx" => Some(Self::ServerReflexive),
            "prflx" => Some(Self::PeerReflexive),
            "relay" => Some(Self::Relayed),
            _ => None,
        }
    }
}

impl fmt::Display for CandidateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "host",
            Self::ServerReflexive => "srflx",
            Self::PeerReflexive => "prflx",
            Self::Relayed => "relay",
        })
    }
}

/// Who opens a TCP connection (RFC 6544 §4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TcpType {
    /// The owner of the candidate connects.
    Active,
    /// The owner of the candidate listens.
    Passive,
    /// Both connect at once.
    SimultaneousOpen,
}

impl TcpType {
    fn parse(value: &str) -> Option<Self> {
        match value {
            "active" => Some(Self::Active),
            "passive" => Some(Self::Passive),
            "so" => Some(Self::SimultaneousOpen),
            _ => None,
        }
    }
}

impl fmt::Display for TcpType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::SimultaneousOpen => "so",
        })
    }
}

/// Why a candidate is not used. Only [`Self::Malformed`] is the peer's fault: skip the others without a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CandidateError {
    /// Not the syntax of RFC 8839 §5.1.
    Malformed,
    /// A `.local` name that hides a private address; it cannot be resolved here, checks from it are answered anyway.
    MulticastDns,
    /// A host name; names are not resolved.
    Hostname,
    /// Neither UDP nor TCP.
    Transport,
}

impl fmt::Display for CandidateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "not an ICE candidate",
            Self::MulticastDns => "the candidate hides its address behind an mDNS name",
            Self::Hostname => "the candidate has a host name instead of an address",
            Self::Transport => "the candidate is neither UDP nor TCP",
        })
    }
}

impl std::error::Error for CandidateError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LINES: [&str; 5] = [
        "candidate:1 1 udp 2113929471 203.0.113.100 10100 typ host",
        "candidate:842163049 1 udp 1677729535 2001:db8::7 46154 typ srflx raddr 10.0.0.1 rport 46154",
        "candidate:3 1 tcp 1518280447 192.0.2.7 9 typ host tcptype active",
        "candidate:a/+ 2 tcp 1518280447 192.0.2.7 443 typ relay raddr :: rport 9 tcptype passive ufrag abcd",
        "candidate:4 1 tcp 1 192.0.2.7 443 typ prflx tcptype so",
    ];

    #[test]
    fn reads_what_it_prints() {
        for line in LINES {
            let candidate: Candidate = line.parse().unwrap();
            assert_eq!(candidate.to_string(), line);
            assert_eq!(
                format!("a={line} generation 0 network-cost 50").parse(),
                Ok(candidate),
                "{line}"
            );
        }
    }

    #[test]
    fn truncated_lines_are_no_other_candidates() {
        for line in LINES {
            for end in 0..line.len() {
                if let Ok(candidate) = line[..end].parse::<Candidate>() {
                    assert!(
                        line.starts_with(&candidate.to_string()) || candidate.related.is_none(),
                        "{end} of {line}"
                    );
                }
            }
        }
    }

    #[test]
    fn tells_why_a_candidate_is_not_used() {
        let table = [
            (
                "candidate:1 1 udp 1 0b3c.LOCAL 5000 typ host",
                CandidateError::MulticastDns,
            ),
            (
                "candidate:1 1 udp 1 example.com 5000 typ host",
                CandidateError::Hostname,
            ),
            (
                "candidate:1 1 sctp 1 192.0.2.1 5000 typ host",
                CandidateError::Transport,
            ),
            ("candidate:1 1 tcp 1 192.0.2.1 5000 typ host", CandidateError::Malformed),
            (
                "candidate:1 1 udp 1 192.0.2.1 5000 typ host ufrag abcd\u{b}",
                CandidateError::Malformed,
            ),
            (
                "candidate:1 1 udp 1 192.0.2.1 50000000 typ host",
                CandidateError::Malformed,
            ),
            (
                "candidate:1 1 udp 1 192.0.2.1 5000 typ wormhole",
                CandidateError::Malformed,
            ),
            ("", CandidateError::Malformed),
        ];
        for (line, error) in table {
            assert_eq!(line.parse::<Candidate>(), Err(error), "{line}");
        }
    }

    #[test]
    fn host_candidates_rank_udp_over_tcp_and_the_first_over_the_next() {
        let address = "192.0.2.1:7881".parse().unwrap();
        let udp = Candidate::host(Protocol::Udp, address, 0, TcpType::Passive);
        let second = Candidate::host(Protocol::Udp, address, 1, TcpType::Passive);
        let tcp = Candidate::host(Protocol::Tcp, address, 0, TcpType::Passive);
        let active = Candidate::host(Protocol::Tcp, address, 0, TcpType::Active);
        assert!(udp.priority > second.priority && second.priority > tcp.priority);
        assert_eq!((udp.tcp_type, tcp.tcp_type), (None, Some(TcpType::Passive)));
        assert_eq!((tcp.address.port(), active.address.port()), (7881, 9));
        assert_eq!(tcp.to_string().parse(), Ok(tcp));
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,80}", line in 0..LINES.len(), at in 0usize..80) {
            let _ = text.parse::<Candidate>();
            let mut mixed: String = LINES[line].chars().take(at).collect();
            mixed.push_str(&text);
            let _ = mixed.parse::<Candidate>();
        }
    }
}
