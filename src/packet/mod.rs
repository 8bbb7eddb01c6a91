//! Headers to key and facts (L0): what a packet says of itself, without any table.

mod key;

pub use key::{Be16, Direction, Family, Key};
