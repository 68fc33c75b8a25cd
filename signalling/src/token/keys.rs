//! Signing and checking tokens with a table of keys.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::claims::Claims;

/// How far the clocks of issuer and server may differ.
pub const LEEWAY: Duration = Duration::from_secs(60);

/// Longest token that is read, in bytes: metadata and a room configuration may be in it, but headers end at 16 kB.
pub const MAX_TOKEN_LEN: usize = 8 * 1024;

/// The only header that we write.
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// Why a token is refused. Its text is one sentence for the person who sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenError {
    /// Not three parts of base64url with JSON inside, or longer than [`MAX_TOKEN_LEN`].
    NotAToken,
    /// Signed by something else than HS256.
    Algorithm,
    /// Signed by a key that is not in the table.
    UnknownKey,
    /// Changed on the way, or signed with another secret.
    BadSignature,
    /// No `exp`: it would be valid for ever.
    NoExpiry,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAToken => "The access token is not a JSON web token.",
            Self::Algorithm => "The access token is not signed with HS256.",
            Self::UnknownKey => "The access token is signed by a key that this server does not know.",
            Self::BadSignature => "The signature of the access token is wrong.",
            Self::NoExpiry => "The access token has no time of expiry.",
            Self::Expired => "The access token has expired.",
            Self::NotYetValid => "The access token is not valid yet.",
        })
    }
}

impl Error for TokenError {}

/// The keys that may sign tokens: name and secret.
#[derive(Clone, Default)]
pub struct Keys {
    table: HashMap<String, hmac::Key>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
}

impl Keys {
    /// Adds a key, or replaces the one with this name.
    pub fn insert(&mut self, name: &str, secret: &str) {
        self.table
            .insert(name.to_owned(), hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()));
    }

    /// Without a key no token is good.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Checks signature and time; `now` is the time since 1970. The signature is compared in constant time.
    ///
    /// # Errors
    ///
    /// The first reason to refuse it. Nothing in it may be believed then.
    pub fn verify(&self, token: &str, now: Duration) -> Result<Claims, TokenError> {
        let claims = self.verify_signature(token)?;
        let expires = Duration::from_secs(claims.exp.ok_or(TokenError::NoExpiry)?);
        if now >= expires.saturating_add(LEEWAY) {
            return Err(TokenError::Expired);
        }
        let begins = Duration::from_secs(claims.nbf.unwrap_or_default());
        if now.saturating_add(LEEWAY) < begins {
            return Err(TokenError::NotYetValid);
        }
        Ok(claims)
    }

    /// Checks the signature only: for what was begun while the token was valid and may end later.
    ///
    /// # Errors
    ///
    /// As [`Self::verify`], but never for the time.
    pub fn verify_signature(&self, token: &str) -> Result<Claims, TokenError> {
        if token.len() > MAX_TOKEN_LEN {
            return Err(TokenError::NotAToken);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::NotAToken)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::NotAToken)?;
        let header: Header = json(header)?;
        if header.alg != "HS256" {
            return Err(TokenError::Algorithm);
        }
        let claims: Claims = json(payload)?;
        let key = self.table.get(&claims.iss).ok_or(TokenError::UnknownKey)?;
        hmac::verify(key, signed.as_bytes(), &decode(signature)?).map_err(|_| TokenError::BadSignature)?;
        Ok(claims)
    }

    /// Signs `claims` with the key `name`, which becomes their issuer; `None` when there is no such key.
    #[must_use]
    pub fn mint(&self, name: &str, claims: &Claims) -> Option<String> {
        let key = self.table.get(name)?;
        let claims = Claims {
            iss: name.to_owned(),
            ..claims.clone()
        };
        let payload = serde_json::to_vec(&claims).ok()?;
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(HEADER), URL_SAFE_NO_PAD.encode(payload));
        let signature = hmac::sign(key, signed.as_bytes());
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    // Some writers pad, against RFC 7515 §2.
    URL_SAFE_NO_PAD
        .decode(part.trim_end_matches('='))
        .map_err(|_| TokenError::NotAToken)
}

fn json<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, TokenError> {
    serde_json::from_slice(&decode(part)?).map_err(|_| TokenError::NotAToken)
}

impl fmt::Debug for Keys {
    /// Names only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.table.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::claims::VideoGrant;
    use super::*;

    const NOW: Duration = Duration::from_secs(1_700_000_000);

    fn keys() -> Keys {
        let mut keys = Keys::default();
        keys.insert("devkey", "secret");
        keys
    }

    fn claims() -> Claims {
        let grant = VideoGrant {
            room_join: true,
            room: "assembly".to_owned(),
            ..VideoGrant::default()
        };
        Claims::new("ada", grant, NOW + Duration::from_secs(10))
    }

    /// Signs any text with the dev key.
    fn signed(header: &str, payload: &str) -> String {
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"secret"), signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    #[test]
    fn what_is_minted_is_verified() {
        let claims = Claims {
            name: "Ada".to_owned(),
            metadata: "{}".to_owned(),
            attributes: [("hand".to_owned(), "up".to_owned())].into(),
            video: VideoGrant {
                can_publish: Some(false),
                hidden: true,
                ..claims().video
            },
            ..claims()
        };
        let token = keys().mint("devkey", &claims).unwrap();
        let verified = keys().verify(&token, NOW).unwrap();
        assert_eq!(
            verified,
            Claims {
                iss: "devkey".to_owned(),
                ..claims
            }
        );
        assert!(!verified.video.publishes() && verified.video.subscribes() && !verified.video.publishes_data());
        assert_eq!(keys().mint("nokey", &verified), None);
    }

    #[test]
    fn reads_a_token_of_another_implementation() {
        // Made by PyJWT: key "devkey", secret "secret".
        let token = concat!(
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.",
            "eyJpc3MiOiJkZXZrZXkiLCJzdWIiOiJhZGEiLCJleHAiOjE3MDAwMDA2MDAsInZpZGVvIjp7InJvb21Kb2luIjp0cnVlLCJyb29tIjoiYXNzZW1ibHkiLCJjYW5QdWJsaXNoIjpmYWxzZX19.",
            "m2Z8m3mJuJg4xonJzL8ul_n79BwqF17fmA-w-Orf50g"
        );
        let claims = keys().verify(token, NOW).unwrap();
        assert_eq!(claims.identity(), Some("ada"));
        assert!(claims.video.joins("assembly") && !claims.video.publishes());
    }

    #[test]
    fn time_has_a_leeway() {
        let token = keys()
            .mint(
                "devkey",
                &Claims {
                    nbf: Some(NOW.as_secs()),
                    ..claims()
                },
            )
            .unwrap();
        let at = |seconds: i64| keys().verify(&token, Duration::from_secs((1_700_000_000 + seconds).cast_unsigned()));
        assert_eq!(at(69).map(|_| ()), Ok(()));
        assert_eq!(at(70).unwrap_err(), TokenError::Expired);
        assert_eq!(at(-60).map(|_| ()), Ok(()));
        assert_eq!(at(-61).unwrap_err(), TokenError::NotYetValid);
    }

    #[test]
    fn every_reason_to_refuse() {
        let header = HEADER;
        let good = keys().mint("devkey", &claims()).unwrap();
        let mut other = Keys::default();
        other.insert("devkey", "another secret");
        other.insert("elsewhere", "secret");
        let none = signed(r#"{"alg":"none"}"#, r#"{"iss":"devkey","exp":1700000001}"#);
        for (token, error) in [
            (String::new(), TokenError::NotAToken),
            ("a.b".to_owned(), TokenError::NotAToken),
            ("a.b.c".to_owned(), TokenError::NotAToken),
            (format!("{good}.x"), TokenError::NotAToken),
            (format!("{good}!"), TokenError::NotAToken),
            ("x".repeat(MAX_TOKEN_LEN + 1), TokenError::NotAToken),
            (signed(header, "7"), TokenError::NotAToken),
            (none, TokenError::Algorithm),
            (other.mint("elsewhere", &claims()).unwrap(), TokenError::UnknownKey),
            (other.mint("devkey", &claims()).unwrap(), TokenError::BadSignature),
            (signed(header, r#"{"iss":"devkey"}"#), TokenError::NoExpiry),
            (
                signed(header, r#"{"iss":"devkey","exp":1699999000.5}"#),
                TokenError::Expired,
            ),
            (signed(header, r#"{"iss":"devkey","exp":-1}"#), TokenError::Expired),
        ] {
            assert_eq!(keys().verify(&token, NOW).unwrap_err(), error, "{token}");
            assert!(error.to_string().ends_with('.'));
        }
    }

    proptest! {
        #[test]
        fn a_changed_token_is_never_good(at in 0usize..1000, letter in "[A-Za-z0-9_.=-]") {
            let good = keys().mint("devkey", &claims()).unwrap();
            let at = at % good.len();
            let mut bad = good.clone();
            bad.replace_range(at..=at, &letter);
            // The last letter of each part has bits that say nothing: they must be zero, or the part is refused.
            prop_assert!(bad == good || keys().verify(&bad, NOW).is_err());
        }

        #[test]
        fn any_text_does_no_harm(token in ".{0,60}") {
            prop_assert!(keys().verify(&token, NOW).is_err());
        }
    }
}
