//! What happens in a seed: storms and calm in turn, deaths and returns, and a day of rest.

use crate::connection::Intent;
use crate::link::Weather;
use crate::node::Known;
use crate::options::Fault;
use crate::world::{Routing, World};
use crate::{MS, S};

/// Longest that a node may take from its start until it is ready: the requester's patience when nobody answers, and some.
const READY_WITHIN: u64 = 30 * S;

/// One seed from the beginning to the end.
pub fn run(world: &mut World) {
    world.await_ready();
    world.reroute();
    let storms = world.random.between(2, 4);
    for _ in 0..storms {
        world.storm();
        world.heal();
        world.expect_all_alive(|world, _| a_node(world));
        world.calm_life();
        world.expect_quiet();
        world.short_cut();
        if world.options.faults.has(Fault::Restart) {
            world.death_and_return();
            world.expect_quiet();
            world.long_silence();
        }
        world.reroute();
    }
    world.sudden_death();
    world.rest();
    for n in world.up() {
        world.expect_alive_now(|_, _| n);
    }
    world.figures.frames = world.sent.frames;
    world.figures.messages = world.sent.messages();
}

fn a_node(world: &mut World) -> usize {
    let up = world.up();
    world.random.pick(&up)
}

impl World {
    fn may(&self, fault: Fault) -> bool {
        self.options.faults.has(fault)
    }

    /// Every node that is up becomes ready.
    fn await_ready(&mut self) {
        let began = self.now;
        while self.up().iter().any(|&n| !self.nodes[n].engine.ready()) {
            let waited = self.now - began;
            self.expect(waited < READY_WITHIN, |world| {
                let ready: Vec<_> = world.nodes.iter().map(|node| (node.is_up, node.engine.bulk())).collect();
                format!("not ready after {} s: {ready:?}", waited / S)
            });
            self.step(5 * MS);
        }
        for n in self.up() {
            self.whole[n] = true;
        }
    }

    fn draw_weather(&mut self) -> Weather {
        let mut draw = |fault, most: u64| {
            let value = self.random.below(most);
            if self.options.faults.has(fault) && self.random.chance(600) { value } else { 0 }
        };
        Weather {
            lose: draw(Fault::Loss, 500),
            double: draw(Fault::Duplicates, 300),
            delay: draw(Fault::Delay, 100) * MS,
            jitter: draw(Fault::Reorder, 80) * MS,
            hostile: draw(Fault::Hostile, 200),
        }
    }

    /// Traffic while everything that may go wrong does.
    fn storm(&mut self) {
        self.calm_since = None;
        self.link.weather = self.draw_weather();
        if self.may(Fault::Stall) && self.random.chance(300) {
            self.max_frames = self.random.between(1, 3) as usize;
        }
        self.note(|world| format!("storm: {:?}, frames a turn {}", world.link.weather, world.max_frames));
        let flows = self.options.flows.map_or_else(|| self.random.pick(&[20, 40, 40, 80]), u64::from);
        let ticks = self.random.between(60, 160);
        let longest = self.random.pick(&[8, 15, 15, 60]);
        let mut begun = 0;
        for tick in 1..=ticks {
            let due = flows * tick / ticks;
            self.begin(due - begun);
            begun = due;
            self.trouble();
            for _ in 0..self.random.between(1, 4 + flows / 40) {
                self.chat();
            }
            let pause = self.random.below(longest * MS);
            self.run(pause, (pause / 6).max(MS));
        }
    }

    /// Some connection sends a few packets, or closes.
    fn chat(&mut self) {
        if self.connections.is_empty() {
            return;
        }
        let n = self.random.index(self.connections.len());
        if self.connections[n].is_over() {
            return;
        }
        let intent = match self.random.below(100) {
            0..6 => Intent::Close,
            6..8 => Intent::Reset,
            _ => Intent::Talk,
        };
        if intent != Intent::Talk {
            self.connections[n].closing_since = self.now;
            self.speak(n, intent);
        }
        for _ in 0..self.random.between(1, 6) {
            if !self.connections[n].is_over() {
                self.speak(n, Intent::Talk);
            }
        }
        if self.random.chance(30) && self.connections[n].is_live(self.now) {
            let (error, node) = (self.connections[n].error(), self.a_usable_node());
            // Whether it passes depends on where the state is known; it must do no harm.
            let _ = self.nodes[node].forward(&error, self.now, &mut self.random);
        }
    }

    fn a_usable_node(&mut self) -> usize {
        let usable = self.usable();
        if usable.is_empty() { 0 } else { self.random.pick(&usable) }
    }

    /// Now and then something happens to a node or to the link.
    fn trouble(&mut self) {
        let n = self.random.index(self.nodes.len());
        match self.random.below(120) {
            0 if self.may(Fault::Partition) => {
                for node in 0..self.nodes.len() {
                    self.link.side[node] = self.random.below(2) as u8;
                }
                self.note(|world| format!("partition: {:?}", &world.link.side[..world.nodes.len()]));
                self.reroute();
            }
            1 => {
                self.link.side = [0; 5];
                self.note(|_| "no partition".into());
            }
            2 if self.may(Fault::Pause) => {
                let time = self.random.between(50, 5000) * MS;
                self.nodes[n].pause(self.now + time);
                self.note(|_| format!("node {n} stands still for {} ms", time / MS));
            }
            3 | 4 if self.may(Fault::Stall) => {
                let (lane, time) =
                    (self.random.index(self.nodes[n].lanes.len()), self.random.between(5, 500) * MS);
                self.nodes[n].stall(lane, self.now + time);
                self.note(|_| format!("node {n} lane {lane} falls behind by {} ms", time / MS));
            }
            5 if self.may(Fault::Restart) => {
                let others = self.usable().into_iter().filter(|&other| other != n).count();
                if others > 0 && self.nodes[n].is_up {
                    self.kill(n);
                    self.figures.in_storm += 1;
                    self.reroute();
                }
            }
            6 | 7 if !self.nodes[n].is_up => self.restart(n),
            8 => self.reroute(),
            _ => {}
        }
    }

    /// Nothing goes wrong any more, and everybody speaks: what the storm cost is repaired.
    fn heal(&mut self) {
        self.link.weather = Weather::default();
        self.link.side = [0; 5];
        self.max_frames = usize::MAX;
        self.note(|_| "healed".into());
        for n in 0..self.nodes.len() {
            if !self.nodes[n].is_up {
                self.restart(n);
            }
        }
        while (0..self.nodes.len()).any(|n| !self.nodes[n].is_awake(self.now)) {
            self.step(20 * MS);
        }
        self.run(600 * MS, 10 * MS);
        // Nothing tells a node of what it has missed but traffic of it, so this comes where it was known before.
        self.route_as_before();
        self.await_ready();
        let had_deaths = self.figures.in_storm > 0;
        for round in 0..10 {
            self.everybody_speaks();
            self.run(S, 10 * MS);
            if round == 4 {
                self.reroute();
            }
        }
        if had_deaths {
            self.give_up_unscaled();
        }
        for n in 0..self.connections.len() {
            let connection = &self.connections[n];
            let is_silent = !connection.is_over() && self.now > connection.last + 3 * S;
            if connection.is_on_its_way() || is_silent {
                // A node that dies in a storm takes with it what it has told nobody.
                let is_excused = had_deaths && !connection.settled;
                self.expect(is_excused, |world| format!("does not get on: {}", world.describe(n)));
                self.connections[n].abandon();
            } else if connection.is_live(self.now) {
                self.connections[n].settled = true;
            }
        }
        self.figures.in_storm = 0;
        self.calm_since = Some(self.now);
        self.refreshed = self.now;
    }

    /// Where the only node that saw the handshake has died, the others let the connection go on without knowing its window
    /// scale, and not for long.
    fn give_up_unscaled(&mut self) {
        let known: Vec<_> = self.up().iter().map(|&n| self.nodes[n].known(self.now)).collect();
        for n in 0..self.connections.len() {
            let connection = &self.connections[n];
            let key = connection.key();
            let lacks = |view: &&Known| !view.is_scaled;
            let is_unscaled = known.iter().filter_map(|known| known.get(&key)).any(|view| lacks(&view));
            if !connection.settled && connection.is_open_tcp() && is_unscaled {
                self.connections[n].abandon();
            }
        }
    }

    /// Ordinary traffic on a sound link.
    fn calm_life(&mut self) {
        let late = self.defer_timeouts();
        for _ in 0..20 {
            self.begin(1);
            for _ in 0..6 {
                self.chat();
            }
            self.run(20 * MS, 5 * MS);
        }
        for _ in 0..5 {
            self.everybody_speaks();
            self.run(500 * MS, 10 * MS);
        }
        // Where somebody is dead nobody may be left who could acknowledge.
        let late = if self.up().len() == self.nodes.len() { self.defer_timeouts() - late } else { 0 };
        self.expect(late == 0, |_| {
            format!("{late} first packets waited for the whole delay on a sound link")
        });
        for n in 0..self.connections.len() {
            let is_stuck = self.connections[n].is_on_its_way();
            self.expect(!is_stuck, |world| format!("gets stuck in calm: {}", world.describe(n)));
            self.connections[n].settled |= self.connections[n].is_live(self.now);
        }
    }

    fn defer_timeouts(&self) -> u64 {
        self.up().iter().map(|&n| self.nodes[n].stat("defer_timeouts")).sum()
    }

    /// A node is cut off and forwards on, for longer than idle states live. The other one keeps them all the same, and
    /// takes over.
    fn long_silence(&mut self) {
        if self.nodes.len() > 2 || !self.may(Fault::Partition) || !self.may(Fault::Restart) {
            return;
        }
        let dead = a_node(self);
        self.routing = Routing::Shared([dead; 2]);
        for _ in 0..3 {
            self.everybody_speaks();
            self.run(600 * MS, 10 * MS);
        }
        self.link.side = [0, 1, 0, 0, 0];
        let time = self.random.between(10, 50);
        self.note(|_| format!("node {dead} is cut off for {time} s"));
        for _ in 0..time {
            self.everybody_speaks();
            self.run(S, 100 * MS);
        }
        self.kill(dead);
        self.reroute();
        self.expect_alive_now(|world, _| a_node(world));
        self.link.side = [0; 5];
        self.restart(dead);
        self.await_ready();
        self.reroute();
    }

    /// A node dies in calm, now and then two. The others carry everything at once; who comes back says that it is ready only
    /// when it can carry everything as well, whoever else comes back at the same time.
    fn death_and_return(&mut self) {
        let first = match self.routing {
            Routing::Shared(path) => path[0],
            Routing::EachItsOwn => a_node(self),
        };
        let mut dead = vec![first];
        if self.nodes.len() > 2 && self.random.chance(400) {
            dead.extend(Some(a_node(self)).filter(|&second| second != first));
        }
        self.everybody_speaks();
        self.run(1300 * MS, 10 * MS);
        dead.iter().for_each(|&n| self.kill(n));
        self.reroute();
        self.expect_alive_now(|world, _| a_node(world));
        if self.random.chance(500) {
            self.calm_life();
        }
        for &n in &dead {
            self.restart(n);
            let apart = self.random.below(20) * MS;
            self.run(apart, MS);
        }
        let began = self.now;
        // Others may be told all states at the same time: the end of that is not the end of ours.
        if let Some(other) = self.usable().into_iter().find(|_| self.random.chance(300)) {
            self.nodes[other].engine.request_bulk();
            self.refreshed = self.now;
            self.run(3 * MS, MS);
        }
        while !dead.is_empty() {
            self.step(MS);
            self.await_one(&mut dead, began);
        }
        self.reroute();
    }

    /// Those of the nodes that have got ready carry everything.
    fn await_one(&mut self, dead: &mut Vec<usize>, began: u64) {
        let waited = self.now - began;
        for n in core::mem::take(dead) {
            if self.nodes[n].engine.ready() {
                self.note(|_| format!("node {n} is ready after {} ms", waited / MS));
                self.whole[n] = true;
                self.nodes[n].wake();
                self.expect_alive_now(|_, _| n);
                continue;
            }
            dead.push(n);
            if self.may(Fault::Stall) && self.random.chance(100) {
                let (lanes, time) = (self.nodes[n].lanes.len(), self.random.between(1, 20) * MS);
                self.nodes[n].stall(self.random.index(lanes), self.now + time);
            }
            self.expect(waited < READY_WITHIN, |_| format!("node {n} is not ready after {} s", waited / S));
        }
    }

    /// A node dies at any moment under load, on a sound link: no more breaks than it announced last.
    fn sudden_death(&mut self) {
        self.link.weather = Weather::default();
        self.calm_since = None;
        let dead = a_node(self);
        self.routing = Routing::Shared([dead; 2]);
        let steps = self.random.between(20, 200);
        for _ in 0..steps {
            let count = self.random.below(3);
            self.begin(count);
            for _ in 0..self.random.below(12) {
                self.chat();
            }
            let step = self.random.between(100, 3000) * 1000;
            self.step(step);
        }
        let announced = self.nodes[dead].exposed(self.now);
        self.kill(dead);
        self.run(20 * MS, MS);
        self.reroute();
        let survivor = a_node(self);
        let mut lost = 0;
        let known = self.nodes[survivor].known(self.now);
        for n in 0..self.connections.len() {
            if !self.connections[n].is_established() {
                continue;
            }
            // Where only the SYN was told of, nobody knows the server's window scale: it goes on, but not for long.
            let is_whole =
                known.get(&self.connections[n].key()).is_some_and(|state| state.peer_state == [4; 2]);
            let lives = (0..2).all(|_| self.speak_through(n, Intent::Talk, Some(survivor)));
            if !lives {
                lost += 1;
            }
            if !(lives && is_whole) {
                self.connections[n].abandon();
            }
        }
        self.note(|_| format!("announced {announced}, lost {lost}"));
        self.figures.sudden += 1;
        self.figures.announced += announced;
        self.figures.lost += lost;
        self.expect(lost <= announced, |_| {
            format!("node {dead} died and took {lost} connections with it, but had announced {announced}")
        });
        self.figures.in_storm += 1;
        self.heal();
    }

    /// A day goes by in which the open connections are kept alive. Then only these are left.
    fn rest(&mut self) {
        self.reroute();
        for round in 0..90 {
            for n in 0..self.connections.len() {
                if self.connections[n].is_open_tcp() {
                    let probe = self.connections[n].probe(round % 2 == 0);
                    let node = a_node(self);
                    let passage = self.nodes[node].forward(&probe, self.now, &mut self.random);
                    self.figures.packets += 1;
                    self.expect(passage == crate::node::Passage::Passed, |world| {
                        let connection = &world.connections[n];
                        let state = world.nodes[node].describe(&connection.key(), world.now);
                        format!(
                            "a keep-alive of connection {n} was refused at node {node}: {passage:?} {state}"
                        )
                    });
                }
            }
            self.run_long(1000 * S);
            if matches!(round, 0 | 2) {
                self.expect_agreement();
            }
        }
        self.expect_quiet();
        self.expect_only_open_connections();
    }
}
