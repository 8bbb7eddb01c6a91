//! Text forms of records and frames, in the manner of pf's tools. Names from the wire are escaped.

use core::fmt::{self, Display, Formatter, Write};
use core::net::{Ipv4Addr, Ipv6Addr};

use crate::numbers::{bulk_status, ip_protocol};
use crate::reader::{FrameReader, Region};
use crate::record::{
    BulkStatus, Clear, CompressedUpdate, Family, FullState, Identity, Record, StateKey, Tdb,
};

/// `069193c1d4c4da2f/9f49b47d`
impl Display for Identity {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}/{:08x}", self.id, self.creator)
    }
}

/// `IPv4`, `IPv6`, `none` or `family 10`
impl Display for Family {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Self::V4 => f.write_str("IPv4"),
            Self::V6 => f.write_str("IPv6"),
            Self::NONE => f.write_str("none"),
            other => write!(f, "family {}", other.number(crate::Version::V6)),
        }
    }
}

/// `tcp 192.0.2.1:80 198.51.100.7:40000`: slot 0, then slot 1.
impl Display for StateKey {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_protocol(f, self.proto)?;
        write!(f, " {} {}", Endpoint::of(self, 0), Endpoint::of(self, 1))
    }
}

/// `all tcp 192.0.2.1:80 <- 198.51.100.7:40000 069193c1d4c4da2f/9f49b47d`
impl Display for FullState {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write_name(f, &self.ifname)?;
        f.write_char(' ')?;
        write_protocol(f, self.key[0].proto)?;
        write!(f, " {} {}", self.hosts(), self.id)
    }
}

/// The identity.
impl Display for CompressedUpdate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

/// `9f49b47d em0`, or `9f49b47d` for all interfaces
impl Display for Clear {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.creator)?;
        if self.ifname[0] != 0 {
            f.write_char(' ')?;
            write_name(f, &self.ifname)?;
        }
        Ok(())
    }
}

/// `9f49b47d start`
impl Display for BulkStatus {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x} ", self.creator)?;
        match self.status {
            bulk_status::START => f.write_str("start"),
            bulk_status::END => f.write_str("end"),
            other => write!(f, "status {other}"),
        }
    }
}

/// `spi 0x00001234`
impl Display for Tdb {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "spi 0x{:08x}", self.spi)
    }
}

/// The shortest form that tells records apart: a state or update is shown by its identity, a bulk request as `bulk`.
impl Display for Record {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::State(state) => state.id.fmt(f),
            Self::Compressed(update) => update.fmt(f),
            Self::Id(Identity::BULK) => f.write_str("bulk"),
            Self::Id(id) => id.fmt(f),
            Self::Clear(clear) => clear.fmt(f),
            Self::BulkStatus(status) => status.fmt(f),
            Self::Tdb(tdb) => tdb.fmt(f),
        }
    }
}

/// `INS 2`: the action and the number of records.
impl Display for Region<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.action(), self.count())
    }
}

/// `v6 INS 2, DEL_C 1`: the version and the regions that are not read yet. An unreadable region is shown as its error.
impl Display for FrameReader<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.version().fmt(f)?;
        let mut reader = self.clone();
        let mut separator = " ";
        while let Some(region) = reader.next_region() {
            f.write_str(separator)?;
            separator = ", ";
            match region {
                Ok(region) => region.fmt(f)?,
                Err(error) => write!(f, "[{error}]")?,
            }
        }
        Ok(())
    }
}

fn write_protocol(f: &mut Formatter<'_>, number: u8) -> fmt::Result {
    match ip_protocol::name(number) {
        Some(name) => f.write_str(name),
        None => number.fmt(f),
    }
}

/// Writes a name up to its NUL, with everything that is not printable escaped.
fn write_name(f: &mut Formatter<'_>, field: &[u8]) -> fmt::Result {
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    field[..end].escape_ascii().fmt(f)
}

/// One end of a key: `(rdomain) address:port`, the port of an IPv6 address in brackets.
struct Endpoint<'a> {
    key: &'a StateKey,
    slot: usize,
    port: [u8; 2],
}

impl<'a> Endpoint<'a> {
    const fn of(key: &'a StateKey, slot: usize) -> Self {
        Self { key, slot, port: key.port[slot] }
    }
}

impl Display for Endpoint<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.key.rdomain != 0 {
            write!(f, "({}) ", self.key.rdomain)?;
        }
        let address = self.key.addr[self.slot];
        match self.key.family {
            Family::V4 => Ipv4Addr::new(address[0], address[1], address[2], address[3]).fmt(f)?,
            Family::V6 => Ipv6Addr::from(address).fmt(f)?,
            _ => address.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?,
        }
        match (u16::from_be_bytes(self.port), self.key.family) {
            (0, _) => Ok(()),
            (port, Family::V6) => write!(f, "[{port}]"),
            (port, _) => write!(f, ":{port}"),
        }
    }
}

/// The two hosts of a state as `pfctl -ss` prints them, from [`FullState::hosts`].
#[derive(Clone, Copy, Debug)]
pub struct Hosts<'a>(&'a FullState);

impl FullState {
    /// Returns the state's hosts for printing: the host on this side, an arrow in the state's direction, the other host. A
    /// translated address follows in parentheses (OpenBSD pfctl's `print_state`).
    #[must_use]
    pub const fn hosts(&self) -> Hosts<'_> {
        Hosts(self)
    }
}

impl Display for Hosts<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let [wire, stack] = &self.0.key;
        let is_out = self.0.direction == 2;
        let (near, far) = if is_out { (wire, stack) } else { (stack, wire) };
        let is_family_translated = near.family != far.family;
        // With a translated family, the slots of the stack key are exchanged.
        let (first, second) = if is_family_translated { (0, 1) } else { (1, 0) };
        let arrow = if is_out { "->" } else { "<-" };
        self.write_host(f, near, far, first)?;
        write!(f, " {arrow} ")?;
        self.write_host(f, near, far, second)
    }
}

impl Hosts<'_> {
    fn write_host(self, f: &mut Formatter<'_>, near: &StateKey, far: &StateKey, slot: usize) -> fmt::Result {
        let is_family_translated = near.family != far.family;
        let mut far_ports = far.port;
        if matches!(near.proto, ip_protocol::ICMP | ip_protocol::ICMPV6) {
            // The slot with the ICMP type is never translated.
            let type_slot = usize::from(self.0.direction != 2);
            far_ports[type_slot] = near.port[type_slot];
        }
        let is_translated =
            is_family_translated || near.addr[slot] != far.addr[slot] || near.port[slot] != far_ports[slot];
        Endpoint::of(near, slot).fmt(f)?;
        if is_translated {
            let far_slot = if is_family_translated { 1 - slot } else { slot };
            write!(f, " ({})", Endpoint { key: far, slot: far_slot, port: far_ports[far_slot] })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Action, FrameWriter, Profile, WriterOptions};

    fn state() -> FullState {
        let mut key = StateKey { family: Family::V4, proto: 6, port: [[0, 80], [1, 0]], ..StateKey::EMPTY };
        key.addr[0][..4].copy_from_slice(&[192, 0, 2, 1]);
        key.addr[1][..4].copy_from_slice(&[10, 0, 0, 7]);
        let mut wire = key;
        wire.addr[1][..4].copy_from_slice(&[198, 51, 100, 7]);
        let id = Identity { id: 1, creator: 2 };
        FullState {
            id,
            ifname: *b"em0\x1b\0\0\0\0\0\0\0\0\0\0\0\0",
            key: [wire, key],
            direction: 2,
            ..FullState::EMPTY
        }
    }

    #[test]
    fn a_state_is_shown_as_pf_shows_it() {
        let text = state().to_string();
        let id = "0000000000000001/00000002";
        assert_eq!(text, format!("em0\\x1b tcp 198.51.100.7:256 (10.0.0.7:256) -> 192.0.2.1:80 {id}"));
        assert_eq!(state().key[1].to_string(), "tcp 192.0.2.1:80 10.0.0.7:256");
        let key =
            StateKey { family: Family::V6, proto: 99, rdomain: 3, port: [[0; 2], [0, 9]], ..StateKey::EMPTY };
        assert_eq!(key.to_string(), "99 (3) :: (3) ::[9]");
    }

    #[test]
    fn a_record_is_shown_by_what_identifies_it() {
        let shown = |record: Record| record.to_string();
        assert_eq!(shown(Record::Id(Identity::BULK)), "bulk");
        assert_eq!(shown(Record::State(state())), "0000000000000001/00000002");
        assert_eq!(shown(Record::Clear(Clear { ifname: [0; 16], creator: 9 })), "00000009");
        assert_eq!(
            shown(Record::BulkStatus(BulkStatus { creator: 9, endtime: 0, status: 2 })),
            "00000009 end"
        );
        assert_eq!(
            shown(Record::BulkStatus(BulkStatus { creator: 9, endtime: 0, status: 3 })),
            "00000009 status 3"
        );
        assert_eq!(shown(Record::Tdb(Tdb { spi: 0x1234, ..Tdb::default() })), "spi 0x00001234");
    }

    #[test]
    fn a_frame_is_shown_by_its_regions() {
        let mut buffer = [0; 400];
        let mut writer = FrameWriter::new(&mut buffer, Profile::OpenBsd6, &WriterOptions::default()).unwrap();
        writer.push_state(Action::Insert, &state()).unwrap();
        writer.push_id(Action::DeleteCompressed, state().id).unwrap();
        let length = writer.finish();
        assert_eq!(FrameReader::new(&buffer[..length]).unwrap().to_string(), "v6 INS 1, DEL_C 1");
        // An unknown message without a length.
        buffer[length - 16..length - 12].copy_from_slice(&[99, 0, 0, 1]);
        let shown = FrameReader::new(&buffer[..length]).unwrap().to_string();
        assert_eq!(shown, "v6 INS 1, [unknown message, rest of the frame ignored]");
    }
}
