//! Limits for sources and half-open connections through the C door.
#![expect(clippy::multiple_unsafe_ops_per_block, reason = "every line calls the C door")]

use core::ffi::CStr;
use core::mem::{MaybeUninit, size_of};
use core::ptr::{null, null_mut};
use pfplane::internals::ffi::*;
use pfplane_testkit::Packet;

const SECOND: u64 = 1_000_000_000;

fn config() -> pfplane_config {
    let mut config = MaybeUninit::uninit();
    // SAFETY: room for the struct, and its size; the call fills it.
    unsafe {
        let status = pfplane_config_init(config.as_mut_ptr(), size_of::<pfplane_config>() as u32);
        assert_eq!(status, PFPLANE_OK);
        config.assume_init()
    }
}

fn options(rule: u32) -> pfplane_state_options {
    let mut options = MaybeUninit::uninit();
    // SAFETY: room for the struct, and its size; the call fills it.
    let mut options: pfplane_state_options = unsafe {
        let size = size_of::<pfplane_state_options>() as u32;
        assert_eq!(pfplane_state_options_init(options.as_mut_ptr(), size), PFPLANE_OK);
        options.assume_init()
    };
    options.rule = rule;
    options
}

/// An engine of one lane that is freed at the end.
struct Engine(*mut pfplane_engine);

impl Drop for Engine {
    fn drop(&mut self) {
        // SAFETY: a valid engine that nobody uses any more.
        unsafe { pfplane_engine_free(self.0) };
    }
}

impl Engine {
    fn new(config: &pfplane_config) -> Self {
        let mut engine = null_mut();
        // SAFETY: a valid configuration and room for a pointer.
        assert_eq!(unsafe { pfplane_engine_new(config, &mut engine) }, PFPLANE_OK);
        Self(engine)
    }

    fn lane(&self) -> *mut pfplane_lane {
        let mut lane = null_mut();
        // SAFETY: a valid engine and room for a pointer.
        assert_eq!(unsafe { pfplane_engine_lane(self.0, 0, &mut lane) }, PFPLANE_OK);
        lane
    }

    /// Looks a packet up, and makes its state where it is new.
    fn pass(&self, direction: u8, bytes: &[u8], options: &pfplane_state_options) -> (u8, u8) {
        let burst = pfplane_burst {
            size: size_of::<pfplane_burst>() as u32,
            direction,
            link: PFPLANE_LINK_IP,
            trust_hash: 0,
            leave: 1,
            now_ns: SECOND,
        };
        let packet = pfplane_packet {
            data: bytes.as_ptr().cast_mut(),
            length: bytes.len() as u32,
            packet_length: 0,
            hash: 0,
            headroom: 0,
            flags: 0,
        };
        let mut verdict = MaybeUninit::<pfplane_verdict>::uninit();
        // SAFETY: one packet that is left as it is, room for one verdict, a lane of this thread.
        unsafe {
            assert_eq!(
                pfplane_lane_lookup(self.lane(), &burst, &packet, 1, verdict.as_mut_ptr()),
                PFPLANE_OK
            );
            if verdict.assume_init().action == PFPLANE_NEW {
                let out = verdict.as_mut_ptr();
                assert_eq!(pfplane_lane_state_create(self.lane(), &burst, &packet, options, out), PFPLANE_OK);
            }
            let verdict = verdict.assume_init();
            (verdict.action, verdict.reason)
        }
    }

    fn open(&self, syn: &Packet, options: &pfplane_state_options) -> (u8, u8) {
        let made = self.pass(PFPLANE_IN, &syn.tcp(), options);
        if made.0 != PFPLANE_PASS {
            return made;
        }
        self.pass(PFPLANE_OUT, &syn.syn_ack().tcp(), options);
        self.pass(PFPLANE_IN, &syn.data(1001, 5001, 0).tcp(), options)
    }

    fn stat(&self, name: &CStr) -> u64 {
        let mut value = 0;
        // SAFETY: a lane of this thread, a valid engine, a text, room for a number.
        unsafe {
            assert_eq!(pfplane_lane_poll(self.lane(), SECOND), PFPLANE_OK);
            let found = pfplane_engine_stat_find(self.0, PFPLANE_ALL_LANES, name.as_ptr(), &mut value);
            assert_eq!(found, PFPLANE_OK, "{name:?}");
        }
        value
    }

    fn source(&self, host: u32, rule: u32) -> (i32, u32, u32) {
        let address = pfplane_address {
            family: 6,
            reserved: [0; 3],
            bytes: pfplane_testkit::packet::address(true, 1, host),
        };
        let (mut states, mut connections) = (77, 77);
        // SAFETY: valid pointers all.
        let status = unsafe { pfplane_engine_source(self.0, &address, rule, &mut states, &mut connections) };
        (status, states, connections)
    }
}

#[test]
fn each_limit_of_a_rule_has_a_verdict_and_a_statistic_of_its_own() {
    let none = pfplane_source_limits::default();
    let rows: [(pfplane_source_limits, u8, &CStr); 5] = [
        (pfplane_source_limits { max_src_nodes: 1, ..none }, PFPLANE_REASON_SOURCES, c"not_created_sources"),
        (
            pfplane_source_limits { max_src_states: 1, ..none },
            PFPLANE_REASON_SOURCE_STATES,
            c"not_created_source_states",
        ),
        (
            pfplane_source_limits { max_src_conn: 1, ..none },
            PFPLANE_REASON_SOURCE_CONNECTIONS,
            c"ended_source_connections",
        ),
        (
            pfplane_source_limits { max_src_conn_rate: 1, max_src_conn_seconds: 10, ..none },
            PFPLANE_REASON_SOURCE_CONNECTION_RATE,
            c"ended_source_connection_rate",
        ),
        (
            pfplane_source_limits { max_src_new_rate: 1, max_src_new_seconds: 10, ..none },
            PFPLANE_REASON_SOURCE_NEW_RATE,
            c"not_created_source_new_rate",
        ),
    ];
    for (limits, reason, statistic) in rows {
        for v6 in [false, true] {
            let engine = Engine::new(&config());
            let options = pfplane_state_options { source: limits, ..options(4) };
            assert_eq!(engine.open(&Packet::syn(v6, 1, 1, [1000, 80]), &options), (PFPLANE_PASS, 0));
            let second = Packet::syn(v6, if limits.max_src_nodes == 1 { 2 } else { 1 }, 1, [1001, 80]);
            assert_eq!(engine.open(&second, &options), (PFPLANE_DROP, reason));
            assert_eq!(engine.stat(statistic), 1, "{statistic:?}");
        }
    }
}

#[test]
fn limits_of_the_engine_hold_for_all_rules_and_a_source_can_be_asked_for() {
    let mut config = config();
    config.source.max_src_states = 2;
    config.max_half_open = 100;
    let engine = Engine::new(&config);
    for n in 0..4u16 {
        let syn = Packet::syn(true, 1, 1, [1000 + n, 80]);
        let expected = if n < 2 { (PFPLANE_PASS, 0) } else { (PFPLANE_DROP, PFPLANE_REASON_SOURCE_STATES) };
        assert_eq!(engine.open(&syn, &options(n.into())), expected);
    }
    assert_eq!(engine.source(1, u32::MAX), (PFPLANE_OK, 2, 2));
    assert_eq!(engine.source(1, 0), (PFPLANE_OK, 0, 0), "the rule has no limits of its own");
    assert_eq!(engine.source(2, u32::MAX), (PFPLANE_OK, 0, 0));
    assert_eq!((engine.stat(c"sources"), engine.stat(c"half_open")), (1, 0));
    // SAFETY: a valid engine; the other arguments are refused.
    unsafe {
        let address = pfplane_address { family: 5, reserved: [0; 3], bytes: [0; 16] };
        let ask = |address| pfplane_engine_source(engine.0, address, 0, null_mut(), null_mut());
        assert_eq!(ask(&address), PFPLANE_ERROR_ARGUMENT);
        assert_eq!(ask(null()), PFPLANE_ERROR_NULL);
    }
    config.sources = 0;
    config.source.max_src_states = 0;
    assert_eq!(Engine::new(&config).source(1, 0).0, PFPLANE_END);
}

#[test]
fn half_open_connections_are_limited_and_open_ones_are_not() {
    let mut config = config();
    config.max_half_open = 3;
    let engine = Engine::new(&config);
    for host in 0..10 {
        assert_eq!(engine.open(&Packet::syn(true, host, 1, [1000, 80]), &options(1)), (PFPLANE_PASS, 0));
    }
    for host in 0..5 {
        let verdict = engine.pass(PFPLANE_IN, &Packet::syn(false, host, 1, [1000, 80]).tcp(), &options(1));
        let full = (PFPLANE_DROP, PFPLANE_REASON_HALF_OPEN);
        assert_eq!(verdict, if host < 3 { (PFPLANE_PASS, 0) } else { full }, "host {host}");
    }
    let datagram = Packet { payload: 3, ..Packet::syn(false, 9, 1, [1000, 53]) }.udp();
    assert_eq!(engine.pass(PFPLANE_IN, &datagram, &options(1)), (PFPLANE_PASS, 0));
    assert_eq!((engine.stat(c"half_open"), engine.stat(c"not_created_half_open")), (3, 2));
}

#[test]
fn a_limit_out_of_range_is_named_and_room_for_sources_is_counted() {
    let mut refused = config();
    refused.source.max_src_conn_rate = 5;
    let mut engine = null_mut();
    // SAFETY: valid pointers all, and a text that ends.
    unsafe {
        assert_eq!(pfplane_engine_new(&refused, &mut engine), PFPLANE_ERROR_SETTING);
        let text = CStr::from_ptr(pfplane_last_error()).to_str().unwrap().to_owned();
        assert!(text.starts_with("max_src_conn_seconds is 0"), "{text}");
        let (mut with, mut without) = (0, 0);
        let few = pfplane_config { sources: 0, ..config() };
        assert_eq!(pfplane_config_memory(&config(), &mut with), PFPLANE_OK);
        assert_eq!(pfplane_config_memory(&few, &mut without), PFPLANE_OK);
        assert!((with - without).abs_diff(10_000 * 115) < 20_000, "{}", with - without);
    }
}
