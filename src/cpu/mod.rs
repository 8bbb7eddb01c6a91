//! Code that depends on the processor: prefetch, the index hash, comparisons, and the steering hash.
//!
//! No other module names an instruction set. A loop that needs one is written once as a [`Kernel`], generic over [`Isa`];
//! [`Level::run`] selects the compiled copy once per burst. Other architectures use the portable copy.
//!
//! There are two hashes. The steering hash ([`Steering`]) is the NIC's Toeplitz hash, linear and public. The index hash
//! ([`Isa::hash`]) is keyed and not linear, so that an attacker cannot aim packets at one bucket.

mod compare;
mod hash;
mod isa;
mod opaque;
mod prefetch;
mod random;
mod steering;
mod tags;
mod toeplitz;

pub use compare::MASK_WORDS;
pub use hash::Secret;
pub use isa::{Isa, Kernel, Level};
use opaque::opaque;
pub use prefetch::{Far, Hint, Near, prefetch};
pub use random::system_random;
pub use steering::{DEFAULT_KEY, Steering, has_ports};
pub use tags::TAGS;
pub use toeplitz::Toeplitz;
