//! Frame readers and writers, and two replicas of tables.

use super::measure::call;
use super::world::*;
use core::ffi::c_void;
use core::ptr::{null, null_mut};
use pfplane::internals::ffi::*;

const SLOTS: usize = 64;

/// A host's table.
struct Table([Option<pfplane_state>; SLOTS]);

unsafe extern "C" fn get(context: *mut c_void, slot: u32, record_out: *mut pfplane_frame_record) -> i32 {
    let table = unsafe { &*context.cast::<Table>() };
    let Some(state) = table.0[slot as usize] else { return PFPLANE_END };
    unsafe { (*record_out).state = state };
    PFPLANE_OK
}

unsafe extern "C" fn insert(
    context: *mut c_void,
    record: *const pfplane_frame_record,
    slot_out: *mut u32,
) -> i32 {
    let table = unsafe { &mut *context.cast::<Table>() };
    let Some(slot) = table.0.iter().position(Option::is_none) else { return PFPLANE_ERROR_FULL };
    unsafe { (table.0[slot], *slot_out) = (Some((*record).state), slot as u32) };
    PFPLANE_OK
}

unsafe extern "C" fn update(context: *mut c_void, slot: u32, record: *const pfplane_frame_record) {
    unsafe { (*context.cast::<Table>()).0[slot as usize] = Some((*record).state) };
}

unsafe extern "C" fn remove(context: *mut c_void, slot: u32) {
    unsafe { (*context.cast::<Table>()).0[slot as usize] = None };
}

unsafe extern "C" fn walk(context: *mut c_void, from: u32, slot_out: *mut u32) -> i32 {
    let table = unsafe { &*context.cast::<Table>() };
    let Some(slot) = (from as usize..SLOTS).find(|slot| table.0[*slot].is_some()) else { return PFPLANE_END };
    unsafe { *slot_out = slot as u32 };
    PFPLANE_OK
}

fn record(action: u32, number: u16) -> pfplane_frame_record {
    let mut record = zeroed();
    let size = size::<pfplane_frame_record>();
    assert_eq!(call!(pfplane_frame_record_init(out(&mut record), size, action)), PFPLANE_OK);
    let state = &mut record.state;
    (state.key[0].family, state.key[0].proto, state.key[0].port) = (4, 6, [4000 + number, 443]);
    state.key[1] = state.key[0];
    (state.direction, state.timeout, state.expire_s) = (PFPLANE_IN, 2, 1000);
    record
}

fn codec() {
    let (mut reader, mut text) = (null_mut(), 0);
    assert_eq!(call!(pfplane_frame_reader_new(out(&mut reader))), PFPLANE_OK);
    let profiles = [
        PFPLANE_PROFILE_OPENBSD6,
        PFPLANE_PROFILE_FREEBSD1301,
        PFPLANE_PROFILE_FREEBSD1400,
        PFPLANE_PROFILE_FREEBSD1500,
    ];
    for profile in profiles {
        let (mut writer, mut packet, mut length, mut fault) = (null_mut(), vec![0u8; 9000], 0, 0);
        assert_eq!(call!(pfplane_frame_writer_new(profile, None, out(&mut writer))), PFPLANE_OK);
        let payload = packet[20..].as_mut_ptr();
        assert_eq!(call!(pfplane_frame_writer_begin(writer.as_mut(), payload, 8980)), PFPLANE_OK);
        for action in PFPLANE_ACTION_CLEAR..=PFPLANE_ACTION_DELETE {
            let mut record = record(action, action as u16);
            call!(pfplane_frame_writer_push(writer.as_mut(), Some(&record)));
            let outs = (out(&mut text), out(&mut fault));
            call!(pfplane_frame_record_convert(
                Some(&mut record),
                profile,
                PFPLANE_PROFILE_OPENBSD6,
                outs.0,
                outs.1
            ));
        }
        assert_eq!(call!(pfplane_frame_writer_finish(writer.as_mut(), out(&mut length))), PFPLANE_OK);
        call!(pfplane_frame_writer_free(writer));
        let (from, to) = (peer(1).source, peer(2).source);
        let bytes = packet.as_mut_ptr();
        let status = call!(pfplane_frame_envelope_write(
            Some(&from),
            Some(&to),
            0,
            1,
            length,
            bytes,
            9000,
            out(&mut fault)
        ));
        assert_eq!(status, PFPLANE_OK, "{}", last_error());
        call!(pfplane_frame_reader_begin(reader.as_mut(), packet[20..].as_ptr(), length, out(&mut fault)));
        call!(pfplane_frame_reader_begin_packet(
            reader.as_mut(),
            packet.as_ptr(),
            20 + length,
            out(&mut fault)
        ));
        call!(pfplane_frame_reader_version(reader.as_ref()));
        let (mut read, mut records) = (record(PFPLANE_ACTION_CLEAR, 0), 0);
        while call!(pfplane_frame_reader_next(reader.as_mut(), Some(&mut read))) == PFPLANE_OK {
            records += 1;
        }
        assert!(records > 3, "{records} records of profile {profile}");
        let mut trailer = null();
        call!(pfplane_frame_reader_trailer(reader.as_ref(), out(&mut trailer), out(&mut length)));
    }
    call!(pfplane_frame_reader_free(reader));
    call!(pfplane_frame_fault_name(1));
    call!(pfplane_frame_field_name(1));
}

struct Replica(*mut pfplane_replica);

impl Replica {
    fn new(table: &mut Table, node: u8) -> Self {
        let store = pfplane_store {
            size: size::<pfplane_store>(),
            capacity: SLOTS as u32,
            get: Some(get),
            insert: Some(insert),
            update: Some(update),
            remove: Some(remove),
            walk: Some(walk),
            context: (&raw mut *table).cast(),
        };
        let (peer, mut replica) = (peer(node), null_mut());
        let config = pfplane_config { peers: &raw const peer, peer_count: 1, ..config() };
        let status = call!(pfplane_replica_new(Some(&config), Some(&store), out(&mut replica)));
        assert_eq!(status, PFPLANE_OK, "{}", last_error());
        Self(replica)
    }

    fn run(&self, to: &Self, now: u64) {
        assert_eq!(call!(pfplane_replica_poll(self.0.as_mut(), now)), PFPLANE_OK);
        for frame in 0.. {
            let (mut buffer, mut length) = (vec![0u8; 1500], 0);
            let bytes = buffer.as_mut_ptr();
            call!(pfplane_replica_flush(self.0.as_mut(), now, bytes, 1500, out(&mut length)));
            if length == 0 {
                return;
            }
            if frame == 3 {
                call!(pfplane_replica_requeue(self.0.as_mut(), bytes, length, now));
                return;
            }
            call!(pfplane_replica_receive(to.0.as_mut(), bytes, length, now));
        }
    }
}

fn replicas() {
    let mut tables = [Table([None; SLOTS]), Table([None; SLOTS])];
    for number in 0..40 {
        tables[0].0[number] = Some(record(PFPLANE_ACTION_UPDATE, number as u16).state);
    }
    let [ours, theirs] = &mut tables;
    let (a, b) = (Replica::new(ours, 1), Replica::new(theirs, 2));
    for step in 0..100u64 {
        let now = SECOND + step * 50 * MS;
        let slot = (step % 50) as u32;
        match step % 3 {
            0 => call!(pfplane_replica_inserted(a.0.as_mut(), slot, now)),
            1 => call!(pfplane_replica_updated(a.0.as_mut(), slot, now)),
            _ => call!(pfplane_replica_removed(a.0.as_mut(), slot, false, now)),
        };
        a.run(&b, now);
        b.run(&a, now);
        if step % 30 == 10 {
            call!(pfplane_replica_bulk_request(a.0.as_mut(), now));
            call!(pfplane_replica_bulk_push(a.0.as_mut(), now));
            call!(pfplane_replica_frames_missed(a.0.as_mut(), 2));
        }
        call!(pfplane_replica_keeps(a.0.as_ref(), slot));
    }
    call!(pfplane_replica_seal_key_add(a.0.as_mut(), 0, None));
    call!(pfplane_replica_seal_key_remove(a.0.as_mut(), 0, 1));
    call!(pfplane_replica_seal_renew(a.0.as_mut()));
    call!(pfplane_replica_seal_status(a.0.as_mut(), 0, None));
    call!(pfplane_replica_ready(a.0.as_ref()));
    let mut readiness = pfplane_readiness { size: size::<pfplane_readiness>(), ..zeroed() };
    call!(pfplane_replica_readiness(a.0.as_ref(), 9 * SECOND, Some(&mut readiness)));
    for index in 0..300 {
        call!(pfplane_replica_stat(a.0.as_ref(), 9 * SECOND, index, Some(&mut stat())));
    }
    for replica in [a, b] {
        call!(pfplane_replica_free(replica.0));
    }
    assert!(tables[1].0.iter().flatten().count() > 10, "states were replicated");
}

pub(crate) fn run() {
    codec();
    replicas();
}
