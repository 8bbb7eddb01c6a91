//! What a table is built for, and what it answers when that is used up.

use super::Slot;
use crate::error::{Error, check_range};

/// What a table is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// States that must fit.
    pub states: u32,
    /// How many of them may be translated. A translated state takes two index entries.
    pub translated: u32,
    /// Whether states can be found by their identity; replication needs it.
    pub ids: bool,
}

impl Plan {
    /// The most states of one table.
    pub const MAX_STATES: u32 = 1 << 30;

    pub(super) const fn entries(self) -> u32 {
        self.states + self.translated
    }

    pub(super) fn check(self) -> Result<(), Error> {
        check_range("states", self.states.into(), 1, Self::MAX_STATES.into())?;
        check_range("translated states", self.translated.into(), 0, self.states.into())
    }
}

/// So many states, any number of them translated, with identities.
impl From<u32> for Plan {
    fn from(states: u32) -> Self {
        Self { states, translated: states, ids: true }
    }
}

/// Why a state was not inserted. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertError {
    /// The capacity is used up.
    Full,
    /// This state has one of the keys, for the same use.
    Key(Slot),
    /// This state has the identity.
    Id(Slot),
}
