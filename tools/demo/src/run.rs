//! The story: build the network, start two firewalls, open the connections, kill one firewall, hand over, look.

use crate::arguments::Arguments;
use crate::capture::{self, Capture, Judgement};
use crate::clock::{self, Nanos, SECOND};
use crate::failure::{Because, Outcome, fail};
use crate::fates::{Fate, Moments, fates, lost};
use crate::firewall::{Firewall, Letter};
use crate::mode::Mode;
use crate::namespaces::Namespaces;
use crate::report::{Kill, Report, Survivor};
use crate::stage::Stage;
use crate::sweeper::Sweeper;
use crate::timeline::Timeline;
use crate::verdict::{Evidence, Loss, judge};

const PATIENCE_PATH: Nanos = 15 * SECOND;
const PATIENCE_OPENING: Nanos = 60 * SECOND;
const WARM_UP: Nanos = 3 * SECOND;

/// How a run ended.
pub struct Ending {
    /// Everything was as it must be.
    pub as_hoped: bool,
    /// What each kill cost; nothing without replication.
    pub losses: Vec<Loss>,
}

/// Runs it all.
pub fn run(arguments: &Arguments) -> Outcome<Ending> {
    let suffix = std::process::id().to_string();
    let namespaces = Namespaces::named(&suffix);
    std::fs::create_dir_all(&arguments.out).because(|| format!("make {}", arguments.out.display()))?;
    // Made first, so dropped last: whatever is below may fail at any point.
    let mut sweeper = Sweeper::start(&suffix)?;
    let result = Stage::set_up(&namespaces, arguments).and_then(Stage::play);
    if arguments.keep {
        sweeper.keep();
        println!("the namespaces stand; `ip netns list` names them, and this removes them:");
        println!("  for n in {}; do ip netns del $n; done", namespaces.names().join(" "));
    }
    result
}

/// What happens on the stage.
impl Stage<'_> {
    fn play(mut self) -> Outcome<Ending> {
        self.wait_for_the_path()?;
        self.client.order("open")?;
        let mode = self.arguments.mode;
        match mode {
            Mode::DuringSetup => self.wait_until_open(self.arguments.kill_at_percent)?,
            Mode::CutSync => self.cut_while_opening()?,
            _ => self.wait_until_all_carry_data()?,
        }
        if mode == Mode::LateStart {
            let b = Firewall::start(Letter::B, self.namespaces, self.arguments)?;
            self.join_in_bulk(Letter::B, b)?;
        }
        if mode != Mode::DuringSetup {
            self.wait_until_steady()?;
        }
        let mut kills = vec![self.kill_and_look()?];
        let mut back = None;
        if mode == Mode::Rolling {
            back = Some(self.come_back()?);
            kills.push(self.kill_and_look()?);
        }
        self.finish(kills, back)
    }

    /// The pings must come back before anything is built on the path.
    fn wait_for_the_path(&mut self) -> Outcome<()> {
        let pings = self.plan.families().len();
        let all = |client: &crate::traffic::report::Progress| client.lively_pings as usize == pings;
        self.until("a ping in each family through firewall A", PATIENCE_PATH, |client, _| all(client))?;
        self.screen.say("pings go through firewall A in each family; opening connections");
        Ok(())
    }

    fn wait_until_open(&mut self, percent: u32) -> Outcome<()> {
        let enough = (u64::from(self.arguments.connections) * u64::from(percent) / 100).max(1);
        let what = format!("{percent} of a hundred connections");
        self.until(&what, PATIENCE_OPENING, |client, _| u64::from(client.established) >= enough)
    }

    /// The second half of the connections is opened while the firewalls cannot hear each other.
    fn cut_while_opening(&mut self) -> Outcome<()> {
        self.wait_until_open(50)?;
        self.namespaces.set_sync_link(false)?;
        self.screen.say("the sync link is cut");
        self.wait_until_all_carry_data()?;
        let (a, b) = (self.status(Letter::A)?.states, self.status(Letter::B)?.states);
        self.screen.say(&format!("during the cut firewall A has {a} states, firewall B {b}"));
        self.namespaces.set_sync_link(true)?;
        self.screen.say("the sync link is mended");
        if b >= a {
            return fail("the cut kept no state from firewall B: it shows nothing; take more --connections");
        }
        Ok(())
    }

    fn wait_until_all_carry_data(&mut self) -> Outcome<()> {
        let all = self.arguments.connections;
        self.until("data on every connection both ways", PATIENCE_OPENING, |client, server| {
            client.heard == all && server.heard == all
        })?;
        self.screen.say(&format!("all {all} connections carry data both ways"));
        self.traffic_for(WARM_UP)
    }

    fn kill_and_look(&mut self) -> Outcome<Kill> {
        let kill = self.kill_master()?;
        // An end that got no answer for so long waits as long once more, before it sends again and is heard; on a busy machine
        // a killed process takes seconds to be gone.
        let gap = kill.death.takeover - kill.death.kill;
        self.traffic_for(u64::from(self.arguments.seconds) * SECOND + 2 * gap)?;
        Ok(kill)
    }

    /// Who was killed comes back empty and loads all; the moment when he knew it.
    fn come_back(&mut self) -> Outcome<Nanos> {
        let letter = self.master.other();
        self.screen.say(&format!("{} is started again, with nothing in it", letter.name()));
        let firewall = Firewall::start_again(letter, self.namespaces, self.arguments)?;
        self.join_in_bulk(letter, firewall)?;
        let back = clock::now();
        self.wait_until_steady()?;
        self.traffic_for(WARM_UP)?;
        Ok(back)
    }

    fn finish(mut self, kills: Vec<Kill>, back: Option<Nanos>) -> Outcome<Ending> {
        self.screen.say("ending the traffic: every connection says goodbye");
        let client = self.client.stop()?;
        let server = self.server.stop()?;
        let deaths: Vec<_> = kills.iter().map(|kill| kill.death).collect();
        let Some(&first) = deaths.first() else { return fail("no firewall was killed") };
        let moments = Moments { first, back, second: deaths.get(1).copied(), stop: client.stopped };
        let survivor = self.survivor()?;
        if self.arguments.verbose {
            print_details(&kills, &survivor);
        }
        let mut complaints = Vec::new();
        complaints.extend(self.send_home()?);
        let capture = self.capture.take().map(Capture::finish).transpose()?;
        let judgement = capture.as_deref().and_then(capture::check);
        complaints.extend(judgement.as_ref().and_then(|judgement| self.complaint_of(judgement)));
        let fates = fates(&client, &server, &moments);
        let arguments = self.arguments;
        let (expectation, wanted) =
            (arguments.mode.expectation(arguments.defer_ms > 0), arguments.connections);
        let losses = losses(&kills, &fates, arguments.mode);
        let evidence = Evidence {
            expectation,
            wanted,
            fates: &fates,
            probes: &client.probes,
            moments,
            losses: losses.clone(),
            complaints,
        };
        let report = Report {
            arguments,
            plan: &self.plan,
            verdict: judge(&evidence),
            fates: &fates,
            probes: &client.probes,
            moments,
            losses,
            kills,
            survivor,
            capture: judgement,
        };
        report.write(&arguments.out)?;
        Timeline { report: &report, client: &client, server: &server }.write(&arguments.out)?;
        report.print();
        Ok(Ending { as_hoped: report.verdict.as_hoped, losses: report.losses })
    }

    fn survivor(&mut self) -> Outcome<Survivor> {
        let letter = self.master;
        let stats = self.firewall(letter)?.control.ask("stats")?;
        Ok(Survivor { letter, status: self.status(letter)?, stats })
    }

    /// The survivor leaves in order and counts its buffers: a missing one fails the run.
    fn send_home(&mut self) -> Outcome<Option<String>> {
        let survivor = self.firewall(self.master)?;
        let exit = survivor.quit()?;
        let name = survivor.name();
        Ok((!exit.success())
            .then(|| format!("{name} did not leave cleanly ({exit}): buffers are missing, see its log.")))
    }

    /// With replication there must be frames, and they must be well formed; without, there must be none.
    fn complaint_of(&self, judgement: &Judgement) -> Option<String> {
        let words = &judgement.words;
        match (judgement.well_formed, judgement.empty != self.arguments.mode.replicates()) {
            (true, true) => None,
            (false, _) => Some(format!("the sync link's capture holds malformed frames: {words}.")),
            (true, false) if judgement.empty => Some("nothing was sent on the sync link.".into()),
            (true, false) => {
                Some(format!("replication is off, and yet the sync link carried frames: {words}."))
            }
        }
    }
}

/// What each kill cost, beside what had been announced. Without replication nothing is announced.
fn losses(kills: &[Kill], fates: &[Fate], mode: Mode) -> Vec<Loss> {
    let lost = lost(fates, kills.len());
    let losses =
        kills.iter().zip(lost).map(|(kill, lost)| Loss { announced: kill.announced.connections, lost });
    losses.filter(|_| mode.replicates()).collect()
}

fn print_details(kills: &[Kill], survivor: &Survivor) {
    for kill in kills {
        println!("{} at the kill: {:?}\n{:#}", kill.victim.name(), kill.at_kill, kill.stats);
    }
    println!("{} at the end: {:?}\n{:#}", survivor.letter.name(), survivor.status, survivor.stats);
}
