//! The small messages, the same in all dialects but for IPsec's.

use core::mem::offset_of;

use zerocopy::big_endian::U32;

use super::layout::{self, Emit};
use super::peer::StatePeer;

/// `(id, creatorid)` of a state, as the numbers that pf prints. INS_ACK, UPD_REQ and DEL_C are nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// Unique among the states of one creator.
    pub id: u64,
    /// The host id of the node that made the state.
    pub creator: u32,
}

/// UPD_C: what changes in a state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompressedUpdate {
    /// Which state.
    pub id: Identity,
    /// The side that sent the first packet.
    pub src: StatePeer,
    /// The other side.
    pub dst: StatePeer,
    /// Sent as 0 and ignored by all systems.
    pub expire: u32,
    /// Timeout class.
    pub timeout: u8,
}

/// CLR: all states of a creator, on one interface or on all, are gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clear {
    /// Ended by a NUL; empty for all interfaces. Bytes behind the NUL are as they came: OpenBSD leaves stray ones.
    pub ifname: [u8; 16],
    /// Whose states.
    pub creator: u32,
}

/// BUS: a bulk transfer begins or ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BulkStatus {
    /// The host id of the sender.
    pub creator: u32,
    /// Seconds since the sender received the request; OpenBSD 7.4 and later send 0.
    pub endtime: u32,
    /// See [`bulk_status`].
    pub status: u8,
}

/// The numbers of [`BulkStatus::status`].
pub mod bulk_status {
    /// A transfer begins.
    pub const START: u8 = 1;
    /// A transfer ended.
    pub const END: u8 = 2;
}

/// TDB: counters of an IPsec association. Read and written, never acted on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tdb {
    /// Security parameter index.
    pub spi: u32,
    /// Destination as a BSD socket address: length, family of the sending system, port, address.
    pub destination: [u8; 28],
    /// Replay counter; the sender adds 16384 for outbound associations. Version 5 has the low 32 bits only.
    pub replay: u64,
    /// Byte counter.
    pub bytes: u64,
    /// IPsec protocol.
    pub proto: u8,
    /// Routing domain; version 6 only.
    pub rdomain: u16,
}

impl Identity {
    /// The identity that asks for all states in an UPD_REQ.
    pub const BULK: Self = Self { id: 0, creator: 0 };

    #[inline(always)]
    pub(super) fn parse(wire: &layout::Id) -> Self {
        Self { id: wire.id.get(), creator: wire.creatorid.get() }
    }
}

impl CompressedUpdate {
    #[inline(always)]
    pub(super) fn parse(wire: &layout::Compressed) -> Self {
        Self {
            id: Identity { id: wire.id.get(), creator: wire.creatorid.get() },
            src: StatePeer::parse(&wire.src),
            dst: StatePeer::parse(&wire.dst),
            expire: wire.expire.get(),
            timeout: wire.timeout,
        }
    }
}

impl Clear {
    pub(super) fn parse(wire: &layout::Clear) -> Self {
        Self { ifname: wire.ifname, creator: wire.creatorid.get() }
    }
}

impl BulkStatus {
    pub(super) fn parse(wire: &layout::BulkStatus) -> Self {
        Self { creator: wire.creatorid.get(), endtime: wire.endtime.get(), status: wire.status }
    }
}

impl Tdb {
    pub(super) fn parse_52(wire: &layout::Tdb52) -> Self {
        Self {
            spi: u32::from_be_bytes(wire.spi),
            destination: wire.dst,
            replay: wire.rpl.get(),
            bytes: wire.cur_bytes.get(),
            proto: wire.sproto,
            rdomain: wire.rdomain.get(),
        }
    }

    pub(super) fn parse_48(wire: &layout::Tdb48) -> Self {
        Self {
            spi: u32::from_be_bytes(wire.spi),
            destination: wire.dst,
            replay: u64::from(wire.rpl.get()),
            bytes: wire.cur_bytes.get(),
            proto: wire.sproto,
            rdomain: 0,
        }
    }
}

impl Emit<layout::Id> for Identity {
    #[inline(always)]
    fn emit(&self, wire: &mut layout::Id) {
        wire.id.set(self.id);
        wire.creatorid.set(self.creator);
    }
}

impl Emit<layout::Compressed> for CompressedUpdate {
    #[inline(always)]
    fn emit(&self, wire: &mut layout::Compressed) {
        wire.id.set(self.id.id);
        self.src.emit(&mut wire.src);
        self.dst.emit(&mut wire.dst);
        wire.creatorid.set(self.id.creator);
        wire.expire.set(self.expire);
        // The class and the three zeros behind it are one store.
        let words: &mut [U32; 21] = zerocopy::transmute_mut!(wire);
        words[offset_of!(layout::Compressed, timeout) / 4].set(u32::from(self.timeout) << 24);
    }
}

impl Emit<layout::Clear> for Clear {
    #[inline(always)]
    fn emit(&self, wire: &mut layout::Clear) {
        wire.ifname = self.ifname;
        wire.creatorid.set(self.creator);
    }
}

impl Emit<layout::BulkStatus> for BulkStatus {
    #[inline(always)]
    fn emit(&self, wire: &mut layout::BulkStatus) {
        wire.creatorid.set(self.creator);
        wire.endtime.set(self.endtime);
        wire.status = self.status;
        wire.pad = [0; 3];
    }
}

impl Emit<layout::Tdb52> for Tdb {
    #[inline(always)]
    fn emit(&self, wire: &mut layout::Tdb52) {
        wire.spi = self.spi.to_be_bytes();
        wire.dst = self.destination;
        wire.rpl.set(self.replay);
        wire.cur_bytes.set(self.bytes);
        wire.sproto = self.proto;
        wire.updates = 0;
        wire.rdomain.set(self.rdomain);
    }
}

impl Emit<layout::Tdb48> for Tdb {
    #[inline(always)]
    fn emit(&self, wire: &mut layout::Tdb48) {
        wire.spi = self.spi.to_be_bytes();
        wire.dst = self.destination;
        wire.rpl.set(self.replay as u32);
        wire.cur_bytes.set(self.bytes);
        wire.sproto = self.proto;
        wire.updates = 0;
        wire.pad = [0; 2];
    }
}
