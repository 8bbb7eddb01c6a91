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
    /// An address in a setting is unusable.
    Address {
        /// The setting's name as in `pfplane_config`.
        name: &'static str,
        /// The address that was given.
        address: core::net::IpAddr,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An element of an array of settings is unusable.
    Element {
        /// The array's name.
        array: &'static str,
        /// The element's index.
        index: usize,
        /// The setting's name in the element.
        name: &'static str,
        /// What is wrong with it.
        problem: Problem,
    },
    /// An allocation failed.
    OutOfMemory {
        /// What the memory was for.
        what: &'static str,
        /// The size of the allocation.
        bytes: usize,
    },
}

/// What is wrong with a setting of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It is out of its range: the value, the smallest and the largest one accepted.
    Range(u64, u64, u64),
    /// This address is unusable, for this reason.
    Address(core::net::IpAddr, &'static str),
    /// Another reason.
    Reason(&'static str),
}

impl Error {
    /// Returns the error of a setting of the `array`'s element number `index`.
    pub(crate) fn in_element(self, array: &'static str, index: usize) -> Self {
        let (name, problem) = match self {
            Self::Setting { name, value, min, max } => (name, Problem::Range(value, min, max)),
            Self::Address { name, address, reason } => (name, Problem::Address(address, reason)),
            Self::Invalid { name, reason } => (name, Problem::Reason(reason)),
            Self::Element { .. } | Self::OutOfMemory { .. } => return self,
        };
        Self::Element { array, index, name, problem }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range(value, min, max) => write!(f, " is {value}, it must be from {min} to {max}"),
            Self::Address(address, reason) => write!(f, ": {address} {reason}"),
            Self::Reason(reason) => write!(f, ": {reason}"),
        }
    }
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
            Self::Address { name, address, reason } => write!(f, "{name}: {address} {reason}"),
            Self::Element { array, index, name, problem } => write!(f, "{array}[{index}]: {name}{problem}"),
            Self::OutOfMemory { what, bytes } => write!(f, "cannot allocate {bytes} bytes for {what}"),
        }
    }
}

impl std::error::Error for Error {}
