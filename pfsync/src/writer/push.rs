//! Adds records to a frame: one method for each kind.

use core::borrow::Borrow;

use super::FrameWriter;
use crate::action::Action;
use crate::convert::IcmpPorts;
use crate::error::Full;
use crate::layout::{self, Body};
use crate::profile::{Profile, Version};
use crate::record::{BulkStatus, Clear, CompressedUpdate, FullState, Identity, Record, Tdb};

impl FrameWriter<'_> {
    /// Adds a record of any kind. `action` selects the message of a state or an identity; other records have one message.
    ///
    /// # Errors
    /// [`Full`] if the record does not fit, or if the profile has no such records for this action.
    pub fn push(&mut self, action: Action, record: &Record) -> Result<(), Full> {
        match record {
            Record::State(state) => self.push_state(action, state),
            Record::Compressed(update) => self.push_compressed_update(update),
            Record::Id(id) => self.push_id(action, *id),
            Record::Clear(clear) => self.push_clear(clear),
            Record::BulkStatus(status) => self.push_bulk_status(status),
            Record::Tdb(tdb) => self.push_tdb(tdb),
        }
    }

    /// Adds a whole state: [`Action::Insert`], [`Action::Update`] or [`Action::Delete`].
    ///
    /// Families and routing options get the profile's numbers. Everything else is written unchanged: use
    /// [`convert`](crate::convert()) to remove flags and timeout classes that the profile does not have.
    ///
    /// # Errors
    /// [`Full`] if the state does not fit, or if the profile has no whole states for this action.
    #[inline]
    pub fn push_state(&mut self, action: Action, state: &FullState) -> Result<(), Full> {
        full_if_none(self.push_states(action, [state])?)
    }

    /// Adds whole states until they or the space end, and returns how many. Takes no state from the iterator that it does not
    /// write. Faster than [`Self::push_state`]: the layout is selected once.
    ///
    /// # Errors
    /// [`Full`] if the profile has no whole states for this action.
    #[inline]
    pub fn push_states<S: Borrow<FullState>>(
        &mut self,
        action: Action,
        states: impl IntoIterator<Item = S>,
    ) -> Result<usize, Full> {
        if self.icmp_ports == IcmpPorts::IdentifierTwice {
            return self.push_with_identifier_twice(action, states);
        }
        self.fill_states(action, states)
    }

    #[cold]
    fn push_with_identifier_twice<S: Borrow<FullState>>(
        &mut self,
        action: Action,
        states: impl IntoIterator<Item = S>,
    ) -> Result<usize, Full> {
        if !matches!(self.profile(), Profile::FreeBsd1301 | Profile::FreeBsd1400) {
            return self.fill_states(action, states);
        }
        let states = states.into_iter().map(|state| {
            let mut state = *state.borrow();
            IcmpPorts::IdentifierTwice.apply(&mut state);
            state
        });
        self.fill_states(action, states)
    }

    #[inline(always)]
    fn fill_states<S: Borrow<FullState>>(
        &mut self,
        action: Action,
        states: impl IntoIterator<Item = S>,
    ) -> Result<usize, Full> {
        let message = self.profile().message(action).ok_or(Full)?;
        Ok(match message.body {
            Body::State(Profile::OpenBsd6) => self.fill::<layout::State264, FullState>(message, states),
            Body::State(Profile::FreeBsd1301) => self.fill::<layout::State242, FullState>(message, states),
            Body::State(Profile::FreeBsd1400) => self.fill::<layout::State277, FullState>(message, states),
            Body::State(Profile::FreeBsd1500) => self.fill::<layout::State360, FullState>(message, states),
            _ => return Err(Full),
        })
    }

    /// Adds a compressed update.
    ///
    /// # Errors
    /// [`Full`] if the record does not fit.
    #[inline]
    pub fn push_compressed_update(&mut self, update: &CompressedUpdate) -> Result<(), Full> {
        full_if_none(self.push_compressed_updates([update]))
    }

    /// Adds compressed updates until they or the space end, and returns how many. Takes no update from the iterator that it
    /// does not write.
    #[inline]
    pub fn push_compressed_updates<U: Borrow<CompressedUpdate>>(
        &mut self,
        updates: impl IntoIterator<Item = U>,
    ) -> usize {
        let message = self.profile().message(Action::UpdateCompressed);
        message.map_or(0, |message| self.fill::<layout::Compressed, CompressedUpdate>(message, updates))
    }

    /// Adds an identity: [`Action::InsertAck`], [`Action::UpdateRequest`] or [`Action::DeleteCompressed`].
    ///
    /// # Errors
    /// [`Full`] if the identity does not fit, or if the action has other records.
    #[inline]
    pub fn push_id(&mut self, action: Action, id: Identity) -> Result<(), Full> {
        let message = self.profile().message(action).ok_or(Full)?;
        if message.body != Body::Id {
            return Err(Full);
        }
        full_if_none(self.fill::<layout::Id, Identity>(message, [&id]))
    }

    /// Adds a clear, in a region of its own: FreeBSD 15's `pfsync_in_clr` carries the interface of one record over to the next.
    ///
    /// # Errors
    /// [`Full`] if the record does not fit.
    pub fn push_clear(&mut self, clear: &Clear) -> Result<(), Full> {
        let message = self.profile().message(Action::Clear).ok_or(Full)?;
        self.close_region_before(message)?;
        full_if_none(self.fill::<layout::Clear, Clear>(message, [clear]))
    }

    /// Adds the start or end of a bulk transfer.
    ///
    /// # Errors
    /// [`Full`] if the record does not fit.
    pub fn push_bulk_status(&mut self, status: &BulkStatus) -> Result<(), Full> {
        let message = self.profile().message(Action::BulkStatus).ok_or(Full)?;
        full_if_none(self.fill::<layout::BulkStatus, BulkStatus>(message, [status]))
    }

    /// Adds counters of an IPsec association.
    ///
    /// # Errors
    /// [`Full`] if the record does not fit.
    pub fn push_tdb(&mut self, tdb: &Tdb) -> Result<(), Full> {
        let message = self.profile().message(Action::Tdb).ok_or(Full)?;
        full_if_none(match self.profile().version() {
            Version::V5 => self.fill::<layout::Tdb48, Tdb>(message, [tdb]),
            Version::V6 => self.fill::<layout::Tdb52, Tdb>(message, [tdb]),
        })
    }
}

#[inline(always)]
const fn full_if_none(written: usize) -> Result<(), Full> {
    if written == 0 { Err(Full) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::WriterOptions;

    const OPTIONS: WriterOptions =
        WriterOptions { checksum: [0; 16], trailer: 0, icmp_ports: IcmpPorts::IdentifierAndType };

    #[test]
    fn push_states_writes_the_same_bytes_and_takes_no_state_that_does_not_fit() {
        let states: Vec<FullState> =
            (0..20).map(|id| FullState { id: Identity { id, creator: 7 }, ..FullState::EMPTY }).collect();
        for profile in Profile::ALL {
            let (mut single, mut many) = ([0xee; 1480], [0xee; 1480]);
            let mut writer = FrameWriter::new(&mut single, profile, &OPTIONS).unwrap();
            writer.push_id(Action::InsertAck, Identity { id: 1, creator: 1 }).unwrap();
            let fit =
                states.iter().take_while(|state| writer.push_state(Action::Update, state).is_ok()).count();
            assert!((1..20).contains(&fit));
            let length = writer.finish();

            let mut writer = FrameWriter::new(&mut many, profile, &OPTIONS).unwrap();
            writer.push_id(Action::InsertAck, Identity { id: 1, creator: 1 }).unwrap();
            let mut left = states.iter();
            let before = writer.len();
            assert_eq!(writer.push_states(Action::Update, [FullState::EMPTY; 0]), Ok(0));
            assert_eq!(writer.len(), before, "no state, no region");
            assert_eq!(writer.push_states(Action::Update, left.by_ref().take(1)), Ok(1));
            assert_eq!(writer.push_states(Action::Update, left.by_ref()), Ok(fit - 1));
            assert_eq!(left.len(), states.len() - fit, "{profile:?}");
            assert_eq!(writer.push_states(Action::Update, left.by_ref()), Ok(0));
            assert_eq!(writer.push_states(Action::InsertAck, left.by_ref()), Err(Full));
            assert_eq!(writer.finish(), length);
            assert_eq!(single, many);
        }
    }

    #[test]
    fn an_action_without_such_records_is_refused() {
        let mut buffer = [0; 1480];
        let mut writer = FrameWriter::new(&mut buffer, Profile::FreeBsd1400, &OPTIONS).unwrap();
        assert_eq!(writer.push_state(Action::Delete, &FullState::EMPTY), Err(Full));
        assert_eq!(writer.push_state(Action::InsertAck, &FullState::EMPTY), Err(Full));
        assert_eq!(writer.push_id(Action::Insert, Identity::BULK), Err(Full));
        assert!(writer.is_empty());
    }
}
