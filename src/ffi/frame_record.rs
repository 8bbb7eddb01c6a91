//! A record of a pfsync frame as C sees it: the same for all dialects and all actions.

use super::{Failure, PFPLANE_ERROR_ARGUMENT, PFPLANE_OK, check_size, exclusive, guard, put};
use super::{
    PFPLANE_PROFILE_FREEBSD1301, PFPLANE_PROFILE_FREEBSD1400, PFPLANE_PROFILE_FREEBSD1500,
    PFPLANE_PROFILE_OPENBSD6,
};
use core::ffi::{CStr, c_char};
use pfsync::{Action, Field, FieldSet, Profile, Record, convert};

/// All states of a creator are gone. Read: `creator`, `state.ifname` (empty: all interfaces).
pub const PFPLANE_ACTION_CLEAR: u32 = 1;
/// A new state, whole. Read: all of `state`.
pub const PFPLANE_ACTION_INSERT: u32 = 2;
/// An insert that asked for it was taken in. Read: `id`, `creator`.
pub const PFPLANE_ACTION_INSERT_ACK: u32 = 3;
/// A state, whole. Read: all of `state`.
pub const PFPLANE_ACTION_UPDATE: u32 = 4;
/// What changes in a state. Read: `id`, `creator`, `state.src`, `state.dst`, `state.timeout`, `state.expire_s`.
pub const PFPLANE_ACTION_UPDATE_COMPRESSED: u32 = 5;
/// Asks for a whole state, with `id` and `creator` 0 for all of them. Read: `id`, `creator`.
pub const PFPLANE_ACTION_UPDATE_REQUEST: u32 = 6;
/// A state is gone, told with the whole of it; nobody sends it today. Read: all of `state`.
pub const PFPLANE_ACTION_DELETE: u32 = 7;
/// A state is gone. Read: `id`, `creator`.
pub const PFPLANE_ACTION_DELETE_COMPRESSED: u32 = 8;
/// A bulk transfer begins or ends. Read: `creator`, `bulk_endtime_s`, `bulk_status`.
pub const PFPLANE_ACTION_BULK_STATUS: u32 = 9;
/// Counters of an IPsec association. Read: `tdb`.
pub const PFPLANE_ACTION_TDB: u32 = 10;
/// The end mark of version 5; the frame writer sets it itself.
pub const PFPLANE_ACTION_EOF: u32 = 11;

const ACTIONS: [(u32, Action); 11] = [
    (PFPLANE_ACTION_CLEAR, Action::Clear),
    (PFPLANE_ACTION_INSERT, Action::Insert),
    (PFPLANE_ACTION_INSERT_ACK, Action::InsertAck),
    (PFPLANE_ACTION_UPDATE, Action::Update),
    (PFPLANE_ACTION_UPDATE_COMPRESSED, Action::UpdateCompressed),
    (PFPLANE_ACTION_UPDATE_REQUEST, Action::UpdateRequest),
    (PFPLANE_ACTION_DELETE, Action::Delete),
    (PFPLANE_ACTION_DELETE_COMPRESSED, Action::DeleteCompressed),
    (PFPLANE_ACTION_BULK_STATUS, Action::BulkStatus),
    (PFPLANE_ACTION_TDB, Action::Tdb),
    (PFPLANE_ACTION_EOF, Action::Eof),
];

/// One key of a state.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_frame_key {
    /// Network order; slot 0 is the host beyond the interface. IPv4 in the first four bytes, the others zero.
    pub addr: [[u8; 16]; 2],
    /// Host order.
    pub port: [u16; 2],
    /// Routing domain; OpenBSD only.
    pub rdomain: u16,
    /// 4, 6, or 0 for a family that is neither.
    pub family: u8,
    /// IP protocol number.
    pub proto: u8,
}

/// One side of a connection. Numbers in host order.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_frame_peer {
    /// Highest sequence number that this side has sent.
    pub seqlo: u32,
    /// Highest sequence number that this side may send.
    pub seqhi: u32,
    /// Modulator added to this side's numbers, 0 for none.
    pub seqdiff: u32,
    /// Timestamp modulator; FreeBSD 14 and later: SCTP verification tag. With `scrub_valid` only.
    pub scrub_ts_mod: u32,
    /// Scrub flags; only bit 0x0001 is on the wire. With `scrub_valid` only.
    pub scrub_flags: u16,
    /// Largest window advertised, unscaled.
    pub max_win: u16,
    /// Maximum segment size.
    pub mss: u16,
    /// Highest TTL seen. With `scrub_valid` only.
    pub scrub_ttl: u8,
    /// 1: this side is scrubbed.
    pub scrub_valid: u8,
    /// pf's state number.
    pub state: u8,
    /// Low four bits the shift, bit 0x80 when the option was seen.
    pub wscale: u8,
    /// Zero.
    pub reserved: [u8; 6],
}

/// A whole state with every field that any dialect carries. Numbers in host order; names end with a NUL.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_frame_state {
    /// Wire key and stack key.
    pub key: [pfplane_frame_key; 2],
    /// The side that sent the first packet.
    pub src: pfplane_frame_peer,
    /// The other side.
    pub dst: pfplane_frame_peer,
    /// Packets: the first packet's way, and the other.
    pub packets: [u64; 2],
    /// Bytes: the first packet's way, and the other.
    pub bytes: [u64; 2],
    /// The interface that the state is bound to; "all" for a floating one.
    pub ifname: [u8; 16],
    /// Next hop of route-to and reply-to.
    pub rt_addr: [u8; 16],
    /// FreeBSD 14: interface of the next hop.
    pub rt_ifname: [u8; 16],
    /// FreeBSD 15: real interface behind a floating state.
    pub orig_ifname: [u8; 16],
    /// FreeBSD 15: tag.
    pub tagname: [u8; 64],
    /// Rule, UINT32_MAX for none.
    pub rule: u32,
    /// Anchor, UINT32_MAX for none.
    pub anchor: u32,
    /// Translation rule, UINT32_MAX for none.
    pub nat_rule: u32,
    /// Seconds since the state was made.
    pub age_s: u32,
    /// Seconds left, 0 for expired or unknown.
    pub expire_s: u32,
    /// Routing tables of the wire and the stack side, -1 for none.
    pub rtableid: [i32; 2],
    /// pf's flags.
    pub state_flags: u16,
    /// Scrub: largest MSS.
    pub max_mss: u16,
    /// FreeBSD: ALTQ queues and dummynet pipes.
    pub qid: u16,
    /// See `qid`.
    pub pqid: u16,
    /// See `qid`.
    pub dnpipe: u16,
    /// See `qid`.
    pub dnrpipe: u16,
    /// PFPLANE_IN or PFPLANE_OUT.
    pub direction: u8,
    /// Log flags.
    pub log: u8,
    /// 0 none, 1 route-to, 2 dup-to, 3 reply-to, 4 fastroute (FreeBSD), in every dialect.
    pub rt: u8,
    /// FreeBSD 15: 4, 6, or 0, of `rt_addr`.
    pub rt_family: u8,
    /// pf's timeout class.
    pub timeout: u8,
    /// 0x04 has a source node, 0x08 has a translation source node.
    pub sync_flags: u8,
    /// Unused by all systems.
    pub updates: u8,
    /// Scrub: least TTL.
    pub min_ttl: u8,
    /// Scrub: type of service.
    pub set_tos: u8,
    /// Scrub: priorities.
    pub set_prio: [u8; 2],
    /// The family that the message names besides the keys': 4, 6 or 0. Not written.
    pub family: u8,
}

/// Counters of an IPsec association.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_frame_tdb {
    /// Replay counter.
    pub replay: u64,
    /// Byte counter.
    pub bytes: u64,
    /// Security parameter index.
    pub spi: u32,
    /// Routing domain; OpenBSD only.
    pub rdomain: u16,
    /// IPsec protocol.
    pub proto: u8,
    /// Zero.
    pub reserved: u8,
    /// A BSD socket address: length, family of the sending system, port, address.
    pub destination: [u8; 28],
    /// Zero.
    pub reserved2: u32,
}

/// One record of a frame. Which fields hold is said at PFPLANE_ACTION_*; the others are zero.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_frame_record {
    /// sizeof(struct pfplane_frame_record).
    pub size: u32,
    /// PFPLANE_ACTION_*.
    pub action: u32,
    /// PFPLANE_PROFILE_* of the layout for a whole state, else 0. Not looked at when written.
    pub profile: u32,
    /// PFPLANE_FAULT_*, PFPLANE_FAULT_NONE for a sound record. Not looked at when written.
    pub fault: u32,
    /// Identity: unique among the states of one creator.
    pub id: u64,
    /// Identity: the host id of the node that made the state.
    pub creator: u32,
    /// Seconds since the bulk request; OpenBSD sends 0.
    pub bulk_endtime_s: u32,
    /// 1 start, 2 end.
    pub bulk_status: u32,
    /// Zero.
    pub reserved: u32,
    /// The state.
    pub state: pfplane_frame_state,
    /// The IPsec association.
    pub tdb: pfplane_frame_tdb,
}

/// Fills `record_out` with a record in which nothing is set and every "none" is in its place.
///
/// Parameters: `size`, sizeof(struct pfplane_frame_record); `action`, PFPLANE_ACTION_*.
/// Returns: PFPLANE_OK, PFPLANE_ERROR_SIZE, PFPLANE_ERROR_ARGUMENT, PFPLANE_ERROR_NULL.
/// Thread: any.
///
/// # Safety
/// `record_out` is NULL or has room for the struct.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_frame_record_init(
    record_out: *mut pfplane_frame_record,
    size: u32,
    action: u32,
) -> i32 {
    guard(|| {
        check_size::<pfplane_frame_record>(size, "record_out")?;
        let record = pfplane_frame_record { action, ..pfplane_frame_record::empty() };
        action_of(action)?;
        // SAFETY: the caller promises NULL or room for the struct.
        unsafe { put(record_out, "record_out", record) }?;
        Ok(PFPLANE_OK)
    })
}

/// Carries a whole state from one dialect to another: clears what the other cannot say, maps what it says otherwise.
///
/// Parameters: `record`, changed in place; records without a whole state stay as they are. `from`, `to`:
/// PFPLANE_PROFILE_*. `dropped_out` and `mapped_out` get a bit for each field that lost or changed its value; bit n is
/// called pfplane_frame_field_name(n).
/// Returns: PFPLANE_OK, PFPLANE_ERROR_ARGUMENT, PFPLANE_ERROR_SIZE, PFPLANE_ERROR_NULL.
/// Thread: any.
///
/// # Safety
/// All pointers are valid as said, or `NULL`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_frame_record_convert(
    record: *mut pfplane_frame_record,
    from: u32,
    to: u32,
    dropped_out: *mut u32,
    mapped_out: *mut u32,
) -> i32 {
    guard(|| {
        // SAFETY: the caller promises NULL or a record that only this call uses.
        let record = unsafe { exclusive(record, "record") }?;
        check_size::<pfplane_frame_record>(record.size, "record")?;
        let (from, to) = (profile_of(from)?, profile_of(to)?);
        let (mut dropped, mut mapped) = (FieldSet::EMPTY, FieldSet::EMPTY);
        if let Record::State(state) = record.record()? {
            let conversion = convert(&state, from, to);
            record.set_state(&conversion.state);
            (dropped, mapped) = (conversion.dropped, conversion.mapped);
        }
        let bits = |set: FieldSet| set.iter().fold(0u32, |bits, field| bits | 1 << field as u8);
        // SAFETY: the caller promises NULL or room for a number.
        unsafe { put(dropped_out, "dropped_out", bits(dropped)) }?;
        // SAFETY: as above.
        unsafe { put(mapped_out, "mapped_out", bits(mapped)) }?;
        Ok(PFPLANE_OK)
    })
}

/// The name of bit `number` of what pfplane_frame_record_convert reports.
///
/// Returns: a text that lives as long as the program; `NULL` past the last.
/// Thread: any.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_frame_field_name(number: u32) -> *const c_char {
    let name = Field::ALL.iter().find(|&&field| field as u32 == number).map(|field| field.c_name());
    name.map_or(core::ptr::null(), CStr::as_ptr)
}

pub(super) fn profile_of(number: u32) -> Result<Profile, Failure> {
    match number {
        PFPLANE_PROFILE_OPENBSD6 => Ok(Profile::OpenBsd6),
        PFPLANE_PROFILE_FREEBSD1301 => Ok(Profile::FreeBsd1301),
        PFPLANE_PROFILE_FREEBSD1400 => Ok(Profile::FreeBsd1400),
        PFPLANE_PROFILE_FREEBSD1500 => Ok(Profile::FreeBsd1500),
        other => Err(Failure::new(PFPLANE_ERROR_ARGUMENT, format!("there is no profile {other}"))),
    }
}

pub(super) const fn profile_number(profile: Profile) -> u32 {
    match profile {
        Profile::OpenBsd6 => PFPLANE_PROFILE_OPENBSD6,
        Profile::FreeBsd1301 => PFPLANE_PROFILE_FREEBSD1301,
        Profile::FreeBsd1400 => PFPLANE_PROFILE_FREEBSD1400,
        Profile::FreeBsd1500 => PFPLANE_PROFILE_FREEBSD1500,
    }
}

pub(super) fn action_of(number: u32) -> Result<Action, Failure> {
    let known = ACTIONS.iter().find(|(known, _)| *known == number).map(|(_, action)| *action);
    known.ok_or_else(|| Failure::new(PFPLANE_ERROR_ARGUMENT, format!("there is no action {number}")))
}

pub(super) fn action_number(action: Action) -> u32 {
    ACTIONS.iter().find(|(_, known)| *known == action).map_or(0, |(number, _)| *number)
}
