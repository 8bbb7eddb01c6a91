//! The traffic client and server over loopback: no firewall, no root, no namespaces. A small relay between them causes the
//! faults that the demonstration must detect.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use pfplane_testbed::traffic::handle::{Command, Traffic};
use pfplane_testbed::traffic::plan::{Family, Plan};
use pfplane_testbed::traffic::report::{ConnectionReport, End, Progress, TrafficReport};

const CONNECTIONS: u32 = 20;
const UDP_FLOWS: u32 = 4;
const POLL_INTERVAL: Duration = Duration::from_millis(10);
const SILENCE: Duration = Duration::from_millis(1500);

fn plan(tcp_port: u16, udp_port: u16, connections: u32) -> Plan {
    // With this base, all activity falls into the first bucket; these tests do not need the others.
    let base = u64::MAX / 2;
    let (udp_flows, interval_ms, open_per_second) = (UDP_FLOWS, 10, 500);
    Plan { connections, udp_flows, interval_ms, open_per_second, tcp_port, udp_port, base, ..Plan::default() }
}

/// Returns a port that is free now, a different one for each test.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// Starts server and client; returns when the server listens and the client waits for commands.
fn start(server_plan: &Plan, client_plan: &Plan) -> (Traffic, Traffic) {
    let server = Traffic::server(None, server_plan);
    wait_for(&server, |_| true);
    let client = Traffic::client(None, client_plan);
    wait_for(&client, |_| true);
    (server, client)
}

fn wait_for(traffic: &Traffic, condition: impl Fn(&Progress) -> bool) {
    while !traffic.progress().is_some_and(|progress| condition(&progress)) {
        thread::sleep(POLL_INTERVAL);
    }
}

fn wait_for_data(ends: [&Traffic; 2], connections: u32) {
    ends.iter().for_each(|end| wait_for(end, |progress| progress.with_data == connections));
}

fn sum(report: &TrafficReport, value: fn(&ConnectionReport) -> u64) -> u64 {
    report.connections.iter().map(value).sum()
}

fn assert_all_closed(report: &TrafficReport) {
    assert_eq!(report.connections.len(), CONNECTIONS as usize);
    assert!(report.connections.iter().all(|connection| connection.end == End::Closed), "{report:?}");
    assert_eq!(sum(report, |connection| connection.wrong), 0);
}

fn count_v6(report: &TrafficReport) -> usize {
    report.connections.iter().filter(|connection| connection.family == Family::V6).count()
}

#[test]
fn connections_of_both_families_close_with_equal_totals_and_no_wrong_byte() {
    let plan = plan(free_port(), free_port(), CONNECTIONS);
    let (mut server, mut client) = start(&plan, &plan);
    client.send(Command::Open);
    wait_for_data([&client, &server], CONNECTIONS);
    wait_for(&client, |progress| progress.active_flows == UDP_FLOWS);
    client.send(Command::Mark);
    server.send(Command::Mark);
    let (client, server) = (client.stop().unwrap(), server.stop().unwrap());
    for report in [&client, &server] {
        assert_all_closed(report);
        assert_eq!(count_v6(report), CONNECTIONS as usize / 2);
    }
    let sent = |report| sum(report, |connection| connection.sent);
    let received = |report| sum(report, |connection| connection.received);
    assert!(sent(&client) > u64::from(CONNECTIONS) * 64);
    assert_eq!([sent(&client), sent(&server)], [received(&server), received(&client)]);
    assert!(client.probes.iter().any(|probe| probe.answered > 0));
    assert!(client.probes.iter().all(|probe| probe.wrong == 0));
}

/// The kernel translates here: IPv6 sockets reach an IPv4 address by its mapped form.
#[test]
fn a_client_without_ipv4_reaches_a_server_without_ipv6() {
    let mapped = Some(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
    let plan = Plan { nat64: mapped, ..plan(free_port(), free_port(), CONNECTIONS) };
    let (mut server, mut client) = start(&plan, &plan);
    client.send(Command::Open);
    wait_for_data([&client, &server], CONNECTIONS);
    wait_for(&client, |progress| progress.active_flows == UDP_FLOWS);
    let (client, server) = (client.stop().unwrap(), server.stop().unwrap());
    for report in [&client, &server] {
        assert_all_closed(report);
        assert_eq!(count_v6(report), CONNECTIONS as usize);
    }
    assert!(client.probes.iter().all(|probe| probe.family == Family::V6), "{client:?}");
    let sent = sum(&client, |connection| connection.sent);
    assert_eq!(sent, sum(&server, |connection| connection.received));
}

/// What the relay does to its connection.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    /// Changes one byte for the client.
    Flip,
    /// Discards everything once the switch is set.
    Silence,
}

/// Relays one connection to the server at 127.0.0.1:`to`.
fn relay(listener: TcpListener, to: u16, fault: Fault, silent: Arc<AtomicBool>) {
    let (near, _) = listener.accept().expect("the client");
    let far = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).expect("the server");
    let clone = |stream: &TcpStream| stream.try_clone().expect("a second handle");
    let (near_out, far_out) = (clone(&near), clone(&far));
    let also_silent = Arc::clone(&silent);
    thread::spawn(move || carry(near, far_out, None, &also_silent));
    thread::spawn(move || carry(far, near_out, Some(fault), &silent));
}

fn carry(mut source: TcpStream, mut sink: TcpStream, fault: Option<Fault>, silent: &AtomicBool) {
    let mut buffer = [0u8; 4096];
    let mut flips = fault == Some(Fault::Flip);
    while let Ok(count) = source.read(&mut buffer) {
        while silent.load(Ordering::Relaxed) && count == 0 {
            // The FIN is discarded too; the thread ends with the test.
            thread::park();
        }
        if count == 0 {
            // Fails when the sink is closed already.
            let _ = sink.shutdown(Shutdown::Write);
            return;
        }
        if silent.load(Ordering::Relaxed) {
            continue;
        }
        if std::mem::take(&mut flips) {
            buffer[0] ^= 0x10;
        }
        if sink.write_all(&buffer[..count]).is_err() {
            return;
        }
    }
}

/// Runs one connection through a faulty relay; returns the reports of client and server.
fn run_through_relay(fault: Fault) -> (TrafficReport, TrafficReport) {
    let (server_port, udp_port) = (free_port(), free_port());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let relay_port = listener.local_addr().expect("an address").port();
    let silent = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&silent);
    thread::spawn(move || relay(listener, server_port, fault, silent));
    let (mut server, mut client) = start(&plan(server_port, udp_port, 1), &plan(relay_port, udp_port, 1));
    client.send(Command::Open);
    wait_for_data([&client, &server], 1);
    client.send(Command::Mark);
    server.send(Command::Mark);
    switch.store(fault == Fault::Silence, Ordering::Relaxed);
    let before = client.progress().map_or(0, |progress| progress.received);
    let start = Instant::now();
    wait_for(&client, |progress| match fault {
        Fault::Flip => progress.received > before,
        Fault::Silence => start.elapsed() > SILENCE,
    });
    (client.stop().unwrap(), server.stop().unwrap())
}

#[test]
fn one_byte_changed_in_transit_is_one_wrong_byte() {
    let (client, server) = run_through_relay(Fault::Flip);
    assert_eq!(sum(&client, |connection| connection.wrong), 1);
    assert_eq!(sum(&server, |connection| connection.wrong), 0);
    assert_eq!(client.connections[0].end, End::Closed);
}

#[test]
fn a_connection_cut_without_a_reset_hangs_and_its_gap_is_measured() {
    let (client, _) = run_through_relay(Fault::Silence);
    let connection = &client.connections[0];
    assert_eq!(connection.end, End::Open, "{connection:?}");
    let gap = connection.activity.gaps[1].length;
    // The last byte may have arrived some time before the cut.
    assert!(u128::from(gap) >= SILENCE.as_nanos() / 2, "{gap}");
}
