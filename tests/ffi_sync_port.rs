//! The headers on the sync port, set through the C door: VLAN, Ethernet addresses, type of service.
#![expect(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    reason = "every call passes pointers to values of this function"
)]

use core::mem::MaybeUninit;
use core::ptr::{null, null_mut};
use pfplane::internals::ffi::*;
use pfplane_testkit::Packet;

const MS: u64 = 1_000_000;
/// Expedited forwarding, with no ECN.
const TOS: u8 = 46 << 2;
const VLAN: u16 = 100;
/// Bytes of an Ethernet header with one tag.
const HEADER: usize = 18;

/// An engine with one lane and one peer behind a tagged port, and the lane.
fn node(last_byte: u8, v6: bool) -> (*mut pfplane_engine, *mut pfplane_lane) {
    let (mut config, mut peer) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    let (mut engine, mut lane) = (null_mut(), null_mut());
    unsafe {
        assert_eq!(pfplane_config_init(config.as_mut_ptr(), size_of::<pfplane_config>() as u32), PFPLANE_OK);
        assert_eq!(pfplane_peer_init(peer.as_mut_ptr(), size_of::<pfplane_peer>() as u32), PFPLANE_OK);
        let (mut config, mut peer): (pfplane_config, pfplane_peer) =
            (config.assume_init(), peer.assume_init());
        peer.source.family = if v6 { 6 } else { 4 };
        peer.source.bytes[..4].copy_from_slice(&[192, 0, 2, last_byte]);
        (peer.profile, peer.tos) = (PFPLANE_PROFILE_FREEBSD1400, TOS);
        (peer.ethernet, peer.vlan) = (1, VLAN);
        peer.ethernet_source = [2, 0, 0, 0, 0, last_byte];
        config.states_per_lane = 100;
        (config.peers, config.peer_count) = (&peer, 1);
        assert_eq!(pfplane_engine_new(&config, &mut engine), PFPLANE_OK);
        assert_eq!(pfplane_engine_lane(engine, 0, &mut lane), PFPLANE_OK);
    }
    (engine, lane)
}

fn create_a_state(lane: *mut pfplane_lane) {
    let bytes = Packet::syn(false, 5, 6, [4000, 443]).tcp();
    let size = size_of::<pfplane_burst>() as u32;
    let (direction, link) = (PFPLANE_IN, PFPLANE_LINK_IP);
    let burst = pfplane_burst { size, direction, link, trust_hash: 0, leave: 0, now_ns: 10 * MS };
    let (data, length) = (bytes.as_ptr().cast_mut(), bytes.len() as u32);
    let packet = pfplane_packet { data, length, packet_length: 0, hash: 0, headroom: 0, flags: 0 };
    let mut verdict = MaybeUninit::uninit();
    unsafe {
        let status = pfplane_lane_state_create(lane, &burst, &packet, null(), verdict.as_mut_ptr());
        assert_eq!(status, PFPLANE_OK);
        assert_eq!(verdict.assume_init().action, PFPLANE_PASS);
    }
}

/// Whether the frame's headers are those of the settings.
fn check_headers(frame: &[u8], v6: bool) {
    let group: &[u8] = if v6 { &[0x33, 0x33, 0, 0, 0, 0xf0] } else { &[1, 0, 0x5e, 0, 0, 0xf0] };
    assert_eq!(frame[..6], *group);
    assert_eq!(frame[6..12], [2, 0, 0, 0, 0, 1]);
    assert_eq!(frame[12..16], [0x81, 0, 0, VLAN as u8]);
    if v6 {
        assert_eq!(frame[16..20], [0x86, 0xdd, 0x60 | TOS >> 4, TOS << 4]);
    } else {
        assert_eq!(frame[16..20], [8, 0, 0x45, TOS]);
    }
}

/// Carries what is due from one lane to the other until nothing is.
fn carry(from: *mut pfplane_lane, to: *mut pfplane_lane, now: u64, v6: bool) {
    loop {
        let (mut buffer, mut length) = ([0; 2048], 0);
        unsafe {
            assert_eq!(pfplane_lane_flush(from, now, buffer.as_mut_ptr(), 2048, &mut length), PFPLANE_OK);
            if length == 0 {
                return;
            }
            check_headers(&buffer[..length as usize], v6);
            // The host takes the link's header off.
            let packet = &buffer[HEADER..length as usize];
            assert_eq!(pfplane_lane_receive(to, packet.as_ptr(), packet.len() as u32, now), PFPLANE_OK);
        }
    }
}

fn states_of(lane: *mut pfplane_lane, now: u64) -> usize {
    let mut cursor = 0;
    let mut view = unsafe { MaybeUninit::<pfplane_state_view>::zeroed().assume_init() };
    view.size = size_of::<pfplane_state_view>() as u32;
    let next = || unsafe { pfplane_lane_state_next(lane, now, &mut cursor, &mut view) };
    std::iter::repeat_with(next).take_while(|&status| status == PFPLANE_OK).count()
}

#[test]
fn frames_go_out_with_the_vlan_and_the_type_of_service_of_the_settings() {
    for v6 in [false, true] {
        let ((here, lane), (there, other)) = (node(1, v6), node(2, v6));
        create_a_state(lane);
        // Beside the state there is the request for all states, which is due at once; the state a second later.
        for now in [20 * MS, 1100 * MS] {
            unsafe { pfplane_lane_poll(lane, now) };
            carry(lane, other, now, v6);
            unsafe { pfplane_lane_poll(other, now) };
        }
        assert_eq!(states_of(other, 1100 * MS), 1);
        unsafe { pfplane_engine_free(here) };
        unsafe { pfplane_engine_free(there) };
    }
}

#[test]
fn a_lane_says_at_once_what_would_be_lost_with_it() {
    let (engine, lane) = node(1, false);
    let size = size_of::<pfplane_exposure>() as u32;
    let mut now = pfplane_exposure { size, creations: 9, changes: 9, reserved: 9, oldest_ns: 9 };
    let mut ask = |at: u64| unsafe {
        assert_eq!(pfplane_lane_exposure(lane, at, &mut now), PFPLANE_OK);
        (now.creations, now.changes, now.reserved, now.oldest_ns)
    };
    unsafe { pfplane_lane_poll(lane, 10 * MS) };
    assert_eq!(ask(10 * MS), (0, 0, 0, 0));
    create_a_state(lane);
    assert_eq!(ask(14 * MS), (1, 0, 0, 4 * MS));
    let (mut buffer, mut length) = ([0; 2048], 1);
    while length > 0 {
        let status = unsafe { pfplane_lane_flush(lane, 40 * MS, buffer.as_mut_ptr(), 2048, &mut length) };
        assert_eq!(status, PFPLANE_OK);
    }
    assert_eq!(ask(40 * MS), (0, 0, 0, 0));
    let mut wrong = pfplane_exposure { size: size + 1, creations: 0, changes: 0, reserved: 0, oldest_ns: 0 };
    assert_eq!(unsafe { pfplane_lane_exposure(lane, 0, &mut wrong) }, PFPLANE_ERROR_SIZE);
    assert_eq!(unsafe { pfplane_lane_exposure(lane, 0, null_mut()) }, PFPLANE_ERROR_NULL);
    unsafe { pfplane_engine_free(engine) };
}
