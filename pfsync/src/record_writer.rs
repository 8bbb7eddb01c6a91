//! Adds records to a frame, kind by kind.

use core::borrow::Borrow;

use super::frame_writer::{FrameWriter, Full};
use super::layout;
use super::message::{BulkStatus, Clear, CompressedUpdate, Identity, Tdb};
use super::profile::{Action, Body, Profile, Version};
use super::state::FullState;

impl FrameWriter<'_> {
    /// Adds a whole state: [`Action::Insert`], [`Action::Update`] or [`Action::Delete`].
    ///
    /// The state is written as it is, but for the numbers of families and routing options, which are the dialect's
    /// own; flags and classes that the dialect does not know are for [`convert`](super::convert()) to take out.
    ///
    /// # Errors
    /// [`Full`]. Also for an action that carries no whole state or that the profile cannot say, whatever the room.
    #[inline]
    pub fn push_state(&mut self, action: Action, state: &FullState) -> Result<(), Full> {
        full_if_none(self.push_states(action, [state])?)
    }

    /// Adds whole states until there are no more or there is no room for another, and says how many were added. No state
    /// is taken from the iterator that is not written. Cheaper than one by one: the dialect is looked at once.
    ///
    /// # Errors
    /// [`Full`] for an action that carries no whole state or that the profile cannot say.
    #[inline]
    pub fn push_states<S: Borrow<FullState>>(
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
    /// [`Full`].
    #[inline]
    pub fn push_compressed(&mut self, update: &CompressedUpdate) -> Result<(), Full> {
        full_if_none(self.push_updates([update]))
    }

    /// Adds compressed updates until there are no more or there is no room for another, and says how many were added. No
    /// update is taken from the iterator that is not written.
    #[inline]
    pub fn push_updates<U: Borrow<CompressedUpdate>>(
        &mut self,
        updates: impl IntoIterator<Item = U>,
    ) -> usize {
        let message = self.profile().message(Action::UpdateCompressed);
        message.map_or(0, |message| self.fill::<layout::Compressed, CompressedUpdate>(message, updates))
    }

    /// Adds an identity: [`Action::InsertAck`], [`Action::UpdateRequest`] or [`Action::DeleteCompressed`].
    ///
    /// # Errors
    /// [`Full`]. Also for an action that is not made of an identity.
    #[inline]
    pub fn push_id(&mut self, action: Action, id: Identity) -> Result<(), Full> {
        let message = self.profile().message(action).ok_or(Full)?;
        if message.body != Body::Id {
            return Err(Full);
        }
        full_if_none(self.fill::<layout::Id, Identity>(message, [&id]))
    }

    /// Adds a clear. Towards FreeBSD put only one into a region: its receiver carries an interface over from one
    /// record to the next (`protocol` section 5.2), so every clear begins a region here.
    ///
    /// # Errors
    /// [`Full`].
    pub fn push_clear(&mut self, clear: &Clear) -> Result<(), Full> {
        let message = self.profile().message(Action::Clear).ok_or(Full)?;
        self.end_region_before(message)?;
        full_if_none(self.fill::<layout::Clear, Clear>(message, [clear]))
    }

    /// Adds a mark of a bulk transfer.
    ///
    /// # Errors
    /// [`Full`].
    pub fn push_bulk_status(&mut self, status: &BulkStatus) -> Result<(), Full> {
        let message = self.profile().message(Action::BulkStatus).ok_or(Full)?;
        full_if_none(self.fill::<layout::BulkStatus, BulkStatus>(message, [status]))
    }

    /// Adds counters of an IPsec association.
    ///
    /// # Errors
    /// [`Full`].
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

    const OPTIONS: WriterOptions = WriterOptions { checksum: [0; 16], trailer: 0 };

    #[test]
    fn many_states_are_written_as_one_by_one_and_none_is_taken_without_room() {
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
    fn an_action_that_the_profile_cannot_say_is_refused() {
        let mut buffer = [0; 1480];
        let mut writer = FrameWriter::new(&mut buffer, Profile::FreeBsd1400, &OPTIONS).unwrap();
        assert_eq!(writer.push_state(Action::Delete, &FullState::EMPTY), Err(Full));
        assert_eq!(writer.push_state(Action::InsertAck, &FullState::EMPTY), Err(Full));
        assert_eq!(writer.push_id(Action::Insert, Identity::BULK), Err(Full));
        assert!(writer.is_empty());
    }
}
