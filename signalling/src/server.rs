//! The whole of signalling as one value: give it media workers, mount its router anywhere.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use althing_media_core::Router as MediaRouter;
use althing_media_core::event::Event;
use althing_media_net::{EventSink, LocalPeer, Worker};
use axum::http::{HeaderMap, StatusCode};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::egress::{EgressJob, EgressOrder};
use crate::guest::{self, Guest, GuestError, GuestTransport};
use crate::http;
use crate::hub::{Hub, LISTEN, unix_now};
use crate::insider::{self, Insider};
use crate::problem::Problem;
use crate::protocol::wire::proto;
use crate::room::{Profile, RoomLimits};
use crate::sdp::Codecs;
use crate::token::{Claims, Keys};
use crate::webhook::{Figures, Receivers, Webhooks};

/// How often it is looked for what has not connected in time.
const SWEEP: Duration = Duration::from_secs(1);

/// Data messages and new data channels that wait for signalling, in bytes; twice as much with the ends of channels.
const MAX_WAITING_DATA: usize = 16 * 1024 * 1024;

/// What signalling is told.
#[derive(Debug, Clone)]
pub struct SignallingConfig {
    /// The keys that may sign access tokens.
    pub keys: Keys,
    /// The codecs that are let through.
    pub codecs: Codecs,
    /// Rooms at a time.
    pub max_rooms: usize,
    /// How much one room holds.
    pub limits: RoomLimits,
    /// Who is told what happens in rooms.
    pub webhooks: Option<Receivers>,
}

impl Default for SignallingConfig {
    /// No keys: nobody comes in. All codecs, 1000 rooms, no webhooks.
    fn default() -> Self {
        Self {
            keys: Keys::default(),
            codecs: Codecs::default(),
            max_rooms: 1000,
            limits: RoomLimits::default(),
            webhooks: None,
        }
    }
}

/// Events of the media routers on their way to signalling. Made first, because the workers want the other end.
#[derive(Debug)]
pub struct EventQueue {
    receiver: UnboundedReceiver<(usize, Event)>,
    /// Bytes of data messages in it.
    waiting: Arc<AtomicUsize>,
}

/// Both ends of the way from the media workers: the sink for [`althing_media_net::NetConfig::events`], the queue for
/// [`Signalling::start`]. The sink never blocks. Only events that signalling uses are queued: two for each endpoint, and
/// what peers can send as much of as they like (data messages, opening and closing data channels) up to 32 MiB together.
/// More are dropped.
#[must_use]
pub fn event_queue() -> (EventSink, EventQueue) {
    let (sender, receiver): (UnboundedSender<(usize, Event)>, _) = unbounded_channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let counted = waiting.clone();
    let sink = move |worker: usize, event: Event| {
        let waiting = counted.load(Ordering::Relaxed);
        let used = match &event {
            Event::DataReceived { .. } | Event::DataChannelOpened { .. } => waiting < MAX_WAITING_DATA,
            // Only what is known to be open can be told to be closed, so that less is lost by that.
            Event::DataChannelClosed { .. } => waiting < 2 * MAX_WAITING_DATA,
            Event::Connected { .. } | Event::Disconnected { .. } => true,
            _ => false,
        };
        if used {
            counted.fetch_add(weight(&event), Ordering::Relaxed);
            // Nobody listens when signalling has ended before the workers.
            let _ = sender.send((worker, event));
        }
    };
    (Arc::new(sink), EventQueue { receiver, waiting })
}

/// What a waiting event costs, in bytes; only what a peer can send at will is counted.
fn weight(event: &Event) -> usize {
    match event {
        Event::DataReceived { data, .. } => data.len() + 256,
        Event::DataChannelOpened { config, .. } => config.label.len() + config.protocol.len() + 256,
        Event::DataChannelClosed { .. } => 256,
        _ => 0,
    }
}

/// Rooms, tokens, WHIP and WHEP over the given media workers. Cheap to clone; clones are the same.
#[derive(Clone)]
pub struct Signalling {
    hub: Arc<Hub>,
}

impl Signalling {
    /// Starts to listen to the workers' events. Must be called within a tokio runtime with timers; its task ends when the
    /// last clone and router are dropped.
    #[must_use]
    pub fn start(config: SignallingConfig, workers: Vec<Worker<MediaRouter>>, events: EventQueue) -> Self {
        let runtime = Handle::current();
        let webhooks = config
            .webhooks
            .clone()
            .map(|receivers| Webhooks::new(receivers, runtime));
        let hub = Arc::new(Hub::new(config, workers, webhooks));
        let weak = Arc::downgrade(&hub);
        tokio::spawn(async move {
            let mut listen = tokio::time::interval(LISTEN);
            listen.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                listen.tick().await;
                let Some(hub) = weak.upgrade() else {
                    break;
                };
                hub.listen_to_speakers().await;
            }
        });
        let weak = Arc::downgrade(&hub);
        tokio::spawn(async move {
            let waiting = events.waiting;
            let mut events = events.receiver;
            let mut sweep = tokio::time::interval(SWEEP);
            sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                let event = tokio::select! {
                    event = events.recv() => match event {
                        Some(event) => Some(event),
                        None => break,
                    },
                    _ = sweep.tick() => None,
                };
                let Some(hub) = weak.upgrade() else {
                    break;
                };
                match event {
                    Some((worker, event)) => {
                        waiting.fetch_sub(weight(&event), Ordering::Relaxed);
                        hub.on_event(worker, &event);
                    }
                    None => hub.sweep(Instant::now()),
                }
            }
        });
        Self { hub }
    }

    /// The HTTP door: `/whip/…`, `/whep/…` and `/rooms/…`, to be served as it is or nested under a prefix. Has no fallback
    /// of its own, so that it can be merged with other routers. Answers carry CORS headers for every origin: the token is
    /// the protection.
    pub fn router(&self) -> axum::Router {
        http::router(self.hub.clone())
    }

    /// Lets somebody into a room who comes in by no door of ours, such as plain RTP. `open` is called once with the room's
    /// worker, so that it can open sockets there; each transport becomes one connection of the guest. They are there from
    /// the start, whether or not anything has come from them yet.
    ///
    /// # Errors
    ///
    /// [`GuestError`]: the room is full, the profile may not publish, or `open` failed. Nothing stays behind then but
    /// the sockets that `open` opened.
    pub async fn admit(
        &self,
        room: &str,
        profile: &Profile,
        open: impl FnOnce(&Worker<MediaRouter>) -> io::Result<Vec<GuestTransport>>,
    ) -> Result<Guest, GuestError> {
        guest::admit(&self.hub, room, profile, open).await
    }

    /// Lets somebody into a room who is in this process: a mixer, a recorder. The first half knows the room, the second half
    /// is for the thread that takes the packets; `capacity` of them wait for it at most.
    ///
    /// # Errors
    ///
    /// [`GuestError::Refused`]: the room is full, or the server is.
    pub async fn insider(
        &self,
        room: &str,
        profile: &Profile,
        capacity: usize,
    ) -> Result<(Insider, LocalPeer), GuestError> {
        insider::admit(&self.hub, room, profile, capacity).await
    }

    /// What the server API wants recorded, for whoever records; `None` when somebody takes it already. Until somebody does,
    /// those calls are answered as not implemented.
    #[must_use]
    pub fn egress_orders(&self) -> Option<Receiver<EgressOrder>> {
        self.hub.egress_orders()
    }

    /// Makes a recording of a whole room that was asked for otherwise known to the server API and the receivers of webhooks.
    #[must_use]
    pub fn announce_egress(&self, room: &str) -> EgressJob {
        let request = proto::egress_info::Request::RoomComposite(proto::RoomCompositeEgressRequest {
            room_name: room.to_owned(),
            ..Default::default()
        });
        EgressJob::open(Arc::downgrade(&self.hub), room, request).0
    }

    /// What the access token of a request says, for doors beside ours: it is in the Authorization header and valid now.
    ///
    /// # Errors
    ///
    /// The status and the sentence to answer with.
    pub fn claims(&self, headers: &HeaderMap) -> Result<Claims, (StatusCode, String)> {
        let refusal = |problem: Problem| (problem.status, problem.sentence);
        let token = http::bearer(headers).map_err(refusal)?;
        let verified = self.hub.config.keys.verify(token, unix_now());
        verified.map_err(|error| refusal(error.into()))
    }

    /// The names of the rooms that there are.
    #[must_use]
    pub fn rooms(&self) -> Vec<String> {
        self.hub.each_room(|room| Some(room.name().to_owned()))
    }

    /// Changes when a room has begun, for who looks after each of them: see [`Self::rooms`].
    #[must_use]
    pub fn begun(&self) -> watch::Receiver<u64> {
        self.hub.begun()
    }

    /// Closes all sessions and event streams and lets in nobody any more. The workers say goodbye to the peers.
    pub fn close(&self) {
        self.hub.close();
    }

    /// Waits until all webhooks have arrived, not longer than `patience`. For the end, after [`Self::close`].
    pub async fn drained(&self, patience: Duration) {
        if let Some(webhooks) = self.hub.webhooks() {
            webhooks.drained(patience).await;
        }
    }

    #[cfg(test)]
    pub(crate) fn sweep(&self, now: Instant) {
        self.hub.sweep(now);
    }

    /// How much there is now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let webhooks = self.hub.webhooks();
        let state = self.hub.lock();
        let participants = state.rooms.values().map(|entry| entry.room.participants().len()).sum();
        Counts {
            rooms: state.rooms.len(),
            participants,
            sessions: state.sessions.len(),
            webhooks: webhooks.map(|webhooks| webhooks.figures()).unwrap_or_default(),
        }
    }
}

/// How much there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Rooms: with somebody in them or listening to them, and those that wait for somebody.
    pub rooms: usize,
    /// Participants in all rooms.
    pub participants: usize,
    /// WHIP and WHEP sessions.
    pub sessions: usize,
    /// What has become of webhooks.
    pub webhooks: Figures,
}

impl fmt::Debug for Signalling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signalling")
            .field("counts", &self.counts())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use althing_media_core::config::EndpointId;
    use althing_media_core::{DataChannelConfig, DataChannelId};

    use super::*;

    #[test]
    fn a_queue_that_nobody_empties_has_an_end() {
        let (sink, mut queue) = event_queue();
        let (endpoint, channel) = (EndpointId(1), DataChannelId(1));
        let config = Box::new(DataChannelConfig::new(&"x".repeat(1000)));
        for _ in 0..200_000 {
            let config = config.clone();
            sink(
                0,
                Event::DataChannelOpened {
                    endpoint,
                    channel,
                    by_peer: true,
                    config,
                },
            );
            sink(0, Event::DataChannelClosed { endpoint, channel });
        }
        assert!(queue.waiting.load(Ordering::Relaxed) <= 2 * MAX_WAITING_DATA + 256);
        let mut count = 0;
        while let Ok((_, event)) = queue.receiver.try_recv() {
            count += 1;
            queue.waiting.fetch_sub(weight(&event), Ordering::Relaxed);
        }
        assert!((10_000..100_000).contains(&count), "{count} events");
        assert_eq!(queue.waiting.load(Ordering::Relaxed), 0);
    }
}
