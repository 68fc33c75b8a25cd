//! One direction of a session: what seals our packets, what opens the peer's (RFC 3711 §3.2).
//!
//! ```text
//! SRTP   | header | encrypted payload | tag |                          RFC 3711 §3.1, RFC 7714 §8
//! SRTCP  | 8 bytes | encrypted rest | tag | E, index |                  GCM, RFC 7714 §9
//!        | 8 bytes | encrypted rest | E, index | tag |                  CM80, RFC 3711 §3.4
//! ```

use rustc_hash::FxHashMap;

use crate::packet::{Layout, SeqNo};
use crate::stats::DropReason;
use crate::transport::SrtpProfile;
use crate::transport::srtp::cm80::{self, Cm80};
use crate::transport::srtp::gcm::{self, Gcm};
use crate::transport::srtp::keys::{Labels, MasterKey};
use crate::transport::srtp::replay::Window;

/// SSRCs of one protocol that a peer may use in one session; packets of more are dropped. Forgetting one instead
/// would let its packets be replayed. About 150 bytes each.
pub const MAX_SSRCS: usize = 512;
/// The part of an RTCP packet that stays in the clear, in bytes.
const RTCP_CLEAR: usize = 8;
/// The flag "encrypted" in front of the 31-bit SRTCP index.
const E_FLAG: u32 = 1 << 31;

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one of a few for each endpoint, and the packet path wants no pointer"
)]
enum Cipher {
    Gcm(Gcm),
    Cm80(Cm80),
}

impl Cipher {
    fn new(master: &MasterKey, labels: Labels) -> Self {
        let keys = master.derive(labels);
        match master.profile() {
            SrtpProfile::AeadAes128Gcm | SrtpProfile::AeadAes256Gcm => Self::Gcm(Gcm::new(&keys)),
            SrtpProfile::Aes128CmSha1_80 => Self::Cm80(Cm80::new(&keys)),
        }
    }
}

/// Seals what we send. No allocation after its construction.
#[derive(Debug)]
pub struct Sealer {
    profile: SrtpProfile,
    rtp: Cipher,
    rtcp: Cipher,
    /// Of the next RTCP packet, whatever its SSRC; it must never come around.
    rtcp_index: u32,
}

impl Sealer {
    /// Derives the session keys; some microseconds.
    #[must_use]
    pub fn new(master: &MasterKey) -> Self {
        Self {
            profile: master.profile(),
            rtp: Cipher::new(master, Labels::RTP),
            rtcp: Cipher::new(master, Labels::RTCP),
            rtcp_index: 1,
        }
    }

    /// The profile.
    #[must_use]
    pub fn profile(&self) -> SrtpProfile {
        self.profile
    }

    /// Seals the RTP packet `buf[..len]` in place; the length of the datagram.
    ///
    /// The rollover counter is the cycle of `seq` less one, since extended numbers start one cycle above zero
    /// ([`SeqNo`]): a sender starts between 0x1_0000 and 0x1_7fff, so that its first packets stay clear of a wrap
    /// that the receiver might miss. One number must never seal two different packets with the same SSRC.
    ///
    /// `None` when `buf` has no room for the tag, `header_len` is no RTP header of `buf`, or `seq` is below 0x1_0000.
    #[inline]
    pub fn seal_rtp(&self, buf: &mut [u8], header_len: usize, len: usize, seq: SeqNo) -> Option<usize> {
        let index = seq.0.checked_sub(0x1_0000)?;
        let (packet, trailer) = buf.split_at_mut_checked(len)?;
        let (header, text) = packet.split_at_mut_checked(header_len)?;
        let ssrc = ssrc_at(header, 8)?;
        match &self.rtp {
            Cipher::Gcm(gcm) => {
                gcm.seal(gcm.rtp_nonce(ssrc, index), header, text, trailer.get_mut(..gcm::TAG)?)?;
                Some(len + gcm::TAG)
            }
            Cipher::Cm80(cm80) => {
                // The rollover counter is part of the message but not of the datagram: the tag takes its place.
                #[expect(clippy::cast_possible_truncation, reason = "the rollover counter has 32 bits")]
                let counter = (index >> 16) as u32;
                trailer.get_mut(..cm80::TAG)?[..4].copy_from_slice(&counter.to_be_bytes());
                cm80.apply(ssrc, index, text);
                let tag = cm80.tag(buf.get(..len + 4)?);
                buf.get_mut(len..len + cm80::TAG)?.copy_from_slice(&tag);
                Some(len + cm80::TAG)
            }
        }
    }

    /// Seals the compound RTCP packet `buf[..len]` in place; the length of the datagram.
    ///
    /// `None` when `buf` has no room for tag and index, `len` is less than 8, or 2³¹ packets have been sealed.
    pub fn seal_rtcp(&mut self, buf: &mut [u8], len: usize) -> Option<usize> {
        let index = self.rtcp_index;
        if index >= E_FLAG {
            return None;
        }
        let word = (index | E_FLAG).to_be_bytes();
        let (packet, trailer) = buf.split_at_mut_checked(len)?;
        let (clear, text) = packet.split_at_mut_checked(RTCP_CLEAR)?;
        let ssrc = ssrc_at(clear, 4)?;
        let total = match &self.rtcp {
            Cipher::Gcm(gcm) => {
                let (tag, rest) = trailer.split_at_mut_checked(gcm::TAG)?;
                rest.get_mut(..4)?.copy_from_slice(&word);
                gcm.seal(gcm.rtcp_nonce(ssrc, index), &rtcp_aad(clear, word)?, text, tag)?;
                len + gcm::TAG + 4
            }
            Cipher::Cm80(cm80) => {
                trailer.get_mut(..4 + cm80::TAG)?[..4].copy_from_slice(&word);
                cm80.apply(ssrc, u64::from(index), text);
                let tag = cm80.tag(buf.get(..len + 4)?);
                buf.get_mut(len + 4..len + 4 + cm80::TAG)?.copy_from_slice(&tag);
                len + 4 + cm80::TAG
            }
        };
        self.rtcp_index += 1;
        Some(total)
    }
}

/// Opens what the peer sends. Allocates only when a new SSRC has proved to be authentic, at most [`MAX_SSRCS`] times
/// for each protocol.
#[derive(Debug)]
pub struct Opener {
    profile: SrtpProfile,
    rtp: Cipher,
    rtcp: Cipher,
    rtp_windows: FxHashMap<u32, Window>,
    rtcp_windows: FxHashMap<u32, Window>,
}

impl Opener {
    /// Derives the session keys; some microseconds.
    #[must_use]
    pub fn new(master: &MasterKey) -> Self {
        Self {
            profile: master.profile(),
            rtp: Cipher::new(master, Labels::RTP),
            rtcp: Cipher::new(master, Labels::RTCP),
            rtp_windows: FxHashMap::default(),
            rtcp_windows: FxHashMap::default(),
        }
    }

    /// The profile.
    #[must_use]
    pub fn profile(&self) -> SrtpProfile {
        self.profile
    }

    /// Opens an RTP packet from `datagram` into `out`, header included; the length of the packet. `layout` is that of
    /// `datagram`.
    ///
    /// The first packet of an SSRC is taken to have the rollover counter 0 (RFC 3711 §3.3.1).
    ///
    /// # Errors
    /// [`DropReason::Replayed`], [`DropReason::Unauthentic`], [`DropReason::LimitReached`],
    /// [`DropReason::Malformed`] when there is no room for a tag, [`DropReason::TooLong`] for `out`. No state has
    /// changed then; `out` is undefined.
    #[inline]
    pub fn open_rtp(&mut self, layout: &Layout, datagram: &[u8], out: &mut [u8]) -> Result<usize, DropReason> {
        use DropReason::{LimitReached, Malformed, Replayed, TooLong, Unauthentic};
        let (header, rest) = datagram.split_at_checked(layout.header_len()).ok_or(Malformed)?;
        let ssrc = ssrc_at(header, 8).ok_or(Malformed)?;
        let wire = u16::from_be_bytes([header[2], header[3]]);

        let full = self.rtp_windows.len() >= MAX_SSRCS;
        let known = self.rtp_windows.get_mut(&ssrc);
        let index = known
            .as_deref()
            .unwrap_or(&Window::EMPTY)
            .estimate(wire)
            .ok_or(Replayed)?;
        if known.as_deref().is_some_and(|window| !window.is_fresh(index)) {
            return Err(Replayed);
        }

        let tag_len = match &self.rtp {
            Cipher::Gcm(_) => gcm::TAG,
            Cipher::Cm80(_) => cm80::TAG,
        };
        let (text, tag) = rest
            .split_at_checked(rest.len().wrapping_sub(tag_len))
            .ok_or(Malformed)?;
        let len = header.len() + text.len();
        let (out_header, out_text) = out.get_mut(..len).ok_or(TooLong)?.split_at_mut(header.len());
        match &self.rtp {
            Cipher::Gcm(gcm) => gcm
                .open(gcm.rtp_nonce(ssrc, index), header, text, tag, out_text)
                .ok_or(Unauthentic)?,
            Cipher::Cm80(cm80) => {
                #[expect(clippy::cast_possible_truncation, reason = "the rollover counter has 32 bits")]
                let counter = (index >> 16) as u32;
                let message = datagram.get(..len).ok_or(Malformed)?;
                if !cm80.verify(message, &counter.to_be_bytes(), tag) {
                    return Err(Unauthentic);
                }
                out_text.copy_from_slice(text);
                cm80.apply(ssrc, index, out_text);
            }
        }
        out_header.copy_from_slice(header);
        match known {
            Some(window) => window.accept(index),
            None if full => return Err(LimitReached),
            None => insert(&mut self.rtp_windows, ssrc, index),
        }
        Ok(len)
    }

    /// Opens an RTCP datagram in place; the length of the compound packet.
    ///
    /// # Errors
    /// As [`Self::open_rtp`]. A packet that is authenticated but not encrypted counts as unauthentic: it is a session
    /// parameter that nobody negotiates with us.
    pub fn open_rtcp(&mut self, datagram: &mut [u8]) -> Result<usize, DropReason> {
        use DropReason::{LimitReached, Malformed, Replayed, Unauthentic};
        let ssrc = ssrc_at(datagram, 4).ok_or(Malformed)?;
        let (trailer, word_behind) = match &self.rtcp {
            Cipher::Gcm(_) => (gcm::TAG + 4, gcm::TAG),
            Cipher::Cm80(_) => (4 + cm80::TAG, 0),
        };
        let len = datagram
            .len()
            .checked_sub(trailer)
            .filter(|&len| len >= RTCP_CLEAR)
            .ok_or(Malformed)?;
        let word = *datagram
            .get(len + word_behind..)
            .and_then(|rest| rest.first_chunk::<4>())
            .ok_or(Malformed)?;
        let index = u32::from_be_bytes(word) & !E_FLAG;
        if word[0] & 0x80 == 0 {
            return Err(Unauthentic);
        }
        let full = self.rtcp_windows.len() >= MAX_SSRCS;
        let known = self.rtcp_windows.get_mut(&ssrc);
        if known
            .as_deref()
            .is_some_and(|window| !window.is_fresh(u64::from(index)))
        {
            return Err(Replayed);
        }
        match &self.rtcp {
            Cipher::Gcm(gcm) => {
                let (packet, rest) = datagram.split_at_mut(len);
                let (clear, text) = packet.split_at_mut(RTCP_CLEAR);
                let aad = rtcp_aad(clear, word).ok_or(Malformed)?;
                let tag = rest.get(..gcm::TAG).ok_or(Malformed)?;
                gcm.open_in_place(gcm.rtcp_nonce(ssrc, index), &aad, tag, text)
                    .ok_or(Unauthentic)?;
            }
            Cipher::Cm80(cm80) => {
                let (message, tag) = datagram.split_at(len + 4);
                if !cm80.verify(message, &[], tag) {
                    return Err(Unauthentic);
                }
                cm80.apply(
                    ssrc,
                    u64::from(index),
                    datagram.get_mut(RTCP_CLEAR..len).ok_or(Malformed)?,
                );
            }
        }
        match known {
            Some(window) => window.accept(u64::from(index)),
            None if full => return Err(LimitReached),
            None => insert(&mut self.rtcp_windows, ssrc, u64::from(index)),
        }
        Ok(len)
    }
}

#[cold]
fn insert(windows: &mut FxHashMap<u32, Window>, ssrc: u32, index: u64) {
    let mut window = Window::EMPTY;
    window.accept(index);
    windows.insert(ssrc, window);
}

fn ssrc_at(header: &[u8], at: usize) -> Option<u32> {
    header
        .get(at..)
        .and_then(|rest| rest.first_chunk::<4>())
        .map(|ssrc| u32::from_be_bytes(*ssrc))
}

fn rtcp_aad(clear: &[u8], word: [u8; 4]) -> Option<[u8; RTCP_CLEAR + 4]> {
    let mut aad = [0; RTCP_CLEAR + 4];
    aad[..RTCP_CLEAR].copy_from_slice(clear.get(..RTCP_CLEAR)?);
    aad[RTCP_CLEAR..].copy_from_slice(&word);
    Some(aad)
}
