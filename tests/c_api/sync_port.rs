//! The headers on the sync port: VLAN, Ethernet addresses, type of service.

use super::world::*;
use pfplane::internals::ffi::*;
use pfplane_testkit::Packet;

/// Expedited forwarding, without ECN.
const TOS: u8 = 46 << 2;
const VLAN: u16 = 100;

/// An engine with one lane and one peer behind a tagged port.
fn node(last_byte: u8, v6: bool) -> Engine {
    let mut peer = pfplane_peer {
        profile: PFPLANE_PROFILE_FREEBSD1400,
        tos: TOS.into(),
        ethernet: 1,
        vlan: VLAN,
        ethernet_source: [2, 0, 0, 0, 0, last_byte],
        ..peer(last_byte)
    };
    peer.source.family = if v6 { 6 } else { 4 };
    Engine::with_peer(&config(), &peer)
}

fn create_a_state(lane: Lane) {
    let syn = Packet::syn(false, 5, 6, [4000, 443]).tcp();
    assert_eq!(lane.create(&burst(PFPLANE_IN, 10 * MS), &syn).action, PFPLANE_PASS);
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

#[test]
fn frames_have_the_vlan_and_the_type_of_service_of_the_settings() {
    for v6 in [false, true] {
        let (here, there) = (node(1, v6), node(2, v6));
        let (lane, other) = (here.lane(0), there.lane(0));
        create_a_state(lane);
        // Besides the state there is the request for all states, which is due at once; the state a second later.
        for now in [20 * MS, 1100 * MS] {
            lane.poll(now);
            for frame in lane.flush(now) {
                check_headers(&frame, v6);
                other.receive_frame(&frame, PFPLANE_NO_TAG, now);
            }
            other.poll(now);
        }
        assert_eq!(other.states(1100 * MS).len(), 1);
    }
}

/// The frame with other tags, outermost first, each with its protocol.
fn retagged(frame: &[u8], tags: &[(u16, u16)]) -> Vec<u8> {
    let mut out = frame[..12].to_vec();
    for (protocol, tag) in tags {
        out.extend(protocol.to_be_bytes());
        out.extend(tag.to_be_bytes());
    }
    out.extend(&frame[16..]);
    out
}

fn to(mac: [u8; 6], frame: &[u8]) -> Vec<u8> {
    [&mac, &frame[6..]].concat()
}

#[test]
fn only_frames_of_our_vlan_to_us_or_to_the_group_are_received() {
    for v6 in [false, true] {
        let (here, there) = (node(1, v6), node(2, v6));
        let lane = here.lane(0);
        create_a_state(lane);
        lane.poll(20 * MS);
        let frames = lane.flush(1100 * MS);
        let other_group = [1, 0, 0x5e, 0, 0, 0x12];
        type Case<'a> = (&'a dyn Fn(&[u8]) -> Vec<u8>, u32, &'a core::ffi::CStr);
        let refused: [Case<'_>; 9] = [
            (&|frame| retagged(frame, &[]), PFPLANE_NO_TAG, c"badvlan"),
            (&|frame| retagged(frame, &[(0x8100, 99)]), PFPLANE_NO_TAG, c"badvlan"),
            (&|frame| retagged(frame, &[(0x8100, 0)]), PFPLANE_NO_TAG, c"badvlan"),
            (&|frame| retagged(frame, &[(0x88a8, VLAN)]), PFPLANE_NO_TAG, c"badvlan"),
            (&|frame| retagged(frame, &[(0x88a8, 99), (0x8100, VLAN)]), PFPLANE_NO_TAG, c"badvlan"),
            (&|frame| retagged(frame, &[]), 99, c"badvlan"),
            (&|frame| frame.to_vec(), 99, c"badvlan"),
            (&|frame| to([2, 0x11, 0x22, 0x33, 0x44, 0x55], frame), PFPLANE_NO_TAG, c"badmac"),
            (&|frame| to(other_group, frame), PFPLANE_NO_TAG, c"badmac"),
        ];
        let other = there.lane(0);
        let count = frames.len() as u64;
        for (index, (change, tag, counter)) in refused.into_iter().enumerate() {
            other.poll(index as u64 * 10 * MS);
            let before = there.stat(counter);
            frames.iter().for_each(|frame| other.receive_frame(&change(frame), tag, SECOND));
            other.poll((index as u64 * 10 + 5) * MS);
            assert_eq!(there.stat(counter), before + count, "case {index}");
            assert_eq!(other.states(SECOND).len(), 0, "case {index}");
        }
        type Change<'a> = &'a dyn Fn(&[u8]) -> Vec<u8>;
        let accepted: [(Change<'_>, u32); 4] = [
            (&|frame| to([0xff; 6], frame), PFPLANE_NO_TAG),
            (&|frame| retagged(frame, &[]), u32::from(VLAN)),
            (&|frame| retagged(frame, &[]), 0xe000 | u32::from(VLAN)),
            (&|frame| to([2, 0, 0, 0, 0, 3], frame), PFPLANE_NO_TAG),
        ];
        for (change, tag) in accepted {
            let there = node(3, v6);
            frames.iter().for_each(|frame| there.lane(0).receive_frame(&change(frame), tag, SECOND));
            assert_eq!(there.lane(0).states(SECOND).len(), 1);
        }
    }
}

#[test]
fn forwarded_and_cut_frames_are_refused_and_counted() {
    const ETHERNET: usize = 18;
    for v6 in [false, true] {
        let (here, there) = (node(1, v6), node(2, v6));
        create_a_state(here.lane(0));
        here.lane(0).poll(20 * MS);
        let frames = here.lane(0).flush(1100 * MS);
        let frame = frames.iter().max_by_key(|frame| frame.len()).expect("the state");
        let forwarded = |limit: u8| {
            let mut frame = frame.clone();
            let at = if v6 { ETHERNET + 7 } else { ETHERNET + 8 };
            assert_eq!(frame[at], 255);
            frame[at] = limit;
            if !v6 {
                frame[ETHERNET + 10..ETHERNET + 12].fill(0);
                let words = frame[ETHERNET..ETHERNET + 20].chunks_exact(2);
                let sum: u32 = words.map(|word| u32::from(word[0]) << 8 | u32::from(word[1])).sum();
                let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
                frame[ETHERNET + 10..ETHERNET + 12].copy_from_slice(&sum.to_be_bytes());
            }
            frame
        };
        let other = there.lane(0);
        for (index, limit) in [254, 1, 0].into_iter().enumerate() {
            other.receive_frame(&forwarded(limit), PFPLANE_NO_TAG, SECOND);
            other.poll(SECOND + index as u64 * 10 * MS);
            assert_eq!(there.stat(c"badttl"), index as u64 + 1, "{limit}");
        }
        for (index, length) in [ETHERNET + 10, 128, frame.len() - 1].into_iter().enumerate() {
            other.receive_frame(&frame[..length], PFPLANE_NO_TAG, SECOND);
            other.poll(SECOND + (5 + index as u64) * 10 * MS);
            assert_eq!(there.stat(c"badip"), index as u64 + 1, "{length}");
        }
        assert_eq!(other.states(SECOND).len(), 0);
        other.receive_frame(&forwarded(255), PFPLANE_NO_TAG, SECOND);
        assert_eq!(other.states(SECOND).len(), 1);
    }
}

#[test]
fn a_unicast_peer_needs_our_ethernet_address_and_accepts_only_frames_from_the_peer() {
    let address = |node: u8| peer(node).source;
    let unicast = pfplane_peer {
        destination: address(2),
        ethernet: 1,
        ethernet_source: [2, 0, 0, 0, 0, 1],
        ethernet_destination: [2, 0, 0, 0, 0, 2],
        ..peer(1)
    };
    let without = pfplane_peer { ethernet_source: [0; 6], ..unicast };
    let with_peer = pfplane_config { peers: &raw const without, peer_count: 1, ..config() };
    let status = unsafe { pfplane_engine_new(Some(&with_peer), out(&mut core::ptr::null_mut())) };
    assert_eq!(status, PFPLANE_ERROR_SETTING);
    assert!(last_error().contains("peer.ethernet_source"), "{}", last_error());

    let allowed = [address(4)];
    for (from, listed, received) in
        [(2, false, true), (3, false, false), (4, false, false), (4, true, true), (2, true, true)]
    {
        let sender = Engine::with_peer(&config(), &peer(from));
        let sources = if listed { allowed.as_ptr() } else { core::ptr::null() };
        let receiver = Engine::with_peer(
            &config(),
            &pfplane_peer { sources, source_count: u32::from(listed), ethernet: 0, ..unicast },
        );
        create_a_state(sender.lane(0));
        sender.lane(0).carry(receiver.lane(0), SECOND);
        receiver.lane(0).poll(SECOND);
        assert_eq!(receiver.lane(0).states(SECOND).len(), usize::from(received), "{from} {listed}");
        assert_eq!(receiver.stat(c"badsource") == 0, received);
    }
}

#[test]
fn peers_cannot_take_the_whole_table_by_default() {
    for (max_imported_per_lane, imported) in [(0, 630), (100, 100), (u32::MAX, 640)] {
        let [sender, receiver] = [1, 2].map(|node| {
            let config = pfplane_config { states_per_lane: 640, max_imported_per_lane, ..config() };
            Engine::with_peer(&config, &peer(node))
        });
        for id in 0..640 {
            let syn = Packet::syn(false, id, 6, [4000, 443]).udp();
            assert_eq!(sender.lane(0).create(&burst(PFPLANE_IN, 10 * MS), &syn).action, PFPLANE_PASS);
        }
        for step in 0..40 {
            sender.lane(0).carry(receiver.lane(0), (20 + step) * MS);
        }
        receiver.lane(0).poll(100 * MS);
        assert_eq!(receiver.lane(0).states(100 * MS).len(), imported);
        assert_eq!(receiver.stat(c"imports_refused_quota") > 0, max_imported_per_lane != u32::MAX);
    }
}

#[test]
fn the_default_type_of_service_is_that_of_the_family() {
    for (family, expected) in [(4, [0x45, 0x10]), (6, [0x60, 0x00])] {
        let mut peer = peer(1);
        assert_eq!(peer.tos, PFPLANE_TOS_DEFAULT);
        peer.source.family = family;
        let engine = Engine::with_peer(&config(), &peer);
        create_a_state(engine.lane(0));
        assert_eq!(engine.lane(0).flush(SECOND)[0][..2], expected);
        peer.tos = 257;
        let config = pfplane_config { peers: &raw const peer, peer_count: 1, ..config() };
        let status = unsafe { pfplane_engine_new(Some(&config), out(&mut core::ptr::null_mut())) };
        assert_eq!(status, PFPLANE_ERROR_SETTING);
        assert!(last_error().contains("peer.tos is 257"), "{}", last_error());
    }
}

#[test]
fn a_lane_reports_at_once_what_would_be_lost_with_it() {
    let engine = node(1, false);
    let lane = engine.lane(0);
    let mut exposure = pfplane_exposure {
        size: size::<pfplane_exposure>(),
        creations: 9,
        changes: 9,
        reserved: 9,
        oldest_ns: 9,
    };
    let mut ask = |at: u64| {
        assert_eq!(pfplane_lane_exposure(lane.read(), at, Some(&mut exposure)), PFPLANE_OK);
        (exposure.creations, exposure.changes, exposure.reserved, exposure.oldest_ns)
    };
    lane.poll(10 * MS);
    assert_eq!(ask(10 * MS), (0, 0, 0, 0));
    create_a_state(lane);
    assert_eq!(ask(14 * MS), (1, 0, 0, 4 * MS));
    lane.flush(40 * MS);
    assert_eq!(ask(40 * MS), (0, 0, 0, 0));
    let mut wrong = pfplane_exposure { size: exposure.size + 1, ..exposure };
    assert_eq!(pfplane_lane_exposure(lane.read(), 0, Some(&mut wrong)), PFPLANE_ERROR_SIZE);
    assert_eq!(pfplane_lane_exposure(lane.read(), 0, None), PFPLANE_ERROR_NULL);
}
