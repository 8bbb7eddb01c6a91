//! TCP tracking: scripted connections, a plain oracle, two hosts on a lossy network, takeovers, and answers to drops.

mod connection;
mod histories;
mod pf_oracle;
mod recipes;
mod takeover;
mod two_hosts;
