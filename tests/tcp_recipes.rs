//! TCP tracking by recipes: scripted connections, one line a packet, and every row of the tables reached.

#[path = "support/connection.rs"]
mod connection;
mod recipes;
