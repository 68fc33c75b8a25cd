//! A line, what happens to it, who shares it, and what is demanded.

use std::time::Duration;

use crate::network::LinkConfig;

/// A bad line.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Its name, good for a file name.
    pub name: &'static str,
    /// How long it lasts, in seconds.
    pub seconds: u32,
    /// The line at the start; its rate is the capacity.
    pub line: LinkConfig,
    /// At so many seconds the capacity becomes so many bits per second.
    pub capacity: Vec<(u32, u64)>,
    /// At so many seconds a peer joins.
    pub flows: Vec<u32>,
    /// A competitor joins at so many seconds and leaves at so many.
    pub competitor: Option<(u32, u32)>,
    /// At so many seconds the camera wants at most so many bits per second.
    pub wanted: Vec<(u32, u64)>,
    /// The line is cut from so many seconds to so many.
    pub cut: Option<(u32, u32)>,
    /// What is demanded.
    pub aims: Vec<Aim>,
}

/// From so many seconds to so many.
pub type Window = (u32, u32);

/// Something that is demanded of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Aim {
    /// Voice and video that arrive, as a share of the capacity, at least.
    Use(Window, f64),
    /// The queue delay that 95 % of the datagrams do not exceed, at most, in ms.
    Queue(Window, f64),
    /// Time from this second until no more is sent than the line carries, at most.
    BackUnder(u32, Duration),
    /// Time from this second until 90 % of the capacity is used, at most.
    Full(u32, Duration),
    /// Jain's index of what arrives at the peers, at least.
    Fairness(Window, f64),
    /// Voice that arrives, as a share of what was sent, at least.
    Voice(Window, f64),
    /// The estimate, as a share of the capacity, at most.
    Modest(Window, f64),
}
