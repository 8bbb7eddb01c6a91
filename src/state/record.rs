//! The three records of a state, each as long as its readers need and laid out by cache line.

use super::StateId;
use super::peer::Peer;
use super::peer::peer_state::{ESTABLISHED, TIME_WAIT};
use crate::packet::{Direction, Key};
use crate::time::Tick;

/// IP protocol number of TCP.
const TCP: u8 = 6;

/// pf's `state_flags`, same bits on every system (`protocol` section 3.6).
pub mod pf_flags {
    /// IP options are allowed.
    pub const ALLOWOPTS: u16 = 0x0001;
    /// Sloppy TCP tracking: no sequence checks.
    pub const SLOPPY: u16 = 0x0002;
    /// Never synchronise this state.
    pub const NOSYNC: u16 = 0x0008;
    /// On the wire only: the sender holds a packet until the acknowledgement comes.
    pub const ACK: u16 = 0x0010;
}

/// pf's `sync_flags` (`protocol` section 3.6).
pub mod sync_flags {
    /// The state is counted to its source, for limits of its rule.
    pub const SOURCE: u8 = 0x04;
}

/// What this node alone knows of a state; never on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct LocalFlags(pub u16);

impl LocalFlags {
    /// The slot holds a state.
    pub const LIVE: u16 = 0x0001;
    /// The state's direction is out; in when clear.
    pub const OUT: u16 = 0x0002;
    /// The wire and the stack key differ; the stack key is in the cold record.
    pub const TRANSLATED: u16 = 0x0004;
    /// The state came from a peer.
    pub const IMPORTED: u16 = 0x0008;
    /// This node passed a packet of this state.
    pub const LOCAL_TRAFFIC: u16 = 0x0010;
    /// A peer updated this state lately: read `Cold::network_update` before queueing.
    pub const NETWORK_RECENT: u16 = 0x0020;
    /// `Cold::timeout_override_s` holds.
    pub const OVERRIDE: u16 = 0x0040;
    /// A packet of this state is held until the peer has acknowledged it.
    pub const DEFERRED: u16 = 0x0080;
    /// The forward side's window is taken anew from its next packet: its numbers came from a peer and are old.
    pub const RESYNC_SRC: u16 = 0x0100;
    /// As [`Self::RESYNC_SRC`], for the reverse side.
    pub const RESYNC_DST: u16 = 0x0200;

    /// A TCP connection that the two sides have not opened yet: one of those that the limit for them counts.
    pub const OPENING: u16 = 0x0800;
    /// A peer's sequence modulator is in the track record: numbers of packets are rewritten.
    pub const MODULATED: u16 = 0x0400;
    /// Packets of the state are rewritten on their way.
    pub const REWRITTEN: u16 = Self::TRANSLATED | Self::MODULATED;

    const QUEUE_SHIFT: u32 = 12;
    const QUEUE_MASK: u16 = 0x7 << Self::QUEUE_SHIFT;

    /// The sync queue that the state is in, kept in three bits here because every passed packet asks for it.
    #[inline]
    #[must_use]
    pub const fn queue(self) -> Queue {
        match (self.0 & Self::QUEUE_MASK) >> Self::QUEUE_SHIFT {
            1 => Queue::Insert,
            2 => Queue::Update,
            3 => Queue::UpdateCompressed,
            4 => Queue::InsertAck,
            5 => Queue::MinAge,
            _ => Queue::None,
        }
    }

    /// Writes down the sync queue that the state is in.
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

/// The one sync queue that a state is in (`protocol` section 6.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Queue {
    /// Nothing to send.
    #[default]
    None = 0,
    /// A full insert.
    Insert = 1,
    /// A full update that was asked for.
    Update = 2,
    /// A compressed update.
    UpdateCompressed = 3,
    /// An acknowledgement of an insert.
    InsertAck = 4,
    /// An insert, once the state is old enough to be told of.
    MinAge = 5,
}

/// All that a lookup needs: one cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Hot {
    /// The wire key, which for an untranslated state is the stack key too.
    pub key: Key,
    /// Last activity: expiry counts from here.
    pub last_activity: Tick,
    /// pf's flags, see [`pf_flags`].
    pub pf_flags: u16,
    /// This node's flags.
    pub local: LocalFlags,
    /// Timeout class, 0 to 13 or FreeBSD's SCTP classes 20 to 24.
    pub timeout: u8,
    /// Updates folded since the state was queued; see `maxupd`.
    pub updates: u8,
    /// State numbers of src (index 0) and dst (index 1), see [`super::peer_state`].
    pub peer_state: [u8; 2],
    /// Packets since they were last added to [`Cold::packets`]; 0 forward, 1 reverse.
    pub packets: [u16; 2],
    /// Bytes since they were last added to [`Cold::bytes`]; 0 forward, 1 reverse.
    pub bytes: [u32; 2],
}

/// Both TCP peers: one cache line, touched by TCP packets only.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub struct Track {
    /// The side that sent the first packet.
    pub src: Peer,
    /// The other side.
    pub dst: Peer,
}

/// An interface name as pf keeps it: at most 15 bytes, padded with NUL. "all" is a floating state.
pub type IfName = [u8; 16];

/// What only creation, the sync writer and snapshots read.
///
/// In three lines, by use: what a lookup by identity compares; what a change, a compressed update and an end touch; what is
/// written once and told in whole states only.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Cold {
    /// The stack key where [`LocalFlags::TRANSLATED`] is set. First, with the identity: both are compared in lookups
    /// and lie in one line.
    pub stack_key: Key,
    /// Identity across nodes.
    pub id: StateId,
    /// Where the state is counted to its source: for the engine's limits, and for its rule's. [`NO_SOURCES`] where it is
    /// not.
    pub sources: [u32; 2],
    /// Counts local changes. Later digests and range resynchronisation compare it.
    pub version: u32,
    /// Neighbours in the sync queue, [`Cold::NO_LINK`] at the ends.
    pub queue_next: u32,
    /// See [`Self::queue_next`].
    pub queue_previous: u32,
    /// When a peer last updated this state.
    pub network_update: Tick,
    /// When the state was made.
    pub creation: Tick,
    /// Instead of the class's timeout, in seconds, where [`LocalFlags::OVERRIDE`] is set.
    pub timeout_override_s: u32,
    /// Which peer told of this state (its number in the configuration); 0 when it was made here.
    pub origin_peer: u8,
    /// Whether it is counted to its source as an open connection.
    pub connected: bool,
    /// Log flags, `rt` kind in OpenBSD's numbers, sync flags.
    pub log: u8,
    /// See [`Self::log`].
    pub rt: u8,
    /// See [`Self::log`].
    pub sync_flags: u8,
    /// Scrub settings.
    pub min_ttl: u8,
    /// See [`Self::min_ttl`].
    pub max_mss: u16,
    /// Packets forward and reverse, without those still in [`Hot::packets`].
    pub packets: [u64; 2],
    /// Bytes forward and reverse, without those still in [`Hot::bytes`].
    pub bytes: [u64; 2],
    /// The interface that the state is bound to.
    pub ifname: IfName,
    /// Next hop of route-to and reply-to.
    pub rt_addr: [u8; 16],
    /// Rule, anchor and translation rule; `u32::MAX` for none.
    pub rule: u32,
    /// See [`Self::rule`].
    pub anchor: u32,
    /// See [`Self::rule`].
    pub nat_rule: u32,
    /// Routing tables of the wire and the stack side, -1 for none.
    pub rtableid: [i32; 2],
    /// See [`Self::min_ttl`].
    pub set_tos: u8,
    /// See [`Self::min_ttl`].
    pub set_prio: [u8; 2],
}

/// The places of a state that is counted to no source.
pub const NO_SOURCES: [u32; 2] = [u32::MAX; 2];

/// A whole state, as it is made and handed to a table.
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
    /// Writes down in the flags whether a side has a modulator.
    pub const fn mark_modulation(&self, local: &mut LocalFlags) {
        local.clear(LocalFlags::MODULATED);
        if self.src.seqdiff | self.dst.seqdiff != 0 {
            local.set(LocalFlags::MODULATED);
        }
    }
}

impl Hot {
    /// A slot that holds nothing.
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

    /// The direction of the state's first packet.
    #[inline]
    #[must_use]
    pub const fn direction(&self) -> Direction {
        if self.local.has(LocalFlags::OUT) { Direction::Out } else { Direction::In }
    }

    /// Whether both sides have opened their TCP connection, and it was not reset before.
    #[inline]
    #[must_use]
    pub const fn is_connected(&self) -> bool {
        let [src, dst] = self.peer_state;
        src >= ESTABLISHED && dst >= ESTABLISHED && src < TIME_WAIT && dst < TIME_WAIT
    }

    /// Whether this is a TCP connection that is still to be opened. One that was reset is not.
    #[inline]
    #[must_use]
    pub const fn is_opening(&self) -> bool {
        let [src, dst] = self.peer_state;
        let is_open = src >= ESTABLISHED && dst >= ESTABLISHED && src <= TIME_WAIT && dst <= TIME_WAIT;
        self.key.proto == TCP && !is_open
    }

    /// Counts a packet of `side` (0 forward, 1 reverse). The counts stop at their greatest value.
    #[inline]
    pub(super) const fn count(&mut self, side: usize, bytes: u32) {
        self.packets[side] = self.packets[side].saturating_add(1);
        self.bytes[side] = self.bytes[side].saturating_add(bytes);
    }

    /// Whether a count is past half of what fits, so that [`fold_counts`] is due.
    #[inline]
    #[must_use]
    pub const fn counts_are_full(&self) -> bool {
        const HALF_PACKETS: u16 = 1 << 15;
        const HALF_BYTES: u32 = 1 << 31;
        (self.packets[0] | self.packets[1]) >= HALF_PACKETS || (self.bytes[0] | self.bytes[1]) >= HALF_BYTES
    }
}

/// Moves the counts of the hot record to the cold one, where they have room. Call it when
/// [`Hot::counts_are_full`], and before the counts are shown or sent.
pub fn fold_counts(hot: &mut Hot, cold: &mut Cold) {
    for side in 0..2 {
        cold.packets[side] = cold.packets[side].saturating_add(hot.packets[side].into());
        cold.bytes[side] = cold.bytes[side].saturating_add(hot.bytes[side].into());
    }
    hot.packets = [0; 2];
    hot.bytes = [0; 2];
}

impl Cold {
    /// The end of a queue.
    pub const NO_LINK: u32 = u32::MAX;

    /// The record of a slot that holds nothing: no identity, no rules, in no queue.
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
        set_tos: 0,
        set_prio: [0; 2],
        connected: false,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_queue_and_the_flags_do_not_touch() {
        let mut local = LocalFlags(LocalFlags::LIVE | LocalFlags::RESYNC_DST);
        let queues = [
            Queue::Insert,
            Queue::Update,
            Queue::UpdateCompressed,
            Queue::InsertAck,
            Queue::MinAge,
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
