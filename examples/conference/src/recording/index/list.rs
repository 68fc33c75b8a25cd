//! Pages of recordings, the newest first.

use rusqlite::{Connection, Row, params};
use serde::{Deserialize, Serialize};

use super::{Index, number};

/// The most recordings of a page.
const MAX_PAGE: u32 = 200;
/// Recordings of a page when nobody says otherwise.
const PAGE: u32 = 50;
/// The most people that are named.
const MAX_PEOPLE: u32 = 20;

/// Which recordings are wanted.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::recording) struct Query {
    /// Only of this room.
    pub(in crate::recording) room: Option<String>,
    /// Only such that began then or later, in milliseconds since 1970.
    pub(in crate::recording) from: Option<u64>,
    /// Only such that began before.
    pub(in crate::recording) until: Option<u64>,
    /// Only such that follow this place, which the page before told.
    pub(in crate::recording) after: Option<String>,
    /// How many at most.
    pub(in crate::recording) limit: Option<u32>,
}

/// A page.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(in crate::recording) struct Page {
    recordings: Vec<Listed>,
    /// Where the next page begins; not there when this is the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A recording in a list.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Listed {
    /// The name of its folder.
    name: String,
    room: String,
    /// Milliseconds since 1970.
    begun: u64,
    /// Milliseconds.
    duration: u64,
    state: String,
    /// When its media are deleted, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    delete_at: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    /// Identities of the first who were there.
    people: Vec<String>,
    tracks: u64,
    files: u64,
    /// Of all files.
    bytes: u64,
}

impl Index {
    /// A page of recordings.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub(in crate::recording) fn list(&self, query: &Query) -> rusqlite::Result<Page> {
        if !self.path.exists() {
            return Ok(Page::default());
        }
        self.read(|from| page(from, query))
    }
}

fn page(from: &Connection, query: &Query) -> rusqlite::Result<Page> {
    let limit = query.limit.unwrap_or(PAGE).clamp(1, MAX_PAGE);
    let after = query.after.as_deref().and_then(|after| {
        let (begun, name) = after.split_once('.')?;
        Some((begun.parse::<u64>().ok()?, name.to_owned()))
    });
    // Whoever begins where no page ends, begins at the start.
    let (before, name) = after.unwrap_or((u64::MAX, String::new()));
    let of_room = match query.room {
        Some(_) => "room = ?1 AND",
        None => "?1 IS NULL AND",
    };
    let sql = format!(
        "SELECT name, room, begun, duration, state, delete_at, problem,
                (SELECT count(*) FROM tracks WHERE recording = r.name),
                (SELECT count(*) FROM files WHERE recording = r.name),
                (SELECT coalesce(sum(bytes), 0) FROM files WHERE recording = r.name)
            FROM recordings r WHERE {of_room} begun >= ?2 AND begun < ?3 AND (begun, name) < (?4, ?5)
            ORDER BY begun DESC, name DESC LIMIT ?6"
    );
    let mut statement = from.prepare(&sql)?;
    let wanted = params![
        query.room,
        number(query.from.unwrap_or(0)),
        number(query.until.unwrap_or(u64::MAX)),
        number(before),
        name,
        limit + 1,
    ];
    let mut recordings: Vec<Listed> = statement.query_map(wanted, listed)?.collect::<rusqlite::Result<_>>()?;
    let more = recordings.len() > limit as usize;
    recordings.truncate(limit as usize);
    for one in &mut recordings {
        one.people = people(from, &one.name)?;
    }
    let next = recordings.last().filter(|_| more);
    Ok(Page {
        next: next.map(|last| format!("{}.{}", last.begun, last.name)),
        recordings,
    })
}

fn listed(row: &Row<'_>) -> rusqlite::Result<Listed> {
    let number = |column| row.get::<_, i64>(column).map(|value| u64::try_from(value).unwrap_or(0));
    let delete_at: Option<i64> = row.get(5)?;
    Ok(Listed {
        name: row.get(0)?,
        room: row.get(1)?,
        begun: number(2)?,
        duration: number(3)?,
        state: row.get(4)?,
        delete_at: delete_at.and_then(|value| u64::try_from(value).ok()),
        problem: row.get(6)?,
        people: Vec::new(),
        tracks: number(7)?,
        files: number(8)?,
        bytes: number(9)?,
    })
}

fn people(connection: &Connection, name: &str) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT identity FROM people WHERE recording = ?1 GROUP BY identity ORDER BY min(person) LIMIT ?2";
    let mut statement = connection.prepare(sql)?;
    statement
        .query_map(params![name, MAX_PEOPLE], |row| row.get(0))?
        .collect()
}
