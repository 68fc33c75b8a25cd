//! All lines to all receivers, and the tasks that empty them: one for each line in which something waits.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::Uri;
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{sleep_until, timeout};

use super::Receivers;
use super::event;
use super::line::{self, Answer, Line, Next};
use super::post::Post;
use crate::protocol::wire::proto;
use crate::room::{Room, RoomEvent};

/// What waits in all lines together, in bytes; events beyond that are lost.
pub const MAX_WAITING_BYTES: usize = 16 * 1024 * 1024;

/// Requests to one receiver at a time, of all rooms together.
const MAX_REQUESTS: usize = 16;

/// What has become of webhooks: each event counts once for each receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Figures {
    /// The receiver has taken it.
    pub delivered: u64,
    /// Attempts that failed and are made again.
    pub failed: u64,
    /// Given up: refused by the receiver, too old, or too many.
    pub lost: u64,
    /// Waiting now.
    pub waiting: usize,
}

/// The way to the receivers. Clones are the same.
#[derive(Clone)]
pub(crate) struct Webhooks(Arc<Outbox>);

struct Outbox {
    receivers: Vec<Receiver>,
    post: Post,
    runtime: Handle,
    lines: Mutex<Lines>,
    /// A line is empty.
    emptied: Notify,
}

struct Receiver {
    url: Uri,
    requests: Semaphore,
}

/// By receiver and name of the room.
type Key = (usize, String);

#[derive(Default)]
struct Lines {
    table: HashMap<Key, Line>,
    bytes: usize,
    figures: Figures,
}

impl Webhooks {
    /// The tasks run in `runtime`.
    pub(crate) fn new(receivers: Receivers, runtime: Handle) -> Self {
        let receiver = |url| Receiver {
            url,
            requests: Semaphore::new(MAX_REQUESTS),
        };
        Self(Arc::new(Outbox {
            receivers: receivers.urls.into_iter().map(receiver).collect(),
            post: receivers.post,
            runtime,
            lines: Mutex::default(),
            emptied: Notify::new(),
        }))
    }

    /// Tells what has happened in a room, to all receivers. Does not wait.
    pub(crate) fn tell(&self, room: &Room, events: &[RoomEvent]) {
        for event in events {
            if let Some(told) = event::of(room, events, event) {
                self.put(room.name(), &told);
            }
        }
    }

    /// Tells how far a recording has come.
    pub(crate) fn tell_egress(&self, info: &proto::EgressInfo) {
        self.put(&info.room_name, &event::of_egress(info));
    }

    /// What has become of them.
    pub(crate) fn figures(&self) -> Figures {
        let lines = self.0.lock();
        Figures {
            waiting: lines.table.values().map(Line::len).sum(),
            ..lines.figures
        }
    }

    /// Waits until nothing waits, not longer than `patience`.
    pub(crate) async fn drained(&self, patience: Duration) {
        let drained = async {
            loop {
                let emptied = self.0.emptied.notified();
                if self.0.lock().table.is_empty() {
                    break;
                }
                emptied.await;
            }
        };
        if timeout(patience, drained).await.is_err() {
            tracing::warn!(waiting = self.figures().waiting, "webhooks are lost");
        }
    }

    fn put(&self, room: &str, told: &Arc<proto::WebhookEvent>) {
        let mut lines = self.0.lock();
        for receiver in 0..self.0.receivers.len() {
            if lines.bytes + line::weight(told) > MAX_WAITING_BYTES {
                lines.figures.lost += 1;
                tracing::warn!(room, event = told.event, "too many webhooks wait; one is lost");
                continue;
            }
            let key = (receiver, room.to_owned());
            if !lines.table.contains_key(&key) {
                lines.table.insert(key.clone(), Line::default());
                self.0.runtime.spawn(self.0.clone().serve(key.clone()));
            }
            lines.with(&key, |line| line.push(Instant::now(), told.clone()));
        }
    }
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Empties one line.
    async fn serve(self: Arc<Self>, key: Key) {
        let Some(receiver) = self.receivers.get(key.0) else {
            return;
        };
        while let Some(next) = self.next(&key) {
            match next {
                Next::Wait(time) => sleep_until(time.into()).await,
                Next::Send(event) => {
                    // Never closed.
                    let _turn = receiver.requests.acquire().await;
                    let answer = self.post.send(&receiver.url, &event).await;
                    let mut lines = self.lock();
                    lines.with(&key, |line| line.on_answer(Instant::now(), answer));
                    match answer {
                        Answer::Taken => lines.figures.delivered += 1,
                        Answer::Failed => lines.figures.failed += 1,
                        Answer::Refused => {}
                    }
                }
                Next::Nothing => {}
            }
        }
        self.emptied.notify_waiters();
    }

    /// What comes next in a line; `None` when it is empty, and forgotten with that.
    fn next(&self, key: &Key) -> Option<Next> {
        let mut lines = self.lock();
        match lines.with(key, |line| line.poll(Instant::now())) {
            None | Some(Next::Nothing) => {
                lines.table.remove(key);
                None
            }
            next => next,
        }
    }
}

impl Lines {
    /// Does something with a line and keeps the books.
    fn with<R>(&mut self, key: &Key, act: impl FnOnce(&mut Line) -> R) -> Option<R> {
        let line = self.table.get_mut(key)?;
        let before = line.bytes();
        let result = act(line);
        let lost = line.take_lost();
        self.bytes = self.bytes.saturating_sub(before) + line.bytes();
        self.figures.lost += lost;
        if lost > 0 {
            tracing::warn!(room = key.1, receiver = key.0, lost, "webhooks are given up");
        }
        Some(result)
    }
}

impl fmt::Debug for Webhooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhooks")
            .field("figures", &self.figures())
            .finish_non_exhaustive()
    }
}
