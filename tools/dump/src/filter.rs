//! Selects the records to show.

use pfsync::{Action, Record};

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
