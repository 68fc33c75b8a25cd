//! Link settings as text, for command lines and control lines: `loss 5%`, `delay 50ms`, `rate 2mbit`.

use std::fmt;
use std::time::Duration;

use super::{Burst, Chance, LinkConfig, Queue, Rate};

/// Every setting: name, what its value looks like, what it does.
pub const SETTINGS: [(&str, &str, &str); 10] = [
    ("loss", "5%", "each datagram alone is lost with this chance"),
    (
        "burst",
        "1%,25%,90%",
        "burst loss: chance to enter, chance to leave, loss within; 0 for none",
    ),
    ("delay", "50ms", "every datagram takes this long"),
    ("jitter", "10ms", "and up to this much longer, in order"),
    (
        "stall",
        "30ms",
        "and several times a second nothing arrives for up to this long",
    ),
    ("reorder", "1%", "chance to be held back while others overtake"),
    ("hold", "20ms", "how long it is held back"),
    ("duplicate", "1%", "chance to arrive twice"),
    (
        "rate",
        "2mbit",
        "speed of the slowest link (bit, kbit, mbit, gbit per second); 0 for no limit",
    ),
    ("queue", "200ms", "what may wait in front of it (ms, s, or b, kb)"),
];

impl LinkConfig {
    /// Changes one setting of [`SETTINGS`] to a value written as text.
    ///
    /// # Errors
    /// [`SettingError`] when there is no such setting, or the value does not read; then nothing has changed.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), SettingError> {
        let bad = SettingError::Value;
        match name {
            "loss" => self.loss = chance(value).ok_or(bad)?,
            "burst" => self.burst = burst(value).ok_or(bad)?,
            "delay" => self.delay = duration(value).ok_or(bad)?,
            "jitter" => self.jitter = duration(value).ok_or(bad)?,
            "stall" => self.stall = duration(value).ok_or(bad)?,
            "reorder" => self.reorder = chance(value).ok_or(bad)?,
            "hold" => self.hold = duration(value).ok_or(bad)?,
            "duplicate" => self.duplicate = chance(value).ok_or(bad)?,
            "rate" => self.rate = rate(value).ok_or(bad)?,
            "queue" => self.queue = queue(value).ok_or(bad)?,
            _ => return Err(SettingError::Name),
        }
        Ok(())
    }
}

/// Why a setting was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettingError {
    /// There is no setting of this name.
    Name,
    /// The value is not of the form that [`SETTINGS`] shows.
    Value,
}

impl fmt::Display for SettingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => {
                let names: Vec<_> = SETTINGS.iter().map(|(name, ..)| *name).collect();
                write!(f, "no such setting; there are {}", names.join(", "))
            }
            Self::Value => f.write_str("the value does not read"),
        }
    }
}

impl std::error::Error for SettingError {}

/// `5%`, or a bare number from 0 to 1.
fn chance(text: &str) -> Option<Chance> {
    let percent = match text.strip_suffix('%') {
        Some(percent) => number(percent)?,
        None => number(text)? * 100.0,
    };
    (percent <= 100.0).then(|| Chance::percent(percent))
}

#[expect(clippy::option_option, reason = "outer: readable or not; inner: bursts or none")]
fn burst(text: &str) -> Option<Option<Burst>> {
    if text == "0" {
        return Some(None);
    }
    let mut parts = text.split(',').map(chance);
    let burst = Burst {
        enter: parts.next()??,
        leave: parts.next()??,
        loss: parts.next()??,
    };
    parts.next().is_none().then_some(Some(burst))
}

/// `50ms`, `1.5s`, or a bare number of milliseconds.
fn duration(text: &str) -> Option<Duration> {
    let (value, unit) = split_unit(text)?;
    let seconds = match unit {
        "ms" | "" => value / 1000.0,
        "s" => value,
        _ => return None,
    };
    Duration::try_from_secs_f64(seconds).ok()
}

#[expect(clippy::option_option, reason = "outer: readable or not; inner: a limit or none")]
fn rate(text: &str) -> Option<Option<Rate>> {
    let (value, unit) = split_unit(text)?;
    let bits = match unit {
        "bit" | "" => value,
        "kbit" => value * 1e3,
        "mbit" => value * 1e6,
        "gbit" => value * 1e9,
        _ => return None,
    };
    let bits = whole(bits)?;
    Some((bits > 0).then(|| Rate::bits(bits)))
}

fn queue(text: &str) -> Option<Queue> {
    let (value, unit) = split_unit(text)?;
    let bytes = match unit {
        "b" => value,
        "kb" => value * 1e3,
        _ => return duration(text).map(Queue::Time),
    };
    Some(Queue::Bytes(usize::try_from(whole(bytes)?).ok()?))
}

/// Splits `50ms` into 50 and `ms`, in lower case or not.
fn split_unit(text: &str) -> Option<(f64, &str)> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    Some((number(text.get(..digits)?)?, text.get(digits..)?.trim_start()))
}

fn number(text: &str) -> Option<f64> {
    text.trim()
        .parse()
        .ok()
        .filter(|value: &f64| value.is_finite() && *value >= 0.0)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be within range"
)]
fn whole(value: f64) -> Option<u64> {
    (0.0..1e18).contains(&value).then_some(value as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_reads_its_own_example() {
        let mut config = LinkConfig::default();
        for (name, example, _) in SETTINGS {
            assert_eq!(config.set(name, example), Ok(()), "{name} {example}");
        }
        let expected = LinkConfig {
            loss: Chance::percent(5.0),
            burst: Some(Burst {
                enter: Chance::percent(1.0),
                leave: Chance::percent(25.0),
                loss: Chance::percent(90.0),
            }),
            delay: Duration::from_millis(50),
            jitter: Duration::from_millis(10),
            stall: Duration::from_millis(30),
            reorder: Chance::percent(1.0),
            hold: Duration::from_millis(20),
            duplicate: Chance::percent(1.0),
            rate: Some(Rate::bits(2_000_000)),
            queue: Queue::Time(Duration::from_millis(200)),
        };
        assert_eq!(config, expected);
    }

    #[test]
    fn other_spellings_and_nonsense() {
        let mut config = LinkConfig::default();
        config.set("queue", "64kb").unwrap();
        config.set("loss", "0.5").unwrap();
        config.set("delay", "1.5s").unwrap();
        assert_eq!(
            (config.queue, config.loss),
            (Queue::Bytes(64_000), Chance::percent(50.0))
        );
        assert_eq!(config.delay, Duration::from_millis(1500));
        config.set("rate", "0").unwrap();
        assert_eq!(config.rate, None);
        let before = config;
        for (name, value) in [
            ("loss", "101%"),
            ("loss", "x"),
            ("burst", "1%"),
            ("delay", "5h"),
            ("rate", "-1"),
        ] {
            assert_eq!(config.set(name, value), Err(SettingError::Value), "{name} {value}");
        }
        assert_eq!(config.set("weather", "bad"), Err(SettingError::Name));
        assert_eq!(config, before);
    }
}
