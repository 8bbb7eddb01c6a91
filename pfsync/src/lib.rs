//! pfsync bytes to messages and back, for every dialect that is spoken today.
//!
//! ```text
//! IP header | pfsync header (20) | subheader (4) record record ... | subheader (4) record ... | [version 5: EOF]
//!             `------------------------------ FrameWriter, FrameReader -----------------------------------' trailer
//! ```
//!
//! A frame is read region by region, in the order of the wire: [`FrameReader`] checks a region's length once, after
//! which no field of its records can fail; [`FullState::validate`] says whether a record that came from outside may be
//! used. [`FrameWriter`] fills a slice up to its end and not a byte further. [`envelope`] and [`link`] are the IP and
//! Ethernet headers around it, [`convert()`] carries a state from one dialect to another and says what was lost.
//!
//! Promises: nothing here allocates, panics on foreign bytes, reads past the slice that it was given, or loops longer
//! than the slice. Every reject has a name. Not done here: authentication (pfsync has none; see
//! [`WriterOptions::trailer`]) and anything that needs a table or a clock.
//!
//! This room imports `core` and `zerocopy` only.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod envelope;
pub mod legacy;
pub mod link;

mod convert;
mod frame_error;
mod frame_reader;
mod frame_writer;
mod freebsd;
mod key;
mod layout;
mod message;
mod openbsd;
mod peer;
mod profile;
mod record;
mod record_writer;
mod region;
mod state;
mod validate;

pub use convert::{Conversion, Field, FieldSet, convert};
pub use frame_error::{FrameError, RegionError};
pub use frame_reader::FrameReader;
pub use frame_writer::{FrameWriter, Full, WriterError, WriterOptions};
pub use key::{Family, StateKey};
pub use message::{BulkStatus, Clear, CompressedUpdate, Identity, Tdb, bulk_status};
pub use peer::{Scrub, StatePeer};
pub use profile::{Action, Profile, Version};
pub use record::{Record, Records};
pub use region::Region;
pub use state::{FullState, route};
pub use validate::{Invalid, name_of};

/// Bytes of the pfsync header, which every frame begins with.
pub const HEADER_BYTES: usize = size_of::<layout::Header>();
/// Bytes of the subheader that begins every region.
pub const SUBHEADER_BYTES: usize = size_of::<layout::Subheader>();
/// The IP protocol number of pfsync.
pub const PROTOCOL: u8 = 240;
/// The flag in `state_flags` that allows IP options.
pub const FLAG_ALLOWOPTS: u16 = 0x0001;
/// The flag in `state_flags` that asks for an acknowledgement of an insert.
pub const FLAG_ACK: u16 = 0x0010;
