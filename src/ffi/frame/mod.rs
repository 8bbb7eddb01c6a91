//! pfsync frames in the C API: the codec alone, without an engine, a table or a clock.

mod fields;
#[cfg(feature = "dpdk")]
mod mbufs;
mod reader;
mod record;
mod writer;

#[cfg(feature = "dpdk")]
pub use mbufs::*;
pub use reader::*;
pub use record::*;
pub use writer::*;
