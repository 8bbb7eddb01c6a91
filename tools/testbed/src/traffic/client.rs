//! The client: opens the connections at the planned rate, sends the probes, executes the run's commands.

use std::io;

use rustix::net::sockopt;

use super::connection::{Connection, ConnectionSet};
use super::handle::{Command, RunLink};
use super::plan::Plan;
use super::poller::{Poller, Token};
use super::probe::{PROBE_INTERVAL, Probe};
use super::report::TrafficReport;
use super::sockets::{start_connecting, tcp_socket};
use crate::clock::{self, MILLISECOND, Nanos, SECOND};

const FIRST_PROBE: Token = 0;
const FIRST_CONNECTION: Token = 1 << 32;

pub(super) const MAX_WAIT: Nanos = 4 * MILLISECOND;
pub(super) const PROGRESS_INTERVAL: Nanos = 250 * MILLISECOND;
/// After `stop` the client waits this long without any event for the connections to close.
const DRAIN_QUIET: Nanos = 2 * SECOND;
const MAX_DRAIN: Nanos = 10 * SECOND;

struct Client<'a> {
    link: &'a RunLink,
    plan: Plan,
    poller: Poller,
    connections: ConnectionSet,
    probes: Vec<Probe>,
    opened_from: Option<Nanos>,
    next_flow: Nanos,
    next_ping: Nanos,
    next_progress: Nanos,
    stopped: Option<Nanos>,
    last_event: Nanos,
    drained: bool,
}

/// Runs the client until [`Command::Stop`].
pub fn run(plan: Plan, link: &RunLink) -> io::Result<TrafficReport> {
    let max_wait = MAX_WAIT.min(plan.ping_interval_ms * MILLISECOND);
    let mut client = Client::new(plan, link)?;
    loop {
        let tokens = client.poller.wait(max_wait)?;
        let now = clock::now();
        if let Some(command) = link.command() {
            client.execute(command, now);
        }
        for token in tokens {
            match token {
                FIRST_CONNECTION.. => client.serve((token - FIRST_CONNECTION) as usize, now)?,
                _ => client.probes[(token - FIRST_PROBE) as usize].receive(now),
            }
        }
        client.open_due(now)?;
        client.send_due(now);
        if client.is_drained(now) {
            return Ok(client.report(now));
        }
        client.publish_progress(now);
    }
}

/// Whether the time `next` has come; then it is set one interval later, or to now after a delay.
fn is_due(next: &mut Nanos, interval: Nanos, now: Nanos) -> bool {
    let is_due = *next <= now;
    if is_due {
        *next = (*next + interval).max(now);
    }
    is_due
}

impl<'a> Client<'a> {
    fn new(plan: Plan, link: &'a RunLink) -> io::Result<Client<'a>> {
        let poller = Poller::new()?;
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
            link,
            plan,
            poller,
            connections: ConnectionSet::default(),
            probes,
            opened_from: None,
            next_flow: now,
            next_ping: now,
            next_progress: now,
            stopped: None,
            last_event: now,
            drained: false,
        })
    }

    fn execute(&mut self, command: Command, now: Nanos) {
        match command {
            Command::Open => {
                self.opened_from = Some(now);
                self.probes.iter_mut().for_each(Probe::start_counting);
            }
            Command::Mark => {
                self.connections.mark();
                self.probes.iter_mut().for_each(|probe| probe.activity.mark());
            }
            Command::Stop if self.stopped.is_none() => {
                self.stopped = Some(now);
                self.last_event = now;
            }
            Command::Stop => {}
        }
    }

    /// Starts the connections that the rate allows by now.
    fn open_due(&mut self, now: Nanos) -> io::Result<()> {
        let Some(from) = self.opened_from.filter(|_| self.stopped.is_none()) else { return Ok(()) };
        let allowed = 1 + (now - from) * self.plan.open_per_second / SECOND;
        let allowed = allowed.min(u64::from(self.plan.connections)) as usize;
        while self.connections.len() < allowed {
            let number = self.connections.len() as u32;
            let server = self.plan.server(self.plan.family_of(number), self.plan.tcp_port);
            let socket = tcp_socket(&server)?;
            sockopt::set_tcp_nodelay(&socket, true)?;
            sockopt::set_tcp_user_timeout(&socket, self.plan.user_timeout_ms)?;
            let stream = start_connecting(socket, &server)?;
            self.poller.watch_connecting(&stream, FIRST_CONNECTION + Token::from(number))?;
            self.connections.add(Connection::connecting(&self.plan, number, stream, now));
        }
        Ok(())
    }

    fn serve(&mut self, index: usize, now: Nanos) -> io::Result<()> {
        self.last_event = now;
        let connection = self.connections.get_mut(index);
        if !connection.is_connecting() {
            self.connections.receive(index, now);
            return Ok(());
        }
        connection.finish_connecting(now);
        if let Some(socket) = connection.socket() {
            self.poller.switch_to_reading(socket, FIRST_CONNECTION + index as Token)?;
            self.connections.schedule(index, now + self.plan.interval());
        }
        Ok(())
    }

    fn send_due(&mut self, now: Nanos) {
        if self.stopped.is_some() {
            self.drained = self.connections.drain(now);
            return;
        }
        self.connections.send_due(self.plan.interval(), now);
        let ping_interval = self.plan.ping_interval_ms * MILLISECOND;
        let flows = is_due(&mut self.next_flow, PROBE_INTERVAL, now);
        let pings = is_due(&mut self.next_ping, ping_interval, now);
        let due = |probe: &&mut Probe| if probe.is_flow() { flows } else { pings };
        self.probes.iter_mut().filter(due).for_each(|probe| probe.send(now));
    }

    fn is_drained(&self, now: Nanos) -> bool {
        let Some(stopped) = self.stopped else { return false };
        self.drained || now > self.last_event + DRAIN_QUIET || now > stopped + MAX_DRAIN
    }

    fn report(self, now: Nanos) -> TrafficReport {
        let stopped = self.stopped.unwrap_or(now);
        let probes = self.probes.into_iter().map(|probe| probe.report(stopped)).collect();
        TrafficReport { stopped, connections: self.connections.report(stopped), probes }
    }

    fn publish_progress(&mut self, now: Nanos) {
        if now < self.next_progress {
            return;
        }
        self.next_progress = now + PROGRESS_INTERVAL;
        let mut progress = self.connections.progress(&self.plan, now);
        let recently = now.saturating_sub(SECOND);
        for probe in &self.probes {
            progress.wrong += probe.wrong();
            let count = if probe.is_flow() { &mut progress.active_flows } else { &mut progress.active_pings };
            *count += u32::from(probe.activity.is_active_since(recently));
        }
        self.link.publish(progress);
    }
}
