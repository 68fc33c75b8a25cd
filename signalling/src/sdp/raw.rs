//! The lines of a session description with their line numbers: the one file that knows the SDP syntax crate.
//!
//! RFC 8866 (SDP), RFC 8840 (fragments). Gives attributes no meaning: that is `parse`.

use std::error::Error;
use std::fmt;
use std::io::Cursor;

use rtc_sdp::SessionDescription;

/// Longest description that is read, in bytes. Browsers write about 3 kB for each section, and a meeting has many.
pub const MAX_SDP_LEN: usize = 512 * 1024;

/// What a fragment lacks to be a description of its own.
const FRAGMENT_HEAD: &str = "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n";

/// Lines of [`FRAGMENT_HEAD`].
const FRAGMENT_HEAD_LINES: usize = 4;

/// Why a session description cannot be understood. Its text is one sentence for the person who sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SdpError {
    /// Longer than [`MAX_SDP_LEN`].
    TooLong,
    /// A line is not `<letter>=<value>`.
    NotALine {
        /// Its number, from 1.
        line: usize,
    },
    /// A line does not fit the grammar, or stands where it may not stand.
    Grammar {
        /// Its number, from 1.
        line: usize,
    },
    /// The text ends before its first part (v=, o=, s=, t=) is complete.
    Incomplete,
    /// An attribute does not have the form that it must have.
    Attribute {
        /// Its number, from 1.
        line: usize,
        /// The attribute's name.
        name: &'static str,
        /// The form that it must have.
        form: &'static str,
    },
    /// More lines of one sort than are accepted.
    TooMany {
        /// Where the first one too many stands, from 1.
        line: usize,
        /// What they are.
        what: &'static str,
        /// How many are accepted.
        limit: usize,
    },
    /// A media section has no `a=mid`, so that it cannot be bundled.
    NoMid {
        /// The line of its `m=`, from 1.
        line: usize,
    },
    /// Two media sections have the same `a=mid`.
    DuplicateMid {
        /// The line of the second one's `m=`, from 1.
        line: usize,
    },
}

impl fmt::Display for SdpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "The session description is longer than {MAX_SDP_LEN} bytes."),
            Self::NotALine { line } => {
                write!(
                    f,
                    "Line {line} of the session description is not a letter, an equals sign and a value."
                )
            }
            Self::Grammar { line } => {
                write!(
                    f,
                    "Line {line} of the session description does not fit the grammar of SDP or stands out of order."
                )
            }
            Self::Incomplete => f.write_str("The session description ends before its v=, o=, s= and t= lines."),
            Self::Attribute { line, name, form } => {
                write!(f, "Line {line} of the session description: a={name} must be {form}.")
            }
            Self::TooMany { line, what, limit } => {
                write!(
                    f,
                    "Line {line} of the session description: more than {limit} {what} are not accepted."
                )
            }
            Self::NoMid { line } => {
                write!(
                    f,
                    "The media section at line {line} of the session description has no a=mid."
                )
            }
            Self::DuplicateMid { line } => {
                write!(
                    f,
                    "The media section at line {line} of the session description has the a=mid of another one."
                )
            }
        }
    }
}

impl Error for SdpError {}

/// A description as lines.
#[derive(Debug, Default)]
pub(super) struct RawSession {
    /// Session id of the `o=` line.
    pub(super) id: u64,
    /// Version of the `o=` line.
    pub(super) version: u64,
    /// Attributes before the first `m=`.
    pub(super) attributes: Vec<Attribute>,
    /// The media sections.
    pub(super) sections: Vec<RawSection>,
}

/// An `m=` line and what follows it.
#[derive(Debug)]
pub(super) struct RawSection {
    /// The number of the `m=` line, from 1.
    pub(super) line: usize,
    /// `audio`, `video`, `application`, …
    pub(super) media: String,
    /// The port; 0 says "rejected" or "bundle only".
    pub(super) port: u16,
    /// As `UDP/TLS/RTP/SAVPF`.
    pub(super) protocol: String,
    /// Payload types, or whatever the protocol puts there.
    pub(super) formats: Vec<String>,
    /// Its attributes.
    pub(super) attributes: Vec<Attribute>,
}

/// An `a=` line.
#[derive(Debug)]
pub(super) struct Attribute {
    /// Its number, from 1.
    pub(super) line: usize,
    /// What stands before the colon.
    pub(super) key: String,
    /// What stands after the colon, empty for a flag.
    pub(super) value: String,
}

impl Attribute {
    /// The error that says which form this attribute must have.
    pub(super) fn malformed(&self, name: &'static str, form: &'static str) -> SdpError {
        SdpError::Attribute {
            line: self.line,
            name,
            form,
        }
    }
}

/// Reads a whole description.
pub(super) fn read(text: &str) -> Result<RawSession, SdpError> {
    read_lines(text, 0)
}

/// Reads a fragment: attributes and media sections without the lines that open a description (RFC 8840 §9.2).
pub(super) fn read_fragment(text: &str) -> Result<RawSession, SdpError> {
    if text.len() > MAX_SDP_LEN {
        return Err(SdpError::TooLong);
    }
    read_lines(&[FRAGMENT_HEAD, text].concat(), FRAGMENT_HEAD_LINES)
}

/// `head` lines at the start are ours: they do not count.
fn read_lines(text: &str, head: usize) -> Result<RawSession, SdpError> {
    if text.len() > MAX_SDP_LEN + FRAGMENT_HEAD.len() {
        return Err(SdpError::TooLong);
    }
    let mut attribute_lines = Vec::new();
    let mut media_lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let number = (index + 1).saturating_sub(head);
        match line.as_bytes() {
            [] => {}
            [b'a', b'=', ..] => attribute_lines.push(number),
            [b'm', b'=', ..] => media_lines.push(number),
            [letter, b'=', ..] if letter.is_ascii_lowercase() => {}
            _ => return Err(SdpError::NotALine { line: number }),
        }
    }
    let session = syntax(text).map_err(|()| locate(text, head))?;

    let mut attribute_lines = attribute_lines.into_iter();
    let mut number = |attributes: Vec<rtc_sdp::description::common::Attribute>| -> Vec<Attribute> {
        let lines = attribute_lines.by_ref();
        attributes
            .into_iter()
            .zip(lines)
            .map(|(attribute, line)| Attribute {
                line,
                key: attribute.key,
                value: attribute.value.unwrap_or_default().trim().to_owned(),
            })
            .collect()
    };
    let attributes = number(session.attributes);
    let sections = session
        .media_descriptions
        .into_iter()
        .zip(media_lines)
        .map(|(media, line)| RawSection {
            line,
            media: media.media_name.media,
            port: u16::try_from(media.media_name.port.value).unwrap_or_default(),
            protocol: media.media_name.protos.join("/"),
            formats: media.media_name.formats,
            attributes: number(media.attributes),
        });
    let sections = sections.collect();
    Ok(RawSession {
        id: session.origin.session_id,
        version: session.origin.session_version,
        attributes,
        sections,
    })
}

fn syntax(text: &str) -> Result<SessionDescription, ()> {
    SessionDescription::unmarshal(&mut Cursor::new(text)).map_err(|_| ())
}

/// Finds the line that the syntax crate refuses: the last of the shortest prefix that fails although complete enough.
/// Reading goes from top to bottom, so that all longer prefixes fail as well and halving finds it.
fn locate(text: &str, head: usize) -> SdpError {
    let ends: Vec<usize> = text
        .match_indices('\n')
        .map(|(at, _)| at + 1)
        .chain([text.len()])
        .collect();
    let (mut good, mut bad) = (0, ends.len() - 1);
    if !fails(text) {
        return SdpError::Incomplete;
    }
    while good < bad {
        let middle = good.midpoint(bad);
        match ends.get(middle).and_then(|end| text.get(..*end)) {
            Some(prefix) if !fails(prefix) => good = middle + 1,
            _ => bad = middle,
        }
    }
    SdpError::Grammar {
        line: (bad + 1).saturating_sub(head),
    }
}

/// Fails for another reason than that it ends too early, which the syntax crate reports as an empty line type.
fn fails(prefix: &str) -> bool {
    match SessionDescription::unmarshal(&mut Cursor::new(prefix)) {
        Ok(_) => false,
        Err(error) => error.to_string() != "SdpInvalidSyntax: ",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n";

    #[test]
    fn lines_keep_their_numbers() {
        let raw = read(&format!("{HEAD}a=ice-lite\r\nm=audio 9 RTP/AVP 0\r\na=mid:x\r\n")).unwrap();
        assert_eq!((raw.id, raw.version), (1, 2));
        assert_eq!(
            (raw.attributes[0].line, raw.attributes[0].key.as_str()),
            (5, "ice-lite")
        );
        assert_eq!((raw.sections[0].line, raw.sections[0].attributes[0].line), (6, 7));
    }

    #[test]
    fn errors_name_the_line() {
        assert_eq!(read("").unwrap_err(), SdpError::Incomplete);
        assert_eq!(
            read("v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\n").unwrap_err(),
            SdpError::Incomplete
        );
        assert_eq!(read("hello").unwrap_err(), SdpError::NotALine { line: 1 });
        assert_eq!(
            read(&format!("{HEAD}\r\nnonsense\r\n")).unwrap_err(),
            SdpError::NotALine { line: 6 }
        );
        assert_eq!(
            read("v=0\r\no=- one 2 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n").unwrap_err(),
            SdpError::Grammar { line: 2 }
        );
        assert_eq!(
            read(&format!(
                "{HEAD}m=audio 9 RTP/AVP 0\r\nm=tulips 9 RTP/AVP 0\r\na=mid:1\r\n"
            ))
            .unwrap_err(),
            SdpError::Grammar { line: 6 }
        );
        assert_eq!(
            read(&format!("{HEAD}v=0\r\n")).unwrap_err(),
            SdpError::Grammar { line: 5 }
        );
        assert_eq!(read(&"v=0\r\n".repeat(200_000)).unwrap_err(), SdpError::TooLong);
    }

    #[test]
    fn fragments_count_from_their_own_first_line() {
        let raw = read_fragment("a=ice-ufrag:x\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n").unwrap();
        assert_eq!(raw.attributes[0].line, 1);
        assert_eq!(raw.sections[0].line, 2);
        assert_eq!(
            read_fragment("a=x\r\nm=audio\r\n").unwrap_err(),
            SdpError::Grammar { line: 2 }
        );
    }
}
