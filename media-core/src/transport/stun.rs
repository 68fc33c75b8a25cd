//! A first look at STUN from an unknown address: whose is it?
//!
//! RFC 8489 §5 (header), §14.3 (USERNAME), RFC 8445 §7.2.2 (what the user name is made of). It reads, allocates
//! nothing and verifies nothing: whether the sender knows the password is the transport's question.

use aws_lc_rs::rand;

use crate::transport::IceCreds;

/// Routers that can share one port: what the first letter of a user fragment can tell apart.
pub const MAX_ROUTERS: u8 = 64;
/// `ice-char` (RFC 8839 §5.1): 64 letters, of which a fragment and a password are made.
const ICE_CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Letters of our user fragments: the router's, then 66 random bits (RFC 8445 §5.3 asks for 24).
const UFRAG_LETTERS: usize = 12;
/// Letters of our passwords: 144 random bits (RFC 8445 §5.3 asks for 128).
const PWD_LETTERS: usize = 24;
/// Bytes of the STUN header.
const HEADER: usize = 20;
/// The magic cookie.
const COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
const BINDING_REQUEST: [u8; 2] = [0x00, 0x01];
const USERNAME: u16 = 0x0006;

/// The local user fragment that a binding request is addressed to; `None` when `datagram` is no binding request or
/// names none.
///
/// Some nanoseconds, no allocation; nothing is verified.
#[must_use]
pub fn local_ufrag(datagram: &[u8]) -> Option<&str> {
    let (header, mut rest) = datagram.split_first_chunk::<HEADER>()?;
    let len = usize::from(u16::from_be_bytes([header[2], header[3]]));
    if header[..2] != BINDING_REQUEST || header[4..8] != COOKIE || len != rest.len() {
        return None;
    }
    while let Some((&[kind0, kind1, len0, len1], value)) = rest.split_first_chunk::<4>() {
        let len = usize::from(u16::from_be_bytes([len0, len1]));
        if u16::from_be_bytes([kind0, kind1]) == USERNAME {
            let (local, _remote) = std::str::from_utf8(value.get(..len)?).ok()?.split_once(':')?;
            return Some(local);
        }
        rest = value.get(len.next_multiple_of(4)..)?;
    }
    None
}

/// The router that made a user fragment: 0 to 63, `None` when it cannot be one of ours.
#[must_use]
pub fn router_index(ufrag: &str) -> Option<u8> {
    let first = *ufrag.as_bytes().first()?;
    ICE_CHARS
        .iter()
        .position(|&letter| letter == first)
        .and_then(|at| u8::try_from(at).ok())
}

/// New credentials whose user fragment names router `index` (modulo 64).
///
/// # Panics
/// When the system gives no randomness; nothing could be kept secret then.
#[must_use]
pub fn new_creds(index: u8) -> IceCreds {
    let mut random = [0; UFRAG_LETTERS + PWD_LETTERS];
    rand::fill(&mut random).expect("the system gives randomness");
    let mut letters = random
        .iter()
        .map(|byte| char::from(ICE_CHARS[usize::from(byte % MAX_ROUTERS)]));
    let mut ufrag: String = letters.by_ref().take(UFRAG_LETTERS).collect();
    ufrag.replace_range(
        ..1,
        &char::from(ICE_CHARS[usize::from(index % MAX_ROUTERS)]).to_string(),
    );
    IceCreds {
        ufrag,
        pwd: letters.collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(username: &[u8]) -> Vec<u8> {
        let mut attributes = vec![0x80, 0x22, 0, 3, b'i', b'c', b'e', 0, 0, 6];
        attributes.extend(u16::try_from(username.len()).unwrap().to_be_bytes());
        attributes.extend(username);
        attributes.resize(attributes.len().next_multiple_of(4), 0);
        let mut datagram = vec![0, 1];
        datagram.extend(u16::try_from(attributes.len()).unwrap().to_be_bytes());
        datagram.extend(COOKIE);
        datagram.extend([7; 12]);
        datagram.extend(attributes);
        datagram
    }

    #[test]
    fn finds_the_user_behind_other_attributes() {
        let whole = request(b"local:remote");
        assert_eq!(local_ufrag(&whole), Some("local"));
        for end in 0..whole.len() {
            assert_eq!(local_ufrag(&whole[..end]), None, "{end}");
        }
        assert_eq!(local_ufrag(&request(b"nocolon")), None);
        assert_eq!(local_ufrag(&request(&[0xff, b':'])), None);
        let mut response = whole;
        response[0] = 1;
        assert_eq!(local_ufrag(&response), None);
    }

    #[test]
    fn credentials_name_their_router() {
        for index in 0..MAX_ROUTERS {
            let creds = new_creds(index);
            assert!(creds.is_valid());
            assert_eq!(router_index(&creds.ufrag), Some(index));
        }
        assert_ne!(new_creds(1), new_creds(1));
        assert_eq!((router_index(""), router_index("é")), (None, None));
    }

    proptest! {
        #[test]
        fn never_panics(mut bytes in proptest::collection::vec(any::<u8>(), 0..120), real in any::<bool>()) {
            if real && bytes.len() >= HEADER {
                let len = u16::try_from(bytes.len() - HEADER).unwrap();
                bytes[..2].copy_from_slice(&BINDING_REQUEST);
                bytes[2..4].copy_from_slice(&len.to_be_bytes());
                bytes[4..8].copy_from_slice(&COOKIE);
            }
            let _ = local_ufrag(&bytes);
        }
    }
}
