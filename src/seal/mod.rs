//! The seal: authenticates, and if wanted encrypts, the frames between two pfplane nodes, and refuses forged and replayed ones.
//! Without I/O, and without knowledge of frames: it gets the fields of a trailer ([`pfsync::TrailerFields`]) and the bytes that
//! its tag covers.
//!
//! * **Keys** are pre-shared, one list for each peer ([`SealKeys`]). Each start of a node draws an *epoch*, 128 random bits. Each
//!   stream (epoch, flow, lane) has subkeys of its own, a new one every 2^32 frames (`cipher.rs`). The nonce is the frame's number
//!   with the clock, so no pair of key and nonce repeats.
//! * **Freshness** is proven, not assumed. A node believes a peer's epoch, and then each of its streams, only after a frame
//!   that returns a challenge of ours (`opener.rs`). So a recorded frame of any age means nothing to a node that has just
//!   started, and no clock is trusted.
//! * **Order** is strict: the numbers of a stream only increase. A late frame counts as lost.
//!
//! The sync lane opens frames ([`Opener`]), every lane seals its own ([`Sealer`]). What one learns and the other needs is in
//! [`SealShared`]: challenges to return, and the keys, which the control thread may change.

mod challenges;
mod cipher;
mod hello;
mod keys;
mod opener;
mod refusal;
mod sealer;
mod shared;
mod streams;

pub use hello::{ECHO_BYTES, HELLO_BYTES, SealHello, echo_bytes, echo_of};
pub use keys::{KEY_BYTES, MAX_KEYS, SealKey, SealKeys};
pub use opener::{Opener, SealedFrame, open_recorded};
pub use refusal::Refusal;
pub use sealer::{Handshake, Sealer};
pub use shared::{MAX_ECHOES, SealMode, SealShared, SealStatus};

#[cfg(test)]
mod tests;
