//! Counters (L0): one list gives the field, the name and the help.
//!
//! `counters!` declares a struct of plain `u64` counters whose owner alone writes them.
//! [`Board`] is what other threads read: the owner copies its counters there in housekeeping, so that the packet
//! path has no atomic operation.

mod board;

pub use board::Board;

use core::ffi::CStr;

/// Whether a value only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Only grows, until the engine is freed.
    Counter = 1,
    /// Goes up and down.
    Gauge = 2,
    /// Goes up and down; of several lanes the greatest counts, not the sum.
    Maximum = 3,
}

impl Kind {
    /// Two lanes' values as one.
    #[must_use]
    pub const fn combine(self, a: u64, b: u64) -> u64 {
        match self {
            Self::Maximum if a > b => a,
            Self::Maximum => b,
            Self::Counter | Self::Gauge => a.wrapping_add(b),
        }
    }
}

/// Name, help and kind of one value. The texts are NUL-terminated so that they can cross the C door as they are.
#[derive(Clone, Copy, Debug)]
pub struct Descriptor {
    /// Lower case, words joined by `_`.
    pub name: &'static CStr,
    /// One sentence.
    pub help: &'static CStr,
    /// Counter or gauge.
    pub kind: Kind,
}

impl Descriptor {
    /// For `counters!`: both texts end in NUL, checked at compile time.
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
/// The struct gets `LIST` (the descriptors, in order) and `values()` (the values, in the same order).
macro_rules! counters {
    (
        $(#[$outer:meta])*
        $visibility:vis struct $name:ident {
            $( #[doc = $help:literal] $field:ident: $kind:ident, )*
        }
    ) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        $visibility struct $name {
            $( #[doc = $help] pub $field: u64, )*
        }

        impl $name {
            /// Name, help and kind of every value, in the order of the fields.
            pub const LIST: &'static [$crate::stats::Descriptor] = &[
                $( $crate::stats::Descriptor::new(
                    concat!(stringify!($field), "\0"),
                    concat!($help, "\0"),
                    $crate::stats::Kind::$kind,
                ), )*
            ];

            /// The values, in the order of [`Self::LIST`].
            #[must_use]
            pub const fn values(&self) -> [u64; Self::LIST.len()] {
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
            /// Frames that came in.
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
        assert_eq!(Sample::LIST[0].help, c"Frames that came in.");
        assert_eq!(Sample::LIST[1].kind, Kind::Gauge);
    }

    #[test]
    fn lanes_add_up_but_for_the_greatest_of_them() {
        let joined = [Kind::Counter, Kind::Gauge, Kind::Maximum].map(|kind| kind.combine(3, 5));
        assert_eq!(joined, [8, 8, 5]);
        assert_eq!(Kind::Maximum.combine(5, 3), 5);
    }
}
