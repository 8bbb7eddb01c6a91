//! One frame for one peer, built from the states as they are now.

mod batch;
mod flush;
mod repair;
mod select;
mod walk;

pub(super) use batch::Batch;
pub use flush::Flushed;

use super::control::ControlBody;
use super::hello::HelloBytes;
use crate::state::{KeptFields, Queue, StateId, pf_flags};
use crate::sync::bulk::Walk;
use crate::sync::interfaces;
use crate::sync::settings::{Filter, PeerSettings, SyncSettings};
use crate::sync::store::Store;
use crate::sync::translate::{Clock, carries, encode_fields};
use crate::table::Slot;
use crate::time::{NANOS_PER_SECOND, Nanos};
use batch::Item;
use pfsync::{
    Action, BulkStatus, FrameWriter, Full, FullState, Identity, StateOption, TrailerFields, TrailerOption,
    Version, WriterOptions, bulk_status, option_kind,
};

/// Maximum number of slots that a walk examines for one frame.
const MAX_WALK_SLOTS: u32 = 4096;

/// States that a walk put into a frame.
struct WalkedStates {
    count: u64,
    /// States that the peer's dialect cannot express.
    inexpressible: u64,
    /// There was no space for the next one.
    is_full: bool,
}

/// Result of adding a message to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pushed {
    /// It is in the frame.
    Sent,
    /// Its state is gone or has expired.
    Outdated,
    /// The peer's dialect cannot express the state.
    Inexpressible,
}

/// A frame being written, with the space for its IP header before it.
pub(super) struct Frame<'a> {
    pub(super) writer: FrameWriter<'a>,
    header: &'a mut [u8],
    peer: &'a PeerSettings,
}

impl<'a> Frame<'a> {
    pub(super) fn begin(
        settings: &'a SyncSettings,
        peer: &'a PeerSettings,
        buffer: &'a mut [u8],
    ) -> Result<Self, Full> {
        let length = buffer.len().min(settings.mtu_of(peer));
        let (header, payload) =
            buffer[..length].split_at_mut_checked(peer.transport.encoded_len()).ok_or(Full)?;
        let PeerSettings { checksum, icmp_ports, .. } = *peer;
        let options = WriterOptions { checksum, trailer: 0, icmp_ports };
        let mut writer = FrameWriter::new(payload, peer.profile, &options).map_err(|_| Full)?;
        if peer.extensions {
            writer.begin_trailer(peer.protection())?;
        }
        Ok(Self { writer, header, peer })
    }

    const fn is_empty(&self) -> bool {
        self.writer.is_empty()
    }

    /// Completes the frame. Returns the bytes of the IP packet, `None` for an empty frame.
    pub(super) fn finish(self, identification: u16, fields: &TrailerFields) -> Option<usize> {
        let is_empty = self.writer.is_empty() && !self.writer.has_options();
        if is_empty { None } else { self.finish_empty(identification, fields) }
    }

    /// Completes a frame that may be empty. Returns the bytes of the IP packet.
    pub(super) fn finish_empty(self, identification: u16, fields: &TrailerFields) -> Option<usize> {
        let payload =
            if self.peer.extensions { self.writer.finish_with(fields) } else { self.writer.finish() };
        // This cannot fail: both addresses are of one family and the length is below the MTU.
        let header = self.peer.transport.emit(self.header, payload, identification).ok()?;
        Some(header + payload)
    }

    /// Adds a message if its state can still be sent.
    fn push(&mut self, table: &impl Store, clock: &Clock<'_>, item: &Item) -> Result<Pushed, Full> {
        if item.slot.is_none() || item.action == Action::InsertAck {
            self.writer.push_id(item.action, item.id.into())?;
            return Ok(Pushed::Sent);
        }
        if !is_same(table, item.slot, item.id) {
            return Ok(Pushed::Outdated);
        }
        if !table.is_expressible(item.slot, self.peer.profile) {
            return Ok(Pushed::Inexpressible);
        }
        if item.action == Action::UpdateCompressed {
            let Some(update) = table.compressed_update(item.slot, self.peer.profile) else {
                return Ok(Pushed::Outdated);
            };
            self.writer.push_compressed_update(&update)?;
            return Ok(Pushed::Sent);
        }
        let Some(state) = full_state(self.peer, table, item.slot, clock) else { return Ok(Pushed::Outdated) };
        self.push_state(table, item.action, item.slot, &state)?;
        Ok(Pushed::Sent)
    }

    /// Adds a state, and behind the frame what only pfplane peers accept.
    fn push_state(
        &mut self,
        table: &impl Store,
        action: Action,
        slot: Slot,
        state: &FullState,
    ) -> Result<(), Full> {
        let extra = if self.peer.extensions { table.extra(slot) } else { None };
        let Some(extra) = extra else { return self.writer.push_state(action, state) };
        if self.writer.remaining() < self.peer.state_bytes() {
            return Err(Full);
        }
        self.writer.push_state(action, state)?;
        let id = state.id;
        if !extra.opaque.is_empty() {
            let (kind, value) = (option_kind::STATE_OPAQUE, extra.opaque.as_bytes());
            self.writer.push_state_option(&StateOption { kind, id, value })?;
        }
        if !carries(self.peer.profile, &extra.fields) {
            let KeptFields { rt_ifname, orig_ifname, .. } = extra.fields;
            let [rt_ifname, orig_ifname] =
                [rt_ifname, orig_ifname].map(|name| interfaces::to_theirs(&self.peer.interfaces, &name));
            let value = encode_fields(&KeptFields { rt_ifname, orig_ifname, ..extra.fields });
            let kind = option_kind::STATE_FIELDS;
            self.writer.push_state_option(&StateOption { kind, id, value: &value })?;
        }
        Ok(())
    }

    fn push_hello(&mut self, hello: &HelloBytes) -> Result<(), Full> {
        self.writer.push_option(&TrailerOption { kind: option_kind::ELECTION, value: hello })
    }

    fn push_control(&mut self, body: ControlBody, host_id: u32, now: Nanos) -> Result<(), Full> {
        let status = |status, endtime| BulkStatus { creator: host_id, endtime, status };
        match body {
            ControlBody::Request => self.writer.push_id(Action::UpdateRequest, Identity::BULK),
            ControlBody::Start => self.writer.push_bulk_status(&status(bulk_status::START, 0)),
            ControlBody::End(requested) => {
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
        note: &mut impl FnMut(Slot, StateId),
    ) -> WalkedStates {
        if self.peer.extensions {
            return self.push_extended_states(table, clock, filter, walk, note);
        }
        let stop = walk.stop(MAX_WALK_SLOTS);
        let (peer, mut at, mut is_done, mut inexpressible) = (self.peer, walk.at, false, 0);
        let next = core::iter::from_fn(|| {
            while let Some(slot) = table.next_live_before(at, stop) {
                at = slot.0 + 1;
                if !is_walked(table, filter, slot) {
                    continue;
                }
                if !table.is_expressible(slot, peer.profile) {
                    inexpressible += 1;
                    continue;
                }
                let state = full_state(peer, table, slot, clock);
                if state.is_some() {
                    return state;
                }
            }
            is_done = true;
            None
        });
        // Every dialect has this message, and the writer takes no state that does not fit.
        let count = self.writer.push_states(Action::Update, next).unwrap_or(0) as u64;
        walk.move_to(if is_done { stop } else { at });
        WalkedStates { count, inexpressible, is_full: !is_done }
    }
}

impl Frame<'_> {
    /// As [`Self::push_states`], for a pfplane node: state by state.
    fn push_extended_states(
        &mut self,
        table: &impl Store,
        clock: &Clock<'_>,
        filter: &Filter,
        walk: &mut Walk,
        note: &mut impl FnMut(Slot, StateId),
    ) -> WalkedStates {
        let (mut at, stop) = (walk.at, walk.stop(MAX_WALK_SLOTS));
        let mut states = WalkedStates { count: 0, inexpressible: 0, is_full: false };
        while let Some(slot) = table.next_live_before(at, stop) {
            at = slot.0;
            if is_walked(table, filter, slot) {
                let is_expressible = table.is_expressible(slot, self.peer.profile);
                let state = is_expressible.then(|| full_state(self.peer, table, slot, clock)).flatten();
                if let Some(state) = &state {
                    if self.push_state(table, Action::Update, slot, state).is_err() {
                        walk.move_to(at);
                        return WalkedStates { is_full: true, ..states };
                    }
                    note(slot, state.id.into());
                    states.count += 1;
                }
                states.inexpressible += u64::from(!is_expressible);
            }
            at = slot.0 + 1;
        }
        walk.move_to(stop);
        states
    }
}

/// Whether a walk includes a state: its insert does not wait, and it is replicated.
fn is_walked(table: &impl Store, filter: &Filter, slot: Slot) -> bool {
    !matches!(table.local(slot).queue(), Queue::Insert | Queue::MinAge)
        && table.pf_flags(slot) & pf_flags::NOSYNC == 0
        && filter.includes(table.proto(slot))
}

/// Returns a state in the peer's dialect and with the peer's interface names.
fn full_state(peer: &PeerSettings, table: &impl Store, slot: Slot, clock: &Clock<'_>) -> Option<FullState> {
    let mut state = table.full_state(slot, clock, peer.profile)?;
    for name in [&mut state.ifname, &mut state.rt_ifname, &mut state.orig_ifname] {
        *name = interfaces::to_theirs(&peer.interfaces, name);
    }
    Some(state)
}

fn is_same(table: &impl Store, slot: Slot, id: StateId) -> bool {
    table.is_live(slot) && table.id(slot) == id
}
