//! The end of the story as a table on the screen and as `report.json`.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use serde_json::{Value, json};

use crate::arguments::Arguments;
use crate::capture::Judgement;
use crate::clock::{Nanos, milliseconds, seconds_since};
use crate::control::Status;
use crate::failure::{Because, Outcome};
use crate::fates::{Age, FLUSH_MARGIN, Fate, Moments, Spread, has_resumed};
use crate::mode::Mode;
use crate::traffic::plan::{Family, Plan};
use crate::traffic::report::ProbeReport;
use crate::verdict::Verdict;

/// The firewalls just before the kill.
pub struct Firewalls {
    /// The one about to die.
    pub a_at_kill: Status,
    /// Its counters.
    pub a_stats: Value,
    /// The other one.
    pub b_at_kill: Status,
}

/// All that is reported.
pub struct Report<'a> {
    /// What was asked for.
    pub arguments: &'a Arguments,
    /// The traffic.
    pub plan: &'a Plan,
    /// How it went.
    pub verdict: Verdict,
    /// Each connection.
    pub fates: &'a [Fate],
    /// Each UDP flow and ping.
    pub probes: &'a [ProbeReport],
    /// When things happened.
    pub moments: Moments,
    /// Before the kill.
    pub firewalls: Firewalls,
    /// The survivor at the end of the traffic.
    pub b_after: Status,
    /// Its counters.
    pub b_stats: Value,
    /// The sync link's capture.
    pub capture: Option<Judgement>,
}

/// The columns of the table.
const COLUMNS: [(&str, Option<Family>); 3] =
    [("IPv4", Some(Family::V4)), ("IPv6", Some(Family::V6)), ("all", None)];

fn belongs(family: Family, column: Option<Family>) -> bool {
    column.is_none_or(|column| column == family)
}

impl Report<'_> {
    /// The connections of an age in a column.
    fn fates_of(&self, age: Age, column: Option<Family>) -> impl Iterator<Item = &Fate> {
        self.fates.iter().filter(move |fate| fate.age == age && belongs(fate.family, column))
    }

    /// Silences of the old connections that live: a dead one's has no end and is said elsewhere.
    pub fn gaps(&self, column: Option<Family>, pick: impl Fn(&Fate) -> Nanos) -> Option<Spread> {
        Spread::of(self.fates_of(Age::Old, column).filter(|fate| fate.alive).map(pick))
    }

    /// The moment when half of the living connections had data again.
    pub fn median_return(&self) -> Option<Nanos> {
        let ends = self.fates.iter().filter(|fate| fate.age == Age::Old && fate.alive);
        let mut ends: Vec<Nanos> = ends.filter_map(|fate| fate.back).collect();
        ends.sort_unstable();
        ends.get(ends.len() / 2).copied()
    }

    /// `living/all` of an age.
    pub fn living(&self, age: Age, column: Option<Family>) -> (usize, usize) {
        let alive = self.fates_of(age, column).filter(|fate| fate.alive).count();
        (alive, self.fates_of(age, column).count())
    }

    fn resumed(&self, flows: bool, column: Option<Family>) -> (usize, usize) {
        let probes = self.probes_of(flows, column);
        let resumed = probes.iter().filter(|probe| has_resumed(probe, &self.moments)).count();
        (resumed, probes.len())
    }

    fn probes_of(&self, flows: bool, column: Option<Family>) -> Vec<&ProbeReport> {
        let wanted =
            |probe: &&ProbeReport| probe.name.starts_with("UDP") == flows && belongs(probe.family, column);
        self.probes.iter().filter(wanted).collect()
    }

    /// Writes `report.json`.
    pub fn write(&self, out: &Path) -> Outcome<()> {
        let path = out.join("report.json");
        let file = File::create(&path).because(|| format!("write {}", path.display()))?;
        serde_json::to_writer_pretty(BufWriter::new(file), &self.json())
            .because(|| format!("write {}", path.display()))
    }

    fn json(&self) -> Value {
        let Moments { kill, dead, takeover, stop } = self.moments;
        let family = |column| self.json_of(column);
        json!({
            "as_hoped": self.verdict.as_hoped,
            "verdict": self.verdict.sentences,
            "mode": self.arguments.mode.words(),
            "connections": self.arguments.connections,
            "lanes": self.arguments.lanes,
            "lanes_b": self.arguments.lanes_b.unwrap_or(self.arguments.lanes),
            "seed": self.plan.seed,
            "interval_ms": self.plan.interval_ms,
            "flush_margin_ms": milliseconds(FLUSH_MARGIN),
            "seconds_after_kill": {
                "dead": seconds_since(kill, dead),
                "takeover": seconds_since(kill, takeover),
                "stop": seconds_since(kill, stop),
            },
            "all": family(None),
            "ipv4": family(Some(Family::V4)),
            "ipv6": family(Some(Family::V6)),
            "firewall_a_at_kill": self.firewalls.a_at_kill,
            "firewall_a_stats": self.firewalls.a_stats,
            "firewall_b_at_kill": self.firewalls.b_at_kill,
            "firewall_b_after": self.b_after,
            "firewall_b_stats": self.b_stats,
            "sync_capture": self.capture.as_ref().map(|judgement| {
                json!({ "well_formed": judgement.well_formed, "words": judgement.words })
            }),
            "each_connection": self.fates.iter().map(|fate| self.json_of_fate(fate)).collect::<Vec<_>>(),
            "each_probe": self.probes.iter().map(|probe| self.json_of_probe(probe)).collect::<Vec<_>>(),
        })
    }

    fn json_of(&self, column: Option<Family>) -> Value {
        let age = |age| {
            let (alive, opened) = self.living(age, column);
            json!({ "opened": opened, "alive": alive })
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
        let of_column = || self.fates.iter().filter(|fate| belongs(fate.family, column));
        json!({
            "open_before_last_flush": age(Age::Old),
            "being_opened_at_the_kill": age(Age::Young),
            "begun_after_the_takeover": age(Age::New),
            "bytes_checked": of_column().map(|fate| fate.bytes).sum::<u64>(),
            "bytes_wrong": of_column().map(|fate| fate.wrong).sum::<u64>(),
            "longest_gap_before_kill_ms": self.gaps(column, |fate| fate.gap_before.length),
            "longest_gap_across_kill_ms": self.gaps(column, |fate| fate.gap_after.length),
            "udp": probes(true),
            "ping": probes(false),
        })
    }

    fn json_of_fate(&self, fate: &Fate) -> Value {
        json!({
            "number": fate.number,
            "family": fate.family.name(),
            "age": fate.age,
            "opened": fate.opened,
            "alive": fate.alive,
            "end": fate.end,
            "trouble": fate.trouble,
            "bytes": fate.bytes,
            "wrong": fate.wrong,
            "gap_before_ms": milliseconds(fate.gap_before.length),
            "gap_ms": milliseconds(fate.gap_after.length),
            "gap_start_s": seconds_since(self.moments.kill, fate.gap_after.start),
            "back_s": fate.back.map(|back| seconds_since(self.moments.kill, back)),
        })
    }

    fn json_of_probe(&self, probe: &ProbeReport) -> Value {
        json!({
            "name": probe.name,
            "family": probe.family.name(),
            "requests": probe.sent,
            "answered": probe.answered,
            "duplicated": probe.duplicated,
            "wrong": probe.wrong,
            "refused": probe.refused,
            "resumed": has_resumed(probe, &self.moments),
            "gap_ms": milliseconds(probe.activity.gap_after.length),
        })
    }

    /// Prints the table and the verdict.
    pub fn print(&self) {
        println!(
            "\n{:34}{:>16}{:>16}{:>16}",
            self.arguments.mode.words(),
            COLUMNS[0].0,
            COLUMNS[1].0,
            COLUMNS[2].0
        );
        self.row("connections alive / opened", |column| self.ratio(self.living(Age::Old, column)));
        if self.arguments.mode == Mode::DuringSetup {
            println!("  (above: established at least {} ms before the kill)", milliseconds(FLUSH_MARGIN));
            self.row("  caught while being opened", |column| self.ratio(self.living(Age::Young, column)));
            self.row("  begun after the takeover", |column| self.ratio(self.living(Age::New, column)));
        }
        let sum = |column, pick: fn(&Fate) -> u64| -> u64 {
            self.fates.iter().filter(|fate| belongs(fate.family, column)).map(pick).sum()
        };
        self.row("bytes checked", |column| sum(column, |fate| fate.bytes).to_string());
        self.row("bytes wrong", |column| sum(column, |fate| fate.wrong).to_string());
        self.spread_row("longest gap before the kill", |fate| fate.gap_before.length);
        self.spread_row("longest gap across the kill", |fate| fate.gap_after.length);
        self.row("UDP flows resumed / all", |column| self.ratio(self.resumed(true, column)));
        self.row("UDP requests lost / sent", |column| self.lost(true, column));
        self.row("pings resumed / all", |column| self.ratio(self.resumed(false, column)));
        self.row("ping requests lost / sent", |column| self.lost(false, column));
        self.print_firewalls();
        let word = if self.verdict.as_hoped { "as it must be:" } else { "NOT as it must be:" };
        println!("\n{word} {}", self.verdict.sentences.join("\n  "));
        let out = self.arguments.out.display();
        println!("{out}/report.json, {out}/timeline.svg");
    }

    fn print_firewalls(&self) {
        let Firewalls { a_at_kill, b_at_kill, .. } = &self.firewalls;
        println!(
            "states: firewall A at the kill {}, firewall B at the kill {}, firewall B at the end {}",
            a_at_kill.states, b_at_kill.states, self.b_after.states
        );
        println!(
            "takeover {:.1} ms after the kill; each connection sends a record every {} ms in each direction",
            milliseconds(self.moments.takeover - self.moments.kill),
            self.plan.interval_ms
        );
        if let Some(judgement) = &self.capture {
            println!("sync link, by tools/check-capture.py: {}", judgement.words.replace('\n', "\n  "));
        }
    }

    fn row(&self, name: &str, cell: impl Fn(Option<Family>) -> String) {
        let cells: String = COLUMNS.iter().map(|&(_, column)| format!("{:>16}", cell(column))).collect();
        println!("{name:34}{cells}");
    }

    fn spread_row(&self, name: &str, pick: impl Fn(&Fate) -> Nanos) {
        println!("{name} (ms)");
        let part = |words: &str, part: fn(Spread) -> f64| {
            self.row(words, |column| {
                self.gaps(column, &pick).map_or("-".into(), |spread| format!("{:.0}", part(spread)))
            });
        };
        part("  median", |spread| spread.median);
        part("  99 of 100 are shorter than", |spread| spread.p99);
        part("  longest", |spread| spread.max);
    }

    fn ratio(&self, (some, all): (usize, usize)) -> String {
        format!("{some} / {all}")
    }

    fn lost(&self, flows: bool, column: Option<Family>) -> String {
        let probes = self.probes_of(flows, column);
        let sent: u64 = probes.iter().map(|probe| probe.sent).sum();
        let answered: u64 = probes.iter().map(|probe| probe.answered).sum();
        format!("{} / {sent}", sent - answered)
    }
}
