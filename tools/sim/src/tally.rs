//! What nodes say, counted from the bytes themselves: the counters of an engine must add up to it.

use pfsync::envelope::Envelope;
use pfsync::{Action, FrameReader, Identity, Record};
use std::fmt::Write as _;

/// Messages of one frame, or of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Frames.
    pub frames: u64,
    /// Bytes of them, with IP headers.
    pub bytes: u64,
    /// Inserts.
    pub inserts: u64,
    /// Full updates, those of bulk transfers too.
    pub updates: u64,
    /// Compressed updates.
    pub compressed: u64,
    /// Deletes.
    pub deletes: u64,
    /// Acknowledgements.
    pub acks: u64,
    /// Requests for a state.
    pub requests: u64,
    /// Requests for all states, starts and ends of transfers.
    pub marks: u64,
    /// Clears.
    pub clears: u64,
}

/// The statistics of an engine that must be equal to the fields, in their order.
pub const NAMES: [&str; 10] = [
    "opackets",
    "obytes",
    "inserts_sent",
    "updates_sent",
    "compressed_sent",
    "deletes_sent",
    "acks_sent",
    "requests_sent",
    "bulk_marks_sent",
    "clears_sent",
];

impl Tally {
    /// What one frame says; `None` when a node has sent what nobody can read.
    pub fn of(packet: &[u8], mut seen: impl FnMut(Identity)) -> Option<Self> {
        let envelope = Envelope::parse(packet).ok()?;
        let mut reader = FrameReader::new(packet.get(envelope.payload)?).ok()?;
        let mut tally = Self { frames: 1, bytes: packet.len() as u64, ..Self::default() };
        while let Some(region) = reader.next_region() {
            let region = region.ok()?;
            let count = u64::from(region.count());
            match region.action() {
                Action::Insert => tally.inserts += count,
                Action::Update => tally.updates += count,
                Action::UpdateCompressed => tally.compressed += count,
                Action::Delete | Action::DeleteCompressed => tally.deletes += count,
                Action::InsertAck => tally.acks += count,
                Action::UpdateRequest => {
                    let bulk = region.ids().filter(|id| *id == Identity::BULK).count() as u64;
                    tally.marks += bulk;
                    tally.requests += count - bulk;
                }
                Action::BulkStatus => tally.marks += count,
                Action::Clear => tally.clears += count,
                Action::Tdb | Action::Eof => {}
            }
            for record in region.records() {
                match record {
                    Record::State(state) => seen(state.id),
                    Record::Compressed(update) => seen(update.id),
                    _ => {}
                }
            }
        }
        Some(tally)
    }

    /// The fields in the order of [`NAMES`].
    #[must_use]
    pub const fn values(&self) -> [u64; 10] {
        [
            self.frames,
            self.bytes,
            self.inserts,
            self.updates,
            self.compressed,
            self.deletes,
            self.acks,
            self.requests,
            self.marks,
            self.clears,
        ]
    }

    /// Messages about single states.
    #[must_use]
    pub const fn messages(&self) -> u64 {
        self.inserts + self.updates + self.compressed + self.deletes + self.acks + self.requests
    }

    /// Adds another one.
    pub fn add(&mut self, other: &Self) {
        self.frames += other.frames;
        self.bytes += other.bytes;
        self.inserts += other.inserts;
        self.updates += other.updates;
        self.compressed += other.compressed;
        self.deletes += other.deletes;
        self.acks += other.acks;
        self.requests += other.requests;
        self.marks += other.marks;
        self.clears += other.clears;
    }

    /// The messages in words.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut words = String::new();
        let names = ["INS", "UPD", "UPD_C", "DEL_C", "INS_ACK", "UPD_REQ", "BUS/bulk request", "CLR"];
        for (name, count) in names.into_iter().zip(&self.values()[2..]) {
            if *count > 0 {
                let _ = write!(words, " {name} x{count}");
            }
        }
        format!("{} bytes:{words}", self.bytes)
    }
}
