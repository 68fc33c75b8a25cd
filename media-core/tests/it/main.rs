//! The router among peers and networks, in virtual time, through its public interface only. Modules are named by
//! behaviour; every run comes from a seed, which the message of a failure names.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod big_room;
mod bytes_through;
mod churn;
mod congestion;
mod data_channels;
mod decode_targets;
mod far_pictures;
mod hostile;
mod late_joiner;
mod layer_switch;
mod lip_sync;
mod local_peer;
mod long_call;
mod loss;
mod mute_and_pause;
mod narrow_line;
mod other_reports;
mod rough_weather;
mod sent_again;
mod shared_line;
mod sound;
mod stage;
mod temporal_layers;
mod web_rtc;
