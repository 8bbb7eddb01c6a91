//! Lanes as a Rust host sees them: bursts, verdicts, limits, translation, and the rings between lanes.

mod adaptive;
mod asymmetric;
#[path = "../captures/mod.rs"]
mod captures;
mod connections;
mod fields;
mod frames;
mod icmp;
mod lanes;
mod limits;
mod nat;
mod nat_collision;
mod nat_takeover;
#[path = "../nat_world/mod.rs"]
mod nat_world;
mod node;
mod pace;
mod packet_policy;
mod rdomain;
mod ring_model;
mod several_lanes;
mod steering;
mod verdicts;
