//! The conformance list of the protocol reference (section 9), items 26 to 57: a test each, by number.

mod conformance;
#[expect(dead_code, reason = "other tests use more of it")]
mod sync_node;
