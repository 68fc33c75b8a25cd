//! The thread that writes files. Everything that is slow about a disk happens here and nowhere else.
//!
//! Jobs come in order through a channel; what they hold is bounded by their bytes, see [`Disk::has_room`]. Events go to the
//! function that was given at the start, on this thread.

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::container::{Container, Fragment, Output, Patch, Pieces};
use crate::frame::MediaTime;
use crate::recover;

/// Most pieces of one system call; Linux takes 1024.
const VECTORS: usize = 1024;
/// What a job counts in the queue beside its bytes.
const JOB_COST: usize = 256;

/// When what was written is forced onto the disk, so that it survives the loss of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sync {
    /// After each fragment: no more is lost than when the program dies. Costs a write barrier per file and fragment.
    EachFragment,
    /// When this time has passed since the last time, per file.
    Every(Duration),
    /// When the system likes, some 30 s later; also not at the end.
    Never,
}

/// How files are written.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "made by callers, with `..Default::default()`")]
pub struct DiskConfig {
    /// When to sync.
    pub sync: Sync,
    /// The most bytes that wait for the disk, for all files together.
    pub queue: usize,
}

impl Default for DiskConfig {
    /// Synced at each fragment; 64 MiB, which is two seconds of 100 tracks of 2.5 Mbit/s.
    fn default() -> Self {
        Self {
            sync: Sync::EachFragment,
            queue: 64 << 20,
        }
    }
}

/// What has become of a file.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// It is there, and what comes will be written to it.
    Created {
        /// Which.
        path: PathBuf,
    },
    /// It is finished.
    Finished {
        /// Which.
        path: PathBuf,
        /// Its length in bytes.
        len: u64,
        /// When its last frame ends, since its time zero.
        end: MediaTime,
        /// How long finishing took, once it was its turn.
        took: Duration,
    },
    /// Nothing more is written to it.
    Failed {
        /// Which.
        path: PathBuf,
        /// What was tried.
        operation: Operation,
        /// What the system said.
        cause: io::Error,
        /// Until when it can be played: when the last frame that is whole ends.
        end: MediaTime,
    },
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created { path } => write!(f, "recording into {}", path.display()),
            Self::Finished { path, len, end, .. } => {
                let seconds = end.since_start().as_secs_f64();
                write!(f, "{} is finished: {seconds:.1} s, {len} bytes", path.display())
            }
            Self::Failed {
                path,
                operation,
                cause,
                end,
            } => {
                let seconds = end.since_start().as_secs_f64();
                let what = match operation {
                    Operation::Create => "cannot be created",
                    Operation::Write => "cannot be written",
                    Operation::Sync => "cannot be synced",
                    Operation::Find => "is no longer in its place",
                };
                write!(f, "{} {what}: {cause}; it is good up to {seconds:.1} s", path.display())
            }
        }
    }
}

/// What was tried with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operation {
    /// To create it.
    Create,
    /// To write to it.
    Write,
    /// To force it onto the disk.
    Sync,
    /// To find it where it was created: it, or its folder, was removed or moved.
    Find,
}

/// The thread, seen from outside. When the last handle of it and of its files is gone, it writes what waits and ends.
#[derive(Debug)]
pub struct Disk {
    jobs: Sender<Job>,
    queued: Arc<AtomicUsize>,
    limit: usize,
    last: AtomicU64,
    thread: Option<JoinHandle<()>>,
}

enum Job {
    Create {
        id: u64,
        path: PathBuf,
        container: Container,
        failed: Arc<AtomicBool>,
    },
    Append(u64, Fragment),
    Patch(u64, Patch),
    Finish(u64),
    Replace(PathBuf, Bytes, Then),
    /// Nothing more comes, and it is not finished.
    Close(u64),
    /// Tell when all before this is done.
    Barrier(Sender<()>),
    Stop,
}

/// What is done when a file is in its place, on the thread of the disk.
pub(super) type Then = Box<dyn FnOnce() + Send>;

impl Job {
    fn cost(&self) -> usize {
        JOB_COST
            + match self {
                Self::Append(_, fragment) => fragment.pieces.len(),
                Self::Patch(_, patch) => patch.bytes.len(),
                Self::Replace(_, bytes, _) => bytes.len(),
                _ => 0,
            }
    }
}

impl Disk {
    /// Starts the thread; `tell` is called on it.
    ///
    /// # Errors
    ///
    /// When the system gives no thread.
    pub fn start(config: DiskConfig, tell: impl FnMut(Event) + Send + 'static) -> io::Result<Self> {
        let (jobs, inbox) = channel();
        let queued = Arc::new(AtomicUsize::new(0));
        let work = Work {
            files: HashMap::new(),
            sync: config.sync,
            tell: Box::new(tell),
        };
        let count = Arc::clone(&queued);
        let thread = thread::Builder::new()
            .name("recorder disk".into())
            .spawn(move || work.run(&inbox, &count))?;
        Ok(Self {
            jobs,
            queued,
            limit: config.queue,
            last: AtomicU64::new(0),
            thread: Some(thread),
        })
    }

    /// Whether more may be given to it. Who does not ask is not refused: the queue is bounded by those who ask.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.queued() < self.limit
    }

    /// How many bytes wait.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    /// Creates a file. That it cannot be is told as an event; what is written to it then, is nothing.
    pub fn create(&self, path: &Path, container: Container) -> DiskFile {
        let id = self.last.fetch_add(1, Ordering::Relaxed);
        let failed = Arc::new(AtomicBool::new(false));
        let file = DiskFile {
            id,
            jobs: self.jobs.clone(),
            queued: Arc::clone(&self.queued),
            failed: Arc::clone(&failed),
        };
        file.send(Job::Create {
            id,
            path: path.to_owned(),
            container,
            failed,
        });
        file
    }

    /// Waits until everything that was given so far is written. Blocks as long as the disk needs.
    pub fn wait(&self) {
        let (done, written) = channel();
        send(&self.jobs, &self.queued, Job::Barrier(done));
        // The thread is gone when there was a panic over there; then there is nothing to wait for.
        let _ = written.recv();
    }

    /// Puts a small file in the place of another: whoever reads gets the old one or the new one.
    pub fn replace(&self, path: &Path, bytes: impl Into<Bytes>) {
        self.replace_then(path, bytes.into(), Box::new(|| ()));
    }

    /// The same; then, unless it fails, `then` is called.
    pub(super) fn replace_then(&self, path: &Path, bytes: Bytes, then: Then) {
        send(&self.jobs, &self.queued, Job::Replace(path.to_owned(), bytes, then));
    }
}

impl Drop for Disk {
    /// Waits until all that was given is written.
    fn drop(&mut self) {
        send(&self.jobs, &self.queued, Job::Stop);
        if let Some(thread) = self.thread.take() {
            // A panic over there has been told already.
            let _ = thread.join();
        }
    }
}

/// A file, seen from outside. Dropped without [`Self::finish`], it is closed after its last whole fragment.
#[derive(Debug)]
pub struct DiskFile {
    id: u64,
    jobs: Sender<Job>,
    queued: Arc<AtomicUsize>,
    failed: Arc<AtomicBool>,
}

impl DiskFile {
    /// Gives what a muxer made. Never blocks.
    pub fn write(&self, output: Output) {
        self.send(match output {
            Output::Append(fragment) => Job::Append(self.id, fragment),
            Output::Patch(patch) => Job::Patch(self.id, patch),
        });
    }

    /// Nothing more comes.
    pub fn finish(self) {
        self.send(Job::Finish(self.id));
    }

    /// Nothing is written to it any more; an event said why.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    fn send(&self, job: Job) {
        send(&self.jobs, &self.queued, job);
    }
}

impl Drop for DiskFile {
    /// After [`Self::finish`] there is nothing left to close.
    fn drop(&mut self) {
        self.send(Job::Close(self.id));
    }
}

fn send(jobs: &Sender<Job>, queued: &AtomicUsize, job: Job) {
    let cost = job.cost();
    queued.fetch_add(cost, Ordering::Relaxed);
    // The thread is gone when `Disk` is: then nobody writes.
    if jobs.send(job).is_err() {
        queued.fetch_sub(cost, Ordering::Relaxed);
    }
}

/// The inside of the thread.
struct Work {
    files: HashMap<u64, Open>,
    sync: Sync,
    tell: Box<dyn FnMut(Event) + Send>,
}

struct Open {
    file: File,
    path: PathBuf,
    /// Which file it is on its file system.
    inode: (u64, u64),
    container: Container,
    len: u64,
    end: MediaTime,
    synced: Instant,
    finishing: Duration,
    failed: Arc<AtomicBool>,
}

impl Work {
    fn run(mut self, inbox: &Receiver<Job>, queued: &AtomicUsize) {
        while let Ok(job) = inbox.recv() {
            let cost = job.cost();
            let stop = matches!(job, Job::Stop);
            self.job(job);
            queued.fetch_sub(cost, Ordering::Relaxed);
            if stop {
                break;
            }
        }
    }

    fn job(&mut self, job: Job) {
        match job {
            Job::Create {
                id,
                path,
                container,
                failed,
            } => match Open::create(&path, container, Arc::clone(&failed), self.sync) {
                Ok(open) => {
                    self.files.insert(id, open);
                    (self.tell)(Event::Created { path });
                }
                Err(cause) => {
                    failed.store(true, Ordering::Relaxed);
                    (self.tell)(Event::Failed {
                        path,
                        operation: Operation::Create,
                        cause,
                        end: MediaTime::ZERO,
                    });
                }
            },
            Job::Append(id, fragment) => {
                let sync = self.sync;
                self.with(id, |open| open.append(&fragment, sync));
            }
            Job::Patch(id, patch) => self.with(id, |open| open.patch(&patch)),
            Job::Finish(id) => {
                let sync = self.sync;
                self.with(id, |open| open.finish(sync));
                if let Some(open) = self.files.remove(&id) {
                    (self.tell)(Event::Finished {
                        path: open.path,
                        len: open.len,
                        end: open.end,
                        took: open.finishing,
                    });
                }
            }
            Job::Replace(path, bytes, then) => match recover::replace(&path, &bytes) {
                Ok(()) => then(),
                Err(cause) => (self.tell)(Event::Failed {
                    path,
                    operation: Operation::Write,
                    cause,
                    end: MediaTime::ZERO,
                }),
            },
            Job::Close(id) => {
                if let Some(mut open) = self.files.remove(&id) {
                    open.salvage();
                }
            }
            Job::Barrier(done) => drop(done.send(())),
            Job::Stop => {}
        }
    }

    /// Does something with a file; what fails ends it.
    fn with(&mut self, id: u64, work: impl FnOnce(&mut Open) -> Result<(), Failure>) {
        let Some(open) = self.files.get_mut(&id) else { return };
        let Err(Failure(operation, cause)) = work(open) else {
            return;
        };
        open.failed.store(true, Ordering::Relaxed);
        open.salvage();
        if let Some(open) = self.files.remove(&id) {
            (self.tell)(Event::Failed {
                path: open.path,
                operation,
                cause,
                end: open.end,
            });
        }
    }
}

/// What went wrong with which operation.
struct Failure(Operation, io::Error);

impl Open {
    fn create(path: &Path, container: Container, failed: Arc<AtomicBool>, sync: Sync) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        // So that nobody recovers what is being written. Nobody else knows of the file yet.
        file.lock()?;
        if sync != Sync::Never
            && let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty())
        {
            File::open(folder)?.sync_all()?;
        }
        Self::new(file, path, container, failed)
    }

    fn new(file: File, path: &Path, container: Container, failed: Arc<AtomicBool>) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self {
            file,
            path: path.to_owned(),
            inode: (metadata.dev(), metadata.ino()),
            container,
            len: 0,
            end: MediaTime::ZERO,
            synced: Instant::now(),
            finishing: Duration::ZERO,
            failed,
        })
    }

    fn append(&mut self, fragment: &Fragment, sync: Sync) -> Result<(), Failure> {
        let start = Instant::now();
        self.find()?;
        write_all(&mut self.file, &fragment.pieces).map_err(|cause| Failure(Operation::Write, cause))?;
        self.len += fragment.pieces.len() as u64;
        self.end = self.end.max(fragment.end);
        let due = match sync {
            Sync::EachFragment => true,
            Sync::Every(time) => self.synced.elapsed() >= time,
            Sync::Never => false,
        };
        if due {
            self.file.sync_data().map_err(|cause| Failure(Operation::Sync, cause))?;
            self.synced = Instant::now();
        }
        // Only the last one counts: see `finish`.
        self.finishing = start.elapsed();
        Ok(())
    }

    fn patch(&mut self, patch: &Patch) -> Result<(), Failure> {
        let start = Instant::now();
        let written = self.file.write_all_at(&patch.bytes, patch.at);
        self.finishing += start.elapsed();
        written.map_err(|cause| Failure(Operation::Write, cause))
    }

    fn finish(&mut self, sync: Sync) -> Result<(), Failure> {
        let start = Instant::now();
        self.find()?;
        if sync != Sync::Never {
            self.file.sync_all().map_err(|cause| Failure(Operation::Sync, cause))?;
        }
        self.finishing += start.elapsed();
        self.unlock();
        Ok(())
    }

    /// Not left to closing: a process that is being started may hold the same description a moment longer.
    fn unlock(&self) {
        // Where locks cannot be taken, creating the file has failed.
        let _ = self.file.unlock();
    }

    /// Is the file still where its name says? One that was removed could be written for hours, for nothing.
    fn find(&self) -> Result<(), Failure> {
        let there = fs::metadata(&self.path).map(|found| (found.dev(), found.ino()));
        match there {
            Ok(inode) if inode == self.inode => Ok(()),
            Ok(_) => Err(Failure(Operation::Find, io::ErrorKind::NotFound.into())),
            Err(cause) => Err(Failure(Operation::Find, cause)),
        }
    }

    /// Cuts what is not whole and closes the file as after a crash, as far as the disk still lets us.
    fn salvage(&mut self) {
        let cut = self.file.set_len(self.len);
        if let Ok(recover::Outcome::Repaired { end, .. }) =
            cut.and_then(|()| recover::open_file(&self.file, self.container))
        {
            self.end = end;
        }
        self.unlock();
    }
}

/// Writes all pieces in as few system calls as possible.
fn write_all(file: &mut impl Write, pieces: &Pieces) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = pieces.slices().map(IoSlice::new).collect();
    let mut left = &mut slices[..];
    while !left.is_empty() {
        let some = left.len().min(VECTORS);
        match file.write_vectored(&left[..some]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(len) => IoSlice::advance_slices(&mut left, len),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
