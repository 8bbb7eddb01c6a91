//! How far each connection is, as both cables know it together. A forger may only harm what is open at the firewall, and
//! "open" must not hang on who was faster: a FIN or RST is told here before it leaves for the firewall, and a forged
//! segment leaves while nobody else can tell.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};

use crate::frame::{FIN, RST, SYN};
use crate::recorder::Name;

/// One connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stage {
    client_port: u16,
    /// Something behind the SYN came out of the firewall, for the client and for the server.
    answered: [bool; 2],
    over: bool,
}

impl Stage {
    /// Whether the firewall has seen both SYNs acknowledged, and nothing of an end yet.
    pub fn is_open(&self) -> bool {
        self.answered == [true; 2] && !self.over
    }
}

/// All connections.
#[derive(Debug, Default)]
pub struct Stages(Mutex<Known>);

/// What is behind the lock.
#[derive(Debug, Default)]
pub struct Known {
    stages: HashMap<Name, Stage>,
    pause: bool,
}

impl Known {
    /// Whether a segment forged now meets an open connection.
    pub fn may_forge(&self, name: Name) -> bool {
        !self.pause && self.stages.get(&name).is_some_and(Stage::is_open)
    }
}

impl Stages {
    /// While this is held nobody tells of anything.
    pub fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().expect("nobody panics while holding it")
    }

    /// A connection's SYN was seen at the client.
    pub fn begin(&self, name: Name, client_port: u16) {
        self.lock().stages.entry(name).or_insert(Stage { client_port, ..Stage::default() });
    }

    /// A true segment goes by on the cable of `side`.
    pub fn watch(&self, name: Name, side: usize, flags: u8, from_firewall: bool) {
        if let Some(stage) = self.lock().stages.get_mut(&name) {
            stage.answered[side] |= from_firewall && flags & (SYN | RST) == 0;
            stage.over |= flags & (FIN | RST) != 0;
        }
    }

    /// From now on nothing is forged.
    pub fn pause(&self) {
        self.lock().pause = true;
    }

    /// Forging goes on, but of the connections begun so far only on those of which the firewall that took over knew that
    /// both sides had opened: by family and the client's port.
    pub fn go_on(&self, known: &HashSet<(bool, u16)>) {
        let mut all = self.lock();
        for ((v6, _), stage) in &mut all.stages {
            stage.over |= !known.contains(&(*v6, stage.client_port));
        }
        all.pause = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::ACK;

    const NAME: Name = (false, 7);

    #[test]
    fn a_connection_is_open_from_both_answers_to_the_first_sign_of_its_end() {
        let stages = Stages::default();
        assert!(!stages.lock().may_forge(NAME));
        stages.begin(NAME, 1);
        stages.watch(NAME, 0, SYN | ACK, true);
        stages.watch(NAME, 1, ACK, false);
        stages.watch(NAME, 1, ACK, true);
        assert!(!stages.lock().may_forge(NAME));
        stages.watch(NAME, 0, ACK, true);
        assert!(stages.lock().may_forge(NAME));
        stages.begin(NAME, 1);
        stages.watch(NAME, 1, FIN | ACK, false);
        assert!(!stages.lock().may_forge(NAME));
    }

    #[test]
    fn after_a_takeover_only_what_was_known_is_open() {
        let stages = Stages::default();
        for (number, port) in [(1, 10), (2, 20)] {
            stages.begin((true, number), port);
            stages.watch((true, number), 0, ACK, true);
            stages.watch((true, number), 1, ACK, true);
        }
        stages.pause();
        assert!(!stages.lock().may_forge((true, 1)));
        stages.go_on(&HashSet::from([(true, 10), (false, 20)]));
        assert!(stages.lock().may_forge((true, 1)));
        assert!(!stages.lock().may_forge((true, 2)));
    }
}
