//! The answer to a command: a future for async callers, a blocking wait for others. No runtime needed.
//!
//! Its lock is held only while a value or a waker is stored, on either side.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// The worker has ended, or ended before the command was run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the media worker has ended")
    }
}

impl std::error::Error for Gone {}

/// What a command will have answered. Dropping it does not cancel the command.
#[derive(Debug)]
#[must_use = "the answer is in it"]
pub struct Reply<R> {
    shared: Arc<Shared<R>>,
}

/// The end that answers; dropping it unused tells [`Gone`].
#[derive(Debug)]
pub(crate) struct Answer<R> {
    shared: Arc<Shared<R>>,
}

#[derive(Debug)]
struct Shared<R> {
    state: Mutex<State<R>>,
    changed: Condvar,
}

#[derive(Debug)]
enum State<R> {
    Open(Option<Waker>),
    Answered(Result<R, Gone>),
    Taken,
}

/// Both ends.
pub(crate) fn reply<R>() -> (Answer<R>, Reply<R>) {
    let shared = Arc::new(Shared {
        state: Mutex::new(State::Open(None)),
        changed: Condvar::new(),
    });
    (Answer { shared: shared.clone() }, Reply { shared })
}

impl<R> Answer<R> {
    pub(crate) fn send(self, value: R) {
        self.shared.settle(Ok(value));
    }
}

impl<R> Drop for Answer<R> {
    fn drop(&mut self) {
        self.shared.settle(Err(Gone));
    }
}

impl<R> Shared<R> {
    /// The first answer counts.
    fn settle(&self, answer: Result<R, Gone>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Open(waker) = &mut *state {
            let waker = waker.take();
            *state = State::Answered(answer);
            drop(state);
            self.changed.notify_one();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

impl<R> Reply<R> {
    /// Blocks until the answer is there. Never call it on a worker's own thread.
    ///
    /// # Errors
    /// [`Gone`] when the worker ended before it ran the command.
    pub fn wait(self) -> Result<R, Gone> {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match std::mem::replace(&mut *state, State::Taken) {
                State::Answered(answer) => return answer,
                State::Taken => return Err(Gone),
                open @ State::Open(_) => *state = open,
            }
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<R> Future for Reply<R> {
    type Output = Result<R, Gone>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *state, State::Taken) {
            State::Answered(answer) => Poll::Ready(answer),
            State::Taken => Poll::Ready(Err(Gone)),
            State::Open(_) => {
                *state = State::Open(Some(context.waker().clone()));
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn waits_for_the_answer() {
        let (answer, reply) = reply();
        let sender = thread::spawn(move || answer.send(5));
        assert_eq!(reply.wait(), Ok(5));
        sender.join().unwrap();
    }

    #[test]
    fn an_unused_answer_is_gone() {
        let (answer, reply) = reply::<u8>();
        drop(answer);
        assert_eq!(reply.wait(), Err(Gone));
    }

    #[test]
    fn polls_once_more_when_woken() {
        let (answer, mut reply) = reply();
        let mut context = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut reply).poll(&mut context).is_pending());
        answer.send(7);
        assert_eq!(Pin::new(&mut reply).poll(&mut context), Poll::Ready(Ok(7)));
    }
}
