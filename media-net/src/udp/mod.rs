//! UDP: sockets, the arena that datagrams are written to, and the trains that leave from it.
//!
//! | file | one idea |
//! |---|---|
//! | [`arena`] | consecutive datagrams of one size to one address become a train |
//! | [`socket`] | one bound socket: options, addresses, and what to do when the kernel refuses |
//! | [`room`] | all sockets of a worker |

pub(crate) mod arena;
pub(crate) mod room;
pub(crate) mod socket;

pub(crate) use arena::SendArena;
pub(crate) use room::UdpRoom;
pub(crate) use socket::{UdpSocket, bind_shared};
