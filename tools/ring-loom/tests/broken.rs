//! Copies that are broken on purpose are caught: the check can fail.
//!
//! A failed check leaves the other thread's end of a ring behind. Dropping that without loom aborts the process. So each copy
//! runs in a process of its own, which is this test again.

use pfplane_ring_loom::copies;
use std::env;
use std::process::Command;

/// Set in the process that must fail.
const INSIDE: &str = "PFPLANE_RING_LOOM_INSIDE";

/// Checks that `scenario` fails, and that its first message contains `words`.
fn caught(test: &str, scenario: fn(u32) -> usize, words: &str) {
    if env::var_os(INSIDE).is_some() {
        println!("{} orders", scenario(0));
        return;
    }
    let mut command = Command::new(env::current_exe().expect("this test's file"));
    let output = command.args([test, "--exact", "--nocapture"]).env(INSIDE, "1").output().expect("a process");
    let output_text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "nothing failed: {}", String::from_utf8_lossy(&output.stdout));
    let first = output_text.split("panicked at").nth(1).unwrap_or_default();
    assert!(first.contains(words), "{test} must fail with `{words}`: {output_text}");
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
    push_sees_read_relaxed, to_owner: "Causality violation";
    pop_sees_written_relaxed, popped_uncounted: "Causality violation";
    never_full, to_owner: "a message was overwritten";
    bell_relaxed, sent_is_received: "sent, but not received";
    bell_seen_relaxed, sent_is_received: "sent, but not received";
}
