//! Shows pfsync frames: what `pfplane-dump` is made of.
//!
//! ```text
//! capture file -> capture -> link -> walk -> an Output: lines, verbose, json, stats
//! interface    -> live ----'            `-- filter
//! ```
//!
//! Everything that is read may be hostile: no bytes crash, and names are shown with their control bytes escaped.

pub mod capture;
pub mod filter;
pub mod json;
pub mod legacy;
pub mod lines;
pub mod link;
pub mod live;
pub mod options;
pub mod stats;
pub mod verbose;
pub mod walk;
pub mod words;
