//! Errors of calls outside the packet path. On the packet path, verdicts and counters take their place.

use core::fmt;

/// Why an engine or a lane cannot do what was requested. The text names the setting and its limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// A setting is out of its range.
    Setting {
        /// The setting's name as in `pfplane_config`.
        name: &'static str,
        /// The value that was given.
        value: u64,
        /// The smallest accepted value.
        min: u64,
        /// The largest accepted value.
        max: u64,
    },
    /// A setting is unusable for another reason than its range.
    Invalid {
        /// The setting's name as in `pfplane_config`.
        name: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An allocation failed.
    OutOfMemory {
        /// What the memory was for.
        what: &'static str,
        /// The size of the allocation.
        bytes: usize,
    },
}

/// Checks that a setting's value is from `min` to `max`.
///
/// # Errors
/// [`Error::Setting`] if it is not.
pub(crate) fn check_range(name: &'static str, value: u64, min: u64, max: u64) -> Result<(), Error> {
    if (min..=max).contains(&value) { Ok(()) } else { Err(Error::Setting { name, value, min, max }) }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting { name, value, min, max } => {
                write!(f, "{name} is {value}, it must be from {min} to {max}")
            }
            Self::Invalid { name, reason } => write!(f, "{name}: {reason}"),
            Self::OutOfMemory { what, bytes } => write!(f, "cannot allocate {bytes} bytes for {what}"),
        }
    }
}

impl std::error::Error for Error {}
