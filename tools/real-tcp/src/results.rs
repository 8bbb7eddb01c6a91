//! Evaluates a run: its counts, its problems and their explanation.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;

use pfplane_testbed::clock::{MILLISECOND, Nanos, SECOND};
use pfplane_testbed::traffic::keystream::Direction;
use serde_json::Value;

use crate::arguments::Arguments;
use crate::cable::Counts;
use crate::cable::coverage::{self, Coverage};
use crate::cable::forger::{FORGED_KINDS, ForgedCounts};
use crate::cable::openness::was_open;
use crate::cable::recorder::{self, ConnectionId, Point, Recorder};
use crate::endpoints::endpoint::Outcome;
use crate::endpoints::script::{Pattern, Script};
use crate::event_log::Refusal;
use crate::network::Phase;
use crate::run::RunFacts;
use crate::shared::{Shared, phase_of, server_buffer};
use crate::table::{self, Row};

/// Only a connection started at most this long before the kill may be lost, and only if B did not have it. A sends states
/// within ten milliseconds; the rest allows for a slow machine.
const TOO_NEW: Nanos = SECOND;
const MAX_EXAMPLES: usize = 10;
/// A run of this size must cover every situation.
const MIN_FULL_COVERAGE: u32 = 2_000;

/// The sum of firewalls' counters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counters(BTreeMap<String, u64>);

impl Counters {
    /// Adds a firewall's answer to `stats`.
    pub(crate) fn add(&mut self, stats: &Value) {
        for (section, counters) in stats.as_object().into_iter().flatten() {
            for (name, value) in counters.as_object().into_iter().flatten() {
                *self.0.entry(format!("{section}.{name}")).or_default() += value.as_u64().unwrap_or_default();
            }
        }
    }

    /// Returns a counter of the library. Panics on an unknown name.
    pub(crate) fn engine(&self, name: &str) -> u64 {
        *self.0.get(&format!("engine.{name}")).unwrap_or_else(|| panic!("there is no counter {name}"))
    }
}

/// The genuine segments that the window check refused.
#[derive(Default)]
struct Refused<'a> {
    /// Segments of the connection they met: errors of the window check.
    wrongly: Vec<&'a Refusal>,
    /// Segments of an earlier connection with the same ports.
    of_earlier_connection: Vec<&'a Refusal>,
    /// Segments that met an earlier connection's state, because B did not have their own.
    met_earlier_state: Vec<&'a Refusal>,
}

/// The results of a run.
pub(crate) struct Results {
    connections: u32,
    scripts: Vec<Script>,
    seed: u64,
    outcomes: [HashMap<u32, Outcome>; 2],
    duplicates: usize,
    ports_reused: u32,
    cables: [Counts; 2],
    recorders: [Recorder; 2],
    /// The recorders' identifiers of the connections.
    ids: Vec<Option<ConnectionId>>,
    facts: RunFacts,
}

impl Results {
    pub(crate) fn new(
        shared: &Shared,
        cables: [Counts; 2],
        recorders: [Recorder; 2],
        facts: RunFacts,
    ) -> Results {
        let mut duplicates = 0;
        let outcomes = [0, 1].map(|side| {
            let lock = shared.outcomes[side].lock();
            let list = std::mem::take(&mut *lock.expect("no thread panics with this lock"));
            let count = list.len();
            let by_number: HashMap<u32, Outcome> =
                list.into_iter().map(|outcome| (outcome.number, outcome)).collect();
            duplicates += count - by_number.len();
            by_number
        });
        let scripts: Vec<Script> = (0..shared.connections).map(|number| shared.script(number)).collect();
        Results {
            connections: shared.connections,
            seed: shared.seed,
            duplicates,
            ports_reused: shared.ports_reused.load(Ordering::Relaxed),
            cables,
            ids: ids(&scripts, &outcomes[0], &recorders[0]),
            scripts,
            outcomes,
            recorders,
            facts,
        }
    }

    /// Returns why a connection did not follow its script.
    fn failure(&self, number: u32) -> Option<String> {
        let ends =
            [("client", 0), ("server", 1)].map(|(name, side)| match self.outcomes[side].get(&number) {
                None => Some(format!("the {name} did not report it")),
                Some(outcome) if outcome.wrong > 0 => {
                    Some(format!("{} wrong bytes at the {name}", outcome.wrong))
                }
                Some(outcome) => outcome.failure.as_ref().map(|failure| format!("{name}: {failure}")),
            });
        let failures: Vec<String> = ends.into_iter().flatten().collect();
        // A client that aborts may do so before the server has read the hello.
        let aborted = self.script(number).pattern == Pattern::AbortByClient;
        let only_unknown = !self.outcomes[1].contains_key(&number) && failures.len() == 1;
        let excused = failures.is_empty() || aborted && only_unknown;
        (!excused).then(|| failures.join("; "))
    }

    fn script(&self, number: u32) -> &Script {
        &self.scripts[number as usize]
    }

    /// Whether a client's connection started when firewall A could hardly send it to B.
    fn started_near_kill(&self, outcome: &Outcome) -> bool {
        let Some([kill, takeover]) = self.facts.outage else { return false };
        (kill.saturating_sub(TOO_NEW)..=takeover).contains(&outcome.started)
    }

    /// Whether a connection was lost because A was killed before it could send it to B.
    fn is_too_new(&self, number: u32) -> bool {
        let Some(outcome) = self.outcomes[0].get(&number) else { return false };
        let v6 = self.script(number).v6;
        let mut known = self.facts.events.known_states.iter();
        let is_known = known.any(|state| state.v6 == v6 && state.client_port == outcome.port);
        !is_known && self.started_near_kill(outcome)
    }

    /// Returns the failed connections, and how many more were too new.
    fn failed(&self) -> (Vec<(u32, String)>, usize) {
        let all = (0..self.connections).filter_map(|number| Some((number, self.failure(number)?)));
        let (too_new, failed): (Vec<_>, Vec<_>) = all.partition(|(number, _)| self.is_too_new(*number));
        (failed, too_new.len())
    }

    fn correct(&self) -> u32 {
        (0..self.connections).filter(|number| self.failure(*number).is_none()).count() as u32
    }

    fn sum(&self, value: fn(&Outcome) -> u64) -> u64 {
        self.outcomes.iter().flat_map(HashMap::values).map(value).sum()
    }

    /// Counts the forged segments that passed the firewall: on open connections, and on others.
    fn forged_passed(&self) -> [u64; 2] {
        let cables = self.recorders.each_ref();
        let logs = cables.iter().flat_map(|cable| &cable.logs);
        let segments = logs.flat_map(|(id, log)| log.observations.iter().map(move |segment| (*id, segment)));
        let mut passed = [0; 2];
        for (id, segment) in
            segments.filter(|(_, segment)| segment.forged && segment.point == Point::FromFirewall)
        {
            passed[usize::from(!was_open(cables, id, segment.time))] += 1;
        }
        passed
    }

    fn planned(&self) -> Vec<Coverage> {
        let plans = self.scripts.iter().enumerate().map(|(number, script)| {
            let phase = phase_of(number as u32, self.connections);
            (script.clone(), Phase::number(phase), server_buffer(phase))
        });
        coverage::planned(plans)
    }

    fn problems(&self, arguments: &Arguments, forged_passed: [u64; 2]) -> Vec<String> {
        let mut problems = self.facts.problems.clone();
        let mut check = |wrong: bool, problem: String| problems.extend(wrong.then_some(problem));
        let failed = self.failed().0.len();
        check(failed > 0, format!("{failed} connections failed"));
        check(self.duplicates > 0, format!("{} endpoints reported a connection twice", self.duplicates));
        let refused = self.refused().wrongly.len();
        check(refused > 0, format!("the window check refused {refused} genuine packets"));
        let counted = self.facts.counters.engine("packets_dropped_window");
        let events = &self.facts.events;
        let logged = events.window.len() as u64 + events.forged.get("window").copied().unwrap_or(0);
        check(
            self.facts.outage.is_none() && counted != logged,
            format!("{counted} packets counted as outside the window, {logged} logged"),
        );
        let passed = forged_passed[0];
        check(passed > 0, format!("{passed} forged segments passed on open connections"));
        let kind_missing = arguments.inject && self.cables.iter().any(|cable| cable.forged.contains(&0));
        check(kind_missing, "a kind of segment was never forged".into());
        let coverage = [self.planned(), coverage::recorded(self.recorders.each_ref())].concat();
        for (situation, count) in coverage {
            check(
                self.connections >= MIN_FULL_COVERAGE && count == 0,
                format!("'{situation}' did not occur"),
            );
        }
        problems
    }

    /// Returns the run's row of the table.
    pub(crate) fn row(&self, arguments: &Arguments) -> Row {
        let passed = self.forged_passed();
        let refused = self.refused();
        let mut genuine_refused = self.facts.events.genuine.clone();
        genuine_refused.insert("window".into(), refused.wrongly.len() as u64);
        let excused = [
            ("of an earlier connection with the same ports", &refused.of_earlier_connection),
            ("met an earlier connection's state on B", &refused.met_earlier_state),
        ];
        for (reason, refusals) in excused.into_iter().filter(|(_, refusals)| !refusals.is_empty()) {
            genuine_refused.insert(reason.into(), refusals.len() as u64);
        }
        Row {
            mode: arguments.mode(),
            connections: self.connections,
            correct: self.correct(),
            wrong: self.sum(|outcome| outcome.wrong),
            genuine_refused,
            forged: self.cables.iter().flat_map(|cable| cable.forged).sum(),
            forged_refused: self.facts.events.forged.values().sum(),
            passed,
            takeovers: u32::from(self.facts.outage.is_some()),
            too_new: self.failed().1 as u32,
            problems: self.problems(arguments, passed),
        }
    }

    fn id_of(&self, number: u32) -> Option<ConnectionId> {
        self.ids.get(number as usize).copied().flatten()
    }

    /// Sorts the genuine segments that the window check refused.
    fn refused(&self) -> Refused<'_> {
        let mut refused = Refused::default();
        for refusal in &self.facts.events.window {
            let list = if self.is_of_earlier_connection(refusal) {
                &mut refused.of_earlier_connection
            } else if self.met_earlier_state(refusal) {
                &mut refused.met_earlier_state
            } else {
                &mut refused.wrongly
            };
            list.push(refusal);
        }
        refused
    }

    /// Whether its connection started near the kill and the state that refused it was imported, with a sequence number that
    /// the client never used on this connection.
    fn met_earlier_state(&self, refusal: &Refusal) -> bool {
        let Some(number) = self.connection_met(refusal) else { return false };
        let (Some(id), Some(outcome)) = (self.id_of(number), self.outcomes[0].get(&number)) else {
            return false;
        };
        let is_foreign = refusal.imported_seq != 0 && self.is_beyond(refusal.imported_seq, id.1, number, 0);
        is_foreign && self.started_near_kill(outcome)
    }

    /// Whether its sender cannot have used its sequence number on the connection that it met.
    fn is_of_earlier_connection(&self, refusal: &Refusal) -> bool {
        let Some(number) = self.connection_met(refusal) else { return false };
        let Some(id) = self.id_of(number) else { return false };
        let initial = if refusal.side == 0 { Some(id.1) } else { self.recorders[1].server_initial_seq(id) };
        initial.is_some_and(|initial| self.is_beyond(refusal.seq, initial, number, refusal.side))
    }

    /// Whether the client (0) or server (1), whose initial sequence number is `initial`, cannot have used `seq`.
    fn is_beyond(&self, seq: u32, initial: u32, number: u32, side: usize) -> bool {
        const HELLO_AND_FLAGS: u64 = 16;
        let direction = if side == 0 { Direction::ToServer } else { Direction::ToClient };
        let length = self.script(number).length(direction) + HELLO_AND_FLAGS;
        u64::from(seq.wrapping_sub(initial).wrapping_add(1)) > length
    }

    /// Returns the connection that had the ports of a refused segment at the time.
    fn connection_met(&self, refusal: &Refusal) -> Option<u32> {
        let logs = self.recorders[refusal.side].logs.iter();
        let of_port =
            logs.filter(|((v6, _), log)| (*v6, log.client_port) == (refusal.v6, refusal.client_port));
        let started = of_port.filter_map(|(id, log)| Some((log.observations.first()?.time, *id)));
        let (_, id) = started.filter(|(time, _)| *time <= refusal.time).max()?;
        Some(self.ids.iter().position(|known| *known == Some(id))? as u32)
    }

    /// Writes the record of a connection to a file in the results' folder.
    fn write_trace(&self, number: u32, title: &str, arguments: &Arguments) -> Option<()> {
        let id = self.id_of(number)?;
        let started = self.outcomes[0].get(&number)?.started;
        let header = format!("{title}\n{:?}\nstarted at {started}\n", self.script(number));
        let text = header + &recorder::text(self.recorders.each_ref(), id, started);
        std::fs::write(arguments.out.join(format!("connection-{number}.txt")), text).ok()
    }

    /// Prints all results.
    pub(crate) fn print(&self, arguments: &Arguments) {
        let (failed, too_new) = self.failed();
        for (number, failure) in failed.iter().take(MAX_EXAMPLES) {
            self.write_trace(*number, failure, arguments);
            self.print_failed(*number, failure);
        }
        self.print_traffic(too_new);
        self.print_firewall(arguments);
        if arguments.verbose {
            let counters = self.facts.counters.0.iter().filter(|(_, value)| **value > 0);
            counters.for_each(|(name, value)| println!("    {name} {value}"));
        }
        for refusal in self.refused().wrongly.iter().take(MAX_EXAMPLES) {
            println!("  refused: {}", refusal.line);
            if let Some(number) = self.connection_met(refusal) {
                self.write_trace(number, &refusal.line, arguments);
            }
        }
        let row = self.row(arguments);
        print!("{}", table::text(std::slice::from_ref(&row)));
        match row.passed() {
            true => println!("PASSED"),
            false => println!("FAILED: {} (seed {})", row.problems.join("; "), self.seed),
        }
    }

    /// Prints a failed connection and its losses, which tell whether the cables caused the failure.
    fn print_failed(&self, number: u32, failure: &str) {
        let Script { pattern, buffer, slow, v6, to_server, to_client } = self.script(number);
        let family = if *v6 { "IPv6" } else { "IPv4" };
        let [client, server] = self
            .recorders
            .each_ref()
            .map(|cable| self.id_of(number).map_or(0, |id| cable.max_consecutive_losses(id)));
        println!(
            "  {number} ({family} {pattern:?} {buffer:?} slow {slow:?} {to_server}/{to_client}): {failure}; the client's \
             cable lost up to {client} consecutive segments, the server's {server}"
        );
    }

    fn print_traffic(&self, too_new: usize) {
        let v6 = self.scripts.iter().filter(|script| script.v6).count();
        println!(
            "  {} of {} connections correct ({v6} IPv6; {} from the port of a reset one); {:.1} MB checked, {} bytes \
             wrong; {:.1} s",
            self.correct(),
            self.connections,
            self.ports_reused,
            self.sum(|outcome| outcome.received) as f64 / 1e6,
            self.sum(|outcome| outcome.wrong),
            self.facts.duration as f64 / SECOND as f64,
        );
        if let Some([kill, takeover]) = self.facts.outage {
            let gap = (takeover - kill) as f64 / MILLISECOND as f64;
            println!(
                "  takeover {gap:.1} ms after the kill; {too_new} connections were too new for B and lost"
            );
        }
        for (name, cable) in ["client", "server"].into_iter().zip(self.cables) {
            let share = |part: u64| 100.0 * part as f64 / cable.frames.max(1) as f64;
            println!(
                "  {name}'s cable: {} segments ({} IPv6), {:.1} % lost, {:.1} % duplicated, {:.1} % overtaking, 0 to 4 ms \
                 delay; {} not sent",
                cable.frames,
                cable.v6,
                share(cable.lost),
                share(cable.duplicated),
                share(cable.overtaking),
                cable.not_sent,
            );
        }
    }

    fn print_firewall(&self, arguments: &Arguments) {
        let sum = |name| self.facts.counters.engine(name);
        println!(
            "  firewall: {} passed ({} loosely), {} created, {} retired; dropped: {} by the window check, {} SYNs on \
             established connections, {} while opening, {} without a state",
            sum("packets_passed"),
            sum("packets_passed_loose"),
            sum("states_created"),
            sum("states_retired"),
            sum("packets_dropped_window"),
            sum("packets_dropped_challenge_ack"),
            sum("packets_dropped_reset"),
            sum("packets_dropped_no_state"),
        );
        if arguments.inject {
            let by_kind = |counts: fn(&Counts) -> ForgedCounts| {
                let of = |kind: usize| self.cables.iter().map(|cable| counts(cable)[kind]).sum::<u64>();
                let all = FORGED_KINDS.iter().enumerate().map(|(kind, name)| format!("{} {name}", of(kind)));
                all.collect::<Vec<_>>().join(", ")
            };
            let refused = &self.facts.events.forged;
            println!("  forged: {}; refused: {refused:?}", by_kind(|cable| cable.forged));
            println!("  forged segments that passed: {}", by_kind(|cable| cable.leaked));
        }
        let list = |coverage: &[Coverage]| {
            let all = coverage.iter().map(|(situation, count)| format!("{count} {situation}"));
            all.collect::<Vec<_>>().join(", ")
        };
        println!("  planned: {}", list(&self.planned()));
        println!("  recorded: {}", list(&coverage::recorded(self.recorders.each_ref())));
    }
}

/// Finds the client's cable's identifier of each connection: the first with its port after it started.
fn ids(scripts: &[Script], outcomes: &HashMap<u32, Outcome>, cable: &Recorder) -> Vec<Option<ConnectionId>> {
    let mut by_port: HashMap<(bool, u16), Vec<(Nanos, ConnectionId)>> = HashMap::new();
    for (id, log) in &cable.logs {
        let first = log.observations.first().map(|segment| (segment.time, *id));
        by_port.entry((id.0, log.client_port)).or_default().extend(first);
    }
    let id_of = |number: usize| {
        let outcome = outcomes.get(&(number as u32))?;
        let of_port = by_port.get(&(scripts[number].v6, outcome.port))?;
        of_port.iter().filter(|(time, _)| *time >= outcome.started).min().map(|(_, id)| *id)
    };
    (0..scripts.len()).map(id_of).collect()
}
