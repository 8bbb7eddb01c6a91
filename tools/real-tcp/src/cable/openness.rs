//! Whether a connection is open at the firewall: during the run, for the forger, and afterwards, from the record.
//!
//! A forged segment must meet an open connection, whichever cable is faster. So a FIN or RST is registered here before it
//! is sent to the firewall, and a forged segment is sent under the lock.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};

use pfplane_testbed::clock::Nanos;

use super::frame::{FIN, RST, SYN};
use super::recorder::{ConnectionId, Point, Recorder};

/// What is known of one connection.
#[derive(Clone, Copy, Debug, Default)]
struct Openness {
    client_port: u16,
    /// The client and the server received a segment after the SYN from the firewall.
    answered: [bool; 2],
    closing: bool,
}

impl Openness {
    /// Whether the firewall has both SYNs acknowledged and no FIN or RST.
    fn is_open(self) -> bool {
        self.answered == [true; 2] && !self.closing
    }
}

/// All connections of the run.
#[derive(Debug, Default)]
pub(crate) struct OpenConnections(Mutex<Connections>);

/// The connections, locked.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    known: HashMap<ConnectionId, Openness>,
    paused: bool,
}

impl Connections {
    /// Whether a segment forged now meets an open connection.
    pub(crate) fn may_forge(&self, id: ConnectionId) -> bool {
        !self.paused && self.known.get(&id).is_some_and(|connection| connection.is_open())
    }
}

impl OpenConnections {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Connections> {
        self.0.lock().expect("no thread panics with this lock")
    }

    /// Adds a connection whose SYN the client sent.
    pub(crate) fn add(&self, id: ConnectionId, client_port: u16) {
        self.lock().known.entry(id).or_insert(Openness { client_port, ..Openness::default() });
    }

    /// Registers a genuine segment on the cable of `side`.
    pub(crate) fn observe(&self, id: ConnectionId, side: usize, flags: u8, from_firewall: bool) {
        if let Some(connection) = self.lock().known.get_mut(&id) {
            connection.answered[side] |= from_firewall && flags & (SYN | RST) == 0;
            connection.closing |= flags & (FIN | RST) != 0;
        }
    }

    /// Forges nothing until [`OpenConnections::resume_forging`].
    pub(crate) fn pause_forging(&self) {
        self.lock().paused = true;
    }

    /// Resumes after a takeover. Of the earlier connections, only those that the new master knew as open still count: by
    /// family and the client's port.
    pub(crate) fn resume_forging(&self, known: &HashSet<(bool, u16)>) {
        let mut connections = self.lock();
        for ((v6, _), connection) in &mut connections.known {
            connection.closing |= !known.contains(&(*v6, connection.client_port));
        }
        connections.paused = false;
    }
}

/// Whether the record shows that a connection was open at `time`. In doubt it was not, which excuses a forged segment.
pub(crate) fn was_open(cables: [&Recorder; 2], id: ConnectionId, time: Nanos) -> bool {
    let mut connection = Openness::default();
    for (side, cable) in cables.into_iter().enumerate() {
        let segments = cable.observations(id).iter();
        for segment in segments.filter(|segment| !segment.forged && segment.time <= time) {
            let from_firewall = segment.point == Point::FromFirewall;
            connection.answered[side] |= from_firewall && segment.flags & (SYN | RST) == 0;
            connection.closing |= segment.point == Point::ToFirewall && segment.flags & (FIN | RST) != 0;
        }
    }
    connection.is_open()
}

#[cfg(test)]
mod tests {
    use super::super::frame::ACK;
    use super::super::recorder::tests::{observation, recorder};
    use super::*;

    const ID: ConnectionId = (false, 7);

    #[test]
    fn a_connection_is_open_from_both_answers_to_the_first_fin() {
        let connections = OpenConnections::default();
        assert!(!connections.lock().may_forge(ID));
        connections.add(ID, 1);
        connections.observe(ID, 0, SYN | ACK, true);
        connections.observe(ID, 1, ACK, false);
        connections.observe(ID, 1, ACK, true);
        assert!(!connections.lock().may_forge(ID));
        connections.observe(ID, 0, ACK, true);
        assert!(connections.lock().may_forge(ID));
        connections.add(ID, 1);
        connections.observe(ID, 1, FIN | ACK, false);
        assert!(!connections.lock().may_forge(ID));
    }

    #[test]
    fn after_a_takeover_only_known_connections_are_open() {
        let connections = OpenConnections::default();
        for (number, port) in [(1, 10), (2, 20)] {
            connections.add((true, number), port);
            connections.observe((true, number), 0, ACK, true);
            connections.observe((true, number), 1, ACK, true);
        }
        connections.pause_forging();
        assert!(!connections.lock().may_forge((true, 1)));
        connections.resume_forging(&HashSet::from([(true, 10), (false, 20)]));
        assert!(connections.lock().may_forge((true, 1)));
        assert!(!connections.lock().may_forge((true, 2)));
    }

    #[test]
    fn the_record_shows_a_connection_open_between_both_answers_and_the_first_fin() {
        let cable = |segments: &[(Nanos, Point, u8)]| {
            let observations =
                segments.iter().map(|&(time, point, flags)| observation(time, point, false, flags));
            recorder((true, 5), observations.collect())
        };
        let client = cable(&[(1, Point::ToFirewall, SYN), (4, Point::FromFirewall, ACK)]);
        let server = cable(&[(3, Point::FromFirewall, ACK), (9, Point::ToFirewall, FIN)]);
        let cables = [&client, &server];
        let open: Vec<Nanos> = (0..12).filter(|time| was_open(cables, (true, 5), *time)).collect();
        assert_eq!(open, [4, 5, 6, 7, 8]);
        assert!(!was_open(cables, (false, 5), 6));
    }
}
