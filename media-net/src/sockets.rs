//! Binds all sockets before any thread starts, so that an error leaves nothing behind.

use std::io;
use std::net::{SocketAddr, TcpListener};

use althing_media_core::config::LocalAddress;
use althing_media_core::transport::Protocol;

use crate::addresses::local_addresses;
use crate::config::NetConfig;
use crate::net::StartError;
use crate::tcp;
use crate::udp::{self, UdpSocket};

/// All bound sockets.
pub(crate) struct Sockets {
    /// By worker.
    pub(crate) udp: Vec<Vec<UdpSocket>>,
    pub(crate) tcp: Vec<TcpListener>,
    pub(crate) local: Vec<LocalAddress>,
}

impl Sockets {
    /// Binds what `config` names, for so many workers. Errors name the first address that cannot be bound.
    pub(crate) fn bind(config: &NetConfig, workers: usize) -> Result<Self, StartError> {
        let mut all = Self {
            udp: Vec::new(),
            tcp: Vec::new(),
            local: Vec::new(),
        };
        all.udp.resize_with(workers, Vec::new);
        for &addr in &config.udp {
            let failed = |source| StartError::Bind {
                protocol: Protocol::Udp,
                addr,
                source,
            };
            for (index, socket) in udp::bind_shared(addr, workers).map_err(failed)?.into_iter().enumerate() {
                let socket = UdpSocket::new(socket, config.gso, config.gro, workers > 1).map_err(failed)?;
                if index == 0 {
                    if let Some(bytes) = socket.short_buffer() {
                        // Once for each address, and with the cure.
                        tracing::warn!(%addr, bytes, "the kernel grants a small UDP buffer: raise net.core.rmem_max");
                    }
                    all.local
                        .extend(local_addresses(Protocol::Udp, socket.local, &config.advertised));
                }
                all.udp[index].push(socket);
            }
        }
        for &addr in &config.own_udp {
            // The addresses of a machine come and go: without one the server still serves.
            if let Err(error) = all.bind_own(addr, config, workers) {
                tracing::warn!(%addr, %error, "not reachable there from this machine");
            }
        }
        for &addr in &config.tcp {
            let failed = |source| StartError::Bind {
                protocol: Protocol::Tcp,
                addr,
                source,
            };
            let listener = tcp::listen(addr).map_err(failed)?;
            let bound = listener.local_addr().map_err(failed)?;
            all.local
                .extend(local_addresses(Protocol::Tcp, bound, &config.advertised));
            all.tcp.push(listener);
        }
        Ok(all)
    }

    fn bind_own(&mut self, addr: SocketAddr, config: &NetConfig, workers: usize) -> io::Result<()> {
        let sockets = udp::bind_shared(addr, workers)?.into_iter();
        let sockets = sockets.map(|socket| UdpSocket::new(socket, config.gso, config.gro, workers > 1));
        let sockets: Vec<UdpSocket> = sockets.collect::<io::Result<_>>()?;
        // An advertised address is for others: this machine is told the true one.
        self.local.extend(local_addresses(
            Protocol::Udp,
            sockets.first().map_or(addr, |one| one.local),
            &[],
        ));
        for (all, socket) in self.udp.iter_mut().zip(sockets) {
            all.push(socket.keep_to_own());
        }
        Ok(())
    }
}
