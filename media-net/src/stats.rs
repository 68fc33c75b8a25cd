//! What the sockets did, in numbers that any thread can read without a lock.
//!
//! A worker counts in plain integers and publishes them once per turn of its loop; readers see each number whole, and
//! different numbers of the same turn or the one before.

use std::sync::atomic::{AtomicU64, Ordering};

/// Writes the plain and the shared form of the same list of counters.
macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters of one worker, or their sum; they only grow, unless they say otherwise.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct NetStats {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl NetStats {
            /// Adds those of another worker.
            pub fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }
        }

        /// The published form.
        #[derive(Debug, Default)]
        pub(crate) struct SharedStats {
            $($name: AtomicU64,)*
        }

        impl SharedStats {
            pub(crate) fn publish(&self, stats: &NetStats) {
                $(self.$name.store(stats.$name, Ordering::Relaxed);)*
            }

            pub(crate) fn read(&self) -> NetStats {
                NetStats { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Turns of the worker's loop: how often it woke up.
    turns,
    /// Part of the last whole second that the worker was busy, in thousandths. Goes up and down.
    busy_permille,
    /// Commands run.
    commands,
    /// UDP datagrams received.
    datagrams_in,
    /// Their bytes.
    bytes_in,
    /// UDP messages received: a train that the kernel joined counts as one.
    messages_in,
    /// UDP datagrams that the kernel dropped because the worker came too late (Linux).
    lost_by_kernel,
    /// UDP datagrams handed to the kernel.
    datagrams_out,
    /// Their bytes.
    bytes_out,
    /// UDP messages handed to the kernel: a train counts as one.
    messages_out,
    /// Trains among them.
    trains_out,
    /// Trains that the kernel refused and that were sent again datagram by datagram.
    trains_refused,
    /// Datagrams dropped because the socket's send buffer stayed full.
    dropped_send_full,
    /// Datagrams dropped because the kernel refused them (no route, too long, …).
    dropped_send_error,
    /// Datagrams dropped because no socket of the worker has the route's local address.
    dropped_no_socket,
    /// Datagrams that belonged to another worker and were handed over.
    handed_over,
    /// Datagrams taken over from another worker.
    taken_over,
    /// Datagrams dropped because the other worker's box was full (or they were too long for it).
    dropped_handover,
    /// Datagrams dropped because they came from another machine to a socket that is for this one only.
    dropped_foreign,
    /// Remote addresses that could not be announced because the table was full.
    announce_full,
    /// TCP connections accepted.
    tcp_accepted,
    /// TCP connections refused because there were too many.
    tcp_refused,
    /// TCP connections closed because of what they sent or did not send.
    tcp_rejected,
    /// TCP connections open now, on this worker. Goes up and down.
    tcp_open,
    /// Frames received over TCP.
    tcp_frames_in,
    /// Frames sent, or queued, over TCP.
    tcp_frames_out,
    /// Frames dropped because a slow reader's queue was full, or its connection gone.
    tcp_dropped,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publish_and_add() {
        let stats = NetStats {
            turns: 2,
            tcp_dropped: 3,
            ..NetStats::default()
        };
        let shared = SharedStats::default();
        shared.publish(&stats);
        let mut sum = shared.read();
        sum.add(&stats);
        assert_eq!((sum.turns, sum.tcp_dropped, sum.bytes_in), (4, 6, 0));
    }
}
