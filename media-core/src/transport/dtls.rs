//! The handshake that gives both ends their SRTP keys: dimpl, with the peer's certificate checked.
//!
//! RFC 9147 and RFC 6347 (DTLS), RFC 5764 (DTLS-SRTP), RFC 8842 (roles and fingerprints).
//!
//! ```text
//! server  1  the peer's first flight, until its hello is whole (client_hello.rs chooses the version)
//!         2  handshake: certificate checked when it comes, keys when both ends have finished
//! client  1  start, when ICE has a path
//!         2  the same
//! both    3  running: application data (SCTP for data channels) both ways, until a close_notify
//!         4  over
//! ```

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use dimpl::{Output, ProtocolVersion};

use crate::stats::DropReason;
use crate::transport::certificate::Certificate;
use crate::transport::client_hello::{FirstFlight, Verdict};
use crate::transport::srtp::MasterKey;
use crate::transport::{DtlsVersion, Fingerprint, SrtpProfile};

/// Datagrams of ours that wait to be sent; a flight has about three. More are dropped, the timer repeats them.
const MAX_WAITING: usize = 16;
/// Packets of application data in one datagram that are looked at; no peer packs two into one.
const MAX_RECEIVED: usize = 16;
/// Largest output of dimpl: a certificate, or a record, in bytes.
const SCRATCH: usize = 4096;

#[derive(Debug)]
pub(super) struct Dtls {
    state: State,
    certificate: Certificate,
    /// The highest version that we speak.
    highest: DtlsVersion,
    fingerprint: Fingerprint,
    waiting: VecDeque<Vec<u8>>,
    /// Application data of the peer.
    received: VecDeque<Bytes>,
    deadline: Option<Instant>,
    version: Option<DtlsVersion>,
}

#[derive(Debug)]
enum State {
    /// Client before it has a path.
    Idle,
    /// Server before the hello is whole.
    Listening(FirstFlight),
    Handshake(Box<Handshake>),
    Running(Box<dimpl::Dtls>),
    Over,
}

#[derive(Debug)]
struct Handshake {
    engine: dimpl::Dtls,
    is_client: bool,
    verified: bool,
    finished: bool,
    keys: Option<SessionKeys>,
}

/// What a handshake ends with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DtlsEvent {
    /// Both ends have finished, the certificate is the one that was told.
    Keys(SessionKeys),
    /// No keys, or no more: wrong certificate, no common profile, an alert, a timeout.
    Failed,
    /// The peer has closed.
    Closed,
}

/// The master keys of both directions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SessionKeys {
    pub(super) ours: MasterKey,
    pub(super) theirs: MasterKey,
}

impl Dtls {
    pub(super) fn new(certificate: &Certificate, highest: DtlsVersion, is_client: bool, peer: Fingerprint) -> Self {
        Self {
            state: if is_client {
                State::Idle
            } else {
                State::Listening(FirstFlight::default())
            },
            certificate: certificate.clone(),
            highest,
            fingerprint: peer,
            waiting: VecDeque::new(),
            received: VecDeque::new(),
            deadline: None,
            version: None,
        }
    }

    /// The certificate that the peer must show.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    pub(super) fn version(&self) -> Option<DtlsVersion> {
        self.version
    }

    /// There is a path: a client sends its hello. Harmless when called again.
    pub(super) fn start(&mut self, now: Instant) -> Option<DtlsEvent> {
        if !matches!(self.state, State::Idle) {
            return None;
        }
        let mut engine = self.engine(now, self.highest);
        engine.set_active(true);
        self.begin(now, engine, true, &[])
    }

    /// Takes a datagram of the peer.
    ///
    /// # Errors
    /// [`DropReason::DtlsRejected`] when it means nothing here.
    pub(super) fn handle(&mut self, now: Instant, datagram: &[u8]) -> Result<Option<DtlsEvent>, DropReason> {
        let result = match &mut self.state {
            State::Idle | State::Over => return Err(DropReason::DtlsRejected),
            State::Listening(flight) => match flight.push(datagram) {
                Verdict::NotHello => return Err(DropReason::DtlsRejected),
                Verdict::Wait => return Ok(None),
                Verdict::Start(version, datagrams) => {
                    let engine = self.engine(now, version.min(self.highest));
                    return Ok(self.begin(now, engine, false, &datagrams));
                }
            },
            State::Handshake(handshake) => {
                let undecided = handshake.is_client && handshake.engine.protocol_version().is_none();
                match step(&mut handshake.engine, now, Some(datagram)) {
                    // Before a server has answered, dimpl takes any other datagram for the end of the world.
                    Err(_) if undecided && handshake.engine.protocol_version().is_none() => {
                        return Err(DropReason::DtlsRejected);
                    }
                    result => result,
                }
            }
            State::Running(engine) => step(engine, now, Some(datagram)),
        };
        Ok(self.after(result))
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<DtlsEvent> {
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return None;
        }
        let result = match &mut self.state {
            State::Handshake(handshake) => step(&mut handshake.engine, now, None),
            State::Running(engine) => step(engine, now, None),
            State::Idle | State::Listening(_) | State::Over => Ok(()),
        };
        self.after(result)
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.deadline
    }

    /// Writes the next datagram; its length. One that does not fit is dropped.
    pub(super) fn poll_transmit(&mut self, buf: &mut [u8]) -> Option<usize> {
        loop {
            let datagram = self.waiting.pop_front()?;
            if let Some(space) = buf.get_mut(..datagram.len()) {
                space.copy_from_slice(&datagram);
                return Some(datagram.len());
            }
        }
    }

    /// Application data of the peer, from the datagrams handled so far.
    pub(super) fn receive(&mut self) -> Option<Bytes> {
        self.received.pop_front()
    }

    /// Encrypts application data: one datagram, in the queue. Lost when there is no session, or no room.
    pub(super) fn send(&mut self, now: Instant, data: &[u8]) -> Option<DtlsEvent> {
        let State::Running(engine) = &mut self.state else {
            return None;
        };
        let result = engine
            .handle_timeout(now)
            .and_then(|()| engine.send_application_data(data).map(|_| ()));
        self.after(result)
    }

    /// Says close_notify when there is a session, and is over.
    pub(super) fn close(&mut self, now: Instant) {
        if let State::Running(engine) = &mut self.state
            && engine.handle_timeout(now).is_ok()
            && engine.close().is_ok()
        {
            self.drain();
        }
        self.end();
    }

    fn end(&mut self) {
        self.state = State::Over;
        self.deadline = None;
        self.received = VecDeque::new();
    }

    fn engine(&self, now: Instant, highest: DtlsVersion) -> dimpl::Dtls {
        let (config, certificate) = (self.certificate.config(), self.certificate.dtls());
        match highest {
            DtlsVersion::V1_2 => dimpl::Dtls::new_12(config, certificate, now),
            DtlsVersion::V1_3 => dimpl::Dtls::new_auto(config, certificate, now),
        }
    }

    fn begin(&mut self, now: Instant, engine: dimpl::Dtls, is_client: bool, input: &[Vec<u8>]) -> Option<DtlsEvent> {
        let mut handshake = Handshake {
            engine,
            is_client,
            verified: false,
            finished: false,
            keys: None,
        };
        let mut result = step(&mut handshake.engine, now, None);
        for datagram in input {
            result = result.and_then(|()| step(&mut handshake.engine, now, Some(datagram)));
        }
        self.state = State::Handshake(Box::new(handshake));
        self.after(result)
    }

    /// Takes what the engine has to say after a step.
    fn after(&mut self, result: Result<(), dimpl::Error>) -> Option<DtlsEvent> {
        let event = self.drain().or_else(|| result.is_err().then_some(DtlsEvent::Failed));
        if matches!(event, Some(DtlsEvent::Failed | DtlsEvent::Closed)) {
            self.end();
        }
        event
    }

    /// Drains the engine: datagrams into the queue, the rest looked at.
    fn drain(&mut self) -> Option<DtlsEvent> {
        let mut scratch = [0; SCRATCH];
        let mut ended = None;
        loop {
            let (engine, mut handshake) = match &mut self.state {
                State::Handshake(handshake) => {
                    let Handshake {
                        engine,
                        is_client,
                        verified,
                        finished,
                        keys,
                    } = &mut **handshake;
                    (engine, Some((*is_client, verified, finished, keys)))
                }
                State::Running(engine) => (&mut **engine, None),
                State::Idle | State::Listening(_) | State::Over => return None,
            };
            let output = engine.poll_output(&mut scratch);
            match output {
                Output::Packet(datagram) if self.waiting.len() < MAX_WAITING => {
                    self.waiting.push_back(datagram.to_vec());
                }
                Output::PeerCert(certificate) => {
                    if let Some((_, verified, ..)) = &mut handshake {
                        **verified = self.fingerprint.matches(certificate);
                        if !**verified {
                            ended = Some(DtlsEvent::Failed);
                        }
                    }
                }
                Output::KeyingMaterial(material, profile) => {
                    if let Some((is_client, _, _, keys)) = &mut handshake {
                        **keys = session_keys(*is_client, profile, &material);
                    }
                }
                Output::Connected => {
                    if let Some((_, _, finished, _)) = &mut handshake {
                        **finished = true;
                    }
                }
                Output::ApplicationData(data) if self.received.len() < MAX_RECEIVED => {
                    let trusted = handshake.is_none_or(|(_, verified, ..)| *verified);
                    if trusted {
                        self.received.push_back(Bytes::copy_from_slice(data));
                    }
                }
                Output::CloseNotify => ended = ended.or(Some(DtlsEvent::Closed)),
                Output::Timeout(at) => {
                    self.deadline = Some(at);
                    break;
                }
                // Larger than any certificate or record that a media peer needs.
                Output::BufferTooSmall { .. } => {
                    ended = Some(DtlsEvent::Failed);
                    break;
                }
                _ => {}
            }
        }
        ended.or_else(|| self.finish())
    }

    /// Leaves the handshake when it has all that is needed.
    fn finish(&mut self) -> Option<DtlsEvent> {
        let State::Handshake(handshake) = &mut self.state else {
            return None;
        };
        self.version = match handshake.engine.protocol_version() {
            Some(ProtocolVersion::DTLS1_2) => Some(DtlsVersion::V1_2),
            Some(ProtocolVersion::DTLS1_3) => Some(DtlsVersion::V1_3),
            _ => None,
        };
        if !handshake.finished {
            return None;
        }
        let State::Handshake(handshake) = std::mem::replace(&mut self.state, State::Over) else {
            return None;
        };
        match handshake.keys.filter(|_| handshake.verified) {
            Some(keys) => {
                self.state = State::Running(Box::new(handshake.engine));
                Some(DtlsEvent::Keys(keys))
            }
            // No certificate, or no profile in common.
            None => Some(DtlsEvent::Failed),
        }
    }
}

/// Tells the engine the time, then gives it a datagram.
fn step(engine: &mut dimpl::Dtls, now: Instant, datagram: Option<&[u8]>) -> Result<(), dimpl::Error> {
    engine.handle_timeout(now)?;
    datagram.map_or(Ok(()), |datagram| engine.handle_packet(datagram))
}

fn session_keys(is_client: bool, profile: dimpl::SrtpProfile, material: &[u8]) -> Option<SessionKeys> {
    let profile = match profile {
        dimpl::SrtpProfile::AEAD_AES_128_GCM => SrtpProfile::AeadAes128Gcm,
        dimpl::SrtpProfile::AEAD_AES_256_GCM => SrtpProfile::AeadAes256Gcm,
        dimpl::SrtpProfile::AES128_CM_SHA1_80 => SrtpProfile::Aes128CmSha1_80,
        _ => return None,
    };
    let (client, server) = MasterKey::from_dtls(profile, material)?;
    Some(if is_client {
        SessionKeys {
            ours: client,
            theirs: server,
        }
    } else {
        SessionKeys {
            ours: server,
            theirs: client,
        }
    })
}
