//! Frames of versions 2, 3 and 4, which NetBSD, DragonFly and old FreeBSD and OpenBSD send.
//!
//! ```text
//! version | family | action | count | [ruleset checksum (16), not in version 2] | record record ...
//! ```
//!
//! A frame has one message and no subheaders. The layouts come from the systems' headers, not from recorded frames. That
//! version 2 has the records of version 3 is an assumption.

use std::fmt;

use pfsync::{
    Action, BulkStatus, Clear, CompressedUpdate, Family, FrameError, FullState, Identity, Record, Scrub,
    StateKey, StatePeer, Version, state_flags,
};

const HEADER_BYTES: usize = 4;
const CHECKSUM_BYTES: usize = 16;

/// A frame of version 2, 3 or 4.
#[derive(Clone, Copy, Debug)]
pub struct LegacyFrame<'a> {
    /// 2, 3 or 4.
    pub version: u8,
    /// What its records mean.
    pub action: Action,
    /// Number of records. All of them are present.
    pub count: u8,
    records: &'a [u8],
    record_bytes: usize,
}

/// Action and record length of each message number; `None` for messages that were never sent or whose length is unknown.
const MESSAGES: [Option<(Action, usize)>; 10] = [
    Some((Action::Clear, 24)),
    Some((Action::Insert, 240)),
    Some((Action::Update, 240)),
    Some((Action::Delete, 240)),
    Some((Action::UpdateCompressed, 88)),
    Some((Action::DeleteCompressed, 16)),
    None,
    None,
    Some((Action::UpdateRequest, 16)),
    Some((Action::BulkStatus, 16)),
];

/// Why a legacy frame is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LegacyError {
    /// The header or the length is wrong.
    Frame(FrameError),
    /// The message number is unknown.
    Action(u8),
}

impl fmt::Display for LegacyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Frame(error) => error.fmt(f),
            Self::Action(number) => write!(f, "unknown message {number}"),
        }
    }
}

impl<'a> LegacyFrame<'a> {
    /// Reads the header. `payload` is what follows the IP header.
    ///
    /// # Errors
    /// Another version, an unknown message, or more records than bytes.
    pub fn parse(payload: &'a [u8]) -> Result<Self, LegacyError> {
        let frame_error = LegacyError::Frame;
        let (&[version, _family, number, count], rest) =
            payload.split_first_chunk::<HEADER_BYTES>().ok_or(frame_error(FrameError::Header))?;
        let rest = match version {
            2 => rest,
            3 | 4 => rest.get(CHECKSUM_BYTES..).ok_or(frame_error(FrameError::Header))?,
            _ => return Err(frame_error(FrameError::Version)),
        };
        let message = MESSAGES.get(usize::from(number)).copied().flatten();
        let (action, record_bytes) = message.ok_or(LegacyError::Action(number))?;
        let records = rest.get(..record_bytes * usize::from(count)).ok_or(frame_error(FrameError::Length))?;
        Ok(Self { version, action, count, records, record_bytes })
    }

    /// Iterates over the records. The two peer states of a DEL_C are left out.
    pub fn records(&self) -> impl Iterator<Item = Record> + use<'a> {
        let Self { version, action, records, record_bytes, .. } = *self;
        records.chunks_exact(record_bytes).map(move |bytes| parse(version, action, Cursor(bytes)))
    }
}

/// Reads a record from its start to its end. The caller checked the record's length.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (head, rest) = self.0.split_first_chunk::<N>().expect("the record's length was checked");
        self.0 = rest;
        *head
    }

    fn u8(&mut self) -> u8 {
        u8::from_be_bytes(self.take())
    }

    fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.take())
    }

    fn u32(&mut self) -> u32 {
        u32::from_be_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_be_bytes(self.take())
    }

    fn peer(&mut self) -> StatePeer {
        let scrub = Scrub { flags: self.u16() & 1, ttl: self.u8(), valid: self.u8(), ts_mod: self.u32() };
        let peer = StatePeer {
            scrub: if scrub.valid == 1 { scrub } else { Scrub::default() },
            seqlo: self.u32(),
            seqhi: self.u32(),
            seqdiff: self.u32(),
            max_win: self.u16(),
            mss: self.u16(),
            state: self.u8(),
            wscale: self.u8(),
        };
        let _padding: [u8; 6] = self.take();
        peer
    }

    /// A host of a state of version 3.
    fn host(&mut self) -> ([u8; 16], [u8; 2]) {
        let host = (self.take(), self.take());
        let _padding: [u8; 6] = self.take();
        host
    }

    /// The keys of a state of version 3, made of its three hosts: slot 0 is the external host.
    fn keys_of_hosts(&mut self) -> [StateKey; 2] {
        let [lan, gateway, external] = [self.host(), self.host(), self.host()];
        [gateway, lan].map(|(address, port)| StateKey {
            addr: [external.0, address],
            port: [external.1, port],
            ..StateKey::EMPTY
        })
    }

    /// A key of a state of version 4.
    fn key(&mut self) -> StateKey {
        StateKey { addr: [self.take(), self.take()], port: [self.take(), self.take()], ..StateKey::EMPTY }
    }

    fn state(&mut self, version: u8) -> FullState {
        let mut state = FullState { id: Identity { id: self.u64(), creator: 0 }, ..FullState::EMPTY };
        state.ifname = self.take();
        state.key = if version == 4 { [self.key(), self.key()] } else { self.keys_of_hosts() };
        state.src = self.peer();
        state.dst = self.peer();
        state.rt_addr = self.take();
        state.rule = self.u32();
        state.anchor = self.u32();
        state.nat_rule = self.u32();
        state.creation = self.u32();
        state.expire = self.u32();
        state.packets = [self.u64(), self.u64()];
        state.bytes = [self.u64(), self.u64()];
        state.id.creator = self.u32();
        // NetBSD numbers IPv6 as OpenBSD, DragonFly as FreeBSD. Version 6 reads both numbers.
        state.family = Family::from_number(self.u8(), Version::V6);
        let proto = self.u8();
        for key in &mut state.key {
            (key.family, key.proto) = (state.family, proto);
            if key.family == Family::V4 {
                key.addr.iter_mut().for_each(|address| address[4..].fill(0));
            }
        }
        state.direction = self.u8();
        state.log = self.u8();
        state.state_flags = match (version, self.u8()) {
            (4, flags) => u16::from(flags),
            (_, 0) => 0,
            (_, _allow_opts) => state_flags::ALLOW_OPTS,
        };
        state.timeout = self.u8();
        state.sync_flags = self.u8();
        state.updates = self.u8();
        state
    }

    fn compressed(&mut self) -> CompressedUpdate {
        let id = self.u64();
        let (src, dst) = (self.peer(), self.peer());
        let id = Identity { id, creator: self.u32() };
        CompressedUpdate { id, src, dst, expire: self.u32(), timeout: self.u8() }
    }
}

fn parse(version: u8, action: Action, mut record: Cursor<'_>) -> Record {
    match action {
        Action::Insert | Action::Update | Action::Delete => Record::State(record.state(version)),
        Action::UpdateCompressed => Record::Compressed(record.compressed()),
        Action::Clear => Record::Clear(Clear { ifname: record.take(), creator: record.u32() }),
        Action::BulkStatus => Record::BulkStatus(BulkStatus {
            creator: record.u32(),
            endtime: record.u32(),
            status: record.u8(),
        }),
        _ => Record::Id(Identity { id: record.u64(), creator: record.u32() }),
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

    fn state(version: u8, record: &[u8; 240]) -> FullState {
        let bytes = frame(version, 1, 1, record);
        match LegacyFrame::parse(&bytes).unwrap().records().next() {
            Some(Record::State(state)) => state,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn hosts_of_version_3_become_keys() {
        let mut record = [0; 240];
        for (at, first) in [(24, 1), (48, 2), (72, 3)] {
            record[at..at + 4].fill(first);
            record[at + 4..at + 16].fill(0xa5);
            record[at + 16..at + 18].copy_from_slice(&[first, first]);
        }
        record[232..238].copy_from_slice(&[2, 6, 2, 1, 1, 3]);
        for version in [2, 3] {
            let state = state(version, &record);
            assert_eq!(state.key[0].port, [[3, 3], [2, 2]], "wire: external, gateway");
            assert_eq!(state.key[1].port, [[3, 3], [1, 1]], "stack: external, LAN");
            assert_eq!(state.key[1].addr[1][..6], [1, 1, 1, 1, 0, 0]);
            assert_eq!((state.timeout, state.state_flags, state.direction), (3, state_flags::ALLOW_OPTS, 2));
        }
    }

    #[test]
    fn version_4_has_keys() {
        let mut record = [0; 240];
        record[24..28].fill(9);
        record[232..238].copy_from_slice(&[28, 17, 1, 0, 0x21, 7]);
        let state = state(4, &record);
        assert_eq!((state.key[0].family, state.key[0].addr[0][0]), (Family::V6, 9));
        assert_eq!((state.timeout, state.state_flags), (7, 0x21));
    }

    #[test]
    fn every_field_is_read_at_its_offset() {
        let record: [u8; 240] = core::array::from_fn(|at| at as u8);
        for version in [3, 4] {
            let state = state(version, &record);
            assert_eq!((state.id.id >> 56, state.id.creator >> 24), (0, 228));
            assert_eq!(state.ifname[0], 8);
            let (wire, stack) = if version == 4 { (24, 60) } else { (72, 72) };
            assert_eq!((state.key[0].addr[0][0], state.key[1].addr[0][0]), (wire, stack));
            assert_eq!((state.src.seqlo >> 24, state.dst.seqlo >> 24), (96 + 8, 128 + 8));
            assert_eq!((state.rt_addr[0], state.rule >> 24, state.anchor >> 24), (160, 176, 180));
            assert_eq!(
                [state.nat_rule, state.creation, state.expire].map(|field| field >> 24),
                [184, 188, 192]
            );
            assert_eq!(state.packets.map(|count| count >> 56), [196, 204]);
            assert_eq!(state.bytes.map(|count| count >> 56), [212, 220]);
            assert_eq!((state.key[0].proto, state.direction, state.log), (233, 234, 235));
            assert_eq!((state.timeout, state.sync_flags, state.updates), (237, 238, 239));
        }
    }

    #[test]
    fn small_messages_are_read_at_their_offsets() {
        let records = |action, bytes: usize| -> Vec<Record> {
            let record: Vec<u8> = (0..bytes).map(|at| at as u8).collect();
            let bytes = frame(3, action, 2, &record.repeat(2));
            let frame = LegacyFrame::parse(&bytes).unwrap();
            assert_eq!(frame.records().count(), 2);
            frame.records().collect()
        };
        assert!(matches!(records(0, 24)[1], Record::Clear(clear) if clear.creator >> 24 == 16));
        let Record::Compressed(update) = records(4, 88)[1] else { panic!() };
        assert_eq!((update.id.creator >> 24, update.timeout), (72, 80));
        assert!(matches!(records(5, 16)[1], Record::Id(id) if id.creator >> 24 == 8));
        assert!(matches!(records(8, 16)[1], Record::Id(id) if id.creator >> 24 == 8));
        assert!(matches!(records(9, 16)[1], Record::BulkStatus(bulk) if bulk.status == 8));
    }

    #[test]
    fn each_reject_has_its_own_error() {
        let error = |bytes: &[u8]| LegacyFrame::parse(bytes).err();
        let frame_error = |error| Some(LegacyError::Frame(error));
        assert_eq!(error(&[3, 0, 0]), frame_error(FrameError::Header));
        assert_eq!(error(&[3, 0, 0, 0, 1, 2]), frame_error(FrameError::Header));
        assert_eq!(error(&frame(5, 0, 0, &[])), frame_error(FrameError::Version));
        assert_eq!(error(&frame(4, 1, 1, &[0; 239])), frame_error(FrameError::Length));
        for action in [6, 7, 10, 255] {
            assert_eq!(error(&frame(4, action, 1, &[0; 500])), Some(LegacyError::Action(action)));
        }
    }
}
