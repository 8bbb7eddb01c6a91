//! What is broken on purpose is caught: the check can fail.
//!
//! A failed check leaves the other thread's end of a ring behind, where loom is no more when it is dropped, and the process
//! ends. So each copy is tried in a process of its own, which is this test once more.

use pfplane_ring_loom::copies;
use std::env;
use std::process::Command;

/// Set in the process that is to fail.
const INSIDE: &str = "PFPLANE_RING_LOOM_INSIDE";

/// `scenario` fails, and the first thing that it says is `words`.
fn caught(test: &str, scenario: fn(u32) -> usize, words: &str) {
    if env::var_os(INSIDE).is_some() {
        println!("{} orders", scenario(0));
        return;
    }
    let mut command = Command::new(env::current_exe().expect("this test's file"));
    let output = command.args([test, "--exact", "--nocapture"]).env(INSIDE, "1").output().expect("a process");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "nothing was noticed: {}", String::from_utf8_lossy(&output.stdout));
    let first = said.split("panicked at").nth(1).unwrap_or_default();
    assert!(first.contains(words), "{test} was to fail with `{words}`: {said}");
}

macro_rules! caught {
    ($($copy:ident, $scenario:ident: $words:literal;)*) => {$(
        #[test]
        fn $copy() {
            caught(stringify!($copy), copies::$copy::scenarios::$scenario, $words);
        }
    )*};
}

caught! {
    push_relaxed, to_owner: "Causality violation";
    pop_relaxed, to_owner: "Causality violation";
    push_sees_head_relaxed, to_owner: "Causality violation";
    pop_sees_tail_relaxed, closing: "Causality violation";
    room_relaxed, to_sync_lane: "Causality violation";
    waiting_relaxed, to_sync_lane: "Causality violation";
    never_full, to_owner: "a message was overwritten";
    bell_relaxed, told_is_heard: "told, but not heard";
    bell_heard_relaxed, told_is_heard: "told, but not heard";
}
