//! Any sequence of C API calls on two engines with several lanes each, which exchange their frames.

mod host;
mod maintenance;
mod packets;

use crate::input::Input;
use core::ffi::CStr;
use core::mem::{MaybeUninit, zeroed};
use host::Host;
use pfplane::internals::ffi::*;

const MS: u64 = 1_000_000;

/// Runs `data` as a list of calls.
///
/// # Panics
/// When a call returns a status that its documentation does not name, a lane has more states than its capacity, two states
/// have one identity, a packet is handed off in circles, frames are due without end, or a held packet is not released.
pub fn any_calls(data: &[u8]) {
    let mut input = Input::new(data);
    let mut pair = [Host::new(&mut input, 1), Host::new(&mut input, 2)];
    while let Some(call) = input.next() {
        let which = usize::from(call & 1);
        let lane = u32::from(call >> 1 & 3) % pair[which].lanes;
        match call >> 3 {
            0..8 => pair[which].packet(lane, &mut input),
            8 => pair[which].raw_packet(lane, &mut input),
            9 => pair[which].facts(lane, &mut input),
            10 | 11 => pair[which].poll(lane, &mut input),
            12 => pair[which].flush(lane, &mut input),
            13 | 14 => deliver(&mut pair, which, &mut input),
            15 => pair[which].receive_raw(lane, &mut input),
            16 => pair[which].kill(lane, &mut input),
            17 => pair[which].kill_matching(lane, &mut input),
            18..22 => pair[which].control(call >> 3, &mut input),
            22 => pair[which].release(lane, false),
            23 => pair[which].check(),
            24 => pair[which].requeue_raw(lane, &mut input),
            25 => pair[which] = Host::new(&mut input, which as u32 + 1),
            _ => settle(&mut pair, 2),
        }
    }
    settle(&mut pair, 20);
    for host in &mut pair {
        host.check();
        (0..host.lanes).for_each(|lane| host.release(lane, true));
        assert!(host.held.is_empty(), "packets are still held: {:?}", host.held);
    }
}

/// Delivers the next frame of an engine to the other one: sound, twice, or with a changed byte.
fn deliver(pair: &mut [Host; 2], from: usize, input: &mut Input<'_>) {
    let Some(mut frame) = pair[from].outbox.pop_front() else { return };
    let what = input.byte();
    if what & 1 == 1 {
        let at = usize::from(input.word()) % frame.len();
        frame[at] ^= input.byte();
    }
    for _ in 0..=usize::from(what >> 1 & 1) {
        pair[1 - from].receive(&frame);
    }
}

/// Lets all lanes run for some milliseconds with sound clocks.
fn settle(pair: &mut [Host; 2], milliseconds: u32) {
    for _ in 0..milliseconds {
        for from in 0..2 {
            pair[from].now += MS;
            for lane in 0..pair[from].lanes {
                let now = pair[from].now;
                check(pfplane_lane_poll(pair[from].lane(lane), now), &[]);
                pair[from].take_frames(lane);
                pair[from].release(lane, false);
            }
            while let Some(frame) = pair[from].outbox.pop_front() {
                pair[1 - from].receive(&frame);
            }
        }
    }
}

/// Expects PFPLANE_OK, or one of the other statuses that the call's documentation names.
fn check(status: i32, others: &[i32]) -> bool {
    // SAFETY: the text lives until the next failing call of this thread.
    let error = || unsafe { CStr::from_ptr(pfplane_last_error()) }.to_string_lossy().into_owned();
    assert!(status == PFPLANE_OK || others.contains(&status), "status {status}: {}", error());
    status == PFPLANE_OK
}

/// A struct of numbers and pointers in which every byte is zero.
fn empty<T>() -> T {
    // SAFETY: used for structs of numbers, arrays and pointers only.
    unsafe { zeroed() }
}

fn out<T>(variable: &mut T) -> Option<&mut MaybeUninit<T>> {
    // SAFETY: the two have the same layout, and calls write whole values only.
    Some(unsafe { &mut *(&raw mut *variable).cast() })
}

fn size<T>() -> u32 {
    size_of::<T>() as u32
}
