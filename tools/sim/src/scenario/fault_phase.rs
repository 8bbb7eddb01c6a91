//! Traffic while every fault happens.

use crate::MS;
use crate::options::Fault;
use crate::world::World;
use pfplane_testkit::flow::Intent;
use pfplane_testkit::wire::Impairment;

impl World {
    /// Runs traffic under random faults of the link and the nodes.
    pub(super) fn run_fault_phase(&mut self) {
        self.calm_since = None;
        self.impair_link();
        if self.may(Fault::Stall) && self.random.chance(300) {
            self.max_frames = self.random.between(1, 3) as usize;
        }
        self.note(|world| {
            let (impairment, hostile) = (world.link.wire.impairment, world.link.hostile_per_mille);
            format!("faults: {impairment:?}, hostile {hostile}, frames a turn {}", world.max_frames)
        });
        let flows = self.options.flows.map_or_else(|| self.random.pick(&[20, 40, 40, 80]), u64::from);
        let ticks = self.random.between(60, 160);
        let max_pause = self.random.pick(&[8, 15, 15, 60]) * MS;
        let mut started = 0;
        for tick in 1..=ticks {
            let due = flows * tick / ticks;
            self.start(due - started);
            started = due;
            self.inject_fault();
            for _ in 0..self.random.between(1, 4 + flows / 40) {
                self.send_some();
            }
            let pause = self.random.below(max_pause);
            self.run(pause, (pause / 6).max(MS));
        }
    }

    fn impair_link(&mut self) {
        let mut draw = |fault, limit: u64| {
            let value = self.random.below(limit);
            if self.options.faults.has(fault) && self.random.chance(600) { value } else { 0 }
        };
        self.link.wire.impairment = Impairment {
            loss_per_mille: draw(Fault::Loss, 500),
            duplicate_per_mille: draw(Fault::Duplicates, 300),
            delay_ns: draw(Fault::Delay, 100) * MS,
            jitter_ns: draw(Fault::Reorder, 80) * MS,
        };
        self.link.hostile_per_mille = draw(Fault::Hostile, 200);
    }

    /// Sends a few packets of a random connection, or closes it.
    pub(crate) fn send_some(&mut self) {
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
            self.send(n, intent);
        }
        for _ in 0..self.random.between(1, 6) {
            if !self.connections[n].is_over() {
                self.send(n, Intent::Talk);
            }
        }
        if self.random.chance(30) && self.connections[n].is_live(self.now) {
            let (error, node) = (self.connections[n].icmp_error(), self.any_usable_node());
            // It passes only where the state is known, and must do no harm elsewhere.
            let _ = self.nodes[node].forward(&error, self.now, &mut self.random);
        }
    }

    fn any_usable_node(&mut self) -> usize {
        let usable = self.usable();
        if usable.is_empty() { 0 } else { self.random.pick(&usable) }
    }

    /// Injects a random fault of a node or of the link, or none.
    fn inject_fault(&mut self) {
        let n = self.random.index(self.nodes.len());
        match self.random.below(120) {
            0 if self.may(Fault::Partition) => self.partition(),
            1 => {
                self.link.join_all();
                self.note(|_| "no partition".into());
            }
            2 if self.may(Fault::Pause) => {
                let time = self.random.between(50, 5000) * MS;
                self.pause(n, time);
            }
            3 | 4 if self.may(Fault::Stall) => {
                let lane = self.random.index(self.nodes[n].lanes.len());
                let time = self.random.between(5, 500) * MS;
                self.nodes[n].stall(lane, self.now + time);
                self.note(|_| format!("node {n} lane {lane} stalls for {} ms", time / MS));
            }
            5 if self.may(Fault::Restart) => {
                let others = self.usable().into_iter().filter(|&other| other != n).count();
                if others > 0 && self.nodes[n].is_up {
                    self.kill(n);
                    self.figures.unsettled_deaths += 1;
                    self.reroute();
                }
            }
            6 | 7 if !self.nodes[n].is_up => self.restart(n),
            8 => self.reroute(),
            _ => {}
        }
    }

    fn partition(&mut self) {
        for node in 0..self.nodes.len() {
            self.link.side[node] = self.random.below(2) as u8;
        }
        self.note(|world| format!("partition: {:?}", &world.link.side[..world.nodes.len()]));
        self.reroute();
    }
}
