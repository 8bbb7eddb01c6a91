//! The messages besides whole states. All profiles share their layouts, except TDB's.

use core::mem::offset_of;

use zerocopy::big_endian::U32;

use super::StatePeer;
use crate::layout::{self, Emit};

/// The identity of a state across nodes, as the numbers that pf prints. The whole content of INS_ACK, UPD_REQ and DEL_C.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// Unique among the states of one creator.
    pub id: u64,
    /// The host id of the node that created the state.
    pub creator: u32,
}

/// UPD_C: the changing part of a state (`struct pfsync_upd_c`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompressedUpdate {
    /// Identity of the state.
    pub id: Identity,
    /// The side that sent the first packet.
    pub src: StatePeer,
    /// The other side.
    pub dst: StatePeer,
    /// Sent as 0 and ignored by all systems.
    pub expire: u32,
    /// Timeout class, see [`timeout`](crate::timeout).
    pub timeout: u8,
}

/// CLR: remove all states of a creator, on one interface or on all (`struct pfsync_clr`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clear {
    /// NUL-terminated; empty for all interfaces. OpenBSD sends stray bytes after the NUL; they are kept.
    pub ifname: [u8; 16],
    /// Host id of the states' creator.
    pub creator: u32,
}

/// BUS: a bulk transfer starts or has ended (`struct pfsync_bus`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BulkStatus {
    /// The host id of the sender.
    pub creator: u32,
    /// Seconds since the sender received the request; OpenBSD 7.4 and later send 0.
    pub endtime: u32,
    /// See [`bulk_status`](crate::bulk_status).
    pub status: u8,
}

/// TDB: counters of an IPsec association (`struct pfsync_tdb`; OpenBSD `pfsync_out_tdb`). FreeBSD never sends it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tdb {
    /// Security parameter index.
    pub spi: u32,
    /// Destination as a BSD socket address: length, the sending system's family number, port, address.
    pub destination: [u8; 28],
    /// Replay counter; senders add 16384 for outbound associations. Version 5 carries the low 32 bits.
    pub replay: u64,
    /// Byte counter.
    pub bytes: u64,
    /// IPsec protocol.
    pub proto: u8,
    /// Routing domain; version 6 only.
    pub rdomain: u16,
}

impl Identity {
    /// The identity that requests a bulk transfer in an UPD_REQ.
    pub const BULK: Self = Self { id: 0, creator: 0 };

    #[inline(always)]
    pub(crate) fn parse(wire: &layout::Id) -> Self {
        Self { id: wire.id.get(), creator: wire.creatorid.get() }
    }
}

impl CompressedUpdate {
    #[inline(always)]
    pub(crate) fn parse(wire: &layout::Compressed) -> Self {
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
    pub(crate) fn parse(wire: &layout::Clear) -> Self {
        Self { ifname: wire.ifname, creator: wire.creatorid.get() }
    }
}

impl BulkStatus {
    pub(crate) fn parse(wire: &layout::BulkStatus) -> Self {
        Self { creator: wire.creatorid.get(), endtime: wire.endtime.get(), status: wire.status }
    }
}

impl Tdb {
    pub(crate) fn parse_52(wire: &layout::Tdb52) -> Self {
        Self {
            spi: u32::from_be_bytes(wire.spi),
            destination: wire.dst,
            replay: wire.rpl.get(),
            bytes: wire.cur_bytes.get(),
            proto: wire.sproto,
            rdomain: wire.rdomain.get(),
        }
    }

    pub(crate) fn parse_48(wire: &layout::Tdb48) -> Self {
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
        // One store for the class and the three zeros after it.
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
