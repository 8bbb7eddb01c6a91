//! What is counted at the end, what of it is wrong, and how it is printed.

use std::collections::{BTreeMap, HashMap};

use pfplane_demo::clock::{MILLISECOND, Nanos, SECOND};
use pfplane_demo::traffic::keystream::Way;
use serde_json::Value;

use crate::arguments::Arguments;
use crate::end::Fate;
use crate::forger::{KINDS, Kinds};
use crate::impairment::Counts;
use crate::run::{Shared, Told};
use crate::script::{Manner, Script};
use std::sync::atomic::Ordering;

/// A connection that began so shortly before the kill may be one that nobody could tell the other firewall of.
const YOUNG: Nanos = 250 * MILLISECOND;
const EXAMPLES: usize = 10;

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
    told: Told,
}

impl Figures {
    /// Of a run that is over.
    pub fn new(shared: &Shared, cables: [Counts; 2], told: Told) -> Figures {
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
        let scripts = (0..shared.connections).map(|number| shared.script(number)).collect();
        Figures {
            connections: shared.connections,
            scripts,
            seed: shared.seed,
            fates,
            strays,
            ports_reused,
            cables,
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

    /// Whether it began when firewall A could not tell of it any more.
    fn is_young(&self, number: u32) -> bool {
        let Some([kill, takeover]) = self.told.gap else { return false };
        let began = self.fates[0].get(&number).map_or(0, |fate| fate.began);
        (kill.saturating_sub(YOUNG)..=takeover).contains(&began)
    }

    fn bad(&self) -> (Vec<(u32, String)>, usize) {
        let all = (0..self.connections).filter_map(|number| Some((number, self.trouble(number)?)));
        let (young, bad): (Vec<_>, Vec<_>) = all.partition(|(number, _)| self.is_young(*number));
        (bad, young.len())
    }

    fn forged(&self) -> u64 {
        self.cables.iter().flat_map(|cable| cable.forged).sum()
    }

    fn dropped_for_forgery(&self) -> u64 {
        ["dropped_window", "dropped_challenge_ack", "dropped_reset", "dropped_no_state"]
            .iter()
            .map(|name| self.told.sum.engine(name))
            .sum()
    }

    /// Sentences against the run.
    fn complaints(&self, arguments: &Arguments) -> Vec<String> {
        let mut complaints = self.told.complaints.clone();
        let (bad, _) = self.bad();
        if !bad.is_empty() {
            complaints.push(format!("{} connections did not go as they had to", bad.len()));
        }
        if self.strays > 0 {
            complaints.push(format!("{} ends told of a connection twice", self.strays));
        }
        let window = self.told.sum.engine("dropped_window");
        if !arguments.inject && window > 0 {
            complaints.push(format!("the window check dropped {window} good packets"));
        }
        let leaked: u64 = self.cables.iter().flat_map(|cable| cable.leaked).sum();
        if leaked > 0 {
            complaints.push(format!("{leaked} forged segments came through the firewall"));
        }
        if arguments.inject && self.forged() == 0 {
            complaints.push("nothing was forged".into());
        }
        complaints
    }

    /// Whether there is nothing against it.
    pub fn is_good(&self, arguments: &Arguments) -> bool {
        self.complaints(arguments).is_empty()
    }

    /// All of it, for the screen.
    pub fn print(&self, arguments: &Arguments) {
        let (bad, young) = self.bad();
        for (number, words) in bad.iter().take(EXAMPLES) {
            let Script { manner, buffer, slow, v6, to_server, to_client } = self.script(*number).clone();
            let family = if v6 { "IPv6" } else { "IPv4" };
            let slow = format!("{slow:?}");
            println!(
                "  {number} ({family} {manner:?} {buffer:?} slow {slow} {to_server}/{to_client}): {words}"
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
        let complaints = self.complaints(arguments);
        match complaints.is_empty() {
            true => println!("GOOD"),
            false => println!("BAD: {} (seed {})", complaints.join("; "), self.seed),
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
                "  takeover {gap:.1} ms after the kill; {young} connections begun in the last 250 ms before it were lost"
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
            let kinds = |what: fn(&Counts) -> Kinds| {
                let of = |kind: usize| self.cables.iter().map(|cable| what(cable)[kind]).sum::<u64>();
                (0..KINDS.len())
                    .map(|kind| format!("{} {}", of(kind), KINDS[kind]))
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            println!(
                "  forged: {} ({}); came through: {}; the firewall's drops for such causes: {}",
                self.forged(),
                kinds(|cable| cable.forged),
                kinds(|cable| cable.leaked),
                self.dropped_for_forgery(),
            );
        }
    }
}
