//! What goes to a subscriber: one outgoing stream, what was sent of it, and when the next packet goes.
//!
//! RFC 3550 §6.4.1 (sender reports), RFC 4588 (retransmission). A packet on its way out is a [`Note`]: which received
//! packet, under which numbers. The bytes are looked up in the publisher's history when the datagram is written, so a
//! queue of notes costs neither references nor copies.
//!
//! | file | one idea |
//! |---|---|
//! | [`outgoing`] | one outgoing stream: ids, forwarder, log |
//! | [`note`] | which packet under which numbers |
//! | [`log`] | what was sent under which number, for retransmission |
//! | [`demand`] | how much repair goes to a receiver before it asks: redundancy of sound, FEC over pictures |
//! | [`redundancy`] | sound that goes along with later sound |
//! | [`repeat`] | sound that is sent again without a retransmission stream |
//! | [`queue`] | notes that wait for their turn |
//! | [`pacer`] | when the next datagram may go |
//! | [`report`] | sender reports with the publisher's clock |
//! | [`datagram`] | a note becomes RTP in the send buffer |

pub mod datagram;
pub mod demand;
pub mod log;
pub mod note;
pub mod outgoing;
pub mod pacer;
pub mod queue;
pub mod redundancy;
pub mod repeat;
pub mod report;

pub use note::Note;
pub use outgoing::Outgoing;
pub use pacer::Pacer;
pub use queue::Queue;
