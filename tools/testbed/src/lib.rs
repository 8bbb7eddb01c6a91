//! A network of two firewalls on one machine: namespaces and links, the firewall processes and checked traffic.
//!
//! The demonstration, `real-tcp` and the bench `link` are built on this crate. It runs on Linux and needs root.

pub mod capture;
pub mod clock;
pub mod command;
pub mod entry;
pub mod failure;
pub mod firewall;
pub mod network;
pub mod options;
pub mod requirements;
pub mod router;
pub mod screen;
pub mod stalls;
pub mod traffic;
