//! The server: accepts connections, identifies each by its hello, and follows the script.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;

use pfplane_testbed::clock::{self, MILLISECOND, Nanos};
use pfplane_testbed::network::{SERVER_V4, SERVER_V6};
use pfplane_testbed::traffic::keystream::Direction;
use pfplane_testbed::traffic::sockets::{ArrivingConnection, HELLO_LEN, listen, number_of};
use rustix::net::sockopt;

use super::endpoint::{Endpoint, Outcome, set_timeouts};
use super::event_loop::EventLoop;
use crate::shared::Shared;

/// The port that the firewalls' rules pass.
pub(crate) const PORT: u16 = 5000;
const MAX_WAIT: Nanos = 10 * MILLISECOND;

/// The listening sockets, IPv4 and IPv6.
pub(crate) struct Listeners([TcpListener; 2]);

impl Listeners {
    /// Opens them in the thread's namespace.
    pub(crate) fn open() -> io::Result<Listeners> {
        let listen_at = |address: &str| {
            let address = address.parse::<IpAddr>().expect("an address");
            listen(&SocketAddr::new(address, PORT))
        };
        Ok(Listeners([listen_at(SERVER_V4)?, listen_at(SERVER_V6)?]))
    }

    /// Sets the receive buffer, and so the window, of later connections.
    pub(crate) fn set_buffer(&self, bytes: usize) -> io::Result<()> {
        for listener in &self.0 {
            sockopt::set_socket_recv_buffer_size_force(listener.as_fd(), bytes)?;
        }
        Ok(())
    }
}

struct Server<'a> {
    shared: &'a Shared,
    event_loop: EventLoop,
    /// Connections with incomplete hellos, and when each was accepted.
    arriving: HashMap<u64, (ArrivingConnection, Nanos)>,
}

/// Runs until `shared.stop`.
pub(crate) fn run(shared: &Shared, listeners: &Listeners) -> io::Result<()> {
    let mut server = Server { shared, event_loop: EventLoop::new(2)?, arriving: HashMap::new() };
    // Closed in order here, but not yet at the client: see the client.
    let mut lingering: Vec<Endpoint> = Vec::new();
    for (token, listener) in (0..).zip(&listeners.0) {
        server.event_loop.poller().watch_edges(listener, token)?;
    }
    while !shared.stop.load(Ordering::Relaxed) {
        let turn = server.event_loop.turn(MAX_WAIT)?;
        for (endpoint, outcome) in turn.finished {
            lingering.extend(endpoint.keeps_its_socket(&outcome).then_some(endpoint));
            shared.report(Direction::ToClient, outcome);
        }
        lingering.retain(|endpoint| !shared.is_finished(endpoint.number()));
        for token in turn.other_tokens {
            match listeners.0.get(token as usize) {
                Some(listener) => server.accept(listener)?,
                None => server.read_hello(token)?,
            }
        }
        let active = server.event_loop.len() + server.arriving.len();
        shared.active_at_server.store(active as u32, Ordering::Relaxed);
    }
    Ok(())
}

impl Server<'_> {
    fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        // A connection that was reset before this call is not an error of the server.
        while let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(true)?;
            // The hello may never arrive, when a takeover lost the connection.
            set_timeouts(&stream)?;
            let token = self.event_loop.new_token();
            self.event_loop.poller().watch_edges(&stream, token)?;
            self.arriving.insert(token, (ArrivingConnection::new(stream), clock::now()));
            self.read_hello(token)?;
        }
        Ok(())
    }

    fn read_hello(&mut self, token: u64) -> io::Result<()> {
        let Some((arriving, _)) = self.arriving.get_mut(&token) else { return Ok(()) };
        match arriving.read_hello() {
            Ok(None) => Ok(()),
            Ok(Some(hello)) => self.identify(token, hello),
            // It ended before it was identified: the client reports it.
            Err(_) => {
                self.arriving.remove(&token);
                Ok(())
            }
        }
    }

    fn identify(&mut self, token: u64, hello: [u8; HELLO_LEN]) -> io::Result<()> {
        let Some((arriving, started)) = self.arriving.remove(&token) else { return Ok(()) };
        match number_of(&hello).filter(|number| *number < self.shared.connections) {
            Some(number) => {
                let (seed, script) = (self.shared.seed, self.shared.script(number));
                let endpoint =
                    Endpoint::new(arriving.stream, seed, number, script, Direction::ToClient, started)?;
                self.event_loop.add(endpoint, clock::now(), Some(token))
            }
            None => {
                let failure = Some(format!("a wrong hello: {hello:02x?}"));
                let wrong = HELLO_LEN as u64;
                let outcome = Outcome { number: u32::MAX, received: 0, wrong, started, port: 0, failure };
                self.shared.report(Direction::ToClient, outcome);
                Ok(())
            }
        }
    }
}
