//! Conformance: what the systems send and accept, one test for each rule of transport, framing, encoding and validation.

mod encoding;
mod framing;
#[path = "../support/mod.rs"]
mod support;
mod validation;
