//! Real offers of browsers, answered.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use althing_media_core::payload::Codec;
use althing_media_core::transport::{
    Candidate, Fingerprint, FingerprintHash, IceCreds, LocalDescription, Protocol, Setup, TcpType,
};
use althing_media_core::{Extension, MediaKind, Mid, Pt, Rid, Ssrc, StreamIds};
use proptest::prelude::*;

use super::*;

const OFFERS: [(&str, &str); 19] = [
    ("aiortc-whep", include_str!("../../tests/data/aiortc-whep.sdp")),
    ("aiortc-whip", include_str!("../../tests/data/aiortc-whip.sdp")),
    (
        "chromium-sendrecv-data",
        include_str!("../../tests/data/chromium-sendrecv-data.sdp"),
    ),
    ("chromium-whep", include_str!("../../tests/data/chromium-whep.sdp")),
    (
        "chromium-whep-two",
        include_str!("../../tests/data/chromium-whep-two.sdp"),
    ),
    ("chromium-whip", include_str!("../../tests/data/chromium-whip.sdp")),
    (
        "chromium-whip-av1",
        include_str!("../../tests/data/chromium-whip-av1.sdp"),
    ),
    (
        "chromium-whip-h264",
        include_str!("../../tests/data/chromium-whip-h264.sdp"),
    ),
    (
        "chromium-whip-simulcast",
        include_str!("../../tests/data/chromium-whip-simulcast.sdp"),
    ),
    (
        "chromium-whip-simulcast-trickle",
        include_str!("../../tests/data/chromium-whip-simulcast-trickle.sdp"),
    ),
    (
        "chromium-whip-vp9",
        include_str!("../../tests/data/chromium-whip-vp9.sdp"),
    ),
    (
        "firefox-sendrecv-data",
        include_str!("../../tests/data/firefox-sendrecv-data.sdp"),
    ),
    ("firefox-whep", include_str!("../../tests/data/firefox-whep.sdp")),
    ("firefox-whip", include_str!("../../tests/data/firefox-whip.sdp")),
    (
        "firefox-whip-av1",
        include_str!("../../tests/data/firefox-whip-av1.sdp"),
    ),
    (
        "firefox-whip-simulcast",
        include_str!("../../tests/data/firefox-whip-simulcast.sdp"),
    ),
    (
        "firefox-whip-simulcast-trickle",
        include_str!("../../tests/data/firefox-whip-simulcast-trickle.sdp"),
    ),
    (
        "firefox-whip-vp9",
        include_str!("../../tests/data/firefox-whip-vp9.sdp"),
    ),
    ("plain", "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"),
];

fn read(name: &str) -> Description {
    let (_, text) = OFFERS.iter().find(|(known, _)| *known == name).unwrap();
    Description::parse(text).unwrap()
}

fn local() -> LocalDescription {
    let address = "192.0.2.1:7882".parse().unwrap();
    LocalDescription {
        ice: IceCreds {
            ufrag: "Alth".to_owned(),
            pwd: "passwordpasswordpassword".to_owned(),
        },
        ice_lite: true,
        fingerprint: Fingerprint::of(b"certificate", FingerprintHash::Sha256),
        setup: Setup::Actpass,
        candidates: vec![
            Candidate::host(Protocol::Udp, address, 0, TcpType::Passive),
            Candidate::host(Protocol::Tcp, "192.0.2.1:7881".parse().unwrap(), 0, TcpType::Passive),
        ],
    }
}

fn receive_all(offer: &Description) -> Agreement {
    answer(offer, &Codecs::default(), |_| Wish::Receive(Reception::default())).unwrap()
}

/// A stream with all that may repair pictures.
fn stream(ssrc: u32, kind: Option<MediaKind>) -> StreamIds {
    let repair = |ssrc| (kind == Some(MediaKind::Video)).then_some(Ssrc(ssrc));
    StreamIds {
        ssrc: Ssrc(ssrc),
        rtx: repair(ssrc + 1),
        fec: repair(ssrc + 100),
    }
}

fn send_all(offer: &Description, video: Option<CodecSpec>) -> Result<Agreement, NegotiationError> {
    let mut ssrc = 1000;
    answer(offer, &Codecs::default(), |section| {
        ssrc += 2;
        let kind = section.kind.media();
        Wish::Send(Outgoing {
            msid: Msid {
                stream: "room".to_owned(),
                track: section.kind.as_str().to_owned(),
            },
            stream: stream(ssrc, kind),
            cname: "them".to_owned(),
            source: video.filter(|_| kind == Some(MediaKind::Video)),
        })
    })
}

fn rids(names: &[&str]) -> Vec<Rid> {
    names.iter().filter_map(|name| Rid::new(name)).collect()
}

fn text(description: &Description) -> String {
    description.to_string()
}

/// Compares with the file, or writes it when `ALTHING_BLESS` is set.
fn snapshot(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/{name}.answer.sdp"));
    if std::env::var_os("ALTHING_BLESS").is_some() {
        fs::write(&path, text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap();
    assert_eq!(
        text, expected,
        "{name}: if the change is meant, run again with ALTHING_BLESS=1"
    );
}

#[test]
fn what_is_written_reads_the_same() {
    for (name, original) in OFFERS {
        let once = Description::parse(original).unwrap();
        let again = Description::parse(&text(&once)).unwrap();
        assert_eq!(once, again, "{name}");
    }
}

#[test]
fn answers_are_as_they_were() {
    for (name, _) in OFFERS.iter().filter(|(name, _)| *name != "plain") {
        let offer = read(name);
        let agreement = if name.contains("whep") {
            send_all(&offer, None).unwrap()
        } else {
            receive_all(&offer)
        };
        let answer = agreement.describe(&local(), 7);
        assert!(
            text(&answer).split_inclusive('\n').all(|line| line.ends_with("\r\n")),
            "{name}"
        );
        snapshot(name, &text(&answer));
        assert_eq!(Description::parse(&text(&answer)).unwrap(), answer, "{name}");
    }
}

#[test]
fn chromium_publishes_simulcast() {
    let offer = read("chromium-whip-simulcast");
    let agreement = receive_all(&offer);
    assert_eq!(agreement.remote.ice.ufrag.len(), 4);
    assert_eq!(agreement.remote.setup, Setup::Actpass);
    assert!(agreement.candidates.iter().any(|candidate| candidate.address.is_ipv6()));
    let tracks: Vec<_> = agreement.tracks().collect();
    assert_eq!(tracks.len(), 2);
    assert_eq!(tracks[0].codecs.len(), 1);
    assert_eq!(tracks[0].codecs[0].codec, Codec::Opus);
    assert_eq!(tracks[0].streams.len(), 1);
    assert_eq!(tracks[0].extensions.id(Extension::AudioLevel), Some(1));
    let video = &tracks[1];
    assert_eq!(video.mid, Mid::new("1"));
    assert_eq!(
        (video.codecs[0].codec, video.codecs[0].rtx),
        (Codec::Vp8, Some(Pt::new(97)))
    );
    assert_eq!(video.rids.as_slice(), rids(&["q", "h", "f"]));
    assert!(video.streams.is_empty(), "RIDs tell");
    assert!(video.nack && video.transport_cc);
    assert_eq!(video.extensions.id(Extension::RepairedRid), Some(11));
    assert_eq!(video.extensions.id(Extension::TransmissionOffset), None);

    let answer = text(&agreement.describe(&local(), 7));
    for line in [
        "a=ice-lite",
        "a=setup:passive",
        "a=simulcast:recv q;h;f",
        "a=rid:h recv",
        "a=end-of-candidates",
    ] {
        assert!(answer.contains(line), "{line}");
    }
    assert!(!answer.contains("goog-remb") && !answer.contains("actpass"));
    assert_eq!(answer.matches("typ host").count(), 2, "candidates once for the bundle");
}

#[test]
fn the_first_codec_of_the_offer_is_taken() {
    for (name, codec) in [
        ("chromium-whip-h264", Codec::H264),
        ("chromium-whip-vp9", Codec::Vp9),
        ("chromium-whip-av1", Codec::Av1),
        ("firefox-whip-vp9", Codec::Vp9),
        ("firefox-whip-av1", Codec::Av1),
        ("firefox-whip", Codec::Vp8),
        ("aiortc-whip", Codec::Vp8),
    ] {
        let agreement = receive_all(&read(name));
        let video = agreement.tracks().find(|track| track.kind == MediaKind::Video).unwrap();
        assert_eq!(video.codecs.len(), 1, "{name}");
        assert_eq!(video.codecs[0].codec, codec, "{name}");
        assert!(video.codecs[0].rtx.is_some(), "{name}");
    }
    let agreement = receive_all(&read("chromium-whip-h264"));
    let profile = agreement.sections[1].codec().and_then(|spec| spec.h264);
    assert_eq!(profile, Some(H264Profile::ConstrainedBaseline));
}

#[test]
fn firefox_says_who_uses_an_extension() {
    let agreement = receive_all(&read("firefox-whip-simulcast"));
    let video = &agreement.sections[1];
    assert_eq!(video.extensions.id(Extension::Rid), Some(9));
    assert_eq!(
        video.extensions.id(Extension::PlayoutDelay),
        None,
        "Firefox only receives it"
    );
    let answer = text(&agreement.describe(&local(), 7));
    assert!(answer.contains("a=extmap:9/recvonly urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"));
    let agreement = send_all(&read("firefox-whep"), None).unwrap();
    assert_eq!(agreement.sections[1].extensions.id(Extension::PlayoutDelay), Some(6));
}

#[test]
fn data_channels_are_rejected_and_the_rest_goes_on() {
    for name in ["chromium-sendrecv-data", "firefox-sendrecv-data"] {
        let agreement = receive_all(&read(name));
        let answer = agreement.describe(&local(), 7);
        assert_eq!(answer.bundle.len(), 2, "{name}");
        assert!(answer.sections[2].rejected, "{name}");
        assert!(
            text(&answer).contains("m=application 0 UDP/DTLS/SCTP webrtc-datachannel"),
            "{name}"
        );
        let video = agreement.tracks().nth(1).unwrap();
        assert_eq!(video.streams.len(), 1, "{name}");
        assert!(video.streams[0].rtx.is_some(), "{name}");
        assert_eq!(
            answer.sections[0].direction,
            Direction::RecvOnly,
            "{name}: sendrecv is answered recvonly"
        );
    }
}

#[test]
fn watchers_get_streams_in_all_codecs_that_they_know() {
    let agreement = send_all(&read("chromium-whep"), None).unwrap();
    let subscriptions: Vec<_> = agreement.subscriptions().collect();
    let codecs: Vec<Codec> = subscriptions[1].codecs.iter().map(|params| params.codec).collect();
    assert_eq!(codecs, [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1]);
    assert!(subscriptions[1].codecs.iter().all(|params| params.rtx.is_some()));
    assert_eq!(subscriptions[1].stream, stream(1004, Some(MediaKind::Video)));
    assert_eq!(subscriptions[0].cname, subscriptions[1].cname);
    assert_eq!(subscriptions[1].extensions.id(Extension::Rid), None);
    let answer = text(&agreement.describe(&local(), 7));
    for line in [
        "a=sendonly",
        "a=msid:room video",
        "a=ssrc-group:FID 1004 1005",
        "a=ssrc:1004 cname:them",
    ] {
        assert!(answer.contains(line), "{line}");
    }
}

#[test]
fn fec_is_agreed_where_it_is_offered() {
    let without = send_all(&read("firefox-whep"), None).unwrap();
    assert!(!without.has_fec());
    let video = without.subscriptions().nth(1).unwrap();
    assert!(video.stream.fec.is_none() && video.codecs.iter().all(|params| params.fec.is_none()));

    // Chromium takes it, and sends it only where it is told to.
    let agreement = send_all(&read("chromium-whep"), None).unwrap();
    assert!(agreement.has_fec());
    let video = agreement.subscriptions().nth(1).unwrap();
    assert_eq!(video.stream, stream(1004, Some(MediaKind::Video)));
    assert!(video.codecs.iter().all(|params| params.fec == Some(Pt::new(49))));
    let audio = agreement.subscriptions().next().unwrap();
    assert!(audio.stream.fec.is_none() && audio.codecs.iter().all(|params| params.fec.is_none()));
    let answer = text(&agreement.describe(&local(), 7));
    for line in [
        "a=rtpmap:49 flexfec-03/90000",
        "a=ssrc-group:FEC-FR 1004 1104",
        "a=ssrc:1104 cname:them",
    ] {
        assert!(answer.contains(line), "{line}");
    }
}

#[test]
fn one_way_of_telling_what_a_line_carries_is_enough() {
    let (_, text) = OFFERS.iter().find(|(known, _)| *known == "chromium-whep").unwrap();
    let told = |text: &str| {
        let agreement = send_all(&Description::parse(text).unwrap(), None).unwrap();
        let feedback = agreement.sections[1].formats[0].feedback.clone();
        let other = |kind: &String| !["nack", "nack pli", "ccm fir"].contains(&kind.as_str());
        feedback.into_iter().filter(other).collect::<Vec<_>>()
    };
    assert_eq!(told(text), ["transport-cc"], "of that and REMB");
    let lines = |keep: fn(&str) -> bool| {
        let lines = text.lines().filter(|line| keep(line));
        lines.map(|line| format!("{line}\r\n")).collect::<String>()
    };
    let without = lines(|line| !line.ends_with(" transport-cc"));
    assert!(told(&without).is_empty(), "no REMB");
    assert!(
        told(&lines(|line| !line.contains("transport-wide-cc"))).is_empty(),
        "it cannot be numbered"
    );
    let by_stream = without + "a=rtcp-fb:* ack ccfb\r\n";
    assert_eq!(told(&by_stream), ["ack ccfb"]);
    let agreement = send_all(&Description::parse(&by_stream).unwrap(), None).unwrap();
    assert!(by_stream.contains("transport-wide-cc"));
    assert_eq!(
        agreement.sections[1].extensions.id(Extension::TransportCc),
        None,
        "numbers that nobody tells of"
    );
    let media = agreement.describe(&local(), 7).sections[1].extensions.clone();
    assert!(media.iter().all(|line| !line.uri.contains("transport-wide-cc")));
    let (_, whip) = OFFERS.iter().find(|(known, _)| *known == "chromium-whip").unwrap();
    let offer = whip.replace(" transport-cc\r\n", " ack ccfb\r\n");
    let agreement = receive_all(&Description::parse(&offer).unwrap());
    let formats = agreement.sections.iter().flat_map(|section| &section.formats);
    assert!(
        formats
            .clone()
            .all(|format| !format.has_feedback("ack ccfb") && !format.has_feedback("goog-remb"))
    );
}

#[test]
fn a_publisher_may_send_fec() {
    let (_, text) = OFFERS.iter().find(|(known, _)| *known == "chromium-whip").unwrap();
    assert!(!receive_all(&Description::parse(text).unwrap()).has_fec());
    let text = text.replace(" 119 120\r\n", " 119 120 49\r\n");
    let fec =
        "a=rtpmap:49 flexfec-03/90000\r\na=fmtp:49 repair-window=10000000\r\na=ssrc-group:FEC-FR 3063042856 8\r\n";
    let agreement = receive_all(&Description::parse(&(text + fec)).unwrap());
    let video = agreement.tracks().nth(1).unwrap();
    assert_eq!(video.codecs[0].fec, Some(Pt::new(49)));
    assert_eq!(
        (video.streams[0].ssrc, video.streams[0].fec),
        (Ssrc(3_063_042_856), Some(Ssrc(8)))
    );
}

#[test]
fn an_offer_of_a_stream_with_fec_says_so() {
    let ids = stream(5, Some(MediaKind::Video));
    let offered = |streams| OfferedStream {
        msid: Msid {
            stream: "s".to_owned(),
            track: "t".to_owned(),
        },
        cname: "me".to_owned(),
        rids: Vec::new(),
        streams,
    };
    let lane = |ids| Lane::Stream(Codec::Vp8, offered(vec![ids]));
    let offer = offer_to_send(&local(), (1, 1), &[lane(ids), lane(StreamIds { fec: None, ..ids })]);
    let [_, with, without] = &offer.sections[..] else {
        panic!("data and two lanes")
    };
    assert_eq!(
        (with.streams(), with.formats.iter().any(Format::is_fec)),
        (vec![ids], true)
    );
    assert!(!without.formats.iter().any(Format::is_fec));
    let same = Description::parse(&text(&offer)).unwrap();
    let answer = receive_all(&Description {
        sections: same.sections[1..].to_vec(),
        bundle: same.bundle[1..].to_vec(),
        ..same
    });
    assert_eq!(answer.tracks().next().unwrap().streams[0], ids);
}

#[test]
fn a_watcher_must_know_the_codec_of_the_stream() {
    let h264 = CodecSpec {
        codec: Codec::H264,
        h264: Some(H264Profile::Main),
    };
    let agreement = send_all(&read("chromium-whep"), Some(h264)).unwrap();
    assert_eq!(
        agreement.sections[1].formats[0].parameter("profile-level-id"),
        Some("4d001f")
    );
    let error = send_all(&read("firefox-whep"), Some(h264)).unwrap_err();
    assert_eq!(error, NegotiationError::CodecNotOffered(Codec::H264));
    assert!(error.to_string().contains("H264"));
}

#[test]
fn one_direction_does_not_fit_the_other() {
    let watcher = read("chromium-whep");
    let error = answer(&watcher, &Codecs::default(), |_| Wish::Receive(Reception::default())).unwrap_err();
    assert_eq!(error, NegotiationError::NothingInCommon);
    assert_eq!(
        send_all(&read("chromium-whip"), None).unwrap_err(),
        NegotiationError::NothingInCommon
    );
    let nothing = Description::parse(OFFERS[18].1).unwrap();
    assert_eq!(send_all(&nothing, None).unwrap_err(), NegotiationError::NoSections);
}

#[test]
fn what_any_session_needs() {
    let (_, whip) = OFFERS[5];
    let without = |key: &str| {
        let lines: Vec<&str> = whip.lines().filter(|line| !line.starts_with(key)).collect();
        let offer = Description::parse(&lines.join("\r\n")).unwrap();
        answer(&offer, &Codecs::default(), |_| Wish::Receive(Reception::default()))
    };
    assert_eq!(without("a=ice-ufrag").unwrap_err(), NegotiationError::NoIce);
    assert_eq!(without("a=fingerprint").unwrap_err(), NegotiationError::NoFingerprint);
    assert_eq!(
        without("a=rtcp-mux").unwrap_err(),
        NegotiationError::NoRtcpMux(Mid::new("0").unwrap())
    );
    assert_eq!(
        without("a=group").unwrap_err(),
        NegotiationError::NothingInCommon,
        "two sections and no bundle"
    );
    assert_eq!(without("a=setup").unwrap().remote.setup, Setup::Actpass);
    assert!(without("a=extmap:3").unwrap().tracks().all(|track| !track.transport_cc));
    let unbundled = whip.replace("a=group:BUNDLE 0 1", "a=group:BUNDLE 1");
    let agreement = receive_all(&Description::parse(&unbundled).unwrap());
    assert_eq!(agreement.sections[0].role, Role::Rejected);
    assert_eq!(agreement.describe(&local(), 7).bundle, [Mid::new("1").unwrap()]);
}

#[test]
fn active_peers_find_us_passive_and_passive_ones_active() {
    let (_, whip) = OFFERS[5];
    for (theirs, ours) in [("active", "passive"), ("passive", "active"), ("actpass", "passive")] {
        let offer = Description::parse(&whip.replace("setup:actpass", &format!("setup:{theirs}"))).unwrap();
        assert!(text(&receive_all(&offer).describe(&local(), 7)).contains(&format!("a=setup:{ours}")));
    }
}

#[test]
fn our_own_offers_are_answered() {
    let client = LocalDescription {
        ice_lite: false,
        setup: Setup::Actpass,
        ..local()
    };
    let stream = |rids: Vec<Rid>, streams: Vec<StreamIds>| OfferedStream {
        msid: Msid {
            stream: "s".to_owned(),
            track: "t".to_owned(),
        },
        cname: "me".to_owned(),
        rids,
        streams,
    };
    let audio = StreamIds::new(Ssrc(1));
    let published = offer(
        &client,
        1,
        &[
            OfferedMedia::send(&[Codec::Opus], stream(vec![], vec![audio])),
            OfferedMedia::send(&[Codec::Av1, Codec::Vp8], stream(rids(&["f", "q", "h"]), vec![])),
        ],
    );
    let received = Description::parse(&text(&published)).unwrap();
    assert_eq!(received, published);
    let agreement = receive_all(&received);
    let video = agreement.tracks().nth(1).unwrap();
    assert_eq!(
        (video.codecs[0].codec, video.rids.as_slice()),
        (Codec::Av1, rids(&["q", "h", "f"]).as_slice())
    );
    let answer = Description::parse(&text(&agreement.describe(&local(), 7))).unwrap();
    let accepted = accept(&published, &answer).unwrap();
    assert!(accepted.remote.ice_lite);
    assert_eq!((accepted.remote.setup, accepted.candidates.len()), (Setup::Passive, 2));
    let sent: Vec<_> = accepted.subscriptions().collect();
    assert_eq!((sent.len(), sent[0].stream), (2, audio));
    assert_eq!(accepted.sections[1].rids, rids(&["q", "h", "f"]));
    assert_eq!(accepted.sections[1].codecs()[0].codec, Codec::Av1);

    let watched = offer(
        &client,
        1,
        &[
            OfferedMedia::receive(&[Codec::Opus]),
            OfferedMedia::receive(&[Codec::Vp8]),
        ],
    );
    let agreement = send_all(&watched, None).unwrap();
    let accepted = accept(&watched, &agreement.describe(&local(), 7)).unwrap();
    let tracks: Vec<_> = accepted.tracks().collect();
    assert_eq!(
        tracks[1].streams.as_slice(),
        [StreamIds::new(Ssrc(1004)).with_rtx(Some(Ssrc(1005)))]
    );
    let shorter = offer(&client, 1, &[OfferedMedia::receive(&[Codec::Opus])]);
    assert_eq!(
        accept(&published, &shorter).unwrap_err(),
        NegotiationError::AnswerDiffers
    );
}

#[test]
fn fragments_carry_candidates_and_restarts() {
    let text = "a=ice-options:trickle ice2\r\na=group:BUNDLE 0 1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\n\
        a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n\
        a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw network-id 1\r\n\
        a=candidate:473322822 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active generation 0\r\n\
        a=candidate:1 1 udp 2122260223 bf2c.local 61764 typ host\r\na=end-of-candidates\r\n";
    let fragment = Fragment::parse(text).unwrap();
    assert_eq!((fragment.candidates.len(), fragment.end_of_candidates), (2, true));
    let ice = fragment.ice.clone().unwrap();
    assert_eq!(ice.ufrag, "EsAw");
    assert!(!fragment.restarts(&ice));
    assert!(fragment.restarts(&local().ice));
    assert_eq!(Fragment::parse(&fragment.to_string()).unwrap(), fragment);
    assert_eq!(Fragment::parse("").unwrap(), Fragment::default());
    assert!(!Fragment::default().restarts(&ice));

    let bare = "a=ice-ufrag:EsAw\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\na=candidate:1 1 udp 1 192.0.2.1 1 typ host\n";
    assert_eq!(Fragment::parse(bare).unwrap().candidates.len(), 1);
    let error = Fragment::parse("a=ice-ufrag:EsAw\r\na=candidate:1 1 udp\r\n").unwrap_err();
    assert!(error.to_string().starts_with("Line 2 "), "{error}");
}

#[test]
fn malformed_offers_get_one_sentence_with_the_line() {
    let (_, whip) = OFFERS[5];
    for (from, to, expected) in [
        ("a=rtpmap:96 VP8/90000", "a=rtpmap:96 VP8", "a=rtpmap must be"),
        ("a=rtpmap:96 VP8/90000", "a=rtpmap:960 VP8/90000", "a=rtpmap must be"),
        ("a=fmtp:97 apt=96", "a=fmtp:97", "a=fmtp must be"),
        ("a=rtcp-fb:96 nack", "a=rtcp-fb:x nack", "a=rtcp-fb must be"),
        ("a=extmap:4 ", "a=extmap:0 ", "a=extmap must be"),
        ("a=extmap:4 ", "a=extmap:4/both ", "a=extmap must be"),
        ("a=setup:actpass", "a=setup:holdconn", "a=setup must be"),
        (
            "a=fingerprint:sha-256 ",
            "a=fingerprint:sha-256 0",
            "a=fingerprint must be",
        ),
        ("a=ice-pwd:", "a=ice-pwd:!", "a=ice-pwd must be"),
        ("a=ssrc:", "a=ssrc:x", "a=ssrc must be"),
        ("a=ssrc-group:FID", "a=ssrc-group:FID x", "a=ssrc-group must be"),
        ("a=mid:1", "a=mid:0", "of another one"),
        ("a=mid:1", "a=middle:1", "has no a=mid"),
        ("a=mid:1", "a=mid:a b", "a=mid must be"),
        (
            "a=group:BUNDLE 0 1",
            "a=group:BUNDLE 0 12345678901234567",
            "a=group must be",
        ),
        (" udp ", " udp x ", "a=candidate must be"),
        ("m=video ", "m=moving-pictures ", "grammar of SDP"),
        ("t=0 0\r\n", "", "grammar of SDP"),
        ("UDP/TLS/RTP/SAVPF 96", "UDP/TLS/RTP/SAVPF 200", "grammar of SDP"),
        ("a=sendonly", "sendonly", "an equals sign"),
    ] {
        assert!(whip.contains(from), "{from}");
        let error = Description::parse(&whip.replace(from, to)).expect_err(to).to_string();
        assert!(error.contains(expected), "{to}: {error}");
        assert!(
            error.ends_with('.') && error.matches(". ").count() == 0 && error.to_lowercase().contains("line "),
            "{error}"
        );
    }
}

#[test]
fn lists_have_bounds() {
    let mut text = OFFERS[18].1.to_owned();
    for index in 0..=MAX_SECTIONS {
        write!(text, "m=audio 9 RTP/AVP 0\r\na=mid:{index}\r\n").unwrap();
    }
    assert!(matches!(
        Description::parse(&text).unwrap_err(),
        SdpError::TooMany {
            what: "media sections",
            ..
        }
    ));
    let mut text = format!("{}m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n", OFFERS[18].1);
    for index in 1..=200 {
        write!(
            text,
            "a=ssrc:{index} cname:x\r\na=candidate:1 1 udp 1 192.0.2.1 {index} typ host\r\n"
        )
        .unwrap();
        write!(
            text,
            "a=extmap:{index} urn:x\r\na=ssrc-group:FID {index} 1\r\na=rtcp-fb:96 x{index}\r\n"
        )
        .unwrap();
    }
    let section = Description::parse(&text).unwrap().sections.remove(0);
    assert_eq!(section.candidates.len(), description::MAX_CANDIDATES);
    assert_eq!(
        (section.ssrcs.len(), section.groups.len()),
        (description::MAX_SSRCS, description::MAX_SSRCS)
    );
    assert_eq!(section.extensions.len(), description::MAX_EXTENSIONS);
    assert!(section.formats[0].feedback.len() <= 16);
}

/// Does everything that can be done with a text from a stranger.
fn survive(text: &str) {
    let _ = Fragment::parse(text).map(|fragment| fragment.to_string());
    let Ok(offer) = Description::parse(text) else {
        return;
    };
    stable(&offer);
    for agreement in [
        answer(&offer, &Codecs::default(), |_| Wish::Receive(Reception::default())),
        send_all(&offer, None),
    ]
    .into_iter()
    .flatten()
    {
        let _ = (agreement.tracks().count(), agreement.subscriptions().count());
        let answer = agreement.describe(&local(), 7);
        stable(&answer);
        let _ = accept(&offer, &answer);
    }
}

/// What was written once is read and written without a further change. (Writing for the first time may drop what stood
/// alone, such as parameters of a format without a name.)
fn stable(description: &Description) {
    let once = Description::parse(&description.to_string()).unwrap();
    assert_eq!(Description::parse(&once.to_string()).unwrap(), once);
}

#[test]
fn truncated_offers_do_no_harm() {
    for (_, text) in OFFERS {
        for end in (0..text.len()).step_by(29) {
            survive(&text[..end]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn mutated_offers_do_no_harm(
        which in 0..OFFERS.len(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..4, "[ -~\r\n]{0,12}"), 1..6),
    ) {
        let mut lines: Vec<String> = OFFERS[which].1.lines().map(str::to_owned).collect();
        for (at, how, text) in edits {
            let at = at.index(lines.len());
            match how {
                0 => { lines.remove(at); }
                1 => { let line = lines[at].clone(); lines.insert(at, line); }
                2 => lines[at].push_str(&text),
                _ => {
                    let middle = lines[at].len() / 2;
                    lines[at].replace_range(middle.., &text);
                }
            }
            if lines.is_empty() {
                break;
            }
        }
        survive(&lines.join("\r\n"));
    }

    #[test]
    fn any_text_does_no_harm(text in "[a-z]=.{0,40}(\r\n[a-z]=.{0,40}){0,8}") {
        survive(&text);
    }
}
