//! One firewall process: how it is started, asked, killed and sent home.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use crate::arguments::Arguments;
use crate::clock::{self, Nanos, SECOND};
use crate::control::{Control, Status};
use crate::exposure::Exposure;
use crate::failure::{Because, Outcome, fail};
use crate::namespaces::{
    FIREWALL_INTERFACES, INSIDE_ADDRESSES, INSIDE_MAC, Namespaces, OUTSIDE_ADDRESSES, OUTSIDE_MAC, Place,
};
use crate::sweeper::run_folder;

const MEMORY_MB: &str = "256";
const STATES_PER_LANE: u32 = 32_768;
/// A lane's connections that wait at once; the fastest run opens 500 a second, and they wait some milliseconds.
const MAX_DEFER: u32 = 1024;
const PATIENCE_READY: Nanos = 20 * SECOND;
const PATIENCE_LEAVING: Nanos = 10 * SECOND;
const POLL: Duration = Duration::from_millis(20);
const LOG_LINES_SHOWN: usize = 12;

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Letter {
    /// The first master, killed first.
    A,
    /// The first backup, which takes over.
    B,
}

impl Letter {
    fn small(self) -> &'static str {
        if self == Letter::A { "a" } else { "b" }
    }

    fn place(self) -> Place {
        if self == Letter::A { Place::FirewallA } else { Place::FirewallB }
    }

    /// The other one.
    pub fn other(self) -> Letter {
        if self == Letter::A { Letter::B } else { Letter::A }
    }

    /// For sentences.
    pub fn name(self) -> &'static str {
        if self == Letter::A { "firewall A" } else { "firewall B" }
    }

    fn sync_address(self) -> &'static str {
        if self == Letter::A { "10.3.0.1" } else { "10.3.0.2" }
    }
}

/// A running firewall.
pub struct Firewall {
    letter: Letter,
    process: Child,
    log: PathBuf,
    exposure: PathBuf,
    /// Its control socket.
    pub control: Control,
}

impl Firewall {
    /// Starts one, A as the master and B as the backup; it is not ready yet.
    pub fn start(letter: Letter, namespaces: &Namespaces, arguments: &Arguments) -> Outcome<Firewall> {
        let role = if letter == Letter::A { "master" } else { "backup" };
        let log = format!("firewall-{}.log", letter.small());
        Firewall::start_as(role, &log, letter, namespaces, arguments)
    }

    /// Starts one that was there before and died: as the backup, with a log of its own.
    pub fn start_again(letter: Letter, namespaces: &Namespaces, arguments: &Arguments) -> Outcome<Firewall> {
        let log = format!("firewall-{}-again.log", letter.small());
        Firewall::start_as("backup", &log, letter, namespaces, arguments)
    }

    fn start_as(
        role: &str,
        log: &str,
        letter: Letter,
        namespaces: &Namespaces,
        arguments: &Arguments,
    ) -> Outcome<Firewall> {
        let folder = run_folder(namespaces);
        let rules = folder.join("rules");
        std::fs::write(&rules, arguments.translation.rules())
            .because(|| format!("write {}", rules.display()))?;
        let control = Control::at(&folder.join(format!("{}.sock", letter.small())));
        let exposure = folder.join(format!("{}.exposure", letter.small()));
        let log = arguments.out.join(log);
        let file = File::create(&log).because(|| format!("write {}", log.display()))?;
        let errors = file.try_clone().because(|| "share the log".into())?;
        // `ip netns exec` becomes the program, so the process that we hold is the firewall itself.
        let process = Command::new("ip")
            .args(namespaces.inside(letter.place()))
            .arg(&arguments.firewall)
            .args(eal_arguments(letter, namespaces, lanes_of(letter, arguments)))
            .arg("--")
            .args(own_arguments(letter, role, &rules, control.path(), arguments))
            .arg("--exposure")
            .arg(&exposure)
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .spawn()
            .because(|| "start a firewall".into())?;
        Ok(Firewall { letter, process, log, exposure, control })
    }

    /// Waits until it listens and has its peer's states, or has given up on them.
    pub fn wait_until_ready(&mut self) -> Outcome<Status> {
        self.wait_until(|status| status.ready)
    }

    /// Waits until it listens, and what it says of itself is `enough`.
    pub fn wait_until(&mut self, enough: impl Fn(&Status) -> bool) -> Outcome<Status> {
        let deadline = clock::now() + PATIENCE_READY;
        loop {
            if let Some(status) = self.process.try_wait().because(|| "watch a firewall".into())? {
                return fail(format!("{} ended at once ({status}):\n{}", self.name(), self.last_words()));
            }
            // Until it listens, asking fails; only at the deadline is that worth a word.
            let answer = self.control.status();
            if let Ok(status) = &answer
                && enough(status)
            {
                return answer;
            }
            if clock::now() > deadline {
                let why = answer.map_or_else(|failure| failure.0, |status| format!("it says {status:?}"));
                return fail(format!("{} does not get ready: {why}\n{}", self.name(), self.last_words()));
            }
            thread::sleep(POLL);
        }
    }

    /// SIGKILL, to the very process we started. Gives back the moments before the signal and after its death.
    pub fn kill(&mut self) -> Outcome<(Nanos, Nanos)> {
        let before = clock::now();
        self.process.kill().because(|| format!("kill {}", self.name()))?;
        let status = self.process.wait().because(|| format!("wait for {}'s death", self.name()))?;
        if status.signal().is_none() {
            return fail(format!(
                "{} was gone before it was killed ({status}):\n{}",
                self.name(),
                self.last_words()
            ));
        }
        Ok((before, clock::now()))
    }

    /// What it announced last of what its death would cost; also when it is dead.
    pub fn exposure(&self) -> Outcome<Exposure> {
        Exposure::read(&self.exposure)
    }

    /// Asks it to leave in order. Its exit status says whether every buffer was back in its pool.
    pub fn quit(&mut self) -> Outcome<ExitStatus> {
        self.control.ask("quit")?;
        let deadline = clock::now() + PATIENCE_LEAVING;
        while clock::now() < deadline {
            if let Some(status) = self.process.try_wait().because(|| format!("watch {}", self.name()))? {
                return Ok(status);
            }
            thread::sleep(POLL);
        }
        fail(format!("{} was told to quit and did not: {}", self.name(), threads_of(self.process.id())))
    }

    /// Fails when it ended by itself.
    pub fn must_run(&mut self) -> Outcome<()> {
        match self.process.try_wait().because(|| "watch a firewall".into())? {
            None => Ok(()),
            Some(status) => {
                fail(format!("{} ended by itself ({status}):\n{}", self.name(), self.last_words()))
            }
        }
    }

    /// For sentences.
    pub fn name(&self) -> &'static str {
        self.letter.name()
    }

    fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let shown = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
        format!("  {}\n  (all of it: {})", shown.join("\n  "), self.log.display())
    }
}

fn lanes_of(letter: Letter, arguments: &Arguments) -> u32 {
    arguments.lanes_b.filter(|_| letter == Letter::B).unwrap_or(arguments.lanes)
}

fn eal_arguments(letter: Letter, namespaces: &Namespaces, lanes: u32) -> Vec<String> {
    let mut arguments: Vec<String> = vec![
        format!("--lcores={}", lcores(lanes)),
        "--no-huge".into(),
        "-m".into(),
        MEMORY_MB.into(),
        "--no-pci".into(),
        "--no-telemetry".into(),
        "--file-prefix".into(),
        format!("{}-{}", namespaces.prefix(), letter.small()),
    ];
    for (index, interface) in FIREWALL_INTERFACES.iter().enumerate() {
        // Frames of the sync link all belong to one queue: they have no ports to spread by.
        // And they take the way on which tcpdump hears what is sent, not only what comes.
        let queues = match *interface {
            "sync" => "qpairs=1,qdisc_bypass=0".to_owned(),
            _ => format!("qpairs={lanes}"),
        };
        arguments.push(format!("--vdev=net_af_packet{index},iface={interface},framecnt=4096,{queues}"));
    }
    arguments
}

/// One lcore a lane, each free to run on any of the processors that we may use: they are shared with everything
/// else here, and the scheduler knows better than a fixed place.
fn lcores(lanes: u32) -> String {
    let processors = processors().join(",");
    (0..lanes).map(|lane| format!("{lane}@({processors})")).collect::<Vec<_>>().join(",")
}

fn processors() -> Vec<String> {
    let Ok(set) = rustix::thread::sched_getaffinity(None) else { return vec!["0".into()] };
    let most = rustix::thread::CpuSet::MAX_CPU;
    (0..most).filter(|&number| set.is_set(number)).map(|number| number.to_string()).collect()
}

/// Where a firewall's journal is, when it keeps one.
pub fn journal(letter: Letter, arguments: &Arguments) -> PathBuf {
    arguments.out.join(format!("firewall-{}.journal", letter.small()))
}

fn own_arguments(
    letter: Letter,
    role: &str,
    rules: &Path,
    control: &Path,
    arguments: &Arguments,
) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut say =
        |option: &str, value: &dyn std::fmt::Display| words.extend([option.into(), value.to_string()]);
    for (port, interface) in FIREWALL_INTERFACES.iter().enumerate() {
        say(&format!("--{interface}"), &port);
    }
    INSIDE_ADDRESSES.iter().for_each(|address| say("--inside-address", address));
    OUTSIDE_ADDRESSES.iter().for_each(|address| say("--outside-address", address));
    say("--inside-mac", &INSIDE_MAC);
    say("--outside-mac", &OUTSIDE_MAC);
    say("--sync-address", &letter.sync_address());
    say("--rules", &rules.display());
    say("--lanes", &lanes_of(letter, arguments));
    say("--states", &STATES_PER_LANE);
    say("--control", &control.display());
    say("--role", &role);
    if arguments.journal {
        say("--journal", &journal(letter, arguments).display());
    }
    if arguments.defer_ms > 0 {
        say("--defer-ms", &arguments.defer_ms);
        say("--defer-most", &MAX_DEFER);
    }
    if !arguments.mode.replicates() {
        words.push("--no-sync".into());
    }
    words
}

/// What each thread of a process does: its name, whether it runs (R) or sleeps (S, D), and where in the kernel.
fn threads_of(process: u32) -> String {
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let told = |thread: fs::DirEntry| {
        let status = read(&thread.path().join("status"));
        let state = status.lines().find_map(|line| line.strip_prefix("State:")).unwrap_or("gone").trim();
        format!("{}: {state} in {}", read(&thread.path().join("comm")), read(&thread.path().join("wchan")))
    };
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    threads.map(told).collect::<Vec<_>>().join("; ")
}
