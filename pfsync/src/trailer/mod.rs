//! The trailer that pfplane nodes put behind a frame, where both kernels ignore it: numbers, options, an authentication tag.
//!
//! ```text
//!  0  magic d5 70 66 73        8  epoch (8)       28  bytes of options (2)
//!  4  format (1) * 16         16  sequence (8)    30  flags (2)
//!     + protection            24  clock (4)       32  options, then a tag of 16 bytes if the frame is protected
//!  5  key  6  flow  7  lane
//! option:  kind | 0 | bytes of the value (2) | value, padded with zeros to 4 bytes
//! ```
//!
//! Numbers are big endian. The trailer ends where the IP payload ends. This crate has no keys: it reads and writes the fields,
//! and leaves space for the tag.
//!
//! An encrypted frame is an empty one to stock systems: its records lie behind the trailer's fields, before the options
//! ([`hide_body`]).

mod body;
mod list;
mod option;
mod sketch;
mod stream;

use core::error::Error;
use core::fmt;

pub use body::{hide_body, reveal_body};
pub use list::{Elements, element_of};
pub use option::{BadOption, Options, StateOption, TrailerOption, option_bytes, option_kind};
pub(crate) use option::{option_header, write_option};
pub use sketch::{CellRun, SketchCell};
pub use stream::{FrameRange, StreamName, StreamOption, TakenFrames};

/// Length of a trailer without options and tag.
pub const TRAILER_BYTES: usize = 32;
/// Length of the tag of a protected frame.
pub const TAG_BYTES: usize = 16;

const MAGIC: [u8; 4] = [0xd5, b'p', b'f', b's'];
const FORMAT: u8 = 1;

/// Flags of a trailer.
pub mod trailer_flags {
    /// The receiver is to report at once what it has received.
    pub const REPORT: u16 = 1;
    /// The sender accepts encrypted frames only.
    pub const ENCRYPT: u16 = 2;
}

/// How a frame is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Protection {
    /// Not at all.
    #[default]
    None = 0,
    /// Authenticated with AES-256-GMAC.
    Gmac = 1,
    /// Authenticated and encrypted with AES-256-GCM.
    Gcm = 2,
}

impl Protection {
    /// Returns the length of the tag.
    #[must_use]
    pub const fn tag_bytes(self) -> usize {
        match self {
            Self::None => 0,
            Self::Gmac | Self::Gcm => TAG_BYTES,
        }
    }

    const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::None),
            1 => Some(Self::Gmac),
            2 => Some(Self::Gcm),
            _ => None,
        }
    }
}

/// The fields of a trailer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TrailerFields {
    /// How the frame is protected.
    pub protection: Protection,
    /// Number of the key.
    pub key: u8,
    /// The sender's number of the receiver.
    pub flow: u8,
    /// The sender's lane. Epoch, flow and lane name a stream of frames.
    pub lane: u8,
    /// First half of a random number that the sender draws when it starts.
    pub epoch: u64,
    /// Number of the frame in its stream, from 1 on; 0 for a frame without a number.
    pub sequence: u64,
    /// The sender's clock in microseconds, low 32 bits.
    pub clock: u32,
    /// See [`trailer_flags`].
    pub flags: u16,
}

/// Why a trailer is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TrailerError {
    /// It ends within its fields.
    Short,
    /// Another format, or an unknown protection.
    Format,
    /// It does not end where the IP payload ends.
    Length,
}

impl TrailerError {
    /// All errors.
    pub const ALL: [Self; 3] = [Self::Short, Self::Format, Self::Length];

    /// Returns a name for counters and output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Short => "trailer_short",
            Self::Format => "trailer_format",
            Self::Length => "trailer_length",
        }
    }
}

impl fmt::Display for TrailerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Short => "the trailer ends within its fields",
            Self::Format => "unknown format of the trailer",
            Self::Length => "the trailer does not end with the packet",
        })
    }
}

impl Error for TrailerError {}

/// A trailer that was read.
///
/// ```
/// use pfsync::{FrameReader, FrameWriter, Profile, TrailerFields, TrailerOption, WriterOptions, option_kind};
///
/// let mut payload = [0; 1480];
/// let mut writer = FrameWriter::new(&mut payload, Profile::FreeBsd1400, &WriterOptions::default())?;
/// writer.push_option(&TrailerOption { kind: option_kind::ELECTION, value: b"hello" })?;
/// let length = writer.finish_with(&TrailerFields { lane: 3, sequence: 17, ..TrailerFields::default() });
///
/// let reader = FrameReader::new(&payload[..length])?;
/// let trailer = reader.trailer()?.expect("a trailer");
/// assert_eq!((trailer.fields().lane, trailer.fields().sequence), (3, 17));
/// assert_eq!(trailer.options().next(), Some(Ok(TrailerOption { kind: option_kind::ELECTION, value: b"hello" })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer<'a> {
    fields: TrailerFields,
    options: &'a [u8],
    encrypted: &'a [u8],
    tag: &'a [u8],
}

impl<'a> Trailer<'a> {
    /// Reads the bytes behind a frame. `Ok(None)` if they are none of ours: they do not start with the magic.
    ///
    /// # Errors
    /// The first failing check, in the order of [`TrailerError`].
    pub fn parse(bytes: &'a [u8]) -> Result<Option<Self>, TrailerError> {
        if !bytes.starts_with(&MAGIC) {
            return Ok(None);
        }
        let (header, rest) = bytes.split_first_chunk::<TRAILER_BYTES>().ok_or(TrailerError::Short)?;
        let &[_, _, _, _, kind, key, flow, lane, _, _, _, _, _, _, _, _, ..] = header;
        let protection = Protection::from_number(kind & 0x0f).filter(|_| kind >> 4 == FORMAT);
        let protection = protection.ok_or(TrailerError::Format)?;
        let options = usize::from(u16::from_be_bytes([header[28], header[29]]));
        let is_encrypted = protection == Protection::Gcm;
        let (body, tag) = rest
            .split_at_checked(rest.len().wrapping_sub(protection.tag_bytes()))
            .ok_or(TrailerError::Length)?;
        if body.len() < options || body.len() > options && !is_encrypted {
            return Err(TrailerError::Length);
        }
        let (encrypted, options) = if is_encrypted { (body, &body[..0]) } else { (&body[..0], body) };
        let long = |at: usize| u64::from_be_bytes(core::array::from_fn(|n| header[at + n]));
        let fields = TrailerFields {
            protection,
            key,
            flow,
            lane,
            epoch: long(8),
            sequence: long(16),
            clock: u32::from_be_bytes(core::array::from_fn(|n| header[24 + n])),
            flags: u16::from_be_bytes([header[30], header[31]]),
        };
        Ok(Some(Self { fields, options, encrypted, tag }))
    }

    /// Returns the fields.
    #[must_use]
    pub const fn fields(&self) -> &TrailerFields {
        &self.fields
    }

    /// Returns the options; none if the frame is encrypted.
    #[must_use]
    pub const fn options(&self) -> Options<'a> {
        Options::new(self.options)
    }

    /// Returns the records and options of an encrypted frame.
    #[must_use]
    pub const fn encrypted_bytes(&self) -> &'a [u8] {
        self.encrypted
    }

    /// Returns the tag, which is empty if the frame is not protected. It covers the addresses of the IP header and everything
    /// up to itself.
    #[must_use]
    pub const fn tag(&self) -> &'a [u8] {
        self.tag
    }

    /// Returns the trailer's length.
    #[must_use]
    pub const fn length(&self) -> usize {
        TRAILER_BYTES + self.options.len() + self.encrypted.len() + self.tag.len()
    }
}

/// Writes the fields before `options` bytes of options.
pub(crate) fn write_fields(fields: &TrailerFields, options: usize, bytes: &mut [u8; TRAILER_BYTES]) {
    let TrailerFields { protection, key, flow, lane, epoch, sequence, clock, flags } = *fields;
    bytes[..4].copy_from_slice(&MAGIC);
    bytes[4..8].copy_from_slice(&[FORMAT << 4 | protection as u8, key, flow, lane]);
    bytes[8..16].copy_from_slice(&epoch.to_be_bytes());
    bytes[16..24].copy_from_slice(&sequence.to_be_bytes());
    bytes[24..28].copy_from_slice(&clock.to_be_bytes());
    bytes[28..30].copy_from_slice(&(options as u16).to_be_bytes());
    bytes[30..].copy_from_slice(&flags.to_be_bytes());
}

#[cfg(test)]
mod tests;
