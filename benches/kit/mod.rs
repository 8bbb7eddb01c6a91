//! What the benches share: the clock and the rounds, streams of keys, huge pages for everybody, the report.

pub mod block;
pub mod goals;
pub mod options;
pub mod pages;
pub mod picture;
pub mod report;
pub mod rounds;
pub mod streams;
