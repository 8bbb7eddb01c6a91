//! Packets that the host has parsed itself, and fragments.

use super::world::*;
use core::mem::MaybeUninit;
use core::ptr::{null, null_mut};
use pfplane::internals::ffi::*;
use pfplane::internals::packet::tcp_flags::{ACK, SYN};
use pfplane_testkit::Packet;

/// The facts of a packet, the status of the call, and the verdict on one without facts.
fn read(burst: &pfplane_burst, bytes: &[u8]) -> (i32, pfplane_facts, u8) {
    let (mut facts, mut verdict): (pfplane_facts, pfplane_verdict) = (zeroed(), zeroed());
    let (packet, outs) = (packet(bytes), (out(&mut facts), out(&mut verdict)));
    let status = unsafe { pfplane_packet_facts(Some(burst), Some(&packet), outs.0, outs.1) };
    (status, facts, verdict.action)
}

impl Lane {
    fn look_up_facts(
        &self,
        burst: &pfplane_burst,
        facts: &[pfplane_facts],
    ) -> Result<Vec<pfplane_verdict>, String> {
        let mut verdicts = vec![zeroed(); facts.len()];
        let (count, start) = (facts.len() as u32, verdicts.as_mut_ptr());
        match unsafe { pfplane_lane_lookup_facts(self.get(), Some(burst), facts.as_ptr(), count, start) } {
            PFPLANE_OK => Ok(verdicts),
            status => {
                assert_eq!(status, PFPLANE_ERROR_ARGUMENT);
                Err(last_error())
            }
        }
    }

    fn create_facts(&self, burst: &pfplane_burst, facts: &pfplane_facts) -> pfplane_verdict {
        let mut verdict = zeroed();
        let (burst, facts, verdict_out) = (Some(burst), Some(facts), out(&mut verdict));
        let status = pfplane_lane_state_create_facts(self.get(), burst, facts, None, verdict_out);
        assert_eq!(status, PFPLANE_OK, "{}", last_error());
        verdict
    }
}

#[test]
fn packets_and_their_facts_get_the_same_verdicts() {
    let engines = [Engine::new(&config()), Engine::new(&config())];
    let lanes = engines.each_ref().map(|engine| engine.lane(0));
    for v6 in [false, true] {
        for (step, (direction, bytes)) in history(v6).iter().enumerate() {
            let burst = burst(*direction, SECOND + step as u64);
            let mut expected = lanes[0].look_up(&burst, bytes);
            let (status, facts, _) = read(&burst, bytes);
            let Ok(found) = lanes[1].look_up_facts(&burst, &[facts]) else {
                assert_eq!((status, expected.reason), (PFPLANE_END, PFPLANE_REASON_MALFORMED));
                continue;
            };
            let mut found = found[0];
            assert_eq!(status, PFPLANE_OK, "step {step}");
            if expected.action == PFPLANE_NEW {
                assert_eq!(found.action, PFPLANE_NEW, "step {step}");
                expected = lanes[0].create(&burst, bytes);
                found = lanes[1].create_facts(&burst, &facts);
            }
            let fields =
                |verdict: pfplane_verdict| (verdict.action, verdict.reason, verdict.reverse, verdict.slot);
            assert_eq!(fields(found), fields(expected), "v6 {v6} step {step}");
        }
    }
    lanes.iter().for_each(|lane| lane.poll(2 * SECOND));
    for name in [
        c"packets_passed",
        c"states_created",
        c"packets_dropped_window",
        c"packets_sync",
        c"packets_dropped_no_state",
        c"states",
    ] {
        assert_eq!(engines[0].stat(name), engines[1].stat(name), "{name:?}");
        assert!(engines[1].stat(name) > 0, "{name:?}");
    }
}

/// Packets of every kind, with their directions.
fn history(v6: bool) -> [(u8, Vec<u8>); 15] {
    let syn = Packet::syn(v6, 1, 2, [1000, 80]);
    let answer = syn.syn_ack();
    let query = Packet { ports: [77, 0], ..syn };
    let reply = Packet { ports: [77, 0], ..answer };
    let datagram = Packet { payload: 9, ..Packet::syn(v6, 3, 2, [53, 53]) };
    [
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
    ]
}

#[test]
fn facts_that_contradict_each_other_are_named_and_nothing_is_tracked() {
    let engine = Engine::new(&config());
    let lane = engine.lane(0);
    let burst = burst(PFPLANE_IN, SECOND);
    let good = read(&burst, &Packet::syn(true, 1, 2, [1000, 80]).tcp()).1;
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
        let why = lane.look_up_facts(&burst, &[good, facts]).expect_err("must be refused");
        assert!(why.starts_with(text), "{why}");
    }
    let impossible = pfplane_facts { tcp_flags: SYN | 1 | ACK, ..good };
    let verdict = lane.look_up_facts(&burst, &[impossible]).unwrap()[0];
    assert_eq!((verdict.action, verdict.reason), (PFPLANE_DROP, PFPLANE_REASON_MALFORMED));
    let mut verdict = MaybeUninit::uninit();
    let verdicts = verdict.as_mut_ptr();
    let look_up = |lane, burst, facts, count, verdicts| unsafe {
        pfplane_lane_lookup_facts(lane, burst, facts, count, verdicts)
    };
    assert_eq!(look_up(None, Some(&burst), &good, 1, verdicts), PFPLANE_ERROR_NULL);
    assert_eq!(look_up(lane.get(), None, &good, 1, verdicts), PFPLANE_ERROR_NULL);
    assert_eq!(look_up(lane.get(), Some(&burst), null(), 1, verdicts), PFPLANE_ERROR_NULL);
    assert_eq!(look_up(lane.get(), Some(&burst), &good, 257, verdicts), PFPLANE_ERROR_ARGUMENT);
    assert_eq!(look_up(lane.get(), Some(&burst), &good, 1, null_mut()), PFPLANE_ERROR_NULL);
    assert_eq!(look_up(lane.get(), Some(&burst), null(), 0, null_mut()), PFPLANE_OK);
    let mut create = |facts, has_out: bool| {
        let out = has_out.then_some(&mut verdict);
        pfplane_lane_state_create_facts(lane.get(), Some(&burst), facts, None, out)
    };
    assert_eq!(create(None, true), PFPLANE_ERROR_NULL);
    assert_eq!(create(Some(&good), false), PFPLANE_ERROR_NULL);
    let unknown = pfplane_facts { kind: 9, ..good };
    assert_eq!(create(Some(&unknown), true), PFPLANE_ERROR_ARGUMENT);
    lane.poll(SECOND);
    assert_eq!((engine.stat(c"states"), engine.stat(c"packets_malformed")), (0, 1));
}

/// The packet as its first and its last fragment, cut after `cut` bytes of payload.
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
fn a_fragment_has_addresses_and_an_identification_and_the_first_one_has_the_slot_of_its_state() {
    let engine = Engine::new(&config());
    let lane = engine.lane(0);
    for v6 in [false, true] {
        let datagram = Packet { payload: 3000, ..Packet::syn(v6, 1, 2, [4500, 53]) };
        let (way, back) = (burst(PFPLANE_IN, SECOND), burst(PFPLANE_OUT, SECOND));
        let [first, last] = fragments(&datagram.udp(), v6, 1480);
        assert_eq!(lane.look_up(&way, &first).slot, u32::MAX, "there is no state yet");
        let state = lane.create(&way, &datagram.udp()).slot;
        let verdicts = [&first, &last].map(|bytes| lane.look_up(&way, bytes));
        assert_eq!(verdicts.map(|verdict| verdict.action), [PFPLANE_FRAGMENT; 2]);
        assert_eq!(verdicts.map(|verdict| verdict.slot), [state, u32::MAX]);
        let answer = Packet { payload: 3000, ..datagram.syn_ack() };
        let verdict = lane.look_up(&back, &fragments(&answer.udp(), v6, 1480)[0]);
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
        // A reassembled packet is looked up by its facts.
        let verdict = lane.look_up_facts(&way, &[whole]).unwrap()[0];
        assert_eq!((verdict.action, verdict.slot), (PFPLANE_PASS, state));
    }
}

#[test]
fn a_state_is_deleted_by_the_key_of_either_direction() {
    let engine = Engine::new(&config());
    let lane = engine.lane(0);
    let (near, out) = (burst(PFPLANE_IN, SECOND), burst(PFPLANE_OUT, SECOND));
    let kill = |burst: &pfplane_burst, facts: &pfplane_facts| {
        pfplane_lane_state_kill_key(lane.get(), Some(burst), Some(facts))
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
                assert_eq!(lane.create(&near, there).action, PFPLANE_PASS);
                let facts = read(burst, bytes).1;
                assert_eq!((kill(burst, &facts), kill(burst, &facts)), (PFPLANE_OK, PFPLANE_END));
                assert_eq!(lane.look_up(&near, there).action, PFPLANE_NEW);
            }
        }
        // The packet inside an error travelled the other way.
        assert_eq!(lane.create(&near, &syn.udp()).action, PFPLANE_PASS);
        let error = read(&out, &syn.syn_ack().unreachable(&syn.udp())).1;
        assert_eq!((error.icmp_error, kill(&out, &error)), (1, PFPLANE_OK));
        let wrong = pfplane_facts { kind: PFPLANE_KIND_SYNC, ..error };
        assert_eq!(kill(&out, &wrong), PFPLANE_ERROR_ARGUMENT);
    }
    assert_eq!(pfplane_lane_state_kill_key(lane.get(), Some(&near), None), PFPLANE_ERROR_NULL);
    // A key in another routing domain is another key.
    let elsewhere = pfplane_burst { rdomain: 5, ..near };
    let syn = Packet::syn(true, 1, 2, [1000, 80]).tcp();
    let made = [&near, &elsewhere].map(|burst| {
        let verdict = lane.create(burst, &syn);
        assert_eq!(verdict.action, PFPLANE_PASS);
        lane.state_at(verdict.slot).state.key[0].rdomain
    });
    assert_eq!(made, [0, 5]);
    let facts = read(&elsewhere, &syn).1;
    assert_eq!((kill(&elsewhere, &facts), kill(&elsewhere, &facts)), (PFPLANE_OK, PFPLANE_END));
    let filter = |rdomain| pfplane_state_filter {
        size: size::<pfplane_state_filter>(),
        fields: PFPLANE_FILTER_RDOMAIN,
        rdomain,
        ..zeroed()
    };
    for (rdomain, expected) in [(5, 0), (0, 1)] {
        let (mut cursor, mut killed) = (0, 9);
        let (now, filter, cursor, killed_out) =
            (SECOND, filter(rdomain), Some(&mut cursor), super::world::out(&mut killed));
        let status = pfplane_lane_state_kill(lane.get(), now, Some(&filter), 10_000, cursor, killed_out);
        assert_eq!((status, killed), (PFPLANE_END, expected));
    }
    lane.poll(2 * SECOND);
    assert_eq!((engine.stat(c"states_deleted"), engine.stat(c"states")), (20, 0));
}
