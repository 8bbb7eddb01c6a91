//! What the nodes of one seed have in common, and how each is set up.

use crate::{MS, S};
use pfplane::internals::sync::{Defer, PeerSettings, SyncSettings};
use pfplane_testkit::Random;
use pfsync::Profile;
use pfsync::envelope::Address;

/// How long first packets wait at most, where they do.
pub const DEFER_DELAY: u64 = 200 * MS;

/// How nodes are joined.
#[derive(Clone, Debug)]
pub enum Topology {
    /// One multicast group, one dialect.
    Group(Profile),
    /// Unicast between each two, each pair in its own dialect.
    Mesh(Vec<Vec<Profile>>),
}

/// The plan of one seed.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Nodes.
    pub nodes: usize,
    /// Lanes of each, drawn at its start otherwise.
    pub lanes: Option<u32>,
    /// States that fit into a lane.
    pub states: u32,
    /// How they are joined.
    pub topology: Topology,
    /// The sync link carries IPv6.
    pub is_v6: bool,
    /// Nodes name the addresses that frames may come from.
    pub names_sources: bool,
    /// Clocks run at different speeds.
    pub drifts: bool,
    /// First packets are held until a peer has their state.
    pub defers: bool,
    /// States younger than this are not told of, in nanoseconds.
    pub min_age: u64,
}

impl Plan {
    /// Draws a plan for so many nodes.
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
            states,
            topology,
            is_v6: random.chance(300),
            names_sources: random.chance(500),
            drifts,
            defers: random.chance(300),
            min_age: if random.chance(100) { 50 * MS } else { 0 },
        }
    }

    /// Address of a node on the sync link.
    #[must_use]
    pub const fn address(&self, node: usize) -> Address {
        let last = node as u8 + 1;
        if self.is_v6 {
            Address::V6([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last])
        } else {
            Address::V4([192, 0, 2, last])
        }
    }

    /// The node of an address; none for the group's.
    #[must_use]
    pub fn node_of(&self, address: Address) -> Option<usize> {
        (0..self.nodes).find(|&node| self.address(node) == address)
    }

    /// The settings of a node, drawn anew at each of its starts.
    pub fn sync_of(&self, node: usize, random: &mut Random) -> SyncSettings {
        let mut settings = SyncSettings {
            host_id: 0xfeed_0001 + node as u32,
            mtu: random.pick(&[600, 1500, 1500, 9000]),
            insert_age: random.pick(&[0, MS, 10 * MS, 10 * MS]),
            update_age: random.pick(&[200 * MS, S, S]),
            maxupd: random.pick(&[1, 8, 128, 128, 255]),
            // The engine has room for one a state all the same.
            max_deletes: 1,
            max_requests: random.pick(&[64, 1024]),
            bulk_frames: random.pick(&[1, 8, 64]),
            ..SyncSettings::default()
        };
        settings.filter.min_age = self.min_age;
        if self.defers {
            // Longer than pf's 20 ms: time goes by in steps of up to ten here.
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
        settings
    }

    /// In words.
    #[must_use]
    pub fn describe(&self) -> String {
        let family = if self.is_v6 { "IPv6" } else { "IPv4" };
        let how = match &self.topology {
            Topology::Group(profile) => format!("a multicast group of {}", profile.name()),
            Topology::Mesh(pairs) => {
                let mut words = Vec::new();
                for (one, profiles) in pairs.iter().enumerate() {
                    for (other, profile) in profiles.iter().enumerate().skip(one + 1) {
                        words.push(format!("{one}-{other} {}", profile.name()));
                    }
                }
                format!("unicast {}", words.join(", "))
            }
        };
        let defers = if self.defers { ", holding first packets" } else { "" };
        format!("{} nodes joined over {family} by {how}{defers}", self.nodes)
    }
}
