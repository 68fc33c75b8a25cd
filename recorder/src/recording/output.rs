//! What comes out of a recording, to be done in this order.

use std::time::Instant;

use bytes::Bytes;

use crate::container::Container;
use crate::frame::{Frame, MediaTime, TrackFormat};

/// What is to be done. Poll until `Timeout`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Output {
    /// Append this line to the log, at once. `durable`: and force it onto the disk.
    Log {
        /// With its line feed.
        line: String,
        /// It is signed.
        durable: bool,
    },
    /// Begin a file.
    Begin {
        /// Its name, without extension; only letters, digits and `-`.
        file: String,
        /// What kind.
        container: Container,
        /// What is in it.
        format: TrackFormat,
        /// Its time zero.
        origin: MediaTime,
    },
    /// Put this frame into a file that was begun.
    Frame {
        /// Which.
        file: String,
        /// The frame, in the recording's time.
        frame: Frame,
    },
    /// The file is finished.
    Finish {
        /// Which.
        file: String,
    },
    /// Give this RTCP packet to the router.
    Feedback(Bytes),
    /// Nothing more for now; call [`super::Recording::handle_timeout`] then.
    Timeout(Option<Instant>),
}
