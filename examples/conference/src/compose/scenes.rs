//! Who is where in the picture, and when: made of a manifest. Only arithmetic; all times are seconds.
//!
//! A meeting is cut wherever something changes: somebody comes, a camera goes off, another one speaks. In between, everything
//! stands still. Not here: how it is drawn.

use std::collections::{BTreeMap, BTreeSet};

use althing_recorder::recording::PersonId;
use althing_recorder::recording::entry::Kind;
use althing_recorder::recording::manifest::{Manifest, PersonOf, Span, TrackOf};

use super::Layout;

/// The most tiles of a picture: who has no room is not shown, those who spoke last are.
const MOST_TILES: usize = 16;
/// The most tiles beside the large one.
const MOST_BESIDE: usize = 5;
/// Between two tiles, in pixels.
const GAP: u32 = 8;
/// Who speaks is shown large for at least so long.
const SHORTEST_LEAD: f64 = 2.0;
/// A picture that stands still for longer is taken away, half of that later.
const FROZEN: f64 = 2.0;
/// Changes of a meeting: more than one each second for a day.
pub(super) const MOST_CHANGES: usize = 100_000;

/// A place in the picture, in pixels. Everything is even, as encoders want it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rect {
    pub(super) x: u32,
    pub(super) y: u32,
    pub(super) w: u32,
    pub(super) h: u32,
}

/// Something from a moment on.
pub(super) type Steps<T> = Vec<(f64, T)>;

/// A file of pictures, and where it is shown.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) file: String,
    pub(super) from: f64,
    pub(super) places: Steps<Option<Rect>>,
}

/// Somebody's tile, or a screen's: where its name is, and where a plate stands in for a picture.
#[derive(Debug)]
pub(super) struct Tile {
    pub(super) name: String,
    /// Of the eight colours of the page.
    pub(super) colour: usize,
    pub(super) places: Steps<Option<Rect>>,
    pub(super) plates: Steps<Option<Rect>>,
}

/// A stretch of a file of sound.
#[derive(Debug, PartialEq)]
pub(super) struct Sound {
    pub(super) file: String,
    /// Where in the file it begins, and how long it is, if it does not go on to the end.
    pub(super) start: f64,
    pub(super) length: Option<f64>,
    /// When it is heard.
    pub(super) at: f64,
}

/// A meeting.
#[derive(Debug)]
pub(super) struct Scenes {
    pub(super) duration: f64,
    pub(super) pictures: Vec<Picture>,
    pub(super) tiles: Vec<Tile>,
    pub(super) sounds: Vec<Sound>,
}

/// Too much happens in a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMuch;

impl Scenes {
    /// `there` tells whether a file can be used.
    ///
    /// # Errors
    ///
    /// When more changes than [`MOST_CHANGES`].
    pub(super) fn of(
        manifest: &Manifest,
        layout: Layout,
        size: (u32, u32),
        there: &dyn Fn(&str) -> bool,
    ) -> Result<Self, TooMuch> {
        let mut scenes = Self {
            duration: seconds(manifest.duration),
            pictures: Vec::new(),
            tiles: Vec::new(),
            sounds: sounds(manifest, there),
        };
        let seats = seats(manifest, there, &mut scenes);
        let leads = leads(manifest, &seats);
        let moments = moments(&seats, &leads, scenes.duration);
        if moments.len() > MOST_CHANGES {
            return Err(TooMuch);
        }
        let (mut leads, mut leader, mut led) = (leads.into_iter().peekable(), None, BTreeMap::new());
        for at in moments {
            while let Some((from, person)) = leads.next_if(|(from, _)| *from <= at) {
                leader = Some(person);
                led.insert(person, from);
            }
            let shown: Vec<&Seat> = seats.iter().filter(|seat| seat.is_there(at)).collect();
            let places = arrange(layout, size, &order(layout, &shown, leader, &led));
            for seat in &seats {
                let place = places
                    .iter()
                    .find(|(tile, _)| *tile == seat.tile)
                    .map(|(_, rect)| *rect);
                let picture = seat.picture(at);
                let tile = &mut scenes.tiles[seat.tile];
                step(&mut tile.places, at, place);
                step(&mut tile.plates, at, place.filter(|_| picture.is_none()));
                for view in &seat.views {
                    let place = place.filter(|_| picture == Some(view.picture));
                    step(&mut scenes.pictures[view.picture].places, at, place);
                }
            }
        }
        Ok(scenes)
    }
}

/// Who or what has a tile.
#[derive(Debug)]
struct Seat {
    tile: usize,
    person: PersonId,
    screen: bool,
    stay: (f64, f64),
    views: Vec<View>,
}

/// What can be seen of a file.
#[derive(Debug)]
struct View {
    picture: usize,
    span: (f64, f64),
    /// Muted, or without pictures for long: one behind the other.
    dark: Vec<(f64, f64)>,
}

impl Seat {
    /// A person is there without a camera too, a screen is not.
    fn is_there(&self, at: f64) -> bool {
        within(self.stay, at) && (!self.screen || self.picture(at).is_some())
    }

    fn picture(&self, at: f64) -> Option<usize> {
        let mut seen = self.views.iter().filter(|view| within(view.span, at));
        seen.find(|view| !any_within(&view.dark, at)).map(|view| view.picture)
    }
}

pub(super) fn seconds(nanoseconds: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "exact to the microsecond for centuries")]
    let seconds = nanoseconds as f64 / 1e9;
    seconds
}

fn span(span: &Span) -> (f64, f64) {
    (seconds(span.from), span.until.map_or(f64::INFINITY, seconds))
}

fn within(span: (f64, f64), at: f64) -> bool {
    span.0 <= at && at < span.1
}

/// Those of the spans that are not empty, one behind the other; those that touch become one.
fn merged(mut spans: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    spans.retain(|span| span.0 < span.1);
    spans.sort_by(|one, other| one.0.total_cmp(&other.0));
    spans.dedup_by(|next, last| {
        let touch = next.0 <= last.1;
        if touch {
            last.1 = last.1.max(next.1);
        }
        touch
    });
    spans
}

/// Whether one of these spans, which are [`merged`], is around this moment.
fn any_within(spans: &[(f64, f64)], at: f64) -> bool {
    let behind = spans.partition_point(|span| span.1 <= at);
    spans.get(behind).is_some_and(|span| within(*span, at))
}

fn is_screen(track: &TrackOf) -> bool {
    track.source.starts_with("screen")
}

fn name(person: &PersonOf) -> &str {
    if person.name.is_empty() {
        &person.identity
    } else {
        &person.name
    }
}

/// All tiles that there are in the course of a recording: one for each person of whom there is something, one for each screen.
fn seats(manifest: &Manifest, there: &dyn Fn(&str) -> bool, scenes: &mut Scenes) -> Vec<Seat> {
    let mut seats = Vec::new();
    for person in &manifest.people {
        let tracks = manifest.tracks.iter().filter(|track| track.person == person.person);
        let tracks: Vec<&TrackOf> = tracks.filter(|track| !track.files.is_empty()).collect();
        if tracks.is_empty() {
            continue;
        }
        let pictures: Vec<&&TrackOf> = tracks.iter().filter(|track| track.kind == Kind::Video).collect();
        let (screens, cameras): (Vec<&TrackOf>, Vec<&TrackOf>) =
            pictures.into_iter().partition(|track| is_screen(track));
        let mut seat = |name: String, screen: bool, tracks: &[&TrackOf]| {
            let tile = scenes.tiles.len();
            let colour = name.bytes().fold(0, |sum, byte| (sum * 31 + usize::from(byte)) % 997) % 8;
            let (places, plates) = (Vec::new(), Vec::new());
            scenes.tiles.push(Tile {
                name,
                colour,
                places,
                plates,
            });
            let views = tracks
                .iter()
                .flat_map(|track| views(track, there, &mut scenes.pictures))
                .collect();
            seats.push(Seat {
                tile,
                person: person.person,
                screen,
                stay: span(&person.stay),
                views,
            });
        };
        seat(name(person).to_owned(), false, &cameras);
        for screen in screens {
            seat(format!("{}: screen", name(person)), true, &[screen]);
        }
    }
    seats
}

fn views(track: &TrackOf, there: &dyn Fn(&str) -> bool, pictures: &mut Vec<Picture>) -> Vec<View> {
    let still = track.gaps.iter().chain(&track.pauses).map(span);
    let still = still.filter(|still| still.1 - still.0 > FROZEN);
    let still = still.map(|still| (still.0 + FROZEN / 2.0, still.1));
    let dark = merged(still.chain(track.mutes.iter().map(span)).collect());
    let files = track.files.iter().filter(|file| there(&file.file));
    let view = |file: &althing_recorder::recording::manifest::FileOf| {
        let (from, until) = (seconds(file.from), seconds(file.until));
        pictures.push(Picture {
            file: file.file.clone(),
            from,
            places: Vec::new(),
        });
        View {
            picture: pictures.len() - 1,
            span: (from, until.min(span(&track.span).1)),
            dark: dark
                .iter()
                .copied()
                .filter(|dark| dark.0 < until && from < dark.1)
                .collect(),
        }
    };
    files.map(view).collect()
}

/// The sound: each file, without the pauses in it that are long, which would have to be held as silence.
fn sounds(manifest: &Manifest, there: &dyn Fn(&str) -> bool) -> Vec<Sound> {
    /// Shorter ones are filled.
    const LONG: f64 = 30.0;
    let mut sounds = Vec::new();
    for track in manifest.tracks.iter().filter(|track| track.kind == Kind::Audio) {
        let pauses = || {
            track
                .gaps
                .iter()
                .chain(&track.pauses)
                .map(span)
                .filter(|pause| pause.1 - pause.0 > LONG)
        };
        for file in track.files.iter().filter(|file| there(&file.file)) {
            let (from, until) = (seconds(file.from), seconds(file.until));
            let mut pauses: Vec<_> = pauses().filter(|pause| from < pause.0 && pause.1 < until).collect();
            pauses.sort_by(|one, other| one.0.total_cmp(&other.0));
            let mut at = from;
            for pause in pauses {
                let length = Some(pause.0 - at);
                sounds.push(Sound {
                    file: file.file.clone(),
                    start: at - from,
                    length,
                    at,
                });
                at = pause.1;
            }
            sounds.push(Sound {
                file: file.file.clone(),
                start: at - from,
                length: None,
                at,
            });
        }
    }
    sounds
}

/// Who leads, and since when: whoever does so stays as long as they speak, even when others are louder.
fn leads(manifest: &Manifest, seats: &[Seat]) -> Steps<PersonId> {
    let known: BTreeSet<PersonId> = seats.iter().map(|seat| seat.person).collect();
    let mut leads: Steps<PersonId> = Vec::new();
    for speakers in &manifest.speakers {
        let at = seconds(speakers.at);
        // What has not come to be by now is decided anew.
        leads.pop_if(|(from, _)| *from > at);
        let (since, leader) = leads
            .last()
            .map_or((f64::NEG_INFINITY, None), |(at, person)| (*at, Some(*person)));
        if leader.is_some_and(|leader| speakers.value.contains(&leader)) {
            continue;
        }
        if let Some(person) = speakers.value.iter().find(|person| known.contains(person)) {
            leads.push((at.max(since + SHORTEST_LEAD), *person));
        }
    }
    leads
}

/// All moments at which something changes, from the beginning on.
fn moments(seats: &[Seat], leads: &Steps<PersonId>, duration: f64) -> Vec<f64> {
    let mut moments = vec![0.0];
    moments.extend(leads.iter().map(|(at, _)| *at));
    for seat in seats {
        let views = seat
            .views
            .iter()
            .flat_map(|view| view.dark.iter().copied().chain([view.span]));
        moments.extend(views.chain([seat.stay]).flat_map(|(from, until)| [from, until]));
    }
    moments.retain(|at| (0.0..duration.max(f64::MIN_POSITIVE)).contains(at));
    moments.sort_by(f64::total_cmp);
    moments.dedup();
    moments
}

/// The tiles of a moment, the most important first: the large one, where there is one.
fn order(layout: Layout, shown: &[&Seat], leader: Option<PersonId>, led: &BTreeMap<PersonId, f64>) -> Vec<usize> {
    let most = if layout == Layout::Grid {
        MOST_TILES
    } else {
        MOST_BESIDE + 1
    };
    let screens = shown.iter().filter(|seat| seat.screen).rev();
    let mut tiles: Vec<usize> = screens.map(|seat| seat.tile).collect();
    let people = || shown.iter().filter(|seat| !seat.screen);
    if layout == Layout::Speaker {
        tiles.extend(
            people()
                .filter(|seat| Some(seat.person) == leader)
                .map(|seat| seat.tile),
        );
    }
    let mut rest: Vec<&&Seat> = people().filter(|seat| !tiles.contains(&seat.tile)).collect();
    if rest.len() + tiles.len() > most {
        // Those who spoke last have room; in their order, so that nobody jumps about without need.
        let spoke = |seat: &Seat| led.get(&seat.person).copied().unwrap_or(-1.0);
        let mut latest = rest.clone();
        latest.sort_by(|one, other| spoke(other).total_cmp(&spoke(one)));
        latest.truncate(most.saturating_sub(tiles.len()));
        rest.retain(|seat| latest.iter().any(|one| one.tile == seat.tile));
    }
    tiles.extend(rest.iter().map(|seat| seat.tile));
    tiles.truncate(most);
    tiles
}

/// Places for the tiles of a moment, on a picture of this size.
fn arrange(layout: Layout, (width, height): (u32, u32), tiles: &[usize]) -> Vec<(usize, Rect)> {
    match (layout, tiles) {
        (_, []) => Vec::new(),
        (Layout::Speaker, [main, rest @ ..]) => {
            let strip = if rest.is_empty() { 0 } else { width / 6 };
            let whole = Rect {
                x: 0,
                y: 0,
                w: even(width - strip),
                h: even(height),
            };
            let h = even(strip * 9 / 16);
            let all = u32::try_from(rest.len()).unwrap_or(0) * (h + GAP);
            let top = height.saturating_sub(all) / 2;
            let beside = (0..).zip(rest).map(|(row, tile)| {
                let y = even(top + row * (h + GAP));
                (
                    *tile,
                    Rect {
                        x: even(width - strip + GAP),
                        y,
                        w: even(strip - GAP),
                        h,
                    },
                )
            });
            [(*main, whole)].into_iter().chain(beside).collect()
        }
        (Layout::Grid, tiles) => {
            let count = u32::try_from(tiles.len()).unwrap_or(1);
            let columns = (1..=count).find(|columns| columns * columns >= count).unwrap_or(1);
            let rows = count.div_ceil(columns);
            let (w, h) = (
                (width - GAP * (columns - 1)) / columns,
                (height - GAP * (rows - 1)) / rows,
            );
            let place = |(index, tile): (u32, &usize)| {
                let (row, column) = (index / columns, index % columns);
                let in_row = if row == rows - 1 {
                    count - row * columns
                } else {
                    columns
                };
                let left = (width - in_row * w - (in_row - 1) * GAP) / 2;
                let rect = Rect {
                    x: even(left + column * (w + GAP)),
                    y: even(row * (h + GAP)),
                    w: even(w),
                    h: even(h),
                };
                (*tile, rect)
            };
            (0..).zip(tiles).map(place).collect()
        }
    }
}

fn even(number: u32) -> u32 {
    number & !1
}

/// A further step, unless all is as it was.
fn step<T: PartialEq>(steps: &mut Steps<T>, at: f64, value: T) {
    if steps.last().is_none_or(|(_, last)| *last != value) {
        steps.push((at, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let track = |track: u32, person: u32, kind: &str, source: &str, from: u64, until: u64| {
            serde_json::json!({
                "track": track, "person": person, "kind": kind, "source": source,
                "span": {"from": from, "until": null}, "formats": [], "mutes": [], "gaps": [],
                "pauses": [{"from": 40_000_000_000_u64, "until": 80_000_000_000_u64}],
                "files": [{"file": format!("t{track}.webm"), "from": from, "until": until}],
            })
        };
        let second = 1_000_000_000;
        let person = |person: u32, from: u64| serde_json::json!({"person": person, "identity": "x", "name": format!("p{person}"), "stay": {"from": from, "until": null}});
        let manifest = serde_json::json!({
            "version": 1, "recording": "r", "room": "r", "unix_ms": 0, "duration": 100 * second, "complete": true,
            "people": [person(1, 0), person(2, 10 * second)],
            "tracks": [
                track(1, 1, "video", "camera", 2 * second, 100 * second),
                track(2, 2, "audio", "microphone", 10 * second, 100 * second),
            ],
            "speakers": [{"at": 0, "value": [1]}, {"at": 11 * second, "value": [1, 2]}, {"at": 20 * second, "value": [2]}, {"at": 21 * second, "value": [1]}],
            "chat": [], "chapters": [], "consent": [], "deleted": [], "keep_days": null, "missed": 0,
            "log": {"lines": 0, "hash": "", "key": ""}, "mix": [],
        });
        serde_json::from_value(manifest).unwrap()
    }

    fn at<T: Copy>(steps: &Steps<T>, at: f64) -> T {
        steps.iter().rev().find(|(from, _)| *from <= at).unwrap().1
    }

    #[test]
    fn who_speaks_is_large_and_who_has_no_picture_is_a_plate() {
        let scenes = Scenes::of(&manifest(), Layout::Speaker, (1280, 720), &|_| true).unwrap();
        let (ada, ben) = (&scenes.tiles[0], &scenes.tiles[1]);
        let whole = Rect {
            x: 0,
            y: 0,
            w: 1280,
            h: 720,
        };
        assert_eq!(at(&ada.plates, 1.0), Some(whole), "her camera has not begun");
        assert_eq!(
            (at(&scenes.pictures[0].places, 3.0), at(&ada.plates, 3.0)),
            (Some(whole), None)
        );
        assert_eq!(at(&ben.places, 3.0), None, "he is not here yet");
        assert!(
            at(&ada.places, 15.0).unwrap().w > 1000,
            "she is large as long as she speaks"
        );
        assert!(at(&ben.places, 20.5).unwrap().w > 1000);
        assert!(
            at(&ben.places, 21.5).unwrap().w > 1000,
            "nobody is large for a moment only"
        );
        assert!(at(&ada.places, 22.5).unwrap().w > 1000);
        assert_eq!(
            at(&scenes.pictures[0].places, 60.0),
            None,
            "a picture that stands still is taken away"
        );
    }

    #[test]
    fn spans_that_touch_are_one() {
        let spans = [
            (7.0, f64::INFINITY),
            (1.0, 2.0),
            (1.0, 4.0),
            (3.0, 3.5),
            (4.0, 5.0),
            (6.0, 6.0),
        ];
        let merged = merged(spans.to_vec());
        assert_eq!(merged, [(1.0, 5.0), (7.0, f64::INFINITY)]);
        for (at, expected) in [
            (0.5, false),
            (1.0, true),
            (4.9, true),
            (5.0, false),
            (6.0, false),
            (9e9, true),
        ] {
            assert_eq!(any_within(&merged, at), expected, "{at}");
        }
        assert!(!any_within(&[], 0.0));
    }

    #[test]
    fn a_long_pause_divides_a_sound() {
        let scenes = Scenes::of(&manifest(), Layout::Grid, (1280, 720), &|_| true).unwrap();
        let parts: Vec<_> = scenes
            .sounds
            .iter()
            .map(|sound| (sound.start, sound.length, sound.at))
            .collect();
        assert_eq!(parts, [(0.0, Some(30.0), 10.0), (70.0, None, 80.0)]);
        let none = Scenes::of(&manifest(), Layout::Grid, (1280, 720), &|_| false).unwrap();
        assert!(none.sounds.is_empty() && none.pictures.is_empty());
    }

    #[test]
    fn tiles_lie_beside_each_other_and_inside() {
        for count in 1..=MOST_TILES {
            for layout in [Layout::Grid, Layout::Speaker] {
                let tiles: Vec<usize> = (0..count.min(if layout == Layout::Grid { 16 } else { 6 })).collect();
                let places = arrange(layout, (640, 360), &tiles);
                assert_eq!(places.len(), tiles.len());
                for (index, (_, one)) in places.iter().enumerate() {
                    assert!(
                        one.w >= 32 && one.h >= 32 && one.x + one.w <= 640 && one.y + one.h <= 360,
                        "{count}: {one:?}"
                    );
                    for (_, other) in &places[index + 1..] {
                        let apart = one.x + one.w <= other.x
                            || other.x + other.w <= one.x
                            || one.y + one.h <= other.y
                            || other.y + other.h <= one.y;
                        assert!(apart, "{count}: {one:?} and {other:?}");
                    }
                }
            }
        }
    }
}
