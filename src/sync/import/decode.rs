//! Decodes the records of a frame: counts and validates them and converts them to our conventions.

use super::{HeldEnd, Importer, Sender};
use crate::state::{IfName, pf_flags};
use crate::sync::interfaces;
use crate::sync::message::{Body, Message, MessageSink, PeerIndex};
use crate::sync::translate::{NATIVE, drop_foreign_flags, key_of, to_native};
use crate::table::{PrefetchHint, PrefetchQueue, Purpose};
use arrayvec::ArrayVec;
use pfsync::{Action, BulkStatus, Clear, FullState, Identity, Profile, Record, Region, Version, bulk_status};

/// Different clears of one region that are remembered, so that equal ones are passed on once.
const MAX_MERGED_CLEARS: usize = 16;

impl Importer {
    pub(super) fn decode_region(
        &mut self,
        region: &Region<'_>,
        sender: &Sender,
        sink: &mut impl MessageSink,
    ) {
        if region.action() == Action::Tdb {
            self.counters.messages_tdb += u64::from(region.count());
            return;
        }
        if region.action() == Action::Clear {
            return self.decode_clears(region, sender, sink);
        }
        if region.count() == 1 {
            return self.decode_part(region, sender, sink);
        }
        let parts = || region.chunks(PrefetchQueue::MAX_STATES as u16);
        let mut upcoming = parts();
        (0..PrefetchQueue::DEPTH).for_each(|_| prefetch(upcoming.next(), sink));
        for part in parts() {
            prefetch(upcoming.next(), sink);
            self.decode_part(&part, sender, sink);
        }
    }

    fn decode_part(&mut self, region: &Region<'_>, sender: &Sender, sink: &mut impl MessageSink) {
        let (action, count) = (region.action(), u64::from(region.count()));
        if let Some(from) = region.profile() {
            self.count(action, count, sender.peer);
            return region.for_each_state(|state| self.decode_state(action, state, from, sender, sink));
        }
        if action == Action::UpdateCompressed {
            self.count(action, count, sender.peer);
            for update in region.compressed_updates() {
                match update.validate(sender.timeout_limit) {
                    Ok(()) => self.pass_on(Body::UpdateCompressed(update), sender, sink),
                    Err(_) => self.count_bad_value(sender),
                }
            }
            return;
        }
        for record in region.records() {
            match record {
                Record::Id(id) => {
                    self.count_id(action, id, sender.peer);
                    self.pass_on(Self::decode_id(action, id, sender), sender, sink);
                }
                Record::BulkStatus(status) => self.handle_bulk_status(&status, sender),
                Record::Clear(_) | Record::State(_) | Record::Compressed(_) | Record::Tdb(_) => {}
            }
        }
    }

    #[inline(always)]
    pub(super) fn pass_on(&mut self, body: Body<&FullState>, sender: &Sender, sink: &mut impl MessageSink) {
        if sender.is_limited && !self.may(&body, sender) {
            return;
        }
        self.peer_counters[usize::from(sender.peer)].messages_received += 1;
        sink.message(&Message { peer: sender.peer, origin: sender.origin, body });
    }

    fn decode_state(
        &mut self,
        action: Action,
        state: &mut FullState,
        from: Profile,
        sender: &Sender,
        sink: &mut impl MessageSink,
    ) {
        if action == Action::Delete {
            return self.pass_on(Body::Delete(state.id.into()), sender, sink);
        }
        let is_insert = action == Action::Insert;
        let insertable = state.validate(sender.timeout_limit).is_ok();
        if !insertable && (is_insert || state.validate_update(sender.timeout_limit).is_err()) {
            return self.count_bad_value(sender);
        }
        if state.state_flags & pf_flags::NOSYNC != 0 {
            self.counters.messages_nosync += 1;
            return;
        }
        let peer = &self.peers[usize::from(sender.peer)];
        let mut converted;
        let state = if from == NATIVE {
            drop_foreign_flags(state, from);
            state
        } else {
            converted = to_native(state, from, peer.icmp_ports);
            &mut converted
        };
        state.ifname = interfaces::to_ours(&peer.interfaces, &state.ifname);
        for name in [&mut state.rt_ifname, &mut state.orig_ifname] {
            if name[0] != 0 {
                *name = interfaces::to_ours(&peer.interfaces, name);
            }
        }
        if !interfaces::accepts(self.known_interfaces.as_deref(), &state.ifname) {
            self.counters.states_unknown_interface += 1;
            return;
        }
        if is_insert {
            // Nodes insert only states they created; our own come back as updates. An insert with another node's host id
            // does no harm, so it is only counted.
            if state.id.creator == self.host_id {
                self.note_duplicate(sender);
            }
            self.check_creator(state.id.creator, sender);
            return self.pass_on(Body::Insert(state), sender, sink);
        }
        self.bulk.state_received(sender.now);
        self.pass_on(Body::Update { state, insertable }, sender, sink);
    }

    fn decode_id<'a>(action: Action, id: Identity, sender: &Sender) -> Body<&'a FullState> {
        match action {
            Action::DeleteCompressed => Body::Delete(id.into()),
            Action::InsertAck => Body::InsertAck(id.into()),
            _ if id == Identity::BULK => Body::BulkRequest(sender.address),
            _ => Body::UpdateRequest(id.into()),
        }
    }

    /// Counts messages by action, in total and for the peer.
    fn count(&mut self, action: Action, count: u64, peer: PeerIndex) {
        let (all, of_peer) = (&mut self.counters, &mut self.peer_counters[usize::from(peer)]);
        let (total, one) = match action {
            Action::Insert => (&mut all.inserts_received, &mut of_peer.inserts_received),
            Action::Update => (&mut all.updates_received, &mut of_peer.updates_received),
            Action::UpdateCompressed => (&mut all.compressed_received, &mut of_peer.compressed_received),
            Action::Delete | Action::DeleteCompressed => {
                (&mut all.deletes_received, &mut of_peer.deletes_received)
            }
            Action::InsertAck => (&mut all.acks_received, &mut of_peer.acks_received),
            Action::UpdateRequest => (&mut all.requests_received, &mut of_peer.requests_received),
            Action::Clear => (&mut all.clears_received, &mut of_peer.clears_received),
            Action::BulkStatus | Action::Tdb | Action::Eof => return,
        };
        *total += count;
        *one += count;
    }

    /// Counts a message that carries an id; bulk requests have their own counter.
    fn count_id(&mut self, action: Action, id: Identity, peer: PeerIndex) {
        if (action, id) == (Action::UpdateRequest, Identity::BULK) {
            self.counters.bulk_requests_received += 1;
            self.peer_counters[usize::from(peer)].bulk_requests_received += 1;
        } else {
            self.count(action, 1, peer);
        }
    }

    /// Passes on each clear of a region once: every lane gets it.
    fn decode_clears(&mut self, region: &Region<'_>, sender: &Sender, sink: &mut impl MessageSink) {
        let mut passed_on = ArrayVec::<(u32, Option<IfName>), MAX_MERGED_CLEARS>::new();
        for record in region.records() {
            let Record::Clear(clear) = record else { continue };
            self.count(Action::Clear, 1, sender.peer);
            let Some((creator, ifname)) = self.decode_clear(&clear, sender) else { continue };
            if passed_on.contains(&(creator, ifname)) {
                self.counters.clears_merged += 1;
                continue;
            }
            // Without space it is only passed on more than once.
            let _ = passed_on.try_push((creator, ifname));
            self.pass_on(Body::Clear { creator, ifname }, sender, sink);
        }
    }

    fn decode_clear(&mut self, clear: &Clear, sender: &Sender) -> Option<(u32, Option<IfName>)> {
        if clear.creator == self.host_id {
            // A node clears only its own states: another node has our host id.
            self.note_duplicate(sender);
            return None;
        }
        if pfsync::name_bytes(&clear.ifname).is_none() {
            self.count_bad_value(sender);
            return None;
        }
        if !self.check_creator(clear.creator, sender) {
            return None;
        }
        let ifname = interfaces::to_ours(&self.peers[usize::from(sender.peer)].interfaces, &clear.ifname);
        Some((clear.creator, (ifname[0] != 0).then_some(ifname)))
    }

    fn handle_bulk_status(&mut self, status: &BulkStatus, sender: &Sender) {
        let now = sender.now;
        self.check_creator(status.creator, sender);
        if status.creator == self.host_id {
            self.note_duplicate(sender);
        }
        let counters = &mut self.counters;
        match status.status {
            bulk_status::START => {
                counters.bulk_starts_received += 1;
                self.held_end = None;
                self.bulk.started(sender.address, now);
            }
            bulk_status::END => {
                counters.bulk_ends_received += 1;
                let Sender { peer, address, .. } = *sender;
                let epoch = self.streams.last_epoch();
                let end = HeldEnd { peer, address, epoch, received: now, status: *status };
                if self.streams.has_gap(peer, epoch) && self.bulk.is_running() {
                    // States before it are missing, and are being sent again.
                    self.held_end = Some(end);
                } else {
                    self.bulk_ended(&end);
                }
            }
            _ => counters.bulk_ignored += 1,
        }
    }

    /// Ends the transfer that the mark is about.
    pub(super) fn bulk_ended(&mut self, end: &HeldEnd) {
        let HeldEnd { peer, address, received, status, .. } = *end;
        let is_only_peer = !self.senders.is_full();
        // OpenBSD does not tell when the transfer began.
        let is_v6 = self.peers[usize::from(peer)].profile.version() == Version::V6;
        let is_for_another = is_v6 && self.bulk.lacks_start(address);
        let is_ours = !is_for_another && self.bulk.ended(address, status.endtime, is_only_peer, received);
        self.counters.bulk_ignored += u64::from(!is_ours);
    }

    fn check_creator(&mut self, creator: u32, sender: &Sender) -> bool {
        let is_owner = self.creators.accepts(creator, sender.address, sender.now);
        self.counters.messages_bad_creator += u64::from(!is_owner);
        is_owner
    }

    /// Notes a message that only another node with our host id can have sent.
    fn note_duplicate(&mut self, sender: &Sender) {
        self.counters.duplicate_host_id += 1;
        self.duplicate_seen = Some(sender.now);
    }

    fn count_bad_value(&mut self, sender: &Sender) {
        self.counters.badval += 1;
        self.peer_counters[usize::from(sender.peer)].badval += 1;
    }
}

/// Announces the states of a part's records; an empty list when there is no part.
#[inline]
fn prefetch(part: Option<Region<'_>>, sink: &mut impl MessageSink) {
    let mut list = ArrayVec::<PrefetchHint, { PrefetchQueue::MAX_STATES }>::new();
    let mut add = |id: Identity, purpose| list.push(PrefetchHint { id: id.into(), purpose });
    if let Some(part) = part {
        match part.action() {
            Action::Insert | Action::Update => {
                part.for_each_key(|id, key| add(id, Purpose::Insert(key_of(&key))));
            }
            Action::Delete => part.for_each_key(|id, _| add(id, Purpose::Remove)),
            Action::UpdateCompressed => {
                part.compressed_updates().for_each(|update| add(update.id, Purpose::Update))
            }
            Action::DeleteCompressed => part.ids().for_each(|id| add(id, Purpose::Remove)),
            Action::InsertAck | Action::UpdateRequest => part.ids().for_each(|id| add(id, Purpose::Update)),
            Action::Clear | Action::BulkStatus | Action::Tdb | Action::Eof => {}
        }
    }
    sink.prefetch(&list);
}
