//! Parts shared by the benches: options, rounds and clock, streams of keys, huge pages, report.

pub(crate) mod block;
pub(crate) mod chart;
pub(crate) mod goals;
pub(crate) mod options;
pub(crate) mod pages;
pub(crate) mod report;
pub(crate) mod rounds;
pub(crate) mod streams;
