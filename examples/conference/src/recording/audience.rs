//! Who watches a recording live, and waits for what is not there yet (RFC 8216bis §6.2.5.2).
//!
//! The recorder tells each playlist that is in its place; whoever waits is woken by that, and by the end. Waiting costs a request
//! that is open, no thread and no look at the disk. Not here: which request waits for what; who may watch.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use althing_recorder::container::hls::{Snapshot, Verdict};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// The most that wait in one room.
const MAX_WAITING: usize = 10_000;
/// And of those, from one address, or one network of IPv6: a school behind one. What is near may be a proxy in front of all: a
/// loopback, private or unique local address is not bounded by itself.
const MAX_FROM_ONE: usize = 500;

/// What is shown of a room.
#[derive(Debug, Clone)]
pub(super) struct Audience {
    folder: PathBuf,
    shown: watch::Receiver<Option<Arc<Snapshot>>>,
    waiting: Arc<Waiting>,
    patience: Duration,
}

/// Tells an audience what is shown: `None` and nothing more when it is over.
pub(super) type Stage = watch::Sender<Option<Arc<Snapshot>>>;

/// Why somebody does not get what they wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Vain {
    /// It is too far ahead.
    Far,
    /// It did not come in time.
    Late,
    /// Too many wait.
    Crowded,
}

impl Audience {
    /// Of a recording in this folder. Nobody waits longer than `patience`.
    pub(super) fn new(folder: &Path, patience: Duration) -> (Self, Stage) {
        let (stage, shown) = watch::channel(None);
        let audience = Self {
            folder: folder.to_owned(),
            shown,
            waiting: Arc::default(),
            patience,
        };
        (audience, stage)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What is shown now; `None` before the beginning and after the end.
    pub(super) fn now(&self) -> Option<Arc<Snapshot>> {
        self.shown.borrow().clone()
    }

    /// Waits until what is shown is good enough; `None` when it is over.
    pub(super) async fn until(
        mut self,
        from: IpAddr,
        good: impl Fn(&Snapshot) -> Verdict,
    ) -> Result<Option<Arc<Snapshot>>, Vain> {
        let end = Instant::now() + self.patience;
        let mut seat = None;
        loop {
            let now = self.shown.borrow_and_update().clone();
            match now.as_deref().map(&good) {
                Some(Verdict::Ready) => return Ok(now),
                Some(Verdict::TooFar) => return Err(Vain::Far),
                Some(Verdict::Wait) | None => {}
            }
            if seat.is_none() {
                seat = Some(Seat::take(&self.waiting, from).ok_or(Vain::Crowded)?);
            }
            match timeout_at(end, self.shown.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Ok(None),
                Err(_) => return Err(Vain::Late),
            }
        }
    }
}

/// Who waits: how many, and from where.
#[derive(Debug, Default)]
struct Waiting(Mutex<(usize, HashMap<IpAddr, usize>)>);

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, (usize, HashMap<IpAddr, usize>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of them.
struct Seat(Arc<Waiting>, IpAddr);

impl Seat {
    fn take(waiting: &Arc<Waiting>, from: IpAddr) -> Option<Self> {
        let from = network(from);
        let mut all = waiting.lock();
        let (count, each) = &mut *all;
        let of_it = each.get(&from).copied().unwrap_or(0);
        if *count >= MAX_WAITING || of_it >= MAX_FROM_ONE && !is_near(from) {
            return None;
        }
        *count += 1;
        each.insert(from, of_it + 1);
        Some(Self(waiting.clone(), from))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut all = self.0.lock();
        let (count, each) = &mut *all;
        *count -= 1;
        if let Some(of_it) = each.get_mut(&self.1) {
            *of_it -= 1;
            if *of_it == 0 {
                each.remove(&self.1);
            }
        }
    }
}

fn is_near(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => four.is_loopback() || four.is_private(),
        IpAddr::V6(six) => six.is_loopback() || six.is_unique_local(),
    }
}

/// What one customer of a network has: an address, or of IPv6 64 bits of one.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) if !six.is_loopback() => {
            let [a, b, c, d, ..] = six.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use althing_recorder::container::hls::{Playlist, PlaylistConfig};

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(50);
    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// Of nothing, in a file of this name.
    fn snapshot(uri: &str) -> Option<Arc<Snapshot>> {
        let mut playlist = Playlist::new(PlaylistConfig::default());
        playlist.begin(uri);
        Some(Arc::new(playlist.snapshot()))
    }

    fn second(snapshot: &Snapshot) -> Verdict {
        match snapshot.uri.as_str() {
            "second" => Verdict::Ready,
            "far" => Verdict::TooFar,
            _ => Verdict::Wait,
        }
    }

    fn open(patience: Duration) -> (Audience, Stage) {
        Audience::new(Path::new("."), patience)
    }

    #[tokio::test]
    async fn who_waits_is_woken_when_it_is_there() {
        let (audience, stage) = open(Duration::from_secs(60));
        let waiting = [audience.clone(), audience.clone()].map(|one| tokio::spawn(one.until(HERE, second)));
        tokio::task::yield_now().await;
        assert_eq!(audience.waiting.lock().0, 2);
        stage.send_replace(snapshot("first"));
        tokio::task::yield_now().await;
        assert!(
            waiting.iter().all(|one| !one.is_finished()),
            "it is not what they wait for"
        );
        stage.send_replace(snapshot("second"));
        for one in waiting {
            let got = one.await.expect("no panic").expect("in time").expect("not over");
            assert_eq!(got.uri, "second");
        }
        assert_eq!(*audience.waiting.lock(), (0, HashMap::new()), "nobody waits any more");
        // What is there is not waited for.
        assert!(audience.clone().until(HERE, second).await.expect("there").is_some());
        stage.send_replace(snapshot("far"));
        assert_eq!(audience.until(HERE, second).await.expect_err("too far"), Vain::Far);
    }

    #[tokio::test]
    async fn the_end_wakes_all_and_waiting_ends() {
        let (audience, stage) = open(PATIENCE);
        stage.send_replace(snapshot("first"));
        let began = Instant::now();
        let late = audience.clone().until(HERE, second).await;
        assert_eq!(late.expect_err("it does not come"), Vain::Late);
        assert!(began.elapsed() >= PATIENCE);
        let (audience, stage) = open(Duration::from_secs(60));
        let waiting = tokio::spawn(audience.clone().until(HERE, second));
        tokio::task::yield_now().await;
        stage.send_replace(None);
        drop(stage);
        assert!(
            waiting.await.expect("no panic").expect("in time").is_none(),
            "it is over"
        );
        assert!(audience.now().is_none());
        // And nobody waits after it.
        assert!(audience.until(HERE, second).await.expect("at once").is_none());
    }

    #[tokio::test]
    async fn no_more_wait_than_may() {
        let (audience, _stage) = open(PATIENCE);
        let one = IpAddr::from([203, 0, 113, 5]);
        let seats: Vec<Seat> = (0..MAX_FROM_ONE)
            .filter_map(|_| Seat::take(&audience.waiting, one))
            .collect();
        let refused = audience.clone().until(one, second).await;
        assert_eq!(refused.expect_err("too many"), Vain::Crowded);
        let mut others: Vec<Seat> = (0..MAX_WAITING)
            .map_while(|_| Seat::take(&audience.waiting, HERE))
            .collect();
        assert_eq!(
            seats.len() + others.len(),
            MAX_WAITING,
            "from here as many as there is room for"
        );
        assert!(Seat::take(&audience.waiting, IpAddr::from([203, 0, 113, 6])).is_none());
        others.pop();
        assert!(Seat::take(&audience.waiting, IpAddr::from([203, 0, 113, 6])).is_some());
    }

    #[test]
    fn a_network_is_one() {
        let of = |text: &str| network(text.parse().expect("an address"));
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert!(of("::1").is_loopback());
    }
}
