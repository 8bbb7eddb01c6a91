//! The demonstration's network with a cable of ours at either end, and the kernel's settings for TCP.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use pfplane_demo::command;
use pfplane_demo::failure::Outcome;
use pfplane_demo::namespaces::{Namespaces, Place};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A port of an end in the switch, the new interface beside it, the peer of that on the bridge, the bridge.
const CABLES: [[&str; 4]; 2] =
    [["client", "cable-c", "bridge-c", "left"], ["server", "cable-s", "bridge-s", "right"]];

/// The two interfaces that the cable of the client (0) or the server (1) joins.
pub fn cable(side: usize) -> [&'static str; 2] {
    [CABLES[side][0], CABLES[side][1]]
}

/// Takes both ends off their bridges and puts a pair of interfaces between, for [`crate::impairment`] to join.
pub fn cut(namespaces: &Namespaces) -> Outcome<()> {
    let cut = |[port, near, far, bridge]: &[&str; 4]| {
        format!(
            "link set {port} nomaster\nlink add {near} type veth peer name {far}\nlink set {far} master {bridge}\n\
             link set {near} up\nlink set {far} up\n"
        )
    };
    let lines: String = CABLES.iter().map(cut).collect();
    command::feed("ip", &["-n", &namespaces.name(Place::Switch), "-batch", "-"], &lines).map(drop)
}

/// However many repetitions are lost in a row, no end gives up before its connection's own time is over: by default a SYN
/// is given up after six, its answer after five, and among so many connections that comes.
const PATIENCE: [&str; 4] = [
    "net.ipv4.tcp_syn_retries=127",
    "net.ipv4.tcp_synack_retries=250",
    "net.ipv4.tcp_retries2=250",
    "net.ipv4.tcp_orphan_retries=250",
];

/// Without timestamps a sender that loses several of its repetitions waits twice as long each time, up to two minutes, and
/// a window of a few octets is probed five times a second. That is no fault of anybody's, but nobody has so much time:
/// between 60 ms and a second, where the kernel can be told (Linux 6.15).
const HASTE: [&str; 2] = ["net.ipv4.tcp_rto_min_us=60000", "net.ipv4.tcp_rto_max_ms=1000"];

/// Has both ends' kernels say everything again soon, and as often as it takes.
pub fn be_persistent(namespaces: &Namespaces) -> Outcome<()> {
    let mut settings = PATIENCE.to_vec();
    if Path::new("/proc/sys/net/ipv4/tcp_rto_max_ms").exists() {
        settings.extend(HASTE);
    }
    for place in [Place::Client, Place::Server] {
        let name = namespaces.name(place);
        let words = [&["netns", "exec", &name, "sysctl", "-q", "-w"][..], &settings].concat();
        command::run("ip", &words)?;
    }
    Ok(())
}

/// What both ends' kernels do in one phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phase {
    /// Window scaling, at the client and at the server.
    pub scaling: [bool; 2],
    /// SACK.
    pub sack: [bool; 2],
    /// Timestamps.
    pub timestamps: [bool; 2],
}

/// How many there are.
pub const PHASES: u32 = 8;

impl Phase {
    /// The client goes through all eight; the server refuses one of the three in every other phase, a different one
    /// each time.
    pub fn number(phase: u32) -> Phase {
        let offers = |bit: u32| [phase >> bit & 1 == 0, phase.is_multiple_of(2) || phase / 2 % 3 != bit];
        Phase { scaling: offers(0), sack: offers(1), timestamps: offers(2) }
    }

    /// Sets it in both namespaces; for connections to come.
    pub fn apply(self, namespaces: &Namespaces) -> Outcome<()> {
        for (side, place) in [Place::Client, Place::Server].into_iter().enumerate() {
            let name = namespaces.name(place);
            let setting = |name: &str, value: bool| format!("net.ipv4.tcp_{name}={}", u8::from(value));
            let settings = [
                setting("window_scaling", self.scaling[side]),
                setting("sack", self.sack[side]),
                setting("timestamps", self.timestamps[side]),
            ];
            let mut words = vec!["netns", "exec", &name, "sysctl", "-q", "-w"];
            words.extend(settings.iter().map(String::as_str));
            command::run("ip", &words)?;
        }
        Ok(())
    }

    /// For the screen.
    pub fn words(self) -> String {
        let word = |name: &str, [client, server]: [bool; 2]| {
            format!("{name} {}/{}", if client { "on" } else { "off" }, if server { "on" } else { "off" })
        };
        [word("scaling", self.scaling), word("SACK", self.sack), word("timestamps", self.timestamps)]
            .join(", ")
    }
}

/// Moves the calling thread into a namespace, for good.
pub fn enter(namespaces: &Namespaces, place: Place) -> io::Result<()> {
    let file = File::open(Path::new("/run/netns").join(namespaces.name(place)))?;
    Ok(move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_goes_through_all_eight_and_the_server_refuses_each_once_at_least() {
        let phases: Vec<Phase> = (0..PHASES).map(Phase::number).collect();
        let client = |phase: &Phase| [phase.scaling[0], phase.sack[0], phase.timestamps[0]];
        for (number, phase) in phases.iter().enumerate() {
            assert!(phases[..number].iter().all(|earlier| client(earlier) != client(phase)));
        }
        for refused in [|p: &Phase| p.scaling, |p: &Phase| p.sack, |p: &Phase| p.timestamps] {
            assert!(phases.iter().any(|phase| !refused(phase)[1]));
            assert!(phases.iter().any(|phase| refused(phase) == [true, true]));
        }
    }
}
