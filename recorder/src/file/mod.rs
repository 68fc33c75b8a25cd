//! Files on a disk (feature `file`): one thread writes them all, behind a queue that never blocks who records.
//!
//! | file | one idea |
//! |---|---|
//! | [`disk`] | the thread: appends, patches, syncs; says what fails |
//! | [`writer`] | one recording: muxer, segments, playlist, and what to leave out when the disk is slow |
//!
//! # What is on the disk when
//!
//! * The **program dies**: all fragments that were given out, which is all but what the muxer holds (at most
//!   [`MuxerConfig::fragment`](crate::container::MuxerConfig::fragment) and
//!   [`MuxerConfig::settle`](crate::container::MuxerConfig::settle)) and what waits in the queue.
//! * The **machine dies**: what was synced, see [`Sync`].
//! * The **disk is full**, broken or gone: everything up to the last fragment that was whole; the file is closed as
//!   [`crate::recover`] does it, in the room that was set aside at its beginning, and [`Event::Failed`] names it and the
//!   cause. Other files go on.
//! * The **disk is slow**: the queue fills up to [`DiskConfig::queue`] bytes; from then on frames are left out, pictures up
//!   to the next keyframe, and counted.
//!
//! Not here: what to record; names of files; uploads.

pub mod disk;
pub mod writer;

pub use disk::{Disk, DiskConfig, Event, Operation, Sync};
pub use writer::{Taken, Writer, WriterConfig};
