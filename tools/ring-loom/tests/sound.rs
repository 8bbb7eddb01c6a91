//! What is in use holds in every order of its two ends, for rings of one, two and three messages.

use pfplane_ring_loom::RTRB_VERSION;
use pfplane_ring_loom::copies::{one, three, two};

/// A scenario of one capacity, begun after so many messages.
type Scenario = fn(u32) -> usize;

/// Runs a scenario of each capacity, from every place of the ring on: places count to twice the capacity.
fn hold(name: &str, scenarios: [Scenario; 3]) {
    for (scenario, capacity) in scenarios.into_iter().zip(1..) {
        let runs: Vec<usize> = (0..2 * capacity).map(scenario).collect();
        assert!(runs.iter().all(|&runs| runs > 1), "{name}: only one order");
        println!("rtrb {RTRB_VERSION}, {name}, capacity {capacity}: {} orders", runs.iter().sum::<usize>());
    }
}

macro_rules! scenarios {
    ($($test:ident: $scenario:ident;)*) => {$(
        #[test]
        fn $test() {
            let scenarios: [Scenario; 3] =
                [one::scenarios::$scenario, two::scenarios::$scenario, three::scenarios::$scenario];
            hold(stringify!($scenario), scenarios);
        }
    )*};
}

scenarios! {
    to_an_owner_nothing_is_lost_doubled_or_overtaken_and_a_mark_is_true: to_owner;
    to_the_sync_lane_a_refusal_is_true_and_what_is_kept_comes_later: to_sync_lane;
    an_end_that_crosses_the_state_leaves_the_directory_right: an_end_crosses_the_state;
    a_closed_ring_drops_what_is_left_once: closing;
    an_answer_does_not_overtake_its_alias: an_answer_after_its_alias;
    what_was_told_is_heard_without_another_bell: told_is_heard;
}
