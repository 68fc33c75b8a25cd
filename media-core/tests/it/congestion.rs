//! The aims of every scenario of bad lines are met, from more than one seed. `cargo xtask network` shows the figures.

use althing_testkit::congestion::{run, scenarios, svg};

/// Runs the scenarios whose names begin with `prefix`.
fn meets_its_aims(prefix: &str) {
    let scenarios = scenarios()
        .into_iter()
        .filter(|scenario| scenario.name.starts_with(prefix));
    let mut count = 0;
    for scenario in scenarios {
        for seed in 1..=3 {
            for finding in run(&scenario, seed).findings() {
                assert!(finding.met, "{}, seed {seed}: {finding}", scenario.name);
                count += 1;
            }
        }
    }
    assert!(count > 0, "there is no scenario {prefix}");
}

#[test]
fn a_fixed_line_is_used_and_its_queue_stays_short() {
    meets_its_aims("fixed");
    meets_its_aims("deep");
    meets_its_aims("shallow");
    meets_its_aims("rtt");
}

#[test]
fn a_line_that_changes_is_followed() {
    meets_its_aims("steps");
    meets_its_aims("sawtooth");
    meets_its_aims("cut");
}

#[test]
fn loss_by_chance_and_jitter_slow_nobody_down() {
    meets_its_aims("loss");
    meets_its_aims("burst");
    meets_its_aims("jitter");
    meets_its_aims("busy");
}

#[test]
fn those_who_share_a_line_share_it_fairly() {
    meets_its_aims("flows");
    meets_its_aims("competing");
}

#[test]
fn who_sends_little_stays_modest_and_is_quick_when_asked() {
    meets_its_aims("app-limited");
}

#[test]
fn a_run_is_the_same_every_time() {
    let scenario = scenarios()
        .into_iter()
        .find(|scenario| scenario.name == "loss-10")
        .unwrap();
    let picture = svg(&run(&scenario, 7));
    assert_eq!(picture, svg(&run(&scenario, 7)));
    assert_ne!(picture, svg(&run(&scenario, 8)));
}
