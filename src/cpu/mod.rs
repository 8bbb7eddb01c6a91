//! What depends on the processor (L0): prefetch, the keyed hash, the tag compare, and the steering hash.
//!
//! Nothing outside this room knows an instruction set. Code that wants one is written once as a [`Kernel`], generic
//! over [`Isa`], and [`Level::run`] picks the compiled copy: one decision a burst, never one a key. Architectures
//! without a copy of their own take the portable one.
//!
//! Two hashes live here on purpose. The steering hash ([`Toeplitz`], [`Steering`]) is the network card's, linear and
//! public. The index hash ([`Isa::hash`]) is keyed and not linear, so that nobody outside can aim packets at one
//! bucket.

mod compare;
mod hash;
mod isa;
mod opaque;
mod prefetch;
mod steering;
mod tags;
mod toeplitz;

pub use compare::MASK_WORDS;
pub use hash::{Secret, portable_hash};
pub use isa::{Isa, Kernel, Level, Portable};
pub use opaque::opaque;
pub use prefetch::{Far, Hint, Near, prefetch};
pub use steering::{DEFAULT_KEY, REDIRECTIONS, Steering, has_ports};
pub use tags::{TAGS, TagLine};
pub use toeplitz::{KEY_BYTES, SymmetricToeplitz, Toeplitz};
