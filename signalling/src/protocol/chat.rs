//! What people write to all, for parts of the server that keep it (a recording): text streams on the topic `lk.chat`, and
//! the messages of older clients.
//!
//! Only whole messages to everybody are understood; corrections, files and what is encrypted end to end are not.

use std::collections::HashMap;
use std::io::Read as _;

use flate2::read::DeflateDecoder;

use super::wire::proto;
use proto::data_packet::Value;
use proto::data_stream::header::ContentHeader;
use proto::data_stream::{CompressionType, Header, OperationType};

/// Where clients chat.
const TOPIC: &str = "lk.chat";
/// And where older ones did, in packets of JSON.
const OLD_TOPIC: &str = "lk-chat-topic";
/// Longest message, in bytes; what is longer is cut.
const MAX_TEXT: usize = 16 * 1024;
/// Messages that one client may have begun; what it begins beyond that is not understood.
const MAX_OPEN: usize = 4;
/// Longest name of a stream, in bytes.
const MAX_NAME: usize = 256;

/// The messages that one client has begun.
#[derive(Debug, Default)]
pub(super) struct Texts {
    open: HashMap<String, Vec<u8>>,
}

impl Texts {
    /// Takes a packet that is for all; gives the message that is whole with it.
    pub(super) fn take(&mut self, value: &Value) -> Option<String> {
        match value {
            Value::StreamHeader(header) => self.begin(header),
            Value::StreamChunk(chunk) => {
                if let Some(text) = self.open.get_mut(&chunk.stream_id) {
                    let room = MAX_TEXT.saturating_sub(text.len());
                    text.extend(chunk.content.iter().take(room));
                }
                None
            }
            Value::StreamTrailer(trailer) => text(self.open.remove(&trailer.stream_id)?),
            Value::ChatMessage(message) if !message.deleted && message.edit_timestamp.is_none() => {
                text(message.message.bytes().take(MAX_TEXT).collect())
            }
            Value::User(user) if user.topic.as_deref() == Some(OLD_TOPIC) => {
                let json: serde_json::Value = serde_json::from_slice(&user.payload).ok()?;
                // It came as a text stream as well.
                let twice = json.get("ignoreLegacy").and_then(serde_json::Value::as_bool) == Some(true);
                let message = json.get("message").filter(|_| !twice)?.as_str()?;
                text(message.bytes().take(MAX_TEXT).collect())
            }
            _ => None,
        }
    }

    fn begin(&mut self, header: &Header) -> Option<String> {
        let new = matches!(&header.content_header, Some(ContentHeader::TextHeader(text))
            if text.operation_type == OperationType::Create as i32);
        if header.topic != TOPIC || !new {
            return None;
        }
        if let Some(content) = &header.inline_content {
            return text(match header.compression() {
                CompressionType::None => content.iter().copied().take(MAX_TEXT).collect(),
                CompressionType::DeflateRaw => {
                    let mut bytes = Vec::new();
                    let mut reader = DeflateDecoder::new(content.as_slice()).take(MAX_TEXT as u64);
                    reader.read_to_end(&mut bytes).ok()?;
                    bytes
                }
            });
        }
        // What is compressed in pieces is too long for a message.
        if self.open.len() < MAX_OPEN && header.stream_id.len() <= MAX_NAME && header.compression == 0 {
            self.open.insert(header.stream_id.clone(), Vec::new());
        }
        None
    }
}

/// The text, without a letter that was cut in two.
fn text(bytes: Vec<u8>) -> Option<String> {
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let whole = error.utf8_error().valid_up_to();
            let mut bytes = error.into_bytes();
            bytes.truncate(whole);
            String::from_utf8(bytes).ok()?
        }
    };
    (!text.trim().is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(id: &str, topic: &str, inline: Option<&[u8]>) -> Value {
        Value::StreamHeader(Header {
            stream_id: id.to_owned(),
            topic: topic.to_owned(),
            inline_content: inline.map(<[u8]>::to_vec),
            content_header: Some(ContentHeader::TextHeader(proto::data_stream::TextHeader::default())),
            ..Default::default()
        })
    }

    fn chunk(id: &str, content: &[u8]) -> Value {
        Value::StreamChunk(proto::data_stream::Chunk {
            stream_id: id.to_owned(),
            content: content.to_vec(),
            ..Default::default()
        })
    }

    fn trailer(id: &str) -> Value {
        Value::StreamTrailer(proto::data_stream::Trailer {
            stream_id: id.to_owned(),
            ..Default::default()
        })
    }

    #[test]
    fn a_message_in_pieces_or_in_one() {
        let mut texts = Texts::default();
        assert_eq!(texts.take(&header("a", TOPIC, None)), None);
        assert_eq!(texts.take(&header("b", "elsewhere", None)), None);
        assert_eq!(texts.take(&chunk("a", "gr\u{fc}\u{df}".as_bytes())), None);
        assert_eq!(texts.take(&chunk("b", b"not this")), None);
        assert_eq!(texts.take(&trailer("b")), None);
        assert_eq!(texts.take(&trailer("a")), Some("gr\u{fc}\u{df}".to_owned()));
        assert_eq!(texts.take(&trailer("a")), None, "twice");
        assert_eq!(
            texts.take(&header("c", TOPIC, Some(b"short"))),
            Some("short".to_owned())
        );
        let old = |json: &str| {
            Value::User(proto::UserPacket {
                topic: Some(OLD_TOPIC.to_owned()),
                payload: json.as_bytes().to_vec(),
                ..Default::default()
            })
        };
        assert_eq!(texts.take(&old(r#"{"message":"old"}"#)), Some("old".to_owned()));
        assert_eq!(texts.take(&old(r#"{"message":"new","ignoreLegacy":true}"#)), None);
    }

    #[test]
    fn what_never_ends_has_a_bound() {
        let mut texts = Texts::default();
        for id in 0..100 {
            texts.take(&header(&id.to_string(), TOPIC, None));
            for _ in 0..50 {
                texts.take(&chunk(&id.to_string(), &[0xe2, 0x82, 0xac].repeat(1000)));
            }
        }
        let held: usize = texts.open.values().map(Vec::len).sum();
        assert_eq!((texts.open.len(), held), (MAX_OPEN, MAX_OPEN * MAX_TEXT));
        let said = texts.take(&trailer("0")).expect("what fits");
        assert!(said.len() > MAX_TEXT - 3 && said.chars().all(|letter| letter == '\u{20ac}'));
    }
}
