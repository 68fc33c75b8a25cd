//! Wakes a worker; many calls before it answers cost one system call.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::sys::Waker;

/// One worker's bell.
#[derive(Debug)]
pub(crate) struct Bell {
    waker: Waker,
    ringing: AtomicBool,
}

impl Bell {
    pub(crate) fn new(waker: Waker) -> Self {
        Self {
            waker,
            ringing: AtomicBool::new(false),
        }
    }

    /// Call it after the reason for it is visible (pushed into a queue).
    pub(crate) fn ring(&self) {
        if !self.ringing.swap(true, Ordering::AcqRel) {
            self.waker.wake();
        }
    }

    /// Call it before looking for reasons: who rings afterwards wakes again.
    pub(crate) fn answer(&self) -> bool {
        // The plain read keeps the line shared among cores while nobody rings. When it comes too early, the waker's
        // own signal ends the next sleep at once.
        self.ringing.load(Ordering::Relaxed) && self.ringing.swap(false, Ordering::AcqRel)
    }
}
