//! Packets of translated connections, built by the crate `etherparse`.
#![allow(dead_code, reason = "each test uses its part")]

pub(crate) mod packet;

use packet::{Carried, Packet};

/// Returns an address as keys hold it.
pub(crate) fn address(v6: bool, network: u8, host: u8) -> [u8; 16] {
    let mut address = [0; 16];
    if v6 {
        address[..2].copy_from_slice(&[0xfd, network]);
        address[15] = host;
    } else {
        address[..4].copy_from_slice(&[10, network, 0, host]);
    }
    address
}

/// Builds a packet without sequence numbers.
pub(crate) fn plain(carried: Carried, v6: bool, addresses: [[u8; 16]; 2], ports: [u16; 2]) -> Packet {
    Packet { v6, addresses, ports, carried, payload: vec![0xab; 21] }
}
