//! Fragments that a host forwards without reassembly: it knows the ports of all of them from the first one.

use super::nat_world::packet::{Carried, Packet};
use super::nat_world::{address, plain};
use super::world::*;
use core::ptr::null;
use pfplane::internals::ffi::*;

const MIDDLE: usize = 1480;

fn header_bytes(v6: bool) -> usize {
    if v6 { 40 } else { 20 }
}

fn sum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum: u32 = words.sum();
    ((sum & 0xffff) + (sum >> 16)) as u16
}

/// Cuts a packet into three fragments.
fn cut(bytes: &[u8], v6: bool) -> Vec<Vec<u8>> {
    let (header, payload) = bytes.split_at(header_bytes(v6));
    let parts = payload.chunks(MIDDLE);
    let last = parts.len() - 1;
    let fragment = |(number, part): (usize, &[u8])| {
        let (offset, more) = ((number * MIDDLE) as u16, number < last);
        let mut fragment = header.to_vec();
        if v6 {
            fragment[4..6].copy_from_slice(&(part.len() as u16 + 8).to_be_bytes());
            let proto = core::mem::replace(&mut fragment[6], 44);
            fragment.extend([proto, 0]);
            fragment.extend((offset | u16::from(more)).to_be_bytes());
            fragment.extend([0, 0, 0, 7]);
        } else {
            fragment[2..4].copy_from_slice(&(part.len() as u16 + 20).to_be_bytes());
            let flags = if more { 0x2000 } else { 0 };
            fragment[6..8].copy_from_slice(&((offset / 8) | flags).to_be_bytes());
            fragment[10..12].fill(0);
            let checksum = !sum(&fragment);
            fragment[10..12].copy_from_slice(&checksum.to_be_bytes());
        }
        fragment.extend(part);
        fragment
    };
    parts.enumerate().map(fragment).collect()
}

/// Returns the addresses and the payload of fragments, whose headers must be right.
fn join(fragments: &[Vec<u8>], v6: bool) -> (Vec<u8>, Vec<u8>) {
    let addresses = if v6 { 8..40 } else { 12..20 };
    let at = if v6 { 48 } else { 20 };
    let of = fragments[0][addresses.clone()].to_vec();
    for fragment in fragments {
        assert_eq!(fragment[addresses.clone()], of[..]);
        assert!(v6 || sum(&fragment[..20]) == 0xffff, "{:x?}", &fragment[..20]);
    }
    (of, fragments.iter().flat_map(|fragment| fragment[at..].to_vec()).collect())
}

/// What a host knows of a fragment: what its headers say, and the kind and ports of the first one.
fn known(burst: &pfplane_burst, fragment: &[u8], whole: &pfplane_facts) -> pfplane_facts {
    let mut facts = zeroed();
    let packet = packet(fragment);
    let status = unsafe { pfplane_packet_facts(Some(burst), Some(&packet), out(&mut facts), None) };
    assert_eq!(status, PFPLANE_END);
    let pfplane_facts { kind, proto, source_port, destination_port, .. } = *whole;
    let pfplane_facts { tcp_flags, tcp_seq, tcp_ack, tcp_window, .. } = *whole;
    let all = pfplane_facts { kind, proto, source_port, destination_port, ..facts };
    if facts.fragment & PFPLANE_FRAGMENT_FIRST == 0 {
        return all;
    }
    pfplane_facts { tcp_flags, tcp_seq, tcp_ack, tcp_window, tcp_payload: MIDDLE as u32 - 20, ..all }
}

fn facts_of(burst: &pfplane_burst, bytes: &[u8]) -> pfplane_facts {
    let mut facts = zeroed();
    let packet = packet(bytes);
    let status = unsafe { pfplane_packet_facts(Some(burst), Some(&packet), out(&mut facts), None) };
    assert_eq!(status, PFPLANE_OK);
    facts
}

impl Lane {
    fn look_up_fragment(&self, burst: &pfplane_burst, facts: &pfplane_facts) -> pfplane_verdict {
        let mut verdict = zeroed();
        let status =
            unsafe { pfplane_lane_lookup_facts(self.get(), Some(burst), facts, 1, &raw mut verdict) };
        assert_eq!(status, PFPLANE_OK, "{}", last_error());
        verdict
    }

    fn rewrite_fragment(&self, burst: &pfplane_burst, bytes: &mut [u8], verdict: &mut pfplane_verdict) {
        let packet = writable(bytes, 0);
        let status =
            unsafe { pfplane_lane_rewrite_fragment(self.get(), Some(burst), Some(&packet), Some(verdict)) };
        assert_eq!(status, PFPLANE_OK, "{}", last_error());
    }

    /// Returns the packet as its state translates it.
    fn translated(&self, burst: &pfplane_burst, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        let verdict = self.look_up_packet(burst, &writable(&mut bytes, 0));
        assert_eq!((verdict.action, verdict.translated), (PFPLANE_PASS, 1), "{}", verdict.reason);
        bytes
    }
}

fn large(carried: Carried, v6: bool, ends: [[u8; 16]; 2], ports: [u16; 2]) -> Packet {
    Packet { payload: (0..4000).map(|n| (n * 7 + 3) as u8).collect(), ..plain(carried, v6, ends, ports) }
}

fn source_nat(v6: bool) -> pfplane_state_options {
    pfplane_state_options {
        nat: PFPLANE_NAT_SOURCE | PFPLANE_NAT_SOURCE_PORT,
        nat_source: address(v6, 9, 9),
        nat_source_ports: [50_000, 50_000],
        ..options()
    }
}

/// The first packet, a large one, and a large answer as it arrives.
fn kinds(v6: bool) -> [[Packet; 3]; 3] {
    let ends = [address(v6, 1, 5), address(v6, 2, 6)];
    let back = [ends[1], address(v6, 9, 9)];
    let tcp = |seq, ack, syn| Carried::Tcp { seq, ack, syn, sack: None, odd: false };
    let echo = |reply| Carried::Echo { reply };
    [
        [
            plain(tcp(1000, 0, true), v6, ends, [4000, 80]),
            large(tcp(1001, 5001, false), v6, ends, [4000, 80]),
            large(tcp(5001, 1001, false), v6, back, [80, 50_000]),
        ],
        [
            plain(Carried::Udp, v6, ends, [4000, 53]),
            large(Carried::Udp, v6, ends, [4000, 53]),
            large(Carried::Udp, v6, back, [53, 50_000]),
        ],
        [
            plain(echo(false), v6, ends, [77, 0]),
            large(echo(false), v6, ends, [77, 0]),
            large(echo(true), v6, back, [50_000, 0]),
        ],
    ]
}

/// A lane with the translated state of a first packet; a TCP connection is established.
fn translating(v6: bool, first: &Packet) -> (Engine, Lane) {
    let engine = Engine::new(&config());
    let lane = engine.lane(0);
    let mut bytes = first.build();
    let made = lane.try_create(&burst(PFPLANE_IN, SECOND), &writable(&mut bytes, 0), Some(&source_nat(v6)));
    assert_eq!(made.unwrap().action, PFPLANE_PASS);
    if let Carried::Tcp { .. } = first.carried {
        let carried = Carried::Tcp { seq: 5000, ack: 1001, syn: true, sack: None, odd: false };
        let ends = [first.addresses[1], address(v6, 9, 9)];
        lane.translated(&burst(PFPLANE_OUT, SECOND), &plain(carried, v6, ends, [80, 50_000]).build());
        let carried = Carried::Tcp { seq: 1001, ack: 5001, syn: false, sack: None, odd: false };
        let ack = Packet { payload: Vec::new(), ..plain(carried, v6, first.addresses, [4000, 80]) };
        lane.translated(&burst(PFPLANE_IN, SECOND), &ack.build());
    }
    (engine, lane)
}

#[test]
fn fragments_leave_as_parts_of_the_translated_packet() {
    for v6 in [false, true] {
        for [first, request, answer] in kinds(v6) {
            let (_engine, lane) = translating(v6, &first);
            for (direction, whole) in [(PFPLANE_IN, &request), (PFPLANE_OUT, &answer)] {
                let (burst, bytes) = (burst(direction, SECOND), whole.build());
                let facts = facts_of(&burst, &bytes);
                let mut fragments = cut(&bytes, v6);
                assert_eq!(fragments.len(), 3);
                for fragment in &mut fragments {
                    let mut verdict = lane.look_up_fragment(&burst, &known(&burst, fragment, &facts));
                    assert_eq!(
                        (verdict.action, verdict.translated),
                        (PFPLANE_PASS, 1),
                        "{:?}",
                        whole.carried
                    );
                    let slot = verdict.slot;
                    lane.rewrite_fragment(&burst, fragment, &mut verdict);
                    assert_eq!((verdict.action, verdict.slot), (PFPLANE_PASS, slot), "{:?}", whole.carried);
                }
                let (addresses, payload) = join(&fragments, v6);
                let expected = lane.translated(&burst, &bytes);
                let at = if v6 { 8..40 } else { 12..20 };
                assert_eq!((&addresses[..], &payload[..]), (&expected[at], &expected[header_bytes(v6)..]));
            }
        }
    }
}

#[test]
fn a_later_fragment_passes_whatever_the_tcp_state_is_and_changes_nothing_in_it() {
    for v6 in [false, true] {
        let [[first, request, _], ..] = kinds(v6);
        let (_engine, lane) = translating(v6, &first);
        let burst = burst(PFPLANE_IN, 2 * SECOND);
        let (bytes, slot) = (request.build(), 0);
        let fragments = cut(&bytes, v6);
        let whole = pfplane_facts { tcp_seq: 1001 + (1 << 30), ..facts_of(&burst, &bytes) };
        let before = lane.state_at(slot).state;
        let verdict = lane.look_up_fragment(&burst, &known(&burst, &fragments[0], &whole));
        assert_eq!((verdict.action, verdict.reason), (PFPLANE_DROP, PFPLANE_REASON_WINDOW));
        for fragment in &fragments[1..] {
            let facts = pfplane_facts { tcp_seq: 77, tcp_flags: 4, ..known(&burst, fragment, &whole) };
            assert_eq!(lane.look_up_fragment(&burst, &facts).action, PFPLANE_PASS);
        }
        let after = lane.state_at(slot).state;
        let of = |side: &pfplane_side| (side.state, side.seqlo, side.seqhi, side.max_win);
        assert_eq!([of(&after.src), of(&after.dst)], [of(&before.src), of(&before.dst)]);
        assert_eq!(after.packets[0], before.packets[0] + 2);
    }
}

#[test]
fn a_later_fragment_creates_no_state() {
    for v6 in [false, true] {
        for [_, request, _] in kinds(v6) {
            let engine = Engine::new(&config());
            let (lane, burst) = (engine.lane(0), burst(PFPLANE_IN, SECOND));
            let (bytes, mut verdict) = (request.build(), zeroed());
            let facts = known(&burst, &cut(&bytes, v6)[1], &facts_of(&burst, &bytes));
            assert_eq!(lane.look_up_fragment(&burst, &facts).action, PFPLANE_NEW);
            let verdict_out = out(&mut verdict);
            let status =
                pfplane_lane_state_create_facts(lane.get(), Some(&burst), Some(&facts), None, verdict_out);
            assert_eq!((status, verdict.action), (PFPLANE_OK, PFPLANE_DROP));
            assert_eq!(verdict.reason, PFPLANE_REASON_NO_STATE);
            let error = pfplane_facts { kind: PFPLANE_KIND_ICMP_ERROR, icmp_error: 1, ..facts };
            let status =
                unsafe { pfplane_lane_lookup_facts(lane.get(), Some(&burst), &error, 1, &mut verdict) };
            assert_eq!(status, PFPLANE_ERROR_ARGUMENT);
            assert!(last_error().contains("fragment"), "{}", last_error());
        }
    }
}

#[test]
fn what_is_no_fragment_of_the_state_is_not_rewritten() {
    for v6 in [false, true] {
        let [_, [first, request, _], _] = kinds(v6);
        let (_engine, lane) = translating(v6, &first);
        let burst = burst(PFPLANE_IN, SECOND);
        let passes = pfplane_verdict { action: PFPLANE_PASS, translated: 1, slot: 0, ..zeroed() };
        let refuses = |bytes: &[u8], verdict: pfplane_verdict, action: u8, reason: u8| {
            let (mut bytes, before, mut verdict) = (bytes.to_vec(), bytes.to_vec(), verdict);
            lane.rewrite_fragment(&burst, &mut bytes, &mut verdict);
            assert_eq!((verdict.action, verdict.reason, verdict.translated), (action, reason, 0));
            assert_eq!(bytes, before);
        };
        let (drop, reason) = (PFPLANE_DROP, PFPLANE_REASON_TRANSLATION);
        let fragments = cut(&request.build(), v6);
        refuses(&request.build(), passes, drop, reason);
        refuses(&fragments[0][..header_bytes(v6) + 4], passes, drop, reason);
        for slot in [1, 999, u32::MAX] {
            refuses(&fragments[1], pfplane_verdict { slot, ..passes }, drop, reason);
        }
        let other = Packet { addresses: [address(v6, 1, 66), request.addresses[1]], ..request.clone() };
        refuses(&cut(&other.build(), v6)[1], passes, drop, reason);
        let other = Packet { ports: [4001, 53], ..request.clone() };
        refuses(&cut(&other.build(), v6)[0], passes, drop, reason);
        // A verdict that does not say so leaves the packet alone.
        let mut verdict = pfplane_verdict { translated: 0, ..passes };
        let mut bytes = fragments[1].clone();
        lane.rewrite_fragment(&burst, &mut bytes, &mut verdict);
        assert_eq!((verdict.action, bytes), (PFPLANE_PASS, fragments[1].clone()));
        let call = |burst: Option<&pfplane_burst>,
                    packet: Option<&pfplane_packet>,
                    verdict: Option<&mut _>| unsafe {
            pfplane_lane_rewrite_fragment(lane.get(), burst, packet, verdict)
        };
        let nothing = pfplane_packet { data: null::<u8>().cast_mut(), ..packet(&[]) };
        assert_eq!(call(None, Some(&nothing), Some(&mut { passes })), PFPLANE_ERROR_NULL);
        assert_eq!(call(Some(&burst), None, Some(&mut { passes })), PFPLANE_ERROR_NULL);
        assert_eq!(call(Some(&burst), Some(&nothing), None), PFPLANE_ERROR_NULL);
        let mut verdict = passes;
        assert_eq!(call(Some(&burst), Some(&nothing), Some(&mut verdict)), PFPLANE_OK);
        assert_eq!(verdict.action, PFPLANE_NOT_CONTIGUOUS);
    }
}
