//! The identity of a state across nodes: twelve opaque bytes, `(id, creatorid)`.

/// `(id, creatorid)` of a state. Both are shown, ordered and kept as the numbers that pf prints; on the wire they
/// are big endian (`protocol` sections 0.5 and 7.8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StateId {
    /// Unique among the states of one creator, never reused.
    pub id: u64,
    /// The host id of the node that made the state. 0 is no creator.
    pub creator: u32,
}
