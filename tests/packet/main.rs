//! Parsing, checksums and translation of packets, through the public interface and against `etherparse` and DPDK.

mod etherparse_oracle;
mod frames;
#[path = "../nat_world/packet.rs"]
mod packet;
mod parse;
#[path = "../pcap/mod.rs"]
mod pcap;
mod rte_net;
mod translation;
