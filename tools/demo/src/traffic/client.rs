//! The client: opens the connections at the plan's rate, keeps the probes going, obeys the run.

use std::collections::VecDeque;
use std::io;
use std::net::TcpStream;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};

use super::connection::Connection;
use super::orders::{self, Order, Orders};
use super::plan::{Family, Plan};
use super::poller::{Poller, Token};
use super::probe::{PROBE_INTERVAL, Probe};
use super::report::{EndReport, Progress};
use crate::clock::{self, MILLISECOND, Nanos, SECOND};

const ORDERS: Token = 0;
const FIRST_PROBE: Token = 1;
const FIRST_CONNECTION: Token = 1 << 32;

const PROGRESS_INTERVAL: Nanos = 250 * MILLISECOND;
/// After the order to stop, connections say goodbye; one that shows no sign for this long is left hanging.
const DRAIN_QUIET: Nanos = 2 * SECOND;
const DRAIN_LONGEST: Nanos = 10 * SECOND;

struct Client {
    plan: Plan,
    poller: Poller,
    orders: Orders,
    connections: Vec<Connection>,
    probes: Vec<Probe>,
    /// Who sends next: all have the same interval, so a queue stays sorted.
    due: VecDeque<(Nanos, usize)>,
    opened_from: Option<Nanos>,
    marks: usize,
    next_probe: Nanos,
    next_progress: Nanos,
    stopped: Option<Nanos>,
    last_sign: Nanos,
    buffer: Vec<u8>,
}

/// Runs the client until it is told to stop. `None` when the run is gone and nobody wants a report.
pub fn run(plan: Plan) -> io::Result<Option<EndReport>> {
    let mut client = Client::new(plan)?;
    loop {
        let tokens = client.poller.wait()?;
        let now = clock::now();
        for token in tokens {
            match token {
                ORDERS => {
                    for order in client.orders.read()? {
                        if order == Order::Leave {
                            return Ok(None);
                        }
                        client.obey(order, now);
                    }
                }
                FIRST_CONNECTION.. => client.serve((token - FIRST_CONNECTION) as usize, now)?,
                _ => client.probes[(token - FIRST_PROBE) as usize].hear(now),
            }
        }
        client.open_due(now)?;
        client.send_due(now);
        if client.is_drained(now) {
            return Ok(Some(client.report(now)));
        }
        client.say_progress(now)?;
    }
}

impl Client {
    fn new(plan: Plan) -> io::Result<Client> {
        let poller = Poller::new()?;
        poller.watch_reading(io::stdin(), ORDERS)?;
        let mut probes = Vec::new();
        if plan.ping {
            for &family in plan.families() {
                probes.push(Probe::ping(&plan, family)?);
            }
        }
        for number in 0..plan.udp_flows {
            probes.push(Probe::udp(&plan, number)?);
        }
        for (index, probe) in probes.iter().enumerate() {
            poller.watch_reading(probe.socket(), FIRST_PROBE + index as Token)?;
        }
        let now = clock::now();
        Ok(Client {
            connections: Vec::with_capacity(plan.connections as usize),
            plan,
            poller,
            orders: Orders::default(),
            probes,
            due: VecDeque::new(),
            opened_from: None,
            marks: 0,
            next_probe: now,
            next_progress: now,
            stopped: None,
            last_sign: now,
            buffer: vec![0; 64 * 1024],
        })
    }

    fn obey(&mut self, order: Order, now: Nanos) {
        match order {
            Order::Open => {
                self.opened_from = Some(now);
                self.probes.iter_mut().for_each(Probe::count_from_here);
            }
            Order::Mark => {
                self.marks += 1;
                self.connections.iter_mut().for_each(|connection| connection.activity.mark());
                self.probes.iter_mut().for_each(|probe| probe.activity.mark());
            }
            Order::Stop => {
                self.stopped = Some(now);
                self.last_sign = now;
            }
            Order::Leave => {}
        }
    }

    /// Begins as many connections as the rate allows by now.
    fn open_due(&mut self, now: Nanos) -> io::Result<()> {
        let Some(from) = self.opened_from.filter(|_| self.stopped.is_none()) else { return Ok(()) };
        let allowed = 1 + (now - from) * self.plan.open_per_second / SECOND;
        let goal = allowed.min(u64::from(self.plan.connections)) as usize;
        while self.connections.len() < goal {
            let number = self.connections.len();
            let stream = begin_connecting(&self.plan, self.plan.family_of(number as u32))?;
            self.poller.watch_connecting(&stream, FIRST_CONNECTION + number as Token)?;
            let mut connection = Connection::connecting(&self.plan, number as u32, stream, now);
            connection.activity.begin_after(self.marks);
            self.connections.push(connection);
        }
        Ok(())
    }

    fn serve(&mut self, index: usize, now: Nanos) -> io::Result<()> {
        self.last_sign = now;
        let connection = &mut self.connections[index];
        if !connection.is_connecting() {
            connection.receive(&mut self.buffer, now);
            return Ok(());
        }
        connection.finish_connecting(now);
        if let Some(socket) = connection.socket() {
            self.poller.now_reading(socket, FIRST_CONNECTION + index as Token)?;
            self.due.push_back((now + self.plan.interval(), index));
        }
        Ok(())
    }

    fn send_due(&mut self, now: Nanos) {
        if self.stopped.is_some() {
            self.connections.iter_mut().for_each(|connection| connection.drain(now));
            return;
        }
        while let Some(&(_, index)) = self.due.front().filter(|&&(moment, _)| moment <= now) {
            self.due.pop_front();
            self.connections[index].send_record();
            if !self.connections[index].is_over() {
                self.due.push_back((now + self.plan.interval(), index));
            }
        }
        if self.next_probe <= now {
            self.next_probe = now + PROBE_INTERVAL;
            self.probes.iter_mut().for_each(Probe::ask);
        }
    }

    fn is_drained(&self, now: Nanos) -> bool {
        let Some(stopped) = self.stopped else { return false };
        let hanging = self.connections.iter().any(|connection| !connection.is_over());
        !hanging || now > self.last_sign + DRAIN_QUIET || now > stopped + DRAIN_LONGEST
    }

    fn report(self, now: Nanos) -> EndReport {
        let stopped = self.stopped.unwrap_or(now);
        EndReport {
            stopped,
            connections: self.connections.into_iter().map(|connection| connection.report(stopped)).collect(),
            probes: self.probes.into_iter().map(|probe| probe.report(stopped)).collect(),
        }
    }

    fn say_progress(&mut self, now: Nanos) -> io::Result<()> {
        if now < self.next_progress {
            return Ok(());
        }
        self.next_progress = now + PROGRESS_INTERVAL;
        let mut progress = progress_of(self.connections.iter(), &self.plan, now);
        let of_late = now.saturating_sub(SECOND);
        for probe in &self.probes {
            progress.wrong += probe.wrong();
            let lively = u32::from(probe.activity.heard_since(of_late));
            *(if probe.is_flow() { &mut progress.lively_flows } else { &mut progress.lively_pings }) +=
                lively;
        }
        orders::say(&progress)
    }
}

/// The progress of a set of connections, for both ends.
pub fn progress_of<'a>(
    connections: impl Iterator<Item = &'a Connection>,
    plan: &Plan,
    now: Nanos,
) -> Progress {
    let of_late = now.saturating_sub(plan.patience());
    let mut progress = Progress { at: now, ..Progress::default() };
    for connection in connections {
        progress.started += 1;
        progress.established += u32::from(connection.was_established());
        progress.failed += u32::from(connection.has_failed());
        progress.heard += u32::from(connection.activity.first.is_some());
        progress.lively += u32::from(!connection.is_over() && connection.activity.heard_since(of_late));
        progress.received += connection.received();
        progress.wrong += connection.wrong();
    }
    progress
}

fn begin_connecting(plan: &Plan, family: Family) -> io::Result<TcpStream> {
    let domain = if family == Family::V4 { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket: OwnedFd = rustix::net::socket_with(domain, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    sockopt::set_tcp_user_timeout(&socket, plan.user_timeout_ms)?;
    match rustix::net::connect(&socket, &plan.server(family, plan.tcp_port)) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(TcpStream::from(socket)),
        Err(error) => Err(error.into()),
    }
}
