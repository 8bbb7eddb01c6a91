//! Headers to key and facts (L0): what a packet says of itself, without any table.

mod facts;
mod key;

pub use facts::{Facts, Kind, TcpFacts, tcp_flags};
pub use key::{Be16, Direction, Family, Key};
