//! The part of the table about the change of the master: roles, forwarded packets, times against the bounds.

use pfplane_testbed::clock::{MILLISECOND, Nanos, SECOND, milliseconds};
use pfplane_testbed::firewall::{Node, TakeoverBound};
use pfplane_testbed::traffic::report::ProbeReport;

use crate::arguments::Arguments;
use crate::fault::Fault;
use crate::results::forwarding::{Forwarding, Overlap};
use crate::results::outcomes::Spread;
use crate::results::report::{Event, Report};
use crate::results::summary::MAX_EVENTS;

/// Role changes of a firewall that are printed.
const MAX_CHANGES: usize = 8;
/// Beyond one interval, for the commands that restore the links and the machine's delays.
const HEALING_SLACK: Nanos = 100 * MILLISECOND;

impl Report<'_> {
    pub(super) fn print_forwarding(&self) {
        for node in [Node::A, Node::B] {
            let roles = self.forwarding.role_line(node, &self.evidence.times, MAX_CHANGES);
            println!("{}: {roles}", node.name());
        }
        if let Some(frames) = &self.forwarding.frames {
            let [a, b] = [&frames.forwarded[0], &frames.forwarded[1]].map(Vec::len);
            println!("packets forwarded: firewall A {a}, firewall B {b}");
        }
        let seconds = |time: Nanos| time as f64 / SECOND as f64;
        let line = |what: &str, Overlap { none, both }: Overlap| {
            println!("{what}: none for {:.3} s, two for {:.3} s", seconds(none), seconds(both));
        };
        line(
            "masters by their own account, since the first event",
            self.forwarding.masters(&self.evidence.times),
        );
        if let Some(overlap) = self.forwarding.forwarding() {
            line("firewalls that forwarded, at the events", overlap);
        }
        if self.events.len() <= MAX_EVENTS {
            (0..self.events.len()).for_each(|index| self.print_handover(index));
        } else {
            self.print_percentiles();
        }
    }

    fn print_handover(&self, index: usize) {
        let (Some(event), Some(handover)) = (self.events.get(index), self.forwarding.handovers.get(index))
        else {
            return;
        };
        println!("{}:", event.fault.of(event.victim));
        if let Some(advert) = handover.first_advert {
            let name = event.victim.other().name();
            println!(
                "  first advert of {name} {:.1} ms later{}",
                milliseconds(advert),
                self.bound_text(event)
            );
        }
        let silence = milliseconds(handover.silence);
        println!("  nobody forwarded for {silence:.1} ms");
        if let Some(gap) = self.gaps(None, index + 1) {
            let interval = self.plan.interval_ms as f64;
            let own = (gap.max - silence - interval).max(0.0);
            println!(
                "  longest gap of a connection {:.0} ms: that, at most {interval:.0} ms between two records, and {own:.0} ms \
                 of TCP's retransmission",
                gap.max
            );
        }
        let (late, both) = (handover.late_packets, milliseconds(handover.both_forwarded));
        println!("  both forwarded for {both:.1} ms ({late} packets of the one that yielded)");
        if let Some(after) = handover.after_end {
            println!("  it forwarded until {:.1} ms after the end", milliseconds(after));
        }
    }

    /// Prints percentiles over all events.
    fn print_percentiles(&self) {
        let handovers = &self.forwarding.handovers;
        let line = |name: &str, times: Vec<Nanos>| {
            if let Some(Spread { median, p99, max }) = Spread::of(times.iter().copied()) {
                let count = times.len();
                println!(
                    "{name} (ms): median {median:.1}, 99th percentile {p99:.1}, maximum {max:.1} of {count}"
                );
            }
        };
        let adverts: Vec<Nanos> = handovers.iter().filter_map(|handover| handover.first_advert).collect();
        line("first advert after the event", adverts.clone());
        for node in [Node::A, Node::B] {
            let of_node = |event: &&Event| event.victim == node;
            if let Some(event) = self.events.iter().find(of_node) {
                let bound = self.bound_text(event);
                if !bound.is_empty() {
                    println!("  of {}{bound}", node.other().name());
                }
            }
        }
        line("nobody forwarded for", handovers.iter().map(|handover| handover.silence).collect());
        line("both forwarded for", handovers.iter().map(|handover| handover.both_forwarded).collect());
        line(
            "the loser forwarded after the end",
            handovers.iter().filter_map(|handover| handover.after_end).collect(),
        );
        let late: u64 = handovers.iter().map(|handover| handover.late_packets).sum();
        println!("packets of the firewalls that yielded after the other had taken over: {late}");
    }

    /// Returns when the other firewall's first advert is expected after a kill or a pause; empty otherwise.
    fn bound_text(&self, event: &Event) -> String {
        let Some(election) = self.arguments.election.filter(|_| event.fault.is_sudden()) else {
            return String::new();
        };
        let TakeoverBound { min, max } = election.takeover_bound(event.victim.other());
        let [min, max] = [min, max].map(milliseconds);
        format!("; expected {min:.1} to {max:.1} ms (2 to 3 intervals, skew) and the machine's delays")
    }
}

/// Returns what the firewalls did wrong: packets of a firewall that had been replaced, a takeover without an advert, pings
/// lost in a planned switch.
pub(crate) fn problems(
    arguments: &Arguments,
    events: &[Event],
    forwarding: &Forwarding,
    probes: &[ProbeReport],
) -> Vec<String> {
    let Some(election) = arguments.election else { return Vec::new() };
    let interval = Nanos::from(election.interval_ms) * MILLISECOND;
    let mut problems = Vec::new();
    for (event, handover) in events.iter().zip(&forwarding.handovers) {
        let what = event.fault.of(event.victim);
        let yielded = event.master_after.other().name();
        if event.fault.is_sudden() && handover.first_advert.is_none() {
            problems.push(format!("{what}: no advert of {} was seen.", event.victim.other().name()));
        }
        if event.fault.is_sudden() && handover.late_packets > 0 {
            let late = handover.late_packets;
            let ms = milliseconds(handover.both_forwarded);
            problems.push(format!(
                "{what}: {yielded} forwarded {late} packets after the other had taken over, the last {ms:.1} ms later."
            ));
        }
        let after = handover.after_end.unwrap_or(0);
        if matches!(event.fault, Fault::Partition(_)) && after > interval + HEALING_SLACK {
            let ms = milliseconds(after);
            problems
                .push(format!("{what}: {yielded} still forwarded {ms:.1} ms after the links were restored."));
        }
    }
    problems.extend(pings_lost(events, probes));
    problems
}

/// Pings may be lost at sudden faults only. Names the first one and the switch before it.
fn pings_lost(events: &[Event], probes: &[ProbeReport]) -> Option<String> {
    if !events.iter().all(|event| event.fault.is_planned()) {
        return None;
    }
    let pings = probes.iter().filter(|probe| !probe.name.starts_with("UDP"));
    let mut lost: Vec<Nanos> = pings.flat_map(|probe| probe.lost.iter().copied()).collect();
    lost.sort_unstable();
    let first = *lost.first()?;
    let before = events.iter().rev().find(|event| event.times.begin <= first);
    let when = before.map_or("before the first switch".into(), |event| {
        let ms = milliseconds(first - event.times.begin);
        format!("{ms:.1} ms after the {}", event.fault.of(event.victim))
    });
    Some(format!(
        "{} pings were lost although the switches were planned; the first was sent {when}.",
        lost.len()
    ))
}
