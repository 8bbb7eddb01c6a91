//! TCP tracking: scripted connections, a plain oracle, two hosts on a lossy network, and takeovers.

mod connection;
mod histories;
mod pf_oracle;
mod recipes;
mod silent_link;
mod takeover;
mod two_hosts;
