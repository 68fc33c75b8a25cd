//! The full part: the agent of the crate `is`, with our addresses and bounds around it.
//!
//! The agent speaks in advertised addresses, routes in those of our sockets: this file translates. It also stops a
//! peer from filling the agent's lists, which have no bounds of their own.

use std::net::SocketAddr;
use std::time::Instant;

use is::stun::{StunMessage, StunPacket};
use is::{CandidateKind as AgentKind, IceAgent, IceAgentEvent, IceConnectionState};
use smallvec::SmallVec;

use super::{Locals, Path, StunHmac};
use crate::config::LocalAddress;
use crate::event::Transmit;
use crate::stats::DropReason;
use crate::transport::{Candidate, CandidateKind, IceCreds, Protocol, RemoteDescription, Route, TcpType};

/// Candidates that the peer may tell between two ICE restarts; more are ignored.
pub(in crate::transport) const MAX_REMOTE_CANDIDATES: usize = 32;
/// Addresses under which the peer may claim to see us; answers with more are dropped.
const MAX_MAPPED: usize = 8;

#[derive(Debug)]
pub(in crate::transport) struct Full {
    agent: IceAgent,
    creds: IceCreds,
    local: Locals,
    pub(super) path: Path,
    remote_candidates: usize,
    mapped: SmallVec<[SocketAddr; 2]>,
    deadline: Option<Instant>,
}

impl Full {
    pub(super) fn new(now: Instant, creds: IceCreds, controlling: bool, local: &[LocalAddress]) -> Self {
        let mut agent = IceAgent::with_hmac(agent_creds(&creds), &StunHmac);
        agent.set_controlling(controlling);
        for address in local {
            if let Ok(candidate) = is::Candidate::host(address.advertised, agent_protocol(address.protocol)) {
                agent.add_local_candidate(candidate);
            }
        }
        let mut full = Self {
            agent,
            creds,
            local: Locals::from_slice(local),
            path: Path::default(),
            remote_candidates: 0,
            mapped: SmallVec::new(),
            deadline: None,
        };
        full.handle_timeout(now);
        full
    }

    pub(super) fn creds(&self) -> &IceCreds {
        &self.creds
    }

    pub(super) fn candidates(&self) -> Vec<Candidate> {
        let candidate = |(index, local): (u16, &LocalAddress)| {
            Candidate::host(local.protocol, local.advertised, index, TcpType::Active)
        };
        (0..).zip(&self.local).map(candidate).collect()
    }

    pub(super) fn set_remote(&mut self, now: Instant, remote: &RemoteDescription) {
        if remote.ice_lite {
            self.agent.set_controlling(true);
        }
        self.agent.set_remote_credentials(agent_creds(&remote.ice));
        self.path.started.get_or_insert(now);
        self.handle_timeout(now);
    }

    pub(super) fn add_remote_candidate(&mut self, now: Instant, candidate: &Candidate) {
        // An active candidate has no port: its owner connects to us.
        let reachable = matches!(candidate.tcp_type, None | Some(TcpType::Passive));
        if !reachable || candidate.component != 1 || self.remote_candidates >= MAX_REMOTE_CANDIDATES {
            return;
        }
        self.remote_candidates += 1;
        self.agent.add_remote_candidate(is::Candidate::from_parts(
            candidate.foundation.clone(),
            candidate.component,
            agent_protocol(candidate.protocol),
            candidate.priority,
            candidate.address,
            agent_kind(candidate.kind),
            candidate.related,
            None,
            candidate.ufrag.clone(),
        ));
        self.handle_timeout(now);
    }

    pub(super) fn restart(&mut self, now: Instant, creds: IceCreds) {
        self.agent.ice_restart(agent_creds(&creds), true);
        self.creds = creds;
        self.remote_candidates = 0;
        self.path.checked.retain(|route| self.path.nominated == Some(*route));
        self.handle_timeout(now);
    }

    pub(super) fn handle_stun(&mut self, now: Instant, route: Route, datagram: &[u8]) -> Result<(), DropReason> {
        let message = StunMessage::parse(datagram).map_err(|_| DropReason::StunRejected)?;
        if !self.agent.accepts_message(&message) {
            return Err(DropReason::StunRejected);
        }
        let is_answer = message.is_successful_binding_response();
        if let Some(mapped) = message.mapped_address().filter(|_| is_answer)
            && !self.mapped.contains(&mapped)
        {
            if self.mapped.len() >= MAX_MAPPED {
                return Err(DropReason::LimitReached);
            }
            self.mapped.push(mapped);
        }
        self.path.check(route)?;
        let (proto, source) = (agent_protocol(route.protocol), route.remote);
        let destination = self.advertised(route.protocol, route.local);
        self.agent.handle_packet(
            now,
            StunPacket {
                proto,
                source,
                destination,
                message,
            },
        );
        if is_answer {
            self.path.on_sign_of_life(now);
        }
        self.handle_timeout(now);
        Ok(())
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.agent.handle_timeout(now);
        while let Some(event) = self.agent.poll_event() {
            match event {
                IceAgentEvent::NominatedSend {
                    proto,
                    source,
                    destination,
                } => {
                    let protocol = our_protocol(proto);
                    let local = self.socket(protocol, source);
                    self.path.nominate(Route {
                        protocol,
                        local,
                        remote: destination,
                    });
                }
                // The agent gives up sooner than consent does, and comes back when it can: not our verdict.
                IceAgentEvent::IceConnectionStateChange(
                    IceConnectionState::Disconnected | IceConnectionState::New | IceConnectionState::Checking,
                )
                | IceAgentEvent::IceConnectionStateChange(_)
                | IceAgentEvent::IceRestart(_)
                | IceAgentEvent::DiscoveredRecv { .. } => {}
            }
        }
        self.deadline = self.agent.poll_timeout();
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    pub(super) fn poll_transmit(&mut self, buf: &mut [u8]) -> Option<Transmit> {
        while let Some(transmit) = self.agent.poll_transmit() {
            let protocol = our_protocol(transmit.proto);
            let local = self.socket(protocol, transmit.source);
            if let Some(space) = buf.get_mut(..transmit.contents.len()) {
                space.copy_from_slice(&transmit.contents);
                return Some(Transmit {
                    route: Route {
                        protocol,
                        local,
                        remote: transmit.destination,
                    },
                    len: transmit.contents.len(),
                });
            }
        }
        self.deadline = self.agent.poll_timeout();
        None
    }

    fn advertised(&self, protocol: Protocol, socket: SocketAddr) -> SocketAddr {
        let ours = self
            .local
            .iter()
            .find(|local| local.protocol == protocol && local.socket == socket);
        ours.map_or(socket, |local| local.advertised)
    }

    fn socket(&self, protocol: Protocol, advertised: SocketAddr) -> SocketAddr {
        let ours = self
            .local
            .iter()
            .find(|local| local.protocol == protocol && local.advertised == advertised);
        ours.map_or(advertised, |local| local.socket)
    }
}

fn agent_creds(creds: &IceCreds) -> is::IceCreds {
    is::IceCreds {
        ufrag: creds.ufrag.clone(),
        pass: creds.pwd.clone(),
    }
}

fn agent_protocol(protocol: Protocol) -> is::Protocol {
    match protocol {
        Protocol::Udp => is::Protocol::Udp,
        Protocol::Tcp => is::Protocol::Tcp,
    }
}

fn our_protocol(protocol: is::Protocol) -> Protocol {
    match protocol {
        is::Protocol::Udp => Protocol::Udp,
        is::Protocol::Tcp | is::Protocol::SslTcp | is::Protocol::Tls => Protocol::Tcp,
    }
}

fn agent_kind(kind: CandidateKind) -> AgentKind {
    match kind {
        CandidateKind::Host => AgentKind::Host,
        CandidateKind::ServerReflexive => AgentKind::ServerReflexive,
        CandidateKind::PeerReflexive => AgentKind::PeerReflexive,
        CandidateKind::Relayed => AgentKind::Relayed,
    }
}
