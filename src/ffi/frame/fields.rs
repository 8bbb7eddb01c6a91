//! Field by field between C's record and the codec's.

use super::super::{Failure, PFPLANE_ERROR_ARGUMENT, pfplane_key, pfplane_side, pfplane_state};
use super::record::{action_of, pfplane_frame_record, pfplane_frame_tdb};
use pfsync::{
    Action, BulkStatus, Clear, CompressedUpdate, Family, FullState, Identity, Record, Scrub, StateKey,
    StatePeer, Tdb,
};

impl pfplane_frame_record {
    /// A record in which every field has its "none".
    pub(in super::super) fn empty() -> Self {
        let tdb = Tdb::default();
        Self {
            size: size_of::<Self>() as u32,
            action: 0,
            profile: 0,
            fault: 0,
            id: 0,
            creator: 0,
            bulk_endtime_s: 0,
            bulk_status: 0,
            reserved: 0,
            state: pfplane_state::new(&FullState::EMPTY),
            tdb: pfplane_frame_tdb::new(&tdb),
        }
    }

    /// Copies the fields of a record of the codec.
    pub(super) fn set(&mut self, record: &Record) {
        match record {
            Record::State(state) => self.set_state(state),
            Record::Compressed(update) => {
                self.set_id(update.id);
                self.state.src = pfplane_side::new(&update.src);
                self.state.dst = pfplane_side::new(&update.dst);
                self.state.expire_s = update.expire;
                self.state.timeout = update.timeout;
            }
            Record::Id(id) => self.set_id(*id),
            Record::Clear(clear) => {
                self.creator = clear.creator;
                self.state.ifname = clear.ifname;
            }
            Record::BulkStatus(status) => {
                self.creator = status.creator;
                self.bulk_endtime_s = status.endtime;
                self.bulk_status = status.status.into();
            }
            Record::Tdb(tdb) => self.tdb = pfplane_frame_tdb::new(tdb),
        }
    }

    pub(in super::super) fn set_state(&mut self, state: &FullState) {
        self.set_id(state.id);
        self.state = pfplane_state::new(state);
    }

    fn set_id(&mut self, id: Identity) {
        self.id = id.id;
        self.creator = id.creator;
    }

    /// The record as the codec takes it.
    pub(in super::super) fn record(&self) -> Result<Record, Failure> {
        let id = Identity { id: self.id, creator: self.creator };
        Ok(match action_of(self.action)? {
            Action::Insert | Action::Update | Action::Delete => Record::State(self.state.state(id)),
            Action::UpdateCompressed => Record::Compressed(CompressedUpdate {
                id,
                src: self.state.src.peer(),
                dst: self.state.dst.peer(),
                expire: self.state.expire_s,
                timeout: self.state.timeout,
            }),
            Action::InsertAck | Action::UpdateRequest | Action::DeleteCompressed => Record::Id(id),
            Action::Clear => Record::Clear(Clear { ifname: self.state.ifname, creator: self.creator }),
            Action::BulkStatus => Record::BulkStatus(BulkStatus {
                creator: self.creator,
                endtime: self.bulk_endtime_s,
                status: self.bulk_status as u8,
            }),
            Action::Tdb => Record::Tdb(self.tdb.tdb()),
            Action::Eof => {
                let text = "the end mark is written by pfplane_frame_writer_finish";
                return Err(Failure::new(PFPLANE_ERROR_ARGUMENT, text));
            }
        })
    }
}

impl pfplane_key {
    fn new(key: &StateKey) -> Self {
        Self {
            addr: key.addr,
            port: key.port.map(u16::from_be_bytes),
            rdomain: key.rdomain,
            family: family_number(key.family),
            proto: key.proto,
        }
    }

    fn key(&self) -> StateKey {
        StateKey {
            addr: self.addr,
            port: self.port.map(u16::to_be_bytes),
            rdomain: self.rdomain,
            family: family_of(self.family),
            proto: self.proto,
        }
    }
}

impl pfplane_side {
    fn new(peer: &StatePeer) -> Self {
        Self {
            seqlo: peer.seqlo,
            seqhi: peer.seqhi,
            seqdiff: peer.seqdiff,
            scrub_ts_mod: peer.scrub.ts_mod,
            scrub_flags: peer.scrub.flags,
            max_win: peer.max_win,
            mss: peer.mss,
            scrub_ttl: peer.scrub.ttl,
            scrub_valid: peer.scrub.valid,
            state: peer.state,
            wscale: peer.wscale,
            reserved: [0; 6],
        }
    }

    fn peer(&self) -> StatePeer {
        StatePeer {
            scrub: Scrub {
                flags: self.scrub_flags,
                ttl: self.scrub_ttl,
                valid: self.scrub_valid,
                ts_mod: self.scrub_ts_mod,
            },
            seqlo: self.seqlo,
            seqhi: self.seqhi,
            seqdiff: self.seqdiff,
            max_win: self.max_win,
            mss: self.mss,
            state: self.state,
            wscale: self.wscale,
        }
    }
}

/// Copies the fields that have the same name and meaning on both sides.
macro_rules! same_fields {
    ($($field:ident)+) => {
        impl pfplane_state {
            pub(in super::super) fn new(state: &FullState) -> Self {
                Self {
                    key: state.key.each_ref().map(pfplane_key::new),
                    src: pfplane_side::new(&state.src),
                    dst: pfplane_side::new(&state.dst),
                    age_s: state.creation,
                    expire_s: state.expire,
                    family: family_number(state.family),
                    rt_family: family_number(state.rt_family),
                    $($field: state.$field,)+
                }
            }

            fn state(&self, id: Identity) -> FullState {
                FullState {
                    id,
                    key: self.key.each_ref().map(pfplane_key::key),
                    src: self.src.peer(),
                    dst: self.dst.peer(),
                    creation: self.age_s,
                    expire: self.expire_s,
                    family: family_of(self.family),
                    rt_family: family_of(self.rt_family),
                    $($field: self.$field,)+
                }
            }
        }
    };
}

same_fields! {
    packets bytes ifname rt_addr rt_ifname orig_ifname tagname rule anchor nat_rule rtableid state_flags max_mss
    qid pqid dnpipe dnrpipe direction log rt timeout sync_flags updates min_ttl set_tos set_prio
}

impl pfplane_frame_tdb {
    fn new(tdb: &Tdb) -> Self {
        Self {
            replay: tdb.replay,
            bytes: tdb.bytes,
            spi: tdb.spi,
            rdomain: tdb.rdomain,
            proto: tdb.proto,
            reserved: 0,
            destination: tdb.destination,
            reserved2: 0,
        }
    }

    fn tdb(&self) -> Tdb {
        Tdb {
            spi: self.spi,
            destination: self.destination,
            replay: self.replay,
            bytes: self.bytes,
            proto: self.proto,
            rdomain: self.rdomain,
        }
    }
}

const fn family_number(family: Family) -> u8 {
    match family {
        Family::V4 => 4,
        Family::V6 => 6,
        _ => 0,
    }
}

const fn family_of(number: u8) -> Family {
    match number {
        4 => Family::V4,
        6 => Family::V6,
        _ => Family::NONE,
    }
}
