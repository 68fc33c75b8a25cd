//! Access tokens for trying out: HS256 (RFC 7515, RFC 7519) with the claims that the server wants for one room.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// How long a token is valid.
const VALID: Duration = Duration::from_secs(3600);

/// A token that lets `identity` publish and watch in `room`. Names are letters, digits and hyphens.
#[must_use]
pub fn mint(key: &str, secret: &str, room: &str, identity: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let expires = (now + VALID).as_secs();
    let claims =
        format!(r#"{{"iss":"{key}","sub":"{identity}","exp":{expires},"video":{{"roomJoin":true,"room":"{room}"}}}}"#);
    let signed = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_signed() {
        let token = mint("devkey", "secret", "room", "me");
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"secret");
        hmac::verify(&key, signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
        let claims = URL_SAFE_NO_PAD.decode(signed.split_once('.').unwrap().1).unwrap();
        let claims = String::from_utf8(claims).unwrap();
        assert!(claims.starts_with(r#"{"iss":"devkey","sub":"me","exp":"#), "{claims}");
        assert!(
            claims.ends_with(r#""video":{"roomJoin":true,"room":"room"}}"#),
            "{claims}"
        );
    }
}
