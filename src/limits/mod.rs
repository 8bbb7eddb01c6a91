//! Limits per source, and the counters behind them. A source is the address that sent a connection's first packet.
//!
//! The counters are the one thing that lanes share, since one source's connections are spread over all lanes. They are
//! used when a state is created, when its connection is established and when it ends, and only where a limit is
//! configured. Other packets never touch them.
//!
//! There is no lock: a counter's key and value are one atomic word. A value is the number of states that hold the
//! counter, and each state stores its counters' indices, so no way of ending a state can leak a count. When lanes
//! compete, a limit may briefly refuse one state too many but does not admit one too many, with one exception: two lanes
//! that meet a new source at the same instant may count it separately until one of the states ends.

mod counters;
mod rate;
mod sources;
#[cfg(test)]
mod tests;

pub use sources::{Source, SourcePlan, SourceRefusal, Sources};
