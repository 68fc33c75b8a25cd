//! Files as other people's programs see them: players, checkers, and a disk that fails.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod containers;
mod disk;
mod kill;
mod playlist;
mod recovery;
mod tools;
