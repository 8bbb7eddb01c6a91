//! Options of a trailer.

use crate::record::Identity;

const OPTION_HEADER_BYTES: usize = 4;
const IDENTITY_BYTES: usize = 12;

/// Kinds of options.
pub mod option_kind {
    /// The sender's epoch, challenge and keys.
    pub const HELLO: u8 = 1;
    /// The answer to a challenge.
    pub const ECHO: u8 = 2;
    /// How far a stream was received; see [`StreamOption`](crate::StreamOption).
    pub const TOOK: u8 = 3;
    /// Frames of a stream that did not arrive; see [`StreamOption`](crate::StreamOption).
    pub const LOST: u8 = 4;
    /// The contents of lost frames were sent again; see [`StreamOption`](crate::StreamOption).
    pub const MENDED: u8 = 5;
    /// The sum of the states sent in a stream; see [`StreamOption`](crate::StreamOption), as for those below.
    pub const ROOT: u8 = 6;
    /// A request for a sketch of these states.
    pub const SKETCH: u8 = 7;
    /// A part of the sketch.
    pub const CELLS: u8 = 8;
    /// A request for states by their elements.
    pub const WANT: u8 = 10;
    /// A state that the receiver cannot hold.
    pub const REFUSED: u8 = 11;
    /// The hello of an election group.
    pub const ELECTION: u8 = 12;
    /// A question whether the sender of a stream still has a state.
    pub const DOUBT: u8 = 13;
    /// The answer that it has not.
    pub const GONE: u8 = 14;
    /// The host's own bytes of a state; see [`StateOption`](super::StateOption).
    pub const STATE_OPAQUE: u8 = 16;
    /// Fields of a state that the frame's profile does not have; see [`StateOption`](super::StateOption).
    pub const STATE_FIELDS: u8 = 17;

    /// Returns the name of a kind; `None` for an unknown one.
    #[must_use]
    pub const fn name(kind: u8) -> Option<&'static str> {
        Some(match kind {
            HELLO => "HELLO",
            ECHO => "ECHO",
            TOOK => "TOOK",
            LOST => "LOST",
            MENDED => "MENDED",
            ROOT => "ROOT",
            SKETCH => "SKETCH",
            CELLS => "CELLS",
            WANT => "WANT",
            REFUSED => "REFUSED",
            ELECTION => "ELECTION",
            DOUBT => "DOUBT",
            GONE => "GONE",
            STATE_OPAQUE => "STATE_OPAQUE",
            STATE_FIELDS => "STATE_FIELDS",
            _ => return None,
        })
    }
}

/// An option of a trailer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrailerOption<'a> {
    /// See [`option_kind`]. Receivers skip unknown kinds.
    pub kind: u8,
    /// The value.
    pub value: &'a [u8],
}

impl<'a> TrailerOption<'a> {
    /// Returns the option as one about a state; `None` if it is of another kind or too short for an identity.
    #[must_use]
    pub fn state(&self) -> Option<StateOption<'a>> {
        if !matches!(self.kind, option_kind::STATE_OPAQUE | option_kind::STATE_FIELDS) {
            return None;
        }
        let (id, rest) = self.value.split_first_chunk::<8>()?;
        let (creator, value) = rest.split_first_chunk::<4>()?;
        let id = Identity { id: u64::from_be_bytes(*id), creator: u32::from_be_bytes(*creator) };
        Some(StateOption { kind: self.kind, id, value })
    }
}

/// Something about one state: an option whose value begins with the state's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateOption<'a> {
    /// [`option_kind::STATE_OPAQUE`] or [`option_kind::STATE_FIELDS`].
    pub kind: u8,
    /// The state.
    pub id: Identity,
    /// What follows the identity.
    pub value: &'a [u8],
}

impl StateOption<'_> {
    /// Returns the bytes of an option about a state with a value of this length.
    #[must_use]
    pub const fn bytes(value: usize) -> usize {
        option_bytes(IDENTITY_BYTES + value)
    }
}

/// An option that does not fit into the trailer. What follows is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadOption;

/// Returns the bytes of an option with a value of this length.
#[must_use]
pub const fn option_bytes(value: usize) -> usize {
    OPTION_HEADER_BYTES + value.next_multiple_of(4)
}

/// The options of a trailer.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    bytes: &'a [u8],
}

impl<'a> Options<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    fn read(&mut self) -> Option<TrailerOption<'a>> {
        let (&[kind, _, high, low], rest) = self.bytes.split_first_chunk::<OPTION_HEADER_BYTES>()?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        let value = rest.get(..length)?;
        self.bytes = rest.get(length.next_multiple_of(4)..)?;
        Some(TrailerOption { kind, value })
    }
}

impl<'a> Iterator for Options<'a> {
    type Item = Result<TrailerOption<'a>, BadOption>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.bytes.is_empty() {
            return None;
        }
        let option = self.read();
        if option.is_none() {
            self.bytes = &[];
        }
        Some(option.ok_or(BadOption))
    }
}

/// Returns what begins the value of an option about a state.
pub(crate) fn option_header(id: Identity) -> [u8; IDENTITY_BYTES] {
    let mut bytes = [0; IDENTITY_BYTES];
    bytes[..8].copy_from_slice(&id.id.to_be_bytes());
    bytes[8..].copy_from_slice(&id.creator.to_be_bytes());
    bytes
}

/// Writes an option with a value of two parts into exactly [`option_bytes`] of both.
pub(crate) fn write_option(kind: u8, parts: [&[u8]; 2], bytes: &mut [u8]) {
    let length = (parts[0].len() + parts[1].len()) as u16;
    let [high, low] = length.to_be_bytes();
    let (header, value) = bytes.split_at_mut(OPTION_HEADER_BYTES);
    header.copy_from_slice(&[kind, 0, high, low]);
    let (first, rest) = value.split_at_mut(parts[0].len());
    first.copy_from_slice(parts[0]);
    let (second, padding) = rest.split_at_mut(parts[1].len());
    second.copy_from_slice(parts[1]);
    padding.fill(0);
}
