//! What the person at the screen sees while it happens: one line a step, one a second while traffic flows.

use crate::clock::{self, Nanos, SECOND, seconds_since};
use crate::exposure::Exposure;
use crate::traffic::plan::Plan;
use crate::traffic::report::Progress;

/// The screen and the moment its clock counts from.
pub struct Screen {
    origin: Nanos,
    next_line: Nanos,
    connections: u32,
    udp_flows: u32,
    pings: usize,
}

impl Screen {
    /// A screen for a run of this size.
    pub fn new(plan: &Plan) -> Screen {
        let (connections, udp_flows, pings) = (plan.connections, plan.udp_flows, plan.families().len());
        Screen { origin: clock::now(), next_line: 0, connections, udp_flows, pings }
    }

    /// One line.
    pub fn say(&self, words: &str) {
        println!("{:7.2} s  {words}", seconds_since(self.origin, clock::now()));
    }

    /// Whether a second has gone by since the traffic was shown.
    pub fn is_due(&self) -> bool {
        clock::now() >= self.next_line
    }

    /// Says how the traffic is, and what the master's death would cost now.
    pub fn show(&mut self, client: &Progress, server: &Progress, exposure: Option<Exposure>) {
        self.next_line = clock::now() + SECOND;
        let exposed = exposure.map_or_else(String::new, |Exposure { connections, changes, .. }| {
            format!("; exposed: {connections} new, {changes} changes")
        });
        let Screen { connections, udp_flows, pings, .. } = &*self;
        self.say(&format!(
            "  {established}/{connections} open, {lively} carry data both ways, {failed} failed; \
             UDP {flows}/{udp_flows}, ping {lively_pings}/{pings}; {megabytes:.1} MB checked, {wrong} wrong{exposed}",
            established = client.established,
            lively = client.lively.min(server.lively),
            failed = client.failed + server.failed,
            flows = client.lively_flows,
            lively_pings = client.lively_pings,
            megabytes = (client.received + server.received) as f64 / 1e6,
            wrong = client.wrong + server.wrong,
        ));
    }
}
