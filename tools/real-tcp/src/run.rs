//! One run: the network, two firewalls, the traffic in phases, perhaps a stranger, perhaps a kill, and the count.

use std::os::unix::fs::DirBuilderExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use pfplane_demo::arguments::Arguments as DemoArguments;
use pfplane_demo::clock::{self, MILLISECOND, Nanos, SECOND, seconds_since};
use pfplane_demo::failure::{Because, Outcome, fail};
use pfplane_demo::firewall::{Firewall, Letter};
use pfplane_demo::namespaces::{Namespaces, Place};
use pfplane_demo::sweeper::{Sweeper, run_folder};
use pfplane_demo::takeover::take_over;
use pfplane_demo::traffic::keystream::{Way, mix};

use crate::arguments::Arguments;
use crate::end::{Fate, LONGEST};
use crate::impairment::{self, Counts};
use crate::network::{self, PHASES, Phase};
use crate::report::{Figures, Sum};
use crate::script::{Buffer, Script};
use crate::server::Listeners;
use crate::{client, server};

const LOOK: Duration = Duration::from_millis(20);
const LINE_EVERY: Nanos = 5 * SECOND;
/// Handshakes of a phase after its last connection was begun: the settings are read when a SYN arrives.
const HANDSHAKES: Duration = Duration::from_millis(300);
/// After the client is done the server's ends may still wait for a lost RST: keep-alive probes tell them.
const SERVER_PATIENCE: Nanos = 60 * SECOND;

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
    /// Ends stop.
    pub stop: AtomicBool,
    /// Cables that carry frames.
    pub cables_ready: AtomicU32,
    /// Cables stop.
    pub cables_stop: AtomicBool,
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
            stop: AtomicBool::new(false),
            cables_ready: AtomicU32::new(0),
            cables_stop: AtomicBool::new(false),
            fates: [Mutex::default(), Mutex::default()],
        }
    }

    /// What happens on connection `number`.
    pub fn script(&self, number: u32) -> Script {
        Script::of(self.seed, number, buffer_of(phase_of(number, self.connections)))
    }

    /// Takes the fate of an end: [`Way::ToServer`] is the client's.
    pub fn report(&self, way: Way, fate: Fate) {
        self.fates[usize::from(way == Way::ToClient)]
            .lock()
            .expect("nobody panics while holding it")
            .push(fate);
    }

    fn has_ended(&self, side: usize) -> usize {
        self.fates[side].lock().expect("nobody panics while holding it").len()
    }
}

/// The phase in which a connection is begun.
fn phase_of(number: u32, connections: u32) -> u32 {
    (0..PHASES).find(|phase| number < end_of(*phase, connections)).unwrap_or(PHASES - 1)
}

/// The first number that belongs to a later phase.
fn end_of(phase: u32, connections: u32) -> u32 {
    u32::try_from(u64::from(connections) * u64::from(phase + 1) / u64::from(PHASES))
        .expect("not more than all")
}

/// The server's receive buffers in a phase.
fn buffer_of(phase: u32) -> Buffer {
    [Buffer::Usual, Buffer::Tiny, Buffer::Huge][phase as usize % 3]
}

/// Runs it. `true` when everything was as it must be.
pub fn run(arguments: &Arguments) -> Outcome<bool> {
    let suffix = std::process::id().to_string();
    let namespaces = Namespaces::named(&suffix);
    std::fs::create_dir_all(&arguments.out).because(|| format!("make {}", arguments.out.display()))?;
    let seed = arguments.seed.unwrap_or_else(|| mix(clock::now() ^ u64::from(std::process::id()) << 32));
    let modes = [("forged segments", arguments.inject), ("a takeover", arguments.takeover)];
    let modes: Vec<&str> = modes.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect();
    let with = if modes.is_empty() { String::new() } else { format!(" with {}", modes.join(" and ")) };
    println!("{} connections{with}, seed {seed}", arguments.connections);
    // Made first, so dropped last: whatever is below may fail at any point.
    let _sweeper = Sweeper::start(&suffix)?;
    let folder = run_folder(&namespaces);
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&folder)
        .because(|| format!("make {}", folder.display()))?;
    namespaces.make()?;
    network::cut(&namespaces)?;
    let demo = DemoArguments {
        lanes: arguments.lanes,
        out: arguments.out.clone(),
        firewall: arguments.firewall.clone(),
        ..DemoArguments::default()
    };
    let mut firewalls =
        [Firewall::start(Letter::A, &namespaces, &demo)?, Firewall::start(Letter::B, &namespaces, &demo)?];
    for firewall in &mut firewalls {
        firewall.wait_until_ready()?;
    }
    let shared = Shared::new(seed, arguments.connections);
    let figures = traffic(&shared, &namespaces, arguments, &mut firewalls)?;
    figures.print(arguments);
    Ok(figures.is_good(arguments))
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
                let stream = side as u64 + 1;
                let carry = || impairment::run(shared, near, far, stream, arguments.inject);
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
        let cables: [Counts; 2] = [left?, right?];
        Ok(Figures::new(shared, cables, told?))
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
        thread::sleep(HANDSHAKES);
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
    Ok(Told { sum: story.sum, gap: story.gap, took, complaints })
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
        while self.shared.opened.load(Ordering::Acquire) < last {
            if arguments.takeover && phase == PHASES / 2 && self.gap.is_none() && self.is_past(middle) {
                self.kill(firewalls)?;
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
        let deadline = clock::now() + SERVER_PATIENCE;
        while self.shared.at_server.load(Ordering::Relaxed) > 0 && clock::now() < deadline {
            self.look(firewalls)?;
        }
        if arguments.takeover && self.gap.is_none() {
            return fail("there was no middle to kill firewall A in");
        }
        Ok(())
    }

    fn kill(&mut self, firewalls: &mut [Firewall; 2]) -> Outcome<()> {
        let [a, b] = firewalls;
        self.sum.add(&a.control.ask("stats")?);
        let (kill, _) = a.kill()?;
        take_over(&b.control)?;
        let takeover = clock::now();
        let states = b.control.status()?.states;
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
