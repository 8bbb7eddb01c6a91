//! The part of the table about the change of the master: roles, forwarded packets, times against the bounds.

use pfplane_testbed::clock::{MILLISECOND, Nanos, milliseconds};
use pfplane_testbed::firewall::{Election, Node, TakeoverBound};
use pfplane_testbed::traffic::report::ProbeReport;

use crate::arguments::Arguments;
use crate::fault::Fault;
use crate::results::forwarding::{Forwarding, Handover};
use crate::results::outcomes::Spread;
use crate::results::report::{Event, Report};
use crate::results::summary::MAX_EVENTS;

/// Beyond one interval: a millisecond for packets in flight, and the delays of the links and the machine.
const HEALING_SLACK: Nanos = 11 * MILLISECOND;

impl Report<'_> {
    pub(super) fn print_forwarding(&self) {
        self.forwarding.print(&self.evidence.times, [Node::A.name(), Node::B.name()]);
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
            let own = self.retransmission(index).map_or(0.0, milliseconds);
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
            let count = times.len();
            if let Some(Spread { min, median, p99, max }) = Spread::of(times) {
                println!(
                    "{name} (ms): minimum {min:.1}, median {median:.1}, 99th percentile {p99:.1}, maximum {max:.1} of {count}"
                );
            }
        };
        line(
            "first advert after the event",
            handovers.iter().filter_map(|handover| handover.first_advert).collect(),
        );
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
        line(
            "longest gap of a connection beyond that and its interval: TCP's retransmission",
            (0..handovers.len()).filter_map(|index| self.retransmission(index)).collect(),
        );
        line("both forwarded for", handovers.iter().map(|handover| handover.both_forwarded).collect());
        line(
            "the loser forwarded after the end",
            handovers.iter().filter_map(|handover| handover.after_end).collect(),
        );
        let late: u64 = handovers.iter().map(|handover| handover.late_packets).sum();
        println!("packets of the firewalls that yielded after the other had taken over: {late}");
    }

    /// Returns how long TCP was silent on its own account after event number `index`: the longest gap of a connection, less the
    /// time in which nobody forwarded, less the time between two records.
    fn retransmission(&self, index: usize) -> Option<Nanos> {
        let gap = self.longest_gap(index + 1)?;
        let silence = self.forwarding.handovers.get(index)?.silence;
        Some(gap.saturating_sub(silence + self.plan.interval()))
    }

    /// Returns what the takeovers of the run showed, for the summary.
    pub(super) fn takeovers(&self) -> Vec<String> {
        let faults = || self.events.iter().map(|event| event.fault);
        let handovers = &self.forwarding.handovers;
        let (Some(election), false) = (self.arguments.election, handovers.is_empty()) else {
            return Vec::new();
        };
        let mut texts: Vec<String> =
            Promptness::of(election, &self.events, handovers).iter().map(Promptness::text).collect();
        if faults().all(|fault| matches!(fault, Fault::Pause(_))) {
            let late: u64 = handovers.iter().map(|handover| handover.late_packets).sum();
            texts.push(format!("{late} packets of a paused firewall after it was replaced"));
        }
        if faults().all(|fault| matches!(fault, Fault::Partition(_))) {
            let after = handovers.iter().filter_map(|handover| handover.after_end).max().unwrap_or(0);
            let restoring = self.events.iter().map(|event| event.restoring).max().unwrap_or(0);
            texts.push(format!(
                "two forwarded until at most {:.1} ms after the first link was restored; restoring took up to {:.1} ms (limit \
                 {:.1} ms more)",
                milliseconds(after),
                milliseconds(restoring),
                milliseconds(healing_limit(election))
            ));
        }
        if faults().all(Fault::is_planned) {
            let pings = || self.evidence.probes.iter().filter(|probe| !probe.name.starts_with("UDP"));
            let lost: usize = pings().map(|probe| probe.lost.len()).sum();
            let sent: u64 = pings().map(|probe| probe.sent).sum();
            texts.push(format!("{lost} of {sent} pings lost"));
        }
        texts
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
        let limit = healing_limit(election) + event.restoring;
        if matches!(event.fault, Fault::Partition(_)) && after > limit {
            let ms = milliseconds(after);
            problems.push(format!(
                "{what}: {yielded} still forwarded {ms:.1} ms after the links were restored, longer than {:.1} ms.",
                milliseconds(limit)
            ));
        }
    }
    if arguments.repeat.is_some()
        && let Some(promptness) = Promptness::of(election, events, &forwarding.handovers)
        && !promptness.suffices()
    {
        problems.push(format!("only {}.", promptness.text()));
    }
    problems.extend(pings_lost(events, probes, forwarding));
    problems
}

/// Returns for how long two may forward after a partition has healed: until the next advert arrives, and a moment more.
fn healing_limit(election: Election) -> Nanos {
    Nanos::from(election.interval_ms) * MILLISECOND + HEALING_SLACK
}

/// How many of the survivors' first adverts were sent in time, after kills and pauses.
#[derive(Clone, Debug, PartialEq)]
struct Promptness {
    limit: Nanos,
    within: usize,
    of: usize,
    spread: Option<Spread>,
}

impl Promptness {
    /// Returns `None` if no event was sudden, or without a capture.
    fn of(election: Election, events: &[Event], handovers: &[Handover]) -> Option<Promptness> {
        let sudden = events.iter().zip(handovers).filter(|(event, _)| event.fault.is_sudden());
        let adverts: Vec<Option<Nanos>> = sudden.map(|(_, handover)| handover.first_advert).collect();
        (!adverts.is_empty()).then(|| Promptness::of_adverts(election.takeover_limit(), &adverts))
    }

    fn of_adverts(limit: Nanos, adverts: &[Option<Nanos>]) -> Promptness {
        let seen = || adverts.iter().copied().flatten();
        let within = seen().filter(|&advert| advert <= limit).count();
        Promptness { limit, within, of: adverts.len(), spread: Spread::of(seen()) }
    }

    /// Whether at most one in a hundred was late.
    fn suffices(&self) -> bool {
        100 * self.within >= 99 * self.of
    }

    fn text(&self) -> String {
        let Promptness { limit, within, of, spread } = self;
        let limit = milliseconds(*limit);
        let spread = spread.map_or_else(String::new, |Spread { min, median, max, .. }| {
            format!(" (minimum {min:.1}, median {median:.1}, maximum {max:.1})")
        });
        format!("first advert within {limit:.1} ms in {within} of {of}{spread}")
    }
}

/// Pings may be lost at sudden faults only. Names the first one and the switch before it.
fn pings_lost(events: &[Event], probes: &[ProbeReport], forwarding: &Forwarding) -> Option<String> {
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
    let stall = forwarding.stall_before(first).map_or_else(String::new, |stall| {
        format!(" The machine had just stood still for {:.1} ms.", milliseconds(stall.length))
    });
    Some(format!(
        "{} pings were lost although the switches were planned; the first was sent {when}.{stall}",
        lost.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_late_first_advert_in_a_hundred_is_allowed() {
        let limit = 40 * MILLISECOND;
        let adverts = |late: usize, all: usize| {
            let list: Vec<Option<Nanos>> =
                (0..all).map(|index| Some(if index < late { limit + 1 } else { limit })).collect();
            Promptness::of_adverts(limit, &list)
        };
        assert!(adverts(1, 100).suffices() && adverts(0, 20).suffices());
        assert!(!adverts(2, 100).suffices() && !adverts(1, 99).suffices());
        let none = Promptness::of_adverts(limit, &[None]);
        assert!(!none.suffices() && none.text() == "first advert within 40.0 ms in 0 of 1");
        let text = adverts(0, 3).text();
        assert_eq!(text, "first advert within 40.0 ms in 3 of 3 (minimum 40.0, median 40.0, maximum 40.0)");
    }
}
