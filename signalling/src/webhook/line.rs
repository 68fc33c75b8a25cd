//! The events of one room on their way to one receiver. Without clock and sockets: `now` comes in, what to do comes out.
//!
//! The first event is sent, and sent again with growing pauses, before the second. A receiver that is away for long loses
//! the oldest events, so that what it finds when it comes back is the latest.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prost::Message as _;

use crate::protocol::wire::proto;

/// Events of one room that wait for one receiver; the oldest of more are lost.
pub const MAX_WAITING: usize = 1000;

/// How long after the first failure an event is sent again; twice as long after each further one.
pub const RETRY_AFTER: Duration = Duration::from_millis(500);

/// The longest of these pauses.
pub const RETRY_AFTER_AT_MOST: Duration = Duration::from_secs(30);

/// An event that has not arrived by then is lost.
pub const GIVE_UP_AFTER: Duration = Duration::from_secs(600);

/// A line.
#[derive(Debug, Default)]
pub(super) struct Line {
    waiting: VecDeque<Waiting>,
    /// In a row, of the first event.
    failures: u32,
    /// The first event is not sent before.
    not_before: Option<Instant>,
    bytes: usize,
    lost: u64,
}

#[derive(Debug)]
struct Waiting {
    event: Arc<proto::WebhookEvent>,
    since: Instant,
}

/// What comes next.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    /// This event has to be sent; how that went is told by [`Line::on_answer`].
    Send(Arc<proto::WebhookEvent>),
    /// Ask again at this time.
    Wait(Instant),
    /// Nothing waits.
    Nothing,
}

/// How sending an event went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The receiver has it.
    Taken,
    /// The receiver will never take it.
    Refused,
    /// The receiver was not there, or could not.
    Failed,
}

impl Line {
    /// Puts an event at the end.
    pub(super) fn push(&mut self, now: Instant, event: Arc<proto::WebhookEvent>) {
        if self.waiting.len() >= MAX_WAITING {
            // The first may be on its way.
            self.remove(1);
            self.lost += 1;
        }
        self.bytes += weight(&event);
        self.waiting.push_back(Waiting { event, since: now });
    }

    /// What comes next.
    pub(super) fn poll(&mut self, now: Instant) -> Next {
        let old = |one: &Waiting| now.saturating_duration_since(one.since) >= GIVE_UP_AFTER;
        while self.waiting.front().is_some_and(old) {
            self.remove(0);
            self.lost += 1;
        }
        match (self.waiting.front(), self.not_before) {
            (None, _) => Next::Nothing,
            (Some(_), Some(time)) if time > now => Next::Wait(time),
            (Some(first), _) => Next::Send(first.event.clone()),
        }
    }

    /// The event that was to be sent last was answered so.
    pub(super) fn on_answer(&mut self, now: Instant, answer: Answer) {
        if answer == Answer::Failed {
            let pause = RETRY_AFTER.saturating_mul(1 << self.failures.min(16));
            self.failures = self.failures.saturating_add(1);
            self.not_before = Some(now + pause.min(RETRY_AFTER_AT_MOST));
            return;
        }
        self.remove(0);
        self.lost += u64::from(answer == Answer::Refused);
        (self.failures, self.not_before) = (0, None);
    }

    /// What all that waits costs, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Events that wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Events that were lost since the last time.
    pub(super) fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    fn remove(&mut self, at: usize) {
        if let Some(gone) = self.waiting.remove(at) {
            self.bytes = self.bytes.saturating_sub(weight(&gone.event));
        }
    }
}

/// What an event costs while it waits, in bytes.
pub(super) fn weight(event: &proto::WebhookEvent) -> usize {
    event.encoded_len() + 512
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: usize) -> Arc<proto::WebhookEvent> {
        Arc::new(proto::WebhookEvent {
            id: id.to_string(),
            ..Default::default()
        })
    }

    /// Sends what can be sent until the line waits or is empty, with the same answer each time.
    fn send(line: &mut Line, now: Instant, answer: Answer) -> Vec<String> {
        let mut sent = Vec::new();
        while let Next::Send(event) = line.poll(now) {
            sent.push(event.id.clone());
            line.on_answer(now, answer);
        }
        sent
    }

    #[test]
    fn the_next_waits_for_the_one_before() {
        let (mut line, mut now) = (Line::default(), Instant::now());
        (1..=3).for_each(|id| line.push(now, event(id)));
        let mut pauses = Vec::new();
        for _ in 0..9 {
            assert_eq!(send(&mut line, now, Answer::Failed), ["1"]);
            let Next::Wait(time) = line.poll(now) else {
                panic!("does not wait");
            };
            pauses.push((time - now).as_millis());
            assert!(matches!(line.poll(time - Duration::from_millis(1)), Next::Wait(_)));
            now = time;
        }
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
        assert_eq!(send(&mut line, now, Answer::Taken), ["1", "2", "3"]);
        assert_eq!((line.take_lost(), line.bytes(), line.len()), (0, 0, 0));
        // It begins with short pauses again.
        line.push(now, event(4));
        assert_eq!(send(&mut line, now, Answer::Failed), ["4"]);
        assert_eq!(line.poll(now), Next::Wait(now + RETRY_AFTER));
    }

    #[test]
    fn what_is_refused_is_lost_and_does_not_hold_up_the_rest() {
        let (mut line, now) = (Line::default(), Instant::now());
        (1..=2).for_each(|id| line.push(now, event(id)));
        assert_eq!(line.poll(now), Next::Send(event(1)));
        line.on_answer(now, Answer::Refused);
        assert_eq!(send(&mut line, now, Answer::Taken), ["2"]);
        assert_eq!(line.take_lost(), 1);
        assert_eq!(line.take_lost(), 0);
    }

    #[test]
    fn a_receiver_that_is_away_for_long_finds_the_latest() {
        let (mut line, mut now) = (Line::default(), Instant::now());
        line.push(now, event(0));
        assert_eq!(send(&mut line, now, Answer::Failed), ["0"]);
        (1..MAX_WAITING + 10).for_each(|id| line.push(now, event(id)));
        assert_eq!((line.len(), line.take_lost()), (MAX_WAITING, 10));
        now += RETRY_AFTER;
        let sent = send(&mut line, now, Answer::Taken);
        assert_eq!(sent[..2], ["0", "11"], "the first may have been on its way");
        assert_eq!(sent.len(), MAX_WAITING);
        assert_eq!(line.bytes(), 0);

        line.push(now, event(1));
        line.push(now + Duration::from_secs(1), event(2));
        assert_eq!(send(&mut line, now + GIVE_UP_AFTER, Answer::Taken), ["2"]);
        assert_eq!((line.take_lost(), line.bytes()), (1, 0));
    }
}
