//! Counts instead of frames.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use pfsync::{Invalid, Record};

use crate::filter::identity;
use crate::report::{Fault, FrameInfo, Output, RegionInfo};

/// Counts frames, regions, records and faults; [`Self::write`] prints the counts.
#[derive(Debug, Default)]
pub struct Stats {
    frames: u64,
    others: u64,
    bytes: u64,
    versions: BTreeMap<u8, u64>,
    senders: BTreeMap<String, u64>,
    /// Regions and records by action.
    actions: BTreeMap<&'static str, (u64, u64)>,
    creators: BTreeMap<u32, u64>,
    states: BTreeSet<(u64, u32)>,
    faults: BTreeMap<&'static str, u64>,
}

impl Output for Stats {
    fn frame(&mut self, frame: &FrameInfo) {
        self.frames += 1;
        self.bytes += frame.length as u64;
        *self.versions.entry(frame.version).or_default() += 1;
        if let Some(envelope) = &frame.envelope {
            *self.senders.entry(envelope.source.to_string()).or_default() += 1;
        }
    }

    fn region(&mut self, region: &RegionInfo) {
        self.actions.entry(region.action.name()).or_default().0 += 1;
    }

    fn record(&mut self, region: &RegionInfo, record: &Record, invalid: Option<Invalid>) {
        self.actions.entry(region.action.name()).or_default().1 += 1;
        if let (id, Some(creator)) = identity(record) {
            *self.creators.entry(creator).or_default() += 1;
            self.states.extend(id.map(|id| (id, creator)));
        }
        if invalid.is_some() {
            *self.faults.entry("badval").or_default() += 1;
        }
    }

    fn fault(&mut self, fault: Fault) {
        *self.faults.entry(fault.counter()).or_default() += 1;
    }

    fn end(&mut self) {}

    fn other(&mut self) {
        self.others += 1;
    }
}

impl Stats {
    /// Writes the counts as a table.
    ///
    /// # Errors
    /// If writing to `out` fails.
    pub fn write(&self, mut out: impl Write) -> io::Result<()> {
        writeln!(out, "frames     {} with {} bytes, {} other packets", self.frames, self.bytes, self.others)?;
        for (version, frames) in &self.versions {
            writeln!(out, "version    {version}: {frames}")?;
        }
        for (sender, frames) in &self.senders {
            writeln!(out, "sender     {sender}: {frames}")?;
        }
        for (action, (regions, records)) in &self.actions {
            writeln!(out, "action     {action}: {records} records in {regions} regions")?;
        }
        for (creator, records) in &self.creators {
            writeln!(out, "creator    {creator:08x}: {records}")?;
        }
        writeln!(out, "states     {} different identities", self.states.len())?;
        for (fault, count) in &self.faults {
            writeln!(out, "fault      {fault}: {count}")?;
        }
        Ok(())
    }
}
