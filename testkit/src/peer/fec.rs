//! FEC over pictures (FlexFEC-03), written and read apart from the product: slowly, with all packets at hand.

use std::collections::BTreeMap;

use althing_media_core::packet::RtpView;

/// Packets and FEC packets that are remembered.
const MAX_PACKETS: usize = 512;
const MAX_ROWS: usize = 64;

/// `packet` as it counts in sums: its transport-wide number, extension `id`, is zero.
fn counted(packet: &[u8], id: Option<u8>) -> Vec<u8> {
    let mut counted = packet.to_vec();
    if let Ok(view) = RtpView::parse(packet)
        && let Some(element) = id.and_then(|id| view.extension(id))
    {
        let at = element.as_ptr() as usize - packet.as_ptr() as usize;
        counted[at..at + element.len()].fill(0);
    }
    counted
}

/// Adds a packet that counts, or takes it out: two bytes of flags, its length behind twelve bytes, its time, all the rest.
fn add(sum: &mut Vec<u8>, packet: &[u8]) {
    let Some((head, rest)) = packet.split_at_checked(12) else {
        return;
    };
    let [.., high, low] = rest.len().to_be_bytes();
    let own = [&[head[0] & 0x3f, head[1], high, low], &head[4..8], rest].concat();
    sum.resize(sum.len().max(own.len()), 0);
    sum.iter_mut().zip(own).for_each(|(sum, byte)| *sum ^= byte);
}

/// The payload of an FEC packet over `packets`, at most fifteen in a row.
pub(super) fn payload(packets: &[Vec<u8>], id: Option<u8>) -> Vec<u8> {
    let mut sum = vec![0; 8];
    packets.iter().for_each(|packet| add(&mut sum, &counted(packet, id)));
    let first = &packets[0];
    let mask = (0..packets.len()).fold(0x8000_u16, |mask, n| mask | 0x4000 >> n);
    let mut payload = sum[..8].to_vec();
    payload.extend([1, 0, 0, 0]);
    payload.extend(&first[8..12]);
    payload.extend(&first[2..4]);
    payload.extend(mask.to_be_bytes());
    payload.extend(&sum[8..]);
    payload
}

/// What has come of a stream, and of FEC over it.
#[derive(Debug, Default)]
pub(super) struct Fec {
    packets: BTreeMap<u16, Vec<u8>>,
    order: std::collections::VecDeque<u16>,
    rows: Vec<(Vec<u16>, Vec<u8>)>,
}

impl Fec {
    /// A packet has come as it was sent.
    pub(super) fn on_packet(&mut self, packet: &RtpView<'_>, id: Option<u8>) {
        self.packets.insert(packet.seq(), counted(packet.bytes(), id));
        self.order.push_back(packet.seq());
        if self.order.len() > MAX_PACKETS
            && let Some(oldest) = self.order.pop_front()
        {
            self.packets.remove(&oldest);
        }
    }

    /// The payload of an FEC packet has come.
    pub(super) fn on_fec(&mut self, payload: &[u8]) -> Option<()> {
        let base = u16::from_be_bytes([*payload.get(16)?, *payload.get(17)?]);
        // One bit in front of each part says whether it is the last.
        let (mut at, mut numbers, mut next) = (18, Vec::new(), base);
        for bytes in [2, 4, 8] {
            let part = payload.get(at..at + bytes)?;
            at += bytes;
            for bit in 1..bytes * 8 {
                if part[bit / 8] & 0x80 >> (bit % 8) != 0 {
                    numbers.push(next);
                }
                next = next.wrapping_add(1);
            }
            if part[0] & 0x80 != 0 {
                break;
            }
        }
        let mut sum = payload.get(..8)?.to_vec();
        sum.extend(payload.get(at..)?);
        self.rows.push((numbers, sum));
        if self.rows.len() > MAX_ROWS {
            self.rows.remove(0);
        }
        Some(())
    }

    /// A packet that has not come and can be made, with zeros where its transport-wide number was.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        let Self { packets, rows, .. } = self;
        let lacking = |numbers: &[u16]| numbers.iter().filter(|seq| !packets.contains_key(seq)).count();
        rows.retain(|(numbers, _)| lacking(numbers) > 0);
        let at = rows.iter().position(|(numbers, _)| lacking(numbers) == 1)?;
        let (numbers, mut sum) = rows.remove(at);
        let mut lost = None;
        let mut ssrc = None;
        for seq in numbers {
            match packets.get(&seq) {
                Some(packet) => {
                    add(&mut sum, packet);
                    ssrc = Some(packet[8..12].to_vec());
                }
                None => lost = Some(seq),
            }
        }
        let (seq, ssrc) = lost.zip(ssrc)?;
        let len = usize::from(u16::from_be_bytes([sum[2], sum[3]]));
        let mut packet = vec![0x80 | sum[0] & 0x3f, sum[1]];
        packet.extend(seq.to_be_bytes());
        packet.extend(&sum[4..8]);
        packet.extend(ssrc);
        packet.extend(sum.get(8..8 + len)?);
        self.packets.insert(seq, packet.clone());
        self.order.push_back(seq);
        Some(packet)
    }
}
