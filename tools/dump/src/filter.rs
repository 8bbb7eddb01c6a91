//! Selects the records to show.

use pfsync::{Action, Invalid, Record};

use crate::report::{Fault, FrameInfo, Output, RegionInfo};

/// Selects the records that match every condition that is set.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// One of these actions; any if empty.
    pub actions: Vec<Action>,
    /// This id.
    pub id: Option<u64>,
    /// This creator.
    pub creator: Option<u32>,
}

impl Filter {
    /// Returns whether no condition is set. Then regions without records are shown too.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.actions.is_empty() && self.id.is_none() && self.creator.is_none()
    }

    /// Returns whether a record matches.
    #[must_use]
    pub fn matches(&self, action: Action, record: &Record) -> bool {
        let (id, creator) = identity(record);
        (self.actions.is_empty() || self.actions.contains(&action))
            && self.id.is_none_or(|wanted| id == Some(wanted))
            && self.creator.is_none_or(|wanted| creator == Some(wanted))
    }
}

/// Passes on a frame and its faults once it has a matching record; without a filter, every frame.
pub(crate) struct MatchingFrames<'a> {
    output: &'a mut dyn Output,
    shows_all: bool,
    /// The frame, until it has a matching record.
    frame: Option<FrameInfo>,
    faults: Vec<Fault>,
}

impl<'a> MatchingFrames<'a> {
    pub(crate) fn new(output: &'a mut dyn Output, filter: &Filter) -> Self {
        Self { output, shows_all: filter.is_empty(), frame: None, faults: Vec::new() }
    }
}

impl Output for MatchingFrames<'_> {
    fn frame(&mut self, frame: &FrameInfo) {
        if self.shows_all {
            self.output.frame(frame);
        } else {
            self.frame = Some(frame.clone());
        }
    }

    fn region(&mut self, region: &RegionInfo) {
        if let Some(frame) = self.frame.take() {
            self.output.frame(&frame);
            self.faults.drain(..).for_each(|fault| self.output.fault(fault));
        }
        self.output.region(region);
    }

    fn record(&mut self, region: &RegionInfo, record: &Record, invalid: Option<Invalid>) {
        self.output.record(region, record, invalid);
    }

    fn fault(&mut self, fault: Fault) {
        if self.frame.is_some() {
            self.faults.push(fault);
        } else {
            self.output.fault(fault);
        }
    }

    fn end(&mut self) {
        if self.frame.take().is_none() {
            self.output.end();
        }
    }

    fn other(&mut self) {
        self.output.other();
    }
}

/// Returns the id and the creator in a record.
#[must_use]
pub const fn identity(record: &Record) -> (Option<u64>, Option<u32>) {
    match record {
        Record::State(state) => (Some(state.id.id), Some(state.id.creator)),
        Record::Compressed(update) => (Some(update.id.id), Some(update.id.creator)),
        Record::Id(id) => (Some(id.id), Some(id.creator)),
        Record::Clear(clear) => (None, Some(clear.creator)),
        Record::BulkStatus(status) => (None, Some(status.creator)),
        Record::Tdb(_) => (None, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pfsync::{Clear, Identity};

    #[test]
    fn every_condition_must_hold() {
        let record = Record::Id(Identity { id: 1, creator: 2 });
        let clear = Record::Clear(Clear { creator: 2, ..Clear::default() });
        let mut filter = Filter::default();
        assert!(filter.is_empty() && filter.matches(Action::DeleteCompressed, &record));
        filter.creator = Some(2);
        assert!(filter.matches(Action::DeleteCompressed, &record) && filter.matches(Action::Clear, &clear));
        filter.id = Some(1);
        assert!(filter.matches(Action::DeleteCompressed, &record) && !filter.matches(Action::Clear, &clear));
        filter.actions = vec![Action::Insert, Action::InsertAck];
        assert!(
            !filter.matches(Action::DeleteCompressed, &record) && filter.matches(Action::InsertAck, &record)
        );
    }
}
