//! The client: opens the connections of each phase, a few hundred at a time.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::atomic::Ordering;

use pfplane_testbed::clock::{self, MILLISECOND, Nanos};
use pfplane_testbed::network::{CLIENT_V4, CLIENT_V6, SERVER_V4, SERVER_V6};
use pfplane_testbed::traffic::keystream::Direction;
use pfplane_testbed::traffic::sockets::{start_connecting, tcp_socket};
use rustix::net::sockopt;

use super::endpoint::{Endpoint, Outcome};
use super::event_loop::EventLoop;
use super::script::{Pattern, Script};
use super::server::PORT;
use crate::shared::Shared;

const MAX_OPEN: usize = 500;
const OPEN_INTERVAL: Nanos = 2 * MILLISECOND;

struct Client<'a> {
    shared: &'a Shared,
    event_loop: EventLoop,
    /// Closed in order here, but not yet at the server.
    lingering: Vec<Endpoint>,
    /// The ports of connections that this end reset, for the next connection: IPv4, IPv6.
    free_ports: [VecDeque<u16>; 2],
    next: u32,
    open_at: Nanos,
}

/// Runs until every connection of every phase has finished.
pub(crate) fn run(shared: &Shared) -> io::Result<()> {
    let mut client = Client {
        shared,
        event_loop: EventLoop::new(0)?,
        lingering: Vec::new(),
        free_ports: Default::default(),
        next: 0,
        open_at: 0,
    };
    while !shared.stop.load(Ordering::Relaxed) {
        client.open()?;
        for (endpoint, outcome) in client.event_loop.turn(OPEN_INTERVAL)?.finished {
            client.finish(endpoint, outcome);
        }
        // A kernel limits the retransmissions of a closed socket, so sockets stay open until both ends have finished.
        client.lingering.retain(|endpoint| !shared.is_finished(endpoint.number()));
        shared.unanswered.store(client.event_loop.unanswered() as u32, Ordering::Relaxed);
        shared.opened.store(client.next, Ordering::Release);
        shared.active_at_client.store(client.event_loop.len() as u32, Ordering::Relaxed);
        if client.next == shared.connections && client.event_loop.len() == 0 {
            break;
        }
    }
    Ok(())
}

impl Client<'_> {
    fn open(&mut self) -> io::Result<()> {
        let now = clock::now();
        let limit = self.shared.open_limit.load(Ordering::Acquire);
        if now < self.open_at || self.event_loop.len() >= MAX_OPEN || self.next >= limit {
            return Ok(());
        }
        self.open_at = now + OPEN_INTERVAL;
        let number = self.next;
        self.next += 1;
        let script = self.shared.script(number);
        let port = self.free_ports[usize::from(script.v6)].pop_front().unwrap_or(0);
        self.shared.ports_reused.fetch_add(u32::from(port != 0), Ordering::Relaxed);
        match connect(&script, port) {
            Ok(stream) => {
                let endpoint =
                    Endpoint::new(stream, self.shared.seed, number, script, Direction::ToServer, now)?;
                self.event_loop.add(endpoint, now, None)
            }
            Err(error) => {
                let failure = Some(format!("cannot be opened from port {port}: {error}"));
                let outcome = Outcome { number, received: 0, wrong: 0, started: now, port, failure };
                self.shared.report(Direction::ToServer, outcome);
                Ok(())
            }
        }
    }

    fn finish(&mut self, endpoint: Endpoint, outcome: Outcome) {
        let script = endpoint.script();
        if script.pattern == Pattern::ResetByClient && outcome.failure.is_none() {
            let port = endpoint.stream().local_addr().map_or(0, |address| address.port());
            self.free_ports[usize::from(script.v6)].push_back(port);
        }
        let lingers = endpoint.keeps_its_socket(&outcome);
        self.shared.report(Direction::ToServer, outcome);
        self.lingering.extend(lingers.then_some(endpoint));
    }
}

fn connect(script: &Script, port: u16) -> io::Result<TcpStream> {
    let [own, server] = if script.v6 { [CLIENT_V6, SERVER_V6] } else { [CLIENT_V4, SERVER_V4] };
    let address = |text: &str, port| SocketAddr::new(text.parse::<IpAddr>().expect("an address"), port);
    let server = address(server, PORT);
    let socket = tcp_socket(&server)?;
    if let Some(bytes) = script.buffer.bytes() {
        sockopt::set_socket_recv_buffer_size_force(&socket, bytes)?;
    }
    if port != 0 {
        sockopt::set_socket_reuseaddr(&socket, true)?;
        rustix::net::bind(&socket, &address(own, port))?;
    }
    start_connecting(socket, &server)
}
