//! Data packets: what one client sends on its channels goes to the others on the channel of the same sort.
//!
//! The server says who has sent a packet, whatever the packet says, and looks at nothing else but for whom it is. Numbers
//! that a sender gives its reliable packets are kept; a packet that was there before is dropped.

use std::collections::HashMap;
use std::time::Instant;

use althing_media_core::config::EndpointId;
use althing_media_core::{DataChannelConfig, DataChannelId};
use prost::Message as _;

use super::chat::Texts;
use super::data_tracks;
use super::replay::Recent;
use super::session::Handle;
use super::wire::proto;
use crate::room::{Connection, ConnectionId, Room};

/// Channels that one client may have open: more mean nothing to us.
const MAX_CHANNELS: usize = 16;

/// The channels of a client that are used. With one connection they are made by the client, and both sides send on them;
/// with two, it sends on those that it has made itself and receives on those that we have made.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    open: Vec<Open>,
    /// The number of the last reliable packet.
    last: u32,
    recent: Recent,
    texts: Texts,
    /// The last message to all; it waits for one moment.
    said: Option<String>,
}

/// What a channel is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Channel {
    /// Packets that must arrive.
    Reliable,
    /// Packets that may be lost.
    Lossy,
    /// Frames of data tracks.
    Tracks,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    what: Channel,
    endpoint: EndpointId,
    id: DataChannelId,
}

/// A packet on its way.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(super) frame: Vec<u8>,
    pub(super) to: Vec<To>,
}

/// One who gets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct To {
    pub(super) endpoint: EndpointId,
    pub(super) channel: DataChannelId,
    /// Of a data track: its number there.
    pub(super) handle: Option<u16>,
}

/// Whom a packet is for: those who are named, or all when nobody is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Meant {
    sids: Vec<String>,
    identities: Vec<String>,
}

impl Meant {
    fn is_all(&self) -> bool {
        self.sids.is_empty() && self.identities.is_empty()
    }

    pub(super) fn includes(&self, handle: &Handle) -> bool {
        self.is_all() || self.sids.contains(&handle.sid.0) || self.identities.contains(&handle.identity)
    }
}

impl Channels {
    /// A channel can be used. Others than ours mean nothing.
    pub(crate) fn open(&mut self, label: &str, endpoint: EndpointId, id: DataChannelId) {
        if let Some(what) = Channel::named(label)
            && self.open.len() < MAX_CHANNELS
        {
            self.open.push(Open { what, endpoint, id });
        }
    }

    /// A channel is gone.
    pub(crate) fn close(&mut self, endpoint: EndpointId, id: DataChannelId) {
        self.open.retain(|one| (one.endpoint, one.id) != (endpoint, id));
    }

    /// The number of the last reliable packet that has come.
    pub(crate) fn last(&self) -> u32 {
        self.last
    }

    /// A message to all in the chat, when the last packet has made it whole.
    pub(crate) fn take_said(&mut self) -> Option<String> {
        self.said.take()
    }

    /// The last reliable packets.
    pub(super) fn recent(&self) -> &Recent {
        &self.recent
    }

    /// What a channel is for.
    fn what(&self, endpoint: EndpointId, id: DataChannelId) -> Option<Channel> {
        let mut open = self.open.iter();
        let found = open.find(|one| (one.endpoint, one.id) == (endpoint, id))?;
        Some(found.what)
    }

    /// Where something is sent to the client of this connection: on its first endpoint, on the newest channel.
    pub(super) fn way(&self, connection: Option<&Connection>, what: Channel) -> Option<(EndpointId, DataChannelId)> {
        let endpoint = connection?.endpoint()?;
        let mut open = self.open.iter().rev();
        let found = open.find(|one| (one.what, one.endpoint) == (what, endpoint))?;
        Some((endpoint, found.id))
    }
}

impl Channel {
    /// All of them.
    pub(super) const ALL: [Self; 3] = [Self::Reliable, Self::Lossy, Self::Tracks];

    /// What a channel with this label is for; `None` when it is not one of ours.
    pub(crate) fn named(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|what| what.label() == label)
    }

    /// As channels of this sort are called.
    fn label(self) -> &'static str {
        match self {
            Self::Reliable => "_reliable",
            Self::Lossy => "_lossy",
            Self::Tracks => "_data_track",
        }
    }

    /// How we make one.
    pub(super) fn config(self) -> DataChannelConfig {
        match self {
            Self::Reliable => DataChannelConfig::new(self.label()),
            Self::Lossy | Self::Tracks => DataChannelConfig::lossy(self.label()),
        }
    }
}

/// What becomes of a message that has come on a channel; `None` when it is not for anybody.
#[expect(deprecated, reason = "older clients read nothing else")]
pub(crate) fn deliver(
    now: Instant,
    room: &Room,
    clients: &mut HashMap<ConnectionId, Handle>,
    from: ConnectionId,
    (endpoint, id): (EndpointId, DataChannelId),
    data: &[u8],
) -> Option<Delivery> {
    use proto::data_packet::Value;
    let sender = room.participant_of(from)?;
    let what = clients.get(&from)?.channels.what(endpoint, id)?;
    if what == Channel::Tracks {
        return data_tracks::relay(room, clients, from, data);
    }
    let channels = &mut clients.get_mut(&from)?.channels;
    let reliable = what == Channel::Reliable;
    if !sender.profile.permissions.publish_data {
        return None;
    }
    let mut packet = proto::DataPacket::decode(data).ok()?;
    if reliable && packet.sequence != 0 {
        if packet.sequence <= channels.last {
            return None;
        }
        channels.last = packet.sequence;
    }
    let hidden = sender.profile.permissions.hidden;
    let identity = if hidden { "" } else { sender.profile.identity.as_str() };
    packet.kind = i32::from(!reliable);
    packet.participant_sid.clone_from(&sender.sid.0);
    identity.clone_into(&mut packet.participant_identity);
    let mut meant = Meant {
        sids: Vec::new(),
        identities: std::mem::take(&mut packet.destination_identities),
    };
    match &mut packet.value {
        Some(Value::User(user)) => {
            user.participant_sid.clone_from(&sender.sid.0);
            identity.clone_into(&mut user.participant_identity);
            meant.sids = std::mem::take(&mut user.destination_sids);
            meant.identities.append(&mut user.destination_identities);
        }
        // Figures are for the server, and only the server says who speaks.
        Some(Value::Metrics(_) | Value::Speaker(_)) | None => return None,
        Some(_) => {}
    }
    if let Some(value) = packet.value.as_ref().filter(|_| meant.is_all() && !hidden) {
        channels.said = channels.texts.take(value);
    }
    let frame = packet.encode_to_vec();
    if reliable {
        channels.recent.keep(now, packet.sequence, meant.clone(), &frame);
    }
    let to = recipients(room, clients, what, &meant, Some(from));
    (!to.is_empty()).then_some(Delivery { frame, to })
}

/// All who are meant and can get it, but the sender.
fn recipients(
    room: &Room,
    clients: &HashMap<ConnectionId, Handle>,
    what: Channel,
    meant: &Meant,
    from: Option<ConnectionId>,
) -> Vec<To> {
    let to = |(connection, handle): (&ConnectionId, &Handle)| {
        let meant = meant.includes(handle) && Some(*connection) != from;
        let (endpoint, channel) = handle
            .channels
            .way(room.connection(*connection), what)
            .filter(|_| meant)?;
        Some(To {
            endpoint,
            channel,
            handle: None,
        })
    };
    clients.iter().filter_map(to).collect()
}

/// A packet of the application's server.
#[expect(deprecated, reason = "older clients read nothing else")]
pub(super) fn announce(
    room: &Room,
    clients: &HashMap<ConnectionId, Handle>,
    request: proto::SendDataRequest,
) -> Option<Delivery> {
    let what = match request.kind() {
        proto::data_packet::Kind::Reliable => Channel::Reliable,
        proto::data_packet::Kind::Lossy => Channel::Lossy,
    };
    let packet = proto::DataPacket {
        kind: request.kind,
        value: Some(proto::data_packet::Value::User(proto::UserPacket {
            payload: request.data,
            topic: request.topic,
            nonce: request.nonce,
            ..Default::default()
        })),
        ..Default::default()
    };
    let meant = Meant {
        sids: request.destination_sids,
        identities: request.destination_identities,
    };
    let to = recipients(room, clients, what, &meant, None);
    (!to.is_empty()).then(|| Delivery {
        frame: packet.encode_to_vec(),
        to,
    })
}

/// A reliable packet for one participant, and on which of their connections; `None` when they have no channel for it.
pub(super) fn direct(
    room: &Room,
    clients: &HashMap<ConnectionId, Handle>,
    identity: &str,
    packet: &proto::DataPacket,
) -> Option<(ConnectionId, Delivery)> {
    let mut theirs = clients.iter().filter(|(_, handle)| handle.identity == identity);
    theirs.find_map(|(connection, handle)| {
        let own = room.connection(*connection);
        let (endpoint, channel) = handle.channels.way(own, Channel::Reliable)?;
        let to = To {
            endpoint,
            channel,
            handle: None,
        };
        let delivery = Delivery {
            frame: packet.encode_to_vec(),
            to: vec![to],
        };
        Some((*connection, delivery))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proto::data_packet::Value;
    use tokio::sync::mpsc;

    use super::super::replay::replay;
    use super::*;
    use crate::room::{Permissions, Profile, RoomLimits};

    const RELIABLE: DataChannelId = DataChannelId(1);
    const LOSSY: DataChannelId = DataChannelId(2);

    struct Stage {
        room: Room,
        clients: HashMap<ConnectionId, Handle>,
    }

    impl Stage {
        fn new() -> Self {
            Self {
                room: Room::new("hall", 1, RoomLimits::default()),
                clients: HashMap::new(),
            }
        }

        fn join(&mut self, identity: &str, endpoint: u64, permissions: Permissions) -> ConnectionId {
            let profile = Profile {
                identity: identity.to_owned(),
                permissions,
                ..Profile::default()
            };
            let connection = self.room.join(Instant::now(), &profile).unwrap();
            self.room.attach(connection, EndpointId(endpoint));
            let mut channels = Channels::default();
            channels.open("_reliable", EndpointId(endpoint), RELIABLE);
            channels.open("_lossy", EndpointId(endpoint), LOSSY);
            channels.open("another", EndpointId(endpoint), DataChannelId(3));
            let handle = Handle {
                identity: identity.to_owned(),
                sid: self.room.participant_of(connection).unwrap().sid.clone(),
                commands: mpsc::channel(1).0,
                channels,
            };
            self.clients.insert(connection, handle);
            connection
        }

        /// Who gets the packet, and as what.
        fn deliver(
            &mut self,
            from: ConnectionId,
            channel: DataChannelId,
            packet: &proto::DataPacket,
        ) -> Option<(Vec<u64>, proto::DataPacket)> {
            let data = packet.encode_to_vec();
            let endpoint = self.room.connection(from).unwrap().endpoint().unwrap();
            let delivery = deliver(
                Instant::now(),
                &self.room,
                &mut self.clients,
                from,
                (endpoint, channel),
                &data,
            )?;
            assert!(delivery.to.iter().all(|to| to.channel == channel));
            let mut to: Vec<u64> = delivery.to.iter().map(|to| to.endpoint.0).collect();
            to.sort_unstable();
            Some((to, proto::DataPacket::decode(delivery.frame.as_slice()).unwrap()))
        }
    }

    fn may() -> Permissions {
        Permissions {
            publish_data: true,
            ..Permissions::default()
        }
    }

    fn packet(sequence: u32, to: &[&str]) -> proto::DataPacket {
        proto::DataPacket {
            participant_identity: "somebody else".to_owned(),
            participant_sid: "PA_else".to_owned(),
            destination_identities: to.iter().map(|&name| name.to_owned()).collect(),
            sequence,
            value: Some(Value::User(proto::UserPacket {
                payload: b"hello".to_vec(),
                ..Default::default()
            })),
            ..Default::default()
        }
    }

    #[test]
    fn goes_to_all_others_or_to_some_under_the_true_name() {
        let mut stage = Stage::new();
        let ada = stage.join("ada", 1, may());
        stage.join("ben", 2, may());
        stage.join("cleo", 3, may());
        let (to, sent) = stage.deliver(ada, RELIABLE, &packet(0, &[])).unwrap();
        assert_eq!(to, [2, 3]);
        assert_eq!(sent.participant_identity, "ada");
        assert!(sent.participant_sid.starts_with("PA_") && sent.participant_sid != "PA_else");
        assert_eq!(stage.deliver(ada, LOSSY, &packet(0, &["cleo", "ada"])).unwrap().0, [3]);
        assert!(stage.deliver(ada, LOSSY, &packet(0, &["dora"])).is_none());
        assert!(stage.deliver(ada, DataChannelId(3), &packet(0, &[])).is_none());
        for endpoint in 1..4 {
            let clients = stage.clients.values_mut();
            clients.for_each(|one| one.channels.close(EndpointId(endpoint), LOSSY));
        }
        assert!(stage.deliver(ada, LOSSY, &packet(0, &[])).is_none());
    }

    #[test]
    fn what_was_there_before_is_dropped() {
        let mut stage = Stage::new();
        let ada = stage.join("ada", 1, may());
        stage.join("ben", 2, may());
        for (sequence, comes) in [(1, true), (2, true), (2, false), (1, false), (3, true), (0, true)] {
            let delivered = stage.deliver(ada, RELIABLE, &packet(sequence, &[]));
            assert_eq!(delivered.map(|(_, sent)| sent.sequence), comes.then_some(sequence));
        }
        assert_eq!(stage.clients[&ada].channels.last(), 3);
    }

    #[test]
    fn rights_count_and_the_hidden_stay_hidden() {
        let mut stage = Stage::new();
        let mute = stage.join("mute", 1, Permissions::default());
        let ghost = stage.join("ghost", 2, Permissions { hidden: true, ..may() });
        assert!(stage.deliver(mute, RELIABLE, &packet(0, &[])).is_none());
        let (_, sent) = stage.deliver(ghost, RELIABLE, &packet(0, &[])).unwrap();
        assert_eq!(sent.participant_identity, "");
        let speaker = proto::DataPacket {
            value: Some(Value::Metrics(proto::MetricsBatch::default())),
            ..Default::default()
        };
        assert!(stage.deliver(ghost, RELIABLE, &speaker).is_none());
    }

    #[test]
    fn who_comes_in_gets_what_was_sent_meanwhile() {
        let mut stage = Stage::new();
        let ada = stage.join("ada", 1, may());
        let ben = stage.join("ben", 2, may());
        stage.clients.get_mut(&ben).unwrap().channels = Channels::default();
        for (sequence, to) in [(1, &[][..]), (2, &["cleo"]), (3, &["ben"])] {
            assert!(
                stage.deliver(ada, RELIABLE, &packet(sequence, to)).is_none(),
                "nobody can get it yet"
            );
        }
        stage.deliver(ada, LOSSY, &packet(0, &[]));
        let late = stage.join("late", 3, may());
        let missed = |stage: &Stage, who, seen: &[(&str, u32)]| -> Vec<u32> {
            let state = |(sid, last_seq): &(&str, u32)| proto::DataChannelReceiveState {
                publisher_sid: (*sid).to_owned(),
                last_seq: *last_seq,
            };
            let states: Vec<_> = seen.iter().map(state).collect();
            let missed = replay(Instant::now(), &stage.room, &stage.clients, who, &states);
            let sequence = |one: &Delivery| proto::DataPacket::decode(one.frame.as_slice()).unwrap().sequence;
            missed.iter().map(sequence).collect()
        };
        let none: [u32; 0] = [];
        assert_eq!(missed(&stage, ben, &[]), none, "its channel is not open");
        let channels = &mut stage.clients.get_mut(&ben).unwrap().channels;
        channels.open("_reliable", EndpointId(2), RELIABLE);
        assert_eq!(missed(&stage, ben, &[]), [1, 3]);
        let sid = stage.clients[&ada].sid.0.clone();
        assert_eq!(missed(&stage, ben, &[(&sid, 2)]), [3]);
        assert_eq!(missed(&stage, late, &[]), none, "was not there yet");
        assert_eq!(missed(&stage, ada, &[]), none, "its own");
    }

    proptest! {
        #[test]
        fn any_bytes_do_no_harm(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut stage = Stage::new();
            let ada = stage.join("ada", 1, may());
            stage.join("ben", 2, may());
            let _ = deliver(Instant::now(), &stage.room, &mut stage.clients, ada, (EndpointId(1), RELIABLE), &data);
        }
    }
}
