//! What the tests, the simulator, the fuzz targets and the benches of pfplane share.
//!
//! * [`random`]: the one seeded generator, so that a printed seed repeats a run anywhere.
//! * [`packet`]: builds TCP, UDP, ICMP and ICMPv6 packets with correct checksums.
//! * [`flow`]: a connection as its two ends see it.
//! * [`wire`]: a wire in virtual time that loses, duplicates, delays and reorders.
//! * [`pace`], with the feature `engine`: how often updates are sent, and what a takeover by pf would lose.
//! * [`node`] and [`naive_table`], with the feature `engine`: an engine with its lanes, and the oracle of its verdicts.

pub mod flow;
#[cfg(feature = "engine")]
pub mod naive_table;
#[cfg(feature = "engine")]
pub mod node;
#[cfg(feature = "engine")]
pub mod pace;
pub mod packet;
pub mod random;
pub mod wire;

pub use flow::Flow;
#[cfg(feature = "engine")]
pub use naive_table::NaiveTable;
#[cfg(feature = "engine")]
pub use node::Node;
pub use packet::Packet;
pub use random::Random;
pub use wire::Wire;
