//! Elections in virtual time: nodes on LANs, with a path of their own for hellos, and what must hold whatever happens.

mod hello;
pub mod lan;
mod oracle;
mod trouble;

pub(crate) use trouble::run;
