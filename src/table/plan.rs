//! What a table is built for, and what it answers when that is used up.

use super::Slot;
use crate::error::Error;

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
        let setting = |name, value: u32, least: u32, most: u32| match value >= least && value <= most {
            true => Ok(()),
            false => {
                Err(Error::Setting { name, value: value.into(), least: least.into(), most: most.into() })
            }
        };
        setting("states", self.states, 1, Self::MAX_STATES)?;
        setting("translated states", self.translated, 0, self.states)
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
