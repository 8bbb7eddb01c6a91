//! The capacity of a table, and the errors of an insert.

use super::Slot;
use crate::error::{Error, check_range};

/// The capacity of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Maximum number of states.
    pub states: u32,
    /// Maximum number of translated states among them. Each takes two index entries.
    pub translated: u32,
    /// Maximum number of states among them that have an [`Extra`](crate::state::Extra).
    pub extras: u32,
}

impl Plan {
    /// Maximum number of states of any table.
    pub const MAX_STATES: u32 = 1 << 30;

    pub(super) const fn entries(self) -> u32 {
        self.states + self.translated
    }

    pub(super) fn check(self) -> Result<(), Error> {
        check_range("states", self.states.into(), 1, Self::MAX_STATES.into())?;
        check_range("translated states", self.translated.into(), 0, self.states.into())?;
        check_range("extra entries", self.extras.into(), 0, self.states.into())
    }
}

/// This number of states, any of them translated, none with an [`Extra`](crate::state::Extra).
impl From<u32> for Plan {
    fn from(states: u32) -> Self {
        Self { states, translated: states, extras: 0 }
    }
}

/// Why a state was not inserted. The table is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertError {
    /// The table is full.
    Full,
    /// This state has one of the keys, for the same direction.
    Key(Slot),
    /// This state has the identity.
    Id(Slot),
}
