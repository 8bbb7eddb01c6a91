//! The result of a seed.

/// A broken invariant. It is the payload of the panic that ends the seed.
#[derive(Clone, Debug)]
pub struct Violation(pub String);

/// The totals of a seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Connections started.
    pub connections: u64,
    /// Connections closed.
    pub closed: u64,
    /// Packets that passed.
    pub packets: u64,
    /// Frames sent on the sync link.
    pub frames: u64,
    /// Messages in them.
    pub messages: u64,
    /// Nodes killed.
    pub deaths: u64,
    /// Nodes killed since the last recovery: connections that were not yet settled may be lost.
    pub unsettled_deaths: u64,
    /// Takeovers at a random moment under load, by a node that said that it was ready.
    pub sudden_deaths: u64,
    /// Takeovers by a node that said that it was not ready: nothing is promised.
    pub unready_takeovers: u64,
    /// Creations that the nodes taken over had announced as exposed: the most that may be lost.
    pub announced: u64,
    /// Connections that were lost.
    pub lost: u64,
    /// Packets sent to check that a live connection still passes.
    pub probes: u64,
}

impl Figures {
    /// Adds the totals of another seed.
    pub fn add(&mut self, other: &Self) {
        self.connections += other.connections;
        self.closed += other.closed;
        self.packets += other.packets;
        self.frames += other.frames;
        self.messages += other.messages;
        self.deaths += other.deaths;
        self.sudden_deaths += other.sudden_deaths;
        self.unready_takeovers += other.unready_takeovers;
        self.announced += other.announced;
        self.lost += other.lost;
        self.probes += other.probes;
    }
}

/// How a seed ended.
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// Why it failed, if it did.
    pub failure: Option<String>,
    /// Its totals.
    pub figures: Figures,
    /// Digest of every byte sent: equal in each run of the seed.
    pub fingerprint: u64,
    /// Its events, if the log was on.
    pub log: Vec<String>,
}
