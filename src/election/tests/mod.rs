//! Tests of the rules: a network of nodes in virtual time, rows for the rules of the protocols, and seeds for the invariants.

mod adverts;
mod invariants;
mod network;
mod rules;
