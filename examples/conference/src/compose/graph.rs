//! The filter graph of `ffmpeg` for a meeting.
//!
//! ```text
//!  canvas ─► plates of those without a picture ─► pictures, each scaled to where it is now ─► names ─► [video]
//!  files of sound, each delayed to where it begins ─► mixed ─► limited ─► [audio]
//! ```
//!
//! Where something is at a time, are expressions that `ffmpeg` reckons for each picture: trees of `if`, so that even
//! thousands of changes cost a dozen comparisons. What is not shown is small and outside.

use std::fmt::Write as _;

use super::scenes::{Rect, Scenes, Sound, Steps, Tile};

/// Pictures per second.
pub(super) const RATE: u32 = 30;
/// Behind everything, and the colours of those without a picture: those of the page.
const CANVAS: &str = "0x14181a";
const COLOURS: [&str; 8] = [
    "0x2f6a5b", "0x7a4a8c", "0x9a4a2e", "0x35608f", "0x8a3d5c", "0x5c6420", "0x4a4f9c", "0x1f6f7a",
];
/// What is not shown: its size, and where it is, in pixels. Cheap, and not so small that a wide picture would have no height.
const HIDDEN: (i64, i64) = (128, -10_000);

/// Writes the graph. The inputs of `ffmpeg` are the pictures, then the sounds; the texts lie in `n0.txt` and so on, where `names`
/// says that `ffmpeg` can write.
pub(super) fn write(scenes: &Scenes, (width, height): (u32, u32), names: bool) -> String {
    let length = scenes.duration;
    let mut graph = Graph {
        text: format!("color=c={CANVAS}:s={width}x{height}:r={RATE}:d={length:.3},format=yuv420p[v0]"),
        laid: 0,
    };
    for tile in &scenes.tiles {
        let colour = COLOURS[tile.colour % COLOURS.len()];
        graph.lay(
            &format!("color=c={colour}:s=16x16:r={RATE}:d={length:.3}"),
            &tile.plates,
            "",
        );
    }
    for (index, picture) in scenes.pictures.iter().enumerate() {
        let whole = ":force_original_aspect_ratio=decrease:force_divisible_by=2";
        graph.lay(&format!("[{index}:v:0]fps={RATE}"), &picture.places, whole);
    }
    let Graph { mut text, laid } = graph;
    // Writing to a string does not fail.
    let _ = write!(text, ";\n[v{laid}]null");
    for (index, tile) in scenes.tiles.iter().enumerate().filter(|_| names) {
        write_name(&mut text, index, tile, height);
    }
    text.push_str("[video]");
    mix(&mut text, &scenes.sounds, scenes.pictures.len(), length);
    text
}

/// What is laid on the canvas, one upon the other.
struct Graph {
    text: String,
    laid: usize,
}

impl Graph {
    /// Lays an input where it belongs, if it is shown at all.
    fn lay(&mut self, input: &str, places: &Steps<Option<Rect>>, scaling: &str) {
        if is_hidden(places) {
            return;
        }
        let of = |value: fn(Rect) -> u32, hidden: i64| {
            steps(places, |place| place.map_or(hidden, |rect| i64::from(value(rect))))
        };
        let (w, h) = (of(|rect| rect.w, HIDDEN.0), of(|rect| rect.h, HIDDEN.0));
        let x = of(|rect| rect.x + rect.w / 2, HIDDEN.1);
        let y = of(|rect| rect.y + rect.h / 2, HIDDEN.1);
        let (under, over) = (self.laid, self.laid + 1);
        // `overlay` takes pictures with transparency. Otherwise ffmpeg would put another `scale` in between, which keeps
        // the first size.
        let _ = write!(
            self.text,
            ";\n{input},scale=w='{w}':h='{h}':eval=frame:flags=bilinear{scaling},format=yuva420p,setsar=1[p{over}];\n\
             [v{under}][p{over}]overlay=x='({x})-w/2':y='({y})-h/2':eof_action=pass[v{over}]"
        );
        self.laid = over;
    }
}

fn is_hidden(places: &Steps<Option<Rect>>) -> bool {
    places.iter().all(|(_, place)| place.is_none())
}

/// The name in the lower left corner of a tile, as on the page.
fn write_name(text: &mut String, index: usize, tile: &Tile, height: u32) {
    if is_hidden(&tile.places) {
        return;
    }
    let size = height / 32;
    let of = |value: fn(Rect) -> u32| steps(&tile.places, |place| place.map_or(0, |rect| i64::from(value(rect))));
    let (x, y) = (of(|rect| rect.x + 12), of(|rect| rect.y + rect.h));
    let shown = steps(&tile.places, |place| i64::from(place.is_some()));
    let _ = write!(
        text,
        ",drawtext=font=Sans:textfile=n{index}.txt:expansion=none:fontcolor=white:fontsize={size}:box=1:boxcolor=black@0.65:\
         boxborderw=6:x='{x}':y='({y})-{}':enable='{shown}'",
        size + 12
    );
}

/// All sound as one. A file's times are followed, so that its short pauses are silence.
fn mix(text: &mut String, sounds: &[Sound], first: usize, length: f64) {
    if sounds.is_empty() {
        return;
    }
    let mut inputs = String::new();
    for (index, sound) in sounds.iter().enumerate() {
        let input = first + index;
        let delay = (sound.at * 48_000.0).round();
        let _ = write!(
            text,
            ";\n[{input}:a:0]aresample=48000:async=1:min_hard_comp=0.02:first_pts=0,aformat=channel_layouts=stereo,\
             adelay=delays={delay}S:all=1[a{index}]"
        );
        let _ = write!(inputs, "[a{index}]");
    }
    let _ = write!(
        text,
        ";\n{inputs}amix=inputs={}:duration=longest:normalize=0,alimiter=limit=0.95:level=0,apad,atrim=0:{length:.3}[audio]",
        sounds.len()
    );
}

/// What is the value of when, as an expression of `t`: a tree, as deep as its logarithm.
fn steps<T>(steps: &[(f64, T)], value: impl Fn(&T) -> i64 + Copy) -> String {
    let mut kept: Vec<(f64, i64)> = Vec::new();
    for (at, step) in steps {
        let value = value(step);
        if kept.last().is_none_or(|(_, last)| *last != value) {
            kept.push((*at, value));
        }
    }
    tree(&kept)
}

fn tree(steps: &[(f64, i64)]) -> String {
    match steps {
        [] => "0".to_owned(),
        [(_, value)] => value.to_string(),
        _ => {
            let (before, after) = steps.split_at(steps.len() / 2);
            let at = after[0].0;
            format!("if(lt(t,{at:.4}),{},{})", tree(before), tree(after))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_changes_are_a_tree_of_ten() {
        let many: Vec<(f64, i64)> = (0..1000).map(|at| (f64::from(at), i64::from(at % 7))).collect();
        let text = steps(&many, |value| *value);
        let (mut depth, mut deepest) = (0_i32, 0);
        for letter in text.chars() {
            depth += i32::from(letter == '(') - i32::from(letter == ')');
            deepest = deepest.max(depth);
        }
        assert!(depth == 0 && deepest <= 12, "{deepest}");
        assert_eq!(
            steps(&[(0.0, 1), (2.0, 1), (3.0, 5)], |value| *value),
            "if(lt(t,3.0000),1,5)"
        );
    }
}
