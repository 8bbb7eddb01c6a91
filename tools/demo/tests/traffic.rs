//! The traffic client and server over loopback: no firewall, no root, no namespaces. A small relay between them causes the
//! faults that the demonstration must detect.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

const CONNECTIONS: u64 = 20;
/// All activity falls into the first bucket; these tests do not need the others.
const FAR_FUTURE: u64 = u64::MAX / 2;
const POLL: Duration = Duration::from_millis(10);

fn plan(server_port: u16, udp_port: u16, connections: u64) -> Value {
    json!({
        "seed": 42, "connections": connections, "udp_flows": 4, "ping": false, "interval_ms": 10,
        "open_per_second": 500, "server_v4": "127.0.0.1", "server_v6": "::1", "tcp_port": server_port,
        "udp_port": udp_port, "user_timeout_ms": 20000, "bucket_ms": 50, "base": FAR_FUTURE
    })
}

/// Returns a port that is free now, a different one for each test.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

struct End {
    process: Child,
    commands: ChildStdin,
    latest: Arc<Mutex<Value>>,
    report: PathBuf,
}

impl End {
    fn start(command: &str, plan: &Value, test: &str) -> End {
        let report = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}-{command}.json"));
        let mut process = Command::new(env!("CARGO_BIN_EXE_pfplane-demo"))
            .args([command, &plan.to_string()])
            .arg(&report)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this package's program");
        let commands = process.stdin.take().expect("a pipe");
        let output = process.stdout.take().expect("a pipe");
        let latest = Arc::new(Mutex::new(Value::Null));
        let shared = Arc::clone(&latest);
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                *shared.lock().unwrap() = serde_json::from_str(&line).expect("progress is JSON");
            }
        });
        let end = End { process, commands, latest, report };
        end.wait_for(|progress| !progress.is_null());
        end
    }

    fn wait_for(&self, condition: impl Fn(&Value) -> bool) {
        while !condition(&self.latest.lock().unwrap()) {
            thread::sleep(POLL);
        }
    }

    fn send(&mut self, command: &str) {
        writeln!(self.commands, "{command}").expect("it reads commands");
    }

    fn stop(mut self) -> Value {
        self.send("stop");
        assert!(self.process.wait().expect("it ends").success());
        serde_json::from_slice(&std::fs::read(&self.report).expect("a report")).expect("JSON")
    }
}

fn wait_for_data(client: &End, server: &End, count: u64) {
    client.wait_for(|progress| progress["with_data"] == count);
    server.wait_for(|progress| progress["with_data"] == count);
}

fn sum(report: &Value, list: &str, field: &str) -> u64 {
    report[list]
        .as_array()
        .expect("a list")
        .iter()
        .map(|entry| entry[field].as_u64().expect("a number"))
        .sum()
}

#[test]
fn connections_of_both_families_close_with_equal_totals_and_no_wrong_byte() {
    let plan = plan(free_port(), free_port(), CONNECTIONS);
    let mut server = End::start("traffic-server", &plan, "undisturbed");
    let mut client = End::start("traffic-client", &plan, "undisturbed");
    client.send("open");
    wait_for_data(&client, &server, CONNECTIONS);
    client.wait_for(|progress| progress["active_flows"] == 4);
    client.send("mark");
    server.send("mark");
    let (client, server) = (client.stop(), server.stop());
    for report in [&client, &server] {
        let connections = report["connections"].as_array().expect("a list");
        assert_eq!(connections.len() as u64, CONNECTIONS);
        assert!(connections.iter().all(|connection| connection["end"] == "closed"), "{report}");
        assert_eq!(sum(report, "connections", "wrong"), 0);
        let six = connections.iter().filter(|connection| connection["family"] == "V6").count();
        assert_eq!(six as u64, CONNECTIONS / 2);
    }
    assert!(sum(&client, "connections", "sent") > CONNECTIONS * 64);
    assert_eq!(sum(&client, "connections", "sent"), sum(&server, "connections", "received"));
    assert_eq!(sum(&server, "connections", "sent"), sum(&client, "connections", "received"));
    assert!(sum(&client, "probes", "answered") > 0);
    assert_eq!(sum(&client, "probes", "wrong"), 0);
}

/// The kernel translates here: IPv6 sockets reach an IPv4 address by its mapped form.
#[test]
fn a_client_without_ipv4_reaches_a_server_without_ipv6() {
    let mut plan = plan(free_port(), free_port(), CONNECTIONS);
    plan["nat64"] = json!("::ffff:127.0.0.1");
    let server = End::start("traffic-server", &plan, "nat64");
    let mut client = End::start("traffic-client", &plan, "nat64");
    client.send("open");
    wait_for_data(&client, &server, CONNECTIONS);
    client.wait_for(|progress| progress["active_flows"] == 4);
    let (client, server) = (client.stop(), server.stop());
    for report in [&client, &server] {
        let connections = report["connections"].as_array().expect("a list");
        assert_eq!(connections.len() as u64, CONNECTIONS);
        let good = |connection: &Value| connection["end"] == "closed" && connection["family"] == "V6";
        assert!(connections.iter().all(good), "{report}");
        assert_eq!(sum(report, "connections", "wrong"), 0);
    }
    let probes = client["probes"].as_array().expect("a list");
    assert!(probes.iter().all(|probe| probe["family"] == "V6"), "{client}");
    assert_eq!(sum(&client, "connections", "sent"), sum(&server, "connections", "received"));
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
fn through_relay(fault: Fault, test: &str) -> (Value, Value) {
    let (server_port, udp_port) = (free_port(), free_port());
    let mut server = End::start("traffic-server", &plan(server_port, udp_port, 1), test);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let relay_port = listener.local_addr().expect("an address").port();
    let silent = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&silent);
    thread::spawn(move || relay(listener, server_port, fault, silent));
    let mut client = End::start("traffic-client", &plan(relay_port, udp_port, 1), test);
    client.send("open");
    wait_for_data(&client, &server, 1);
    client.send("mark");
    server.send("mark");
    switch.store(fault == Fault::Silence, Ordering::Relaxed);
    let count = |end: &End| end.latest.lock().unwrap()["received"].as_u64().unwrap_or(0);
    let (before, started) = (count(&client), std::time::Instant::now());
    match fault {
        Fault::Flip => client.wait_for(|progress| progress["received"].as_u64() > Some(before)),
        Fault::Silence => client.wait_for(|_| started.elapsed() > SILENCE),
    }
    (client.stop(), server.stop())
}

const SILENCE: Duration = Duration::from_millis(1500);

#[test]
fn one_byte_changed_in_transit_is_one_wrong_byte() {
    let (client, server) = through_relay(Fault::Flip, "flip");
    assert_eq!(sum(&client, "connections", "wrong"), 1);
    assert_eq!(sum(&server, "connections", "wrong"), 0);
    assert_eq!(client["connections"][0]["end"], "closed");
}

#[test]
fn a_connection_cut_without_a_reset_hangs_and_its_gap_is_measured() {
    let (client, _) = through_relay(Fault::Silence, "silence");
    let connection = &client["connections"][0];
    assert_eq!(connection["end"], "open", "{connection}");
    let gap = connection["activity"]["gaps"][1]["length"].as_u64().expect("a number");
    // The last byte may have arrived some time before the cut.
    assert!(u128::from(gap) >= SILENCE.as_nanos() / 2, "{gap}");
}
