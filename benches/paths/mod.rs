//! Implementations of a firewall: pfplane's lane, a plain loop, and the stages of the lane.

pub(crate) mod lease;
mod ours;
mod plain;
mod stages;
pub(crate) mod traffic;

pub(crate) use ours::Ours;
pub(crate) use plain::Plain;
pub(crate) use stages::{Stage, Stages};
pub(crate) use traffic::Flow;

use pfplane::internals::state::{Timeouts, timeout_class};
use pfplane::internals::time::Nanos;
use traffic::{Frames, OPENING, Traffic};

/// A firewall that gives a verdict on every packet.
pub(crate) trait Path {
    /// Returns its name in the report.
    fn name(&self) -> String;

    /// Creates states from the first packets of connections.
    fn begin(&mut self, frames: &Frames, now: Nanos);

    /// Gives verdicts on all frames, which have one direction. Returns how many pass.
    fn pass(&mut self, frames: &Frames, flow: Flow, now: Nanos) -> usize;

    /// Does a host's work between bursts. Not timed.
    fn rest(&mut self, now: Nanos);

    /// Opens every connection: SYN, SYN-ACK, ACK.
    fn open(&mut self, traffic: &mut Traffic, now: &mut Nanos) {
        for first in traffic.blocks() {
            for step in OPENING {
                traffic.fill_opening(first, step);
                if step.creates {
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

/// pf's timeouts without adaptive scaling, because the table is full in every measure.
fn timeouts() -> Timeouts {
    let mut timeouts = Timeouts::default();
    timeouts.set(timeout_class::ADAPTIVE_END, 0).expect("0 disables the scaling");
    timeouts
}
