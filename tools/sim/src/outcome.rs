//! What came of a seed.

/// Something that must not be. The panic that carries it ends the seed.
#[derive(Clone, Debug)]
pub struct Violation(pub String);

/// What is told of a seed that went well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Connections begun.
    pub connections: u64,
    /// Connections closed.
    pub ended: u64,
    /// Packets that passed.
    pub packets: u64,
    /// Frames sent on the sync link.
    pub frames: u64,
    /// Messages in them.
    pub messages: u64,
    /// Nodes that died.
    pub deaths: u64,
    /// Of these, since the last calm: they may take young connections with them.
    pub in_storm: u64,
    /// Deaths at any moment under load on a sound link.
    pub sudden: u64,
    /// What nodes that died so had announced to be lost.
    pub announced: u64,
    /// What was lost.
    pub lost: u64,
    /// Packets of live connections tried to see whether these live.
    pub probes: u64,
}

impl Figures {
    /// Adds those of another seed.
    pub fn add(&mut self, other: &Self) {
        self.connections += other.connections;
        self.ended += other.ended;
        self.packets += other.packets;
        self.frames += other.frames;
        self.messages += other.messages;
        self.deaths += other.deaths;
        self.sudden += other.sudden;
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
    /// What is told of it.
    pub figures: Figures,
    /// Stands for every byte that was sent: equal in each run of the seed.
    pub fingerprint: u64,
    /// Its events, where they were wanted.
    pub log: Vec<String>,
}
