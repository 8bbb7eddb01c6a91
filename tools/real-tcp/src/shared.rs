//! What the threads of a run share, and the division of the connections into phases.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};

use pfplane_testbed::traffic::keystream::Direction;

use crate::cable::openness::OpenConnections;
use crate::endpoints::endpoint::Outcome;
use crate::endpoints::script::{Buffer, Script};
use crate::network::PHASES;

#[derive(Default)]
pub(crate) struct Shared {
    /// Determines every random choice.
    pub seed: u64,
    /// All connections of the run.
    pub connections: u32,
    /// The client may start connections below this number.
    pub open_limit: AtomicU32,
    /// Connections that the client has started.
    pub opened: AtomicU32,
    /// Connections from the port of one that was just reset.
    pub ports_reused: AtomicU32,
    /// Connections not finished at the client.
    pub active_at_client: AtomicU32,
    /// Connections not finished at the server.
    pub active_at_server: AtomicU32,
    /// Started connections without an answer yet.
    pub unanswered: AtomicU32,
    pub open_connections: OpenConnections,
    /// Stops the endpoints.
    pub stop: AtomicBool,
    /// Cables that forward frames.
    pub cables_ready: AtomicU32,
    /// Stops the cables.
    pub cables_stop: AtomicBool,
    /// The finished ends of each connection: bit 0 the client's, bit 1 the server's.
    finished: Vec<AtomicU8>,
    /// The outcomes at client and server.
    pub outcomes: [Mutex<Vec<Outcome>>; 2],
}

impl Shared {
    pub(crate) fn new(seed: u64, connections: u32) -> Shared {
        let finished = (0..connections).map(|_| AtomicU8::new(0)).collect();
        Shared { seed, connections, finished, ..Shared::default() }
    }

    /// Returns what happens on connection `number`.
    pub(crate) fn script(&self, number: u32) -> Script {
        Script::new(self.seed, number, server_buffer(phase_of(number, self.connections)))
    }

    /// Stores the outcome of an endpoint that sends in `direction`.
    pub(crate) fn report(&self, direction: Direction, outcome: Outcome) {
        let side = usize::from(direction == Direction::ToClient);
        if let Some(finished) = self.finished.get(outcome.number as usize) {
            finished.fetch_or(1 << side, Ordering::Relaxed);
        }
        self.outcomes[side].lock().expect("no thread panics with this lock").push(outcome);
    }

    /// Whether both ends of a connection have finished.
    pub(crate) fn is_finished(&self, number: u32) -> bool {
        self.finished[number as usize].load(Ordering::Relaxed) == 3
    }

    /// Returns the number of outcomes at the client (0) or the server (1).
    pub(crate) fn outcome_count(&self, side: usize) -> usize {
        self.outcomes[side].lock().expect("no thread panics with this lock").len()
    }
}

/// Returns the phase in which a connection is started.
pub(crate) fn phase_of(number: u32, connections: u32) -> u32 {
    (0..PHASES).find(|phase| number < phase_end(*phase, connections)).unwrap_or(PHASES - 1)
}

/// Returns the first number of the next phase.
pub(crate) fn phase_end(phase: u32, connections: u32) -> u32 {
    u32::try_from(u64::from(connections) * u64::from(phase + 1) / u64::from(PHASES))
        .expect("at most all connections")
}

/// Returns the server's receive buffers in a phase.
pub(crate) fn server_buffer(phase: u32) -> Buffer {
    [Buffer::Default, Buffer::Tiny, Buffer::Huge][phase as usize % 3]
}
