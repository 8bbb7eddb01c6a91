//! What a run showed: outcomes of connections, what was on the wire, the verdict, the report, the picture.

pub(crate) mod forwarding;
pub(crate) mod handover;
pub(crate) mod outcomes;
pub(crate) mod report;
mod summary;
pub(crate) mod timeline;
pub(crate) mod verdict;
