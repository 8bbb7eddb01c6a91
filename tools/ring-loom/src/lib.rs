//! The rings between lanes under loom, which runs two threads in every order that the memory model allows.
//!
//! What runs is the text of `rtrb` that Cargo.lock names, and our `src/lane/rings.rs` and `src/lane/aliases.rs`, copied by
//! the build script with loom's atomics and slots that loom watches. `scenarios` says what the two ends do; it is compiled
//! against the sound copies of capacity one, two and three, and against copies that are broken on purpose.

mod explore;
mod slots;

pub use explore::{Seen, explore};

/// The version of `rtrb` that was copied.
pub const RTRB_VERSION: &str = env!("RTRB_VERSION");

/// The copies, see the build script.
#[expect(
    clippy::allow_attributes,
    clippy::multiple_unsafe_ops_per_block,
    unused_unsafe,
    reason = "the text is another's, and its slots are safe here"
)]
pub mod copies {
    include!(concat!(env!("OUT_DIR"), "/copies.rs"));
}

pub use copies::two::{aliases, rings, rtrb};
pub mod scenarios;
