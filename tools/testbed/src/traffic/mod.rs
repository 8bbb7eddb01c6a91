//! The traffic: a client and a server, each one thread with one epoll instance, in their own processes and namespaces.
//!
//! ```text
//!   client                                            server
//!   N TCP connections  ── records, every byte known ─▶  checks every byte
//!   checks every byte  ◀─ records, every byte known ──
//!   U UDP flows        ── numbered datagrams ────────▶  sends them back
//!   2 pings            ── numbered echo requests ────▶  (its kernel answers)
//! ```
//!
//! Both read commands on standard input (`open`, `mark`, `stop`), write progress to standard output, one JSON line every
//! quarter second, and write a report file when they stop.

pub mod activity;
pub mod client;
pub mod commands;
pub mod connection;
pub mod keystream;
pub mod plan;
pub mod poller;
pub mod probe;
pub mod report;
pub mod server;
pub mod sockets;
