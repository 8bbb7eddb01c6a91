//! Connections picked up in their middle, through the C door: a setting, off by default.

mod ffi_world;

use core::mem::{MaybeUninit, size_of};
use ffi_world::{burst, config, engine, lane, last_error, look_up, packet};
use pfplane::internals::ffi::*;
use pfplane_testkit::Packet;

fn options(pickup: u8) -> pfplane_state_options {
    let mut options = MaybeUninit::uninit();
    let size = size_of::<pfplane_state_options>() as u32;
    // SAFETY: room for the struct, and its size.
    assert_eq!(unsafe { pfplane_state_options_init(options.as_mut_ptr(), size) }, PFPLANE_OK);
    // SAFETY: the call succeeded, so the struct is filled.
    let mut options: pfplane_state_options = unsafe { options.assume_init() };
    assert_eq!(options.pickup, 0);
    options.pickup = pickup;
    options
}

fn create(lane: *mut pfplane_lane, bytes: &[u8], pickup: u8) -> Result<pfplane_verdict, i32> {
    let mut verdict = MaybeUninit::uninit();
    let burst = burst(PFPLANE_IN, 1);
    // SAFETY: one packet, filled options, room for one verdict, a lane of this thread.
    let status = unsafe {
        pfplane_lane_state_create(lane, &burst, &packet(bytes), &options(pickup), verdict.as_mut_ptr())
    };
    // SAFETY: the call succeeded, so the verdict is written.
    if status == PFPLANE_OK { Ok(unsafe { verdict.assume_init() }) } else { Err(status) }
}

#[test]
fn only_where_it_is_set_does_a_connection_begin_in_its_middle() {
    let engine = engine(&config());
    let lane = lane(engine, 0);
    for v6 in [false, true] {
        let client = Packet::syn(v6, 5, 6, [4000, 443]);
        let server = client.syn_ack();
        let middle = client.data(700_000, 90_000, 100).tcp();
        assert_eq!(look_up(lane, &burst(PFPLANE_IN, 1), &middle).action, PFPLANE_NEW);
        let refused = create(lane, &middle, 0).unwrap();
        assert_eq!((refused.action, refused.reason), (PFPLANE_DROP, PFPLANE_REASON_NO_STATE));
        assert_eq!(look_up(lane, &burst(PFPLANE_IN, 1), &middle).action, PFPLANE_NEW);

        assert_eq!(create(lane, &middle, 2).unwrap_err(), PFPLANE_ERROR_ARGUMENT);
        assert!(last_error().contains("options.pickup"), "{}", last_error());

        assert_eq!(create(lane, &middle, 1).unwrap().action, PFPLANE_PASS);
        let answer = server.data(90_000, 700_100, 50).tcp();
        assert_eq!(look_up(lane, &burst(PFPLANE_OUT, 2), &answer).action, PFPLANE_PASS);
        let next = client.data(700_100, 90_050, 50).tcp();
        assert_eq!(look_up(lane, &burst(PFPLANE_IN, 3), &next).action, PFPLANE_PASS);
        // From then on its windows are checked.
        let far = look_up(lane, &burst(PFPLANE_OUT, 4), &server.data(5_000_000, 700_150, 50).tcp());
        assert_eq!((far.action, far.reason), (PFPLANE_DROP, PFPLANE_REASON_WINDOW));
    }
    // SAFETY: the engine and its lane are not used after.
    unsafe { pfplane_engine_free(engine) };
}
