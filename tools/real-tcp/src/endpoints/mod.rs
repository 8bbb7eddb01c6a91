//! The two ends of the connections: threads in the namespaces of client and server, and the scripts they follow.

pub mod client;
pub mod endpoint;
mod event_loop;
pub mod script;
pub mod server;
