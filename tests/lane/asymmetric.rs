//! Active/active with asymmetric paths: each node sees one direction, and both must know what the two together saw.

use crate::node::{MS, Node, SECOND, exchange, info, replicating, view};
use pfplane::internals::engine::Config;
use pfplane::internals::lane::Action;
use pfplane::internals::packet::Direction;
use pfplane::internals::state::{Options, timeout_class};
use pfplane_testkit::Packet;
use pfsync::Profile;

/// The node of the client's packets, and that of the server's.
const CLIENT: usize = 0;
const SERVER: usize = 1;

struct World {
    nodes: [Node; 2],
    now: u64,
    syn: Packet,
}

impl World {
    /// Opens a connection whose SYN takes the client's path.
    fn open(v6: bool, profile: Profile) -> Self {
        let node =
            |n| Node::new(replicating(n, profile, Config { states_per_lane: 100, ..Config::default() }));
        let mut nodes = [node(1), node(2)];
        let mut now = SECOND;
        exchange(&mut nodes, &mut now, 3_000);
        let syn = Packet::syn(v6, 5, 6, [4000, 443]);
        let create =
            nodes[CLIENT].lanes[0].create(&info(Direction::In, now), &view(&syn.tcp()), &Options::default());
        assert_eq!(create.action, Action::Pass);
        exchange(&mut nodes, &mut now, 20);
        Self { nodes, now, syn }
    }

    /// Sends a packet of the client or of the server, each on its own path.
    fn send(&mut self, node: usize, packet: &Packet) {
        let direction = if node == CLIENT { Direction::In } else { Direction::Out };
        let verdict = self.nodes[node].lanes[0].lookup(&info(direction, self.now), &view(&packet.tcp()));
        assert_eq!(verdict.action, Action::Pass, "{node} {packet:?}");
    }

    fn classes(&self) -> [Option<u8>; 2] {
        [CLIENT, SERVER].map(|node| {
            let state = self.nodes[node].lanes[0].state_from(0, self.now);
            state.filter(|state| state.expires_s > 0).map(|state| state.hot.timeout)
        })
    }

    /// Lets both nodes exchange updates for a while, and then be silent for 15 minutes.
    fn be_silent(&mut self) {
        exchange(&mut self.nodes, &mut self.now, 3_000);
        for _ in 0..9_000 {
            self.now += 100 * MS - MS;
            exchange(&mut self.nodes, &mut self.now, 1);
        }
    }
}

/// What the two hosts send one another before they are silent.
fn first_exchange(world: &mut World, has_data: bool) {
    let (syn, answer) = (world.syn, world.syn.syn_ack());
    world.send(SERVER, &answer);
    // The client answers before the server's node has sent its update.
    world.send(CLIENT, &syn.data(1001, 5001, 0));
    if has_data {
        world.send(CLIENT, &syn.data(1001, 5001, 300));
        world.send(SERVER, &answer.data(5001, 1301, 1_000));
        world.send(CLIENT, &syn.data(1301, 6001, 0));
    }
}

#[test]
fn a_connection_that_is_silent_after_its_first_exchange_gets_the_established_timeout() {
    for profile in Profile::ALL {
        for v6 in [false, true] {
            for has_data in [false, true] {
                let mut world = World::open(v6, profile);
                first_exchange(&mut world, has_data);
                world.be_silent();
                let established = [Some(timeout_class::TCP_ESTABLISHED); 2];
                assert_eq!(world.classes(), established, "{profile:?} {v6} {has_data}");
                let at = if has_data { (1301, 6001) } else { (1001, 5001) };
                let data = world.syn.data(at.0, at.1, 100);
                world.send(CLIENT, &data);
                let data = world.syn.syn_ack().data(at.1, at.0 + 100, 100);
                world.send(SERVER, &data);
            }
        }
    }
}

#[test]
fn an_acknowledgement_of_another_number_does_not_open_a_connection() {
    for guess in [5001u32.wrapping_sub(67_036), 5001 + 67_036, 5001 + (1 << 31), 0] {
        let mut world = World::open(false, Profile::OpenBsd6);
        let (syn, answer) = (world.syn, world.syn.syn_ack());
        world.send(SERVER, &answer);
        world.send(CLIENT, &syn.data(1001, guess, 0));
        exchange(&mut world.nodes, &mut world.now, 3_000);
        assert_eq!(world.classes(), [Some(timeout_class::TCP_OPENING); 2], "{guess}");
    }
}

#[test]
fn without_an_acknowledgement_the_connection_stays_half_open() {
    let mut world = World::open(false, Profile::OpenBsd6);
    let answer = world.syn.syn_ack();
    world.send(SERVER, &answer);
    exchange(&mut world.nodes, &mut world.now, 3_000);
    assert_eq!(world.classes(), [Some(timeout_class::TCP_OPENING); 2], "the client never answered");
}

#[test]
fn a_connection_whose_other_direction_is_unknown_here_lives_while_it_has_traffic() {
    for (v6, side) in [(false, CLIENT), (true, CLIENT), (false, SERVER), (true, SERVER)] {
        let mut world = World::open(v6, Profile::OpenBsd6);
        let (syn, answer) = (world.syn, world.syn.syn_ack());
        let (mut client, mut server) = (1001, 5001);
        if side == SERVER {
            world.send(SERVER, &answer);
        } else {
            world.send(CLIENT, &syn.data(client, server, 0));
        }
        // From here on neither node receives what the other one sends.
        for _ in 0..10 {
            for _ in 0..200 {
                world.now += 100 * MS;
                world.nodes[side].poll(world.now);
                let mut buffer = [0; 1500];
                while world.nodes[side].lanes[0].flush(&mut buffer, world.now).is_some() {}
            }
            if side == CLIENT {
                world.send(CLIENT, &syn.data(client, server, 100));
            } else {
                world.send(SERVER, &answer.data(server, client, 1000));
            }
            (client, server) = (client + 100, server + 1000);
        }
    }
}
