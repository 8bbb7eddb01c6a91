//! The traffic: a client and a server, each one thread with one epoll instance in its namespace.
//!
//! ```text
//!   client                                            server
//!   N TCP connections  ── records, every byte known ─▶  checks every byte
//!   checks every byte  ◀─ records, every byte known ──
//!   U UDP flows        ── numbered datagrams ────────▶  sends them back
//!   2 pings            ── numbered echo requests ────▶  (its kernel answers)
//! ```
//!
//! Both execute the run's commands (open, mark, stop), publish their progress every quarter second and return a report.

pub mod activity;
pub mod client;
pub mod connection;
pub mod handle;
pub mod keystream;
pub mod plan;
pub mod poller;
pub mod probe;
pub mod report;
pub mod server;
pub mod sockets;
