//! Prints pfsync frames: the parts of `pfplane-dump`.
//!
//! ```text
//! capture file -> capture --> link -> decoder -> an Output of styles: Lines, Verbose, Json, Stats
//! interface    -> live ----'            |- filter
//!                                       `- seal: keys of sealed frames
//! ```
//!
//! No input makes it panic, and control bytes in names are escaped.

pub mod capture;
pub mod decoder;
pub mod filter;
pub mod legacy;
pub mod link;
pub mod live;
pub mod options;
pub mod pf_text;
pub mod report;
pub mod seal;
pub mod styles;
