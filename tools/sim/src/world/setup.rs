//! How the cluster of a seed is set up.

use crate::{MS, S};
use pfplane::internals::engine::Config;
use pfplane::internals::limits::SourcePlan;
use pfplane::internals::state::{Nat, Options, PortRange};
use pfplane::internals::sync::{Defer, PeerSettings, SyncSettings};
use pfplane_testkit::Random;
use pfsync::Profile;
use pfsync::envelope::Address;

/// How long first packets may be held.
pub const DEFER_DELAY: u64 = 200 * MS;

/// The addresses that clients are translated to, IPv4 and IPv6.
const OUTSIDE: [[u8; 16]; 2] = [
    [203, 0, 113, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
];
const OUTSIDE_PORTS: PortRange = PortRange { first: 50_000, last: 60_000 };

/// How nodes are connected.
#[derive(Clone, Debug)]
pub enum Topology {
    /// One multicast group, one dialect.
    Group(Profile),
    /// Unicast between every two nodes, each pair in its own dialect.
    Mesh(Vec<Vec<Profile>>),
}

/// The setup of one seed.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Number of nodes.
    pub nodes: usize,
    /// Lanes of each node; otherwise drawn at each start.
    pub lanes: Option<u32>,
    /// Capacity of a lane of each node.
    pub capacities: Vec<u32>,
    /// How they are connected.
    pub topology: Topology,
    /// The sync link carries IPv6.
    pub is_v6: bool,
    /// Nodes list the addresses that they accept frames from.
    pub names_sources: bool,
    /// Clocks run at different speeds.
    pub drifts: bool,
    /// First packets are held until a peer has their state.
    pub defers: bool,
    /// Minimum age of a state to be replicated, in nanoseconds.
    pub min_age: u64,
    /// Timeouts shrink while a table fills.
    pub is_adaptive: bool,
    /// Nodes translate all clients to one address.
    pub translates: bool,
    /// Nodes notice that they were paused, and hosts report frames that the port missed meanwhile. Without it the simulator
    /// may let time jump, which is no pause.
    pub detects_pauses: bool,
    /// What is sent of a state below this age is repeated once, in nanoseconds; 0 to repeat nothing.
    pub repeat_age: u64,
    /// How sources are counted.
    pub sources: SourcePlan,
    /// The nodes know each other for pfplane nodes, and repair what the link loses.
    pub is_pfplane: bool,
}

impl Setup {
    /// Draws the setup of a cluster of `nodes` nodes.
    pub fn draw(nodes: usize, lanes: Option<u32>, states: u32, drifts: bool, random: &mut Random) -> Self {
        let topology = if random.chance(600) {
            Topology::Group(random.pick(&Profile::ALL))
        } else {
            let mut pairs = vec![vec![Profile::OpenBsd6; nodes]; nodes];
            for (one, other) in (0..nodes).flat_map(|one| (one + 1..nodes).map(move |other| (one, other))) {
                let profile = random.pick(&Profile::ALL);
                pairs[one][other] = profile;
                pairs[other][one] = profile;
            }
            Topology::Mesh(pairs)
        };
        Self {
            nodes,
            lanes,
            capacities: vec![states; nodes],
            topology,
            is_v6: random.chance(300),
            names_sources: random.chance(500),
            drifts,
            defers: random.chance(300),
            min_age: if random.chance(100) { 50 * MS } else { 0 },
            is_adaptive: false,
            translates: false,
            detects_pauses: false,
            repeat_age: 0,
            sources: Config::default().sources,
            is_pfplane: false,
        }
    }

    /// Returns the options of new states, for IPv4 and IPv6.
    #[must_use]
    pub fn options(&self) -> [Options; 2] {
        OUTSIDE.map(|source| {
            let nat = Nat { source: Some(source), source_ports: Some(OUTSIDE_PORTS), ..Nat::default() };
            Options { nat: if self.translates { nat } else { Nat::default() }, ..Options::default() }
        })
    }

    /// Returns the address of a node on the sync link.
    #[must_use]
    pub const fn address(&self, node: usize) -> Address {
        let last = node as u8 + 1;
        if self.is_v6 {
            Address::V6([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last])
        } else {
            Address::V4([192, 0, 2, last])
        }
    }

    /// Returns the node of an address; `None` for the group's.
    #[must_use]
    pub fn node_of(&self, address: Address) -> Option<usize> {
        (0..self.nodes).find(|&node| self.address(node) == address)
    }

    /// Builds the setup of nodes whose settings a test gives: an OpenBSD multicast group over IPv4.
    #[must_use]
    pub fn fixed(nodes: usize) -> Self {
        Self {
            nodes,
            lanes: None,
            capacities: vec![0; nodes],
            topology: Topology::Group(Profile::OpenBsd6),
            is_v6: false,
            names_sources: false,
            drifts: false,
            defers: false,
            min_age: 0,
            is_adaptive: false,
            translates: false,
            detects_pauses: false,
            repeat_age: 0,
            sources: Config::default().sources,
            is_pfplane: false,
        }
    }

    /// Draws the configuration of a node; each start draws it again.
    pub fn draw_config(&self, node: usize, now: u64, random: &mut Random) -> Config {
        let lanes = self.lanes.unwrap_or_else(|| random.between(1, 4) as u32);
        let sync = self.draw_sync(node, random);
        Config {
            lanes,
            states_per_lane: self.capacities[node],
            translated_per_lane: if self.translates { u32::MAX } else { 0 },
            start_unix_s: now / S,
            random_seed: Some([node as u8 + 1; 32]),
            sync,
            sweep_per_poll: 4096,
            adaptive_by_capacity: self.is_adaptive,
            sources: self.sources,
            redirection: Some(core::array::from_fn(|_| random.below(lanes.into()) as u8)),
            ..Config::default()
        }
    }

    fn draw_sync(&self, node: usize, random: &mut Random) -> SyncSettings {
        let mut settings = SyncSettings {
            host_id: 0xfeed_0001 + node as u32,
            mtu: random.pick(&[600, 1500, 1500, 9000]),
            insert_age: random.pick(&[0, MS, 10 * MS, 10 * MS]),
            update_age: random.pick(&[200 * MS, S, S]),
            maxupd: random.pick(&[1, 8, 128, 128, 255]),
            // The engine raises this to one a state.
            max_deletes: 1,
            max_requests: random.pick(&[64, 1024]),
            bulk_frames: random.pick(&[1, 8, 64]),
            max_poll_gap: if self.detects_pauses { SyncSettings::default().max_poll_gap } else { 0 },
            repeat_age: self.repeat_age,
            ..SyncSettings::default()
        };
        settings.filter.min_age = self.min_age;
        if self.defers {
            // Longer than pf's 20 ms: a step of time here is up to 10 ms.
            settings.defer = Defer { delay: DEFER_DELAY, max_states: random.pick(&[4, 128]) };
        }
        let others = (0..self.nodes).filter(|&other| other != node);
        let own = self.address(node);
        match &self.topology {
            Topology::Group(profile) => {
                let mut peer = PeerSettings::group(*profile, own);
                if self.names_sources {
                    peer.sources.extend(others.map(|other| self.address(other)));
                }
                settings.peers.push(peer);
            }
            Topology::Mesh(profiles) => {
                for other in others {
                    let mut peer = PeerSettings::new(profiles[node][other], own, self.address(other));
                    if self.names_sources {
                        peer.sources.push(self.address(other));
                    }
                    settings.peers.push(peer);
                }
            }
        }
        settings.peers.iter_mut().for_each(|peer| peer.extensions = self.is_pfplane);
        // A trailer takes space.
        settings.mtu = settings.mtu.max(settings.min_mtu());
        settings
    }

    /// Describes the setup for the log.
    #[must_use]
    pub fn describe(&self) -> String {
        let family = if self.is_v6 { "IPv6" } else { "IPv4" };
        let how = match &self.topology {
            Topology::Group(profile) => format!("a {} multicast group", profile.name()),
            Topology::Mesh(pairs) => {
                let mut pairs_text = Vec::new();
                for (one, profiles) in pairs.iter().enumerate() {
                    for (other, profile) in profiles.iter().enumerate().skip(one + 1) {
                        pairs_text.push(format!("{one}-{other} {}", profile.name()));
                    }
                }
                format!("unicast {}", pairs_text.join(", "))
            }
        };
        let kind = if self.is_pfplane { "pfplane nodes" } else { "nodes" };
        let defers = if self.defers { ", holding first packets" } else { "" };
        let capacities = &self.capacities;
        format!(
            "{} {kind} of {capacities:?} states a lane, connected over {family} by {how}{defers}",
            self.nodes
        )
    }
}
