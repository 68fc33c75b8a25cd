//! Sleep until a socket is ready, a time is reached, or another thread calls: epoll and an eventfd.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use libc::c_int;

use super::check;
use crate::sys::Ready;

/// The key of the eventfd.
const WAKE_KEY: usize = usize::MAX;

/// Events that one wait can report; more are reported by the next one.
const EPOLL_EVENTS: usize = 64;

/// What can be polled.
pub(crate) trait Source: AsRawFd {}
impl<T: AsRawFd> Source for T {}

/// Sleeps until something is ready. Level-triggered: what was not read is reported again.
#[derive(Debug)]
pub(crate) struct Poller {
    epoll: OwnedFd,
    wake: Arc<OwnedFd>,
    /// Cleared when the kernel is older than 5.11 and can only count milliseconds.
    nanoseconds: bool,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        // SAFETY: no pointers; the result is checked before it is owned.
        let epoll = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: a new descriptor that nobody else owns.
        let epoll = unsafe { OwnedFd::from_raw_fd(epoll) };
        // SAFETY: no pointers; the result is checked before it is owned.
        let wake = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: a new descriptor that nobody else owns.
        let wake = Arc::new(unsafe { OwnedFd::from_raw_fd(wake) });
        let poller = Self {
            epoll,
            wake,
            nanoseconds: true,
        };
        poller.control(libc::EPOLL_CTL_ADD, &*poller.wake, WAKE_KEY, libc::EPOLLIN)?;
        Ok(poller)
    }

    pub(crate) fn waker(&self) -> Waker {
        Waker {
            wake: self.wake.clone(),
        }
    }

    /// Starts to report `source` under `key` when it can be read.
    pub(crate) fn add(&self, source: &impl Source, key: usize) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, source, key, libc::EPOLLIN)
    }

    /// Changes whether room to write is reported too.
    pub(crate) fn want_write(&self, source: &impl Source, key: usize, write: bool) -> io::Result<()> {
        let events = if write {
            libc::EPOLLIN | libc::EPOLLOUT
        } else {
            libc::EPOLLIN
        };
        self.control(libc::EPOLL_CTL_MOD, source, key, events)
    }

    /// Stops to report `source`; call it before the source is closed or moved to another poller.
    pub(crate) fn remove(&self, source: &impl Source) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, source, 0, 0)
    }

    /// Waits until something is ready or `timeout` is over (`None`: forever), and appends what is.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EPOLL_EVENTS];
        let count = match self.wait_once(timeout, &mut events) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            other => other?,
        };
        for event in events.iter().take(count) {
            let (bits, key) = (event.events, event.u64 as usize);
            if key == WAKE_KEY {
                self.drain_wake();
                continue;
            }
            let readable = bits & (libc::EPOLLIN | libc::EPOLLERR | libc::EPOLLHUP) as u32 != 0;
            let writable = bits & (libc::EPOLLOUT | libc::EPOLLERR | libc::EPOLLHUP) as u32 != 0;
            ready.push(Ready {
                key,
                readable,
                writable,
            });
        }
        Ok(())
    }

    fn wait_once(&mut self, timeout: Option<Duration>, events: &mut [libc::epoll_event]) -> io::Result<usize> {
        let (epoll, room) = (self.epoll.as_raw_fd(), events.len() as c_int);
        if self.nanoseconds {
            let spec = timeout.map(|timeout| libc::timespec {
                tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
                tv_nsec: timeout.subsec_nanos().into(),
            });
            let spec = spec.as_ref().map_or(ptr::null(), ptr::from_ref);
            let no_mask = ptr::null::<libc::sigset_t>();
            // SAFETY: `events` has room for `room` entries, `spec` is null or leads to a live timespec, and without
            // a signal mask its size is ignored. By number, since older C libraries have no function for it.
            let count = unsafe {
                libc::syscall(
                    libc::SYS_epoll_pwait2,
                    epoll,
                    events.as_mut_ptr(),
                    room,
                    spec,
                    no_mask,
                    0_usize,
                )
            };
            match check(count as c_int) {
                Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => self.nanoseconds = false,
                other => return other.map(|count| count as usize),
            }
        }
        // Rounded up: to wake too early would mean to wake twice.
        let millis = timeout.map_or(-1, |timeout| {
            c_int::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(c_int::MAX)
        });
        // SAFETY: `events` has room for `room` entries.
        check(unsafe { libc::epoll_wait(epoll, events.as_mut_ptr(), room, millis) }).map(|count| count as usize)
    }

    fn control(&self, operation: c_int, source: &impl AsRawFd, key: usize, events: c_int) -> io::Result<()> {
        let mut event = libc::epoll_event {
            events: events as u32,
            u64: key as u64,
        };
        // SAFETY: the pointer leads to a live event; the kernel copies it. Descriptors are only numbers here.
        check(unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), operation, source.as_raw_fd(), &raw mut event) })
            .map(drop)
    }

    fn drain_wake(&self) {
        let mut count = 0_u64;
        // SAFETY: eight live bytes, as an eventfd wants. It does not block; a failure means that it was empty.
        unsafe { libc::read(self.wake.as_raw_fd(), (&raw mut count).cast(), size_of::<u64>()) };
    }
}

/// Ends the sleep of a [`Poller`], from any thread.
#[derive(Debug, Clone)]
pub(crate) struct Waker {
    wake: Arc<OwnedFd>,
}

impl Waker {
    pub(crate) fn wake(&self) {
        let one = 1_u64;
        // SAFETY: eight live bytes, as an eventfd wants. It can only fail when the counter is full: then it is awake.
        unsafe { libc::write(self.wake.as_raw_fd(), (&raw const one).cast(), size_of::<u64>()) };
    }
}
