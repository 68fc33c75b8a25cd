//! Data channels of endpoints: commands in, events out.
//!
//! What a channel is, and all its protocol, is in [`crate::transport::sctp`].

use std::time::Instant;

use crate::config::EndpointId;
use crate::endpoint::Endpoint;
use crate::event::Event;
use crate::router::tables::Table;
use crate::router::{Router, UsageError};
use crate::transport::{
    DataChannelConfig, DataChannelId, DataEvent, DataKind, OpenDataError, SendDataError, Transport,
};

/// Events of data channels that are taken from one endpoint before it is the turn of others.
const TURN: usize = 64;

impl Router {
    /// Makes a data channel to an endpoint, which may be before it is connected. [`Event::DataChannelOpened`] tells
    /// when it can be used, [`Event::DataChannelClosed`] when it never will.
    ///
    /// # Errors
    /// [`UsageError::NoEndpoint`], [`UsageError::NotWebRtc`], [`UsageError::LimitReached`],
    /// [`UsageError::InvalidConfig`].
    pub fn open_data_channel(
        &mut self,
        now: Instant,
        endpoint: EndpointId,
        config: DataChannelConfig,
    ) -> Result<DataChannelId, UsageError> {
        let channel = self.carrier(endpoint)?.open_data_channel(now, config);
        self.wake(Table::<Endpoint>::key(endpoint.0));
        channel.map_err(|error| match error {
            OpenDataError::Unsupported => UsageError::NotWebRtc,
            OpenDataError::LimitReached => UsageError::LimitReached,
            OpenDataError::InvalidConfig => UsageError::InvalidConfig,
        })
    }

    /// Sends a message on a data channel: whole or not at all. Copies it once; SCTP then keeps it until the endpoint
    /// has it, or may miss it.
    ///
    /// # Errors
    /// [`SendDataError`]. After [`SendDataError::Full`] comes [`Event::DataWritable`].
    pub fn send_data(
        &mut self,
        _now: Instant,
        endpoint: EndpointId,
        channel: DataChannelId,
        kind: DataKind,
        data: &[u8],
    ) -> Result<(), SendDataError> {
        let carrier = self.carrier(endpoint).map_err(|_| SendDataError::NoEndpoint)?;
        carrier.send_data(channel, kind, data)?;
        self.wake(Table::<Endpoint>::key(endpoint.0));
        Ok(())
    }

    /// Closes a data channel, after what was sent on it; [`Event::DataChannelClosed`] tells when the endpoint has as
    /// well. Harmless when it is gone.
    pub fn close_data_channel(&mut self, _now: Instant, endpoint: EndpointId, channel: DataChannelId) {
        if let Ok(carrier) = self.carrier(endpoint) {
            carrier.close_data_channel(channel);
            self.wake(Table::<Endpoint>::key(endpoint.0));
        }
    }

    /// Tells the longest message that an endpoint takes, in bytes: `a=max-message-size` of its description, 0 for any.
    /// Without it, 65536 (RFC 8841 §6); more than that is never sent.
    pub fn set_max_message_size(&mut self, _now: Instant, endpoint: EndpointId, bytes: u32) {
        if let Ok(carrier) = self.carrier(endpoint) {
            carrier.set_max_message_size(bytes);
        }
    }

    /// Takes nothing more from an endpoint's data channels, or goes on: for callers that cannot follow. Its window fills
    /// and closes; the endpoint then holds back, without loss on reliable channels.
    pub fn hold_data(&mut self, _now: Instant, endpoint: EndpointId, held: bool) {
        if let Some(peer) = self.endpoints.get_mut(endpoint.0) {
            peer.data_held = held;
            self.wake(Table::<Endpoint>::key(endpoint.0));
        }
    }

    /// Bytes sent on a data channel that the endpoint has not got; `None` when there is no such channel.
    #[must_use]
    pub fn data_buffered(&self, endpoint: EndpointId, channel: DataChannelId) -> Option<usize> {
        self.endpoints.get(endpoint.0)?.transport.data_buffered(channel)
    }

    /// An endpoint that is there to stay.
    fn carrier(&mut self, endpoint: EndpointId) -> Result<&mut Transport, UsageError> {
        let endpoint = self.endpoints.get_mut(endpoint.0).ok_or(UsageError::NoEndpoint)?;
        match endpoint.leaving {
            None => Ok(&mut endpoint.transport),
            Some(_) => Err(UsageError::NoEndpoint),
        }
    }

    /// Takes what has happened to the channels of an endpoint, a turn at a time.
    pub(super) fn tell_data(&mut self, key: usize) {
        for _ in 0..TURN {
            let Some(peer) = self.endpoints.at_mut(key).filter(|peer| !peer.data_held) else {
                return;
            };
            let endpoint = peer.id;
            let Some(event) = peer.transport.poll_data() else {
                return;
            };
            self.tell(match event {
                DataEvent::Opened {
                    channel,
                    config,
                    by_peer,
                } => Event::DataChannelOpened {
                    endpoint,
                    channel,
                    config,
                    by_peer,
                },
                DataEvent::Received { channel, kind, data } => Event::DataReceived {
                    endpoint,
                    channel,
                    kind,
                    data,
                },
                DataEvent::Writable { channel } => Event::DataWritable { endpoint, channel },
                DataEvent::Closed { channel } => Event::DataChannelClosed { endpoint, channel },
            });
        }
        self.wake(key);
    }
}
