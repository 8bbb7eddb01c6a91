//! The end of the story as a table on the screen and as `report.json`.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use serde_json::{Value, json};

use crate::arguments::Arguments;
use crate::capture::Judgement;
use crate::clock::{Nanos, milliseconds, seconds_since};
use crate::control::Status;
use crate::exposure::Exposure;
use crate::failure::{Because, Outcome};
use crate::fates::{Age, Death, FLUSH_MARGIN, Fate, Moments, Spread, has_resumed};
use crate::firewall::Letter;
use crate::mode::Mode;
use crate::traffic::plan::{Family, Plan};
use crate::traffic::report::ProbeReport;
use crate::verdict::{Loss, Verdict};

/// A firewall that was killed, and the two just before.
pub struct Kill {
    /// Who.
    pub victim: Letter,
    /// When.
    pub death: Death,
    /// What it had announced last of what its death would cost.
    pub announced: Exposure,
    /// What the victim said of itself last.
    pub at_kill: Status,
    /// Its counters.
    pub stats: Value,
    /// The other one, which took over.
    pub heir_at_kill: Status,
}

/// The firewall that is there at the end of the traffic.
pub struct Survivor {
    /// Who.
    pub letter: Letter,
    /// What it says of itself.
    pub status: Status,
    /// Its counters.
    pub stats: Value,
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
    /// What each kill cost; nothing without replication.
    pub losses: Vec<Loss>,
    /// Every kill, in order.
    pub kills: Vec<Kill>,
    /// Who carried the connections at the end.
    pub survivor: Survivor,
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
    /// Stretch 0 ends at the first kill, 1 is behind it, 2 behind the second.
    pub fn gaps(&self, column: Option<Family>, stretch: usize) -> Option<Spread> {
        let living = self.fates_of(Age::Old, column).filter(|fate| fate.alive);
        Spread::of(living.filter_map(|fate| fate.gaps.get(stretch)).map(|gap| gap.length))
    }

    /// The moment when half of the living connections had data again after a death.
    pub fn median_return(&self, death: usize) -> Option<Nanos> {
        let ends = self.fates.iter().filter(|fate| fate.age == Age::Old && fate.alive);
        let mut ends: Vec<Nanos> = ends.filter_map(|fate| *fate.back.get(death)?).collect();
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
        let Moments { back, stop, .. } = self.moments;
        let family = |column| self.json_of(column);
        json!({
            "as_hoped": self.verdict.as_hoped,
            "verdict": self.verdict.sentences,
            "mode": self.arguments.mode.words(),
            "translation": self.arguments.translation.name(),
            "defer_ms": self.arguments.defer_ms,
            "losses": self.losses,
            "connections": self.arguments.connections,
            "lanes": self.arguments.lanes,
            "lanes_b": self.arguments.lanes_b.unwrap_or(self.arguments.lanes),
            "seed": self.plan.seed,
            "interval_ms": self.plan.interval_ms,
            "flush_margin_ms": milliseconds(FLUSH_MARGIN),
            "stop_s": self.after_kill(stop),
            "back_s": back.map(|back| self.after_kill(back)),
            "kills": self.kills.iter().map(|kill| self.json_of_kill(kill)).collect::<Vec<_>>(),
            "survivor": {
                "name": self.survivor.letter.name(),
                "status": self.survivor.status,
                "stats": self.survivor.stats,
            },
            "all": family(None),
            "ipv4": family(Some(Family::V4)),
            "ipv6": family(Some(Family::V6)),
            "sync_capture": self.capture.as_ref().map(|judgement| {
                json!({ "well_formed": judgement.well_formed, "words": judgement.words })
            }),
            "each_connection": self.fates.iter().map(|fate| self.json_of_fate(fate)).collect::<Vec<_>>(),
            "each_probe": self.probes.iter().map(|probe| self.json_of_probe(probe)).collect::<Vec<_>>(),
        })
    }

    /// Seconds from the first kill.
    fn after_kill(&self, moment: Nanos) -> f64 {
        seconds_since(self.moments.first.kill, moment)
    }

    fn json_of_kill(&self, kill: &Kill) -> Value {
        let Death { kill: moment, dead, takeover } = kill.death;
        json!({
            "killed": kill.victim.name(),
            "takes_over": kill.victim.other().name(),
            "kill_s": self.after_kill(moment),
            "dead_s": self.after_kill(dead),
            "takeover_s": self.after_kill(takeover),
            "announced": kill.announced,
            "killed_status": kill.at_kill,
            "killed_stats": kill.stats,
            "takes_over_status": kill.heir_at_kill,
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
            "longest_gap_before_kill_ms": self.gaps(column, 0),
            "longest_gap_across_kills_ms":
                (1..=self.kills.len()).map(|death| self.gaps(column, death)).collect::<Vec<_>>(),
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
            "gaps_ms": fate.gaps.iter().map(|gap| milliseconds(gap.length)).collect::<Vec<_>>(),
            "gaps_start_s": fate.gaps.iter().map(|gap| self.after_kill(gap.start)).collect::<Vec<_>>(),
            "back_s": fate.back.iter().map(|back| Some(self.after_kill((*back)?))).collect::<Vec<_>>(),
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
            "gaps_ms": probe.activity.gaps.iter().map(|gap| milliseconds(gap.length)).collect::<Vec<_>>(),
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
        self.spread_row("longest gap before the kill", 0);
        for (index, kill) in self.kills.iter().enumerate() {
            match self.kills.len() {
                1 => self.spread_row("longest gap across the kill", 1),
                _ => {
                    self.spread_row(&format!("longest gap across {}'s death", kill.victim.name()), index + 1);
                }
            }
        }
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
        for Kill { victim, death, at_kill, heir_at_kill, .. } in &self.kills {
            let (killed, heir) = (victim.name(), victim.other().name());
            println!(
                "{killed} killed with {} states, {heir} had {} and took over after {:.1} ms ({:.1} ms until the \
                 dead process was gone)",
                at_kill.states,
                heir_at_kill.states,
                milliseconds(death.takeover - death.kill),
                milliseconds(death.dead - death.kill)
            );
        }
        for (Kill { victim, .. }, Loss { announced, lost }) in self.kills.iter().zip(&self.losses) {
            println!("{} announced {announced} connections as exposed, {lost} were lost", victim.name());
        }
        println!(
            "{} has {} states at the end; each connection sends a record every {} ms in each direction",
            self.survivor.letter.name(),
            self.survivor.status.states,
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

    fn spread_row(&self, name: &str, stretch: usize) {
        if self.gaps(None, stretch).is_none() {
            return self.row(name, |_| "-".into());
        }
        println!("{name} (ms)");
        let part = |words: &str, part: fn(Spread) -> f64| {
            self.row(words, |column| {
                self.gaps(column, stretch).map_or("-".into(), |spread| format!("{:.0}", part(spread)))
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
