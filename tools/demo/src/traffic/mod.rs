//! The traffic: one client and one server, each a single thread with one epoll, started in their namespaces.
//!
//! ```text
//!   client                                            server
//!   N TCP connections  ── records, each byte known ──▶  checks every byte
//!   checks every byte  ◀── records, each byte known ──
//!   U UDP flows        ── numbered datagrams ────────▶  sends them back
//!   2 pings            ── numbered echo requests ────▶  (its kernel answers)
//! ```
//!
//! Both obey one-word orders on standard input (`open`, `mark`, `stop`), say how far they are on standard output,
//! one JSON line each quarter second, and leave a report file when they stop.

pub mod activity;
pub mod client;
pub mod connection;
pub mod keystream;
pub mod orders;
pub mod plan;
pub mod poller;
pub mod probe;
pub mod report;
pub mod server;
