//! Two sealed nodes that start again and again, and an attacker on the link who holds frames back, and delivers any frame that was ever
//! sent to anybody, in any order. Beside the plan's world, which does nothing.

use crate::world::World;
use crate::{MS, S};
use pfplane::internals::memory::{Counted, Heap};
use pfplane::internals::seal::{
    Handshake, Opener, SealHello, SealKey, SealKeys, SealMode, SealShared, SealedFrame, Sealer,
};
use pfplane::pfsync::{Protection, TAG_BYTES, TrailerFields};
use pfplane_testkit::Random;
use std::collections::HashSet;

const LANES: usize = 2;
/// The oldest frame that may be accepted: its stream was fresh for 10 s, from a challenge that was valid for 3 s.
const MAX_AGE: u64 = 13 * S;

/// A frame that was sent.
#[derive(Clone)]
struct Frame {
    from: usize,
    sent: u64,
    fields: TrailerFields,
    hello: Option<SealHello>,
    echoes: Vec<u64>,
    tag: [u8; TAG_BYTES],
}

impl Frame {
    fn covered(&self) -> Vec<u8> {
        let hello = self.hello.map(|hello| hello.to_bytes());
        format!("{} {:?} {hello:?} {:?}", self.from, self.fields, self.echoes).into_bytes()
    }
}

struct Node {
    lanes: Vec<Sealer>,
    sequences: [u64; LANES],
    opener: Opener,
    started: u64,
    /// The frames that it has accepted in this run.
    accepted: HashSet<usize>,
}

impl Node {
    fn new(number: usize, random: &mut Random, now: u64) -> Self {
        let mut seed = [0; 32];
        random.fill(&mut seed);
        let mut keys = SealKeys::default();
        keys.push(SealKey::new(1, &[7; 32]).expect("32 bytes")).expect("the first key");
        // Either node encrypts in some of its runs.
        let mode = if random.below(3) == 0 { SealMode::Encrypt } else { SealMode::Require };
        let peers = [(mode, keys)].into_iter();
        let shared = SealShared::new((Some(seed), None, 1), 1 + number as u32, peers, Heap::SYSTEM);
        let shared = Counted::new(Heap::SYSTEM, "seals", shared.expect("memory")).expect("memory");
        let sealer = |lane| Sealer::new(shared.clone(), lane as u8, Heap::SYSTEM).expect("memory");
        let lanes = (0..LANES).map(sealer).collect();
        let opener = Opener::new(shared.clone(), Heap::SYSTEM).expect("memory");
        Self { lanes, sequences: [0; LANES], opener, started: now, accepted: HashSet::new() }
    }

    /// Seals a frame of a lane: one of the handshake, or another.
    fn seal(&mut self, from: usize, lane: usize, handshake: bool, now: u64) -> Option<Frame> {
        let sealer = &mut self.lanes[lane];
        let Handshake { hello, echoes, flags } = match handshake {
            true => sealer.handshake(0, now),
            false => Handshake { hello: None, echoes: Default::default(), flags: 0 },
        };
        self.sequences[lane] += 1;
        let numbered = TrailerFields { sequence: self.sequences[lane], ..TrailerFields::default() };
        let mut fields = TrailerFields { flags, ..sealer.fields(0, numbered, now)? };
        if handshake {
            fields.protection = Protection::Gmac;
        }
        let echoes = echoes.to_vec();
        let mut frame = Frame { from, sent: now, fields, hello, echoes, tag: [0; TAG_BYTES] };
        frame.tag = sealer.seal(0, &fields, &frame.covered(), &mut [])?;
        Some(frame)
    }

    fn opens(&mut self, frame: &Frame, now: u64) -> bool {
        let covered = frame.covered();
        let Frame { fields, tag, hello, echoes, .. } = frame;
        let sealed = SealedFrame { fields: *fields, covered: &covered, tag, hello: *hello, echoes };
        self.opener.open(0, &sealed, &mut [], now).is_ok()
    }
}

struct Link {
    nodes: [Node; 2],
    /// All frames that were ever sent.
    sent: Vec<Frame>,
    nonces: HashSet<(TrailerFields, usize)>,
    random: Random,
    now: u64,
}

pub(crate) fn run(world: &mut World) {
    let mut random = Random::stream(world.random.next_u64(), 0x7365_616c);
    let now = random.below(5 * S);
    let nodes = [0, 1].map(|number| Node::new(number, &mut random, now));
    let mut link = Link { nodes, sent: Vec::new(), nonces: HashSet::new(), random, now };
    for _ in 0..300 {
        link.now += match link.random.below(100) {
            0 => 15 * S,
            1..10 => 700 * MS,
            _ => link.random.below(40 * MS),
        };
        let node = link.random.index(2);
        match link.random.below(30) {
            0 => {
                link.nodes[node] = Node::new(node, &mut link.random, link.now);
                world.figures.deaths += 1;
                world.note(|_| format!("node {node} restarts"));
            }
            1..=15 => {
                for index in link.send(world, node) {
                    // Most frames arrive; the others are lost, or held back.
                    if link.random.chance(750) {
                        link.deliver(world, index, 1 - node);
                    }
                }
            }
            _ if link.sent.is_empty() => {}
            recent => {
                let reach = if recent < 23 { 8 } else { link.sent.len() as u64 };
                let back = link.random.below(reach.min(link.sent.len() as u64)) as usize;
                link.deliver(world, link.sent.len() - 1 - back, node);
            }
        }
    }
    link.recovers(world);
}

impl Link {
    /// Sends what is due of a node's handshake, and one frame more. Returns their indexes.
    fn send(&mut self, world: &mut World, node: usize) -> core::ops::Range<usize> {
        let (first, now) = (self.sent.len(), self.now);
        self.nodes[node].opener.step(now);
        for lane in 0..LANES {
            if self.nodes[node].lanes[lane].due(now).is_some() {
                self.push(world, node, lane, true);
            }
        }
        let lane = self.random.index(LANES);
        self.push(world, node, lane, false);
        first..self.sent.len()
    }

    fn push(&mut self, world: &mut World, node: usize, lane: usize, handshake: bool) {
        let Some(frame) = self.nodes[node].seal(node, lane, handshake, self.now) else {
            world.fail("a frame could not be sealed");
        };
        if !self.nonces.insert((frame.fields, node)) {
            world.fail(&format!("a key and a nonce were used twice: {:?}", frame.fields));
        }
        world.figures.frames += 1;
        self.sent.push(frame);
    }

    fn deliver(&mut self, world: &mut World, index: usize, to: usize) -> bool {
        let (frame, now) = (&self.sent[index], self.now);
        let node = &mut self.nodes[to];
        if !node.opens(frame, now) {
            return false;
        }
        world.figures.messages += 1;
        let fault = match () {
            () if frame.from == to => "a node accepted its own frame",
            () if frame.sent < node.started => "a frame from before the node's start was accepted",
            () if now - frame.sent > MAX_AGE => "a frame that was held back for too long was accepted",
            () if !node.accepted.insert(index) => "a frame was accepted twice",
            () => return true,
        };
        let what =
            format!("{fault}: frame {index} of node {}, {} ms old", frame.from, (now - frame.sent) / MS);
        world.fail(&what)
    }

    /// Without the attacker, both nodes accept everything again soon.
    fn recovers(&mut self, world: &mut World) {
        let mut refused = u32::MAX;
        for step in 0..400 {
            self.now += 10 * MS;
            if step == 300 {
                refused = 0;
            }
            for node in [0, 1] {
                for index in self.send(world, node) {
                    let is_accepted = self.deliver(world, index, 1 - node);
                    refused = refused.saturating_add(u32::from(!is_accepted));
                }
            }
        }
        if refused > 0 {
            world.fail(&format!("{refused} frames were refused three seconds after the attacker was gone"));
        }
    }
}
