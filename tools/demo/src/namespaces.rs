//! The network: five namespaces with nothing in common with the machine's own network.
//!
//! ```text
//!   client ── left bridge ──┬── inside  firewall A  outside ──┬── right bridge ── server
//!                           │              │ sync             │
//!                           │              │ (direct)         │
//!                           └── inside  firewall B  outside ──┘
//! ```
//!
//! Both bridges live in the fifth namespace, `switch`. The firewalls' ends carry no address and no IPv6: what
//! arrives there is for DPDK alone.

use crate::command;
use crate::failure::Outcome;

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
/// The firewalls' shared virtual MACs.
pub const INSIDE_MAC: &str = "00:00:5e:00:01:01";
/// The outside one.
pub const OUTSIDE_MAC: &str = "00:00:5e:00:01:02";

/// The interfaces of a firewall, in the order of its DPDK ports.
pub const FIREWALL_INTERFACES: [&str; 3] = ["inside", "outside", "sync"];

/// The part a namespace plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Where connections come from.
    Client,
    /// Where they go.
    Server,
    /// The firewall that is killed.
    FirewallA,
    /// The firewall that takes over.
    FirewallB,
    /// The two bridges.
    Switch,
}

const PLACES: [(Place, &str); 5] = [
    (Place::Client, "client"),
    (Place::Server, "server"),
    (Place::FirewallA, "fw-a"),
    (Place::FirewallB, "fw-b"),
    (Place::Switch, "switch"),
];

/// The namespaces of one run, told apart from another run's by the process id.
#[derive(Clone, Debug)]
pub struct Namespaces {
    prefix: String,
}

impl Namespaces {
    /// The names for run `suffix`; nothing is made yet.
    pub fn named(suffix: &str) -> Namespaces {
        Namespaces { prefix: format!("pfp-{suffix}") }
    }

    /// `pfp-SUFFIX`: also the name of everything else that the run leaves on the machine while it lasts.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The namespace's name.
    pub fn name(&self, place: Place) -> String {
        let (_, word) = PLACES.iter().find(|(other, _)| *other == place).expect("every place has a word");
        format!("{}-{word}", self.prefix)
    }

    /// All names.
    pub fn names(&self) -> Vec<String> {
        PLACES.iter().map(|&(place, _)| self.name(place)).collect()
    }

    /// Makes them all and wires them. Removing is the sweeper's part, whatever happens here.
    pub fn make(&self) -> Outcome<()> {
        for name in self.names() {
            command::run("ip", &["netns", "add", &name])?;
        }
        for (place, _) in PLACES {
            self.set(place, settings_of(place))?;
        }
        self.batch(Place::Switch, &bridges())?;
        self.batch(Place::Client, &self.wire(&[("eth0", "client", "left")]))?;
        self.batch(Place::Server, &self.wire(&[("eth0", "server", "right")]))?;
        self.batch(
            Place::FirewallA,
            &self.wire(&[("inside", "a-in", "left"), ("outside", "a-out", "right")]),
        )?;
        self.batch(
            Place::FirewallB,
            &self.wire(&[("inside", "b-in", "left"), ("outside", "b-out", "right")]),
        )?;
        self.batch(Place::FirewallA, &self.sync_link())?;
        self.batch(Place::FirewallB, "link set lo up\nlink set sync up\n")?;
        self.batch(Place::Switch, &switch_ports())?;
        self.batch(Place::Client, &addresses(CLIENT_V4, CLIENT_V6, INSIDE_ADDRESSES))?;
        self.batch(Place::Server, &addresses(SERVER_V4, SERVER_V6, OUTSIDE_ADDRESSES))?;
        self.no_offload(Place::Client)?;
        self.no_offload(Place::Server)
    }

    /// Cuts the sync link at firewall A's end, or mends it; B sees its carrier go and come.
    pub fn set_sync_link(&self, up: bool) -> Outcome<()> {
        self.batch(Place::FirewallA, if up { "link set sync up\n" } else { "link set sync down\n" })
    }

    /// Takes the way to other networks out of a namespace: only what is on its own link can be answered from there.
    pub fn forget_gateway(&self, place: Place) -> Outcome<()> {
        let name = self.name(place);
        for family in ["-4", "-6"] {
            command::run("ip", &["-n", &name, family, "route", "del", "default"])?;
        }
        Ok(())
    }

    /// Takes all addresses of a family, `-4` or `-6`, from a namespace's end, and with them its routes.
    pub fn forget_family(&self, place: Place, family: &str) -> Outcome<()> {
        let name = self.name(place);
        command::run("ip", &["-n", &name, family, "address", "flush", "dev", "eth0"]).map(drop)
    }

    /// The command line that runs a program inside: `ip` and these arguments, then the program.
    pub fn inside(&self, place: Place) -> [String; 3] {
        ["netns".into(), "exec".into(), self.name(place)]
    }

    fn batch(&self, place: Place, lines: &str) -> Outcome<()> {
        command::feed("ip", &["-n", &self.name(place), "-batch", "-"], lines).map(drop)
    }

    fn set(&self, place: Place, settings: &[&str]) -> Outcome<()> {
        let name = self.name(place);
        let mut arguments = vec!["netns", "exec", &name, "sysctl", "-q", "-w"];
        arguments.extend(settings);
        command::run("ip", &arguments).map(drop)
    }

    /// Lines that make veth pairs from here to a port of the switch.
    fn wire(&self, links: &[(&str, &str, &str)]) -> String {
        let switch = self.name(Place::Switch);
        let pair = |(own, port, _): &(&str, &str, &str)| {
            format!("link add {own} type veth peer name {port} netns {switch}\nlink set {own} up\n")
        };
        links.iter().map(pair).collect::<String>() + "link set lo up\n"
    }

    fn sync_link(&self) -> String {
        let other = self.name(Place::FirewallB);
        format!("link add sync type veth peer name sync netns {other}\nlink set sync up\n")
    }

    /// With checksum offload, veth hands on frames whose checksums nobody has computed; DPDK passes them on as
    /// they are and the far end drops every one. Merged segments would be larger than a DPDK frame.
    fn no_offload(&self, place: Place) -> Outcome<()> {
        let name = self.name(place);
        let ethtool = ["netns", "exec", &name, "ethtool", "-K", "eth0"];
        let off = ["tx", "off", "tso", "off", "gso", "off", "gro", "off"];
        command::run("ip", &[&ethtool[..], &off[..]].concat()).map(drop)
    }
}

fn settings_of(place: Place) -> &'static [&'static str] {
    match place {
        Place::FirewallA | Place::FirewallB | Place::Switch => {
            &["net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"]
        }
        Place::Client | Place::Server => &[
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
    let [gateway_v4, gateway_v6] = gateways.map(|cidr| cidr.split('/').next().unwrap_or(cidr));
    format!(
        "addr add {v4}/24 dev eth0\naddr add {v6}/64 dev eth0 nodad\n\
         route add default via {gateway_v4}\nroute add default via {gateway_v6} dev eth0\n"
    )
}
