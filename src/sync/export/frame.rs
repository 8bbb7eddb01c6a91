//! One frame towards one peer, from the states as they are now.

use super::batch::Item;
use super::control_message::Mark;
use super::filter::Filter;
use crate::state::{Queue, StateId, pf_flags};
use crate::sync::bulk::Walk;
use crate::sync::interfaces;
use crate::sync::settings::PeerSettings;
use crate::sync::store::Store;
use crate::sync::translate::Clock;
use crate::table::Slot;
use crate::time::{NANOS_PER_SECOND, Nanos};
use pfsync::{
    Action, BulkStatus, Clear, FrameWriter, Full, FullState, Identity, Version, WriterOptions, bulk_status,
};

/// Slots that a walk looks at for one frame at most.
const WALK_SLOTS: u32 = 4096;

/// States that a walk put into a frame.
pub(super) struct WalkedStates {
    pub count: u64,
    /// The frame had no room for the next one.
    pub full: bool,
}

/// A frame being written, behind the room for its IP header.
pub(super) struct Frame<'a> {
    writer: FrameWriter<'a>,
    header: &'a mut [u8],
    peer: &'a PeerSettings,
}

impl<'a> Frame<'a> {
    pub fn begin(
        peer: &'a PeerSettings,
        mtu: usize,
        trailer: usize,
        buffer: &'a mut [u8],
    ) -> Result<Self, Full> {
        let room = buffer.len().min(mtu);
        let (header, payload) =
            buffer[..room].split_at_mut_checked(peer.transport.encoded_len()).ok_or(Full)?;
        let options = WriterOptions { checksum: peer.checksum, trailer };
        let writer = FrameWriter::new(payload, peer.profile, &options).map_err(|_| Full)?;
        Ok(Self { writer, header, peer })
    }

    pub const fn is_empty(&self) -> bool {
        self.writer.is_empty()
    }

    /// Bytes of the whole IP packet, `None` for an empty frame.
    pub fn finish(self, identification: u16) -> Option<usize> {
        if self.writer.is_empty() {
            return None;
        }
        let payload = self.writer.finish();
        // Both addresses are of one family and the length is below the MTU: this cannot fail.
        let header = self.peer.transport.emit(self.header, payload, identification).ok()?;
        Some(header + payload)
    }

    /// Adds a message; `Ok(false)` when its state is no more what it was queued for.
    pub fn push(&mut self, table: &impl Store, clock: &Clock<'_>, item: &Item) -> Result<bool, Full> {
        if item.slot.is_none() || item.action == Action::InsertAck {
            self.writer.push_id(item.action, item.id.into())?;
            return Ok(true);
        }
        if !is_same(table, item.slot, item.id) {
            return Ok(false);
        }
        if item.action == Action::UpdateCompressed {
            let Some(update) = table.compressed(item.slot, self.peer.profile) else { return Ok(false) };
            self.writer.push_compressed_update(&update)?;
            return Ok(true);
        }
        let Some(state) = full_state(self.peer, table, item.slot, clock) else { return Ok(false) };
        self.writer.push_state(item.action, &state)?;
        Ok(true)
    }

    pub fn push_mark(&mut self, mark: Mark, host_id: u32, now: Nanos) -> Result<(), Full> {
        let status = |status, endtime| BulkStatus { creator: host_id, endtime, status };
        match mark {
            Mark::Clear(ifname) => {
                let ifname = interfaces::to_theirs(&self.peer.interfaces, &ifname);
                self.writer.push_clear(&Clear { ifname, creator: host_id })
            }
            Mark::BulkRequest => self.writer.push_id(Action::UpdateRequest, Identity::BULK),
            Mark::BulkStart => self.writer.push_bulk_status(&status(bulk_status::START, 0)),
            Mark::BulkEnd(requested) => {
                let elapsed = now.saturating_sub(requested) / NANOS_PER_SECOND;
                let endtime = match self.peer.profile.version() {
                    Version::V6 => 0,
                    Version::V5 => u32::try_from(elapsed).unwrap_or(u32::MAX),
                };
                self.writer.push_bulk_status(&status(bulk_status::END, endtime))
            }
        }
    }

    /// Adds states from where the walk is until the frame is full. States whose insert still waits, that have expired or
    /// must not be synchronised are left out.
    pub fn push_states(
        &mut self,
        table: &impl Store,
        clock: &Clock<'_>,
        filter: &Filter,
        walk: &mut Walk,
    ) -> WalkedStates {
        let stop = walk.end.min(walk.at.saturating_add(WALK_SLOTS));
        let (peer, mut at, mut done) = (self.peer, walk.at, false);
        let next = core::iter::from_fn(|| {
            while let Some(slot) = table.next_live_before(at, stop) {
                at = slot.0 + 1;
                let state = walked(peer, table, clock, filter, slot);
                if state.is_some() {
                    return state;
                }
            }
            done = true;
            None
        });
        // Every dialect has the message. No state is taken from the iterator that has no room.
        let count = self.writer.push_states(Action::Update, next).unwrap_or(0) as u64;
        walk.at = if done { stop } else { at };
        WalkedStates { count, full: !done }
    }
}

fn walked(
    peer: &PeerSettings,
    table: &impl Store,
    clock: &Clock<'_>,
    filter: &Filter,
    slot: Slot,
) -> Option<FullState> {
    if matches!(table.local(slot).queue(), Queue::Insert | Queue::MinAge)
        || table.pf_flags(slot) & pf_flags::NOSYNC != 0
        || !filter.includes(table.proto(slot))
    {
        return None;
    }
    full_state(peer, table, slot, clock)
}

/// A state in the peer's dialect and with the peer's interface names.
fn full_state(peer: &PeerSettings, table: &impl Store, slot: Slot, clock: &Clock<'_>) -> Option<FullState> {
    let mut state = table.full_state(slot, clock, peer.profile)?;
    state.ifname = interfaces::to_theirs(&peer.interfaces, &state.ifname);
    Some(state)
}

fn is_same(table: &impl Store, slot: Slot, id: StateId) -> bool {
    table.is_live(slot) && table.id(slot) == id
}
