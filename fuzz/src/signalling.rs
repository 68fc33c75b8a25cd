//! Bodies for what signalling reads: session descriptions, candidate fragments, access tokens.

use std::time::Duration;

use althing_signalling::sdp::{Codecs, Description, Fragment, Wish, answer};
use althing_signalling::token::Keys;

/// An offer or a fragment: it is read or refused with a sentence; what is read is written, and reads the same.
pub fn sdp(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Description::parse(text) {
        Ok(offer) => {
            let written = offer.to_string();
            let again = Description::parse(&written).expect("what we write is valid");
            assert_eq!(again.to_string(), written);
            let agreement = answer(&offer, &Codecs::default(), |_| Wish::Receive);
            if let Ok(agreement) = agreement {
                assert!(agreement.tracks().all(|track| !track.codecs.is_empty()));
                agreement.subscriptions().for_each(drop);
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Ok(fragment) = Fragment::parse(text) {
        let written = fragment.to_string();
        let again = Fragment::parse(&written).expect("what we write is valid");
        assert_eq!(again.to_string(), written);
    }
}

/// A token: without the secret, none is good.
pub fn token(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut keys = Keys::default();
    keys.insert("devkey", "a secret that is not in the corpus");
    assert!(keys.verify(text, Duration::from_secs(1_800_000_000)).is_err());
}
