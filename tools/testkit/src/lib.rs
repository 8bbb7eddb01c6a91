//! What the tests, the simulator, the fuzz targets and the benches of pfplane share.
//!
//! * [`random`]: the one seeded generator, so that a printed seed repeats a run anywhere.
//! * [`packet`]: builds TCP, UDP, ICMP and ICMPv6 packets with correct checksums.

pub mod packet;
pub mod random;

pub use packet::Packet;
pub use random::Random;
