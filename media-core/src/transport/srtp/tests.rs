//! The vectors of RFC 3711 and RFC 7714, rtc-srtp as the oracle both ways, wraps, replays, garbage.

use proptest::prelude::*;
use rtc_srtp::context::Context;
use rtc_srtp::protection_profile::ProtectionProfile;

use super::cm80::Cm80;
use super::gcm::Gcm;
use super::keys::SessionKeys;
use super::*;
use crate::packet::{Layout, Pt, RtpWriter, SeqNo, Ssrc};
use crate::stats::DropReason;
use crate::transport::SrtpProfile;

const PROFILES: [SrtpProfile; 3] = [
    SrtpProfile::AeadAes128Gcm,
    SrtpProfile::AeadAes256Gcm,
    SrtpProfile::Aes128CmSha1_80,
];

fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn session(profile: SrtpProfile, key: &[u8], salt: &[u8]) -> SessionKeys {
    let mut keys = SessionKeys {
        profile,
        key: [0; 32],
        auth: [0; 20],
        salt: [0; 14],
    };
    keys.key[..key.len()].copy_from_slice(key);
    keys.salt[..salt.len()].copy_from_slice(salt);
    keys
}

fn master(profile: SrtpProfile) -> MasterKey {
    let bytes: Vec<u8> = (100..146).collect();
    MasterKey::new(
        profile,
        &bytes[..profile.key_len()],
        &bytes[32..32 + profile.salt_len()],
    )
    .unwrap()
}

fn oracle(profile: SrtpProfile) -> Context {
    let theirs = match profile {
        SrtpProfile::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
        SrtpProfile::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
        SrtpProfile::Aes128CmSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
    };
    let (key, crypto) = (master(profile), rtc_srtp::crypto::default_provider().unwrap());
    Context::new(key.key(), key.salt(), theirs, None, None, crypto.crypto()).unwrap()
}

/// A packet with a CSRC, extensions and some payload; its header's length; the whole length.
fn rtp(buffer: &mut [u8], seq: u16, ssrc: u32, payload: &[u8]) -> (usize, usize) {
    let mut writer = RtpWriter::new(buffer, Pt::new(96), true, seq, 9000, Ssrc(ssrc));
    writer.csrc(Ssrc(7));
    writer.extension(3, &[0x11, 0x22]);
    writer.payload(payload);
    writer.finish().unwrap()
}

fn open(opener: &mut Opener, datagram: &[u8]) -> Result<Vec<u8>, DropReason> {
    let layout = Layout::parse(datagram).map_err(|_| DropReason::Malformed)?;
    let mut out = [0; 2000];
    let len = opener.open_rtp(&layout, datagram, &mut out)?;
    Ok(out[..len].to_vec())
}

/// RFC 3711 §B.2.
#[test]
fn counter_mode_of_rfc_3711() {
    let keys = session(
        SrtpProfile::Aes128CmSha1_80,
        &hex("2B7E151628AED2A6ABF7158809CF4F3C"),
        &hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD"),
    );
    let mut stream = vec![0; 0xff02 * 16];
    Cm80::new(&keys).apply(0, 0, &mut stream);
    let block = |counter: usize| stream[counter * 16..counter * 16 + 16].to_vec();
    assert_eq!(block(0), hex("E03EAD0935C95E80E166B16DD92B4EB4"));
    assert_eq!(block(1), hex("D23513162B02D0F72A43A2FE4A5F97AB"));
    assert_eq!(block(2), hex("41E95B3BB0A2E8DD477901E4FCA894C0"));
    assert_eq!(block(0xfeff), hex("EC8CDF7398607CB0F2D21675EA9EA1E4"));
    assert_eq!(block(0xff00), hex("362B7C3C6773516318A077D7FC5073AE"));
    assert_eq!(block(0xff01), hex("6A2CC3787889374FBEB4C81B17BA6C44"));
}

/// RFC 7714 §16.1.1 and §16.2.1.
#[test]
fn rtp_packets_of_rfc_7714() {
    let salt = hex("517569642070726f2071756f");
    let packet = hex("8040f17b8041f8d35501a0b2 47616c6c696120657374206f6d6e697320646976697361
         20696e207061727465732074726573");
    let table = [
        (
            SrtpProfile::AeadAes128Gcm,
            "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833
             899d7f27beb16a9152cf765ee4390cce",
        ),
        (
            SrtpProfile::AeadAes256Gcm,
            "32b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b
             7aa3db36dfffd6b0f9bb7878d7a76c13",
        ),
    ];
    for (profile, expected) in table {
        let key: Vec<u8> = (0..32).take(profile.key_len()).collect();
        let gcm = Gcm::new(&session(profile, &key, &salt));
        let nonce = gcm.rtp_nonce(0x5501_a0b2, 0xf17b);
        assert_eq!(nonce[..], hex("51753c6580c2726f20718414"));
        let (mut sealed, header) = (packet.clone(), packet[..12].to_vec());
        let mut tag = [0; 16];
        gcm.seal(nonce, &header, &mut sealed[12..], &mut tag).unwrap();
        assert_eq!([&sealed[12..], &tag].concat(), hex(expected));
        let mut opened = vec![0; sealed.len() - 12];
        gcm.open(nonce, &header, &sealed[12..], &tag, &mut opened).unwrap();
        assert_eq!(opened, packet[12..]);
    }
}

/// RFC 7714 §17.1 and §17.3.
#[test]
fn rtcp_packets_of_rfc_7714() {
    let salt = hex("517569642070726f2071756f");
    let packet = hex(
        "81c8000d4d617273 4e5450314e545032525450200000042a0000e9304c756e61deadbeef
         deadbeefdeadbeefdeadbeefdeadbeef",
    );
    let table = [
        (
            SrtpProfile::AeadAes128Gcm,
            "63e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded
             0bb9275bc84aa45896cf4d2fc5abf87245d9eade",
        ),
        (
            SrtpProfile::AeadAes256Gcm,
            "d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61de0476f1b6fad1d1eb30c
             4446839f57ff6f6cb26ac3be",
        ),
    ];
    for (profile, expected) in table {
        let key: Vec<u8> = (0..32).take(profile.key_len()).collect();
        let gcm = Gcm::new(&session(profile, &key, &salt));
        let nonce = gcm.rtcp_nonce(0x4d61_7273, 0x5d4);
        assert_eq!(nonce[..], hex("517524055203726f207170bb"));
        let aad = [&packet[..8], &hex("800005d4")].concat();
        let (mut sealed, mut tag) = (packet[8..].to_vec(), [0; 16]);
        gcm.seal(nonce, &aad, &mut sealed, &mut tag).unwrap();
        assert_eq!([&sealed[..], &tag].concat(), hex(expected));
        gcm.open_in_place(nonce, &aad, &tag, &mut sealed).unwrap();
        assert_eq!(sealed, packet[8..]);
    }
}

#[test]
fn rtp_differential_over_two_wraps() {
    for profile in PROFILES {
        let (sealer, mut opener) = (Sealer::new(&master(profile)), Opener::new(&master(profile)));
        let (mut their_sealer, mut their_opener) = (oracle(profile), oracle(profile));
        let mut seq = 0x1_7000_u64;
        // Steps that cross both wraps, with a step back now and then.
        for step in 0..40_u64 {
            seq += if step % 7 == 3 { 9000 } else { 1500 + step };
            for seq in [seq, seq - 5] {
                let mut buffer = [0; 1500];
                let payload = vec![u8::try_from(step).unwrap(); usize::try_from(step * 13).unwrap()];
                let (header, len) = rtp(&mut buffer, SeqNo(seq).wire(), 0xdead_0001, &payload);
                let plain = buffer[..len].to_vec();

                let sealed = sealer.seal_rtp(&mut buffer, header, len, SeqNo(seq)).unwrap();
                assert_eq!(
                    their_sealer.encrypt_rtp(&plain).unwrap(),
                    buffer[..sealed],
                    "{profile:?} {seq:x}"
                );
                assert_eq!(their_opener.decrypt_rtp(&buffer[..sealed]).unwrap(), plain);
                assert_eq!(open(&mut opener, &buffer[..sealed]), Ok(plain), "{profile:?} {seq:x}");
                assert_eq!(open(&mut opener, &buffer[..sealed]), Err(DropReason::Replayed));
            }
        }
        assert!(seq >> 16 > 2, "the steps cross two wraps");
    }
}

#[test]
fn rtcp_differential() {
    for profile in PROFILES {
        let (mut sealer, mut opener) = (Sealer::new(&master(profile)), Opener::new(&master(profile)));
        let (mut their_sealer, mut their_opener) = (oracle(profile), oracle(profile));
        for count in 0..50_u8 {
            let mut plain = vec![0x80, 201, 0, 1 + count, 0xde, 0xad, 0, 2];
            plain.extend(std::iter::repeat_n(count, usize::from(count) * 4));
            let mut buffer = plain.clone();
            buffer.resize(plain.len() + crate::transport::MAX_RTCP_TRAILER, 0);
            let sealed = sealer.seal_rtcp(&mut buffer, plain.len()).unwrap();
            assert_eq!(
                their_opener.decrypt_rtcp(&buffer[..sealed]).unwrap(),
                plain,
                "{profile:?}"
            );
            let mut again = buffer[..sealed].to_vec();
            let opened = opener.open_rtcp(&mut again).unwrap();
            assert_eq!(again[..opened], plain);
            assert_eq!(opener.open_rtcp(&mut buffer[..sealed]), Err(DropReason::Replayed));
        }
        let mut theirs = Opener::new(&master(profile));
        for _ in 0..50 {
            let plain = [0x80, 200, 0, 1, 0xde, 0xad, 0, 2];
            let mut sealed = their_sealer.encrypt_rtcp(&plain).unwrap();
            assert_eq!(theirs.open_rtcp(&mut sealed), Ok(8));
            assert_eq!(sealed[..8], plain);
        }
    }
}

#[test]
fn all_sequence_numbers_of_a_cycle_and_the_next() {
    // GCM only, in steps of every packet: the real thing, cheap enough.
    let (sealer, mut opener) = (
        Sealer::new(&master(SrtpProfile::AeadAes128Gcm)),
        Opener::new(&master(SrtpProfile::AeadAes128Gcm)),
    );
    for seq in 0x1_8000..0x3_8000_u64 {
        let mut buffer = [0; 64];
        let (header, len) = rtp(&mut buffer, SeqNo(seq).wire(), 1, &seq.to_be_bytes());
        let sealed = sealer.seal_rtp(&mut buffer, header, len, SeqNo(seq)).unwrap();
        let opened = open(&mut opener, &buffer[..sealed]).unwrap();
        assert_eq!(opened[header..], seq.to_be_bytes(), "{seq:x}");
    }
}

#[test]
fn forgery_changes_no_state() {
    for profile in PROFILES {
        let (sealer, mut opener) = (Sealer::new(&master(profile)), Opener::new(&master(profile)));
        let mut buffer = [0; 200];
        let (header, len) = rtp(&mut buffer, 10, 1, b"payload");
        let sealed = sealer.seal_rtp(&mut buffer, header, len, SeqNo(0x1_000a)).unwrap();
        for at in 0..sealed {
            let mut forged = buffer[..sealed].to_vec();
            forged[at] ^= 0x04;
            assert!(open(&mut opener, &forged).is_err(), "{profile:?} {at}");
            assert!(open(&mut opener, &buffer[..at]).is_err(), "{profile:?} {at}");
        }
        // A forged number far ahead has not moved the window.
        assert!(open(&mut opener, &buffer[..sealed]).is_ok());

        let (mut sealer, mut rtcp) = (sealer, [0x80, 201, 0, 1, 0, 0, 0, 9].to_vec());
        rtcp.resize(40, 0);
        let sealed = sealer.seal_rtcp(&mut rtcp, 8).unwrap();
        for at in 0..sealed {
            let mut forged = rtcp[..sealed].to_vec();
            forged[at] ^= 0x80;
            assert!(opener.open_rtcp(&mut forged).is_err(), "{profile:?} {at}");
            assert!(opener.open_rtcp(&mut rtcp[..at].to_vec()).is_err(), "{profile:?} {at}");
        }
        assert_eq!(opener.open_rtcp(&mut rtcp[..sealed]), Ok(8));
    }
}

#[test]
fn too_small_buffers_are_told() {
    for profile in PROFILES {
        let mut sealer = Sealer::new(&master(profile));
        let mut buffer = [0; 100];
        let (header, len) = rtp(&mut buffer, 10, 1, b"payload");
        let seq = SeqNo(0x1_000a);
        let tag = sealer.seal_rtp(&mut { buffer }, header, len, seq).unwrap() - len;
        assert_eq!(
            sealer.seal_rtp(&mut { buffer }[..len + tag - 1], header, len, seq),
            None
        );
        assert_eq!(sealer.seal_rtp(&mut buffer, len + 1, len, seq), None);
        assert_eq!(sealer.seal_rtp(&mut buffer, 8, len, seq), None);
        assert_eq!(sealer.seal_rtp(&mut buffer, header, 101, seq), None);
        assert_eq!(sealer.seal_rtp(&mut buffer, header, len, SeqNo(0xffff)), None);
        assert_eq!(sealer.seal_rtcp(&mut buffer[..20], 16), None);
        assert_eq!(sealer.seal_rtcp(&mut buffer, 7), None);

        let sealed = sealer.seal_rtp(&mut buffer, header, len, seq).unwrap();
        let layout = Layout::parse(&buffer[..sealed]).unwrap();
        let mut opener = Opener::new(&master(profile));
        assert_eq!(
            opener.open_rtp(&layout, &buffer[..sealed], &mut vec![0; len - 1]),
            Err(DropReason::TooLong)
        );
        assert_eq!(opener.open_rtp(&layout, &buffer[..sealed], &mut vec![0; len]), Ok(len));
    }
}

#[test]
fn ssrcs_are_bounded() {
    let profile = SrtpProfile::AeadAes128Gcm;
    let (mut sealer, mut opener) = (Sealer::new(&master(profile)), Opener::new(&master(profile)));
    for ssrc in 0..=u32::try_from(MAX_SSRCS).unwrap() {
        let full = usize::try_from(ssrc).unwrap() == MAX_SSRCS;
        let mut buffer = [0; 100];
        let (header, len) = rtp(&mut buffer, 10, ssrc, b"payload");
        let sealed = sealer.seal_rtp(&mut buffer, header, len, SeqNo(0x1_000a)).unwrap();
        assert_eq!(
            open(&mut opener, &buffer[..sealed]).err(),
            full.then_some(DropReason::LimitReached)
        );

        let mut rtcp = [0; 40];
        rtcp[..4].copy_from_slice(&[0x80, 201, 0, 1]);
        rtcp[4..8].copy_from_slice(&ssrc.to_be_bytes());
        let sealed = sealer.seal_rtcp(&mut rtcp, 8).unwrap();
        assert_eq!(
            opener.open_rtcp(&mut rtcp[..sealed]).err(),
            full.then_some(DropReason::LimitReached)
        );
    }
}

proptest! {
    #[test]
    fn garbage_never_panics(mut bytes in proptest::collection::vec(any::<u8>(), 0..120), profile in 0usize..3) {
        let mut opener = Opener::new(&master(PROFILES[profile]));
        if let Some(first) = bytes.first_mut() {
            *first = 0x80 | (*first & 0x3f);
        }
        prop_assert!(open(&mut opener, &bytes).is_err());
        prop_assert!(opener.open_rtcp(&mut bytes).is_err());
    }
}
