//! Packets that the host has read itself, and fragments, through the C door.
#![expect(clippy::multiple_unsafe_ops_per_block, reason = "every line calls the C door")]

mod ffi_world;

use core::mem::MaybeUninit;
use core::ptr::{null, null_mut};
use ffi_world::{burst, config, create, engine, lane, last_error, look_up, packet, stat};
use pfplane::internals::ffi::*;
use pfplane::internals::packet::tcp_flags::{ACK, SYN};
use pfplane_testkit::Packet;

const SECOND: u64 = 1_000_000_000;

/// What a packet says, the status of the call, and the verdict on one without facts.
fn read(burst: &pfplane_burst, bytes: &[u8]) -> (i32, pfplane_facts, u8) {
    let mut facts = MaybeUninit::<pfplane_facts>::zeroed();
    let mut verdict = MaybeUninit::<pfplane_verdict>::zeroed();
    // SAFETY: one packet, rooms for facts and a verdict; all zeros are a value of either.
    unsafe {
        let (facts_out, verdict_out) = (facts.as_mut_ptr(), verdict.as_mut_ptr());
        let status = pfplane_packet_facts(burst, &packet(bytes), facts_out, verdict_out);
        (status, facts.assume_init(), verdict.assume_init().action)
    }
}

fn look_up_facts(
    lane: *mut pfplane_lane,
    burst: &pfplane_burst,
    facts: &[pfplane_facts],
) -> Result<Vec<pfplane_verdict>, String> {
    let mut verdicts: Vec<pfplane_verdict> = Vec::with_capacity(facts.len());
    // SAFETY: as many facts and rooms for verdicts as are said; they are all written when the call succeeds.
    unsafe {
        let count = facts.len() as u32;
        let status = pfplane_lane_lookup_facts(lane, burst, facts.as_ptr(), count, verdicts.as_mut_ptr());
        if status != PFPLANE_OK {
            assert_eq!(status, PFPLANE_ERROR_ARGUMENT);
            return Err(last_error());
        }
        verdicts.set_len(facts.len());
    }
    Ok(verdicts)
}

fn create_facts(lane: *mut pfplane_lane, burst: &pfplane_burst, facts: &pfplane_facts) -> pfplane_verdict {
    let mut verdict = MaybeUninit::uninit();
    // SAFETY: facts, default options, room for one verdict, a lane of this thread.
    unsafe {
        let status = pfplane_lane_state_create_facts(lane, burst, facts, null(), verdict.as_mut_ptr());
        assert_eq!(status, PFPLANE_OK, "{}", last_error());
        verdict.assume_init()
    }
}

#[test]
fn one_engine_is_given_packets_and_another_what_they_say_and_both_say_the_same() {
    let engines = [engine(&config()), engine(&config())];
    let lanes = engines.map(|engine| lane(engine, 0));
    for v6 in [false, true] {
        let syn = Packet::syn(v6, 1, 2, [1000, 80]);
        let answer = syn.syn_ack();
        let query = Packet { ports: [77, 0], ..syn };
        let reply = Packet { ports: [77, 0], ..answer };
        let datagram = Packet { payload: 9, ..Packet::syn(v6, 3, 2, [53, 53]) };
        let history = [
            (PFPLANE_IN, syn.tcp()),
            (PFPLANE_OUT, answer.tcp()),
            (PFPLANE_IN, syn.data(1001, 5001, 0).tcp()),
            (PFPLANE_IN, syn.data(1001, 5001, 900).tcp()),
            (PFPLANE_OUT, answer.data(5001, 1901, 100).tcp()),
            // Far outside the window.
            (PFPLANE_IN, syn.data(900_001_001, 5001, 900).tcp()),
            (PFPLANE_OUT, answer.unreachable(&syn.data(1001, 5001, 0).tcp())),
            (PFPLANE_IN, datagram.udp()),
            (PFPLANE_IN, query.echo(false)),
            (PFPLANE_OUT, reply.echo(true)),
            (PFPLANE_IN, reply.echo(true)),
            (PFPLANE_IN, syn.ip(47, &[0; 8])),
            (PFPLANE_IN, syn.ip(240, &[0; 8])),
            (PFPLANE_IN, syn.ip(132, &[4, 0, 4, 1, 0, 0, 0, 9, 0, 0, 0, 0])),
            // Neither SYN nor ACK: no host sends that.
            (PFPLANE_IN, Packet { flags: 0, ..syn }.tcp()),
        ];
        for (step, (direction, bytes)) in history.iter().enumerate() {
            let burst = burst(*direction, SECOND + step as u64);
            let mut expected = look_up(lanes[0], &burst, bytes);
            let (status, facts, _) = read(&burst, bytes);
            let Ok(found) = look_up_facts(lanes[1], &burst, &[facts]) else {
                assert_eq!((status, expected.reason), (PFPLANE_END, PFPLANE_REASON_MALFORMED));
                continue;
            };
            let mut found = found[0];
            assert_eq!(status, PFPLANE_OK, "step {step}");
            if expected.action == PFPLANE_NEW {
                assert_eq!(found.action, PFPLANE_NEW, "step {step}");
                expected = create(lanes[0], &burst, bytes);
                found = create_facts(lanes[1], &burst, &facts);
            }
            let say =
                |verdict: pfplane_verdict| (verdict.action, verdict.reason, verdict.reverse, verdict.slot);
            assert_eq!(say(found), say(expected), "v6 {v6} step {step}");
        }
    }
    // SAFETY: valid engines and lanes of this thread.
    unsafe { lanes.iter().for_each(|lane| assert_eq!(pfplane_lane_poll(*lane, 2 * SECOND), PFPLANE_OK)) };
    for name in [c"passed", c"created", c"dropped_window", c"sync_packets", c"dropped_no_state", c"states"] {
        assert_eq!(stat(engines[0], name), stat(engines[1], name), "{name:?}");
        assert!(stat(engines[1], name) > 0, "{name:?}");
    }
    // SAFETY: valid engines, not used again.
    engines.iter().for_each(|engine| unsafe { pfplane_engine_free(*engine) });
}

#[test]
fn facts_that_contradict_themselves_are_named_and_nothing_is_tracked() {
    let engine = engine(&config());
    let lane = lane(engine, 0);
    let burst = burst(PFPLANE_IN, SECOND);
    let syn = Packet::syn(true, 1, 2, [1000, 80]);
    let (_, good, _) = read(&burst, &syn.tcp());
    let bad = [
        (pfplane_facts { size: 7, ..good }, "facts[1].size is 7"),
        (pfplane_facts { family: 5, ..good }, "facts[1].family is 5"),
        (pfplane_facts { kind: 0, ..good }, "facts[1].kind is 0"),
        (pfplane_facts { kind: 8, ..good }, "facts[1].kind is 8"),
        (pfplane_facts { proto: 17, ..good }, "facts[1].proto is 17"),
        (pfplane_facts { kind: PFPLANE_KIND_OTHER, ..good }, "facts[1].proto is 6"),
        (pfplane_facts { kind: PFPLANE_KIND_ICMP_QUERY, proto: 1, ..good }, "facts[1].proto is 1"),
        (pfplane_facts { icmp_error: 1, ..good }, "facts[1].icmp_error is 1"),
    ];
    for (facts, text) in bad {
        let why = look_up_facts(lane, &burst, &[good, facts]).expect_err("must be refused");
        assert!(why.starts_with(text), "{why}");
    }
    let impossible = pfplane_facts { tcp_flags: SYN | 1 | ACK, ..good };
    let verdict = look_up_facts(lane, &burst, &[impossible]).unwrap()[0];
    assert_eq!((verdict.action, verdict.reason), (PFPLANE_DROP, PFPLANE_REASON_MALFORMED));
    // SAFETY: NULL is refused, a valid engine is freed.
    unsafe {
        let mut verdict = MaybeUninit::uninit();
        let out = verdict.as_mut_ptr();
        assert_eq!(pfplane_lane_lookup_facts(null_mut(), &burst, &good, 1, out), PFPLANE_ERROR_NULL);
        assert_eq!(pfplane_lane_lookup_facts(lane, null(), &good, 1, out), PFPLANE_ERROR_NULL);
        assert_eq!(pfplane_lane_lookup_facts(lane, &burst, null(), 1, out), PFPLANE_ERROR_NULL);
        assert_eq!(pfplane_lane_lookup_facts(lane, &burst, &good, 257, out), PFPLANE_ERROR_ARGUMENT);
        assert_eq!(pfplane_lane_lookup_facts(lane, &burst, &good, 1, null_mut()), PFPLANE_ERROR_NULL);
        assert_eq!(pfplane_lane_lookup_facts(lane, &burst, null(), 0, null_mut()), PFPLANE_OK);
        let make = |facts, out| pfplane_lane_state_create_facts(lane, &burst, facts, null(), out);
        assert_eq!(make(null(), out), PFPLANE_ERROR_NULL);
        assert_eq!(make(&good, null_mut()), PFPLANE_ERROR_NULL);
        assert_eq!(make(&pfplane_facts { kind: 9, ..good }, out), PFPLANE_ERROR_ARGUMENT);
        assert_eq!(pfplane_lane_poll(lane, SECOND), PFPLANE_OK);
    }
    assert_eq!((stat(engine, c"states"), stat(engine, c"malformed")), (0, 1));
    // SAFETY: a valid engine, not used again.
    unsafe { pfplane_engine_free(engine) };
}

/// The packet as its first and its last fragment, cut behind so many bytes of payload.
fn fragments(bytes: &[u8], v6: bool, cut: usize) -> [Vec<u8>; 2] {
    let header = if v6 { 40 } else { 20 };
    let payload = &bytes[header..];
    [(0, &payload[..cut], true), (cut, &payload[cut..], false)].map(|(offset, part, more)| {
        let mut fragment = bytes[..header].to_vec();
        let flags = if v6 { offset as u16 } else { offset as u16 / 8 };
        if v6 {
            fragment[4..6].copy_from_slice(&(part.len() as u16 + 8).to_be_bytes());
            let proto = core::mem::replace(&mut fragment[6], 44);
            fragment.extend([proto, 0]);
            fragment.extend((flags | u16::from(more)).to_be_bytes());
            fragment.extend([0xab, 0xcd, 0x12, 0x34]);
        } else {
            fragment[2..4].copy_from_slice(&(part.len() as u16 + 20).to_be_bytes());
            fragment[4..6].copy_from_slice(&[0x12, 0x34]);
            fragment[6..8].copy_from_slice(&(flags | if more { 0x2000 } else { 0 }).to_be_bytes());
        }
        fragment.extend(part);
        fragment
    })
}

#[test]
fn a_fragment_says_of_whom_and_of_what_it_is_and_the_first_one_names_its_state() {
    let engine = engine(&config());
    let lane = lane(engine, 0);
    for v6 in [false, true] {
        let datagram = Packet { payload: 3000, ..Packet::syn(v6, 1, 2, [4500, 53]) };
        let (way, back) = (burst(PFPLANE_IN, SECOND), burst(PFPLANE_OUT, SECOND));
        let [first, last] = fragments(&datagram.udp(), v6, 1480);
        assert_eq!(look_up(lane, &way, &first).slot, u32::MAX, "there is no state yet");
        let state = create(lane, &way, &datagram.udp()).slot;
        let verdicts = [&first, &last].map(|bytes| look_up(lane, &way, bytes));
        assert_eq!(verdicts.map(|verdict| verdict.action), [PFPLANE_FRAGMENT; 2]);
        assert_eq!(verdicts.map(|verdict| verdict.slot), [state, u32::MAX]);
        let answer = Packet { payload: 3000, ..datagram.syn_ack() };
        let verdict = look_up(lane, &back, &fragments(&answer.udp(), v6, 1480)[0]);
        assert_eq!((verdict.action, verdict.slot, verdict.reverse), (PFPLANE_FRAGMENT, state, 1));

        let (status, whole, _) = read(&way, &datagram.udp());
        assert_eq!((status, whole.kind, whole.fragment), (PFPLANE_OK, PFPLANE_KIND_UDP, 0));
        let read = [&first, &last].map(|bytes| read(&way, bytes));
        for (status, facts, action) in read {
            assert_eq!((status, action), (PFPLANE_END, PFPLANE_FRAGMENT));
            assert_eq!((facts.family, facts.proto), (whole.family, 17));
            assert_eq!((facts.source, facts.destination), (whole.source, whole.destination));
            assert_eq!(facts.fragment_id, if v6 { 0xabcd_1234 } else { 0x1234 });
            assert_eq!(facts.l4_offset, if v6 { 48 } else { 20 });
        }
        let [first, last] = read.map(|read| read.1);
        assert_eq!(
            first.fragment,
            PFPLANE_FRAGMENT_PART | PFPLANE_FRAGMENT_FIRST | PFPLANE_FRAGMENT_MORE | PFPLANE_FRAGMENT_PORTS
        );
        assert_eq!((first.source_port, first.destination_port, first.fragment_offset), (4500, 53, 0));
        assert_eq!((last.fragment, last.fragment_offset), (PFPLANE_FRAGMENT_PART, 1480));
        assert_eq!((last.source_port, last.destination_port), (0, 0));
        // What the host has put together is looked up by what it says.
        let verdict = look_up_facts(lane, &way, &[whole]).unwrap()[0];
        assert_eq!((verdict.action, verdict.slot), (PFPLANE_PASS, state));
    }
    // SAFETY: a valid engine, not used again.
    unsafe { pfplane_engine_free(engine) };
}

#[test]
fn a_state_is_ended_by_the_key_of_either_way() {
    let engine = engine(&config());
    let lane = lane(engine, 0);
    let (near, out) = (burst(PFPLANE_IN, SECOND), burst(PFPLANE_OUT, SECOND));
    let kill = |burst: &pfplane_burst, facts: *const pfplane_facts| {
        // SAFETY: a burst, facts or NULL, a lane of this thread.
        unsafe { pfplane_lane_state_kill_key(lane, burst, facts) }
    };
    for v6 in [false, true] {
        let syn = Packet::syn(v6, 1, 2, [1000, 80]);
        let query = Packet { ports: [77, 0], ..syn };
        let ways = [
            (syn.tcp(), syn.syn_ack().tcp()),
            (syn.udp(), syn.syn_ack().udp()),
            (query.echo(false), Packet { ports: [77, 0], ..syn.syn_ack() }.echo(true)),
            (syn.ip(47, &[0; 8]), syn.syn_ack().ip(47, &[0; 8])),
        ];
        for (there, back) in &ways {
            for (burst, bytes) in [(&near, there), (&out, back)] {
                assert_eq!(create(lane, &near, there).action, PFPLANE_PASS);
                let facts = read(burst, bytes).1;
                assert_eq!((kill(burst, &facts), kill(burst, &facts)), (PFPLANE_OK, PFPLANE_END));
                assert_eq!(look_up(lane, &near, there).action, PFPLANE_NEW);
            }
        }
        // What an error speaks of went the other way.
        assert_eq!(create(lane, &near, &syn.udp()).action, PFPLANE_PASS);
        let error = read(&out, &syn.syn_ack().unreachable(&syn.udp())).1;
        assert_eq!((error.icmp_error, kill(&out, &error)), (1, PFPLANE_OK));
        let wrong = pfplane_facts { kind: PFPLANE_KIND_SYNC, ..error };
        assert_eq!(kill(&out, &wrong), PFPLANE_ERROR_ARGUMENT);
    }
    assert_eq!(kill(&near, null()), PFPLANE_ERROR_NULL);
    // SAFETY: a lane of this thread.
    assert_eq!(unsafe { pfplane_lane_poll(lane, 2 * SECOND) }, PFPLANE_OK);
    assert_eq!((stat(engine, c"killed"), stat(engine, c"states")), (18, 0));
    // SAFETY: the engine was made here and is used no more.
    unsafe { pfplane_engine_free(engine) };
}
