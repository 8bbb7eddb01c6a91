//! The demonstration's parts: the network, the two firewalls, the traffic and the story. What makes a network of its own
//! and kills firewalls in it (`tools/real-tcp`), or sends frames itself (`benches/link.rs`), takes the parts from here.

pub mod arguments;
pub mod capture;
pub mod clock;
pub mod command;
pub mod control;
pub mod exposure;
pub mod failure;
pub mod fates;
pub mod firewall;
pub mod mode;
pub mod namespaces;
pub mod packet_socket;
pub mod report;
pub mod requirements;
pub mod run;
pub mod screen;
pub mod series;
pub mod stage;
pub mod sweeper;
pub mod takeover;
pub mod timeline;
pub mod traffic;
pub mod traffic_end;
pub mod translation;
pub mod verdict;
