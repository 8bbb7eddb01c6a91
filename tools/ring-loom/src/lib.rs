//! The rings between lanes under loom, which runs two threads in every order that the memory model allows.
//!
//! The build script copies the source of `src/memory/channel.rs`, `src/lane/exchange/rings.rs` and `aliases.rs`, with loom's
//! atomics and slots that loom observes. `scenarios` is compiled against sound copies of capacity
//! one, two and three, and against copies that are broken on purpose.

mod counted;
mod explore;
mod slots;

pub use explore::{Seen, explore};

/// The copies, see the build script.
pub mod copies {
    include!(concat!(env!("OUT_DIR"), "/copies.rs"));
}

pub use copies::two::{aliases, channel, rings};
pub mod scenarios;
