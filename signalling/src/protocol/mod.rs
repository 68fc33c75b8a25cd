//! The room protocol that the existing client SDKs speak (see `docs/protocol.md`), as an adapter over the rooms.
//!
//! One WebSocket for each client carries protobuf messages. One peer connection carries what it sends and what it
//! receives ("v1"), or one each ("v0"). What works, and what does not yet, stands in `docs/protocol.md`.
//!
//! ```text
//!   WebSocket --frame--> session --request--> client (state machine) --step--> session --> WebSocket, router
//!                                                 ^
//!                                 room (under the hub's lock), whose changes wake the session
//! ```
//!
//! | file | one idea |
//! |---|---|
//! | `door` | paths, and who is let in |
//! | `join` | the request to join, which stands in the address |
//! | `session` | the task of one client |
//! | `client` | the state machine |
//! | `negotiate` | its offers and answers |
//! | `publish` | what the client sends |
//! | `wishes` | what it wants to receive |
//! | `sections` | the media sections of the connection on which it offers |
//! | `downlink` | those of the second one, on which we do |
//! | `media` | what an offer changes in the router |
//! | `roster` | what it knows of the others |
//! | `signals` | what it is told from moment to moment |
//! | `priority` | what is served first on a line without room for all |
//! | `data`, `replay` | data packets, and those of the last moments |
//! | `data_tracks` | data tracks |
//! | `chat` | what people write to all, for parts of the server |
//! | `rpc` | remote calls of the application's server |
//! | `service`, `twirp` | the server API: what is done, and how it is asked for |
//! | `egress`, `outputs` | its calls about recordings, and what they may ask for |
//! | `describe` | the room in the words of the protocol |
//! | `wire` | the messages |

mod chat;
mod client;
mod data;
mod data_tracks;
pub(crate) mod describe;
mod door;
mod downlink;
mod egress;
mod join;
mod media;
mod negotiate;
mod outputs;
mod priority;
mod publish;
mod replay;
mod roster;
mod rpc;
mod sections;
mod service;
mod session;
mod signals;
mod twirp;
pub(crate) mod wire;
mod wishes;

#[cfg(test)]
mod tests;

pub(crate) use data::{Channel, Channels, Delivery, deliver};
pub(crate) use door::routes;
pub(crate) use replay::replay;
pub(crate) use rpc::Calls;
pub(crate) use session::{Command, Handle, MAX_COMMANDS};
pub(crate) use wire::proto::DataChannelReceiveState;
