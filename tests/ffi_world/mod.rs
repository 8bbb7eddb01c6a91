//! Calls of the C door as tests make them.
#![allow(dead_code, reason = "each test uses its part")]

use core::ffi::CStr;
use core::mem::{MaybeUninit, size_of};
use core::ptr::{null, null_mut};
use pfplane::internals::ffi::*;

pub fn last_error() -> String {
    // SAFETY: the function returns a NUL-terminated text.
    unsafe { CStr::from_ptr(pfplane_last_error()) }.to_str().unwrap().to_owned()
}

pub fn config() -> pfplane_config {
    let mut config = MaybeUninit::uninit();
    // SAFETY: room for the struct, and its size.
    let status = unsafe { pfplane_config_init(config.as_mut_ptr(), size_of::<pfplane_config>() as u32) };
    assert_eq!(status, PFPLANE_OK);
    // SAFETY: the call succeeded, so the struct is filled.
    let mut config: pfplane_config = unsafe { config.assume_init() };
    config.states_per_lane = 1000;
    config
}

pub fn peer(source: [u8; 4]) -> pfplane_peer {
    let mut peer = MaybeUninit::uninit();
    // SAFETY: room for the struct, and its size.
    let status = unsafe { pfplane_peer_init(peer.as_mut_ptr(), size_of::<pfplane_peer>() as u32) };
    assert_eq!(status, PFPLANE_OK);
    // SAFETY: the call succeeded, so the struct is filled.
    let mut peer: pfplane_peer = unsafe { peer.assume_init() };
    peer.source.family = 4;
    peer.source.bytes[..4].copy_from_slice(&source);
    peer
}

pub fn engine(config: &pfplane_config) -> *mut pfplane_engine {
    let mut engine = null_mut();
    // SAFETY: a valid configuration and room for a pointer.
    let status = unsafe { pfplane_engine_new(config, &mut engine) };
    assert_eq!(status, PFPLANE_OK, "{}", last_error());
    engine
}

pub fn lane(engine: *mut pfplane_engine, index: u32) -> *mut pfplane_lane {
    let mut lane = null_mut();
    // SAFETY: a valid engine and room for a pointer.
    assert_eq!(unsafe { pfplane_engine_lane(engine, index, &mut lane) }, PFPLANE_OK);
    lane
}

pub const fn burst(direction: u8, now_ns: u64) -> pfplane_burst {
    pfplane_burst {
        size: size_of::<pfplane_burst>() as u32,
        direction,
        link: PFPLANE_LINK_IP,
        trust_hash: 0,
        leave: 0,
        now_ns,
    }
}

pub fn packet(bytes: &[u8]) -> pfplane_packet {
    pfplane_packet {
        data: bytes.as_ptr().cast_mut(),
        length: bytes.len() as u32,
        packet_length: 0,
        hash: 0,
        headroom: 0,
        flags: 0,
    }
}

pub fn look_up(lane: *mut pfplane_lane, burst: &pfplane_burst, bytes: &[u8]) -> pfplane_verdict {
    let mut verdict = MaybeUninit::uninit();
    // SAFETY: one packet, room for one verdict, a lane of this thread.
    let status = unsafe { pfplane_lane_lookup(lane, burst, &packet(bytes), 1, verdict.as_mut_ptr()) };
    assert_eq!(status, PFPLANE_OK, "{}", last_error());
    // SAFETY: the call succeeded, so the verdict is written.
    unsafe { verdict.assume_init() }
}

pub fn create(lane: *mut pfplane_lane, burst: &pfplane_burst, bytes: &[u8]) -> pfplane_verdict {
    let mut verdict = MaybeUninit::uninit();
    // SAFETY: one packet, default options, room for one verdict, a lane of this thread.
    let status =
        unsafe { pfplane_lane_state_create(lane, burst, &packet(bytes), null(), verdict.as_mut_ptr()) };
    assert_eq!(status, PFPLANE_OK, "{}", last_error());
    // SAFETY: the call succeeded, so the verdict is written.
    unsafe { verdict.assume_init() }
}

pub fn stat(engine: *mut pfplane_engine, name: &CStr) -> u64 {
    let mut value = 0;
    // SAFETY: a valid engine, a text, room for a number.
    let status = unsafe { pfplane_engine_stat_find(engine, PFPLANE_ALL_LANES, name.as_ptr(), &mut value) };
    assert_eq!(status, PFPLANE_OK, "{}", last_error());
    value
}

/// Takes all frames that are due on a lane.
pub fn flush_all(lane: *mut pfplane_lane, now: u64) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    loop {
        let mut buffer = vec![0; 2048];
        let mut length = 0;
        // SAFETY: a lane of this thread, a buffer of that size.
        let status = unsafe { pfplane_lane_flush(lane, now, buffer.as_mut_ptr(), 2048, &mut length) };
        assert_eq!(status, PFPLANE_OK, "{}", last_error());
        if length == 0 {
            return frames;
        }
        buffer.truncate(length as usize);
        frames.push(buffer);
    }
}
