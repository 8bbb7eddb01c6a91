//! The rings in use are correct in every order of their two ends, with one, two and three slots.

use pfplane_ring_loom::copies::{one, three, two};

/// A scenario of one capacity. The argument is the number of messages that passed before.
type Scenario = fn(u32) -> usize;

/// Runs a scenario of each capacity, from every index of the ring on: positions wrap at the capacity.
fn hold(name: &str, scenarios: [Scenario; 3]) {
    for (scenario, capacity) in scenarios.into_iter().zip(1..) {
        let runs: Vec<usize> = (0..2 * capacity).map(scenario).collect();
        assert!(runs.iter().all(|&runs| runs > 1), "{name}: only one order");
        println!("{name}, capacity {capacity}: {} orders", runs.iter().sum::<usize>());
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
    messages_to_an_owner_arrive_once_and_in_order_and_marks_are_correct: to_owner;
    messages_to_the_sync_lane_arrive_once_or_are_refused: to_sync_lane;
    an_end_that_crosses_its_state_leaves_the_directory_correct: an_end_crosses_the_state;
    messages_popped_without_counting_arrive_once_and_in_order: popped_uncounted;
    a_reply_does_not_overtake_its_alias: reply_after_its_alias;
    a_sent_alias_is_received_without_another_bell: sent_is_received;
}
