//! Malformed frames, arbitrary bytes and arbitrary values.

mod malformed;
mod properties;
#[path = "../support/mod.rs"]
mod support;
