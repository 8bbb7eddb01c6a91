//! Actions: what a message asks the receiver to do.

use core::fmt;

/// What the records of a region mean. The number on the wire depends on the [`Profile`](crate::Profile).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// CLR: remove all states of a creator.
    Clear,
    /// INS: insert a new state.
    Insert,
    /// INS_ACK: an insert with [`state_flags::ACK`](crate::state_flags::ACK) was applied.
    InsertAck,
    /// UPD: a whole state after a change.
    Update,
    /// UPD_C: the changing part of a state.
    UpdateCompressed,
    /// UPD_REQ: send this state; with [`Identity::BULK`](crate::Identity::BULK), send all of them.
    UpdateRequest,
    /// DEL: remove a state, sent as a whole state. No current system sends it.
    Delete,
    /// DEL_C: remove a state.
    DeleteCompressed,
    /// BUS: a bulk transfer starts or has ended.
    BulkStatus,
    /// TDB: counters of an IPsec association.
    Tdb,
    /// EOF: the frame ends here. Version 5 only.
    Eof,
}

impl Action {
    /// All actions.
    pub const ALL: [Self; 11] = [
        Self::Clear,
        Self::Insert,
        Self::InsertAck,
        Self::Update,
        Self::UpdateCompressed,
        Self::UpdateRequest,
        Self::Delete,
        Self::DeleteCompressed,
        Self::BulkStatus,
        Self::Tdb,
        Self::Eof,
    ];

    /// Returns the name in the systems' sources, without `PFSYNC_ACT_`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clear => "CLR",
            Self::Insert => "INS",
            Self::InsertAck => "INS_ACK",
            Self::Update => "UPD",
            Self::UpdateCompressed => "UPD_C",
            Self::UpdateRequest => "UPD_REQ",
            Self::Delete => "DEL",
            Self::DeleteCompressed => "DEL_C",
            Self::BulkStatus => "BUS",
            Self::Tdb => "TDB",
            Self::Eof => "EOF",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
