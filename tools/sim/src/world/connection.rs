//! One connection through the cluster: the oracle of what must pass.

use crate::S;
use core::ops::{Deref, DerefMut};
use pfplane::internals::packet::Key;
use pfplane_testkit::flow::{Flow, Intent, Kind, Phase, Segment};
use pfplane_testkit::{Random, node};

/// A flow and its path through the nodes.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The flow between its two ends.
    pub flow: Flow,
    /// Nodes that its packets pass, forward and reverse.
    pub path: [usize; 2],
    /// When its last packet passed.
    pub last: u64,
    /// The node that its last packet passed.
    pub last_node: usize,
    /// When a packet last passed each node.
    pub last_at: [u64; 5],
    /// It was open after a recovery: from then on it must survive whatever happens.
    pub settled: bool,
    /// Since when it has been over, if nothing went wrong while it closed.
    pub over_since: Option<u64>,
    /// When an end last began to close it.
    pub closing_since: u64,
    /// The node that all packets of the close passed, if it was one.
    pub closed_at: Option<usize>,
    /// A node holds its packet.
    pub is_held: bool,
    /// A later connection uses its ports.
    pub replaced: bool,
    /// Turns in which its first packet was refused.
    pub refusals: u32,
}

impl Deref for Connection {
    type Target = Flow;

    fn deref(&self) -> &Flow {
        &self.flow
    }
}

impl DerefMut for Connection {
    fn deref_mut(&mut self) -> &mut Flow {
        &mut self.flow
    }
}

impl Connection {
    /// Builds a connection that has not started.
    #[must_use]
    pub const fn new(flow: Flow, path: [usize; 2]) -> Self {
        Self {
            flow,
            path,
            last: 0,
            last_node: path[0],
            last_at: [0; 5],
            settled: false,
            over_since: None,
            closing_since: 0,
            closed_at: None,
            is_held: false,
            replaced: false,
            refusals: 0,
        }
    }

    /// Builds another connection with the same addresses and ports.
    pub fn again(&self, path: [usize; 2], random: &mut Random) -> Self {
        Self::new(self.flow.again(random), path)
    }

    /// Returns its key on an inside interface.
    #[must_use]
    pub fn key(&self) -> Key {
        node::key_of(&self.flow)
    }

    /// Returns whether both ends are connected and stay so: the next packet must pass wherever the state should be.
    #[must_use]
    pub fn is_live(&self, now: u64) -> bool {
        let timeout = match self.kind {
            Kind::Tcp => u64::MAX,
            Kind::Udp => 20 * S,
            Kind::Echo => 6 * S,
        };
        self.phase == Phase::Open && now.saturating_sub(self.last) < timeout
    }

    /// Returns whether the client has the server's SYN and ACK and nobody has closed: what a takeover must not break.
    #[must_use]
    pub fn is_established(&self) -> bool {
        self.kind == Kind::Tcp && matches!(self.phase, Phase::Ack | Phase::Open)
    }

    /// Returns whether it is being closed.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        matches!(self.phase, Phase::FinAck | Phase::LastAck)
    }

    /// Returns whether it is an open TCP connection.
    #[must_use]
    pub fn is_open_tcp(&self) -> bool {
        self.kind == Kind::Tcp && self.phase == Phase::Open
    }

    /// Returns whether it is a TCP connection whose handshake is not complete.
    #[must_use]
    pub fn is_half_open_tcp(&self) -> bool {
        self.kind == Kind::Tcp && matches!(self.phase, Phase::Syn | Phase::SynAck | Phase::Ack)
    }

    /// Returns whether no more packets follow.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    /// Returns whether it is neither open nor over.
    #[must_use]
    pub fn is_in_transition(&self) -> bool {
        !matches!(self.phase, Phase::Open | Phase::Over)
    }

    /// Describes it for a failure message.
    #[must_use]
    pub fn describe(&self) -> String {
        let (kind, phase, next) = (self.kind, self.phase_name(), self.next_numbers());
        let Self { settled, over_since, last, .. } = self;
        let at = |time: u64| time.saturating_sub(super::EPOCH) as f64 / S as f64;
        format!(
            "{kind:?}, {phase}, next {next:?}, settled {settled}, last packet at {:.3}, over since {:?}",
            at(*last),
            over_since.map(at)
        )
    }

    /// The client gives up.
    pub const fn abandon(&mut self) {
        self.flow.phase = Phase::Over;
        self.over_since = None;
    }

    /// A packet reached the other end.
    pub fn delivered(&mut self, segment: &Segment, intent: Intent, now: u64) {
        self.last = now;
        self.flow.delivered(segment, intent);
    }

    /// Returns whether one node alone has seen it for a while, so that its view is exact: a reset must name the next
    /// sequence number.
    #[must_use]
    pub fn is_seen_by_one(&self, now: u64) -> bool {
        let others = self.last_at.iter().enumerate().filter(|(node, _)| *node != self.last_node);
        others.map(|(_, at)| *at).all(|at| now.saturating_sub(at) > 2 * S)
    }
}
