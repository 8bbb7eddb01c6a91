//! The modes of the demonstration. Each but the default is selected by an option.

use crate::results::verdict::Expectation;

/// What happens to the firewalls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    /// A is killed when all connections carry data.
    #[default]
    UnderLoad,
    /// The same without replication.
    WithoutSync,
    /// A is killed while connections are being opened.
    DuringSetup,
    /// B starts when all connections are open.
    LateStart,
    /// The sync link is cut while connections are opened, and restored before the kill.
    CutSync,
    /// A is killed, restarts empty and loads all states in bulk; then B is killed.
    Rolling,
    /// The master is paused and continues after another one has taken over.
    Freeze,
    /// All links between the firewalls are cut and restored.
    Partition,
    /// The master hands over, by a control word and by SIGTERM, there and back.
    Switch,
}

/// Option, mode and the report's description.
const MODES: [(&str, Mode, &str); 9] = [
    ("", Mode::UnderLoad, "kill under load"),
    ("without-sync", Mode::WithoutSync, "kill without replication"),
    ("kill-during-setup", Mode::DuringSetup, "kill during connection setup"),
    ("late-start", Mode::LateStart, "kill after a late start of B"),
    ("cut-sync", Mode::CutSync, "kill after a cut of the sync link"),
    ("rolling", Mode::Rolling, "both firewalls killed in turn"),
    ("freeze", Mode::Freeze, "pause of the master"),
    ("partition", Mode::Partition, "partition of the firewalls"),
    ("switch", Mode::Switch, "planned switch"),
];

impl Mode {
    /// Returns the mode that `--option` selects.
    pub(crate) fn from_option(option: &str) -> Option<Mode> {
        MODES.iter().find(|(name, ..)| !name.is_empty() && *name == option).map(|&(_, mode, _)| mode)
    }

    /// Returns all options that select a mode, for messages.
    pub(crate) fn options() -> String {
        let names: Vec<String> = MODES[1..].iter().map(|(name, ..)| format!("--{name}")).collect();
        names.join(", ")
    }

    pub(crate) fn description(self) -> &'static str {
        MODES.iter().find(|(_, mode, _)| *mode == self).map_or("", |&(.., description)| description)
    }

    pub(crate) fn replicates(self) -> bool {
        self != Mode::WithoutSync
    }

    /// Whether a fault can come several times in a run.
    pub(crate) fn repeats(self) -> bool {
        matches!(self, Mode::UnderLoad | Mode::Freeze | Mode::Partition | Mode::Switch)
    }

    /// Whether the firewalls must elect the master themselves.
    pub(crate) fn needs_election(self) -> bool {
        matches!(self, Mode::Freeze | Mode::Partition | Mode::Switch)
    }

    /// Returns what must happen to the connections. `defers`: the firewalls hold first packets.
    pub(crate) fn expectation(self, defers: bool) -> Expectation {
        match self {
            Mode::WithoutSync => Expectation::NoneSurvive,
            Mode::DuringSetup if defers => Expectation::OpeningSurviveToo,
            Mode::DuringSetup => Expectation::EstablishedAndNewSurvive,
            Mode::Partition => Expectation::Reported,
            Mode::UnderLoad
            | Mode::LateStart
            | Mode::CutSync
            | Mode::Rolling
            | Mode::Freeze
            | Mode::Switch => Expectation::AllSurvive,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_has_its_own_option_and_description() {
        for (option, mode, description) in MODES {
            assert_eq!(mode.description(), description);
            assert_eq!(Mode::from_option(option), (mode != Mode::default()).then_some(mode));
        }
        assert_eq!(Mode::from_option("seconds"), None);
    }
}
