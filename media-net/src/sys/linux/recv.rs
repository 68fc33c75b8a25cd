//! Many datagrams in, in one call.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::ptr;

use super::check;
use super::message::{CONTROL_BYTES, Control, Name, read_control, zeroed_header, zeroed_name};
use super::socket::SocketState;
use crate::sys::{RECV_SLOT_BYTES, RECV_SLOTS, Received};

/// The buffers of one receive call: 1 MiB, of which the kernel touches only what arrives. Not `Send`.
pub(crate) struct RecvBatch {
    headers: Box<[libc::mmsghdr]>,
    parts: Box<[libc::iovec]>,
    names: Box<[Name]>,
    controls: Box<[Control]>,
    bytes: Box<[u8]>,
    filled: usize,
}

impl RecvBatch {
    pub(crate) fn new() -> Self {
        Self {
            headers: vec![zeroed_header(); RECV_SLOTS].into(),
            parts: vec![
                libc::iovec {
                    iov_base: ptr::null_mut(),
                    iov_len: 0
                };
                RECV_SLOTS
            ]
            .into(),
            names: vec![zeroed_name(); RECV_SLOTS].into(),
            controls: vec![Control::EMPTY; RECV_SLOTS].into(),
            bytes: vec![0; RECV_SLOTS * RECV_SLOT_BYTES].into(),
            filled: 0,
        }
    }

    /// Receives what is there, without waiting; gives how many slots were filled. One system call, no allocation.
    pub(crate) fn receive(&mut self, socket: &UdpSocket, _state: &SocketState) -> io::Result<usize> {
        self.filled = 0;
        let slots = self.bytes.chunks_exact_mut(RECV_SLOT_BYTES);
        for (index, slot) in slots.enumerate() {
            self.parts[index] = libc::iovec {
                iov_base: slot.as_mut_ptr().cast(),
                iov_len: slot.len(),
            };
            let header = &mut self.headers[index].msg_hdr;
            header.msg_name = (&raw mut self.names[index]).cast();
            header.msg_namelen = size_of::<Name>() as libc::socklen_t;
            header.msg_iov = &raw mut self.parts[index];
            header.msg_iovlen = 1;
            header.msg_control = (&raw mut self.controls[index]).cast();
            header.msg_controllen = CONTROL_BYTES as _;
        }
        let (headers, count) = (self.headers.as_mut_ptr(), self.headers.len() as u32);
        // SAFETY: `count` headers, each of which names one live part, name and control block of the lengths that it
        // says, all owned by `self`, which is borrowed mutably and not touched during the call.
        let got = unsafe { libc::recvmmsg(socket.as_raw_fd(), headers, count, libc::MSG_DONTWAIT, ptr::null_mut()) };
        self.filled = check(got)? as usize;
        Ok(self.filled)
    }

    /// What the last call received, in order.
    pub(crate) fn received(&mut self) -> impl Iterator<Item = Received<'_>> {
        let slots = self.bytes.chunks_exact_mut(RECV_SLOT_BYTES).take(self.filled);
        slots
            .zip(self.headers.iter())
            .zip(self.names.iter())
            .zip(self.controls.iter())
            .filter_map(|(((slot, header), name), control)| {
                let bytes = slot.get_mut(..header.msg_len as usize)?;
                let control = read_control(control, header.msg_hdr.msg_controllen as _);
                let segment = control.segment.filter(|size| *size > 0);
                Some(Received {
                    segment: segment.unwrap_or_else(|| bytes.len().max(1)),
                    remote: name.addr()?,
                    local: control.local,
                    lost: control.lost,
                    bytes,
                })
            })
    }
}
