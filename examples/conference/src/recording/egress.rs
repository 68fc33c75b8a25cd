//! What the server API asks for ("egress"), and what it is told of each recording: also of those that people have begun.
//!
//! The people are asked as of any other recording: until they have answered it is `EGRESS_STARTING`, and it is aborted when
//! nobody agrees. It is complete when all files are closed.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::Path;
use std::sync::Weak;
use std::time::Duration;

use althing_recorder::consent::{EndCause, Event};
use althing_recorder::recording::{Manifest, folder};
use althing_signalling::egress::{EgressJob, EgressOrder, FileResult, Files, Progress};
use tokio::sync::mpsc;

use super::room::{self, Asked, Begun};
use super::{Recorder, Shared, Wish};

/// Carries out orders for as long as there is a recorder.
pub(super) async fn serve(recorder: Weak<Shared>, mut orders: mpsc::Receiver<EgressOrder>) {
    while let Some(order) = orders.recv().await {
        let Some(shared) = recorder.upgrade() else { return };
        tokio::spawn(async move {
            let asked = Asked {
                by: None,
                wanted: order.wanted().clone(),
            };
            match room::begin(&Recorder(shared), order.room(), asked).await {
                Ok(begun) => follow(order.accept(), begun).await,
                Err((status, sentence)) => order.refuse(status, sentence),
            }
        });
    }
}

/// Tells how a recording goes on, and ends it when the server API wants that.
pub(super) async fn follow(mut job: EgressJob, mut begun: Begun) {
    let mut stopped = false;
    let ended = loop {
        let state = begun.status.borrow_and_update().state.clone();
        match state.as_str() {
            "running" => job.tell(Progress::Active),
            "over" => job.tell(Progress::Ending),
            _ => {}
        }
        tokio::select! {
            // The end comes another way.
            Ok(()) = begun.status.changed() => {}
            ended = &mut begun.end => break ended,
            () = job.stopped(), if !stopped => {
                stopped = true;
                // Where nobody takes it any more, it is over.
                let _ = begun.wishes.send(Wish::Stop).await;
            }
        }
    };
    job.tell(Progress::Ending);
    let path = begun.path;
    job.tell(match ended.as_ref().map(|ended| &ended.result) {
        Err(_) => Progress::Failed("It has broken off.".to_owned()),
        Ok(Err(why)) => Progress::Failed(why.clone()),
        Ok(Ok(())) => match tokio::task::spawn_blocking(move || outcome(&path)).await {
            Ok(Ok(progress)) => progress,
            Ok(Err(error)) => Progress::Failed(format!("What was recorded cannot be read: {error}")),
            Err(_) => Progress::Failed("What was recorded cannot be read.".to_owned()),
        },
    });
}

/// What has come of it, as its manifest says.
fn outcome(path: &Path) -> io::Result<Progress> {
    let manifest = BufReader::new(File::open(path.join(folder::MANIFEST))?);
    let manifest: Manifest = serde_json::from_reader(manifest)?;
    let mut events = manifest.consent.iter().map(|one| &one.value);
    if !events.any(|event| *event == Event::Began) {
        let nobody = |event: &Event| matches!(event, Event::Ended { cause } if *cause == EndCause::NobodyAgrees);
        let nobody = manifest.consent.iter().any(|one| nobody(&one.value));
        let why = if nobody {
            "Nobody agreed to be recorded."
        } else {
            "It was ended before all had answered."
        };
        return Ok(Progress::Aborted(why.to_owned()));
    }
    let name = |file: &str| format!("{}/{file}", manifest.recording);
    let zero = Duration::from_millis(manifest.unix_ms);
    let mut files = Vec::new();
    let tracks = manifest.tracks.iter().flat_map(|track| &track.files);
    for file in manifest.mix.iter().chain(tracks) {
        let size = match fs::metadata(path.join(&file.file)) {
            Ok(about) => about.len(),
            // One that could not even be made is no reason to fail the others.
            Err(error) if error.kind() == io::ErrorKind::NotFound && file.problem.is_some() => continue,
            Err(error) => return Err(error),
        };
        files.push(FileResult {
            size,
            name: name(&file.file),
            from: zero + Duration::from_nanos(file.from),
            duration: Duration::from_nanos(file.until.saturating_sub(file.from)),
        });
    }
    let manifest = name(folder::MANIFEST);
    Ok(Progress::Complete(Files { files, manifest }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_never_came_to_be_does_not_fail_the_others() {
        let path = std::env::temp_dir().join(format!("althing-outcome-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        let file = |name: &str, problem: Option<&str>| serde_json::json!({"file": name, "from": 0, "until": 1, "problem": problem});
        let tell = |problem| {
            let manifest = serde_json::json!({
                "version": 1, "recording": "r", "room": "r", "unix_ms": 0, "duration": 1, "complete": true,
                "people": [], "tracks": [], "speakers": [], "chat": [], "chapters": [],
                "consent": [{"at": 0, "value": {"consent": "began"}}], "deleted": [], "keep_days": null, "missed": 0,
                "log": {"lines": 0, "hash": "", "key": ""},
                "mix": [file("good.webm", None), file("missing.webm", problem)],
            });
            fs::write(path.join(folder::MANIFEST), manifest.to_string()).unwrap();
            outcome(&path)
        };
        fs::write(path.join("good.webm"), [7; 10]).unwrap();
        let Progress::Complete(told) = tell(Some("no space")).unwrap() else {
            panic!("it is complete");
        };
        let sizes: Vec<_> = told.files.iter().map(|file| (file.name.as_str(), file.size)).collect();
        assert_eq!(sizes, [("r/good.webm", 10)]);
        assert!(tell(None).is_err(), "one that is gone is told");
        fs::remove_dir_all(&path).unwrap();
    }
}
