//! The demonstration: two firewalls, one is killed, every connection lives.
fn main() {}
