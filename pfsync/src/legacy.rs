//! Frames of versions 2, 3 and 4: NetBSD, DragonFly and what FreeBSD and OpenBSD spoke long ago. Read only, for tools
//! that show captures; no peer is spoken to like this (`protocol` section 11).
//!
//! ```text
//! version | family | action | count | [ruleset checksum (16), not in version 2] | record record ...
//! ```
//!
//! One message a frame, no subheaders. No system's own bytes were at hand for these: the layouts are the reference's,
//! and that version 2 has the records of version 3 is an assumption.

use zerocopy::{FromBytes, Immutable, KnownLayout};

use super::frame_error::FrameError;
use super::key::{Family, StateKey};
use super::layout::{
    LegacyBulkStatus, LegacyClear, LegacyCompressed, LegacyHeader, LegacyHost, LegacyId, LegacyState3,
    LegacyState4,
};
use super::message::{BulkStatus, Clear, CompressedUpdate, Identity};
use super::peer::StatePeer;
use super::profile::{Action, Version};
use super::record::Record;
use super::state::FullState;
use super::{FLAG_ALLOWOPTS, freebsd};

const CHECKSUM_BYTES: usize = 16;

/// A frame of version 2, 3 or 4.
#[derive(Clone, Copy, Debug)]
pub struct LegacyFrame<'a> {
    /// 2, 3 or 4.
    pub version: u8,
    /// What its records mean.
    pub action: Action,
    /// How many records the header says it has; all of them are there.
    pub count: u8,
    records: &'a [u8],
    bytes: usize,
}

/// Action and record size of each number; `None` for messages that were never built or whose size is not known.
const ACTIONS: [Option<(Action, usize)>; 10] = [
    Some((Action::Clear, size_of::<LegacyClear>())),
    Some((Action::Insert, size_of::<LegacyState3>())),
    Some((Action::Update, size_of::<LegacyState3>())),
    Some((Action::Delete, size_of::<LegacyState3>())),
    Some((Action::UpdateCompressed, size_of::<LegacyCompressed>())),
    Some((Action::DeleteCompressed, size_of::<LegacyId>())),
    None,
    None,
    Some((Action::UpdateRequest, size_of::<LegacyId>())),
    Some((Action::BulkStatus, size_of::<LegacyBulkStatus>())),
];

/// Why a legacy frame is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LegacyError {
    /// As for frames of today.
    Frame(FrameError),
    /// A message that is not known.
    Action(u8),
}

impl<'a> LegacyFrame<'a> {
    /// Reads the header. `payload` is what follows the IP header.
    ///
    /// # Errors
    /// Another version, an unknown message, or more records than bytes.
    pub fn parse(payload: &'a [u8]) -> Result<Self, LegacyError> {
        let frame = LegacyError::Frame;
        let (header, rest) = LegacyHeader::ref_from_prefix(payload).map_err(|_| frame(FrameError::Header))?;
        let rest = match header.version {
            2 => rest,
            3 | 4 => rest.get(CHECKSUM_BYTES..).ok_or(frame(FrameError::Header))?,
            _ => return Err(frame(FrameError::Version)),
        };
        let (action, bytes) = ACTIONS
            .get(usize::from(header.action))
            .copied()
            .flatten()
            .ok_or(LegacyError::Action(header.action))?;
        let records = rest.get(..bytes * usize::from(header.count)).ok_or(frame(FrameError::Length))?;
        Ok(Self { version: header.version, action, count: header.count, records, bytes })
    }

    /// Its records. Of a DEL_C the identity alone is told, not the two state numbers.
    pub fn records(&self) -> impl Iterator<Item = Record> + use<'a> {
        let Self { version, action, records, bytes, .. } = *self;
        records.chunks_exact(bytes).filter_map(move |bytes| parse(version, action, bytes))
    }
}

fn parse(version: u8, action: Action, bytes: &[u8]) -> Option<Record> {
    Some(match (action, version) {
        (Action::Insert | Action::Update | Action::Delete, 4) => Record::State(state_4(whole(bytes)?)),
        (Action::Insert | Action::Update | Action::Delete, _) => Record::State(state_3(whole(bytes)?)),
        (Action::UpdateCompressed, _) => Record::Compressed(compressed(whole(bytes)?)),
        (Action::DeleteCompressed | Action::UpdateRequest, _) => {
            let wire: &LegacyId = whole(bytes)?;
            Record::Id(Identity { id: wire.id.get(), creator: wire.creatorid.get() })
        }
        (Action::Clear, _) => {
            let wire: &LegacyClear = whole(bytes)?;
            Record::Clear(Clear { ifname: wire.ifname, creator: wire.creatorid.get() })
        }
        (Action::BulkStatus, _) => {
            let wire: &LegacyBulkStatus = whole(bytes)?;
            let (creator, endtime) = (wire.creatorid.get(), wire.endtime.get());
            Record::BulkStatus(BulkStatus { creator, endtime, status: wire.status })
        }
        _ => return None,
    })
}

fn whole<T: FromBytes + KnownLayout + Immutable>(bytes: &[u8]) -> Option<&T> {
    T::ref_from_bytes(bytes).ok()
}

/// NetBSD numbers IPv6 as OpenBSD does, DragonFly as FreeBSD: version 6's reading takes both.
fn family(number: u8) -> Family {
    Family::of(number, Version::V6)
}

/// A key from the external host and one of ours: the host out there is in slot 0.
fn key(ext: &LegacyHost, ours: &LegacyHost, family: Family, proto: u8) -> StateKey {
    StateKey {
        addr: [family.masked(&ext.addr), family.masked(&ours.addr)],
        port: [ext.port, ours.port],
        rdomain: 0,
        family,
        proto,
    }
}

fn state_3(wire: &LegacyState3) -> FullState {
    let family = family(wire.af);
    FullState {
        id: Identity { id: wire.id.get(), creator: wire.creatorid.get() },
        ifname: wire.ifname,
        key: [key(&wire.ext, &wire.gwy, family, wire.proto), key(&wire.ext, &wire.lan, family, wire.proto)],
        src: StatePeer::parse(&wire.src),
        dst: StatePeer::parse(&wire.dst),
        rt_addr: wire.rt_addr,
        rule: wire.rule.get(),
        anchor: wire.anchor.get(),
        nat_rule: wire.nat_rule.get(),
        creation: wire.creation.get(),
        expire: wire.expire.get(),
        packets: [wire.packets[0].get(), wire.packets[1].get()],
        bytes: [wire.bytes[0].get(), wire.bytes[1].get()],
        family,
        direction: wire.direction,
        log: wire.log,
        state_flags: if wire.allow_opts != 0 { FLAG_ALLOWOPTS } else { 0 },
        timeout: wire.timeout,
        sync_flags: wire.sync_flags,
        updates: wire.updates,
        ..FullState::EMPTY
    }
}

fn state_4(wire: &LegacyState4) -> FullState {
    let mut state = FullState::EMPTY;
    freebsd::parse_prefix(&wire.prefix, [family(wire.af); 2], [wire.proto; 2], &mut state);
    state.direction = wire.direction;
    state.log = wire.log;
    state.state_flags = u16::from(wire.state_flags);
    state.timeout = wire.timeout;
    state.sync_flags = wire.sync_flags;
    state.updates = wire.updates;
    state
}

fn compressed(wire: &LegacyCompressed) -> CompressedUpdate {
    CompressedUpdate {
        id: Identity { id: wire.id.get(), creator: wire.creatorid.get() },
        src: StatePeer::parse(&wire.src),
        dst: StatePeer::parse(&wire.dst),
        expire: wire.expire.get(),
        timeout: wire.timeout,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(version: u8, action: u8, count: u8, records: &[u8]) -> Vec<u8> {
        let mut bytes = vec![version, 0, action, count];
        if version > 2 {
            bytes.extend([0; CHECKSUM_BYTES]);
        }
        bytes.extend(records);
        bytes
    }

    #[test]
    fn hosts_of_version_3_become_the_keys_of_today() {
        let mut record = [0; 240];
        for (at, first) in [(24, 1), (48, 2), (72, 3)] {
            record[at..at + 4].fill(first);
            record[at + 4..at + 16].fill(0xa5);
            record[at + 16..at + 18].copy_from_slice(&[first, first]);
        }
        record[232..238].copy_from_slice(&[2, 6, 2, 1, 1, 3]);
        for version in [2, 3] {
            let bytes = frame(version, 1, 1, &record);
            let parsed = LegacyFrame::parse(&bytes).unwrap();
            let Some(Record::State(state)) = parsed.records().next() else { panic!() };
            assert_eq!(state.key[0].port, [[3, 3], [2, 2]], "wire: external, gateway");
            assert_eq!(state.key[1].port, [[3, 3], [1, 1]], "stack: external, LAN");
            assert_eq!(state.key[1].addr[1][..6], [1, 1, 1, 1, 0, 0]);
            assert_eq!((state.timeout, state.state_flags, state.direction), (3, FLAG_ALLOWOPTS, 2));
        }
    }

    #[test]
    fn version_4_has_the_keys_of_today() {
        let mut record = [0; 240];
        record[24..28].fill(9);
        record[232..238].copy_from_slice(&[28, 17, 1, 0, 0x21, 7]);
        let bytes = frame(4, 2, 1, &record);
        let Some(Record::State(state)) = LegacyFrame::parse(&bytes).unwrap().records().next() else {
            panic!()
        };
        assert_eq!((state.key[0].family, state.key[0].addr[0][0]), (Family::V6, 9));
        assert_eq!((state.timeout, state.state_flags), (7, 0x21));
    }

    #[test]
    fn small_messages_are_read() {
        let read = |action, size: usize| {
            let bytes = frame(3, action, 2, &vec![1; size * 2]);
            let frame = LegacyFrame::parse(&bytes).unwrap();
            (frame.action, frame.records().count())
        };
        assert_eq!(read(0, 24), (Action::Clear, 2));
        assert_eq!(read(4, 88), (Action::UpdateCompressed, 2));
        assert_eq!(read(5, 16), (Action::DeleteCompressed, 2));
        assert_eq!(read(8, 16), (Action::UpdateRequest, 2));
        assert_eq!(read(9, 16), (Action::BulkStatus, 2));
    }

    #[test]
    fn each_reject_has_its_name() {
        let error = |bytes: &[u8]| LegacyFrame::parse(bytes).err();
        let of = |error| Some(LegacyError::Frame(error));
        assert_eq!(error(&[3, 0, 0]), of(FrameError::Header));
        assert_eq!(error(&[3, 0, 0, 0, 1, 2]), of(FrameError::Header));
        assert_eq!(error(&frame(5, 0, 0, &[])), of(FrameError::Version));
        assert_eq!(error(&frame(4, 1, 1, &[0; 239])), of(FrameError::Length));
        for action in [6, 7, 10, 255] {
            assert_eq!(error(&frame(4, action, 1, &[0; 500])), Some(LegacyError::Action(action)));
        }
    }
}
