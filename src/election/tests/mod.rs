//! Tests of adverts: those of strangers, and how ours are sent. `tools/sim` tests the rules with several nodes.

mod adverts;
mod backlog;
mod handover;
