//! One run: the network, two firewalls, the traffic in phases, perhaps a stranger, perhaps a kill, and the count.

use std::collections::HashSet;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use pfplane_demo::arguments::Arguments as DemoArguments;
use pfplane_demo::clock::{self, MILLISECOND, Nanos, SECOND, seconds_since};
use pfplane_demo::failure::{Because, Outcome, fail};
use pfplane_demo::firewall::{self, Firewall, Letter};
use pfplane_demo::namespaces::{Namespaces, Place};
use pfplane_demo::sweeper::{Sweeper, run_folder};
use pfplane_demo::takeover::take_over;
use pfplane_demo::traffic::keystream::Way;
use pfplane_demo::translation::Translation;
use pfplane_testkit::random::mix;

use crate::arguments::Arguments;
use crate::end::{Fate, LONGEST};
use crate::impairment::{self, Counts};
use crate::journal::Journal;
use crate::network::{self, PHASES, Phase};
use crate::recorder::Recorder;
use crate::report::{Figures, Sum};
use crate::script::{Buffer, Script};
use crate::server::Listeners;
use crate::stages::Stages;
use crate::table::Row;
use crate::{client, server};

const LOOK: Duration = Duration::from_millis(20);
const LINE_EVERY: Nanos = 5 * SECOND;

/// What the threads of a run share.
pub struct Shared {
    /// What all chance follows from.
    pub seed: u64,
    /// How many connections there will be.
    pub connections: u32,
    /// The client may begin connections below this number.
    pub open_to: AtomicU32,
    /// So many it has begun.
    pub opened: AtomicU32,
    /// Of them from the port of one that was reset just before.
    pub ports_reused: AtomicU32,
    /// So many are at work there, and here.
    pub at_work: AtomicU32,
    /// At the server.
    pub at_server: AtomicU32,
    /// How far each connection is.
    pub stages: Stages,
    /// Of those begun, so many have no answer yet.
    pub greeting: AtomicU32,
    /// Ends stop.
    pub stop: AtomicBool,
    /// Cables that carry frames.
    pub cables_ready: AtomicU32,
    /// Cables stop.
    pub cables_stop: AtomicBool,
    /// Of each connection, which ends are over: bit 0 the client's, bit 1 the server's.
    over: Vec<AtomicU8>,
    /// What came of the client's and of the server's ends.
    pub fates: [Mutex<Vec<Fate>>; 2],
}

impl Shared {
    fn new(seed: u64, connections: u32) -> Shared {
        Shared {
            seed,
            connections,
            open_to: AtomicU32::new(0),
            opened: AtomicU32::new(0),
            ports_reused: AtomicU32::new(0),
            at_work: AtomicU32::new(0),
            at_server: AtomicU32::new(0),
            stages: Stages::default(),
            greeting: AtomicU32::new(0),
            stop: AtomicBool::new(false),
            cables_ready: AtomicU32::new(0),
            cables_stop: AtomicBool::new(false),
            over: (0..connections).map(|_| AtomicU8::new(0)).collect(),
            fates: [Mutex::default(), Mutex::default()],
        }
    }

    /// What happens on connection `number`.
    pub fn script(&self, number: u32) -> Script {
        Script::of(self.seed, number, buffer_of(phase_of(number, self.connections)))
    }

    /// Takes the fate of an end: [`Way::ToServer`] is the client's.
    pub fn report(&self, way: Way, fate: Fate) {
        if let Some(over) = self.over.get(fate.number as usize) {
            over.fetch_or(if way == Way::ToServer { 1 } else { 2 }, Ordering::Relaxed);
        }
        self.fates[usize::from(way == Way::ToClient)]
            .lock()
            .expect("nobody panics while holding it")
            .push(fate);
    }

    /// Whether both ends of a connection are over.
    pub fn is_over(&self, number: u32) -> bool {
        self.over[number as usize].load(Ordering::Relaxed) == 3
    }

    fn has_ended(&self, side: usize) -> usize {
        self.fates[side].lock().expect("nobody panics while holding it").len()
    }
}

/// The phase in which a connection is begun.
pub fn phase_of(number: u32, connections: u32) -> u32 {
    (0..PHASES).find(|phase| number < end_of(*phase, connections)).unwrap_or(PHASES - 1)
}

/// The first number that belongs to a later phase.
fn end_of(phase: u32, connections: u32) -> u32 {
    u32::try_from(u64::from(connections) * u64::from(phase + 1) / u64::from(PHASES))
        .expect("not more than all")
}

/// The phase in whose middle firewall A is killed: one of the four in the middle, since each has other options.
fn kill_in(seed: u64) -> u32 {
    PHASES / 4 + (mix(seed) % u64::from(PHASES / 2)) as u32
}

/// The server's receive buffers in a phase.
pub fn buffer_of(phase: u32) -> Buffer {
    [Buffer::Usual, Buffer::Tiny, Buffer::Huge][phase as usize % 3]
}

/// Runs it, and tells of it on the screen.
pub fn run(arguments: &Arguments) -> Outcome<Row> {
    let suffix = std::process::id().to_string();
    let namespaces = Namespaces::named(&suffix);
    std::fs::create_dir_all(&arguments.out).because(|| format!("make {}", arguments.out.display()))?;
    let seed = arguments.seed.unwrap_or_else(|| mix(clock::now() ^ u64::from(std::process::id()) << 32));
    println!("{} connections, {}, seed {seed}", arguments.connections, arguments.mode());
    // Made first, so dropped last: whatever is below may fail at any point.
    let _sweeper = Sweeper::start(&suffix)?;
    let folder = run_folder(&namespaces);
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&folder)
        .because(|| format!("make {}", folder.display()))?;
    namespaces.make()?;
    network::cut(&namespaces)?;
    network::be_persistent(&namespaces)?;
    let demo = demo_arguments(arguments);
    let mut firewalls =
        [Firewall::start(Letter::A, &namespaces, &demo)?, Firewall::start(Letter::B, &namespaces, &demo)?];
    for firewall in &mut firewalls {
        firewall.wait_until_ready()?;
    }
    let shared = Shared::new(seed, arguments.connections);
    let figures = traffic(&shared, &namespaces, arguments, &mut firewalls)?;
    figures.print(arguments);
    Ok(figures.row(arguments))
}

fn demo_arguments(arguments: &Arguments) -> DemoArguments {
    DemoArguments {
        lanes: arguments.lanes,
        translation: if arguments.nat { Translation::Nat } else { Translation::Nothing },
        out: arguments.out.clone(),
        firewall: arguments.firewall.clone(),
        journal: true,
        ..DemoArguments::default()
    }
}

fn journal_of(letter: Letter, arguments: &Arguments) -> PathBuf {
    firewall::journal(letter, &demo_arguments(arguments))
}

fn in_place<T>(
    namespaces: &Namespaces,
    place: Place,
    work: impl FnOnce() -> std::io::Result<T>,
) -> Outcome<T> {
    network::enter(namespaces, place)
        .and_then(|()| work())
        .because(|| format!("go on in {}", namespaces.name(place)))
}

fn traffic(
    shared: &Shared,
    namespaces: &Namespaces,
    arguments: &Arguments,
    firewalls: &mut [Firewall; 2],
) -> Outcome<Figures> {
    let open = || in_place(namespaces, Place::Server, Listeners::open);
    let listeners = thread::scope(|scope| scope.spawn(open).join().expect("opening sockets does not panic"))?;
    thread::scope(|scope| {
        let cables = [0, 1].map(|side| {
            scope.spawn(move || {
                let [near, far] = network::cable(side);
                let carry = || impairment::run(shared, near, far, side, arguments.inject);
                in_place(namespaces, Place::Switch, carry)
            })
        });
        let server = scope.spawn(|| in_place(namespaces, Place::Server, || server::run(shared, &listeners)));
        let client = scope.spawn(|| in_place(namespaces, Place::Client, || client::run(shared)));
        let told = direct(shared, namespaces, arguments, firewalls, &listeners);
        shared.stop.store(true, Ordering::Relaxed);
        shared.cables_stop.store(true, Ordering::Relaxed);
        let ends = [client.join(), server.join()].map(|end| end.expect("an end does not panic"));
        let cables = cables.map(|cable| cable.join().expect("a cable does not panic"));
        // The story's own failure says less than that of what it waited for.
        let [client, server] = ends;
        client.and(server)?;
        let [left, right] = cables;
        let (cables, recorders): (Vec<Counts>, Vec<Recorder>) = [left?, right?].into_iter().unzip();
        let cables = [cables[0], cables[1]];
        let recorders: [Recorder; 2] = recorders.try_into().expect("there are two cables");
        Ok(Figures::new(shared, cables, recorders, told?))
    })
}

/// What the story itself learns.
pub struct Told {
    /// The firewalls' counters: A's, and B's after a takeover.
    pub sum: Sum,
    /// From the kill to the takeover, when there was one.
    pub gap: Option<[Nanos; 2]>,
    /// From the first connection to the last.
    pub took: Nanos,
    /// What the firewalls wrote down.
    pub journal: Journal,
    /// What else went wrong.
    pub complaints: Vec<String>,
}

fn direct(
    shared: &Shared,
    namespaces: &Namespaces,
    arguments: &Arguments,
    firewalls: &mut [Firewall; 2],
    listeners: &Listeners,
) -> Outcome<Told> {
    let began = clock::now();
    let mut story = Story { shared, began, next_line: began, sum: Sum::default(), gap: None };
    while shared.cables_ready.load(Ordering::Acquire) < 2 {
        thread::sleep(LOOK);
        if clock::now() > began + 10 * SECOND {
            return fail("the cables do not come up");
        }
    }
    for phase in 0..PHASES {
        let settings = Phase::number(phase);
        settings.apply(namespaces)?;
        let buffer = buffer_of(phase);
        listeners
            .set_buffer(buffer.bytes().unwrap_or(128 << 10))
            .because(|| "set the server's buffers".into())?;
        story.say(&format!("phase {phase}: {} (client/server), server buffers {buffer:?}", settings.words()));
        shared.open_to.store(end_of(phase, shared.connections), Ordering::Release);
        story.until_opened(phase, arguments, firewalls)?;
    }
    story.until_over(arguments, firewalls)?;
    let took = clock::now() - began;
    let last = if story.gap.is_some() { 1 } else { 0 };
    story.sum.add(&firewalls[last].control.ask("stats")?);
    let mut complaints = Vec::new();
    for firewall in &mut firewalls[last..] {
        let exit = firewall.quit()?;
        if !exit.success() {
            complaints.push(format!("{} did not leave cleanly ({exit}), see its log", firewall.name()));
        }
    }
    let mut journal = Journal::default();
    for letter in [Letter::A, Letter::B] {
        journal.add(&journal_of(letter, arguments))?;
    }
    Ok(Told { sum: story.sum, gap: story.gap, took, journal, complaints })
}

struct Story<'a> {
    shared: &'a Shared,
    began: Nanos,
    next_line: Nanos,
    sum: Sum,
    gap: Option<[Nanos; 2]>,
}

impl Story<'_> {
    fn say(&self, words: &str) {
        println!("{:7.2} s  {words}", seconds_since(self.began, clock::now()));
    }

    fn until_opened(
        &mut self,
        phase: u32,
        arguments: &Arguments,
        firewalls: &mut [Firewall; 2],
    ) -> Outcome<()> {
        let last = self.shared.open_to.load(Ordering::Relaxed);
        let middle = last - self.shared.connections / PHASES / 2;
        // The settings are read when a SYN arrives, so the phase goes on until every one was answered.
        while self.shared.opened.load(Ordering::Acquire) < last
            || self.shared.greeting.load(Ordering::Relaxed) > 0
        {
            if arguments.takeover
                && phase == kill_in(self.shared.seed)
                && self.gap.is_none()
                && self.is_past(middle)
            {
                self.kill(arguments, firewalls)?;
            }
            self.look(firewalls)?;
        }
        Ok(())
    }

    fn is_past(&self, number: u32) -> bool {
        self.shared.opened.load(Ordering::Acquire) >= number
    }

    fn until_over(&mut self, arguments: &Arguments, firewalls: &mut [Firewall; 2]) -> Outcome<()> {
        let all = self.shared.connections as usize;
        let deadline = clock::now() + LONGEST + 10 * SECOND;
        while self.shared.has_ended(0) < all && clock::now() < deadline {
            self.look(firewalls)?;
        }
        let deadline = clock::now() + LONGEST;
        while self.shared.at_server.load(Ordering::Relaxed) > 0 && clock::now() < deadline {
            self.look(firewalls)?;
        }
        if arguments.takeover && self.gap.is_none() {
            return fail("there was no middle to kill firewall A in");
        }
        Ok(())
    }

    /// The connections that firewall B knew to be open when it took over. Its lanes write that down at once.
    fn what_b_had(&self, arguments: &Arguments) -> Outcome<HashSet<(bool, u16)>> {
        let deadline = clock::now() + 10 * SECOND;
        loop {
            let mut journal = Journal::default();
            journal.add(&journal_of(Letter::B, arguments))?;
            if journal.lanes >= u64::from(arguments.lanes) {
                let open = journal.had.iter().filter(|had| had.is_open());
                return Ok(open.map(|had| (had.v6, had.client_port)).collect());
            }
            if clock::now() > deadline {
                return fail("firewall B does not tell what it had when it took over");
            }
            thread::sleep(LOOK);
        }
    }

    fn kill(&mut self, arguments: &Arguments, firewalls: &mut [Firewall; 2]) -> Outcome<()> {
        let [a, b] = firewalls;
        self.sum.add(&a.control.ask("stats")?);
        self.shared.stages.pause();
        let (kill, _) = a.kill()?;
        take_over(&b.control)?;
        let takeover = clock::now();
        let states = b.control.status()?.states;
        let known = self.what_b_had(arguments)?;
        self.shared.stages.go_on(&known);
        self.gap = Some([kill, takeover]);
        let gap = (takeover - kill) as f64 / MILLISECOND as f64;
        self.say(&format!("firewall A was killed; B took over {gap:.1} ms later with {states} states"));
        Ok(())
    }

    fn look(&mut self, firewalls: &mut [Firewall; 2]) -> Outcome<()> {
        thread::sleep(LOOK);
        let first = usize::from(self.gap.is_some());
        firewalls[first..].iter_mut().try_for_each(Firewall::must_run)?;
        let now = clock::now();
        if now >= self.next_line {
            self.next_line = now + LINE_EVERY;
            let load = |number: &AtomicU32| number.load(Ordering::Relaxed);
            let (opened, client, server) =
                (load(&self.shared.opened), load(&self.shared.at_work), load(&self.shared.at_server));
            self.say(&format!("  {opened} begun; {client} at work at the client, {server} at the server"));
        }
        Ok(())
    }
}
