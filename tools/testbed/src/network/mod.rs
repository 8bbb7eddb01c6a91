//! The network: five namespaces, separate from the machine's own network.
//!
//! ```text
//!   client ── left bridge ──┬── inside  firewall A  outside ──┬── right bridge ── server
//!                           │              │ sync             │
//!                           │              │ (direct)         │
//!                           └── inside  firewall B  outside ──┘
//! ```
//!
//! Both bridges are in the fifth namespace, `switch`. The firewalls' interfaces have no kernel addresses and no IPv6:
//! only DPDK receives from them.

pub mod cleanup;
mod namespace;
mod packet_socket;

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

pub use namespace::Namespace;
pub use packet_socket::PacketSocket;

use crate::clock::{self, Nanos};
use crate::command;
use crate::failure::{Context, Fallible};

/// The client's address, IPv4.
pub const CLIENT_V4: &str = "10.1.0.10";
/// The server's address, IPv4.
pub const SERVER_V4: &str = "10.2.0.20";
/// The client's address, IPv6.
pub const CLIENT_V6: &str = "fd00:1::10";
/// The server's address, IPv6.
pub const SERVER_V6: &str = "fd00:2::20";
/// The firewalls' shared inside addresses.
pub const INSIDE_ADDRESSES: [&str; 2] = ["10.1.0.1/24", "fd00:1::1/64"];
/// The firewalls' shared outside addresses.
pub const OUTSIDE_ADDRESSES: [&str; 2] = ["10.2.0.1/24", "fd00:2::1/64"];
/// The link-local addresses that they share inside and outside with a peer that needs them.
pub const SHARED_LINK_LOCAL: [&str; 2] = ["fe80::101", "fe80::102"];
/// The firewalls' shared inside MAC address.
pub const INSIDE_MAC: &str = "00:00:5e:00:01:01";
/// The firewalls' shared outside MAC address.
pub const OUTSIDE_MAC: &str = "00:00:5e:00:01:02";

/// The interfaces of a firewall, in the order of its DPDK ports.
pub const FIREWALL_INTERFACES: [&str; 3] = ["inside", "outside", "sync"];

/// The role of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// Opens the connections.
    Client,
    /// Accepts the connections.
    Server,
    /// The first master.
    FirewallA,
    /// The first backup.
    FirewallB,
    /// Holds the two bridges.
    Switch,
}

const HOSTS: [(Host, &str); 5] = [
    (Host::Client, "client"),
    (Host::Server, "server"),
    (Host::FirewallA, "fw-a"),
    (Host::FirewallB, "fw-b"),
    (Host::Switch, "switch"),
];

/// The namespaces of one run.
#[derive(Clone, Debug)]
pub struct Network {
    prefix: String,
}

impl Network {
    /// Names the network of the run `suffix`; this creates nothing.
    pub fn named(suffix: &str) -> Network {
        Network { prefix: format!("pfp-{suffix}") }
    }

    /// Returns `pfp-SUFFIX`, with which the names of all that the run creates begin.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Returns the folder for sockets and rules: a short path, as Unix socket addresses need.
    pub fn run_folder(&self) -> PathBuf {
        Path::new("/run").join(&self.prefix)
    }

    /// Returns a host's namespace.
    pub fn namespace(&self, host: Host) -> Namespace {
        let (_, name) = HOSTS.iter().find(|(other, _)| *other == host).expect("every host has a name");
        Namespace::named(format!("{}-{name}", self.prefix))
    }

    /// Returns all namespaces.
    pub fn namespaces(&self) -> Vec<Namespace> {
        HOSTS.iter().map(|&(host, _)| self.namespace(host)).collect()
    }

    /// Creates the run folder, the namespaces and the links. [`cleanup::Cleanup`] removes them.
    pub fn create(&self) -> Fallible<()> {
        let folder = self.run_folder();
        let mut builder = std::fs::DirBuilder::new();
        builder.mode(0o700).create(&folder).context(|| format!("create {}", folder.display()))?;
        for (host, _) in HOSTS {
            self.namespace(host).create()?;
            self.namespace(host).set_sysctls(sysctls_of(host))?;
        }
        self.ip(Host::Switch, &bridges())?;
        self.ip(Host::Client, &self.links_to_switch(&[("eth0", "client")]))?;
        self.ip(Host::Server, &self.links_to_switch(&[("eth0", "server")]))?;
        self.ip(Host::FirewallA, &self.links_to_switch(&[("inside", "a-in"), ("outside", "a-out")]))?;
        self.ip(Host::FirewallB, &self.links_to_switch(&[("inside", "b-in"), ("outside", "b-out")]))?;
        self.ip(Host::FirewallA, &self.sync_link())?;
        self.ip(Host::FirewallB, "link set lo up\nlink set sync up\n")?;
        self.ip(Host::Switch, &switch_ports())?;
        self.ip(Host::Client, &addresses(CLIENT_V4, CLIENT_V6, INSIDE_ADDRESSES))?;
        self.ip(Host::Server, &addresses(SERVER_V4, SERVER_V6, OUTSIDE_ADDRESSES))?;
        self.disable_offload(Host::Client)?;
        self.disable_offload(Host::Server)
    }

    /// Cuts the sync link at firewall A, or restores it; B's carrier follows.
    pub fn set_sync_link(&self, up: bool) -> Fallible<()> {
        self.ip(Host::FirewallA, if up { "link set sync up\n" } else { "link set sync down\n" })
    }

    /// Cuts all links between the firewalls, or restores them: the sync link, and the switch passes nothing from one to the
    /// other. Client and server still reach both. Returns for how long the switch was being changed.
    pub fn set_partition(&self, cut: bool) -> Fallible<Nanos> {
        let isolated = if cut { "on" } else { "off" };
        let ports = ["a-in", "a-out", "b-in", "b-out"];
        let lines: String =
            ports.iter().map(|port| format!("link set dev {port} isolated {isolated}\n")).collect();
        let switch = self.namespace(Host::Switch);
        let start = clock::now();
        command::run_with_input("bridge", &["-n", switch.name(), "-batch", "-"], &lines)?;
        let duration = clock::now() - start;
        self.set_sync_link(!cut)?;
        Ok(duration)
    }

    /// Deletes a host's default routes, so that it reaches its own subnet only.
    pub fn delete_default_routes(&self, host: Host) -> Fallible<()> {
        let namespace = self.namespace(host);
        ["-4", "-6"].iter().try_for_each(|family| {
            command::run("ip", &["-n", namespace.name(), family, "route", "del", "default"]).map(drop)
        })
    }

    /// Deletes a host's addresses of a family, `-4` or `-6`, and with them its routes.
    pub fn delete_addresses(&self, host: Host, family: &str) -> Fallible<()> {
        let namespace = self.namespace(host);
        let flush = ["-n", namespace.name(), family, "address", "flush", "dev", "eth0"];
        command::run("ip", &flush).map(drop)
    }

    fn ip(&self, host: Host, lines: &str) -> Fallible<()> {
        self.namespace(host).ip(lines)
    }

    /// Returns the commands that create veth pairs between a host's interfaces and ports of the switch.
    fn links_to_switch(&self, links: &[(&str, &str)]) -> String {
        let switch = self.namespace(Host::Switch);
        let pair = |(interface, port): &(&str, &str)| {
            format!(
                "link add {interface} type veth peer name {port} netns {}\nlink set {interface} up\n",
                switch.name()
            )
        };
        links.iter().map(pair).collect::<String>() + "link set lo up\n"
    }

    fn sync_link(&self) -> String {
        let other = self.namespace(Host::FirewallB);
        format!("link add sync type veth peer name sync netns {}\nlink set sync up\n", other.name())
    }

    /// Turns offload off. With checksum offload, veth passes on frames without checksums; DPDK forwards them unchanged and
    /// the receiver drops them. With segmentation offload, frames exceed a DPDK buffer.
    fn disable_offload(&self, host: Host) -> Fallible<()> {
        let off = ["ethtool", "-K", "eth0", "tx", "off", "tso", "off", "gso", "off", "gro", "off"];
        self.namespace(host).run(&off).map(drop)
    }
}

fn sysctls_of(host: Host) -> &'static [&'static str] {
    match host {
        Host::FirewallA | Host::FirewallB | Host::Switch => {
            &["net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"]
        }
        Host::Client | Host::Server => &[
            "net.ipv4.conf.all.rp_filter=0",
            "net.ipv4.conf.default.rp_filter=0",
            "net.ipv6.conf.all.accept_dad=0",
            "net.ipv6.conf.default.accept_dad=0",
            "net.ipv6.conf.default.accept_ra=0",
            "net.ipv6.conf.default.router_solicitations=0",
            "net.ipv4.ping_group_range=0 2147483647",
        ],
    }
}

fn bridges() -> String {
    let bridge = |name: &str| {
        format!(
            "link add {name} type bridge stp_state 0 forward_delay 0 mcast_snooping 0\nlink set {name} up\n"
        )
    };
    bridge("left") + &bridge("right")
}

fn switch_ports() -> String {
    const PORTS: [(&str, &str); 6] = [
        ("client", "left"),
        ("a-in", "left"),
        ("b-in", "left"),
        ("server", "right"),
        ("a-out", "right"),
        ("b-out", "right"),
    ];
    PORTS
        .iter()
        .map(|(port, bridge)| format!("link set {port} master {bridge}\nlink set {port} up\n"))
        .collect()
}

fn addresses(v4: &str, v6: &str, gateways: [&str; 2]) -> String {
    let [gateway_v4, gateway_v6] = gateways.map(|prefix| prefix.split('/').next().unwrap_or(prefix));
    format!(
        "addr add {v4}/24 dev eth0\naddr add {v6}/64 dev eth0 nodad\n\
         route add default via {gateway_v4}\nroute add default via {gateway_v6} dev eth0\n"
    )
}
