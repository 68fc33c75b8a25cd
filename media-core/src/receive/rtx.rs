//! Unwrapping retransmissions on their way in (RFC 4588 §4), in the buffer that they were decrypted into.

use crate::packet::{Layout, Pt, Ssrc};

/// Bytes of the original sequence number in front of the payload.
pub const OSN: usize = 2;

/// Turns a retransmission in `packet` into the packet that was lost: its payload type, sequence number and SSRC, with
/// the header (and so the extensions) of the retransmission. The result starts [`OSN`] bytes further on.
///
/// `None` when there is no payload: such packets are padding that probes the bandwidth. Moves the header (some 20 to
/// 40 bytes), nothing else; no allocation.
pub fn unwrap(packet: &mut [u8], layout: &Layout, pt: Pt, ssrc: Ssrc) -> Option<()> {
    let header = layout.header_len();
    let payload = packet.get(header..)?;
    let osn = *payload.first_chunk::<OSN>()?;
    let padding = if packet.first()? & 0x20 != 0 {
        usize::from(*packet.last()?)
    } else {
        0
    };
    if payload.len() < OSN + padding {
        return None;
    }
    packet.copy_within(..header, OSN);
    let fixed = packet.get_mut(OSN..)?.first_chunk_mut::<12>()?;
    fixed[1] = (fixed[1] & 0x80) | pt.value();
    fixed[2..4].copy_from_slice(&osn);
    fixed[8..12].copy_from_slice(&ssrc.0.to_be_bytes());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{RtpView, RtpWriter};

    fn rtx(payload: &[u8], padding: u8) -> Vec<u8> {
        let mut buffer = [0; 300];
        let mut writer = RtpWriter::new(&mut buffer, Pt::new(97), true, 5, 1000, Ssrc(2));
        writer.extension(3, b"mid");
        writer.payload(payload);
        writer.padding(padding);
        let (_, len) = writer.finish().expect("fits");
        buffer[..len].to_vec()
    }

    #[test]
    fn gives_the_original_back() {
        let mut packet = rtx(b"\x12\x34hello", 3);
        let layout = Layout::parse(&packet).expect("valid");
        unwrap(&mut packet, &layout, Pt::new(96), Ssrc(1)).expect("has a payload");
        let view = RtpView::parse(&packet[OSN..]).expect("valid");
        assert_eq!(
            (view.pt(), view.seq(), view.ssrc(), view.marker()),
            (Pt::new(96), 0x1234, Ssrc(1), true)
        );
        assert_eq!(
            (view.payload(), view.extension(3), view.padding()),
            (&b"hello"[..], Some(&b"mid"[..]), 3)
        );
    }

    #[test]
    fn padding_is_not_a_packet() {
        for mut packet in [rtx(b"", 0), rtx(b"", 200), rtx(b"\x01", 0), rtx(b"\x01", 9)] {
            let layout = Layout::parse(&packet).expect("valid");
            assert!(unwrap(&mut packet, &layout, Pt::new(96), Ssrc(1)).is_none());
        }
    }
}
