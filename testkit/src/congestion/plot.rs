//! A run as a picture (SVG): rates against the capacity above, queue delay and losses below.

use std::fmt::Write;

use super::report::{Report, STEP, Sample};

/// Size of the picture, and of the two panels in it.
const SIZE: (f64, f64) = (960.0, 480.0);
const LEFT: f64 = 60.0;
const RIGHT: f64 = 940.0;
const RATES: (f64, f64) = (40.0, 290.0);
const QUEUE: (f64, f64) = (330.0, 440.0);
/// One for each peer, again from the start when there are more.
const COLOURS: [&str; 5] = ["#1b7837", "#2166ac", "#b2182b", "#762a83", "#8c510a"];

/// Draws a run.
#[must_use]
pub fn svg(report: &Report) -> String {
    let samples = &report.samples;
    let seconds = samples.len() as f64 * STEP.as_secs_f64();
    let flows = samples.iter().map(|sample| sample.flows.len()).max().unwrap_or(0);
    let highest = samples.iter().map(|sample| sample.capacity).max().unwrap_or(1) as f64 * 1.25 / 1e6;
    let longest = samples.iter().map(Sample::longest).fold(20.0, f64::max) * 1.1;
    let mut out = String::new();
    let (width, height) = SIZE;
    out.push_str(&format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    ));
    text(
        &mut out,
        (LEFT, 22.0),
        "start",
        &format!(
            "{}: Mbit/s (grey: the line; thin: the estimate; thick: what arrives)",
            report.scenario.name
        ),
    );
    text(
        &mut out,
        (LEFT, 328.0),
        "start",
        "longest queue delay in ms; marks: datagrams lost",
    );
    axes(&mut out, RATES, highest, seconds);
    axes(&mut out, QUEUE, longest, seconds);
    let rates = Panel {
        range: RATES,
        highest,
        count: samples.len(),
    };
    let capacity = samples.iter().map(|sample| sample.capacity as f64 / 1e6);
    rates.line(&mut out, capacity, "#888888", "2.5");
    for (flow, colour) in (0..flows).zip(COLOURS.into_iter().cycle()) {
        let of = |sample: &Sample| sample.flows.get(flow).copied().unwrap_or_default();
        rates.line(
            &mut out,
            samples.iter().map(|sample| of(sample).0 as f64 / 1e6),
            colour,
            "0.8",
        );
        let arrived = smooth(samples.iter().map(|sample| mbit(of(sample).1.arrived)));
        rates.line(&mut out, arrived.into_iter(), colour, "2");
    }
    if report.scenario.competitor.is_some() {
        let competitor = smooth(samples.iter().map(|sample| mbit(sample.competitor)));
        rates.line(&mut out, competitor.into_iter(), "#f4a582", "1.5");
    }
    let queue = Panel {
        range: QUEUE,
        highest: longest,
        count: samples.len(),
    };
    queue.line(&mut out, samples.iter().map(Sample::longest), "#444444", "1");
    for (index, _) in samples
        .iter()
        .enumerate()
        .filter(|(_, sample)| sample.lost.0 + sample.lost.1 > 0)
    {
        let x = queue.x(index);
        out.push_str(&format!(
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"446\" y2=\"452\" stroke=\"#b2182b\"/>\n"
        ));
    }
    out.push_str("</svg>\n");
    out
}

struct Panel {
    range: (f64, f64),
    highest: f64,
    count: usize,
}

impl Panel {
    fn x(&self, index: usize) -> f64 {
        LEFT + (RIGHT - LEFT) * index as f64 / self.count.max(1) as f64
    }

    fn line(&self, out: &mut String, values: impl Iterator<Item = f64>, colour: &str, width: &str) {
        let (top, bottom) = self.range;
        let mut points = String::new();
        for (index, value) in values.enumerate() {
            let y = bottom - (bottom - top) * (value / self.highest).min(1.0);
            write!(points, "{:.1},{y:.1} ", self.x(index)).expect("a string takes everything");
        }
        out.push_str(&format!(
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"/>\n"
        ));
    }
}

fn axes(out: &mut String, (top, bottom): (f64, f64), highest: f64, seconds: f64) {
    out.push_str(&format!(
        "<path d=\"M{LEFT} {top}V{bottom}H{RIGHT}\" fill=\"none\" stroke=\"black\"/>\n"
    ));
    text(out, (LEFT - 6.0, top + 10.0), "end", &format!("{highest:.1}"));
    text(out, (LEFT - 6.0, bottom), "end", "0");
    for part in 0..=6 {
        let share = f64::from(part) / 6.0;
        let label = format!("{:.0} s", seconds * share);
        text(out, (LEFT + (RIGHT - LEFT) * share, bottom + 22.0), "middle", &label);
    }
}

fn text(out: &mut String, (x, y): (f64, f64), anchor: &str, text: &str) {
    out.push_str(&format!(
        "<text x=\"{x:.0}\" y=\"{y:.0}\" text-anchor=\"{anchor}\">{text}</text>\n"
    ));
}

/// Bytes in one step, in Mbit/s.
fn mbit(bytes: u64) -> f64 {
    bytes as f64 * 8.0 / STEP.as_secs_f64() / 1e6
}

/// The mean of five.
fn smooth(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let values: Vec<f64> = values.collect();
    let mean = |end: usize| {
        let some = &values[end.saturating_sub(4)..=end];
        some.iter().sum::<f64>() / some.len() as f64
    };
    (0..values.len()).map(mean).collect()
}
