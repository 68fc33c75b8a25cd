//! Where recordings are stored: a bucket of S3, Google Cloud Storage or Azure, or of what speaks like them.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path as FilePath, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, Checksum};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::client::HttpError;
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{ObjectStore, RetryConfig};
use serde::Deserialize;

use super::line::Line;
use crate::recording::range::LONGEST;

/// How often a request is sent again at once; after that the upload rests a while.
const RETRIES: usize = 2;
/// The longest explanation of a store that is shown.
const MAX_PROBLEM: usize = 300;

/// Where recordings are stored beside the folder.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoreSettings {
    /// `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`.
    pub(crate) url: String,
    /// A file of `NAME=value` lines with what is secret; without it, the environment.
    pub(crate) credentials: Option<PathBuf>,
    /// What else the store wants: `endpoint`, `region`, …
    #[serde(default)]
    pub(crate) options: BTreeMap<String, String>,
    /// Whether media stay in the folder too, once they are stored.
    #[serde(default = "yes")]
    pub(crate) keep_local: bool,
    /// The size of a part, in MiB, at least 5.
    #[serde(default = "part_mib")]
    pub(crate) part_mib: u32,
    /// How many parts are in memory at a time.
    #[serde(default = "parallel")]
    pub(crate) parallel: usize,
    /// How long one part may take.
    #[serde(default = "patience")]
    pub(crate) patience_seconds: u32,
}

impl StoreSettings {
    /// The size of a part.
    pub(super) fn part_bytes(&self) -> u64 {
        u64::from(self.part_mib) << 20
    }
}

fn yes() -> bool {
    true
}

fn part_mib() -> u32 {
    8
}

fn parallel() -> usize {
    4
}

fn patience() -> u32 {
    300
}

/// Why there is no such place.
#[derive(Debug)]
#[non_exhaustive]
pub(crate) enum PlaceError {
    /// The URL is of no store that we know.
    Url(String),
    /// Parts of less than 5 MiB, or none at a time.
    Parts,
    /// The file of the credentials cannot be read.
    Credentials(PathBuf, io::Error),
    /// The store has no setting of this name.
    Option(String),
    /// No TLS.
    Line(io::Error),
    /// Something is missing or does not fit.
    Store(object_store::Error),
}

impl fmt::Display for PlaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => write!(f, "{url} is not s3://bucket/…, gs://bucket/… or az://container/…"),
            Self::Parts => f.write_str("part_mib must be 5 or more, and parallel 1 or more"),
            Self::Credentials(path, error) => {
                write!(f, "the credentials in {} cannot be read: {error}", path.display())
            }
            Self::Option(name) => write!(f, "the store has no setting {name:?}"),
            Self::Line(error) => write!(f, "no certificates to know the store by: {error}"),
            Self::Store(error) => write!(f, "{error}"),
        }
    }
}

impl Error for PlaceError {}

/// What is done with objects.
pub(super) trait Objects: ObjectStore + MultipartStore {}

impl<T: ObjectStore + MultipartStore> Objects for T {}

/// A bucket, and where in it.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// Its address, without secrets.
    pub(super) url: String,
    pub(super) objects: Arc<dyn Objects>,
    prefix: Path,
}

impl Place {
    /// Opens it; nothing is sent yet.
    pub(super) fn open(settings: &StoreSettings) -> Result<Self, PlaceError> {
        if settings.part_mib < 5 || settings.parallel == 0 {
            return Err(PlaceError::Parts);
        }
        let mut options = settings.options.clone();
        if let Some(path) = &settings.credentials {
            let text = fs::read_to_string(path).map_err(|error| PlaceError::Credentials(path.clone(), error))?;
            options.extend(assignments(&text));
        }
        let parts = settings.url.split_once("://").and_then(|(scheme, rest)| {
            let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
            Some((scheme, bucket, Path::parse(prefix.trim_matches('/')).ok()?)).filter(|_| !bucket.is_empty())
        });
        let (scheme, bucket, prefix) = parts.ok_or_else(|| PlaceError::Url(settings.url.clone()))?;
        let plain = options.values().any(|value| value.starts_with("http://"))
            || options.get("use_emulator").is_some_and(|value| value == "true");
        let longest = usize::try_from(settings.part_bytes().max(LONGEST)).unwrap_or(usize::MAX);
        let patience = Duration::from_secs(settings.patience_seconds.into());
        let line = Line::new(!plain, longest, patience).map_err(PlaceError::Line)?;
        let retry = RetryConfig {
            max_retries: RETRIES,
            ..RetryConfig::default()
        };
        let objects: Arc<dyn Objects> = match scheme {
            "s3" => {
                // Each part is hashed; the store refuses what does not fit.
                let builder = AmazonS3Builder::from_env().with_checksum_algorithm(Checksum::SHA256);
                let builder =
                    set::<_, AmazonS3ConfigKey>(builder, options, |to, key, value| to.with_config(key, value))?;
                let builder = builder
                    .with_bucket_name(bucket)
                    .with_allow_http(plain)
                    .with_retry(retry);
                opened(builder.with_http_connector(line).build())?
            }
            "gs" => {
                let builder = GoogleCloudStorageBuilder::from_env();
                let builder = set::<_, GoogleConfigKey>(builder, options, |to, key, value| to.with_config(key, value))?;
                let builder = builder.with_bucket_name(bucket).with_retry(retry);
                opened(builder.with_http_connector(line).build())?
            }
            "az" => {
                let builder = MicrosoftAzureBuilder::from_env();
                let builder = set::<_, AzureConfigKey>(builder, options, |to, key, value| to.with_config(key, value))?;
                let builder = builder
                    .with_container_name(bucket)
                    .with_allow_http(plain)
                    .with_retry(retry);
                opened(builder.with_http_connector(line).build())?
            }
            _ => return Err(PlaceError::Url(settings.url.clone())),
        };
        Ok(Self {
            url: settings.url.clone(),
            objects,
            prefix,
        })
    }

    /// A place that is gone with the program.
    #[cfg(test)]
    pub(super) fn of(objects: Arc<dyn Objects>) -> Self {
        Self {
            url: "memory://".to_owned(),
            objects,
            prefix: Path::default(),
        }
    }

    /// What a file of a recording is called there.
    pub(super) fn object(&self, recording: &FilePath, file: &str) -> Path {
        let recording = recording.file_name().unwrap_or_default().to_string_lossy();
        self.prefix.clone().join(recording.as_ref()).join(file)
    }
}

/// `NAME=value` lines; empty lines and such with `#` are stepped over.
fn assignments(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once('='));
    let bare = |text: &str| text.trim().trim_matches('"').to_owned();
    pairs.map(|(name, value)| (bare(name), bare(value))).collect()
}

fn set<B, K: FromStr>(
    mut builder: B,
    options: BTreeMap<String, String>,
    with: impl Fn(B, K, String) -> B,
) -> Result<B, PlaceError> {
    for (name, value) in options {
        let key = name.to_ascii_lowercase().parse();
        builder = with(builder, key.map_err(|_| PlaceError::Option(name))?, value);
    }
    Ok(builder)
}

fn opened<T: Objects>(built: object_store::Result<T>) -> Result<Arc<dyn Objects>, PlaceError> {
    Ok(Arc::new(built.map_err(PlaceError::Store)?))
}

/// One sentence of what is wrong, for the log and those who ask: the same each time, and without anything that is secret.
pub(super) fn problem(error: &object_store::Error) -> String {
    let text = error.to_string();
    let said = || {
        let code = between(&text, "<Code>", "</Code>");
        let message = between(&text, "<Message>", "</Message>");
        match (code, message) {
            // Behind the first line, some tell the number of the request.
            (Some(code), Some(message)) => format!("{code}: {}", message.lines().next().unwrap_or_default()),
            _ => match between(&text, "status code: ", ":") {
                Some(status) => format!("it answers {status}"),
                None => text.clone(),
            },
        }
    };
    let mut sentence = match error {
        object_store::Error::Unauthenticated { .. } | object_store::Error::PermissionDenied { .. } => {
            format!("the store refuses us: {}", said())
        }
        object_store::Error::NotFound { .. } => format!("the store has no such bucket, object or upload: {}", said()),
        error if is_unreachable(error) => format!("the store cannot be reached: {}", innermost(error)),
        _ => format!("the store is out of order: {}", said()),
    };
    if let Some((at, _)) = sentence.char_indices().nth(MAX_PROBLEM) {
        sentence.truncate(at);
    }
    sentence
}

/// No answer came.
fn is_unreachable(error: &object_store::Error) -> bool {
    chain(error).any(|cause| cause.is::<HttpError>())
}

/// The store understood what was asked for, and will not have it; not a matter of rights or of patience.
pub(super) fn is_refused(error: &object_store::Error) -> bool {
    let rights = matches!(
        error,
        object_store::Error::Unauthenticated { .. } | object_store::Error::PermissionDenied { .. }
    );
    let text = error.to_string();
    let patience = ["status code: 408", "status code: 429"]
        .iter()
        .any(|status| text.contains(status));
    !rights && !patience && !is_unreachable(error) && text.contains("status code: 4")
}

/// What is not there need not be deleted.
pub(super) fn gone(result: object_store::Result<()>) -> object_store::Result<()> {
    result.or_else(|error| match error {
        object_store::Error::NotFound { .. } => Ok(()),
        other => Err(other),
    })
}

fn chain(error: &object_store::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause| cause.source())
}

fn innermost(error: &object_store::Error) -> String {
    chain(error)
        .last()
        .map_or_else(|| error.to_string(), ToString::to_string)
}

fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(from)?;
    rest.split_once(to).map(|(inside, _)| inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> StoreSettings {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_place_says_what_is_wrong_with_its_settings() {
        let problem = |text: &str| Place::open(&settings(text)).unwrap_err().to_string();
        let line = "\n[options]\nendpoint = \"http://127.0.0.1:1\"";
        for (text, says) in [
            (format!("url = \"ftp://here\"{line}"), "ftp://here is not s3://"),
            (format!("url = \"s3:///x\"{line}"), "is not s3://"),
            ("url = \"s3://b\"\npart_mib = 4".to_owned(), "part_mib must be 5"),
            (
                "url = \"s3://b\"\ncredentials = \"/none\"".to_owned(),
                "/none cannot be read",
            ),
            (
                format!("url = \"s3://b\"{line}\nsecert = \"hush\""),
                "no setting \"secert\"",
            ),
        ] {
            let said = problem(&text);
            assert!(said.contains(says) && !said.contains("hush"), "{said}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let file = std::env::temp_dir().join(format!("althing-credentials-{}", std::process::id()));
        fs::write(
            &file,
            "# of nobody\nAWS_ACCESS_KEY_ID=AKIAEXAMPLE\nAWS_SECRET_ACCESS_KEY=\"hush\"\n",
        )
        .unwrap();
        let mut settings = settings("url = \"s3://bucket/some/where\"\n[options]\nendpoint = \"http://127.0.0.1:1\"");
        settings.credentials = Some(file.clone());
        let place = Place::open(&settings).unwrap();
        fs::remove_file(file).unwrap();
        assert!(!format!("{settings:?} {}", place.url).contains("hush"));
        let object = place.object(FilePath::new("/data/recordings/17-hall"), "t01.webm");
        assert_eq!(object.as_ref(), "some/where/17-hall/t01.webm");
    }
}
