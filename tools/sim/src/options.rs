//! What is simulated: the plan, the size of the cluster and its faults.

use crate::plans::Plan;
use std::fmt::Write as _;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Fault {
    /// Frames are lost.
    Loss,
    /// Frames arrive twice.
    Duplicates,
    /// Frames are reordered.
    Reorder,
    /// All frames are delayed.
    Delay,
    /// Some nodes cannot reach the others.
    Partition,
    /// Nodes are killed and restart empty, with another number of lanes.
    Restart,
    /// Nodes pause for seconds.
    Pause,
    /// Clocks run at different speeds.
    Drift,
    /// Broken, forged and replayed frames.
    Hostile,
    /// Lanes stall, and the host has no buffers for frames.
    Stall,
}

/// All faults, by their names on the command line.
pub const FAULTS: [(&str, Fault); 10] = [
    ("loss", Fault::Loss),
    ("dup", Fault::Duplicates),
    ("reorder", Fault::Reorder),
    ("delay", Fault::Delay),
    ("partition", Fault::Partition),
    ("restart", Fault::Restart),
    ("pause", Fault::Pause),
    ("drift", Fault::Drift),
    ("hostile", Fault::Hostile),
    ("stall", Fault::Stall),
];

/// A set of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults(u16);

impl Faults {
    /// All faults.
    pub const ALL: Self = Self((1 << FAULTS.len()) - 1);
    /// No fault.
    pub const NONE: Self = Self(0);

    /// Returns whether the set holds a fault.
    #[must_use]
    pub const fn has(self, fault: Fault) -> bool {
        self.0 >> fault as u8 & 1 == 1
    }

    /// Removes a fault.
    #[must_use]
    pub const fn without(self, fault: Fault) -> Self {
        Self(self.0 & !(1 << fault as u8))
    }

    /// Adds a fault.
    #[must_use]
    pub const fn with(self, fault: Fault) -> Self {
        Self(self.0 | 1 << fault as u8)
    }

    /// Parses names separated by commas, or `all`, or `none`.
    ///
    /// # Errors
    /// A message that names the unknown fault.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "all" => return Ok(Self::ALL),
            "none" => return Ok(Self::NONE),
            _ => {}
        }
        text.split(',').try_fold(Self::NONE, |faults, name| {
            let known = FAULTS.iter().find(|(known, _)| *known == name);
            let names = || FAULTS.map(|(name, _)| name).join(",");
            known
                .map(|(_, fault)| faults.with(*fault))
                .ok_or_else(|| format!("unknown fault '{name}'; the faults are {}", names()))
        })
    }

    fn names(self) -> String {
        let names: Vec<_> =
            FAULTS.iter().filter(|(_, fault)| self.has(*fault)).map(|(name, _)| *name).collect();
        if names.is_empty() { "none".into() } else { names.join(",") }
    }
}

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Options {
    /// What happens; by default each seed draws it.
    pub plan: Option<Plan>,
    /// Nodes, 2 to 5; by default each seed draws them. Some plans have two.
    pub nodes: Option<u32>,
    /// Lanes of every node; by default each node draws 1 to 4.
    pub lanes: Option<u32>,
    /// Connections started in each fault phase, approximately; by default each seed draws them.
    pub flows: Option<u32>,
    /// Whether the nodes know each other for pfplane nodes in every plan, not only where the plan says so.
    pub pfplane: bool,
    /// The faults.
    pub faults: Faults,
}

impl Default for Options {
    fn default() -> Self {
        Self { plan: None, nodes: None, lanes: None, flows: None, pfplane: false, faults: Faults::ALL }
    }
}

impl Options {
    /// Returns the command that repeats a seed.
    #[must_use]
    pub fn replay(&self, seed: u64) -> String {
        let mut command = format!("./x sim --seed {seed}");
        if let Some(plan) = self.plan {
            let _ = write!(command, " --plan {}", plan.name());
        }
        for (name, value) in [("nodes", self.nodes), ("lanes", self.lanes), ("flows", self.flows)] {
            if let Some(value) = value {
                let _ = write!(command, " --{name} {value}");
            }
        }
        if self.pfplane {
            command += " --pfplane";
        }
        if self.faults != Faults::ALL {
            let _ = write!(command, " --faults {}", self.faults.names());
        }
        command + " --log"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_parsed_by_name_and_printed_in_the_replay_command() {
        let faults = Faults::parse("loss,drift").unwrap();
        assert!(faults.has(Fault::Loss) && faults.has(Fault::Drift) && !faults.has(Fault::Pause));
        let options = Options { plan: Some(Plan::Full), nodes: Some(3), faults, ..Options::default() };
        assert_eq!(options.replay(17), "./x sim --seed 17 --plan full --nodes 3 --faults loss,drift --log");
        assert!(Faults::parse("rain").unwrap_err().contains("rain"));
        assert_eq!(Faults::parse("all"), Ok(Faults::ALL));
    }
}
