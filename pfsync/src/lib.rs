#![doc = include_str!("../README.md")]
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod envelope;
pub mod link;

mod action;
mod convert;
mod display;
mod error;
mod field;
mod layout;
mod numbers;
mod profile;
mod reader;
mod record;
mod trailer;
mod validate;
mod writer;

pub use action::Action;
pub use convert::{Conversion, IcmpPorts, convert};
pub use display::Hosts;
pub use error::{FrameError, Full, RegionError, WriterError};
pub use field::{Field, FieldSet};
pub use layout::stack_protocol;
pub use numbers::{bulk_status, ip_protocol, peer_state, route, state_flags, timeout};
pub use profile::{Profile, Version};
pub use reader::{FrameReader, Records, Region};
pub use record::{
    BulkStatus, Clear, CompressedUpdate, Family, FullState, Identity, Record, Scrub, StateKey, StatePeer, Tdb,
};
pub use trailer::{
    BadOption, CellRun, Elements, FrameRange, Options, Protection, SketchCell, StateOption, StreamName,
    StreamOption, TAG_BYTES, TRAILER_BYTES, TakenFrames, Trailer, TrailerError, TrailerFields, TrailerOption,
    element_of, hide_body, option_bytes, option_kind, reveal_body, trailer_flags,
};
pub use validate::{Invalid, name_bytes};
pub use writer::{FrameWriter, WriterOptions};

/// Length of the pfsync header that begins every frame.
pub const HEADER_BYTES: usize = size_of::<layout::Header>();
/// Length of the subheader that begins every region.
pub const SUBHEADER_BYTES: usize = size_of::<layout::Subheader>();
