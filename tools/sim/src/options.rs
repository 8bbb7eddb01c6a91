//! What is simulated: how many seeds, how large, which faults.

use std::fmt::Write as _;

/// One kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Fault {
    /// Frames get lost.
    Loss,
    /// Frames come twice.
    Duplicates,
    /// Frames overtake each other.
    Reorder,
    /// All frames take long.
    Delay,
    /// Some nodes do not hear the others.
    Partition,
    /// Nodes die at any moment and come back empty, with another number of lanes.
    Restart,
    /// Nodes stand still for seconds.
    Pause,
    /// Clocks differ and run at different speeds.
    Drift,
    /// Broken, forged and repeated frames.
    Hostile,
    /// Lanes fall behind, and the host has no buffers for frames.
    Stall,
}

/// All faults by the names of the command line.
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
    /// Every one.
    pub const ALL: Self = Self((1 << FAULTS.len()) - 1);
    /// None: two nodes that agree and never fail.
    pub const NONE: Self = Self(0);

    /// Whether it is among them.
    #[must_use]
    pub const fn has(self, fault: Fault) -> bool {
        self.0 >> fault as u8 & 1 == 1
    }

    /// These and one more.
    #[must_use]
    pub const fn with(self, fault: Fault) -> Self {
        Self(self.0 | 1 << fault as u8)
    }

    /// Reads names separated by commas; `all` and `none` stand for themselves.
    ///
    /// # Errors
    /// A sentence with the name that is not known.
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
                .ok_or_else(|| format!("there is no fault '{name}'; there are: {}", names()))
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
    /// Nodes, 2 to 5; drawn by each seed otherwise.
    pub nodes: Option<u32>,
    /// Lanes of every node; drawn for each node, 1 to 4, otherwise.
    pub lanes: Option<u32>,
    /// Connections that a storm begins, about; drawn by each seed otherwise.
    pub flows: Option<u32>,
    /// What may go wrong.
    pub faults: Faults,
}

impl Default for Options {
    fn default() -> Self {
        Self { nodes: None, lanes: None, flows: None, faults: Faults::ALL }
    }
}

impl Options {
    /// The command that runs this seed again.
    #[must_use]
    pub fn replay(&self, seed: u64) -> String {
        let mut command = format!("./x sim --seed {seed}");
        for (name, value) in [("nodes", self.nodes), ("lanes", self.lanes), ("flows", self.flows)] {
            if let Some(value) = value {
                let _ = write!(command, " --{name} {value}");
            }
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
    fn faults_are_read_by_name_and_written_back() {
        let faults = Faults::parse("loss,drift").unwrap();
        assert!(faults.has(Fault::Loss) && faults.has(Fault::Drift) && !faults.has(Fault::Pause));
        let options = Options { nodes: Some(3), faults, ..Options::default() };
        assert_eq!(options.replay(17), "./x sim --seed 17 --nodes 3 --faults loss,drift --log");
        assert!(Faults::parse("rain").unwrap_err().contains("rain"));
        assert_eq!(Faults::parse("all"), Ok(Faults::ALL));
    }
}
