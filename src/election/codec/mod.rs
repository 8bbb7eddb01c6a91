//! The bytes of adverts, of their Ethernet and IP headers, of hellos between pfplane nodes, and of ARP and neighbour
//! discovery.

pub mod carp;
pub mod frame;
pub mod hello;
pub mod neighbour;
pub mod vrrp;
