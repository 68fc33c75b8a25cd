//! What the server is started with: embedded defaults, the configuration file, the flags; and what it refuses.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::arguments::Flags;
use crate::mix::MixSettings;
use crate::recording::RecordingSettings;
use crate::rtp_in::RtpIn;

/// Name of the key that everybody knows: only good on one's own machine.
pub(crate) const DEVELOPMENT_KEY: &str = "devkey";
/// Its secret.
pub(crate) const DEVELOPMENT_SECRET: &str = "secret";
/// Shortest secret of one's own where others can reach the server, in bytes: the length of what HS256 makes (RFC 7518 §3.2).
const MIN_SECRET: usize = 32;

const HTTP_PORT: u16 = 7880;
const UDP_PORT: u16 = 7882;
const TCP_PORT: u16 = 7881;

/// All settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Folder for what must outlive the server; made when there is something to keep.
    pub(crate) data: PathBuf,
    /// Folder with a page of its own; without it, the page of the program.
    pub(crate) page: Option<PathBuf>,
    pub(crate) http: Http,
    pub(crate) media: Media,
    pub(crate) room: Room,
    /// Secrets by the name of their key. Without any, the development key.
    pub(crate) keys: BTreeMap<String, String>,
    /// Doors for plain RTP.
    pub(crate) rtp_in: Vec<RtpIn>,
    pub(crate) webhooks: Webhooks,
    pub(crate) mix: MixSettings,
    pub(crate) recording: RecordingSettings,
}

/// The page and signalling.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Http {
    pub(crate) listen: Vec<SocketAddr>,
}

/// Who is told what happens in rooms.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Webhooks {
    pub(crate) urls: Vec<String>,
    /// Name of the key that signs; the first one when it is not given.
    pub(crate) key: Option<String>,
}

/// What a participant of a large room gets; without a number, everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Room {
    /// Cameras at a time: those who spoke last.
    pub(crate) last_n: Option<usize>,
    /// Microphones at a time: the loudest.
    pub(crate) loudest_audio: Option<NonZeroUsize>,
}

/// Media.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Media {
    /// Local addresses; empty means those of `http.listen`.
    pub(crate) listen: Vec<IpAddr>,
    pub(crate) udp_port: u16,
    pub(crate) tcp_port: u16,
    /// What peers are told instead of the local addresses.
    pub(crate) advertise: Vec<IpAddr>,
    /// Worker threads; 0 means one per core.
    pub(crate) workers: usize,
}

impl Settings {
    /// The defaults, overruled by the file, overruled by the flags; checked.
    ///
    /// # Errors
    /// [`SettingsError`], in one sentence.
    pub(crate) fn load(flags: &Flags) -> Result<Self, SettingsError> {
        let mut settings = match &flags.config {
            Some(path) => Self::read(path)?,
            None => Self::default(),
        };
        if !flags.listen.is_empty() {
            settings.http.listen.clone_from(&flags.listen);
        }
        settings.media.udp_port = flags.udp_port.unwrap_or(settings.media.udp_port);
        settings.media.tcp_port = flags.tcp_port.unwrap_or(settings.media.tcp_port);
        if !flags.advertise.is_empty() {
            settings.media.advertise.clone_from(&flags.advertise);
        }
        if let Some(data) = &flags.data {
            settings.data.clone_from(data);
        }
        if flags.page.is_some() {
            settings.page.clone_from(&flags.page);
        }
        settings.check()?;
        if flags.dev && !settings.development() {
            return Err(SettingsError::OwnKeys);
        }
        Ok(settings)
    }

    fn read(path: &Path) -> Result<Self, SettingsError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| SettingsError::Read {
            file: file.clone(),
            source,
        })?;
        Self::parse(&text).map_err(|problem| SettingsError::Parse { file, problem })
    }

    fn parse(text: &str) -> Result<Self, ParseProblem> {
        let problem = |key, error: &toml::de::Error| ParseProblem {
            line: error
                .span()
                .and_then(|span| text.get(..span.start))
                .map(|before| before.matches('\n').count() + 1),
            key,
            message: error.message().replace('\n', ", "),
        };
        let reader = toml::de::Deserializer::parse(text).map_err(|error| problem(String::new(), &error))?;
        serde_path_to_error::deserialize(reader).map_err(|error| problem(error.path().to_string(), error.inner()))
    }

    /// The keys that tokens may be signed with.
    pub(crate) fn keys(&self) -> BTreeMap<String, String> {
        if self.keys.is_empty() {
            BTreeMap::from([(DEVELOPMENT_KEY.to_owned(), DEVELOPMENT_SECRET.to_owned())])
        } else {
            self.keys.clone()
        }
    }

    /// The name of the key that signs where nobody names one: the first in the alphabet.
    pub(crate) fn first_key(&self) -> String {
        self.keys().into_keys().next().unwrap_or_default()
    }

    /// Whether everybody may have a token: the development key is in use, which [`Self::check`] allows on loopback only.
    pub(crate) fn development(&self) -> bool {
        self.keys.is_empty()
    }

    /// Local addresses of media.
    pub(crate) fn media_addresses(&self) -> Vec<IpAddr> {
        if !self.media.listen.is_empty() {
            return self.media.listen.clone();
        }
        let mut addresses: Vec<IpAddr> = Vec::new();
        for address in self.http.listen.iter().map(SocketAddr::ip) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        addresses
    }

    fn check(&self) -> Result<(), SettingsError> {
        if self.http.listen.is_empty() {
            return Err(SettingsError::NoAddress);
        }
        let doors = self.rtp_in.iter().map(|door| door.listen);
        let addresses = self
            .http
            .listen
            .iter()
            .map(SocketAddr::ip)
            .chain(self.media_addresses())
            .chain(doors);
        if let Some(open) = addresses.into_iter().find(|address| !address.is_loopback()) {
            let known = |(key, secret): (&String, &String)| key == DEVELOPMENT_KEY || secret == DEVELOPMENT_SECRET;
            if self.keys.is_empty() || self.keys.iter().any(known) {
                return Err(SettingsError::DevelopmentKey(open));
            }
            if let Some((key, _)) = self.keys.iter().find(|(_, secret)| secret.len() < MIN_SECRET) {
                return Err(SettingsError::ShortSecret(key.clone()));
            }
        }
        for (index, door) in self.rtp_in.iter().enumerate() {
            if door.audio.is_none() && door.video.is_none() {
                return Err(SettingsError::EmptyDoor(index));
            }
        }
        Ok(())
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data: PathBuf::from("data"),
            page: None,
            http: Http::default(),
            media: Media::default(),
            room: Room::default(),
            keys: BTreeMap::new(),
            rtp_in: Vec::new(),
            webhooks: Webhooks::default(),
            mix: MixSettings::default(),
            recording: RecordingSettings::default(),
        }
    }
}

impl Default for Http {
    /// Both addresses that `localhost` may mean.
    fn default() -> Self {
        let addresses = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
        Self {
            listen: addresses
                .into_iter()
                .map(|address| SocketAddr::new(address, HTTP_PORT))
                .collect(),
        }
    }
}

impl Default for Media {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            udp_port: UDP_PORT,
            tcp_port: TCP_PORT,
            advertise: Vec::new(),
            workers: 0,
        }
    }
}

/// Where in the configuration something is wrong, and what.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ParseProblem {
    line: Option<usize>,
    /// Such as `media.udp_port`; empty when the text is no TOML.
    key: String,
    message: String,
}

/// Why the server does not start.
#[derive(Debug)]
#[non_exhaustive]
pub(crate) enum SettingsError {
    /// The file cannot be read.
    Read { file: String, source: io::Error },
    /// It is no TOML, or holds a key or a value that it should not.
    Parse { file: String, problem: ParseProblem },
    /// `http.listen` is empty.
    NoAddress,
    /// Others could reach the server, and everybody knows its key.
    DevelopmentKey(IpAddr),
    /// Others could reach the server, and this key's secret can be guessed.
    ShortSecret(String),
    /// `--dev`, where the development key is not in use.
    OwnKeys,
    /// A door for neither sound nor picture.
    EmptyDoor(usize),
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { file, source } => write!(f, "{file} cannot be read: {source}"),
            Self::Parse { file, problem } => {
                write!(f, "{file}")?;
                if let Some(line) = problem.line {
                    write!(f, ", line {line}")?;
                }
                if !matches!(problem.key.as_str(), "" | ".") {
                    write!(f, ", `{}`", problem.key)?;
                }
                write!(f, ": {}", problem.message)
            }
            Self::NoAddress => write!(
                f,
                "`http.listen` needs at least one address, such as \"127.0.0.1:{HTTP_PORT}\""
            ),
            Self::DevelopmentKey(address) => write!(
                f,
                "others can reach {address}, so the server needs a key of your own there: put a section [keys] with a \
                 line `name = \"a secret of at least {MIN_SECRET} letters\"` into a file and name it with --config"
            ),
            Self::ShortSecret(key) => {
                write!(
                    f,
                    "the secret of key `{key}` is shorter than {MIN_SECRET} letters, which others could guess"
                )
            }
            Self::OwnKeys => write!(
                f,
                "--dev makes tokens with the development key, but the configuration has [keys] of its own: leave out one of them"
            ),
            Self::EmptyDoor(index) => write!(f, "`rtp_in[{index}]` needs `audio` or `video`"),
        }
    }
}

impl std::error::Error for SettingsError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<Settings, String> {
        let settings = Settings::parse(text).map_err(|problem| {
            SettingsError::Parse {
                file: "althing.toml".to_owned(),
                problem,
            }
            .to_string()
        })?;
        settings.check().map_err(|error| error.to_string())?;
        Ok(settings)
    }

    #[test]
    fn an_empty_file_means_the_defaults() {
        let settings = checked("").unwrap();
        assert_eq!(settings, Settings::default());
        assert!(settings.development());
        assert!(settings.media_addresses().iter().all(IpAddr::is_loopback));
    }

    #[test]
    fn unknown_keys_and_wrong_types_are_named() {
        for (text, told) in [
            ("prot = 1", ["line 1", "prot"]),
            ("[media]\nudp_prot = 7882", ["line 2", "udp_prot"]),
            ("[media]\n\nudp_port = \"7882\"", ["line 3", "`media.udp_port`"]),
            ("[media]\nudp_port = 70000", ["`media.udp_port`", "u16"]),
            ("[http]\nlisten = \"127.0.0.1:1\"", ["`http.listen`", "sequence"]),
            ("[http]\nlisten = [\"nowhere\"]", ["`http.listen[0]`", "socket address"]),
            (
                "[[rtp_in]]\nroom = \"a\"\nidentity = \"b\"\nvideo = { port = 1, codec = \"mpeg\", pt = 96 }",
                ["`rtp_in[0].video.codec`", "vp8"],
            ),
            (
                "[[rtp_in]]\nroom = \"a\"\nidentity = \"b\"\naudio = { port = 1, codec = \"opus\", pt = 200 }",
                ["`rtp_in[0].audio.pt`", "0 to 127"],
            ),
            ("[http", ["line 1", "unclosed"]),
        ] {
            let error = checked(text).unwrap_err();
            assert!(told.iter().all(|word| error.contains(word)), "{text:?} gives: {error}");
            assert!(!error.contains('\n'), "more than one line: {error}");
        }
    }

    #[test]
    fn the_development_key_is_refused_where_others_can_reach_it() {
        let own = format!("[keys]\nhall = \"{}\"\n", "s".repeat(MIN_SECRET));
        for open in [
            "[http]\nlisten = [\"0.0.0.0:7880\"]",
            "[media]\nlisten = [\"192.0.2.1\"]",
            "[http]\nlisten = [\"[::]:1\"]",
        ] {
            let error = checked(open).unwrap_err();
            assert!(error.contains("[keys]") && !error.contains('\n'), "{error}");
            assert!(checked(&format!("{open}\n[keys]\ndevkey = \"secret\"")).is_err());
            assert!(
                checked(&format!("{open}\n[keys]\nhall = \"short\""))
                    .unwrap_err()
                    .contains("`hall`")
            );
            let settings = checked(&format!("{open}\n{own}")).unwrap();
            assert!(!settings.development());
        }
        assert!(
            !checked(&own).unwrap().development(),
            "own keys replace the development key on loopback too"
        );
    }

    #[test]
    fn media_follows_the_page_unless_told_otherwise() {
        let settings = checked("[http]\nlisten = [\"127.0.0.1:1\", \"127.0.0.1:2\", \"[::1]:1\"]").unwrap();
        let local = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
        assert_eq!(settings.media_addresses(), local);
        let settings = checked("[media]\nlisten = [\"127.0.0.9\"]").unwrap();
        assert_eq!(settings.media_addresses(), [IpAddr::from([127, 0, 0, 9])]);
    }
}
