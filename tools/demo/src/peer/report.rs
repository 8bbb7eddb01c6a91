//! What a run beside a stock router showed, and whether it passed.

use std::fs;
use std::path::Path;

use pfplane_testbed::clock::{Nanos, milliseconds};
use pfplane_testbed::failure::{Context, Fallible};
use pfplane_testbed::firewall::{Election, TakeoverBound};
use pfplane_testbed::router::Peer;
use pfplane_testbed::traffic::plan::Plan;
use pfplane_testbed::traffic::report::TrafficReport;
use serde_json::{Value, json};

use crate::results::forwarding::{Forwarding, Handover};
use crate::results::outcomes::{Outcome, Times, outcomes};

/// A router that dies, and the one that takes over.
pub(super) struct Event {
    pub what: String,
    pub survivor: &'static str,
    /// When its first advert is expected.
    pub bound: TakeoverBound,
    /// What may come on top of that.
    pub delays: Nanos,
}

/// All results.
pub(super) struct Report<'a> {
    pub peer: Peer,
    pub election: Election,
    pub plan: &'a Plan,
    pub events: [Event; 2],
    pub times: Times,
    pub forwarding: Forwarding,
    pub client: &'a TrafficReport,
    pub server: &'a TrafficReport,
    /// Client and server of the connections that were opened once the firewall was master again.
    pub new: [TrafficReport; 2],
    pub problems: Vec<String>,
}

/// Numbers of what was carried on after an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Resumed {
    connections: usize,
    /// UDP flows and pings.
    probes: usize,
    /// The longest gap of a connection that resumed.
    gap: Nanos,
}

impl Report<'_> {
    /// Judges, prints and writes the report. Returns whether the run passed.
    pub(super) fn finish(mut self, folder: &Path) -> Fallible<bool> {
        let old = outcomes(self.client, self.server, &self.times);
        let new = outcomes(&self.new[0], &self.new[1], &self.times);
        let resumed = [0, 1].map(|event| self.resumed(event, &old));
        let opened = new.iter().filter(|outcome| outcome.survived).count();
        self.judge(&resumed, old.len(), &new);
        let wrong: u64 = old.iter().chain(&new).map(|outcome| outcome.wrong).sum::<u64>()
            + self.client.probes.iter().map(|probe| probe.wrong).sum::<u64>();
        if wrong > 0 {
            self.problems.push(format!("{wrong} bytes or answers differ from what was sent."));
        }
        let path = folder.join("report.json");
        let json = format!("{:#}\n", self.json(&resumed, opened));
        fs::write(&path, json).context(|| format!("write {}", path.display()))?;
        self.print(&resumed, old.len(), opened, new.len());
        println!("report: {}\n", path.display());
        if !self.problems.is_empty() {
            println!("FAILED: {}", self.problems.join("\n  "));
            return Ok(false);
        }
        println!(
            "PASSED: {} took over from firewall A and firewall A from it; {} of {} connections continued through a router \
             without states, {opened} of {} new ones through firewall A; {wrong} bytes wrong",
            self.peer.name(),
            resumed[0].connections,
            old.len(),
            new.len()
        );
        Ok(true)
    }

    /// What carried data again after event number `event` and before the next one.
    fn resumed(&self, event: usize, outcomes: &[Outcome]) -> Resumed {
        let since = self.times.events[event].takeover;
        let until = self.times.events.get(event + 1).map_or(self.times.stop, |next| next.begin);
        let probes = self.client.probes.iter();
        let resumed = |outcome: &&Outcome| outcome.resumed[event].is_some_and(|time| time < until);
        let connections: Vec<&Outcome> = outcomes.iter().filter(resumed).collect();
        Resumed {
            connections: connections.len(),
            probes: probes
                .filter(|probe| probe.activity.first_since(since).is_some_and(|time| time < until))
                .count(),
            gap: connections.iter().map(|outcome| outcome.gaps[event + 1].length).max().unwrap_or(0),
        }
    }

    fn judge(&mut self, resumed: &[Resumed; 2], all: usize, new: &[Outcome]) {
        let probes = self.client.probes.len();
        for (index, event) in self.events.iter().enumerate() {
            let Event { what, survivor, bound, delays } = event;
            let limit = bound.max + delays;
            match self.forwarding.handovers.get(index).and_then(|handover| handover.first_advert) {
                None => self.problems.push(format!("{what}: no advert of {survivor} was seen.")),
                Some(advert) if advert > limit => self.problems.push(format!(
                    "{what}: the first advert of {survivor} came after {:.1} ms, later than {:.1} ms.",
                    milliseconds(advert),
                    milliseconds(limit)
                )),
                Some(_) => {}
            }
            if resumed[index].probes < probes {
                let silent = probes - resumed[index].probes;
                self.problems
                    .push(format!("{what}: {silent} of {probes} pings and UDP flows got no answers."));
            }
        }
        if resumed[0].connections < all {
            let lost = all - resumed[0].connections;
            self.problems.push(format!(
                "{lost} of {all} connections did not continue through {}, which needs no states.",
                self.peer.name()
            ));
        }
        let mut failures = new.iter().filter_map(|outcome| outcome.failure.as_deref());
        if let Some(failure) = failures.next() {
            self.problems.push(format!(
                "{} of {} new connections through firewall A failed; for example: {failure}.",
                failures.count() + 1,
                new.len()
            ));
        }
    }

    fn print(&self, resumed: &[Resumed; 2], all: usize, opened: usize, new: usize) {
        println!();
        self.forwarding.print(&self.times, ["firewall A", self.peer.name()]);
        let probes = self.client.probes.len();
        for (index, event) in self.events.iter().enumerate() {
            let (Event { what, survivor, .. }, Resumed { connections, probes: active, gap }) =
                (event, resumed[index]);
            println!("{what}:");
            if let Some(handover) = self.forwarding.handovers.get(index) {
                self.print_handover(event, handover);
                if index == 0 {
                    let silence = milliseconds(handover.silence);
                    let (gap, interval) = (milliseconds(gap), self.plan.interval_ms as f64);
                    let own = (gap - silence - interval).max(0.0);
                    println!(
                        "  longest gap of a connection {gap:.0} ms: that, at most {interval:.0} ms between two records, and \
                         {own:.0} ms of TCP's retransmission"
                    );
                }
            }
            println!("  pings and UDP flows resumed: {active} of {probes}");
            if index == 0 {
                println!(
                    "  connections that continued, without states on {survivor}: {connections} of {all}"
                );
            } else {
                println!("  new connections: {opened} of {new}");
                println!(
                    "  connections of before, of which {survivor} has no states: {connections} of {all}"
                );
            }
        }
    }

    fn print_handover(&self, event: &Event, handover: &Handover) {
        if let Some(advert) = handover.first_advert {
            let TakeoverBound { min, max } = event.bound;
            println!(
                "  first advert of {} {:.1} ms later; expected {:.1} to {:.1} ms (2 to 3 intervals, skew), and at most {:.0} ms \
                 of delays",
                event.survivor,
                milliseconds(advert),
                milliseconds(min),
                milliseconds(max),
                milliseconds(event.delays)
            );
        }
        println!("  nobody forwarded for {:.1} ms", milliseconds(handover.silence));
    }

    fn json(&self, resumed: &[Resumed; 2], opened: usize) -> Value {
        let event = |(index, event): (usize, &Event)| {
            json!({
                "what": event.what,
                "survivor": event.survivor,
                "expected_ms": [milliseconds(event.bound.min), milliseconds(event.bound.max)],
                "delays_ms": milliseconds(event.delays),
                "on_the_wire": self.forwarding.handovers.get(index).map(Handover::json),
                "connections_resumed": resumed[index].connections,
                "probes_resumed": resumed[index].probes,
                "longest_gap_ms": milliseconds(resumed[index].gap),
            })
        };
        json!({
            "passed": self.problems.is_empty(),
            "problems": self.problems,
            "peer": self.peer.name(),
            "election": self.election.protocol.name(),
            "election_interval_ms": self.election.interval_ms,
            "connections": self.plan.connections,
            "new_connections": opened,
            "seed": self.plan.seed,
            "events": self.events.iter().enumerate().map(event).collect::<Vec<_>>(),
            // The peer takes the place of firewall B.
            "forwarding": self.forwarding.json(&self.times),
        })
    }
}
