//! What stands in the address of a WebSocket: who comes in, with which program, and often the first offer at once.
//!
//! The current form packs all in one parameter, `join_request`: base64url around an envelope around a message that may be
//! compressed with gzip. The flat parameters of older clients are read for what they say of the client.

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
}

/// Reads the join request; `Ok(None)` when there is none: an older client.
pub(super) fn read(query: &Query) -> Result<Option<proto::JoinRequest>, Problem> {
    let Some(text) = &query.join_request else {
        return Ok(None);
    };
    let bad = |sentence: &str| Problem::new(StatusCode::BAD_REQUEST, sentence);
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
    let request = proto::JoinRequest::decode(inner.as_slice()).map_err(|_| bad("The join request is not readable."))?;
    Ok(Some(request))
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
            assert_eq!(read(&query(0, bytes.clone(), pad)).unwrap().as_ref(), Some(&request));
            assert_eq!(read(&query(1, zipped(&bytes), pad)).unwrap().as_ref(), Some(&request));
        }
        assert_eq!(read(&Query::default()).unwrap(), None);
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
