//! Why a frame is refused.

/// Why a frame of a sealed peer is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// It has no seal, and the peer's frames must have one.
    Unsealed,
    /// It has no seal, but frames of this peer had one within the last hour.
    Stripped,
    /// It is sealed in a way that is unknown here.
    Format,
    /// It is sealed with an unknown key.
    Key,
    /// It is not encrypted, and the peer's frames must be.
    Unencrypted,
    /// The tag is wrong: the frame was forged or changed.
    Tag,
    /// Its number is not above those of its stream: a copy, or a late frame.
    Replayed,
    /// Nothing proves that it is recent.
    Unproven,
    /// This node has sent it.
    Looped,
    /// Another node with our host id has sent it.
    DuplicateId,
}

impl Refusal {
    /// All refusals.
    pub const ALL: [Self; 10] = [
        Self::Unsealed,
        Self::Stripped,
        Self::Format,
        Self::Key,
        Self::Unencrypted,
        Self::Tag,
        Self::Replayed,
        Self::Unproven,
        Self::Looped,
        Self::DuplicateId,
    ];
}
