//! What a token says.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Number, Value};

/// The claims of a token. Unknown ones are skipped when reading.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Claims {
    /// The key that signed it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub iss: String,
    /// The identity of the participant.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sub: String,
    /// The identity in old tokens that have no `sub`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub jti: String,
    /// Not valid from then on, in seconds since 1970; required.
    #[serde(deserialize_with = "seconds", skip_serializing_if = "Option::is_none")]
    pub exp: Option<u64>,
    /// Not valid before then, in seconds since 1970.
    #[serde(deserialize_with = "seconds", skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// When it was made, in seconds since 1970.
    #[serde(deserialize_with = "seconds", skip_serializing_if = "Option::is_none")]
    pub iat: Option<u64>,
    /// The name that others see.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Anything that the application tells about the participant.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub metadata: String,
    /// The same as pairs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// What sort of participant it is, in lower case; empty for an ordinary one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Digest of a body that the token vouches for, in base64 (webhooks).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sha256: String,
    /// How to make the room if it is not there yet ([`RoomSettings::read`](crate::room::RoomSettings::read)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub room_config: Option<Value>,
    /// The name of a stored configuration.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub room_preset: String,
    /// The rights.
    pub video: VideoGrant,
}

/// The rights that a token gives.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VideoGrant {
    /// May enter [`Self::room`].
    #[serde(skip_serializing_if = "is_false")]
    pub room_join: bool,
    /// The room that [`Self::room_join`] and [`Self::room_admin`] mean.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub room: String,
    /// May send tracks; absent means yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish: Option<bool>,
    /// May receive tracks; absent means yes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_subscribe: Option<bool>,
    /// May send data; absent means like [`Self::can_publish`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish_data: Option<bool>,
    /// The sources that it may publish (`camera`, `microphone`, `screen_share`, `screen_share_audio`); empty means all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub can_publish_sources: Vec<String>,
    /// May change its own name, metadata and attributes.
    #[serde(skip_serializing_if = "is_false")]
    pub can_update_own_metadata: bool,
    /// Is not shown to others.
    #[serde(skip_serializing_if = "is_false")]
    pub hidden: bool,
    /// Is a recorder.
    #[serde(skip_serializing_if = "is_false")]
    pub recorder: bool,
    /// Is an agent.
    #[serde(skip_serializing_if = "is_false")]
    pub agent: bool,
    /// May make and delete rooms.
    #[serde(skip_serializing_if = "is_false")]
    pub room_create: bool,
    /// May list rooms.
    #[serde(skip_serializing_if = "is_false")]
    pub room_list: bool,
    /// May start recordings.
    #[serde(skip_serializing_if = "is_false")]
    pub room_record: bool,
    /// May manage the participants of [`Self::room`].
    #[serde(skip_serializing_if = "is_false")]
    pub room_admin: bool,
    /// May manage ingress.
    #[serde(skip_serializing_if = "is_false")]
    pub ingress_admin: bool,
    /// A room that participants may be moved to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub destination_room: String,
}

impl Claims {
    /// A token for `identity` with these rights, until `expires` (since 1970). [`Keys::mint`](super::Keys::mint) adds
    /// the issuer.
    #[must_use]
    pub fn new(identity: &str, video: VideoGrant, expires: Duration) -> Self {
        Self {
            sub: identity.to_owned(),
            exp: Some(expires.as_secs()),
            video,
            ..Self::default()
        }
    }

    /// Who it is.
    #[must_use]
    pub fn identity(&self) -> Option<&str> {
        [&self.sub, &self.jti]
            .into_iter()
            .find(|id| !id.is_empty())
            .map(String::as_str)
    }
}

impl VideoGrant {
    /// May enter this room.
    #[must_use]
    pub fn joins(&self, room: &str) -> bool {
        self.room_join && self.room == room
    }

    /// May manage this room.
    #[must_use]
    pub fn administers(&self, room: &str) -> bool {
        self.room_admin && self.room == room
    }

    /// May send tracks.
    #[must_use]
    pub fn publishes(&self) -> bool {
        self.can_publish.unwrap_or(true)
    }

    /// May receive tracks.
    #[must_use]
    pub fn subscribes(&self) -> bool {
        self.can_subscribe.unwrap_or(true)
    }

    /// May send data.
    #[must_use]
    pub fn publishes_data(&self) -> bool {
        self.can_publish_data.unwrap_or_else(|| self.publishes())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// Seconds may have a fraction (RFC 7519 §2, NumericDate); it is cut off.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let number = Option::<Number>::deserialize(deserializer)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates; negative is long ago"
    )]
    let whole = |number: Number| {
        number
            .as_u64()
            .unwrap_or_else(|| number.as_f64().unwrap_or_default() as u64)
    };
    Ok(number.map(whole))
}
