//! Parsing, checksums and translation of packets, through the public interface and against `etherparse` and DPDK.

#[path = "../captures/mod.rs"]
mod captures;
mod common;
mod etherparse_oracle;
mod frames;
mod nat64;
mod other_protocols;
#[path = "../nat_world/packet.rs"]
mod packet;
mod parse;
mod properties;
mod rte_net;
mod translation;
