//! SRTP: protecting and unprotecting one 1200-byte packet, per profile, against rtc-srtp (with the same aws-lc-rs
//! under it) and against raw aws-lc-rs, which does the cryptography alone: no header, no window, no counter.

use std::hint::black_box;
use std::time::{Duration, Instant};

use althing_media_core::packet::{Layout, Pt, RtpWriter, SeqNo, Ssrc};
use althing_media_core::transport::SrtpProfile;
use althing_media_core::transport::srtp::{MasterKey, Opener, Sealer, WINDOW};
use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_128, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rtc_srtp::context::Context;
use rtc_srtp::option::srtp_replay_protection;
use rtc_srtp::protection_profile::ProtectionProfile;

/// Header and payload, in bytes.
const LEN: usize = 1200;
/// The fixed header, in bytes.
const HEADER: usize = 12;
/// Packets that are sealed before time is taken, then opened one after another: they fit the second-level cache.
const BATCH: u64 = 256;
/// Where our sequence numbers start.
const FIRST: u64 = 0x1_0000;

const PROFILES: [(&str, SrtpProfile, ProtectionProfile); 3] = [
    (
        "aes128gcm",
        SrtpProfile::AeadAes128Gcm,
        ProtectionProfile::AeadAes128Gcm,
    ),
    (
        "aes256gcm",
        SrtpProfile::AeadAes256Gcm,
        ProtectionProfile::AeadAes256Gcm,
    ),
    (
        "cm80",
        SrtpProfile::Aes128CmSha1_80,
        ProtectionProfile::Aes128CmHmacSha1_80,
    ),
];

fn master(profile: SrtpProfile) -> MasterKey {
    MasterKey::new(profile, &[7; 32][..profile.key_len()], &[9; 14][..profile.salt_len()]).expect("right lengths")
}

fn packet(seq: u16) -> [u8; LEN + 16] {
    let mut buffer = [0; LEN + 16];
    let mut writer = RtpWriter::new(&mut buffer, Pt::new(96), false, seq, 9000, Ssrc(1));
    writer.payload(&[5; LEN - HEADER]);
    writer.finish().expect("the buffer is large enough");
    buffer
}

fn oracle(profile: SrtpProfile, theirs: ProtectionProfile) -> Context {
    let (key, crypto) = (
        master(profile),
        rtc_srtp::crypto::default_provider().expect("a provider is built in"),
    );
    let window = srtp_replay_protection(usize::try_from(WINDOW).expect("small"));
    Context::new(key.key(), key.salt(), theirs, Some(window), None, crypto.crypto()).expect("right lengths")
}

/// The cryptography alone.
#[expect(clippy::large_enum_variant, reason = "there is one")]
enum Raw {
    Gcm(LessSafeKey),
    Cm80(EncryptingKey, hmac::Key),
}

impl Raw {
    fn new(profile: SrtpProfile) -> Self {
        match profile {
            SrtpProfile::AeadAes128Gcm | SrtpProfile::AeadAes256Gcm => {
                let algorithm = if profile.key_len() == 16 {
                    &AES_128_GCM
                } else {
                    &AES_256_GCM
                };
                let key = UnboundKey::new(algorithm, &[7; 32][..profile.key_len()]).expect("right length");
                Self::Gcm(LessSafeKey::new(key))
            }
            _ => {
                let key = UnboundCipherKey::new(&AES_128, &[7; 16]).and_then(EncryptingKey::ctr);
                let auth = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &[9; 20]);
                Self::Cm80(key.expect("right length"), auth)
            }
        }
    }

    fn seal(&self, buffer: &mut [u8; LEN + 16]) {
        let (header, rest) = buffer.split_at_mut(HEADER);
        let (text, tag) = rest.split_at_mut(LEN - HEADER);
        match self {
            Self::Gcm(key) => {
                let nonce = Nonce::assume_unique_for_key([3; 12]);
                key.seal_in_place_scatter(nonce, Aad::from(header), text, &[], tag)
                    .expect("seals");
            }
            Self::Cm80(cipher, auth) => {
                cipher
                    .less_safe_encrypt(text, EncryptionContext::Iv128(FixedLength::from([3; 16])))
                    .expect("encrypts");
                let tag = hmac::sign(auth, &buffer[..LEN + 4]);
                buffer[LEN..LEN + 10].copy_from_slice(&tag.as_ref()[..10]);
            }
        }
    }

    fn open(&self, buffer: &[u8; LEN + 16], out: &mut [u8; LEN]) {
        let (header, rest) = buffer.split_at(HEADER);
        let (text, tag) = rest.split_at(LEN - HEADER);
        match self {
            Self::Gcm(key) => {
                let nonce = Nonce::assume_unique_for_key([3; 12]);
                key.open_separate_gather(nonce, Aad::from(header), text, tag, &mut out[HEADER..])
                    .expect("opens");
            }
            Self::Cm80(cipher, auth) => {
                let _ = black_box(hmac::sign(auth, &buffer[..LEN + 4]));
                let text = &mut out[HEADER..];
                cipher
                    .less_safe_encrypt(text, EncryptionContext::Iv128(FixedLength::from([3; 16])))
                    .expect("decrypts");
            }
        }
    }
}

/// Times `count` calls of `open`, for which `start` gives a new opener whenever all packets were opened.
fn time_opening<T>(count: u64, mut start: impl FnMut() -> T, mut open: impl FnMut(&mut T, usize)) -> Duration {
    let (mut elapsed, mut left) = (Duration::ZERO, count);
    while left > 0 {
        let (mut opener, now) = (start(), left.min(BATCH));
        // The first packet makes the state of the stream.
        open(&mut opener, 0);
        let begin = Instant::now();
        for index in 1..=now {
            open(&mut opener, usize::try_from(index).expect("small"));
        }
        elapsed += begin.elapsed();
        left -= now;
    }
    elapsed
}

fn protect(c: &mut Criterion) {
    let mut group = c.benchmark_group("srtp_protect");
    group.throughput(Throughput::Bytes(LEN as u64));
    for (name, profile, theirs) in PROFILES {
        group.bench_function(BenchmarkId::new("althing", name), |b| {
            let (sealer, mut buffer, mut seq) = (Sealer::new(&master(profile)), packet(0), FIRST);
            b.iter(|| {
                seq += 1;
                sealer
                    .seal_rtp(black_box(&mut buffer), HEADER, LEN, SeqNo(seq))
                    .expect("room for the tag")
            });
        });
        group.bench_function(BenchmarkId::new("raw", name), |b| {
            let (raw, mut buffer) = (Raw::new(profile), packet(0));
            b.iter(|| raw.seal(black_box(&mut buffer)));
        });
        group.bench_function(BenchmarkId::new("rtc-srtp", name), |b| {
            let (mut context, buffer) = (oracle(profile, theirs), packet(0));
            b.iter(|| context.encrypt_rtp(black_box(&buffer[..LEN])).expect("seals"));
        });
    }
    group.finish();
}

fn unprotect(c: &mut Criterion) {
    let mut group = c.benchmark_group("srtp_unprotect");
    group.throughput(Throughput::Bytes(LEN as u64));
    for (name, profile, theirs) in PROFILES {
        let sealer = Sealer::new(&master(profile));
        let packets: Vec<(Layout, Vec<u8>)> = (FIRST..=FIRST + BATCH)
            .map(|seq| {
                let mut buffer = packet(SeqNo(seq).wire());
                let len = sealer
                    .seal_rtp(&mut buffer, HEADER, LEN, SeqNo(seq))
                    .expect("room for the tag");
                (Layout::parse(&buffer[..len]).expect("valid"), buffer[..len].to_vec())
            })
            .collect();
        group.bench_function(BenchmarkId::new("althing", name), |b| {
            let mut out = [0; 1500];
            b.iter_custom(|count| {
                let start = || Opener::new(&master(profile));
                time_opening(count, start, |opener, index| {
                    let (layout, datagram) = &packets[index];
                    black_box(opener.open_rtp(layout, black_box(datagram), &mut out).expect("opens"));
                })
            });
        });
        group.bench_function(BenchmarkId::new("raw", name), |b| {
            let (raw, mut buffer, mut out) = (Raw::new(profile), packet(0), [0; LEN]);
            raw.seal(&mut buffer);
            b.iter(|| raw.open(black_box(&buffer), black_box(&mut out)));
        });
        group.bench_function(BenchmarkId::new("rtc-srtp", name), |b| {
            b.iter_custom(|count| {
                time_opening(
                    count,
                    || oracle(profile, theirs),
                    |context, index| {
                        black_box(context.decrypt_rtp(black_box(&packets[index].1)).expect("opens"));
                    },
                )
            });
        });
    }
    group.finish();
}

criterion_group!(benches, protect, unprotect);
criterion_main!(benches);
