//! What stands in the address of a WebSocket: who comes in, with which program, and often the first offer at once.
//!
//! The current form packs all in one parameter, `join_request`: base64url around an envelope around a message that may be
//! compressed with gzip. Clients that send on one connection and receive on another use flat parameters instead.

use std::collections::HashMap;
use std::io::Read as _;

use axum::http::StatusCode;
use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use flate2::read::GzDecoder;
use prost::Message as _;
use serde::Deserialize;

use super::wire::proto;
use crate::problem::Problem;

/// Longest join request after decompression, in bytes.
const MAX_JOIN: usize = 1024 * 1024;

/// base64url, with padding or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What may stand behind the question mark.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Query {
    pub(super) access_token: Option<String>,
    pub(super) join_request: Option<String>,
    #[serde(flatten)]
    flat: HashMap<String, String>,
}

/// How many connections a client uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One: it offers, we answer ("v1").
    Single,
    /// One to send, on which it offers, and one to receive, on which we do ("v0").
    Dual,
}

/// Reads what a client asks for.
pub(super) fn read(query: &Query) -> Result<(Form, proto::JoinRequest), Problem> {
    match &query.join_request {
        Some(text) => Ok((Form::Single, packed(text)?)),
        None => Ok((Form::Dual, flat(&query.flat)?)),
    }
}

/// The flat parameters. What is missing has the value that clients mean by leaving it out.
fn flat(query: &HashMap<String, String>) -> Result<proto::JoinRequest, Problem> {
    let text = |name: &str| query.get(name).cloned().unwrap_or_default();
    let number = |name: &str| query.get(name).and_then(|text| text.parse().ok()).unwrap_or_default();
    let flag = |name: &str, usual: bool| match query.get(name).map(String::as_str) {
        Some("1" | "true") => true,
        Some("0" | "false") => false,
        _ => usual,
    };
    let sdk = proto::client_info::Sdk::from_str_name(&text("sdk").to_ascii_uppercase());
    let capability = |name: &str| {
        let known = proto::client_info::Capability::from_str_name(&name.trim().to_ascii_uppercase());
        known.map(i32::from)
    };
    let participant_attributes = match query.get("attributes") {
        None => HashMap::new(),
        Some(text) => {
            let pairs = BASE64
                .decode(text)
                .ok()
                .and_then(|json| serde_json::from_slice(&json).ok());
            pairs.ok_or_else(|| bad("The attributes are not a base64url of JSON with strings."))?
        }
    };
    Ok(proto::JoinRequest {
        client_info: Some(proto::ClientInfo {
            sdk: sdk.unwrap_or_default().into(),
            version: text("version"),
            protocol: number("protocol"),
            client_protocol: number("client_protocol"),
            os: text("os"),
            device_model: text("device_model"),
            browser: text("browser"),
            browser_version: text("browser_version"),
            capabilities: text("capabilities").split(',').filter_map(capability).collect(),
            ..Default::default()
        }),
        connection_settings: Some(proto::ConnectionSettings {
            auto_subscribe: flag("auto_subscribe", true),
            adaptive_stream: flag("adaptive_stream", false),
            auto_subscribe_data_track: Some(flag("auto_subscribe_data_track", false)),
            ..Default::default()
        }),
        participant_attributes,
        reconnect: flag("reconnect", false),
        participant_sid: text("sid"),
        ..Default::default()
    })
}

fn bad(sentence: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, sentence)
}

/// The one parameter of the current form.
fn packed(text: &str) -> Result<proto::JoinRequest, Problem> {
    let wrapped = BASE64
        .decode(text)
        .map_err(|_| bad("The join request is not base64url."))?;
    let wrapped = proto::WrappedJoinRequest::decode(wrapped.as_slice())
        .map_err(|_| bad("The join request has no readable envelope."))?;
    let inner = if wrapped.compression == proto::wrapped_join_request::Compression::Gzip as i32 {
        let mut inner = Vec::new();
        let limit = u64::try_from(MAX_JOIN).unwrap_or(u64::MAX);
        // One byte more than allowed tells that it is too long.
        let mut reader = GzDecoder::new(wrapped.join_request.as_slice()).take(limit + 1);
        reader
            .read_to_end(&mut inner)
            .map_err(|_| bad("The join request cannot be decompressed."))?;
        inner
    } else {
        wrapped.join_request
    };
    if inner.len() > MAX_JOIN {
        return Err(bad("The join request is too long."));
    }
    proto::JoinRequest::decode(inner.as_slice()).map_err(|_| bad("The join request is not readable."))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::*;

    fn query(compression: i32, join_request: Vec<u8>, pad: bool) -> Query {
        let wrapped = proto::WrappedJoinRequest {
            compression,
            join_request,
        };
        let mut text = base64::engine::general_purpose::URL_SAFE.encode(wrapped.encode_to_vec());
        if !pad {
            text = text.trim_end_matches('=').to_owned();
        }
        Query {
            join_request: Some(text),
            ..Query::default()
        }
    }

    fn zipped(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn all_forms_are_read() {
        let request = proto::JoinRequest {
            participant_sid: "PA_x".to_owned(),
            reconnect: true,
            ..Default::default()
        };
        let bytes = request.encode_to_vec();
        for pad in [true, false] {
            for query in [query(0, bytes.clone(), pad), query(1, zipped(&bytes), pad)] {
                assert_eq!(read(&query).unwrap(), (Form::Single, request.clone()));
            }
        }
    }

    #[test]
    fn flat_parameters_say_the_same() {
        let parse = |text: &str| {
            let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
            read(&Query {
                flat: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
                ..Query::default()
            })
        };
        let (form, request) = parse(
            "protocol=13&sdk=android&version=2.27.0&auto_subscribe=0&adaptive_stream=1&reconnect=1&sid=PA_x&\
             attributes=eyJhIjoiYiJ9&capabilities=cap_packet_trailer,unknown&client_protocol=2",
        )
        .unwrap();
        let settings = request.connection_settings.unwrap();
        let info = request.client_info.unwrap();
        assert_eq!(form, Form::Dual);
        assert!(request.reconnect && settings.adaptive_stream && !settings.auto_subscribe);
        assert_eq!(request.participant_sid, "PA_x");
        assert_eq!(request.participant_attributes["a"], "b");
        assert_eq!((info.protocol, info.client_protocol), (13, 2));
        assert_eq!(info.sdk, i32::from(proto::client_info::Sdk::Android));
        assert_eq!(
            info.capabilities,
            [i32::from(proto::client_info::Capability::CapPacketTrailer)]
        );
        let (_, request) = parse("protocol=16").unwrap();
        assert!(request.connection_settings.unwrap().auto_subscribe && !request.reconnect);
        assert!(parse("attributes=!").is_err());
    }

    #[test]
    fn a_bomb_is_refused() {
        let long = vec![0; MAX_JOIN + 1];
        let problem = read(&query(1, zipped(&long), true)).unwrap_err();
        assert_eq!(problem.sentence, "The join request is too long.");
        assert!(read(&query(1, zipped(&long)[..100].to_vec(), true)).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300), compression in 0..3i32) {
            let _ = read(&query(compression, bytes.clone(), true));
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let _ = read(&Query { join_request: Some(text), ..Query::default() });
        }
    }
}
