//! A playout allocates nothing of its own once it has begun: counted, not believed, over a line that loses, delays and
//! drifts. What Opus allocates is told.
//!
//! A binary of its own, because the counting allocator is that of the whole process.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]
#![expect(clippy::print_stdout, reason = "what the codec allocates is told")]

use std::time::{Duration, Instant};

use althing_media_core::{Pt, RtpTime, Ssrc};
use althing_mixer::codec::Format;
use althing_mixer::playout::{Playout, PlayoutConfig, Received};
use althing_testkit::alloc::{CountingAllocator, allocations_during};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

const TICK: usize = 960;
const PACKETS: u32 = 3_000;
const WARM_UP: u32 = 500;

/// Allocations from the 500th packet on, and how many ticks that were.
fn measure(format: Format) -> (u64, u64) {
    let mut encoder = format.encoder().unwrap();
    encoder.set_expected_loss(10);
    let mut bytes = vec![0; 4_000];
    let packets: Vec<Received> = (0..PACKETS)
        .map(|number| {
            let sample = |at: usize| 0.3 * ((number as usize * TICK + at / format.channels()) as f32 * 0.03).sin();
            let pcm: Vec<f32> = (0..TICK * format.channels()).map(sample).collect();
            let len = encoder.encode(&pcm, &mut bytes).unwrap();
            Received {
                ssrc: Ssrc(1 + number / 1_400),
                seq: u16::try_from(number).unwrap(),
                timestamp: RtpTime(number * format.clock_rate() / 50),
                payload_type: Pt::new(96),
                marker: false,
                level: None,
                payload: bytes[..len].to_vec().into(),
            }
        })
        .collect();
    let mut packets = packets.into_iter();
    let config = PlayoutConfig {
        payload_type: Pt::new(96),
        red: None,
        comfort_noise: None,
    };
    let mut playout = Playout::new(config, format.decoder().unwrap());
    let mut out = vec![0.0; TICK * format.channels()];
    let start = Instant::now();
    let (mut next, mut count, mut ticks) = (0_u32, 0, 0);
    for tick in 0..PACKETS {
        let now = start + Duration::from_micros(20_005) * tick;
        // Every 13th comes with the one after it, every 17th never; some ticks nobody listens.
        let due = if tick % 13 == 5 { tick } else { tick + 1 };
        let ((), counted) = allocations_during(|| {
            while next < due {
                // Moved, not cloned: the first clone of such a payload allocates.
                if let Some(packet) = packets.next().filter(|_| next % 17 != 3) {
                    playout.push(now, packet);
                }
                next += 1;
            }
            if tick % 400 < 350 {
                playout.pull(now, &mut out);
            } else {
                playout.skip(now, TICK);
            }
        });
        if tick >= WARM_UP {
            count += counted.count;
            ticks += 1;
        }
    }
    let stats = playout.stats();
    assert!(stats.lost > 100 && stats.concealed > 0 && stats.resets > 0, "{stats:?}");
    assert!(stats.accelerated + stats.expanded > 0, "{stats:?}");
    (count, ticks)
}

#[test]
fn playout_and_our_own_codecs_allocate_nothing() {
    for format in [
        Format::Pcmu,
        Format::G722,
        Format::L16 {
            rate: 44_100,
            channels: 2,
        },
    ] {
        assert_eq!(measure(format).0, 0, "{format:?}");
    }
}

#[test]
fn what_opus_allocates_is_little() {
    let (count, ticks) = measure(Format::Opus { channels: 1 });
    println!("Opus: {count} allocations in {ticks} ticks with losses");
    assert!(count <= ticks, "{count} allocations in {ticks} ticks");
}
