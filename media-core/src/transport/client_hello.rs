//! A look at the peer's ClientHello before DTLS reads it, so that media gets the cheap cipher.
//!
//! Chrome lists its SRTP profiles as AES128_CM_HMAC_SHA1_80, AES-256-GCM, AES-128-GCM. A packet under the first costs
//! five times as much as under the others, on every packet for every subscriber. The DTLS 1.3 server of dimpl takes
//! the first of the *client's* list and has no setting; its DTLS 1.2 server takes AES-256-GCM, AES-128-GCM, then the
//! other, whatever the order. So a peer whose first choice would be the dear one, although it has a cheap one, is
//! answered in DTLS 1.2, when it offers that. One more round trip, once in a session.
//!
//! RFC 6347 §4.2 (fragments), RFC 8446 §4.2.1 (supported_versions), RFC 5764 §4.1.1 (use_srtp). The hello of a browser
//! with a post-quantum key share does not fit one datagram, so fragments are kept until it is whole. Nothing is
//! verified here: a lie in a hello fails later, in the handshake's own hash.

use crate::transport::DtlsVersion;

/// Longest ClientHello that is looked at, in bytes; browsers send about 1 400.
const MAX_HELLO: usize = 8192;
/// Datagrams kept while the hello is not whole.
const MAX_DATAGRAMS: usize = 8;
/// Longest datagram kept, in bytes.
const MAX_DATAGRAM: usize = 2048;

const RECORD_HEADER: usize = 13;
const HANDSHAKE_HEADER: usize = 12;
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const USE_SRTP: u16 = 14;
const SUPPORTED_VERSIONS: u16 = 43;
const DTLS_1_2: u16 = 0xfefd;
const DTLS_1_3: u16 = 0xfefc;
const CM80: u16 = 1;
const GCM: std::ops::RangeInclusive<u16> = 7..=8;

/// The datagrams of a peer's first flight, until they make a whole hello. Bounded by [`MAX_DATAGRAMS`].
#[derive(Debug, Default)]
pub(crate) struct FirstFlight {
    datagrams: Vec<Vec<u8>>,
}

/// What to do with the first flight.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The datagram holds no part of a ClientHello: drop it.
    NotHello,
    /// The hello is not whole.
    Wait,
    /// Start DTLS with this as its highest version, and give it these datagrams.
    Start(DtlsVersion, Vec<Vec<u8>>),
}

impl FirstFlight {
    /// Takes the next datagram.
    pub(crate) fn push(&mut self, datagram: &[u8]) -> Verdict {
        if datagram.len() > MAX_DATAGRAM || fragments(datagram).next().is_none() {
            return Verdict::NotHello;
        }
        self.datagrams.push(datagram.to_vec());
        let version = match self.assemble() {
            Some(hello) if wants_dtls_1_2(&hello) == Some(true) => DtlsVersion::V1_2,
            Some(_) => DtlsVersion::V1_3,
            // Odd fragments: let DTLS make sense of them, or refuse them.
            None if self.datagrams.len() >= MAX_DATAGRAMS => DtlsVersion::V1_3,
            None => return Verdict::Wait,
        };
        Verdict::Start(version, std::mem::take(&mut self.datagrams))
    }

    /// The body of the hello, `None` while a part is missing.
    fn assemble(&self) -> Option<Vec<u8>> {
        let mut parts: Vec<Fragment<'_>> = self.datagrams.iter().flat_map(|datagram| fragments(datagram)).collect();
        parts.sort_by_key(|part| part.offset);
        let total = parts.first()?.total;
        let mut hello = Vec::with_capacity(total);
        for part in parts.iter().filter(|part| part.total == total) {
            let known = hello.len().checked_sub(part.offset)?;
            hello.extend_from_slice(part.bytes.get(known..).unwrap_or_default());
        }
        (hello.len() == total).then_some(hello)
    }
}

/// A part of a ClientHello's body.
struct Fragment<'a> {
    total: usize,
    offset: usize,
    bytes: &'a [u8],
}

/// The parts of a ClientHello in a datagram: one for each record that holds one.
fn fragments(mut datagram: &[u8]) -> impl Iterator<Item = Fragment<'_>> {
    std::iter::from_fn(move || {
        let (header, rest) = datagram.split_first_chunk::<RECORD_HEADER>()?;
        let (record, behind) = rest.split_at_checked(usize::from(u16::from_be_bytes([header[11], header[12]])))?;
        datagram = behind;
        let plain = header[0] == HANDSHAKE && header[3..5] == [0, 0];
        Some(plain.then_some(record).and_then(fragment))
    })
    .flatten()
}

fn fragment(record: &[u8]) -> Option<Fragment<'_>> {
    let (header, body) = record.split_first_chunk::<HANDSHAKE_HEADER>()?;
    let number =
        |at: usize| usize::from(header[at]) << 16 | usize::from(header[at + 1]) << 8 | usize::from(header[at + 2]);
    let (total, offset, bytes) = (number(1), number(6), body.get(..number(9))?);
    let whole = header[0] == CLIENT_HELLO && total <= MAX_HELLO && offset + bytes.len() <= total;
    whole.then_some(Fragment { total, offset, bytes })
}

/// Whether this hello would get the dear profile in DTLS 1.3 and a cheap one in 1.2; `None` when it does not parse.
fn wants_dtls_1_2(hello: &[u8]) -> Option<bool> {
    let (_version_and_random, rest) = hello.split_at_checked(2 + 32)?;
    let (_session, rest) = short_vector(rest)?;
    let (_cookie, rest) = short_vector(rest)?;
    let (_suites, rest) = long_vector(rest)?;
    let (_compression, rest) = short_vector(rest)?;
    let (mut extensions, _) = long_vector(rest)?;

    let (mut profiles, mut versions) = (None, None);
    while let Some((&[kind0, kind1], rest)) = extensions.split_first_chunk::<2>() {
        let (value, behind) = long_vector(rest)?;
        match u16::from_be_bytes([kind0, kind1]) {
            USE_SRTP => profiles = Some(long_vector(value)?.0),
            SUPPORTED_VERSIONS => versions = Some(short_vector(value)?.0),
            _ => {}
        }
        extensions = behind;
    }
    let versions = versions.unwrap_or_default();
    let profiles = profiles.unwrap_or_default();
    let both = words(versions).any(|version| version == DTLS_1_3) && words(versions).any(|version| version == DTLS_1_2);
    let first = words(profiles).find(|profile| *profile == CM80 || GCM.contains(profile));
    Some(both && first == Some(CM80) && words(profiles).any(|profile| GCM.contains(&profile)))
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u16> {
    bytes.chunks_exact(2).map(|word| u16::from_be_bytes([word[0], word[1]]))
}

/// Bytes behind a length of one byte, and what follows.
fn short_vector(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(*len))
}

/// Bytes behind a length of two bytes, and what follows.
fn long_vector(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hello(profiles: &[u16], versions: &[u16]) -> Vec<u8> {
        let list = |values: &[u16]| values.iter().flat_map(|value| value.to_be_bytes()).collect::<Vec<u8>>();
        let long = |bytes: Vec<u8>| [&u16::try_from(bytes.len()).unwrap().to_be_bytes(), &bytes[..]].concat();
        let short = |bytes: Vec<u8>| [&[u8::try_from(bytes.len()).unwrap()], &bytes[..]].concat();
        let mut extensions = [vec![0, 10], long(vec![9; 1200])].concat();
        extensions.extend([vec![0, 14], long([long(list(profiles)), vec![0]].concat())].concat());
        extensions.extend([vec![0, 43], long(short(list(versions)))].concat());
        let mut hello = vec![0xfe, 0xfd];
        hello.extend([7; 32]);
        hello.extend([0, 0, 0, 2, 0x13, 0x01, 1, 0]);
        hello.extend(long(extensions));
        hello
    }

    fn record(total: usize, offset: usize, bytes: &[u8]) -> Vec<u8> {
        let number = |value: usize| u32::try_from(value).unwrap().to_be_bytes()[1..].to_vec();
        let mut handshake = [
            vec![CLIENT_HELLO],
            number(total),
            vec![0, 0],
            number(offset),
            number(bytes.len()),
        ]
        .concat();
        handshake.extend(bytes);
        let mut record = vec![HANDSHAKE, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0];
        record.extend(u16::try_from(handshake.len()).unwrap().to_be_bytes());
        record.extend(handshake);
        record
    }

    fn cut(hello: &[u8], at: usize) -> [Vec<u8>; 2] {
        [
            record(hello.len(), 0, &hello[..at]),
            record(hello.len(), at, &hello[at..]),
        ]
    }

    #[test]
    fn only_who_prefers_the_dear_profile_gets_dtls_1_2() {
        let both = &[DTLS_1_3, DTLS_1_2][..];
        let table = [
            (&[1, 8, 7][..], both, DtlsVersion::V1_2), // Chrome
            (&[7, 8, 1, 2], both, DtlsVersion::V1_3),  // Firefox
            (&[2, 1, 7], both, DtlsVersion::V1_2),     // one that nobody has in front
            (&[1], both, DtlsVersion::V1_3),           // nothing cheap to win
            (&[], both, DtlsVersion::V1_3),
            (&[1, 8, 7], &[DTLS_1_3], DtlsVersion::V1_3), // refuses 1.2
            (&[1, 8, 7], &[DTLS_1_2], DtlsVersion::V1_3), // gets 1.2 anyway
        ];
        for (profiles, versions, expected) in table {
            let hello = hello(profiles, versions);
            for datagrams in [
                vec![record(hello.len(), 0, &hello)],
                cut(&hello, 700).to_vec(),
                cut(&hello, 1260).to_vec(),
            ] {
                for reversed in [false, true] {
                    let mut datagrams = datagrams.clone();
                    if reversed {
                        datagrams.reverse();
                    }
                    let mut flight = FirstFlight::default();
                    for datagram in &datagrams[..datagrams.len() - 1] {
                        assert_eq!(flight.push(datagram), Verdict::Wait);
                        assert_eq!(flight.push(datagram), Verdict::Wait, "a repetition adds nothing");
                    }
                    let Verdict::Start(version, given) = flight.push(datagrams.last().unwrap()) else {
                        panic!("the hello is whole")
                    };
                    assert_eq!(version, expected, "{profiles:?} {versions:?}");
                    assert_eq!(given.last(), datagrams.last());
                }
            }
        }
    }

    #[test]
    fn memory_is_bounded() {
        let hello = hello(&[1, 8, 7], &[DTLS_1_3, DTLS_1_2]);
        let [first, _] = cut(&hello, 700);
        let mut flight = FirstFlight::default();
        for _ in 1..MAX_DATAGRAMS {
            assert_eq!(flight.push(&first), Verdict::Wait);
        }
        assert!(
            matches!(flight.push(&first), Verdict::Start(DtlsVersion::V1_3, given) if given.len() == MAX_DATAGRAMS)
        );
        assert_eq!(flight.push(&[22; MAX_DATAGRAM + 1]), Verdict::NotHello);
        assert_eq!(flight.push(&record(MAX_HELLO + 1, 0, &[0; 100])), Verdict::NotHello);
        assert_eq!(flight.push(&record(100, 50, &[0; 51])), Verdict::NotHello);
    }

    proptest! {
        #[test]
        fn never_panics(noise in proptest::collection::vec((0usize..1400, any::<u8>()), 0..6), end in 0usize..1500) {
            let mut hello = hello(&[1, 8, 7], &[DTLS_1_3, DTLS_1_2]);
            for (at, byte) in noise {
                let at = at % hello.len();
                hello[at] = byte;
            }
            let _ = wants_dtls_1_2(&hello[..end.min(hello.len())]);
            let datagram = record(hello.len(), 0, &hello);
            let _ = FirstFlight::default().push(&datagram[..end.min(datagram.len())]);
        }

        #[test]
        fn garbage_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = wants_dtls_1_2(&bytes);
            let _ = FirstFlight::default().push(&bytes);
        }
    }
}
