//! When to ask a sender for a keyframe: at once, but not again and again, and once for all who want it (RFC 4585 §6.3.1).

use std::time::{Duration, Instant};

/// Shortest time between two requests for one stream. A keyframe is many packets: asking faster makes a bad line worse.
const THROTTLE: Duration = Duration::from_millis(300);
/// A request that brought no keyframe in this time is made again.
const RETRY: Duration = Duration::from_millis(500);
/// Requests without an answer before it is left to somebody to want one again.
const MAX_TRIES: u8 = 20;

/// The wish for a keyframe of one incoming stream, merged over all subscribers.
#[derive(Debug, Default)]
pub struct KeyframeRequest {
    /// When the next request may go out; `None` when nobody wants one.
    due: Option<Instant>,
    last: Option<Instant>,
    tries: u8,
}

impl KeyframeRequest {
    /// Somebody wants a keyframe.
    pub fn want(&mut self, now: Instant) {
        if self.due.is_none() {
            self.tries = 0;
            self.due = Some(self.last.map_or(now, |last| now.max(last + THROTTLE)));
        }
    }

    /// A keyframe has begun to arrive.
    pub fn satisfy(&mut self) {
        self.due = None;
    }

    /// Whether a keyframe is wanted and has not come.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.due.is_some()
    }

    /// When [`Self::take_due`] will have something.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// Whether a request is to be sent now.
    pub fn take_due(&mut self, now: Instant) -> bool {
        if self.due.is_none_or(|due| due > now) {
            return false;
        }
        self.last = Some(now);
        self.tries += 1;
        self.due = (self.tries < MAX_TRIES).then(|| now + RETRY);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_wishes_are_one_request() {
        let start = Instant::now();
        let mut request = KeyframeRequest::default();
        let mut sent = 0;
        for ms in 0..100 {
            request.want(start + Duration::from_millis(ms));
            sent += u32::from(request.take_due(start + Duration::from_millis(ms)));
        }
        assert_eq!(sent, 1);
        request.satisfy();
        assert_eq!(request.next_timeout(), None);
        request.want(start + Duration::from_millis(120));
        assert_eq!(request.next_timeout(), Some(start + THROTTLE));
    }

    #[test]
    fn asks_again_until_it_comes() {
        let start = Instant::now();
        let mut request = KeyframeRequest::default();
        request.want(start);
        assert!(request.take_due(start));
        assert!(!request.take_due(start + RETRY / 2));
        assert!(request.take_due(start + RETRY));
    }
}
