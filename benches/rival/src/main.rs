//! The smallest one-to-many forwarder on the crate `str0m`, to measure ours beside: `cargo xtask cost --rival`.
//!
//! A publisher comes by WHIP, watchers by WHEP, as the load wants them (`testkit/src/bin/subscribers.rs`); one UDP
//! socket, one thread for all media, ICE-lite, packets forwarded as they are read (RTP mode). str0m is used as its
//! examples show: no bandwidth estimation, no pacing, one `sendto` for each datagram. Where a choice was cheap, the
//! quicker one was taken: peers are found by a table of addresses, and only those with something to do are driven.
//! Cryptography and DTLS are the libraries that ours has too, so that both agree on the same cipher with a client.
//!
//! It is not a product: no tokens, no TLS, VP8 alone, loopback alone, one publisher in a room. Nor is what it costs
//! what a server on str0m has to cost.
//!
//! | file | one idea |
//! |---|---|
//! | [`http`] | WHIP and WHEP: an offer comes, an answer goes, a session starts or ends |
//! | [`forward`] | the loop: datagrams in, packets from the publisher to the watchers |
//! | [`peer`] | a session of str0m, and what is written to it |
//! | [`profile`] | tells which cipher the media has |

#![forbid(unsafe_code)]

mod forward;
mod http;
mod peer;
mod profile;

use std::error::Error;
use std::net::{TcpListener, UdpSocket};
use std::sync::mpsc;
use std::thread;

use socket2::SockRef;

use crate::forward::Forwarder;

/// Socket buffers that are asked for, as many bytes as our server asks for.
const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    profile::install();
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let _ = SockRef::from(&socket).set_recv_buffer_size(SOCKET_BUFFER_BYTES);
    let _ = SockRef::from(&socket).set_send_buffer_size(SOCKET_BUFFER_BYTES);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let (media, signalling) = (socket.local_addr()?, listener.local_addr()?);
    let (tell, told) = mpsc::channel();
    thread::spawn(move || http::serve(&listener, media, &tell));
    println!("The rival is ready at http://{signalling}");
    Forwarder::new(socket, told)?.run()?;
    Ok(())
}
