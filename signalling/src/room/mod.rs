//! The room model: participants, their connections, tracks, and what each watcher wants to see. Knows no protocol.
//!
//! Sans-I/O and without a clock: calls come in, [`Room::poll_effect`] says what the media router must do and
//! [`Room::poll_event`] what has happened. A protocol (WHIP and WHEP today) is an adapter: it turns its messages into
//! calls, runs the effects on the room's router, and tells events to its clients.
//!
//! ```text
//!   participant (identity)            a person or a device, as the token names it
//!     └ connection (endpoint)         one transport of theirs: a WHIP or WHEP session, a peer connection
//!         ├ track                     what it publishes, there for others once the connection is active
//!         └ slot (subscription)       an outgoing stream, fed by the track that the connection's view points to
//! ```
//!
//! | file | one idea |
//! |---|---|
//! | [`data`] | data tracks |
//! | [`lifetime`] | how long a room lasts |
//! | [`model`] | the room: who is there, who leaves |
//! | [`outcome`] | effects and events |
//! | [`participant`] | one participant and what belongs to them |
//! | `publish` | what connections publish |
//! | [`settings`] | how a room is to be made |
//! | `speakers` | who speaks, who is shown and heard for it |
//! | [`view`] | which track feeds which slot |

pub mod data;
pub mod lifetime;
pub mod model;
pub mod outcome;
pub mod participant;
mod publish;
pub mod settings;
mod speakers;
pub mod view;

#[cfg(test)]
mod tests;

pub use data::{DataTrack, DataTrackError, NewDataTrack};
pub use lifetime::{DEPARTURE_TIMEOUT, EMPTY_TIMEOUT, EndReason, Timeouts};
pub use model::{CONNECT_TIMEOUT, JoinError, NewTrack, Room, RoomLimits};
pub use outcome::{Effect, RoomEvent};
pub use participant::{
    Admission, Audience, Connection, ConnectionId, ConnectionState, Departure, Encryption, Features, LayerSize,
    MAX_FEATURES, Participant, ParticipantSid, Permissions, Profile, PublishError, Quality, RESERVED, Source, Track,
    TrackDetails, TrackSid,
};
pub use settings::{BadSetting, MAX_METADATA, RoomSettings};
pub use view::{Slot, Target, View};
