//! The headers on the sync port: VLAN, Ethernet addresses, type of service.

use super::world::*;
use pfplane::internals::ffi::*;
use pfplane_testkit::Packet;

/// Expedited forwarding, without ECN.
const TOS: u8 = 46 << 2;
const VLAN: u16 = 100;
/// Bytes of an Ethernet header with one tag.
const HEADER: usize = 18;

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
                // The host removes the link's header.
                other.receive(&frame[HEADER..], now);
            }
            other.poll(now);
        }
        assert_eq!(other.states(1100 * MS).len(), 1);
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
