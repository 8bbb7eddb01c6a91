//! One frame for one peer, built from the states as they are now.

mod batch;
mod flush;
mod select;

pub(super) use batch::Batch;
pub use flush::Flushed;

use super::control::ControlBody;
use crate::state::{Queue, StateId, pf_flags};
use crate::sync::bulk::Walk;
use crate::sync::interfaces;
use crate::sync::settings::{Filter, PeerSettings, SyncSettings};
use crate::sync::store::Store;
use crate::sync::translate::Clock;
use crate::table::Slot;
use crate::time::{NANOS_PER_SECOND, Nanos};
use batch::Item;
use pfsync::{
    Action, BulkStatus, Clear, FrameWriter, Full, FullState, Identity, Version, WriterOptions, bulk_status,
};

/// Maximum number of slots that a walk examines for one frame.
const MAX_WALK_SLOTS: u32 = 4096;

/// States that a walk put into a frame.
struct WalkedStates {
    count: u64,
    /// There was no space for the next one.
    is_full: bool,
}

/// A frame being written, with the space for its IP header before it.
struct Frame<'a> {
    writer: FrameWriter<'a>,
    header: &'a mut [u8],
    peer: &'a PeerSettings,
}

impl<'a> Frame<'a> {
    fn begin(settings: &'a SyncSettings, peer: &'a PeerSettings, buffer: &'a mut [u8]) -> Result<Self, Full> {
        let length = buffer.len().min(settings.mtu_of(peer));
        let (header, payload) =
            buffer[..length].split_at_mut_checked(peer.transport.encoded_len()).ok_or(Full)?;
        let PeerSettings { checksum, icmp_ports, .. } = *peer;
        let options = WriterOptions { checksum, trailer: settings.trailer, icmp_ports };
        let writer = FrameWriter::new(payload, peer.profile, &options).map_err(|_| Full)?;
        Ok(Self { writer, header, peer })
    }

    const fn is_empty(&self) -> bool {
        self.writer.is_empty()
    }

    /// Completes the frame. Returns the bytes of the IP packet, `None` for an empty frame.
    fn finish(self, identification: u16) -> Option<usize> {
        if self.writer.is_empty() {
            return None;
        }
        let payload = self.writer.finish();
        // This cannot fail: both addresses are of one family and the length is below the MTU.
        let header = self.peer.transport.emit(self.header, payload, identification).ok()?;
        Some(header + payload)
    }

    /// Adds a message; `Ok(false)` when its state is gone or has expired.
    fn push(&mut self, table: &impl Store, clock: &Clock<'_>, item: &Item) -> Result<bool, Full> {
        if item.slot.is_none() || item.action == Action::InsertAck {
            self.writer.push_id(item.action, item.id.into())?;
            return Ok(true);
        }
        if !is_same(table, item.slot, item.id) {
            return Ok(false);
        }
        if item.action == Action::UpdateCompressed {
            let Some(update) = table.compressed_update(item.slot, self.peer.profile) else {
                return Ok(false);
            };
            self.writer.push_compressed_update(&update)?;
            return Ok(true);
        }
        let Some(state) = full_state(self.peer, table, item.slot, clock) else { return Ok(false) };
        self.writer.push_state(item.action, &state)?;
        Ok(true)
    }

    fn push_control(&mut self, body: ControlBody, host_id: u32, now: Nanos) -> Result<(), Full> {
        let status = |status, endtime| BulkStatus { creator: host_id, endtime, status };
        match body {
            ControlBody::Clear(ifname) => {
                let ifname = interfaces::to_theirs(&self.peer.interfaces, &ifname);
                self.writer.push_clear(&Clear { ifname, creator: host_id })
            }
            ControlBody::BulkRequest => self.writer.push_id(Action::UpdateRequest, Identity::BULK),
            ControlBody::BulkStart => self.writer.push_bulk_status(&status(bulk_status::START, 0)),
            ControlBody::BulkEnd(requested) => {
                let elapsed = now.saturating_sub(requested) / NANOS_PER_SECOND;
                let endtime = match self.peer.profile.version() {
                    Version::V6 => 0,
                    Version::V5 => u32::try_from(elapsed).unwrap_or(u32::MAX),
                };
                self.writer.push_bulk_status(&status(bulk_status::END, endtime))
            }
        }
    }

    /// Adds states from the walk's position on until the frame is full. Leaves out states whose insert still waits, that
    /// have expired, or that are not replicated.
    fn push_states(
        &mut self,
        table: &impl Store,
        clock: &Clock<'_>,
        filter: &Filter,
        walk: &mut Walk,
    ) -> WalkedStates {
        let stop = walk.at.saturating_add(MAX_WALK_SLOTS).min(walk.end);
        let (peer, mut at, mut is_done) = (self.peer, walk.at, false);
        let next = core::iter::from_fn(|| {
            while let Some(slot) = table.next_live_before(at, stop) {
                at = slot.0 + 1;
                let state = walked_state(peer, table, clock, filter, slot);
                if state.is_some() {
                    return state;
                }
            }
            is_done = true;
            None
        });
        // Every dialect has this message, and the writer takes no state that does not fit.
        let count = self.writer.push_states(Action::Update, next).unwrap_or(0) as u64;
        walk.at = if is_done { stop } else { at };
        WalkedStates { count, is_full: !is_done }
    }
}

fn walked_state(
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

/// Returns a state in the peer's dialect and with the peer's interface names.
fn full_state(peer: &PeerSettings, table: &impl Store, slot: Slot, clock: &Clock<'_>) -> Option<FullState> {
    let mut state = table.full_state(slot, clock, peer.profile)?;
    state.ifname = interfaces::to_theirs(&peer.interfaces, &state.ifname);
    Some(state)
}

fn is_same(table: &impl Store, slot: Slot, id: StateId) -> bool {
    table.is_live(slot) && table.id(slot) == id
}
