//! The two ends of the connections: threads in the namespaces of client and server, and the scripts they follow.

pub(crate) mod client;
pub(crate) mod endpoint;
mod event_loop;
pub(crate) mod script;
pub(crate) mod server;
