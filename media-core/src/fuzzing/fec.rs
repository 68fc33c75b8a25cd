//! FEC packets from a sender that has lost its manners.

use std::time::Instant;

use bytes::Bytes;

use super::choices::Choices;
use crate::fec::header::{Header, MAX_HEADER};
use crate::fec::recovery::{Known, MAX_WAITING, Recovery};
use crate::packet::{Extension, ExtensionMap, RtpView, SeqNo, Ssrc};

/// Packets that are known at a time.
const PACKETS: usize = 128;
const SSRC: Ssrc = Ssrc(1);

/// Headers come back as they were; and a series of packets and FEC packets over them, in any order and of any content, makes
/// only packets that were lacking, one for each FEC packet.
pub fn fec(data: &[u8]) {
    if let Some((header, _)) = Header::parse(data) {
        let mut out = [0; MAX_HEADER];
        let len = header.write([0; 8], &mut out);
        assert_eq!(Header::parse(&out[..len]), Some((header, len)));
        assert!(header.offsets().count() > 0 && header.offsets().all(|offset| offset < 109));
    }
    let (mut choices, now) = (Choices::new(data), Instant::now());
    let extensions = ExtensionMap::new()
        .with(Extension::TransportCc, 1)
        .with(Extension::AbsSendTime, 2);
    let mut packets: Vec<Option<Bytes>> = vec![None; PACKETS];
    let (mut recovery, mut fecs, mut made) = (Recovery::default(), 0, 0);
    while !choices.is_empty() {
        let number = usize::from(choices.byte()) % PACKETS;
        let come = if choices.flag() {
            let packet = [
                &[0x90, 96, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1, 0xbe, 0xde, 0, 1],
                choices.short(),
            ]
            .concat();
            packets[number] = RtpView::parse(&packet).is_ok().then(|| packet.into());
            Some(Some(SeqNo(0x1_0000 + number as u64)))
        } else {
            let mut payload = choices.short().to_vec();
            if let Some(fixed) = payload.first_chunk_mut::<18>() {
                (fixed[0], fixed[8]) = (fixed[0] & 0x3f, 1);
                fixed[12..16].copy_from_slice(&SSRC.0.to_be_bytes());
                (fixed[16], fixed[17]) = (0, fixed[17] % 128);
            }
            let taken = recovery.on_fec(now, payload.into(), SSRC, |wire| SeqNo(0x1_0000 + u64::from(wire)));
            fecs += usize::from(taken);
            taken.then_some(None)
        };
        let Some(come) = come else { continue };
        let known = |seq: SeqNo| match usize::try_from(seq.0 - 0x1_0000)
            .ok()
            .and_then(|number| packets.get(number))
        {
            Some(Some(packet)) => RtpView::parse(packet).map_or(Known::Otherwise, Known::Exact),
            Some(None) => Known::Lacking,
            None => Known::Otherwise,
        };
        while let Some(seq) = recovery.recover(come, &extensions, known) {
            made += 1;
            assert!(matches!(known(seq), Known::Lacking));
            let mut out = vec![0; recovery.made()];
            recovery.write(SSRC, seq, &mut out);
            assert!(out.is_empty() || out.len() >= 12 && out[0] >> 6 == 2);
        }
        assert!(recovery.waiting() <= MAX_WAITING && made <= fecs);
    }
}
