//! The bytes of adverts, of their Ethernet and IP headers, of hellos between pfplane nodes, and of ARP and neighbour
//! discovery.

pub(super) mod carp;
pub(super) mod frame;
pub(super) mod hello;
pub(super) mod neighbour;
pub(super) mod vrrp;
