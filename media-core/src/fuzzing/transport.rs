//! What strangers send before they are known: attributes of SDP, STUN, the first DTLS flight, SRTP without the key.

use std::str::FromStr;

use super::choices::Choices;
use crate::packet::{Layout, Mid, Rid, SeqNo};
use crate::transport::client_hello::FirstFlight;
use crate::transport::srtp::{MasterKey, Opener, Sealer};
use crate::transport::{Candidate, Fingerprint, SdesKey, Setup, SrtpProfile, stun as stun_peek};

/// Values of SDP attributes that the core reads: what is accepted is written and read again.
pub fn attribute(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(candidate) = Candidate::from_str(text) {
        assert_eq!(Candidate::from_str(&candidate.to_string()).as_ref(), Ok(&candidate));
    }
    if let Ok(key) = SdesKey::from_str(text) {
        assert_eq!(SdesKey::from_str(&key.to_string()).as_ref(), Ok(&key));
    }
    if let Some(fingerprint) = Fingerprint::parse(text) {
        assert_eq!(
            Fingerprint::parse(&fingerprint.to_string()).as_ref(),
            Some(&fingerprint)
        );
    }
    let _ = (Setup::parse(text), Mid::new(text), Rid::new(text));
}

/// The first look at STUN.
pub fn stun(data: &[u8]) {
    if let Some(ufrag) = stun_peek::local_ufrag(data) {
        assert!(stun_peek::router_index(ufrag).is_none_or(|index| index < stun_peek::MAX_ROUTERS));
    }
}

/// A first DTLS flight in any pieces, each with its length in front.
pub fn client_hello(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut flight = FirstFlight::default();
    while !choices.is_empty() {
        let len = usize::from(choices.word() % 2100);
        let _ = flight.push(choices.take(len));
    }
}

/// Packets that were never sealed, and packets that were and are changed: neither opens.
pub fn srtp(data: &[u8]) {
    let mut choices = Choices::new(data);
    let profile = match choices.below(3) {
        0 => SrtpProfile::AeadAes128Gcm,
        1 => SrtpProfile::AeadAes256Gcm,
        _ => SrtpProfile::Aes128CmSha1_80,
    };
    let key = [7; 64];
    let master = MasterKey::new(profile, &key[..profile.key_len()], &key[..profile.salt_len()]).expect("its lengths");
    let (mut sealer, mut opener) = (Sealer::new(&master), Opener::new(&master));
    let (at, change) = (usize::from(choices.word()), choices.byte());
    let packet = choices.rest();
    let mut out = [0; 2048];
    if let Ok(layout) = Layout::parse(packet) {
        assert!(
            opener.open_rtp(&layout, packet, &mut out).is_err(),
            "it was never sealed"
        );
        let mut sealed = packet.to_vec();
        sealed.resize(packet.len() + 64, 0);
        let seq = SeqNo(0x1_0000 + u64::from(u16::from_be_bytes([packet[2], packet[3]])));
        let Some(len) = sealer.seal_rtp(&mut sealed, layout.header_len(), packet.len(), seq) else {
            return;
        };
        sealed.truncate(len);
        let whole = sealed.clone();
        sealed[at % len] ^= change;
        let opened = Layout::parse(&sealed).map(|layout| opener.open_rtp(&layout, &sealed, &mut out).is_ok());
        assert_eq!(opened == Ok(true), change == 0, "only what was not changed opens");
        if change != 0 && whole.len() <= out.len() {
            let opened = opener
                .open_rtp(&layout, &whole, &mut out)
                .expect("a forgery spoils nothing");
            assert_eq!(&out[..opened], packet);
        }
    }
    let mut control = packet.to_vec();
    assert!(opener.open_rtcp(&mut control).is_err(), "it was never sealed");
    control.resize(packet.len() + 64, 0);
    if let Some(len) = sealer.seal_rtcp(&mut control, packet.len()) {
        control[at % len] ^= change;
        assert_eq!(opener.open_rtcp(&mut control[..len]).is_ok(), change == 0);
    }
}
