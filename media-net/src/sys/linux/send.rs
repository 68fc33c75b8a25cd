//! Many datagrams out, in one call.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::ptr;

use super::check;
use super::message::{Control, Name, write_control, zeroed_header, zeroed_name};
use super::socket::SocketState;
use crate::sys::{Message, SEND_MESSAGES};

/// The headers of one send call. Not `Send`.
pub(crate) struct SendBatch {
    headers: Box<[libc::mmsghdr]>,
    parts: Box<[libc::iovec]>,
    names: Box<[Name]>,
    controls: Box<[Control]>,
}

impl SendBatch {
    pub(crate) fn new() -> Self {
        Self {
            headers: vec![zeroed_header(); SEND_MESSAGES].into(),
            parts: vec![
                libc::iovec {
                    iov_base: ptr::null_mut(),
                    iov_len: 0
                };
                SEND_MESSAGES
            ]
            .into(),
            names: vec![zeroed_name(); SEND_MESSAGES].into(),
            controls: vec![Control::EMPTY; SEND_MESSAGES].into(),
        }
    }

    /// Sends `messages` (at most [`SEND_MESSAGES`] of them) of `arena` without waiting; gives how many the kernel
    /// took. An error belongs to the first. One system call, no allocation.
    pub(crate) fn send(
        &mut self,
        socket: &UdpSocket,
        _state: &SocketState,
        arena: &[u8],
        messages: &[Message],
    ) -> io::Result<usize> {
        let mut count = 0_u32;
        for (index, message) in messages.iter().take(SEND_MESSAGES).enumerate() {
            let bytes = &arena[message.start..message.start + message.len];
            // The kernel only reads from it, but C knows one iovec for both directions.
            self.parts[index] = libc::iovec {
                iov_base: bytes.as_ptr().cast_mut().cast(),
                iov_len: bytes.len(),
            };
            let name_len = self.names[index].set(message.remote);
            let header = &mut self.headers[index].msg_hdr;
            header.msg_name = (&raw mut self.names[index]).cast();
            header.msg_namelen = name_len;
            header.msg_iov = &raw mut self.parts[index];
            header.msg_iovlen = 1;
            header.msg_control = ptr::null_mut();
            header.msg_controllen = 0;
            if message.segment.is_some() || message.source.is_some() {
                write_control(header, &mut self.controls[index], message);
            }
            count += 1;
        }
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: `count` headers, each of which names one live part, name and control block of the lengths that it
        // says; parts lead into `arena`, which is borrowed during the call and only read by it.
        let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), self.headers.as_mut_ptr(), count, flags as _) };
        check(sent).map(|sent| sent as usize)
    }
}
