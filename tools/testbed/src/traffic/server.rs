//! The server: accepts the connections, identifies each by its hello, sends and checks like the client, and returns the
//! datagrams of the UDP flows.

use std::collections::HashMap;
use std::io;
use std::net::{TcpListener, UdpSocket};

use rustix::net::sockopt;

use super::client::{MAX_WAIT, PROGRESS_INTERVAL};
use super::connection::{Connection, ConnectionSet};
use super::handle::{Command, RunLink};
use super::plan::Plan;
use super::poller::{Poller, Token};
use super::report::TrafficReport;
use super::sockets::{ArrivingConnection, listen, number_of};
use crate::clock::{self, Nanos};

const FIRST_LISTENER: Token = 0;
const FIRST_ECHO: Token = 2;
const FIRST_CONNECTION: Token = 1 << 32;

const ECHO_BUFFER_BYTES: usize = 64 * 1024;

/// An accepted connection.
enum Accepted {
    /// Its hello is incomplete.
    Arriving(ArrivingConnection),
    /// The index of an identified connection.
    Identified(usize),
}

struct Server {
    plan: Plan,
    poller: Poller,
    listeners: Vec<TcpListener>,
    echoes: Vec<UdpSocket>,
    accepted: HashMap<Token, Accepted>,
    next_token: Token,
    connections: ConnectionSet,
    next_progress: Nanos,
    buffer: Vec<u8>,
}

/// Runs the server until [`Command::Stop`].
pub fn run(plan: Plan, link: &RunLink) -> io::Result<TrafficReport> {
    let mut server = Server::new(plan)?;
    loop {
        let tokens = server.poller.wait(MAX_WAIT)?;
        let now = clock::now();
        for token in tokens {
            match token {
                FIRST_CONNECTION.. => server.serve(token, now),
                FIRST_ECHO.. => server.echo((token - FIRST_ECHO) as usize),
                _ => server.accept((token - FIRST_LISTENER) as usize)?,
            }
        }
        server.connections.send_due(server.plan.interval(), now);
        match link.command() {
            Some(Command::Stop) => {
                let connections = server.connections.report(now);
                return Ok(TrafficReport { stopped: now, connections, probes: Vec::new() });
            }
            Some(Command::Mark) => server.connections.mark(),
            Some(Command::Open) | None => {}
        }
        if now >= server.next_progress {
            server.next_progress = now + PROGRESS_INTERVAL;
            link.publish(server.connections.progress(&server.plan, now));
        }
    }
}

impl Server {
    fn new(plan: Plan) -> io::Result<Server> {
        let poller = Poller::new()?;
        let mut listeners = Vec::new();
        let mut echoes = Vec::new();
        for (index, &family) in (0..).zip(plan.server_families()) {
            let listener = listen(&plan.server(family, plan.tcp_port))?;
            poller.watch_reading(&listener, FIRST_LISTENER + index)?;
            listeners.push(listener);
            let echo = UdpSocket::bind(plan.server(family, plan.udp_port))?;
            echo.set_nonblocking(true)?;
            poller.watch_reading(&echo, FIRST_ECHO + index)?;
            echoes.push(echo);
        }
        Ok(Server {
            plan,
            poller,
            listeners,
            echoes,
            accepted: HashMap::new(),
            next_token: FIRST_CONNECTION,
            connections: ConnectionSet::default(),
            next_progress: clock::now(),
            buffer: vec![0; ECHO_BUFFER_BYTES],
        })
    }

    fn accept(&mut self, index: usize) -> io::Result<()> {
        // A connection that was reset before this call is not an error of the server.
        let Ok((stream, _)) = self.listeners[index].accept() else { return Ok(()) };
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        sockopt::set_tcp_user_timeout(&stream, self.plan.user_timeout_ms)?;
        self.poller.watch_reading(&stream, self.next_token)?;
        self.accepted.insert(self.next_token, Accepted::Arriving(ArrivingConnection::new(stream)));
        self.next_token += 1;
        Ok(())
    }

    fn serve(&mut self, token: Token, now: Nanos) {
        match self.accepted.get_mut(&token) {
            Some(Accepted::Identified(index)) => self.connections.receive(*index, now),
            Some(Accepted::Arriving(arriving)) => match arriving.read_hello() {
                Ok(None) => {}
                Ok(Some(hello)) => self.identify(token, number_of(&hello), now),
                Err(_) => drop(self.accepted.remove(&token)),
            },
            None => {}
        }
    }

    /// Adds a connection whose hello is complete; closes it when the hello is not one of the client's.
    fn identify(&mut self, token: Token, number: Option<u32>, now: Nanos) {
        let Some(Accepted::Arriving(arriving)) = self.accepted.remove(&token) else { return };
        let Some(number) = number else { return };
        let connection = Connection::accepted(&self.plan, number, arriving.stream, now);
        let index = self.connections.add(connection);
        self.connections.schedule(index, now + self.plan.interval());
        self.accepted.insert(token, Accepted::Identified(index));
    }

    fn echo(&mut self, index: usize) {
        let socket = &self.echoes[index];
        while let Ok((count, from)) = socket.recv_from(&mut self.buffer) {
            // The client counts the loss when this fails.
            let _ = socket.send_to(&self.buffer[..count], from);
        }
    }
}
