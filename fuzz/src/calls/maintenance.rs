//! Everything else: polls, frames, kills, control calls, held packets, and the invariants.

use super::host::Host;
use super::{MS, check, empty, out, size};
use crate::input::Input;
use pfplane::internals::ffi::*;
use std::collections::HashSet;

/// Frames that wait for the other engine; more are lost.
const MAX_OUTBOX: usize = 32;
/// Frames that one lane may have due at once.
const MAX_FRAMES: usize = 2000;

impl Host {
    /// Polls with a clock that continues, jumps, steps back, or is wild.
    pub(super) fn poll(&mut self, lane: u32, input: &mut Input<'_>) {
        let how = input.byte();
        let forward = u64::from(how >> 3);
        let mut now = match how & 7 {
            0..4 => self.now + forward * MS,
            4 => self.now + forward * 1000 * MS,
            5 => self.now + forward * 3_600_000 * MS,
            6 => self.now.saturating_sub(forward * 100 * MS),
            _ => [0, u64::MAX, u64::MAX / 2, 1 << 62][usize::from(how >> 3 & 3)],
        };
        let is_wild = how & 7 >= 6;
        self.had_wild_clock |= is_wild;
        if !is_wild {
            self.now = now;
        }
        for _ in 0..3 {
            check(pfplane_lane_poll(self.lane(lane), now), &[]);
            now = now.wrapping_add(1);
        }
    }

    pub(super) fn flush(&mut self, lane: u32, input: &mut Input<'_>) {
        if input.byte() & 7 == 0 {
            // Such a buffer is too small for a frame.
            let (mut buffer, mut length) = ([0; 8], 0);
            let now = self.now;
            // SAFETY: the buffer has the capacity that is stated.
            let status =
                unsafe { pfplane_lane_flush(self.lane(lane), now, buffer.as_mut_ptr(), 8, out(&mut length)) };
            check(status, &[PFPLANE_ERROR_BUFFER]);
        }
        self.take_frames(lane);
    }

    /// Takes all frames that are due. Requeues those for which there is no space.
    pub(super) fn take_frames(&mut self, lane: u32) {
        for count in 0.. {
            let (mut buffer, mut length) = (vec![0; 2048], 0);
            let now = self.now;
            // SAFETY: the buffer has the capacity that is stated.
            let status = unsafe {
                pfplane_lane_flush(self.lane(lane), now, buffer.as_mut_ptr(), 2048, out(&mut length))
            };
            check(status, &[]);
            if length == 0 {
                return;
            }
            assert!(length <= 1500 && count < MAX_FRAMES, "frame {count} of {length} bytes");
            buffer.truncate(length as usize);
            if self.outbox.len() < MAX_OUTBOX {
                self.outbox.push_back(buffer);
            } else if count & 1 == 0 {
                self.requeue(lane, &buffer);
            }
        }
    }

    pub(super) fn requeue(&self, lane: u32, frame: &[u8]) {
        let (bytes, length) = (frame.as_ptr(), frame.len() as u32);
        // SAFETY: `length` bytes.
        check(unsafe { pfplane_lane_requeue(self.lane(lane), bytes, length, self.now) }, &[]);
    }

    pub(super) fn requeue_raw(&mut self, lane: u32, input: &mut Input<'_>) {
        let length = usize::from(input.byte());
        let bytes = input.take(length).to_vec();
        self.requeue(lane, &bytes);
    }

    pub(super) fn receive(&self, frame: &[u8]) {
        let (bytes, length) = (frame.as_ptr(), frame.len() as u32);
        // SAFETY: `length` bytes.
        check(unsafe { pfplane_lane_receive(self.lane(0), bytes, length, self.now) }, &[]);
    }

    /// Receives any bytes. Only lane 0 accepts frames.
    pub(super) fn receive_raw(&mut self, lane: u32, input: &mut Input<'_>) {
        let length = usize::from(input.byte());
        let bytes = input.take(length);
        let (data, length) = (bytes.as_ptr(), bytes.len() as u32);
        // SAFETY: `length` bytes.
        let status = unsafe { pfplane_lane_receive(self.lane(lane), data, length, self.now) };
        assert_eq!(status == PFPLANE_OK, lane == 0, "status {status} on lane {lane}");
    }

    pub(super) fn states(&self, lane: u32) -> Vec<pfplane_state_view> {
        let (mut cursor, mut states) = (0, Vec::new());
        let mut view = pfplane_state_view { size: size::<pfplane_state_view>(), ..empty() };
        let lane = self.lane(lane).map(|lane| &*lane);
        while check(
            pfplane_lane_state_next(lane, self.now, Some(&mut cursor), Some(&mut view)),
            &[PFPLANE_END],
        ) {
            states.push(view);
            assert!(states.len() <= self.capacity as usize, "more states than slots");
        }
        states
    }

    pub(super) fn kill(&mut self, lane: u32, input: &mut Input<'_>) {
        let states = self.states(lane);
        if states.is_empty() {
            return;
        }
        let pfplane_state_view { id, creator, .. } = states[usize::from(input.byte()) % states.len()];
        assert!(check(pfplane_lane_state_kill_id(self.lane(lane), self.now, id, creator), &[]));
        check(pfplane_lane_state_kill_id(self.lane(lane), self.now, id, creator), &[PFPLANE_END]);
        assert!(self.states(lane).iter().all(|view| (view.id, view.creator) != (id, creator)), "still there");
    }

    pub(super) fn kill_matching(&mut self, lane: u32, input: &mut Input<'_>) {
        let mut filter: pfplane_state_filter = empty();
        filter.size = size::<pfplane_state_filter>();
        filter.fields = input.word().into();
        (filter.family, filter.proto) = (4 + (input.byte() & 1) * 2, 6);
        (filter.source_port, filter.destination_port) = (2000 + u16::from(input.byte() & 15), 80);
        (filter.source_prefix, filter.destination_prefix) = (input.byte(), input.byte());
        filter.creator = 1 + u32::from(input.byte() & 1);
        let (mut cursor, mut killed) = (0, 0);
        let max_slots = 1 + u32::from(input.byte());
        for _ in 0..8 {
            let (lane, now) = (self.lane(lane), self.now);
            let (filter, cursor) = (Some(&filter), Some(&mut cursor));
            let status = pfplane_lane_state_kill(lane, now, filter, max_slots, cursor, out(&mut killed));
            if !check(status, &[PFPLANE_END, PFPLANE_ERROR_ARGUMENT]) {
                return;
            }
            assert!(killed <= max_slots);
        }
    }

    /// Makes a call on the engine.
    pub(super) fn control(&mut self, call: u8, input: &mut Input<'_>) {
        let value = input.byte();
        let engine = self.engine;
        // SAFETY: the engine is alive.
        let status = unsafe {
            match (call, value & 3) {
                (18, 0) => pfplane_engine_clear(engine),
                (18, _) => pfplane_engine_bulk_request(engine),
                (19, _) => pfplane_engine_bulk_push(engine),
                (20, _) => pfplane_engine_sync_link(engine, value & 1 == 1),
                _ => pfplane_engine_tune(
                    engine,
                    value.into(),
                    u32::from(value) * 16,
                    value.into(),
                    value.into(),
                ),
            }
        };
        check(status, &[PFPLANE_ERROR_SETTING]);
    }

    pub(super) fn release(&mut self, lane: u32, all: bool) {
        loop {
            let (mut handles, mut count) = ([0; 4], 0);
            // SAFETY: four elements.
            let status = unsafe {
                pfplane_lane_release(self.lane(lane), self.now, all, handles.as_mut_ptr(), 4, out(&mut count))
            };
            check(status, &[]);
            for handle in &handles[..count as usize] {
                assert!(self.held.remove(handle), "packet {handle} is released twice");
            }
            if count < 4 {
                return;
            }
        }
    }

    /// Expects that identities are unique, and that statistics and lists agree.
    pub(super) fn check(&mut self) {
        let mut ids = HashSet::new();
        let mut listed = 0;
        for lane in 0..self.lanes {
            self.now += 2 * MS;
            check(pfplane_lane_poll(self.lane(lane), self.now), &[]);
            for view in self.states(lane) {
                listed += 1;
                assert!(ids.insert((view.id, view.creator)), "identity {:#x} exists twice", view.id);
            }
            let mut exposure = pfplane_exposure { size: size::<pfplane_exposure>(), ..empty() };
            let lane = self.lane(lane).map(|lane| &*lane);
            check(pfplane_lane_exposure(lane, self.now, Some(&mut exposure)), &[]);
            assert!(exposure.creations <= self.capacity, "{} creations are exposed", exposure.creations);
        }
        let mut states = 0;
        let name = c"states".as_ptr();
        // SAFETY: a text.
        check(
            unsafe { pfplane_engine_stat_find(self.engine(), PFPLANE_ALL_LANES, name, out(&mut states)) },
            &[],
        );
        // The first lanes may have passed states to the last ones meanwhile.
        assert!(
            self.had_wild_clock || self.lanes > 1 || states == listed,
            "{states} counted, {listed} listed"
        );
    }
}
