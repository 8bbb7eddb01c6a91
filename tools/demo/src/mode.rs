//! What a run shows. One mode at a time; each is an option of the command line.

use crate::verdict::Expectation;

/// What happens to the firewalls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// A is killed when all connections carry data.
    #[default]
    UnderLoad,
    /// The same with replication off.
    WithoutSync,
    /// A is killed while connections are still being opened.
    DuringSetup,
    /// B starts only when all connections are open.
    LateStart,
    /// The sync link is cut while connections are opened, and mended before the kill.
    CutSync,
    /// A is killed, comes back empty, loads all in bulk; then B is killed, and A takes over.
    Rolling,
}

/// The option that asks for a mode, and the report's words for it.
const MODES: [(&str, Mode, &str); 6] = [
    ("", Mode::UnderLoad, "kill under load"),
    ("without-sync", Mode::WithoutSync, "without replication"),
    ("kill-during-setup", Mode::DuringSetup, "kill during setup"),
    ("late-start", Mode::LateStart, "kill after a late start"),
    ("cut-sync", Mode::CutSync, "kill after a cut sync link"),
    ("rolling", Mode::Rolling, "both firewalls killed in turn"),
];

impl Mode {
    /// The mode that `--option` asks for.
    pub fn of_option(option: &str) -> Option<Mode> {
        MODES.iter().find(|(name, ..)| !name.is_empty() && *name == option).map(|&(_, mode, _)| mode)
    }

    /// All options that ask for one, for sentences.
    pub fn options() -> String {
        let names: Vec<String> = MODES[1..].iter().map(|(name, ..)| format!("--{name}")).collect();
        names.join(", ")
    }

    /// What was shown, in a few words.
    pub fn words(self) -> &'static str {
        MODES.iter().find(|(_, mode, _)| *mode == self).map_or("", |&(.., words)| words)
    }

    /// Whether the firewalls tell each other their states.
    pub fn replicates(self) -> bool {
        self != Mode::WithoutSync
    }

    /// What must become of the connections, when the firewalls hold first packets and when they do not.
    pub fn expectation(self, defers: bool) -> Expectation {
        match self {
            Mode::WithoutSync => Expectation::NoneLives,
            Mode::DuringSetup if defers => Expectation::YoungLiveToo,
            Mode::DuringSetup => Expectation::OldAndNewLive,
            Mode::UnderLoad | Mode::LateStart | Mode::CutSync | Mode::Rolling => Expectation::AllLive,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_has_an_option_and_words_of_its_own() {
        for (option, mode, words) in MODES {
            assert_eq!(mode.words(), words);
            assert_eq!(Mode::of_option(option), (mode != Mode::default()).then_some(mode));
        }
        assert_eq!(Mode::of_option("seconds"), None);
    }
}
