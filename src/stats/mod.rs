//! Statistics: one list declares each counter's field, name and help.
//!
//! `counters!` declares a struct of plain `u64` counters with a single owner. In housekeeping the owner copies them to a
//! [`Board`], which other threads read, so the packet path has no atomic operations.

mod board;

pub use board::Board;

use core::ffi::CStr;

/// The kind of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Only increases.
    Counter = 1,
    /// Increases and decreases.
    Gauge = 2,
    /// A gauge of which several lanes report the maximum, not the sum.
    Maximum = 3,
}

impl Kind {
    /// Combines the values of two lanes.
    #[must_use]
    pub const fn combine(self, a: u64, b: u64) -> u64 {
        match self {
            Self::Maximum if a > b => a,
            Self::Maximum => b,
            Self::Counter | Self::Gauge => a.wrapping_add(b),
        }
    }
}

/// Name, help and kind of one value. The texts are NUL-terminated for the C API.
#[derive(Clone, Copy, Debug)]
pub struct Descriptor {
    /// The name, in snake case.
    pub name: &'static CStr,
    /// The help text, one sentence.
    pub help: &'static CStr,
    /// The kind.
    pub kind: Kind,
}

impl Descriptor {
    /// Used by `counters!`. Checks at compile time that both texts end in NUL.
    #[must_use]
    pub const fn new(name: &'static str, help: &'static str, kind: Kind) -> Self {
        let (Ok(name), Ok(help)) = (
            CStr::from_bytes_with_nul(name.as_bytes()),
            CStr::from_bytes_with_nul(help.as_bytes().trim_ascii_start()),
        ) else {
            panic!("a NUL inside a counter's name or help");
        };
        Self { name, help, kind }
    }
}

/// Declares a struct of `u64` values; a field's doc comment (one line) is its help text.
///
/// Generates `LIST`, the descriptors, and `values()`, the values in the same order.
macro_rules! counters {
    (
        $(#[$outer:meta])*
        $visibility:vis struct $name:ident {
            $( #[doc = $help:literal] $field:ident: $kind:ident, )*
        }
    ) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, zerocopy::FromZeros)]
        $visibility struct $name {
            $( #[doc = $help] $visibility $field: u64, )*
        }

        impl $name {
            /// The descriptors, in the order of the fields.
            $visibility const LIST: &'static [$crate::stats::Descriptor] = &[
                $( $crate::stats::Descriptor::new(
                    concat!(stringify!($field), "\0"),
                    concat!($help, "\0"),
                    $crate::stats::Kind::$kind,
                ), )*
            ];

            /// Returns the values, in the order of [`Self::LIST`].
            #[must_use]
            $visibility const fn values(&self) -> [u64; Self::LIST.len()] {
                [ $( self.$field, )* ]
            }
        }
    };
}
pub(crate) use counters;

#[cfg(test)]
mod tests {
    use super::*;

    counters! {
        /// For the test.
        struct Sample {
            /// Frames received.
            frames: Counter,
            /// Entries now.
            entries: Gauge,
            /// Age of the oldest.
            oldest: Maximum,
        }
    }

    #[test]
    fn the_list_and_the_values_are_in_the_order_of_the_fields() {
        let sample = Sample { frames: 3, entries: 9, oldest: 5 };
        assert_eq!(sample.values(), [3, 9, 5]);
        assert_eq!(Sample::LIST[0].name, c"frames");
        assert_eq!(Sample::LIST[0].help, c"Frames received.");
        assert_eq!(Sample::LIST[1].kind, Kind::Gauge);
    }

    #[test]
    fn lanes_add_up_except_for_maxima() {
        let joined = [Kind::Counter, Kind::Gauge, Kind::Maximum].map(|kind| kind.combine(3, 5));
        assert_eq!(joined, [8, 8, 5]);
        assert_eq!(Kind::Maximum.combine(5, 3), 5);
    }
}
