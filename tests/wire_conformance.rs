//! The conformance list of the protocol reference, section 9, as far as it is about framing and encoding: one test
//! an item, by its number. Item 1 to 14 are transport and framing, 15 to 25 encoding, 26 to 28 validation.

mod states;
mod wire_items;
