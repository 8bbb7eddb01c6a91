//! What only few states have, through the C API: the host's own bytes, their memory, and routing tables.

use super::captures::packets;
use super::world::*;
use pfplane::internals::ffi::*;
use pfplane_testkit::Packet;

fn bytes_of(text: &[u8]) -> [u8; PFPLANE_MAX_OPAQUE] {
    let mut bytes = [0; PFPLANE_MAX_OPAQUE];
    bytes[..text.len()].copy_from_slice(text);
    bytes
}

fn with_opaque(text: &[u8]) -> pfplane_state_options {
    pfplane_state_options { opaque: bytes_of(text), opaque_length: text.len() as u32, ..options() }
}

fn node(number: u8, profile: u32, extensions: u8) -> Engine {
    Engine::with_peer(&config(), &pfplane_peer { profile, extensions, ..peer(number) })
}

const ALL: [u32; 4] = [
    PFPLANE_PROFILE_OPENBSD6,
    PFPLANE_PROFILE_FREEBSD1301,
    PFPLANE_PROFILE_FREEBSD1400,
    PFPLANE_PROFILE_FREEBSD1500,
];

#[test]
fn the_hosts_own_bytes_are_shown_and_reach_pfplane_peers_only() {
    for (profile, v6) in ALL.into_iter().flat_map(|profile| [(profile, false), (profile, true)]) {
        let (here, there, stock) = (node(1, profile, 1), node(2, profile, 1), node(3, profile, 0));
        let (lane, other, third) = (here.lane(0), there.lane(0), stock.lane(0));
        let texts: [&[u8]; 3] = [b"tenant 17", b"", &[7; PFPLANE_MAX_OPAQUE]];
        for (n, text) in texts.into_iter().enumerate() {
            let syn = Packet::syn(v6, 5, 6, [4000 + n as u16, 443]).tcp();
            let made = lane.try_create(&burst(PFPLANE_IN, 10 * MS), &packet(&syn), Some(&with_opaque(text)));
            let view = lane.state_at(made.unwrap().slot);
            assert_eq!((usize::from(view.opaque_length), view.opaque), (text.len(), bytes_of(text)));
        }
        let mut shown = Vec::new();
        for now in [20 * MS, 40 * MS] {
            lane.poll(now);
            for frame in lane.flush(now) {
                other.receive(&frame, now);
                third.receive(&frame, now);
            }
            shown = other.states(now);
        }
        shown.sort_by_key(|view| view.id);
        let read: Vec<_> = shown.iter().map(|view| (usize::from(view.opaque_length), view.opaque)).collect();
        assert_eq!(read, texts.map(|text| (text.len(), bytes_of(text))), "{profile}");
        let stock_states = third.states(40 * MS);
        assert_eq!(stock_states.len(), 3);
        assert!(stock_states.iter().all(|view| view.opaque_length == 0));
        assert_eq!((stock.stat(c"badlen"), there.stat(c"trailer_length")), (0, 0));
    }
}

#[test]
fn a_bulk_transfer_carries_the_hosts_own_bytes() {
    let (here, there) = (node(1, PFPLANE_PROFILE_OPENBSD6, 1), node(2, PFPLANE_PROFILE_OPENBSD6, 1));
    let (lane, other) = (here.lane(0), there.lane(0));
    for n in 0..40 {
        let syn = Packet::syn(false, 5, 6, [4000 + n, 443]).tcp();
        let text = [n as u8 + 1; PFPLANE_MAX_OPAQUE];
        let options = with_opaque(&text[..1 + usize::from(n)]);
        lane.try_create(&burst(PFPLANE_IN, MS), &packet(&syn), Some(&options)).unwrap();
    }
    // The frames of the inserts are lost.
    lane.poll(20 * MS);
    lane.flush(20 * MS);
    for now in (30..200).map(|ms| ms * MS) {
        for (from, to) in [(other, lane), (lane, other)] {
            from.poll(now);
            from.carry(to, now);
        }
    }
    let shown = other.states(200 * MS);
    assert_eq!(shown.len(), 40);
    for view in shown {
        let n = view.state.key[0].port[1].max(view.state.key[0].port[0]) - 4000;
        let length = 1 + usize::from(n);
        assert_eq!(usize::from(view.opaque_length), length);
        assert_eq!(view.opaque[..length], vec![n as u8 + 1; length]);
    }
}

#[test]
fn entries_are_counted_beforehand_and_wrong_settings_are_refused() {
    let memory = |config: &pfplane_config| {
        let mut bytes = 0;
        let status = unsafe { pfplane_config_memory(Some(config), out(&mut bytes)) };
        assert_eq!(status, PFPLANE_OK, "{}", last_error());
        bytes
    };
    let none = memory(&config());
    assert_eq!(memory(&pfplane_config { max_extra_per_lane: 0, ..config() }), none);
    let some = memory(&pfplane_config { max_extra_per_lane: 500, ..config() });
    assert!((500 * 195..500 * 196).contains(&(some - none)), "{some} {none}");
    let peer = pfplane_peer { profile: PFPLANE_PROFILE_FREEBSD1500, ..peer(1) };
    let with_freebsd = pfplane_config { peers: &raw const peer, peer_count: 1, ..config() };
    assert!(memory(&with_freebsd) - none > 1000 * 195);

    let engine = Engine::new(&pfplane_config { max_extra_per_lane: 1, ..config() });
    let lane = engine.lane(0);
    let syn = Packet::syn(false, 5, 6, [4000, 443]).tcp();
    let too_long = pfplane_state_options { opaque_length: 65, ..options() };
    let refused = lane.try_create(&burst(PFPLANE_IN, MS), &packet(&syn), Some(&too_long)).unwrap_err();
    assert_eq!(refused.1, "options.opaque_length is 65, it must be from 0 to 64");
    lane.try_create(&burst(PFPLANE_IN, MS), &packet(&syn), Some(&with_opaque(b"a"))).unwrap();
    let syn = Packet::syn(false, 5, 6, [4001, 443]).tcp();
    let full = lane.try_create(&burst(PFPLANE_IN, MS), &packet(&syn), Some(&with_opaque(b"b"))).unwrap();
    assert_eq!((full.action, full.reason), (PFPLANE_DROP, PFPLANE_REASON_TABLE_FULL));
}

#[test]
fn peers_states_are_refused_unless_their_routing_table_is_listed() {
    let recorded = packets("openbsd/gen/ins.pcap");
    let imported = |tables: &[u32]| {
        let peer = peer(2);
        let engine = Engine::new(&pfplane_config {
            peers: &raw const peer,
            peer_count: 1,
            routing_tables: tables.as_ptr(),
            routing_table_count: tables.len() as u32,
            ..config()
        });
        let lane = engine.lane(0);
        recorded.iter().for_each(|frame| lane.receive(frame, MS));
        lane.poll(2 * MS);
        let states = lane.states(3 * MS);
        let known = |table: i32| table <= 0 || tables.contains(&table.cast_unsigned());
        assert!(states.iter().all(|view| view.state.rtableid.into_iter().all(known)));
        (states.len() as u64, engine.stat(c"imports_refused_routing_table"))
    };
    let all: Vec<u32> = (1..256).collect();
    let (states, refused) = imported(&all);
    assert_eq!(refused, 0);
    let (fewer, refused) = imported(&[]);
    assert!(refused > 0 && fewer + refused == states, "{fewer} {refused} {states}");
}
