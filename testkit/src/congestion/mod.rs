//! Bad lines and what the estimator makes of them, in virtual time: scenarios, each with aims, and a run that can be
//! drawn.
//!
//! The estimator, the pacer and the feedback are the product's own; the link, the camera and the competitor are ours.
//! Signalling, encryption and the router are not in it.
//!
//! | file | one idea |
//! |---|---|
//! | [`scenario`] | what happens to the line, and what is demanded |
//! | [`table`] | all scenarios |
//! | [`mod@run`] | one run: everybody on one link |
//! | [`report`] | what was measured, and whether it is enough |
//! | [`plot`] | a run as a picture |
//! | [`flow`] | a peer that is sent voice and video |
//! | [`source`] | a voice and a camera that follows the estimate |
//! | [`tcp`] | a competitor that fills every queue |

pub mod flow;
pub mod plot;
pub mod report;
pub mod run;
pub mod scenario;
pub mod source;
pub mod table;
pub mod tcp;

pub use plot::svg;
pub use report::{Finding, Report, Sample};
pub use run::run;
pub use scenario::{Aim, Scenario, Window};
pub use table::scenarios;
