//! The server: accepts the connections, learns from each hello which one it is, sends and checks as the client
//! does, and returns the UDP flows' datagrams.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read};
use std::net::{TcpListener, TcpStream, UdpSocket};

use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};

use super::client::progress_of;
use super::connection::{Connection, HELLO_LEN, number_of};
use super::orders::{self, Order, Orders};
use super::plan::{Family, Plan};
use super::poller::{Poller, Token};
use super::report::EndReport;
use crate::clock::{self, MILLISECOND, Nanos};

const ORDERS: Token = 0;
const FIRST_LISTENER: Token = 1;
const FIRST_ECHO: Token = 3;
const FIRST_CONNECTION: Token = 1 << 32;

const BACKLOG: i32 = 4096;
const PROGRESS_INTERVAL: Nanos = 250 * MILLISECOND;

/// What a token leads to: a connection whose hello is not complete yet, or one of ours.
enum Guest {
    Arriving { stream: TcpStream, hello: Vec<u8> },
    Known(usize),
}

struct Server {
    plan: Plan,
    poller: Poller,
    orders: Orders,
    listeners: Vec<TcpListener>,
    echoes: Vec<UdpSocket>,
    guests: HashMap<Token, Guest>,
    next_guest: Token,
    connections: Vec<Connection>,
    due: VecDeque<(Nanos, usize)>,
    next_progress: Nanos,
    marks: usize,
    stopped: Option<Nanos>,
    buffer: Vec<u8>,
}

/// Runs the server until it is told to stop. `None` when the run is gone and nobody wants a report.
pub fn run(plan: Plan) -> io::Result<Option<EndReport>> {
    let mut server = Server::new(plan)?;
    loop {
        let tokens = server.poller.wait()?;
        let now = clock::now();
        for token in tokens {
            match token {
                ORDERS => {
                    for order in server.orders.read()? {
                        match order {
                            Order::Leave => return Ok(None),
                            Order::Stop => server.stopped = Some(now),
                            Order::Mark => server.mark(),
                            Order::Open => {}
                        }
                    }
                }
                FIRST_CONNECTION.. => server.serve(token, now)?,
                FIRST_ECHO.. => server.echo((token - FIRST_ECHO) as usize),
                _ => server.accept((token - FIRST_LISTENER) as usize)?,
            }
        }
        server.send_due(now);
        if server.stopped.is_some() {
            return Ok(Some(server.report(now)));
        }
        server.say_progress(now)?;
    }
}

impl Server {
    fn new(plan: Plan) -> io::Result<Server> {
        let poller = Poller::new()?;
        poller.watch_reading(io::stdin(), ORDERS)?;
        let mut listeners = Vec::new();
        let mut echoes = Vec::new();
        for (index, &family) in (0..).zip(plan.server_families()) {
            let listener = listen(&plan, family)?;
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
            orders: Orders::default(),
            listeners,
            echoes,
            guests: HashMap::new(),
            next_guest: FIRST_CONNECTION,
            connections: Vec::new(),
            due: VecDeque::new(),
            next_progress: clock::now(),
            marks: 0,
            stopped: None,
            buffer: vec![0; 64 * 1024],
        })
    }

    fn mark(&mut self) {
        self.marks += 1;
        self.connections.iter_mut().for_each(|connection| connection.activity.mark());
    }

    fn accept(&mut self, index: usize) -> io::Result<()> {
        // A connection that was reset before we came is no error of ours.
        let Ok((stream, _)) = self.listeners[index].accept() else { return Ok(()) };
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        sockopt::set_tcp_user_timeout(&stream, self.plan.user_timeout_ms)?;
        self.poller.watch_reading(&stream, self.next_guest)?;
        self.guests.insert(self.next_guest, Guest::Arriving { stream, hello: Vec::new() });
        self.next_guest += 1;
        Ok(())
    }

    fn serve(&mut self, token: Token, now: Nanos) -> io::Result<()> {
        match self.guests.get_mut(&token) {
            Some(Guest::Known(index)) => self.connections[*index].receive(&mut self.buffer, now),
            Some(Guest::Arriving { stream, hello }) => {
                let mut rest = [0u8; HELLO_LEN];
                match stream.read(&mut rest[..HELLO_LEN - hello.len()]) {
                    Ok(count) if count > 0 => hello.extend_from_slice(&rest[..count]),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    _ => drop(self.guests.remove(&token)),
                }
                self.greet(token, now);
            }
            None => {}
        }
        Ok(())
    }

    /// Makes a guest with a complete hello one of ours; a stranger is shown out.
    fn greet(&mut self, token: Token, now: Nanos) {
        let Some(Guest::Arriving { hello, .. }) = self.guests.get(&token) else { return };
        let Ok(hello) = <[u8; HELLO_LEN]>::try_from(hello.as_slice()) else { return };
        let Some(Guest::Arriving { stream, .. }) = self.guests.remove(&token) else { return };
        let Some(number) = number_of(&hello) else { return };
        let index = self.connections.len();
        let mut connection = Connection::accepted(&self.plan, number, stream, now);
        connection.activity.begin_after(self.marks);
        self.connections.push(connection);
        self.guests.insert(token, Guest::Known(index));
        self.due.push_back((now + self.plan.interval(), index));
    }

    fn echo(&mut self, index: usize) {
        let socket = &self.echoes[index];
        while let Ok((count, from)) = socket.recv_from(&mut self.buffer) {
            // A datagram that cannot be sent back is a lost one, and the client counts those.
            let _ = socket.send_to(&self.buffer[..count], from);
        }
    }

    fn send_due(&mut self, now: Nanos) {
        while let Some(&(_, index)) = self.due.front().filter(|&&(moment, _)| moment <= now) {
            self.due.pop_front();
            self.connections[index].send_record();
            if !self.connections[index].is_over() {
                self.due.push_back((now + self.plan.interval(), index));
            }
        }
    }

    fn report(self, now: Nanos) -> EndReport {
        let stopped = self.stopped.unwrap_or(now);
        EndReport {
            stopped,
            connections: self.connections.into_iter().map(|connection| connection.report(stopped)).collect(),
            probes: Vec::new(),
        }
    }

    fn say_progress(&mut self, now: Nanos) -> io::Result<()> {
        if now < self.next_progress {
            return Ok(());
        }
        self.next_progress = now + PROGRESS_INTERVAL;
        orders::say(&progress_of(self.connections.iter(), &self.plan, now))
    }
}

fn listen(plan: &Plan, family: Family) -> io::Result<TcpListener> {
    let domain = if family == Family::V4 { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(domain, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    rustix::net::bind(&socket, &plan.server(family, plan.tcp_port))?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}
