//! What can go wrong outside the packet path (L0). On the packet path there are verdicts and counters instead.

use core::fmt;

/// Why an engine or a lane cannot do what was asked. The text names the thing and the limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// A setting is out of its range.
    Setting {
        /// The setting's name as in `pfplane_config`.
        name: &'static str,
        /// The value that was given.
        value: u64,
        /// The least value that is accepted.
        least: u64,
        /// The greatest value that is accepted.
        most: u64,
    },
    /// A setting's text or address cannot be used.
    Unusable {
        /// The setting's name as in `pfplane_config`.
        name: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Memory could not be had.
    OutOfMemory {
        /// What the memory was for.
        what: &'static str,
        /// How many bytes were asked for.
        bytes: usize,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting { name, value, least, most } => {
                write!(f, "{name} is {value}, it must be from {least} to {most}")
            }
            Self::Unusable { name, why } => write!(f, "{name}: {why}"),
            Self::OutOfMemory { what, bytes } => write!(f, "no memory for {what}: {bytes} bytes"),
        }
    }
}

impl std::error::Error for Error {}
