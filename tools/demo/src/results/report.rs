//! The results of a run, and `report.json`.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use pfplane_testbed::capture::CaptureCheck;
use pfplane_testbed::clock::{Nanos, milliseconds, seconds_since};
use pfplane_testbed::failure::{Context, Fallible};
use pfplane_testbed::firewall::{Exposure, Node, Status};
use pfplane_testbed::traffic::plan::{Family, Plan};
use pfplane_testbed::traffic::report::ProbeReport;
use serde_json::{Value, json};

use crate::arguments::Arguments;
use crate::fault::Fault;
use crate::results::forwarding::{Forwarding, Handover};
use crate::results::outcomes::{EventTimes, FLUSH_MARGIN, Group, Outcome, Spread, probe_resumed};
use crate::results::verdict::{Evidence, Verdict};

/// A fault, with the state of both firewalls just before.
pub(crate) struct Event {
    pub fault: Fault,
    /// The master before.
    pub victim: Node,
    /// The master afterwards.
    pub master_after: Node,
    pub times: EventTimes,
    /// For how long the links were being restored after a partition.
    pub restoring: Nanos,
    /// The victim's last published exposure.
    pub exposure: Exposure,
    pub victim_status: Status,
    pub victim_stats: Value,
    pub survivor_status: Status,
}

/// The master at the end.
pub(crate) struct Survivor {
    pub node: Node,
    pub status: Status,
    pub stats: Value,
}

/// All results.
pub(crate) struct Report<'a> {
    pub arguments: &'a Arguments,
    pub plan: &'a Plan,
    pub evidence: Evidence<'a>,
    pub verdict: Verdict,
    /// In order.
    pub events: Vec<Event>,
    pub survivor: Survivor,
    /// What the firewalls sent, if it was recorded, and their roles.
    pub forwarding: Forwarding,
    /// The check of the sync link's capture.
    pub capture: Option<CaptureCheck>,
}

/// Whether a column of the table, one family or all, includes a family.
pub(crate) fn includes(column: Option<Family>, family: Family) -> bool {
    column.is_none_or(|column| column == family)
}

impl Report<'_> {
    pub(crate) fn outcomes_of(&self, group: Group, column: Option<Family>) -> impl Iterator<Item = &Outcome> {
        let outcomes = self.evidence.outcomes.iter();
        outcomes.filter(move |outcome| outcome.group == group && includes(column, outcome.family))
    }

    /// Returns the longest gaps of the surviving established connections. Interval 0 ends at the first fault, 1 follows
    /// it, 2 follows the second.
    pub(crate) fn gaps(&self, column: Option<Family>, interval: usize) -> Option<Spread> {
        let survived = self.outcomes_of(Group::Established, column).filter(|outcome| outcome.survived);
        Spread::of(survived.filter_map(|outcome| outcome.gaps.get(interval)).map(|gap| gap.length))
    }

    /// Returns the longest gap of a surviving established connection in an interval.
    pub(crate) fn longest_gap(&self, interval: usize) -> Option<Nanos> {
        let survived = self.outcomes_of(Group::Established, None).filter(|outcome| outcome.survived);
        survived.filter_map(|outcome| outcome.gaps.get(interval)).map(|gap| gap.length).max()
    }

    /// Returns the longest gaps after each fault, of all surviving established connections together.
    pub(crate) fn gaps_of_all_events(&self, column: Option<Family>) -> Option<Spread> {
        let survived = self.outcomes_of(Group::Established, column).filter(|outcome| outcome.survived);
        Spread::of(survived.flat_map(|outcome| outcome.gaps.iter().skip(1)).map(|gap| gap.length))
    }

    /// Returns the time when half of the surviving connections had data again after a fault.
    pub(crate) fn median_resumption(&self, event: usize) -> Option<Nanos> {
        let survived = self.outcomes_of(Group::Established, None).filter(|outcome| outcome.survived);
        let mut times: Vec<Nanos> = survived.filter_map(|outcome| *outcome.resumed.get(event)?).collect();
        times.sort_unstable();
        times.get(times.len() / 2).copied()
    }

    /// Returns how many connections of a group survived, of how many.
    pub(crate) fn survived(&self, group: Group, column: Option<Family>) -> (usize, usize) {
        let survived = self.outcomes_of(group, column).filter(|outcome| outcome.survived).count();
        (survived, self.outcomes_of(group, column).count())
    }

    /// Returns how many UDP flows (or pings) resumed, of how many.
    pub(crate) fn resumed(&self, flows: bool, column: Option<Family>) -> (usize, usize) {
        let probes = self.probes_of(flows, column);
        let resumed = probes.iter().filter(|probe| probe_resumed(probe, &self.evidence.times)).count();
        (resumed, probes.len())
    }

    pub(crate) fn probes_of(&self, flows: bool, column: Option<Family>) -> Vec<&ProbeReport> {
        let selected =
            |probe: &&ProbeReport| probe.name.starts_with("UDP") == flows && includes(column, probe.family);
        self.evidence.probes.iter().filter(selected).collect()
    }

    /// Writes `report.json`.
    pub(crate) fn write(&self, out: &Path) -> Fallible<()> {
        let path = out.join("report.json");
        let file = File::create(&path).context(|| format!("write {}", path.display()))?;
        serde_json::to_writer_pretty(BufWriter::new(file), &self.json())
            .context(|| format!("write {}", path.display()))
    }

    fn json(&self) -> Value {
        let Evidence { times, losses, outcomes, probes, .. } = &self.evidence;
        let family = |column| self.json_of_column(column);
        json!({
            "passed": self.verdict.passed,
            "verdict": self.verdict.sentences,
            "mode": self.arguments.mode.description(),
            "translation": self.arguments.translation.name(),
            "election": self.arguments.election.map_or("none", |election| election.protocol.name()),
            "election_interval_ms": self.arguments.election.map(|election| election.interval_ms),
            "takeover_limit_ms": self.arguments.election.map(|election| milliseconds(election.takeover_limit())),
            "takeovers": self.takeovers(),
            "defer_ms": self.arguments.defer_ms,
            "seal": self.arguments.seal,
            "cut_before_kill_ms": self.arguments.cut_before_kill_ms,
            "pause_backup_s": self.arguments.pause_backup_s,
            "flood": self.arguments.flood,
            "losses": losses,
            "connections": self.arguments.connections,
            "lanes": self.arguments.lanes,
            "lanes_b": self.arguments.lanes_b.unwrap_or(self.arguments.lanes),
            "seed": self.plan.seed,
            "interval_ms": self.plan.interval_ms,
            "flush_margin_ms": milliseconds(FLUSH_MARGIN),
            "stop_s": self.after_first(times.stop),
            "rejoin_s": times.rejoin.map(|rejoin| self.after_first(rejoin)),
            "events": self.events.iter().enumerate().map(|(index, event)| self.json_of_event(index, event)).collect::<Vec<_>>(),
            "forwarding": self.forwarding.json(&self.evidence.times),
            "survivor": {
                "name": self.survivor.node.name(),
                "status": self.survivor.status,
                "stats": self.survivor.stats,
            },
            "sync_capture": self.capture.as_ref().map(|check| {
                json!({ "well_formed": check.well_formed, "text": check.text })
            }),
            "ipv4": family(Some(Family::V4)),
            "ipv6": family(Some(Family::V6)),
            "all": family(None),
            "each_connection": outcomes.iter().map(|outcome| self.json_of_outcome(outcome)).collect::<Vec<_>>(),
            "each_probe": probes.iter().map(|probe| self.json_of_probe(probe)).collect::<Vec<_>>(),
        })
    }

    /// Returns seconds since the first fault.
    fn after_first(&self, time: Nanos) -> f64 {
        seconds_since(self.evidence.times.first().begin, time)
    }

    fn json_of_event(&self, index: usize, event: &Event) -> Value {
        json!({
            "fault": event.fault.of(event.victim),
            "master_before": event.victim.name(),
            "master_after": event.master_after.name(),
            "begin_s": self.after_first(event.times.begin),
            "end_s": self.after_first(event.times.end),
            "takeover_s": self.after_first(event.times.takeover),
            "on_the_wire": self.forwarding.handovers.get(index).map(Handover::json),
            "exposure": event.exposure,
            "master_status": event.victim_status,
            "master_stats": event.victim_stats,
            "backup_status": event.survivor_status,
        })
    }

    fn json_of_column(&self, column: Option<Family>) -> Value {
        let group = |group| {
            let (survived, opened) = self.survived(group, column);
            json!({ "opened": opened, "survived": survived })
        };
        let probes = |flows| {
            let (resumed, all) = self.resumed(flows, column);
            let count = |pick: fn(&ProbeReport) -> u64| -> u64 {
                self.probes_of(flows, column).into_iter().map(pick).sum()
            };
            json!({
                "all": all,
                "resumed": resumed,
                "requests": count(|probe| probe.sent),
                "answered": count(|probe| probe.answered),
                "wrong": count(|probe| probe.wrong),
            })
        };
        let outcomes = || self.evidence.outcomes.iter().filter(|outcome| includes(column, outcome.family));
        json!({
            "established_before": group(Group::Established),
            "opening_then": group(Group::Opening),
            "started_after_the_takeover": group(Group::New),
            "bytes_checked": outcomes().map(|outcome| outcome.bytes).sum::<u64>(),
            "bytes_wrong": outcomes().map(|outcome| outcome.wrong).sum::<u64>(),
            "longest_gap_before_ms": self.gaps(column, 0),
            "longest_gap_across_events_ms":
                (1..=self.events.len()).map(|event| self.gaps(column, event)).collect::<Vec<_>>(),
            "udp": probes(true),
            "ping": probes(false),
        })
    }

    fn json_of_outcome(&self, outcome: &Outcome) -> Value {
        let after_first = |time: Nanos| self.after_first(time);
        json!({
            "number": outcome.number,
            "family": outcome.family.name(),
            "group": outcome.group,
            "opened": outcome.opened,
            "survived": outcome.survived,
            "end": outcome.end,
            "failure": outcome.failure,
            "bytes": outcome.bytes,
            "wrong": outcome.wrong,
            "gaps_ms": outcome.gaps.iter().map(|gap| milliseconds(gap.length)).collect::<Vec<_>>(),
            "gaps_start_s": outcome.gaps.iter().map(|gap| after_first(gap.start)).collect::<Vec<_>>(),
            "resumed_s": outcome.resumed.iter().map(|time| time.map(after_first)).collect::<Vec<_>>(),
        })
    }

    fn json_of_probe(&self, probe: &ProbeReport) -> Value {
        json!({
            "name": probe.name,
            "family": probe.family.name(),
            "requests": probe.sent,
            "answered": probe.answered,
            "lost_s": probe.lost.iter().map(|&time| self.after_first(time)).collect::<Vec<_>>(),
            "duplicated": probe.duplicated,
            "wrong": probe.wrong,
            "refused": probe.refused,
            "resumed": probe_resumed(probe, &self.evidence.times),
            "gaps_ms": probe.activity.gaps.iter().map(|gap| milliseconds(gap.length)).collect::<Vec<_>>(),
        })
    }
}
