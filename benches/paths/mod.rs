//! Ways of a burst through a firewall: ours, a plain loop, and the stages of ours by themselves.

mod ours;
mod plain;
mod stages;
pub mod traffic;

pub use ours::Ours;
pub use plain::Plain;
pub use stages::{Stage, Stages};
pub use traffic::Flow;

use pfplane::internals::state::{Timeouts, timeout_class};
use pfplane::internals::time::Nanos;
use traffic::{Frames, OPENING, Traffic};

/// A way to a verdict for every packet.
pub trait Path {
    /// Its name in the report.
    fn name(&self) -> String;

    /// Takes in the first packets of connections.
    fn begin(&mut self, frames: &Frames, now: Nanos);

    /// Gives verdicts on all frames, which go one way, and says how many pass.
    fn pass(&mut self, frames: &Frames, flow: Flow, now: Nanos) -> usize;

    /// What a host does between bursts. Not under the clock.
    fn rest(&mut self, now: Nanos);

    /// Opens every connection: SYN, SYN and ACK, ACK.
    fn open(&mut self, traffic: &mut Traffic, now: &mut Nanos) {
        for first in traffic.blocks() {
            for step in OPENING {
                traffic.fill_opening(first, step);
                if step.begins {
                    self.begin(&traffic.frames, *now);
                } else {
                    let passed = self.pass(&traffic.frames, step.flow, *now);
                    assert_eq!(passed, traffic.frames.count, "{} opens connections", self.name());
                }
                *now += 100_000;
                self.rest(*now);
            }
        }
    }
}

/// pf's timeouts without their scaling: the table is full in every measure.
fn timeouts() -> Timeouts {
    let mut timeouts = Timeouts::default();
    timeouts.set(timeout_class::ADAPTIVE_END, 0).expect("0 switches the scaling off");
    timeouts
}
