//! The table at the end of a run and its one-line summary.

use pfplane_testbed::clock::milliseconds;
use pfplane_testbed::traffic::plan::Family;

use crate::mode::Mode;
use crate::results::outcomes::{FLUSH_MARGIN, Group, Outcome, Spread};
use crate::results::report::{Event, Report, includes};
use crate::results::verdict::Loss;

const COLUMNS: [(&str, Option<Family>); 3] =
    [("IPv4", Some(Family::V4)), ("IPv6", Some(Family::V6)), ("all", None)];

/// Beyond this, events are summed up.
pub(super) const MAX_EVENTS: usize = 4;

impl Report<'_> {
    /// Prints the table, the firewalls' figures and the summary.
    pub(crate) fn print(&self) {
        let [v4, v6, all] = COLUMNS.map(|(name, _)| name);
        println!("\n{:34}{v4:>16}{v6:>16}{all:>16}", self.arguments.mode.description());
        self.print_connections();
        self.print_gaps("longest gap before", |column| self.gaps(column, 0));
        if self.events.len() > MAX_EVENTS {
            self.print_gaps(&format!("longest gap of each, {} events", self.events.len()), |column| {
                self.gaps_of_all_events(column)
            });
        } else {
            for (index, event) in self.events.iter().enumerate() {
                let name = format!("longest gap, {}", event.fault.of(event.victim));
                self.print_gaps(&name, |column| self.gaps(column, index + 1));
            }
        }
        self.row("UDP flows resumed", |column| ratio(self.resumed(true, column)));
        self.row("UDP requests lost", |column| self.lost_requests(true, column));
        self.row("pings resumed", |column| ratio(self.resumed(false, column)));
        self.row("ping requests lost", |column| self.lost_requests(false, column));
        println!();
        self.print_forwarding();
        println!();
        self.print_firewalls();
        let out = self.arguments.out.display();
        println!("report: {out}/report.json, picture: {out}/timeline.svg\n");
        println!("{}", self.summary());
    }

    fn print_connections(&self) {
        let survived = |group| move |column| ratio(self.survived(group, column));
        self.row("connections survived", survived(Group::Established));
        if self.arguments.mode == Mode::DuringSetup {
            println!("  (established at least {} ms before the kill)", milliseconds(FLUSH_MARGIN));
            self.row("  being opened at the kill", survived(Group::Opening));
            self.row("  started after the takeover", survived(Group::New));
        }
        let sum = |column, pick: fn(&Outcome) -> u64| self.sum(column, pick).to_string();
        self.row("bytes checked", |column| sum(column, |outcome| outcome.bytes));
        self.row("bytes wrong", |column| sum(column, |outcome| outcome.wrong));
    }

    fn print_firewalls(&self) {
        for event in self.events.iter().filter(|_| self.events.len() <= MAX_EVENTS) {
            let Event { fault, victim, master_after, times, victim_status, survivor_status, .. } = event;
            println!(
                "{} with {} states; {} had {}; {} was master {:.1} ms later",
                fault.of(*victim),
                victim_status.states,
                victim.other().name(),
                survivor_status.states,
                master_after.name(),
                milliseconds(times.takeover - times.begin),
            );
        }
        for (event, Loss { exposed, lost }) in self.events.iter().zip(&self.evidence.losses) {
            if self.events.len() <= MAX_EVENTS || *lost > 0 {
                let name = event.fault.of(event.victim);
                println!("{name}: {exposed} connections exposed then, {lost} lost");
            }
        }
        println!(
            "{} has {} states at the end; each connection sends a record every {} ms in each direction",
            self.survivor.node.name(),
            self.survivor.status.states,
            self.plan.interval_ms
        );
        if let Some(check) = &self.capture {
            println!("sync link (tools/check-capture.py): {}", check.text.replace('\n', "\n  "));
        }
    }

    /// Returns the summary: passed with the main figures, or failed with the problems.
    fn summary(&self) -> String {
        let sentences = self.verdict.sentences.join("\n  ");
        if !self.verdict.passed {
            return format!("FAILED: {sentences}");
        }
        let wrong = self.sum(None, |outcome| outcome.wrong);
        let lost: u64 = self.evidence.losses.iter().map(|loss| loss.lost).sum();
        let lost = if self.evidence.losses.is_empty() { String::new() } else { format!(", {lost} lost") };
        let gaps: Vec<Spread> = if self.events.len() > MAX_EVENTS {
            self.gaps_of_all_events(None).into_iter().collect()
        } else {
            (1..=self.events.len()).filter_map(|event| self.gaps(None, event)).collect()
        };
        let gaps: Vec<String> =
            gaps.iter().map(|gap| format!("median {:.0} ms, max {:.0} ms", gap.median, gap.max)).collect();
        let gaps = if gaps.is_empty() { String::new() } else { format!("; gap {}", gaps.join(", then ")) };
        let handovers: String = self.takeovers().iter().map(|text| format!("; {text}")).collect();
        format!("PASSED: {sentences}{lost}; {wrong} bytes wrong{gaps}{handovers}")
    }

    fn sum(&self, column: Option<Family>, pick: fn(&Outcome) -> u64) -> u64 {
        let outcomes = self.evidence.outcomes.iter();
        outcomes.filter(|outcome| includes(column, outcome.family)).map(pick).sum()
    }

    pub(super) fn row(&self, name: &str, cell: impl Fn(Option<Family>) -> String) {
        let cells: String = COLUMNS.iter().map(|&(_, column)| format!("{:>16}", cell(column))).collect();
        println!("{name:34}{cells}");
    }

    fn print_gaps(&self, name: &str, gaps: impl Fn(Option<Family>) -> Option<Spread>) {
        if gaps(None).is_none() {
            return self.row(name, |_| "-".into());
        }
        println!("{name} (ms)");
        let part = |name: &str, part: fn(Spread) -> f64| {
            self.row(name, |column| gaps(column).map_or("-".into(), |spread| format!("{:.0}", part(spread))));
        };
        part("  median", |spread| spread.median);
        part("  99th percentile", |spread| spread.p99);
        part("  maximum", |spread| spread.max);
    }

    fn lost_requests(&self, flows: bool, column: Option<Family>) -> String {
        let probes = self.probes_of(flows, column);
        let sent: u64 = probes.iter().map(|probe| probe.sent).sum();
        let answered: u64 = probes.iter().map(|probe| probe.answered).sum();
        format!("{} of {sent}", sent - answered)
    }
}

fn ratio((part, all): (usize, usize)) -> String {
    format!("{part} of {all}")
}
