//! How a room is to be made: by a call of the application's server, or by what a token says. Does not change a room that
//! is there.

use std::time::Duration;

use serde_json::Value;

use super::lifetime::Timeouts;

/// Longest metadata of a room, in bytes.
pub const MAX_METADATA: usize = 64 * 1024;

/// Longest that a room may be made to wait for somebody.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// What is asked of a new room; what is not said is as usual.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoomSettings {
    /// Seconds until the first participant comes; 0: as usual. At most a day.
    pub empty_timeout: u32,
    /// Seconds after the last one has left; 0: as usual. At most a day.
    pub departure_timeout: u32,
    /// How many participants may be there; 0: as many as the limits allow.
    pub max_participants: u32,
    /// Anything that the application tells about the room.
    pub metadata: String,
}

/// A setting that is no good, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadSetting(pub &'static str);

impl RoomSettings {
    /// Reads the claim `roomConfig` of a token: JSON of protobuf (names in both cases, numbers also as text). Other
    /// members are skipped.
    ///
    /// # Errors
    ///
    /// [`BadSetting`] names the member that cannot be read.
    pub fn read(config: &Value) -> Result<Self, BadSetting> {
        let member = |camel: &str, snake: &str| config.get(camel).or_else(|| config.get(snake));
        let number = |camel: &'static str, snake: &str| match member(camel, snake) {
            None | Some(Value::Null) => Ok(0),
            Some(Value::Number(number)) => number
                .as_u64()
                .and_then(|one| one.try_into().ok())
                .ok_or(BadSetting(camel)),
            Some(Value::String(text)) => text.parse().map_err(|_| BadSetting(camel)),
            Some(_) => Err(BadSetting(camel)),
        };
        let metadata = match member("metadata", "metadata") {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) if text.len() <= MAX_METADATA => text.clone(),
            Some(_) => return Err(BadSetting("metadata")),
        };
        Ok(Self {
            empty_timeout: number("emptyTimeout", "empty_timeout")?,
            departure_timeout: number("departureTimeout", "departure_timeout")?,
            max_participants: number("maxParticipants", "max_participants")?,
            metadata,
        })
    }

    /// The timeouts, where `usual` holds for what is not said.
    pub(super) fn timeouts(&self, usual: Timeouts) -> Timeouts {
        let time = |seconds: u32, usual: Duration| match seconds {
            0 => usual,
            seconds => Duration::from_secs(u64::from(seconds)).min(LONGEST),
        };
        Timeouts {
            empty: time(self.empty_timeout, usual.empty),
            departure: time(self.departure_timeout, usual.departure),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_what_tokens_say() {
        let config = json!({ "emptyTimeout": 60, "departure_timeout": "5", "maxParticipants": 3, "metadata": "agenda", "agents": [] });
        let settings = RoomSettings::read(&config).unwrap();
        assert_eq!(
            (
                settings.empty_timeout,
                settings.departure_timeout,
                settings.max_participants
            ),
            (60, 5, 3)
        );
        assert_eq!(settings.metadata, "agenda");
        assert_eq!(RoomSettings::read(&json!({})).unwrap(), RoomSettings::default());
        assert_eq!(
            RoomSettings::read(&json!({ "maxParticipants": -1 })),
            Err(BadSetting("maxParticipants"))
        );
        assert_eq!(
            RoomSettings::read(&json!({ "metadata": 7 })),
            Err(BadSetting("metadata"))
        );
    }

    #[test]
    fn nobody_waits_for_ever() {
        let settings = RoomSettings {
            empty_timeout: u32::MAX,
            ..RoomSettings::default()
        };
        let timeouts = settings.timeouts(Timeouts::default());
        assert_eq!(
            timeouts,
            Timeouts {
                empty: LONGEST,
                ..Timeouts::default()
            }
        );
    }
}
