//! Messages counted from the bytes on the link: the counters of the engines must agree.

use pfsync::envelope::Envelope;
use pfsync::{Action, FrameReader, Identity, Record};
use std::fmt::Write as _;

/// Messages of one frame, or of many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrafficCounts {
    /// Frames.
    pub frames: u64,
    /// Their bytes, with IP headers.
    pub bytes: u64,
    /// Inserts.
    pub inserts: u64,
    /// Full updates, also those of bulk transfers.
    pub updates: u64,
    /// Compressed updates.
    pub compressed: u64,
    /// Deletes.
    pub deletes: u64,
    /// Acknowledgements.
    pub acks: u64,
    /// Requests for a state.
    pub requests: u64,
    /// Requests for all states, starts and ends of bulk transfers.
    pub bulk_marks: u64,
}

/// The statistics of an engine that must equal the fields, in their order.
pub(crate) const STATISTICS: [&str; 9] = [
    "opackets",
    "obytes",
    "inserts_sent",
    "updates_sent",
    "compressed_sent",
    "deletes_sent",
    "acks_sent",
    "requests_sent",
    "bulk_marks_sent",
];

/// Lists the states that the messages of a sound frame are about.
pub(crate) fn identities(packet: &[u8]) -> Vec<Identity> {
    let mut all = Vec::new();
    let Ok(envelope) = Envelope::parse(packet) else { return all };
    let Ok(mut reader) = FrameReader::new(&packet[envelope.payload]) else { return all };
    while let Some(Ok(region)) = reader.next_region() {
        all.extend(region.records().filter_map(|record| match record {
            Record::State(state) => Some(state.id),
            Record::Compressed(update) => Some(update.id),
            Record::Id(id) => Some(id),
            _ => None,
        }));
    }
    all
}

impl TrafficCounts {
    /// Counts the messages of a frame; `None` if it cannot be decoded.
    pub fn of(packet: &[u8], mut seen: impl FnMut(Identity)) -> Option<Self> {
        let envelope = Envelope::parse(packet).ok()?;
        let mut reader = FrameReader::new(packet.get(envelope.payload)?).ok()?;
        let mut counts = Self { frames: 1, bytes: packet.len() as u64, ..Self::default() };
        while let Some(region) = reader.next_region() {
            let region = region.ok()?;
            let count = u64::from(region.count());
            match region.action() {
                Action::Insert => counts.inserts += count,
                Action::Update => counts.updates += count,
                Action::UpdateCompressed => counts.compressed += count,
                Action::Delete | Action::DeleteCompressed => counts.deletes += count,
                Action::InsertAck => counts.acks += count,
                Action::UpdateRequest => {
                    let bulk = region.ids().filter(|id| *id == Identity::BULK).count() as u64;
                    counts.bulk_marks += bulk;
                    counts.requests += count - bulk;
                }
                Action::BulkStatus => counts.bulk_marks += count,
                Action::Clear | Action::Tdb | Action::Eof => {}
            }
            for record in region.records() {
                match record {
                    Record::State(state) => seen(state.id),
                    Record::Compressed(update) => seen(update.id),
                    _ => {}
                }
            }
        }
        Some(counts)
    }

    /// Returns the fields in the order of `STATISTICS`.
    #[must_use]
    pub const fn values(&self) -> [u64; 9] {
        [
            self.frames,
            self.bytes,
            self.inserts,
            self.updates,
            self.compressed,
            self.deletes,
            self.acks,
            self.requests,
            self.bulk_marks,
        ]
    }

    /// Returns the number of messages about single states.
    #[must_use]
    pub const fn messages(&self) -> u64 {
        self.inserts + self.updates + self.compressed + self.deletes + self.acks + self.requests
    }

    /// Adds other counts.
    pub fn add(&mut self, other: &Self) {
        self.frames += other.frames;
        self.bytes += other.bytes;
        self.inserts += other.inserts;
        self.updates += other.updates;
        self.compressed += other.compressed;
        self.deletes += other.deletes;
        self.acks += other.acks;
        self.requests += other.requests;
        self.bulk_marks += other.bulk_marks;
    }

    /// Describes the messages for the log.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut messages = String::new();
        let names = ["INS", "UPD", "UPD_C", "DEL_C", "INS_ACK", "UPD_REQ", "BUS/bulk request", "CLR"];
        for (name, count) in names.into_iter().zip(&self.values()[2..]) {
            if *count > 0 {
                let _ = write!(messages, " {name} x{count}");
            }
        }
        format!("{} bytes:{messages}", self.bytes)
    }
}
