//! All recordings of the server in the words of the protocol: those that run, and the last ones that have ended.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::watch;

use super::{FileResult, Files, Progress};
use crate::protocol::wire::proto;
use proto::EgressStatus as Status;

/// Recordings that are over and still listed; the oldest are forgotten.
const MAX_ENDED: usize = 1000;

/// All recordings.
#[derive(Debug, Default)]
pub(crate) struct Egresses {
    /// In the order in which they began.
    all: VecDeque<Egress>,
}

#[derive(Debug)]
struct Egress {
    info: proto::EgressInfo,
    stop: watch::Sender<bool>,
}

/// Why one cannot be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopError {
    Unknown,
    Over,
}

impl Egresses {
    /// One more.
    pub(crate) fn open(&mut self, info: proto::EgressInfo) -> watch::Receiver<bool> {
        let (stop, stopped) = watch::channel(false);
        self.all.push_back(Egress { info, stop });
        let ended = self.all.iter().filter(|one| one.is_over()).count();
        if ended > MAX_ENDED
            && let Some(oldest) = self.all.iter().position(Egress::is_over)
        {
            self.all.remove(oldest);
        }
        stopped
    }

    /// One has come further; gives what is to be told of it, or `None` when that is nothing new.
    pub(crate) fn tell(&mut self, id: &str, now: Duration, progress: Progress) -> Option<proto::EgressInfo> {
        let one = self.all.iter_mut().find(|one| one.info.egress_id == id)?;
        let (status, now) = (status_of(&progress), nanos(now));
        // In this order, whatever is told late.
        if one.is_over() || status as i32 <= one.info.status {
            return None;
        }
        one.info.status = status as i32;
        one.info.updated_at = now;
        match progress {
            Progress::Active => one.info.started_at = now,
            Progress::Ending => {}
            Progress::Complete(Files { files, manifest }) => {
                one.info.file_results = files.iter().map(file_info).collect();
                one.info.manifest_location = manifest;
            }
            Progress::Aborted(why) | Progress::Failed(why) => one.info.error = why,
        }
        if one.is_over() {
            one.info.ended_at = now;
        }
        Some(one.info.clone())
    }

    /// Somebody wants one to end.
    pub(crate) fn stop(&mut self, id: &str, allowed: impl FnOnce(&str) -> bool) -> Result<(), StopError> {
        let mut all = self.all.iter_mut();
        let one = all.find(|one| one.info.egress_id == id && !id.is_empty());
        let one = one
            .filter(|one| allowed(&one.info.room_name))
            .ok_or(StopError::Unknown)?;
        if one.is_over() {
            return Err(StopError::Over);
        }
        one.stop.send_replace(true);
        Ok(())
    }

    /// Those that are asked for.
    pub(crate) fn list(&self, wanted: impl Fn(&proto::EgressInfo) -> bool, active: bool) -> Vec<proto::EgressInfo> {
        let all = self.all.iter().filter(|one| !active || !one.is_over());
        all.map(|one| &one.info).filter(|info| wanted(info)).cloned().collect()
    }
}

impl Egress {
    fn is_over(&self) -> bool {
        self.info.status >= Status::EgressComplete as i32
    }
}

fn status_of(progress: &Progress) -> Status {
    match progress {
        Progress::Active => Status::EgressActive,
        Progress::Ending => Status::EgressEnding,
        Progress::Complete(_) => Status::EgressComplete,
        Progress::Aborted(_) => Status::EgressAborted,
        Progress::Failed(_) => Status::EgressFailed,
    }
}

fn file_info(file: &FileResult) -> proto::FileInfo {
    proto::FileInfo {
        filename: file.name.clone(),
        location: file.name.clone(),
        started_at: nanos(file.from),
        ended_at: nanos(file.from + file.duration),
        duration: nanos(file.duration),
        size: i64::try_from(file.size).unwrap_or(i64::MAX),
    }
}

/// In nanoseconds, as the protocol wants times.
pub(super) fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(id: &str) -> proto::EgressInfo {
        proto::EgressInfo {
            egress_id: id.to_owned(),
            room_name: "hall".to_owned(),
            ..Default::default()
        }
    }

    #[test]
    fn a_recording_goes_one_way_and_ends_once() {
        let mut all = Egresses::default();
        let stop = all.open(info("a"));
        let mut tell = |progress| all.tell("a", Duration::from_secs(7), progress).map(|info| info.status);
        assert_eq!(tell(Progress::Active), Some(1));
        assert_eq!(tell(Progress::Active), None, "told twice");
        assert_eq!(tell(Progress::Ending), Some(2));
        assert_eq!(tell(Progress::Active), None, "told late");
        assert_eq!(tell(Progress::Complete(Files::default())), Some(3));
        assert_eq!(tell(Progress::Failed(String::new())), None, "dropped after the end");
        assert_eq!(all.stop("a", |_| true), Err(StopError::Over));
        assert_eq!(all.stop("b", |_| true), Err(StopError::Unknown));
        assert!(!*stop.borrow());
    }

    #[test]
    fn who_may_not_stop_it_does_not_hear_that_it_is_there() {
        let mut all = Egresses::default();
        let stop = all.open(info("a"));
        assert_eq!(all.stop("a", |room| room == "yard"), Err(StopError::Unknown));
        assert!(!*stop.borrow());
        assert_eq!(all.stop("a", |room| room == "hall"), Ok(()));
        assert!(*stop.borrow());
    }

    #[test]
    fn those_that_ended_longest_ago_are_forgotten() {
        let mut all = Egresses::default();
        let running = all.open(info("runs"));
        for index in 0..2 * MAX_ENDED {
            let id = index.to_string();
            drop(all.open(info(&id)));
            all.tell(&id, Duration::ZERO, Progress::Aborted(String::new()));
        }
        let listed = all.list(|_| true, false);
        assert!(listed.len() <= MAX_ENDED + 2, "{} are listed", listed.len());
        assert_eq!(all.list(|_| true, true).len(), 1);
        assert!(!*running.borrow());
    }
}
