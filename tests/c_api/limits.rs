//! Limits for sources and half-open connections.

use super::world::*;
use core::ffi::CStr;
use core::ptr::null_mut;
use pfplane::internals::ffi::*;
use pfplane_testkit::Packet;
use pfplane_testkit::packet::address;

fn rule(rule: u32) -> pfplane_state_options {
    pfplane_state_options { rule, ..options() }
}

impl Engine {
    /// Looks a packet up, and creates its state if it is new.
    fn pass(&self, direction: u8, bytes: &[u8], options: &pfplane_state_options) -> (u8, u8) {
        let burst = pfplane_burst { host_rewrites: 1, ..burst(direction, SECOND) };
        let mut verdict = self.lane(0).look_up(&burst, bytes);
        if verdict.action == PFPLANE_NEW {
            verdict = self.lane(0).try_create(&burst, &packet(bytes), Some(options)).expect("a verdict");
        }
        (verdict.action, verdict.reason)
    }

    fn open(&self, syn: &Packet, options: &pfplane_state_options) -> (u8, u8) {
        let made = self.pass(PFPLANE_IN, &syn.tcp(), options);
        if made.0 != PFPLANE_PASS {
            return made;
        }
        self.pass(PFPLANE_OUT, &syn.syn_ack().tcp(), options);
        self.pass(PFPLANE_IN, &syn.data(1001, 5001, 0).tcp(), options)
    }

    fn polled_stat(&self, name: &CStr) -> u64 {
        self.lane(0).poll(SECOND);
        self.stat(name)
    }

    fn source(&self, host: u32, rule: u32) -> (i32, u32, u32) {
        let address = pfplane_address { family: 6, reserved: [0; 3], bytes: address(true, 1, host) };
        let (mut states, mut connections) = (77, 77);
        let outs = (out(&mut states), out(&mut connections));
        let status = pfplane_engine_source(self.get(), Some(&address), rule, outs.0, outs.1);
        (status, states, connections)
    }
}

#[test]
fn each_limit_of_a_rule_has_a_verdict_and_a_statistic_of_its_own() {
    let none = pfplane_source_limits::default();
    let rows: [(pfplane_source_limits, u8, &CStr); 5] = [
        (
            pfplane_source_limits { max_src_nodes: 1, ..none },
            PFPLANE_REASON_SOURCES,
            c"states_refused_sources",
        ),
        (
            pfplane_source_limits { max_src_states: 1, ..none },
            PFPLANE_REASON_SOURCE_STATES,
            c"states_refused_source_states",
        ),
        (
            pfplane_source_limits { max_src_conn: 1, ..none },
            PFPLANE_REASON_SOURCE_CONNECTIONS,
            c"states_removed_source_connections",
        ),
        (
            pfplane_source_limits { max_src_conn_rate: 1, max_src_conn_seconds: 10, ..none },
            PFPLANE_REASON_SOURCE_CONNECTION_RATE,
            c"states_removed_source_connection_rate",
        ),
        (
            pfplane_source_limits { max_src_new_rate: 1, max_src_new_seconds: 10, ..none },
            PFPLANE_REASON_SOURCE_NEW_RATE,
            c"states_refused_source_new_rate",
        ),
    ];
    for (source_limits, reason, statistic) in rows {
        for v6 in [false, true] {
            let engine = Engine::new(&config());
            let options = pfplane_state_options { source_limits, ..rule(4) };
            assert_eq!(engine.open(&Packet::syn(v6, 1, 1, [1000, 80]), &options), (PFPLANE_PASS, 0));
            let host = if source_limits.max_src_nodes == 1 { 2 } else { 1 };
            let second = Packet::syn(v6, host, 1, [1001, 80]);
            assert_eq!(engine.open(&second, &options), (PFPLANE_DROP, reason));
            assert_eq!(engine.polled_stat(statistic), 1, "{statistic:?}");
        }
    }
}

#[test]
fn limits_of_the_engine_apply_to_all_rules_and_a_source_can_be_queried() {
    let mut config = config();
    config.source_limits.max_src_states = 2;
    config.max_half_open = 100;
    let engine = Engine::new(&config);
    for n in 0..4u16 {
        let syn = Packet::syn(true, 1, 1, [1000 + n, 80]);
        let expected = if n < 2 { (PFPLANE_PASS, 0) } else { (PFPLANE_DROP, PFPLANE_REASON_SOURCE_STATES) };
        assert_eq!(engine.open(&syn, &rule(n.into())), expected);
    }
    assert_eq!(engine.source(1, u32::MAX), (PFPLANE_OK, 2, 2));
    assert_eq!(engine.source(1, 0), (PFPLANE_OK, 0, 0), "the rule has no limits of its own");
    assert_eq!(engine.source(2, u32::MAX), (PFPLANE_OK, 0, 0));
    assert_eq!((engine.polled_stat(c"sources"), engine.polled_stat(c"states_half_open")), (1, 0));
    let query = |address| pfplane_engine_source(engine.get(), address, 0, None, None);
    let no_family = pfplane_address { family: 5, reserved: [0; 3], bytes: [0; 16] };
    assert_eq!(query(Some(&no_family)), PFPLANE_ERROR_ARGUMENT);
    assert_eq!(query(None), PFPLANE_ERROR_NULL);
    config.max_sources = 0;
    config.source_limits.max_src_states = 0;
    assert_eq!(Engine::new(&config).source(1, 0).0, PFPLANE_END);
}

#[test]
fn half_open_connections_are_limited_and_established_ones_are_not() {
    let engine = Engine::new(&pfplane_config { max_half_open: 3, ..config() });
    for host in 0..10 {
        assert_eq!(engine.open(&Packet::syn(true, host, 1, [1000, 80]), &rule(1)), (PFPLANE_PASS, 0));
    }
    for host in 0..5 {
        let verdict = engine.pass(PFPLANE_IN, &Packet::syn(false, host, 1, [1000, 80]).tcp(), &rule(1));
        let full = (PFPLANE_DROP, PFPLANE_REASON_HALF_OPEN);
        assert_eq!(verdict, if host < 3 { (PFPLANE_PASS, 0) } else { full }, "host {host}");
    }
    let datagram = Packet { payload: 3, ..Packet::syn(false, 9, 1, [1000, 53]) }.udp();
    assert_eq!(engine.pass(PFPLANE_IN, &datagram, &rule(1)), (PFPLANE_PASS, 0));
    let stat = |name| engine.polled_stat(name);
    assert_eq!((stat(c"states_half_open"), stat(c"states_refused_half_open")), (3, 2));
}

#[test]
fn a_limit_out_of_range_is_named_and_memory_for_sources_is_counted() {
    let mut refused = config();
    refused.source_limits.max_src_conn_rate = 5;
    let status = unsafe { pfplane_engine_new(Some(&refused), out(&mut null_mut())) };
    assert_eq!(status, PFPLANE_ERROR_SETTING);
    assert!(last_error().starts_with("max_src_conn_seconds is 0"), "{}", last_error());
    let memory = |config: &pfplane_config| {
        let mut bytes = 0u64;
        assert_eq!(unsafe { pfplane_config_memory(Some(config), out(&mut bytes)) }, PFPLANE_OK);
        bytes
    };
    let more = memory(&config()) - memory(&pfplane_config { max_sources: 0, ..config() });
    assert!(more.abs_diff(10_000 * 115) < 20_000, "{more}");
}
