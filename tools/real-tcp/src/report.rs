//! What is counted at the end, what of it is wrong, and how it is printed.

use std::collections::{BTreeMap, HashMap};

use pfplane_demo::clock::{MILLISECOND, Nanos, SECOND};
use pfplane_demo::traffic::keystream::Way;
use serde_json::Value;

use crate::arguments::Arguments;
use crate::end::Fate;
use crate::forger::{KINDS, Kinds};
use crate::impairment::Counts;
use crate::journal::Refusal;
use crate::kinds::{self, Kind};
use crate::living;
use crate::network::Phase;
use crate::recorder::{self, Name, Place, Recorder};
use crate::run::{Shared, Told, buffer_of, phase_of};
use crate::script::{Manner, Script};
use crate::table::{self, Row};
use std::sync::atomic::Ordering;

/// A connection that began so shortly before the kill may be one that nobody could tell the other firewall of: ten
/// milliseconds are allowed, but the machine may be slow. It must be one that the other firewall did not have.
const YOUNG: Nanos = SECOND;
const EXAMPLES: usize = 10;
/// In a run of so many each kind must come.
const ENOUGH_FOR_ALL_KINDS: u32 = 2_000;

/// The counters of one or two firewalls.
#[derive(Clone, Debug, Default)]
pub struct Sum(BTreeMap<String, u64>);

impl Sum {
    /// Adds a firewall's answer to `stats`.
    pub fn add(&mut self, stats: &Value) {
        for (room, counters) in stats.as_object().into_iter().flatten() {
            for (name, value) in counters.as_object().into_iter().flatten() {
                *self.0.entry(format!("{room}.{name}")).or_default() += value.as_u64().unwrap_or_default();
            }
        }
    }

    /// A counter of the library. It must be one: a misspelt name would be 0 for ever.
    pub fn engine(&self, name: &str) -> u64 {
        *self.0.get(&format!("engine.{name}")).unwrap_or_else(|| panic!("there is no counter {name}"))
    }
}

/// All that was counted.
pub struct Figures {
    connections: u32,
    scripts: Vec<Script>,
    seed: u64,
    fates: [HashMap<u32, Fate>; 2],
    strays: usize,
    ports_reused: u32,
    cables: [Counts; 2],
    recorders: [Recorder; 2],
    /// What the recorders call each connection.
    names: Vec<Option<Name>>,
    told: Told,
}

impl Figures {
    /// Of a run that is over.
    pub fn new(shared: &Shared, cables: [Counts; 2], recorders: [Recorder; 2], told: Told) -> Figures {
        let mut strays = 0;
        let fates = [0, 1].map(|side| {
            let listed =
                std::mem::take(&mut *shared.fates[side].lock().expect("nobody panics while holding it"));
            let count = listed.len();
            let by_number: HashMap<u32, Fate> = listed.into_iter().map(|fate| (fate.number, fate)).collect();
            strays += count - by_number.len();
            by_number
        });
        let ports_reused = shared.ports_reused.load(Ordering::Relaxed);
        let scripts: Vec<Script> = (0..shared.connections).map(|number| shared.script(number)).collect();
        let names = names(&scripts, &fates[0], &recorders[0]);
        Figures {
            connections: shared.connections,
            scripts,
            seed: shared.seed,
            fates,
            strays,
            ports_reused,
            cables,
            recorders,
            names,
            told,
        }
    }

    /// What went wrong on a connection, if anything did.
    fn trouble(&self, number: u32) -> Option<String> {
        let ends = [("client", 0), ("server", 1)].map(|(name, side)| match self.fates[side].get(&number) {
            None => Some(format!("the {name} never told of it")),
            Some(fate) if fate.wrong > 0 => Some(format!("{} wrong bytes at the {name}", fate.wrong)),
            Some(fate) => fate.trouble.as_ref().map(|trouble| format!("{name}: {trouble}")),
        });
        let words: Vec<String> = ends.into_iter().flatten().collect();
        // One end that gives up in the middle may do so before the other has read the hello.
        let aborted = matches!(self.script(number).manner, Manner::AbortByClient);
        let only_unknown = !self.fates[1].contains_key(&number) && words.len() == 1;
        let excused = words.is_empty() || aborted && only_unknown;
        (!excused).then(|| words.join("; "))
    }

    fn script(&self, number: u32) -> &Script {
        &self.scripts[number as usize]
    }

    /// Whether firewall B did not have it, and it began when firewall A could hardly tell of it.
    fn is_young(&self, number: u32) -> bool {
        let Some([kill, takeover]) = self.told.gap else { return false };
        let Some(fate) = self.fates[0].get(&number) else { return false };
        let v6 = self.script(number).v6;
        let had = self.told.journal.had.iter().any(|had| had.v6 == v6 && had.client_port == fate.port);
        !had && (kill.saturating_sub(YOUNG)..=takeover).contains(&fate.began)
    }

    fn bad(&self) -> (Vec<(u32, String)>, usize) {
        let all = (0..self.connections).filter_map(|number| Some((number, self.trouble(number)?)));
        let (young, bad): (Vec<_>, Vec<_>) = all.partition(|(number, _)| self.is_young(*number));
        (bad, young.len())
    }

    fn forged(&self) -> u64 {
        self.cables.iter().flat_map(|cable| cable.forged).sum()
    }

    /// Forged segments that came through: on connections that were open at the firewall, and on others.
    fn through(&self) -> [u64; 2] {
        let cables = self.recorders.each_ref();
        let logs = cables.iter().flat_map(|cable| &cable.logs);
        let sights = logs.flat_map(|(name, log)| log.sights.iter().map(move |sight| (*name, sight)));
        let mut through = [0; 2];
        for (name, sight) in sights.filter(|(_, sight)| sight.forged && sight.place == Place::FromFirewall) {
            through[usize::from(!living::was_open(cables, name, sight.at))] += 1;
        }
        through
    }

    fn planned(&self) -> Vec<Kind> {
        let plans = self.scripts.iter().enumerate().map(|(number, script)| {
            let phase = phase_of(number as u32, self.connections);
            (script.clone(), Phase::number(phase), buffer_of(phase))
        });
        kinds::planned(plans)
    }

    /// Sentences against the run.
    fn complaints(&self, arguments: &Arguments, through: [u64; 2]) -> Vec<String> {
        let mut complaints = self.told.complaints.clone();
        let (bad, _) = self.bad();
        if !bad.is_empty() {
            complaints.push(format!("{} connections did not go as they had to", bad.len()));
        }
        if self.strays > 0 {
            complaints.push(format!("{} ends told of a connection twice", self.strays));
        }
        let window = self.refused()[0].len();
        if window > 0 {
            complaints.push(format!("the window check refused {window} true packets"));
        }
        let counted = self.told.sum.engine("dropped_window");
        let written = self.told.journal.window.len() as u64
            + self.told.journal.forged.get("window").copied().unwrap_or(0);
        if self.told.gap.is_none() && counted != written {
            complaints
                .push(format!("{counted} packets counted as outside the window, {written} written down"));
        }
        if through[0] > 0 {
            complaints.push(format!("{} forged segments came through on open connections", through[0]));
        }
        if arguments.inject && self.cables.iter().any(|cable| cable.forged.contains(&0)) {
            complaints.push("a kind of forged segment never came".into());
        }
        let kinds = [self.planned(), kinds::seen(self.recorders.each_ref())].concat();
        if self.connections >= ENOUGH_FOR_ALL_KINDS {
            let missing = kinds.iter().filter(|(_, count)| *count == 0);
            complaints.extend(missing.map(|(kind, _)| format!("none of the kind '{kind}'")));
        }
        complaints
    }

    /// The run's line of the table.
    pub fn row(&self, arguments: &Arguments) -> Row {
        let through = self.through();
        let [refused, strays, unknown] = self.refused();
        let mut good_refused = self.told.journal.good.clone();
        good_refused.insert("window".into(), refused.len() as u64);
        if !strays.is_empty() {
            good_refused.insert("of the ports' connection before".into(), strays.len() as u64);
        }
        if !unknown.is_empty() {
            good_refused.insert("that met the one before, B having no other".into(), unknown.len() as u64);
        }
        let sum = |what: fn(&Fate) -> u64| self.fates.iter().flat_map(HashMap::values).map(what).sum::<u64>();
        Row {
            mode: arguments.mode(),
            connections: self.connections,
            well: (0..self.connections).filter(|number| self.trouble(*number).is_none()).count() as u32,
            wrong: sum(|fate| fate.wrong),
            good_refused,
            forged: self.forged(),
            forged_refused: self.told.journal.forged.values().sum(),
            through,
            takeovers: u32::from(self.told.gap.is_some()),
            young: self.bad().1 as u32,
            complaints: self.complaints(arguments, through),
        }
    }

    /// The name that the recorders know a connection by.
    fn name_of(&self, number: u32) -> Option<Name> {
        self.names.get(number as usize).copied().flatten()
    }

    /// What each cable lost of a connection, one segment after another: tells ends that the cables have worn out.
    fn lost_in_a_row(&self, number: u32) -> [usize; 2] {
        let of = |cable: &Recorder| self.name_of(number).map_or(0, |name| cable.lost_in_a_row(name));
        self.recorders.each_ref().map(of)
    }

    /// True segments that the window check refused: of the connection that they met; of one that had its ports before; and
    /// of one that firewall B was never told of, which met the one before it there.
    fn refused(&self) -> [Vec<&Refusal>; 3] {
        let mut refused = <[Vec<&Refusal>; 3]>::default();
        for refusal in &self.told.journal.window {
            let kind = if self.is_stray(refusal) { 1 } else { 2 * usize::from(self.met_one_before(refusal)) };
            refused[kind].push(refusal);
        }
        refused
    }

    /// Whether its connection began when firewall A could hardly tell of it, and what refused it is a state that A had told
    /// of, with a number that the client never used on this connection.
    fn met_one_before(&self, refusal: &Refusal) -> bool {
        let Some([kill, takeover]) = self.told.gap else { return false };
        let Some(number) = self.met(refusal) else { return false };
        let (Some(name), Some(fate)) = (self.name_of(number), self.fates[0].get(&number)) else {
            return false;
        };
        let is_foreign = refusal.told_number != 0 && self.is_beyond(refusal.told_number, name.1, number, 0);
        is_foreign && (kill.saturating_sub(YOUNG)..=takeover).contains(&fate.began)
    }

    /// Whether a sequence number is none that the client (0) or server (1), whose first one is `first`, could have used.
    fn is_beyond(&self, seq: u32, first: u32, number: u32, side: usize) -> bool {
        const HELLO_AND_TURNS: u64 = 16;
        let way = if side == 0 { Way::ToServer } else { Way::ToClient };
        let length = self.script(number).length(way) + HELLO_AND_TURNS;
        u64::from(seq.wrapping_sub(first).wrapping_add(1)) > length
    }

    /// The connection that a refused segment met.
    fn met(&self, refusal: &Refusal) -> Option<u32> {
        let logs = self.recorders[refusal.side].logs.iter();
        let of_port =
            logs.filter(|((v6, _), log)| (*v6, log.client_port) == (refusal.v6, refusal.client_port));
        let begun = of_port.filter_map(|(name, log)| Some((log.sights.first()?.at, *name)));
        let (_, name) = begun.filter(|(at, _)| *at <= refusal.at).max()?;
        Some(self.names.iter().position(|known| *known == Some(name))? as u32)
    }

    /// Whether its number is none that its sender could have used on the connection that it met.
    fn is_stray(&self, refusal: &Refusal) -> bool {
        let Some(number) = self.met(refusal) else { return false };
        let Some(name) = self.name_of(number) else { return false };
        let first = if refusal.side == 0 { Some(name.1) } else { self.recorders[1].server_began(name) };
        first.is_some_and(|first| self.is_beyond(refusal.seq, first, number, refusal.side))
    }

    /// Writes what the cables saw of a connection to a file of the results' folder.
    fn write_trace(&self, number: u32, words: &str, arguments: &Arguments) -> Option<()> {
        let name = self.name_of(number)?;
        let began = self.fates[0].get(&number)?.began;
        let head = format!("{words}\n{:?}\nbegan at {began}\n", self.script(number));
        let text = head + &recorder::text(self.recorders.each_ref(), name, began);
        std::fs::write(arguments.out.join(format!("connection-{number}.txt")), text).ok()
    }

    /// All of it, for the screen.
    pub fn print(&self, arguments: &Arguments) {
        let (bad, young) = self.bad();
        for (number, words) in bad.iter().take(EXAMPLES) {
            self.write_trace(*number, words, arguments);
        }
        for (number, words) in bad.iter().take(EXAMPLES) {
            let Script { manner, buffer, slow, v6, to_server, to_client } = self.script(*number).clone();
            let family = if v6 { "IPv6" } else { "IPv4" };
            let slow = format!("{slow:?}");
            let [client, server] = self.lost_in_a_row(*number);
            println!(
                "  {number} ({family} {manner:?} {buffer:?} slow {slow} {to_server}/{to_client}): {words}; \
                 the client's cable lost up to {client} segments in a row, the server's {server}"
            );
        }
        self.print_traffic(young);
        self.print_firewall(arguments);
        if arguments.verbose {
            self.told
                .sum
                .0
                .iter()
                .filter(|(_, value)| **value > 0)
                .for_each(|(name, value)| println!("    {name} {value}"));
        }
        for refusal in self.refused()[0].iter().take(EXAMPLES) {
            println!("  refused: {}", refusal.line);
            if let Some(number) = self.met(refusal) {
                self.write_trace(number, &refusal.line, arguments);
            }
        }
        let row = self.row(arguments);
        print!("{}", table::text(std::slice::from_ref(&row)));
        match row.is_good() {
            true => println!("GOOD"),
            false => println!("BAD: {} (seed {})", row.complaints.join("; "), self.seed),
        }
    }

    fn print_traffic(&self, young: usize) {
        let sum = |what: fn(&Fate) -> u64| self.fates.iter().flat_map(HashMap::values).map(what).sum::<u64>();
        let good = (0..self.connections).filter(|number| self.trouble(*number).is_none()).count();
        let v6 = (0..self.connections).filter(|number| self.script(*number).v6).count();
        println!(
            "  {good} of {} connections as they had to be ({v6} IPv6; {} from the port of a reset one); {:.1} MB checked, {} bytes wrong; {:.1} s",
            self.connections,
            self.ports_reused,
            sum(|fate| fate.received) as f64 / 1e6,
            sum(|fate| fate.wrong),
            self.told.took as f64 / SECOND as f64,
        );
        if let Some([kill, takeover]) = self.told.gap {
            let gap = (takeover - kill) as f64 / MILLISECOND as f64;
            println!(
                "  takeover {gap:.1} ms after the kill; {young} connections begun just before it were lost, which B did not have"
            );
        }
        for (side, cable) in [(Way::ToServer, self.cables[0]), (Way::ToClient, self.cables[1])] {
            let name = if side == Way::ToServer { "client" } else { "server" };
            let share = |part: u64| 100.0 * part as f64 / cable.frames.max(1) as f64;
            println!(
                "  {name}'s cable: {} segments ({} IPv6), {:.1} % lost, {:.1} % doubled, {:.1} % overtaking, 0 to 4 ms delay; {} without room",
                cable.frames,
                cable.v6,
                share(cable.lost),
                share(cable.doubled),
                share(cable.overtaking),
                cable.no_room,
            );
        }
    }

    fn print_firewall(&self, arguments: &Arguments) {
        let sum = |name| self.told.sum.engine(name);
        println!(
            "  firewall: {} passed ({} loosely), {} created, {} retired; dropped by window {}, SYN on established {}, while opening {}, without state {}",
            sum("passed"),
            sum("passed_loose"),
            sum("created"),
            sum("retired"),
            sum("dropped_window"),
            sum("dropped_challenge_ack"),
            sum("dropped_reset"),
            sum("dropped_no_state"),
        );
        if arguments.inject {
            let words = |what: fn(&Counts) -> Kinds| {
                let of = |kind: usize| self.cables.iter().map(|cable| what(cable)[kind]).sum::<u64>();
                let all = (0..KINDS.len()).map(|kind| format!("{} {}", of(kind), KINDS[kind]));
                all.collect::<Vec<_>>().join(", ")
            };
            let journal = &self.told.journal;
            println!("  forged: {}; refused: {:?}", words(|cable| cable.forged), journal.forged);
            println!("  came through: {}", words(|cable| cable.leaked));
        }
        let list = |kinds: &[Kind]| {
            kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect::<Vec<_>>().join(", ")
        };
        println!("  planned: {}", list(&self.planned()));
        println!("  seen: {}", list(&kinds::seen(self.recorders.each_ref())));
    }
}

/// What the client's cable calls each connection: the first of its port since it was begun.
fn names(scripts: &[Script], fates: &HashMap<u32, Fate>, cable: &Recorder) -> Vec<Option<Name>> {
    let mut by_port: HashMap<(bool, u16), Vec<(Nanos, Name)>> = HashMap::new();
    for (name, log) in &cable.logs {
        let first = log.sights.first().map(|sight| (sight.at, *name));
        by_port.entry((name.0, log.client_port)).or_default().extend(first);
    }
    let name_of = |number: usize| {
        let fate = fates.get(&(number as u32))?;
        let of_port = by_port.get(&(scripts[number].v6, fate.port))?;
        of_port.iter().filter(|(at, _)| *at >= fate.began).min().map(|(_, name)| *name)
    };
    (0..scripts.len()).map(name_of).collect()
}
