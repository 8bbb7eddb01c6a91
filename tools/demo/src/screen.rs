//! What the person at the screen sees while it happens: one line a step, one a second while traffic flows.

use crate::clock::{self, Nanos, SECOND, seconds_since};
use crate::traffic::report::Progress;

/// The screen and the moment its clock counts from.
pub struct Screen {
    origin: Nanos,
    next_line: Nanos,
    connections: u32,
    udp_flows: u32,
}

impl Screen {
    /// A screen for a run of this size.
    pub fn new(connections: u32, udp_flows: u32) -> Screen {
        Screen { origin: clock::now(), next_line: 0, connections, udp_flows }
    }

    /// One line.
    pub fn say(&self, words: &str) {
        println!("{:7.2} s  {words}", seconds_since(self.origin, clock::now()));
    }

    /// Says how the traffic is, at most once a second.
    pub fn show(&mut self, client: &Progress, server: &Progress) {
        let now = clock::now();
        if now < self.next_line {
            return;
        }
        self.next_line = now + SECOND;
        let (connections, udp_flows) = (self.connections, self.udp_flows);
        self.say(&format!(
            "  {established}/{connections} open, {lively} carry data both ways, {failed} failed; \
             UDP {flows}/{udp_flows}, ping {pings}/2; {megabytes:.1} MB checked, {wrong} wrong",
            established = client.established,
            lively = client.lively.min(server.lively),
            failed = client.failed + server.failed,
            flows = client.lively_flows,
            pings = client.lively_pings,
            megabytes = (client.received + server.received) as f64 / 1e6,
            wrong = client.wrong + server.wrong,
        ));
    }
}
