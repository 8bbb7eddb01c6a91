//! Replication: its rules by number, recorded receivers and senders, and two nodes on an impaired wire.

#[path = "../captures/mod.rs"]
mod captures;
mod conformance;
mod node;
mod pair;
mod recorded;
mod regressions;
