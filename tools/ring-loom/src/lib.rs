//! The rings between lanes under loom, which runs two threads in every order that the memory model allows.
//!
//! The build script copies the source of `rtrb` (the version in Cargo.lock) and our `src/lane/exchange/rings.rs` and
//! `aliases.rs`, with loom's atomics and slots that loom observes. `scenarios` is compiled against sound copies of capacity
//! one, two and three, and against copies that are broken on purpose.

mod explore;
mod slots;

pub use explore::{Seen, explore};

/// The version of the copied `rtrb`.
pub const RTRB_VERSION: &str = env!("RTRB_VERSION");

/// The copies, see the build script.
#[expect(
    clippy::allow_attributes,
    clippy::multiple_unsafe_ops_per_block,
    unreachable_pub,
    unused_unsafe,
    reason = "the text is not ours, and its slots are safe here"
)]
pub mod copies {
    include!(concat!(env!("OUT_DIR"), "/copies.rs"));
}

pub use copies::two::{aliases, rings, rtrb};
pub mod scenarios;
