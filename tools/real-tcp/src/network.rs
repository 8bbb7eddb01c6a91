//! The testbed's network with a bad cable at either end, and the kernels' TCP settings.

use std::path::Path;

use pfplane_testbed::failure::Fallible;
use pfplane_testbed::network::{Host, Network};

/// An endpoint's port in the switch, the new interface beside it, its peer on the bridge, the bridge.
const CABLES: [[&str; 4]; 2] =
    [["client", "cable-c", "bridge-c", "left"], ["server", "cable-s", "bridge-s", "right"]];

/// Returns the two interfaces that the cable of the client (0) or the server (1) connects.
pub(crate) fn cable_interfaces(side: usize) -> [&'static str; 2] {
    [CABLES[side][0], CABLES[side][1]]
}

/// Takes both endpoints off their bridges and inserts interfaces for [`crate::cable`].
pub(crate) fn insert_cables(network: &Network) -> Fallible<()> {
    let insert = |[port, near, far, bridge]: &[&str; 4]| {
        format!(
            "link set {port} nomaster\nlink add {near} type veth peer name {far}\nlink set {far} master {bridge}\n\
             link set {near} up\nlink set {far} up\n"
        )
    };
    network.namespace(Host::Switch).ip(&CABLES.iter().map(insert).collect::<String>())
}

/// Makes TCP retry until the connection's own time limit. By default a SYN is abandoned after six retries and its answer
/// after five, and with this many connections that happens.
const MANY_RETRIES: [&str; 4] = [
    "net.ipv4.tcp_syn_retries=127",
    "net.ipv4.tcp_synack_retries=250",
    "net.ipv4.tcp_retries2=250",
    "net.ipv4.tcp_orphan_retries=250",
];

/// Limits retransmission timeouts to 60 ms to 1 s, where the kernel supports it (Linux 6.15). Otherwise a sender that
/// loses several retransmissions waits up to two minutes.
const FAST_RETRIES: [&str; 2] = ["net.ipv4.tcp_rto_min_us=60000", "net.ipv4.tcp_rto_max_ms=1000"];

/// Makes the kernels of both endpoints retransmit soon and persistently.
pub(crate) fn set_retries(network: &Network) -> Fallible<()> {
    let mut settings = MANY_RETRIES.to_vec();
    if Path::new("/proc/sys/net/ipv4/tcp_rto_max_ms").exists() {
        settings.extend(FAST_RETRIES);
    }
    [Host::Client, Host::Server].iter().try_for_each(|host| network.namespace(*host).set_sysctls(&settings))
}

/// The TCP options of a phase of the run, at the client and at the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Phase {
    pub scaling: [bool; 2],
    pub sack: [bool; 2],
    pub timestamps: [bool; 2],
}

pub(crate) const PHASES: u32 = 8;

impl Phase {
    /// Returns a phase. The client uses all eight combinations; the server disables one of the three options in every
    /// other phase, a different one each time.
    pub(crate) fn number(phase: u32) -> Phase {
        let offers = |bit: u32| [phase >> bit & 1 == 0, phase.is_multiple_of(2) || phase / 2 % 3 != bit];
        Phase { scaling: offers(0), sack: offers(1), timestamps: offers(2) }
    }

    /// Applies it to later connections of both namespaces.
    pub(crate) fn apply(self, network: &Network) -> Fallible<()> {
        for (side, host) in [Host::Client, Host::Server].into_iter().enumerate() {
            let setting = |name: &str, value: bool| format!("net.ipv4.tcp_{name}={}", u8::from(value));
            let settings = [
                setting("window_scaling", self.scaling[side]),
                setting("sack", self.sack[side]),
                setting("timestamps", self.timestamps[side]),
            ];
            network.namespace(host).set_sysctls(&settings.each_ref().map(String::as_str))?;
        }
        Ok(())
    }

    /// Describes it.
    pub(crate) fn text(self) -> String {
        let option = |name: &str, [client, server]: [bool; 2]| {
            format!("{name} {}/{}", if client { "on" } else { "off" }, if server { "on" } else { "off" })
        };
        [option("scaling", self.scaling), option("SACK", self.sack), option("timestamps", self.timestamps)]
            .join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_uses_all_combinations_and_the_server_disables_each_option() {
        let phases: Vec<Phase> = (0..PHASES).map(Phase::number).collect();
        let client = |phase: &Phase| [phase.scaling[0], phase.sack[0], phase.timestamps[0]];
        for (number, phase) in phases.iter().enumerate() {
            assert!(phases[..number].iter().all(|earlier| client(earlier) != client(phase)));
        }
        for option in [|p: &Phase| p.scaling, |p: &Phase| p.sack, |p: &Phase| p.timestamps] {
            assert!(phases.iter().any(|phase| !option(phase)[1]));
            assert!(phases.iter().any(|phase| option(phase) == [true, true]));
        }
    }
}
