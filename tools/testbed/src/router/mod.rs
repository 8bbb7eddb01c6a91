//! A router that is not ours in place of firewall B: the kernel forwards without states, keepalived or ucarp elects.

mod keepalived;
mod ucarp;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::clock::{self, MILLISECOND, Nanos, SECOND};
use crate::failure::{Context, Fallible, fail};
use crate::firewall::{Election, NO_ANSWER, Node, Protocol, TakeoverBound};
use crate::network::{Host, Namespace, Network};

/// Which daemon elects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// VRRPv3 over IPv4 and IPv6.
    Keepalived,
    /// CARP over IPv4, all that ucarp can do.
    Ucarp,
}

/// How long to wait until a process has exited, and between two looks.
const EXIT_TIMEOUT: Nanos = 5 * SECOND;
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// The delays of a machine that other programs share.
const MACHINE: Nanos = 50 * MILLISECOND;
/// ucarp reads adverts through libpcap, which may keep one for a second.
const LIBPCAP: Nanos = SECOND;

impl Peer {
    /// Returns the peer of this name.
    pub fn from_name(name: &str) -> Option<Peer> {
        [Peer::Keepalived, Peer::Ucarp].into_iter().find(|peer| peer.name() == name)
    }

    /// Returns its name: the program's and the Debian package's.
    pub fn name(self) -> &'static str {
        match self {
            Peer::Keepalived => "keepalived",
            Peer::Ucarp => "ucarp",
        }
    }

    /// Returns the protocol that it speaks.
    pub fn protocol(self) -> Protocol {
        match self {
            Peer::Keepalived => Protocol::Vrrp,
            Peer::Ucarp => Protocol::Carp,
        }
    }

    /// Returns the usual interval between its adverts.
    pub fn default_interval_ms(self) -> u32 {
        match self {
            Peer::Keepalived => 100,
            Peer::Ucarp => 1000,
        }
    }

    /// Whether it passes IPv6.
    pub fn has_ipv6(self) -> bool {
        self == Peer::Keepalived
    }

    /// Returns when its first advert is expected after firewall A has died, without delays.
    pub fn takeover_bound(self, election: Election) -> TakeoverBound {
        let bound = election.takeover_bound(Node::B);
        match self {
            Peer::Keepalived => bound,
            // It adds its skew to each of the three intervals.
            Peer::Ucarp => {
                let extra = 2 * SECOND * u64::from(ucarp::skew(election)) / 256;
                TakeoverBound { min: bound.min + extra, max: bound.max + extra }
            }
        }
    }

    /// Returns what its own program and a busy machine may add to the bound.
    pub fn delays(self) -> Nanos {
        match self {
            Peer::Keepalived => MACHINE,
            Peer::Ucarp => MACHINE + LIBPCAP,
        }
    }

    /// Returns the role that the daemon's last message about it names.
    fn role_in(self, log: &str) -> &'static str {
        let (begin, master) = match self {
            Peer::Keepalived => keepalived::ROLE_CHANGE,
            Peer::Ucarp => ucarp::ROLE_CHANGE,
        };
        let last = log.lines().rev().find(|line| line.contains(begin));
        if last.is_some_and(|line| line.contains(master)) { "master" } else { "backup" }
    }
}

/// A running router.
pub struct Router {
    peer: Peer,
    network: Network,
    processes: Vec<Child>,
    roles: RouterRoles,
}

/// Reads the router's role from what its daemons have logged. ucarp has one daemon for each network.
#[derive(Clone, Debug)]
pub struct RouterRoles {
    peer: Peer,
    logs: Vec<PathBuf>,
    is_off: Arc<AtomicBool>,
}

impl RouterRoles {
    /// Returns `master`, `backup`, `master on one network`, or [`NO_ANSWER`] when the router is off.
    pub fn role(&self) -> String {
        if self.is_off.load(Ordering::Relaxed) {
            return NO_ANSWER.into();
        }
        let read = |log: &PathBuf| self.peer.role_in(&fs::read_to_string(log).unwrap_or_default());
        let masters = self.logs.iter().filter(|log| read(log) == "master").count();
        match masters {
            0 => "backup".into(),
            all if all == self.logs.len() => "master".into(),
            _ => "master on one network".into(),
        }
    }
}

impl Router {
    /// Makes firewall B's namespace a router and starts the daemons.
    pub fn start(peer: Peer, network: &Network, election: Election, folder: &Path) -> Fallible<Router> {
        let namespace = network.namespace(Host::FirewallB);
        forward(&namespace, peer)?;
        let mut commands = match peer {
            Peer::Keepalived => vec![keepalived::command(&namespace, election, folder)?],
            Peer::Ucarp => ucarp::commands(&namespace, election, folder)?,
        };
        let (mut processes, mut logs) = (Vec::new(), Vec::new());
        for (index, command) in commands.iter_mut().enumerate() {
            let log = folder.join(format!("{}-{index}.log", peer.name()));
            processes.push(spawn(peer, command, &log)?);
            logs.push(log);
        }
        let roles = RouterRoles { peer, logs, is_off: Arc::default() };
        Ok(Router { peer, network: network.clone(), processes, roles })
    }

    /// Returns what reads its role, for another thread.
    pub fn roles(&self) -> RouterRoles {
        self.roles.clone()
    }

    /// Fails when a daemon has exited.
    pub fn check_running(&mut self) -> Fallible<()> {
        for process in &mut self.processes {
            if let Some(status) = process.try_wait().context(|| format!("watch {}", self.peer.name()))? {
                let logs: Vec<String> = self.roles.logs.iter().map(|log| log.display().to_string()).collect();
                let name = self.peer.name();
                return fail(format!("{name} exited unexpectedly ({status}); see {}", logs.join(", ")));
            }
        }
        Ok(())
    }

    /// Takes its power away: the cables are silent at once, then all its processes are killed. Returns the time before.
    pub fn power_off(&mut self) -> Fallible<Nanos> {
        let begin = clock::now();
        self.network.namespace(Host::Switch).ip("link set b-in down\nlink set b-out down\n")?;
        self.roles.is_off.store(true, Ordering::Relaxed);
        // keepalived's parent restarts a child that dies, and a child whose parent dies says farewell: both at once.
        let deadline = clock::now() + EXIT_TIMEOUT;
        loop {
            let running = self.network.namespace(Host::FirewallB).process_ids()?;
            if running.is_empty() {
                break;
            }
            for pid in running.into_iter().filter_map(Pid::from_raw) {
                // It may have ended meanwhile.
                let _ = kill_process(pid, Signal::KILL);
            }
            // The namespace lists a process that nobody has waited for.
            for process in &mut self.processes {
                let _ = process.try_wait();
            }
            if clock::now() > deadline {
                return fail(format!("{} does not die", self.peer.name()));
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(begin)
    }
}

/// Gives the namespace addresses of its own and makes the kernel forward.
fn forward(namespace: &Namespace, peer: Peer) -> Fallible<()> {
    namespace.set_sysctls(&["net.ipv4.ip_forward=1", "net.ipv4.conf.all.send_redirects=0"])?;
    let [inside, outside] = Node::B.own_addresses();
    namespace.ip(&format!("addr add {inside}/24 dev inside\naddr add {outside}/24 dev outside\n"))?;
    if !peer.has_ipv6() {
        return Ok(());
    }
    namespace.set_sysctls(&[
        "net.ipv6.conf.all.accept_dad=0",
        "net.ipv6.conf.default.accept_dad=0",
        "net.ipv6.conf.inside.accept_dad=0",
        "net.ipv6.conf.outside.accept_dad=0",
        "net.ipv6.conf.inside.disable_ipv6=0",
        "net.ipv6.conf.outside.disable_ipv6=0",
        "net.ipv6.conf.all.forwarding=1",
    ])?;
    namespace.ip("addr add fe80::3/64 dev inside nodad\naddr add fd00:1::3/64 dev inside nodad\n\
         addr add fe80::3/64 dev outside nodad\naddr add fd00:2::3/64 dev outside nodad\n")
}

fn spawn(peer: Peer, command: &mut Command, log: &Path) -> Fallible<Child> {
    let file = File::create(log).context(|| format!("write {}", log.display()))?;
    let errors = file.try_clone().context(|| "duplicate the log's descriptor")?;
    let started = command.stdin(Stdio::null()).stdout(file).stderr(errors).spawn();
    started.context(|| format!("start {}", peer.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_message_about_a_role_counts() {
        let keepalived = "(inside4) Entering BACKUP STATE\n(inside4) Entering MASTER STATE\n(inside6) Entering BACKUP STATE\n";
        assert_eq!(Peer::Keepalived.role_in(keepalived), "master");
        assert_eq!(Peer::Keepalived.role_in("(inside4) Entering BACKUP STATE (init)\n"), "backup");
        let ucarp =
            "[WARNING] Switching to state: BACKUP\n[WARNING] Switching to state: MASTER\n[INFO] Spawning\n";
        assert_eq!(Peer::Ucarp.role_in(ucarp), "master");
        assert_eq!(Peer::Ucarp.role_in(""), "backup");
    }

    #[test]
    fn ucarp_waits_three_skews() {
        let election = Election { protocol: Protocol::Carp, interval_ms: 1000 };
        let TakeoverBound { min, max } = Peer::Ucarp.takeover_bound(election);
        assert_eq!(max, 3 * SECOND + 3 * (SECOND * 14 / 256));
        assert_eq!(max - min, SECOND + SECOND * 4 / 256);
    }

    #[test]
    fn a_peer_is_found_by_its_name() {
        for peer in [Peer::Keepalived, Peer::Ucarp] {
            assert_eq!(Peer::from_name(peer.name()), Some(peer));
        }
        assert_eq!(Peer::from_name("frr"), None);
    }
}
