//! Traffic without faults.

use crate::MS;
use crate::world::World;

impl World {
    /// Runs ordinary traffic on a sound link. Every connection must make progress.
    pub(crate) fn run_calm_phase(&mut self) {
        let timeouts = self.defer_timeouts();
        for _ in 0..20 {
            self.start(1);
            for _ in 0..6 {
                self.send_some();
            }
            self.run(20 * MS, 5 * MS);
        }
        for _ in 0..5 {
            self.send_all();
            self.run(500 * MS, 10 * MS);
        }
        // While a node is down nobody may be left to acknowledge.
        let is_complete = self.up().len() == self.nodes.len();
        let timeouts = if is_complete { self.defer_timeouts() - timeouts } else { 0 };
        self.expect(timeouts == 0, |_| {
            format!("{timeouts} first packets were held for the whole delay on a sound link")
        });
        for n in 0..self.connections.len() {
            let is_stuck = self.connections[n].is_in_transition();
            self.expect(!is_stuck, |world| format!("is stuck without faults: {}", world.describe(n)));
            self.connections[n].settled |= self.connections[n].is_live(self.now);
        }
    }

    fn defer_timeouts(&self) -> u64 {
        self.up().iter().map(|&n| self.nodes[n].stat("states_released_timeout")).sum()
    }
}
