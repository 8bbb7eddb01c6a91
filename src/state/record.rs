//! The three records of a state, laid out by cache line for their readers.

use super::peer::Peer;
use super::peer::peer_state::{ESTABLISHED, TIME_WAIT};
use crate::packet::{Direction, Key, protocol};
use crate::time::Tick;

/// The identity of a state on all nodes. Both parts are numbers as pf prints them; on the wire they are big endian
/// (`protocol` sections 0.5 and 7.8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StateId {
    /// Unique among the states of one creator, never reused.
    pub id: u64,
    /// Host id of the node that created the state, never 0.
    pub creator: u32,
}

/// pf's `state_flags`, the same on every system (`protocol` section 3.6).
pub mod pf_flags {
    /// Packets with IP options pass.
    pub const ALLOW_OPTIONS: u16 = 0x0001;
    /// Sloppy TCP tracking: no sequence checks.
    pub const SLOPPY: u16 = 0x0002;
    /// The state is not replicated.
    pub const NOSYNC: u16 = 0x0008;
    /// On the wire only: the sender holds a packet until the acknowledgement arrives.
    pub const ACK: u16 = 0x0010;
}

/// pf's `sync_flags` (`protocol` section 3.6).
pub mod sync_flags {
    /// The state counts towards its source's limits.
    pub const SOURCE: u8 = 0x04;
}

/// Flags of this node only, never sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct LocalFlags(pub u16);

impl LocalFlags {
    /// The slot holds a state.
    pub const LIVE: u16 = 0x0001;
    /// The state's direction is out; otherwise in.
    pub const OUT: u16 = 0x0002;
    /// The wire and stack keys differ; the stack key is in the cold record.
    pub const TRANSLATED: u16 = 0x0004;
    /// The state was imported from a peer.
    pub const IMPORTED: u16 = 0x0008;
    /// This node passed a packet of this state.
    pub const LOCAL_TRAFFIC: u16 = 0x0010;
    /// A peer updated this state recently; see [`Cold::network_update`].
    pub const NETWORK_RECENT: u16 = 0x0020;
    /// [`Cold::timeout_override_s`] is valid.
    pub const OVERRIDE: u16 = 0x0040;
    /// A packet of this state is held until a peer acknowledges the state.
    pub const DEFERRED: u16 = 0x0080;
    /// The forward side's numbers are from a peer: its window is widened until [`super::RESYNC_SEGMENTS`] consecutive
    /// segments fit without that (`tcp/takeover.rs`).
    pub const RESYNC_SRC: u16 = 0x0100;
    /// Like [`Self::RESYNC_SRC`], for the reverse side.
    pub const RESYNC_DST: u16 = 0x0200;
    /// The track record has a peer's sequence modulator: packets' sequence numbers are rewritten.
    pub const MODULATED: u16 = 0x0400;
    /// A TCP connection that both sides have not opened yet; it counts towards the limit for half-open connections.
    pub const OPENING: u16 = 0x0800;
    /// The peers' copy of the state is too far behind ([`super::MaxDrift`]), or has another TCP state. Cleared when the
    /// update is queued.
    pub const UPDATE_DUE: u16 = 0x8000;
    /// Packets of the state are rewritten.
    pub const REWRITTEN: u16 = Self::TRANSLATED | Self::MODULATED;

    const QUEUE_SHIFT: u32 = 12;
    const QUEUE_MASK: u16 = 0x7 << Self::QUEUE_SHIFT;

    /// Returns the state's sync queue. It is stored here because every passed packet reads it.
    #[inline]
    #[must_use]
    pub const fn queue(self) -> Queue {
        match (self.0 & Self::QUEUE_MASK) >> Self::QUEUE_SHIFT {
            1 => Queue::Insert,
            2 => Queue::Update,
            3 => Queue::UpdateCompressed,
            4 => Queue::InsertAck,
            5 => Queue::MinAge,
            6 => Queue::Repeat,
            _ => Queue::None,
        }
    }

    /// Sets the state's sync queue.
    #[inline]
    pub const fn set_queue(&mut self, queue: Queue) {
        self.0 = (self.0 & !Self::QUEUE_MASK) | ((queue as u16) << Self::QUEUE_SHIFT);
    }

    /// Whether all bits of `mask` are set.
    #[inline]
    #[must_use]
    pub const fn has(self, mask: u16) -> bool {
        self.0 & mask == mask
    }

    /// Whether any bit of `mask` is set.
    #[inline]
    #[must_use]
    pub const fn any(self, mask: u16) -> bool {
        self.0 & mask != 0
    }

    /// Sets the bits of `mask`.
    #[inline]
    pub const fn set(&mut self, mask: u16) {
        self.0 |= mask;
    }

    /// Clears the bits of `mask`.
    #[inline]
    pub const fn clear(&mut self, mask: u16) {
        self.0 &= !mask;
    }
}

/// The sync queue of a state, which is in one at most (`protocol` section 6.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Queue {
    /// Nothing to send.
    #[default]
    None = 0,
    /// A full insert.
    Insert = 1,
    /// A full update that a peer requested.
    Update = 2,
    /// A compressed update.
    UpdateCompressed = 3,
    /// An acknowledgement of an insert.
    InsertAck = 4,
    /// An insert, delayed until the state has the minimum age.
    MinAge = 5,
    /// A compressed update that repeats what was sent of a young state.
    Repeat = 6,
}

/// Everything a lookup needs: one cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Hot {
    /// The wire key, which is also the stack key of an untranslated state.
    pub key: Key,
    /// Last activity, where the timeout begins.
    pub last_activity: Tick,
    /// pf's flags, see [`pf_flags`].
    pub pf_flags: u16,
    /// Flags of this node.
    pub local: LocalFlags,
    /// Timeout class, 0 to 13 or FreeBSD's SCTP classes 20 to 24.
    pub timeout: u8,
    /// Updates merged into the queued one; see `maxupd`.
    pub updates: u8,
    /// States of src (index 0) and dst (index 1), see [`super::peer_state`].
    pub peer_state: [u8; 2],
    /// Packets not yet folded into [`Cold::packets`]; 0 forward, 1 reverse.
    pub packets: [u16; 2],
    /// Bytes not yet folded into [`Cold::bytes`]; 0 forward, 1 reverse.
    pub bytes: [u32; 2],
}

/// Both TCP peers: one cache line, accessed by TCP packets only.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub struct Track {
    /// The side that sent the first packet.
    pub src: Peer,
    /// The other side.
    pub dst: Peer,
}

/// An interface name as in pf: at most 15 bytes, padded with NUL. A floating state has "all".
pub type IfName = [u8; 16];

/// The rest: three cache lines for creation, replication and snapshots.
///
/// The first line serves lookups by identity; the second changes, compressed updates and deletes; the third is written once
/// and sent in full states only.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Cold {
    /// The stack key if [`LocalFlags::TRANSLATED`] is set. It shares a cache line with the identity because lookups compare
    /// both.
    pub stack_key: Key,
    /// The identity.
    pub id: StateId,
    /// Indices of the source counters for the engine's limits and for the rule's; [`NO_SOURCES`] if not counted.
    pub sources: [u32; 2],
    /// Number of local changes.
    pub version: u32,
    /// The next slot in the sync queue, [`Cold::NO_LINK`] at the end.
    pub queue_next: u32,
    /// The previous slot in the sync queue, [`Cold::NO_LINK`] at the front.
    pub queue_previous: u32,
    /// Time of the last update from a peer.
    pub network_update: Tick,
    /// Time of creation.
    pub creation: Tick,
    /// Idle timeout in seconds that replaces the class's if [`LocalFlags::OVERRIDE`] is set.
    pub timeout_override_s: u32,
    /// Index in the configuration, plus one, of the peer that sent this state; 0 if it was created here.
    pub origin_peer: u8,
    /// Whether the state counts as an open connection of its source.
    pub connected: bool,
    /// Log flags.
    pub log: u8,
    /// Route option in OpenBSD's numbers.
    pub rt: u8,
    /// See [`sync_flags`].
    pub sync_flags: u8,
    /// Scrub settings; 0 for none.
    pub min_ttl: u8,
    /// See [`Self::min_ttl`].
    pub max_mss: u16,
    /// Packets forward and reverse, excluding [`Hot::packets`].
    pub packets: [u64; 2],
    /// Bytes forward and reverse, excluding [`Hot::bytes`].
    pub bytes: [u64; 2],
    /// The interface that the state is bound to.
    pub ifname: IfName,
    /// Next hop of route-to and reply-to.
    pub rt_addr: [u8; 16],
    /// Rule number, `u32::MAX` for none.
    pub rule: u32,
    /// Anchor number, `u32::MAX` for none.
    pub anchor: u32,
    /// Translation rule number, `u32::MAX` for none.
    pub nat_rule: u32,
    /// Routing tables of the wire and the stack side, -1 for none.
    pub rtableid: [i32; 2],
    /// Times of the last whole state and of the last update sent in answer to a peer.
    pub answered: [u16; 2],
    /// The insert was sent with a request for an acknowledgement, and no peer has shown since that it has the state.
    pub unacknowledged: bool,
    /// See [`Self::min_ttl`].
    pub set_tos: u8,
    /// See [`Self::min_ttl`].
    pub set_prio: [u8; 2],
    /// Index of the state's [`Extra`](super::Extra); [`Cold::NO_EXTRA`] for none, [`Cold::LOST_EXTRA`] if there was no space.
    pub extra: u32,
}

/// [`Cold::sources`] of a state that counts towards no source.
pub const NO_SOURCES: [u32; 2] = [u32::MAX; 2];

/// A complete state, as inserted into a table.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    /// See [`Hot`].
    pub hot: Hot,
    /// See [`Track`].
    pub track: Track,
    /// See [`Cold`].
    pub cold: Cold,
}

const _: () = assert!(size_of::<Hot>() == 64);
const _: () = assert!(size_of::<Track>() == 64);
const _: () = assert!(size_of::<Cold>() == 192);
const _: () = assert!(core::mem::offset_of!(Cold, sources) + size_of::<[u32; 2]>() <= 64);
const _: () = assert!(core::mem::offset_of!(Cold, version) == 64);
const _: () = assert!(core::mem::offset_of!(Cold, bytes) + size_of::<[u64; 2]>() <= 128);

impl Track {
    /// Sets or clears [`LocalFlags::MODULATED`].
    pub const fn mark_modulation(&self, local: &mut LocalFlags) {
        local.clear(LocalFlags::MODULATED);
        if self.src.seqdiff | self.dst.seqdiff != 0 {
            local.set(LocalFlags::MODULATED);
        }
    }
}

impl Hot {
    /// The record of an empty slot.
    pub const EMPTY: Self = Self {
        key: Key::EMPTY,
        last_activity: Tick(0),
        pf_flags: 0,
        local: LocalFlags(0),
        timeout: 0,
        updates: 0,
        peer_state: [0; 2],
        packets: [0; 2],
        bytes: [0; 2],
    };

    /// Returns the direction of the state's first packet.
    #[inline]
    #[must_use]
    pub const fn direction(&self) -> Direction {
        if self.local.has(LocalFlags::OUT) { Direction::Out } else { Direction::In }
    }

    /// Whether both sides have opened the TCP connection and it was not reset.
    #[inline]
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        let [src, dst] = self.peer_state;
        src >= ESTABLISHED && dst >= ESTABLISHED && src < TIME_WAIT && dst < TIME_WAIT
    }

    /// Whether this is a TCP connection that is still opening. One that was reset is not.
    #[inline]
    #[must_use]
    pub const fn is_opening(&self) -> bool {
        let [src, dst] = self.peer_state;
        let is_open = src >= ESTABLISHED && dst >= ESTABLISHED && src <= TIME_WAIT && dst <= TIME_WAIT;
        self.key.proto == protocol::TCP && !is_open
    }

    /// Counts a packet of `side` (0 forward, 1 reverse). The counts saturate.
    #[inline]
    pub(super) const fn count(&mut self, side: usize, bytes: u32) {
        self.packets[side] = self.packets[side].saturating_add(1);
        self.bytes[side] = self.bytes[side].saturating_add(bytes);
    }

    /// Whether a count is past half of its range, so that [`fold_counts`] is due.
    #[inline]
    #[must_use]
    pub const fn counts_are_full(&self) -> bool {
        const HALF_PACKETS: u16 = 1 << 15;
        const HALF_BYTES: u32 = 1 << 31;
        (self.packets[0] | self.packets[1]) >= HALF_PACKETS || (self.bytes[0] | self.bytes[1]) >= HALF_BYTES
    }
}

/// Moves the counts of the hot record to the cold one. Call it if [`Hot::counts_are_full`], and before the counts are
/// reported or sent.
pub fn fold_counts(hot: &mut Hot, cold: &mut Cold) {
    for side in 0..2 {
        cold.packets[side] = cold.packets[side].saturating_add(hot.packets[side].into());
        cold.bytes[side] = cold.bytes[side].saturating_add(hot.bytes[side].into());
    }
    hot.packets = [0; 2];
    hot.bytes = [0; 2];
}

impl Cold {
    /// There is no [`Extra`](super::Extra).
    pub const NO_EXTRA: u32 = u32::MAX;
    /// There was no space for the [`Extra`](super::Extra).
    pub const LOST_EXTRA: u32 = u32::MAX - 1;
    /// The link at either end of a queue.
    pub const NO_LINK: u32 = u32::MAX;

    /// The record of an empty slot.
    pub const EMPTY: Self = Self {
        stack_key: Key::EMPTY,
        id: StateId { id: 0, creator: 0 },
        sources: NO_SOURCES,
        version: 0,
        queue_next: Self::NO_LINK,
        queue_previous: Self::NO_LINK,
        network_update: Tick(0),
        creation: Tick(0),
        timeout_override_s: 0,
        ifname: [0; 16],
        packets: [0; 2],
        bytes: [0; 2],
        rt_addr: [0; 16],
        rule: u32::MAX,
        anchor: u32::MAX,
        nat_rule: u32::MAX,
        rtableid: [-1; 2],
        origin_peer: 0,
        log: 0,
        rt: 0,
        sync_flags: 0,
        max_mss: 0,
        min_ttl: 0,
        answered: [0; 2],
        unacknowledged: false,
        set_tos: 0,
        set_prio: [0; 2],
        extra: Self::NO_EXTRA,
        connected: false,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_and_flags_do_not_overlap() {
        let mut local = LocalFlags(LocalFlags::LIVE | LocalFlags::RESYNC_DST);
        let queues = [
            Queue::Insert,
            Queue::Update,
            Queue::UpdateCompressed,
            Queue::InsertAck,
            Queue::MinAge,
            Queue::Repeat,
            Queue::None,
        ];
        for queue in queues {
            local.set_queue(queue);
            assert_eq!(local.queue(), queue);
            assert!(local.has(LocalFlags::LIVE | LocalFlags::RESYNC_DST));
            assert!(!local.has(LocalFlags::IMPORTED));
        }
    }
}
