//! Frames: records
//!
//! The pfsync codec alone, without an engine, a table or a clock. A frame is a list of records, and one struct holds a record
//! of any action in any dialect. c-examples/frame-convert turns OpenBSD's frames into FreeBSD's.

use super::super::{
    Failure, PFPLANE_OK, check_size, given_mut, guard, pfplane_state, profile_of, put, unknown,
};
use core::ffi::{CStr, c_char};
use core::mem::MaybeUninit;
use pfsync::{Action, Field, FieldSet, Record, convert};

// enum pfplane_frame_action: What a record says, and which fields of `pfplane_frame_record` it has.
/// All states of a creator are deleted: `creator`, `state.ifname` (empty: on all interfaces).
pub const PFPLANE_ACTION_CLEAR: u32 = 1;
/// A new state: `id`, `creator`, `state`.
pub const PFPLANE_ACTION_INSERT: u32 = 2;
/// Acknowledges an insert that asked for it: `id`, `creator`.
pub const PFPLANE_ACTION_INSERT_ACK: u32 = 3;
/// A changed state: `id`, `creator`, `state`.
pub const PFPLANE_ACTION_UPDATE: u32 = 4;
/// What has changed in a state: `id`, `creator`, `state.src`, `.dst`, `.timeout` and `.expire_s`.
pub const PFPLANE_ACTION_UPDATE_COMPRESSED: u32 = 5;
/// Requests a whole state: `id`, `creator`; both 0 request all states (bulk transfer).
pub const PFPLANE_ACTION_UPDATE_REQUEST: u32 = 6;
/// A deleted state, in full; no system sends it today: `id`, `creator`, `state`.
pub const PFPLANE_ACTION_DELETE: u32 = 7;
/// A deleted state: `id`, `creator`.
pub const PFPLANE_ACTION_DELETE_COMPRESSED: u32 = 8;
/// Start or end of a bulk transfer: `creator`, `bulk_endtime_s`, `bulk_status`.
pub const PFPLANE_ACTION_BULK_STATUS: u32 = 9;
/// Counters of an IPsec association: `tdb`.
pub const PFPLANE_ACTION_TDB: u32 = 10;
/// The end mark of version 5, which the writer adds itself.
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

/// Counters of an IPsec association.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_frame_tdb {
    /// Replay counter.
    pub replay: u64,
    /// Byte counter.
    pub bytes: u64,
    /// Security parameter index, host order.
    pub spi: u32,
    /// Routing domain; OpenBSD only.
    pub rdomain: u16,
    /// IPsec protocol.
    pub proto: u8,
    /// Zero.
    pub reserved: u8,
    /// A BSD socket address: length, family as the sending system numbers it, port, address.
    pub destination: [u8; 28],
    /// Zero.
    pub reserved2: u32,
}

/// One record of a frame. PFPLANE_ACTION_* say which fields it has; the others are zero.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_frame_record {
    /// sizeof(struct pfplane_frame_record).
    pub size: u32,
    /// PFPLANE_ACTION_*.
    pub action: u32,
    /// PFPLANE_PROFILE_* of a whole state's layout, otherwise 0. Ignored by the writer.
    pub profile: u32,
    /// PFPLANE_FAULT_*. Ignored by the writer.
    pub fault: u32,
    /// Identity: unique among the states of one creator.
    pub id: u64,
    /// Identity: the host id of the node that created the state.
    pub creator: u32,
    /// Seconds since the bulk request; OpenBSD sends 0.
    pub bulk_endtime_s: u32,
    /// 1 start, 2 end.
    pub bulk_status: u32,
    /// Zero.
    pub reserved: u32,
    /// The state.
    pub state: pfplane_state,
    /// The IPsec association.
    pub tdb: pfplane_frame_tdb,
}

/// Fills `record_out` with a record in which every field has its "none".
///
/// Parameters: `size`, sizeof(struct pfplane_frame_record); `action`, PFPLANE_ACTION_*.
/// Returns: PFPLANE_OK, PFPLANE_ERROR_SIZE, PFPLANE_ERROR_ARGUMENT, PFPLANE_ERROR_NULL.
/// Thread: any.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_frame_record_init(
    record_out: Option<&mut MaybeUninit<pfplane_frame_record>>,
    size: u32,
    action: u32,
) -> i32 {
    guard(|| {
        check_size::<pfplane_frame_record>(size, "record_out")?;
        action_of(action)?;
        put(record_out, "record_out", pfplane_frame_record { action, ..pfplane_frame_record::empty() })?;
        Ok(PFPLANE_OK)
    })
}

/// Converts a whole state from one dialect to another, in place: clears what the other cannot express, and maps what it
/// expresses differently. Records without a whole state stay as they are.
///
/// Parameters: `from` and `to`, PFPLANE_PROFILE_*. `dropped_out` and `mapped_out` get a bit for each field that lost or changed
/// its value; the name of bit n is pfplane_frame_field_name(n).
/// Returns: PFPLANE_OK, PFPLANE_ERROR_ARGUMENT, PFPLANE_ERROR_SIZE, PFPLANE_ERROR_NULL.
/// Thread: any.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_frame_record_convert(
    record: Option<&mut pfplane_frame_record>,
    from: u32,
    to: u32,
    dropped_out: Option<&mut MaybeUninit<u32>>,
    mapped_out: Option<&mut MaybeUninit<u32>>,
) -> i32 {
    guard(|| {
        let record = given_mut(record, "record")?;
        check_size::<pfplane_frame_record>(record.size, "record")?;
        let (from, to) = (profile_of("from", from)?, profile_of("to", to)?);
        let (mut dropped, mut mapped) = (FieldSet::EMPTY, FieldSet::EMPTY);
        if let Record::State(state) = record.record()? {
            let conversion = convert(&state, from, to);
            record.set_state(&conversion.state);
            (dropped, mapped) = (conversion.dropped, conversion.mapped);
        }
        let bits = |set: FieldSet| set.iter().fold(0u32, |bits, field| bits | 1 << field as u8);
        put(dropped_out, "dropped_out", bits(dropped))?;
        put(mapped_out, "mapped_out", bits(mapped))?;
        Ok(PFPLANE_OK)
    })
}

/// Returns the name of bit `number` in what pfplane_frame_record_convert reports.
///
/// Returns: a text that lives as long as the program; `NULL` past the last.
/// Thread: any.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_frame_field_name(number: u32) -> *const c_char {
    let name = Field::ALL.iter().find(|&&field| field as u32 == number).map(|field| field.c_name());
    name.map_or(core::ptr::null(), CStr::as_ptr)
}

pub(super) fn action_of(number: u32) -> Result<Action, Failure> {
    let known = ACTIONS.iter().find(|(known, _)| *known == number).map(|(_, action)| *action);
    known.ok_or_else(|| unknown("action", number))
}

pub(super) fn action_number(action: Action) -> u32 {
    ACTIONS.iter().find(|(_, known)| *known == action).map_or(0, |(number, _)| *number)
}
