//! One firewall process: start, status, kill, orderly exit.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal};

use super::{Control, ELECTION_ID, Exposure, Node, PASSPHRASE, Protocol, Settings, Status, scheduling};
use crate::clock::{self, Nanos, SECOND};
use crate::failure::{Context, Fallible, fail};
use crate::network::{
    FIREWALL_INTERFACES, INSIDE_ADDRESSES, INSIDE_MAC, Network, OUTSIDE_ADDRESSES, OUTSIDE_MAC,
    SHARED_LINK_LOCAL,
};
use crate::router::Peer;

const STATES_PER_LANE: u32 = 32_768;
/// Packets that a lane holds at most; the fastest run opens 500 connections a second, each held for milliseconds.
const MAX_DEFER: u32 = 1024;
const READY_TIMEOUT: Nanos = 20 * SECOND;
const EXIT_TIMEOUT: Nanos = 10 * SECOND;
const POLL_INTERVAL: Duration = Duration::from_millis(20);
const LOG_LINES_SHOWN: usize = 12;

/// A running firewall.
pub struct Firewall {
    node: Node,
    process: Child,
    log: PathBuf,
    exposure: PathBuf,
    /// Its control socket.
    pub control: Control,
}

impl Firewall {
    /// Starts A as the master or B as the backup, or lets them elect; it is not ready yet.
    pub fn start(node: Node, network: &Network, settings: &Settings) -> Fallible<Firewall> {
        let role = if node == Node::A { "master" } else { "backup" };
        let log = format!("firewall-{}.log", node.letter());
        match &settings.program_before {
            None => Firewall::spawn(role, &log, node, network, settings),
            Some(before) => {
                let settings = Settings { program: before.clone(), seal: false, ..settings.clone() };
                Firewall::spawn(role, &log, node, network, &settings)
            }
        }
    }

    /// Starts a firewall that was killed, as the backup and with another log.
    pub fn restart(node: Node, network: &Network, settings: &Settings) -> Fallible<Firewall> {
        let log = format!("firewall-{}-restarted.log", node.letter());
        Firewall::spawn("backup", &log, node, network, settings)
    }

    fn spawn(
        role: &str,
        log: &str,
        node: Node,
        network: &Network,
        settings: &Settings,
    ) -> Fallible<Firewall> {
        let folder = network.run_folder();
        let rules = folder.join("rules");
        fs::write(&rules, settings.translation.rules()).context(|| format!("write {}", rules.display()))?;
        let passphrase = folder.join("passphrase");
        fs::write(&passphrase, PASSPHRASE).context(|| format!("write {}", passphrase.display()))?;
        let seal_keys = folder.join("seal");
        if settings.seal && !seal_keys.exists() {
            write_seal_key(&seal_keys)?;
        }
        let control = Control::of(node, network);
        let exposure = folder.join(format!("{}.exposure", node.letter()));
        let log = settings.log_folder.join(log);
        let file = File::create(&log).context(|| format!("write {}", log.display()))?;
        let errors = file.try_clone().context(|| "duplicate the log's descriptor")?;
        let program = scheduling::command_line(&settings.program);
        let process = network
            .namespace(node.host())
            .command(program[0])
            .args(&program[1..])
            .args(eal_arguments(node, network, settings))
            .arg("--")
            .args(firewall_arguments(node, role, settings, &passphrase))
            .args(seal_arguments(node, settings, &seal_keys))
            .args([Path::new("--rules"), &rules, Path::new("--control"), control.path()])
            .args([Path::new("--exposure"), &exposure])
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .spawn()
            .context(|| format!("start {}", node.name()))?;
        Ok(Firewall { node, process, log, exposure, control })
    }

    /// Waits until it has loaded its peer's states, or no peer answered.
    pub fn wait_until_ready(&mut self) -> Fallible<Status> {
        self.wait_until(|status| status.ready)
    }

    /// Waits until its status satisfies `condition`.
    pub fn wait_until(&mut self, condition: impl Fn(&Status) -> bool) -> Fallible<Status> {
        let deadline = clock::now() + READY_TIMEOUT;
        loop {
            self.check_running()?;
            // The request fails until the socket exists; only the last error matters.
            let status = self.control.status();
            if let Ok(status) = &status
                && condition(status)
            {
                scheduling::run_first(&self.process)?;
                return Ok(status.clone());
            }
            if clock::now() > deadline {
                let reason = status.map_or_else(|failure| failure.0, |status| format!("{status:?}"));
                return fail(format!("{} does not become ready: {reason}\n{}", self.name(), self.log_end()));
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Sends SIGKILL to the process and waits for its death. Returns the times just before the signal and just after the
    /// exit.
    pub fn kill(&mut self) -> Fallible<(Nanos, Nanos)> {
        let before = self.send_kill()?;
        Ok((before, self.wait_for_death()?))
    }

    /// Sends SIGKILL to the process. Returns the time just before. On a busy machine it takes a while to die.
    pub fn send_kill(&mut self) -> Fallible<Nanos> {
        self.check_running()?;
        let before = clock::now();
        self.process.kill().context(|| format!("kill {}", self.name()))?;
        Ok(before)
    }

    /// Waits until a killed process has exited. Returns the time just after.
    pub fn wait_for_death(&mut self) -> Fallible<Nanos> {
        let status = self.process.wait().context(|| format!("wait for {}", self.name()))?;
        if status.signal().is_none() {
            let (name, log) = (self.name(), self.log_end());
            return fail(format!("{name} had exited before it was killed ({status}):\n{log}"));
        }
        Ok(clock::now())
    }

    /// Stops the process as a debugger or a migration of its virtual machine does, or continues it.
    pub fn pause(&mut self, paused: bool) -> Fallible<()> {
        self.check_running()?;
        let signal = if paused { Signal::STOP } else { Signal::CONT };
        rustix::process::kill_process(Pid::from_child(&self.process), signal)
            .context(|| format!("{} {}", if paused { "pause" } else { "continue" }, self.name()))
    }

    /// Another firewall has taken over from it: its end must not keep the processor from that one.
    pub fn run_last(&self) {
        scheduling::run_last(&self.process);
    }

    /// Reads its exposure; also after its death.
    pub fn exposure(&self) -> Fallible<Exposure> {
        Exposure::read(&self.exposure)
    }

    /// Sends SIGTERM, which makes a master hand over before it exits.
    pub fn terminate(&mut self) -> Fallible<()> {
        self.check_running()?;
        rustix::process::kill_process(Pid::from_child(&self.process), Signal::TERM)
            .context(|| format!("terminate {}", self.name()))
    }

    /// Waits for an exit that was requested. The exit status says whether every buffer was returned to the pool.
    pub fn wait_for_exit(&mut self) -> Fallible<ExitStatus> {
        let deadline = clock::now() + EXIT_TIMEOUT;
        while clock::now() < deadline {
            if let Some(status) = self.process.try_wait().context(|| format!("watch {}", self.name()))? {
                return Ok(status);
            }
            thread::sleep(POLL_INTERVAL);
        }
        fail(format!("{} does not exit: {}", self.name(), threads_of(self.process.id())))
    }

    /// Requests an orderly exit. The exit status says whether every buffer was returned to the pool.
    pub fn quit(&mut self) -> Fallible<ExitStatus> {
        self.control.request("quit")?;
        self.wait_for_exit()
    }

    /// Fails when the process has exited.
    pub fn check_running(&mut self) -> Fallible<()> {
        match self.process.try_wait().context(|| format!("watch {}", self.name()))? {
            None => Ok(()),
            Some(status) => {
                fail(format!("{} exited unexpectedly ({status}):\n{}", self.name(), self.log_end()))
            }
        }
    }

    /// Returns its name for messages.
    pub fn name(&self) -> &'static str {
        self.node.name()
    }

    fn log_end(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let shown = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
        format!("  {}\n  (full log: {})", shown.join("\n  "), self.log.display())
    }
}

/// EAL's memory: packet buffers of each lane (8192 of 2.5 kB), queues of the ports, and the rest.
const fn memory_mb(lanes: u32) -> u32 {
    128 + 32 * lanes
}

fn eal_arguments(node: Node, network: &Network, settings: &Settings) -> Vec<String> {
    let lanes = settings.lanes[node as usize];
    let mut arguments: Vec<String> = vec![
        format!("--lcores={}", lcores(lanes)),
        "--no-huge".into(),
        "-m".into(),
        memory_mb(lanes).to_string(),
        "--no-pci".into(),
        "--no-telemetry".into(),
        "--file-prefix".into(),
        format!("{}-{}", network.prefix(), node.letter()),
    ];
    for (index, interface) in FIREWALL_INTERFACES.iter().enumerate() {
        // pfsync frames have no ports to spread over queues, and tcpdump sees only what passes the qdisc.
        let queues = match *interface {
            "sync" => "qpairs=1,qdisc_bypass=0".to_owned(),
            _ => format!("qpairs={lanes}"),
        };
        arguments.push(format!("--vdev=net_af_packet{index},iface={interface},framecnt=4096,{queues}"));
    }
    arguments
}

/// Assigns one lcore per lane, each free to run on any processor: they are shared with other programs, so the scheduler
/// places them better than fixed affinities.
fn lcores(lanes: u32) -> String {
    let processors = processors().join(",");
    (0..lanes).map(|lane| format!("{lane}@({processors})")).collect::<Vec<_>>().join(",")
}

fn processors() -> Vec<String> {
    let Ok(set) = rustix::thread::sched_getaffinity(None) else { return vec!["0".into()] };
    let numbers = 0..rustix::thread::CpuSet::MAX_CPU;
    numbers.filter(|&number| set.is_set(number)).map(|number| number.to_string()).collect()
}

fn firewall_arguments(node: Node, role: &str, settings: &Settings, passphrase: &Path) -> Vec<String> {
    let mut arguments: Vec<String> = Vec::new();
    let mut add =
        |option: &str, value: &dyn std::fmt::Display| arguments.extend([option.into(), value.to_string()]);
    for (port, interface) in FIREWALL_INTERFACES.iter().enumerate() {
        add(&format!("--{interface}"), &port);
    }
    let [inside, outside] = shared_addresses(settings.peer);
    inside.iter().for_each(|address| add("--inside-address", address));
    outside.iter().for_each(|address| add("--outside-address", address));
    add("--sync-address", &node.sync_address());
    add("--lanes", &settings.lanes[node as usize]);
    add("--states", &STATES_PER_LANE);
    if let Some(election) = settings.election {
        let [inside, outside] = node.own_addresses();
        add("--election", &dialect(election.protocol, settings.peer));
        add("--election-id", &ELECTION_ID);
        add("--priority", &election.priority(node));
        add("--interval-ms", &election.interval_ms);
        add("--inside-own", &inside);
        add("--outside-own", &outside);
        if election.protocol == Protocol::Carp {
            add("--passphrase-file", &passphrase.display());
        }
        if settings.peer == Some(Peer::Ucarp) {
            // ucarp answers ARP with the port's own address.
            add("--election-mac", &"own");
        }
    } else {
        add("--inside-mac", &INSIDE_MAC);
        add("--outside-mac", &OUTSIDE_MAC);
        add("--role", &role);
    }
    if settings.event_log {
        add("--event-log", &settings.event_log_of(node).display());
    }
    if settings.defer_ms > 0 {
        add("--defer-ms", &settings.defer_ms);
        add("--max-defer", &MAX_DEFER);
    }
    if !settings.replicates {
        arguments.push("--no-sync".into());
    }
    arguments
}

/// Returns the shared addresses inside and outside: those that the peer can have, and a link-local one, which VRRP over IPv6 lists
/// first.
fn shared_addresses(peer: Option<Peer>) -> [Vec<String>; 2] {
    [0, 1].map(|side| {
        let [v4, v6] = [INSIDE_ADDRESSES, OUTSIDE_ADDRESSES][side].map(str::to_owned);
        match peer {
            None => vec![v4, v6],
            Some(Peer::Keepalived) => vec![v4, format!("{}/64", SHARED_LINK_LOCAL[side]), v6],
            Some(Peer::Ucarp) => vec![v4],
        }
    })
}

/// ucarp counts its adverts, as FreeBSD does.
fn dialect(protocol: Protocol, peer: Option<Peer>) -> &'static str {
    if peer == Some(Peer::Ucarp) { "freebsd" } else { protocol.name() }
}

/// Both firewalls read this file, which holds one random key.
fn write_seal_key(path: &Path) -> Fallible<()> {
    let mut key = [0; 32];
    let random = File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut key));
    random.context(|| "read /dev/urandom")?;
    let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| writeln!(file, "1 {hex}"));
    written.context(|| format!("write {}", path.display()))
}

fn seal_arguments(node: Node, settings: &Settings, keys: &Path) -> Vec<String> {
    if !settings.seal {
        return Vec::new();
    }
    let peer = node.other().sync_address();
    let mut arguments =
        ["--seal-key", &keys.display().to_string(), "--sync-allow", peer].map(str::to_owned).to_vec();
    if settings.program_before.is_some() {
        // The other firewall may be of the build without a seal.
        arguments.extend(["--seal", "sign"].map(str::to_owned));
    }
    arguments
}

/// Describes each thread of a process: its name, its scheduling state (R, S, D) and its kernel wait channel.
fn threads_of(process: u32) -> String {
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let describe = |thread: fs::DirEntry| {
        let status = read(&thread.path().join("status"));
        let state = status.lines().find_map(|line| line.strip_prefix("State:")).unwrap_or("gone").trim();
        format!("{}: {state} in {}", read(&thread.path().join("comm")), read(&thread.path().join("wchan")))
    };
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    threads.map(describe).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::memory_mb;

    #[test]
    fn memory_grows_with_the_packet_buffers_of_the_lanes() {
        for lanes in [1, 2, 4, 8, 16] {
            let buffers_mb = lanes * 8192 * 2500 / 1_000_000;
            assert!(memory_mb(lanes) > buffers_mb * 3 / 2, "{lanes} lanes");
        }
        assert_eq!(memory_mb(4), 256);
    }
}
