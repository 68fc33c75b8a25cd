//! Participants that come in by no door of ours: plain RTP, a file that is played, a bridge to another system.
//!
//! The caller says how they are reached and what they send; they are shown, watched and muted like all others. What they
//! receive is not arranged here.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::{Arc, Weak};
use std::time::Instant;

use althing_media_core::config::{EndpointId, TrackConfig, TrackId};
use althing_media_core::{EndpointConfig, Router, UsageError};
use althing_media_net::{CommandError, Worker};

use crate::hub::Hub;
use crate::problem::Problem;
use crate::room::{ConnectionId, Departure, NewTrack, Profile, Source, TrackDetails};
use crate::sdp::CodecSpec;

/// One transport of a guest, and what comes in on it.
#[derive(Debug, Clone)]
pub struct GuestTransport {
    /// How it is reached.
    pub endpoint: EndpointConfig,
    /// What it sends, and what each track is coded with.
    pub tracks: Vec<(TrackConfig, CodecSpec)>,
}

/// A guest in a room, who leaves when this is dropped. Sockets that were opened for them stay open.
pub struct Guest {
    hub: Weak<Hub>,
    room: String,
    connections: Vec<ConnectionId>,
}

/// Why a guest is not let in.
#[derive(Debug)]
#[non_exhaustive]
pub enum GuestError {
    /// The room, or the server, says no; in one sentence.
    Refused(String),
    /// What the caller opens for them cannot be opened.
    Io(io::Error),
}

impl fmt::Display for GuestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(sentence) => f.write_str(sentence),
            Self::Io(error) => write!(f, "{error}"),
        }
    }
}

impl Error for GuestError {}

impl From<Problem> for GuestError {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem.sentence)
    }
}

/// Lets a guest in. `open` is called with the worker of the room, so that it can open sockets there.
pub(crate) async fn admit(
    hub: &Arc<Hub>,
    room: &str,
    profile: &Profile,
    open: impl FnOnce(&Worker<Router>) -> io::Result<Vec<GuestTransport>>,
) -> Result<Guest, GuestError> {
    let (mut connection, worker) = hub.join(room, profile)?;
    let mut guest = Guest {
        hub: Arc::downgrade(hub),
        room: room.to_owned(),
        connections: vec![connection],
    };
    for (index, transport) in open(&worker).map_err(GuestError::Io)?.into_iter().enumerate() {
        if index > 0 {
            connection = hub.join(room, profile)?.0;
            guest.connections.push(connection);
        }
        let codecs: Vec<CodecSpec> = transport.tracks.iter().map(|(_, codec)| *codec).collect();
        let added = worker
            .ask(move |router, now| add(router, now, &transport))
            .map_err(Problem::from)?;
        let added = added.await.map_err(CommandError::from).map_err(Problem::from)?;
        let (endpoint, tracks) = added.map_err(Problem::from)?;
        if !hub.adopt(room, connection, endpoint) {
            let _ = worker.run(move |router, now| router.remove_endpoint(now, endpoint));
            return Err(GuestError::Refused("The room was closed meanwhile.".to_owned()));
        }
        let published = hub.with_room(room, |room| {
            for (id, codec) in tracks.into_iter().zip(codecs) {
                let source = Source::of(codec.codec.kind(), false);
                let rids = Vec::new();
                room.publish(
                    connection,
                    NewTrack {
                        id,
                        source,
                        codec,
                        rids,
                        sid: None,
                        muted: false,
                        details: TrackDetails::default(),
                    },
                )?;
            }
            // A door that nobody uses yet is there all the same: no time is set for the first packet.
            room.on_connected(endpoint);
            Ok(())
        });
        published
            .unwrap_or(Ok(()))
            .map_err(|error: crate::room::PublishError| GuestError::from(Problem::from(error)))?;
    }
    Ok(guest)
}

fn add(
    router: &mut Router,
    now: Instant,
    transport: &GuestTransport,
) -> Result<(EndpointId, Vec<TrackId>), UsageError> {
    let endpoint = router.add_endpoint(now, transport.endpoint.clone())?;
    let tracks = transport
        .tracks
        .iter()
        .map(|(track, _)| router.add_track(now, endpoint, track));
    match tracks.collect() {
        Ok(tracks) => Ok((endpoint, tracks)),
        Err(error) => {
            router.remove_endpoint(now, endpoint);
            Err(error)
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if let Some(hub) = self.hub.upgrade() {
            for connection in self.connections.drain(..) {
                hub.with_room(&self.room, |room| room.leave(connection, Departure::Left));
            }
        }
    }
}

impl fmt::Debug for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guest")
            .field("room", &self.room)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}
