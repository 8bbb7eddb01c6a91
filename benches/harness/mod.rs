//! Parts shared by the benches: options, rounds and clock, streams of keys, huge pages, report.

pub mod block;
pub mod chart;
pub mod goals;
pub mod options;
pub mod pages;
pub mod report;
pub mod rounds;
pub mod streams;
