//! One engine with its lanes, and what its host keeps.

use super::{MS, check, empty, out, size};
use crate::input::Input;
use pfplane::internals::ffi::*;
use std::collections::{HashSet, VecDeque};

const MAX_LANES: u32 = 4;

/// One engine and the host around it.
pub(super) struct Host {
    pub(super) engine: *mut pfplane_engine,
    pub(super) lanes: u32,
    pub(super) capacity: u32,
    pub(super) now: u64,
    /// Frames for the other engine.
    pub(super) outbox: VecDeque<Vec<u8>>,
    /// Numbers of held packets.
    pub(super) held: HashSet<u64>,
    pub(super) handles: u64,
    /// A call got a wild clock, so statistics may be late.
    pub(super) had_wild_clock: bool,
}

impl Drop for Host {
    fn drop(&mut self) {
        // SAFETY: no lane is used any more.
        unsafe { pfplane_engine_free(self.engine) };
    }
}

impl Host {
    pub(super) fn new(input: &mut Input<'_>, number: u32) -> Self {
        let (mut config, mut peer): (pfplane_config, pfplane_peer) = (empty(), empty());
        check(pfplane_config_init(out(&mut config), size::<pfplane_config>()), &[]);
        check(pfplane_peer_init(out(&mut peer), size::<pfplane_peer>()), &[]);
        peer.source.family = 4;
        peer.source.bytes[..4].copy_from_slice(&[192, 0, 2, number as u8]);
        let (shape, rules) = (input.byte(), input.byte());
        peer.profile = 1 + u32::from(shape >> 6);
        config.lanes = 1 + u32::from(shape & 3) % MAX_LANES;
        config.states_per_lane = 4 + u32::from(shape >> 2 & 15) * 4;
        config.host_id = number;
        config.start_unix_s = 1_700_000_000;
        config.peers = &raw const peer;
        config.peer_count = 1;
        config.max_insert_age_ms = u32::from(rules & 1);
        config.min_bulk_interval_ms = 10;
        config.max_sources = 16;
        config.max_half_open = if rules & 2 == 0 { 0 } else { 10 };
        config.source_limits.max_src_states = if rules & 4 == 0 { 0 } else { 6 };
        config.max_defer_ms = if rules & 8 == 0 { 0 } else { 20 };
        config.max_deferred = 4;
        config.max_imported_per_lane = if rules & 16 == 0 { u32::MAX } else { 3 };
        let mut engine = core::ptr::null_mut();
        // SAFETY: the configuration and all that it points to live until the call returns.
        check(unsafe { pfplane_engine_new(Some(&config), out(&mut engine)) }, &[]);
        let (lanes, capacity) = (config.lanes, config.states_per_lane);
        let (outbox, held) = (VecDeque::new(), HashSet::new());
        Self { engine, lanes, capacity, now: 1000 * MS, outbox, held, handles: 0, had_wild_clock: false }
    }

    pub(super) fn engine(&self) -> Option<&pfplane_engine> {
        // SAFETY: alive until this is dropped.
        unsafe { self.engine.as_ref() }
    }

    pub(super) fn lane<'a>(&self, index: u32) -> Option<&'a mut pfplane_lane> {
        let mut lane: *mut pfplane_lane = core::ptr::null_mut();
        check(pfplane_engine_lane(self.engine(), index, out(&mut lane)), &[]);
        // SAFETY: one thread, and each reference is passed to one call.
        unsafe { lane.as_mut() }
    }
}
