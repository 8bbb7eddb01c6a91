//! Messages as plain values, free of any profile's byte layout.

mod key;
mod message;
mod peer;
mod state;

pub use key::{Family, StateKey};
pub use message::{BulkStatus, Clear, CompressedUpdate, Identity, Tdb};
pub use peer::{Scrub, StatePeer};
pub use state::FullState;

/// One record of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "records live in registers and on the stack for one step of a loop"
)]
pub enum Record {
    /// A record of INS, UPD or DEL.
    State(FullState),
    /// A record of UPD_C.
    Compressed(CompressedUpdate),
    /// A record of INS_ACK, UPD_REQ or DEL_C.
    Id(Identity),
    /// A record of CLR.
    Clear(Clear),
    /// A record of BUS.
    BulkStatus(BulkStatus),
    /// A record of TDB.
    Tdb(Tdb),
}
