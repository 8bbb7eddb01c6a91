//! Creating translated states, from an empty to a full range of source ports, compared with a state that is not translated.
//!
//! `cargo bench -p pfplane-bench --bench nat`; see `benches/README.md` for the method.

#[expect(dead_code, reason = "other benches use more of it")]
mod harness;

use harness::options::Options;
use harness::report::{Measure, Report};
use harness::rounds::{self, Turn};
use pfplane::internals::engine::{Config, Engine};
use pfplane::internals::lane::{Action, BurstInfo, Lane, PacketView, Reason};
use pfplane::internals::packet::{Direction, Link};
use pfplane::internals::state::{Nat, Options as StateOptions, PortRange};
use pfplane_testkit::packet::{Packet, address};

#[global_allocator]
static PAGES: harness::pages::HugePages = harness::pages::HugePages;

/// The range that the example firewall draws from.
const RANGE: PortRange = PortRange { first: 50_001, last: 65_535 };
const PORTS: u32 = 65_535 - 50_000;
/// Creations of one turn. Each is undone before the next.
const BLOCK: u32 = 512;
const SECOND: u64 = 1_000_000_000;

fn main() -> std::io::Result<()> {
    let options = Options::from_arguments("nat");
    let mut report = Report::new("nat");
    let count = options.rounds.unwrap_or(if options.smoke { 1 } else { 9 });
    let states = if options.smoke { 20_000 } else { 200_000 };
    let mut contenders: Vec<(String, Turn<'_>)> = Vec::new();
    let mut plain = Firewall::new(states, 0);
    contenders.push(("create, not translated".to_owned(), Box::new(move || plain.turn(None))));
    for (name, used) in [
        ("0 %", 0),
        ("50 %", PORTS / 2),
        ("90 %", PORTS * 9 / 10),
        ("99 %", PORTS * 99 / 100),
        ("all but one", PORTS - 1),
        ("all", PORTS),
    ] {
        let mut firewall = Firewall::new(states, used);
        contenders.push((
            format!("create, {name} of the ports in use"),
            Box::new(move || firewall.turn(Some(nat()))),
        ));
    }
    let timings = rounds::run(contenders, count);
    report.measure(Measure { name: "nat: ns per creation".to_owned(), size: PORTS, timings });
    if options.smoke { Ok(()) } else { report.write(&options.json) }
}

fn nat() -> Nat {
    Nat { source: Some(address(false, 9, 1)), source_ports: Some(RANGE), ..Nat::default() }
}

const fn info() -> BurstInfo {
    BurstInfo { direction: Direction::In, link: Link::Ip, rdomain: 0, trust_hash: false, now: SECOND }
}

/// A firewall whose states all go to one server.
struct Firewall {
    lane: Lane,
    next: u32,
    is_full: bool,
}

impl Firewall {
    /// Builds one with `used` translated states.
    fn new(states: u32, used: u32) -> Self {
        let config = Config { states_per_lane: states, ..Config::default() };
        let (_, mut lanes) = Engine::new(config).expect("settings in range");
        let mut firewall = Self { lane: lanes.remove(0), next: 0, is_full: used == PORTS };
        for _ in 0..used {
            let syn = firewall.syn();
            let verdict = firewall.create(&syn, Some(nat()));
            assert_eq!(verdict.0, Action::Pass, "{:?}", verdict.1);
        }
        firewall
    }

    /// Returns the SYN of another host.
    fn syn(&mut self) -> Vec<u8> {
        self.next += 1;
        Packet::syn(false, self.next, 1, [1024 + (self.next % 60_000) as u16, 443]).tcp()
    }

    fn create(&mut self, syn: &[u8], nat: Option<Nat>) -> (Action, Reason, pfplane::internals::table::Slot) {
        let options = StateOptions { nat: nat.unwrap_or_default(), ..StateOptions::default() };
        let verdict = self.lane.create(&info(), &PacketView::new(syn), &options);
        (verdict.action, verdict.reason, verdict.slot)
    }

    /// Times creations, each of which is undone.
    fn turn(&mut self, nat: Option<Nat>) -> f64 {
        let mut total = 0.0;
        for _ in 0..BLOCK {
            let syn = self.syn();
            let (ns, (action, reason, slot)) = rounds::time(|| self.create(&syn, nat));
            total += ns;
            if self.is_full && nat.is_some() {
                assert_eq!((action, reason), (Action::Drop, Reason::NoPort));
                continue;
            }
            assert_eq!(action, Action::Pass, "{reason:?}");
            let id = self.lane.state_at(slot, SECOND).expect("a state").cold.id;
            assert!(self.lane.delete_id(id, SECOND));
        }
        total / f64::from(BLOCK)
    }
}
