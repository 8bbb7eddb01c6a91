//! The nodes that are compared. A run of a node that was not seen before takes the place of an earlier run, or of a silent node.

use super::Origin;
use crate::error::Error;
use crate::memory::{Heap, List};
use crate::sync::message::PeerIndex;
use crate::sync::settings::SyncSettings;
use crate::time::{NANOS_PER_SECOND, Nanos};
use pfsync::{StreamName, TrailerFields};

/// A node that is silent for longer may lose its place, and is not asked for.
const MAX_SILENCE: Nanos = 3 * NANOS_PER_SECOND;

#[derive(Clone, Copy, Debug)]
struct Source {
    peer: PeerIndex,
    /// The run of the node; 0 for none so far.
    epoch: u64,
    flow: u8,
    generation: u16,
    last_seen: Nanos,
}

/// The nodes, a fixed number for each peer.
#[derive(Debug)]
pub(super) struct Sources(List<Source>);

/// The stream of a frame.
pub(super) enum Found {
    /// Of a run that is known.
    Known(Origin),
    /// Of a run that has just taken this place.
    New(Origin),
}

impl Sources {
    pub(super) fn new(settings: &SyncSettings, heap: Heap) -> Result<Self, Error> {
        let mut sources = heap.list("compared nodes", settings.compared_nodes())?;
        for (peer, nodes) in settings.compared_peers() {
            let source = Source { peer, epoch: 0, flow: 0, generation: 0, last_seen: 0 };
            (0..nodes).for_each(|_| sources.push(source));
        }
        Ok(Self(sources))
    }

    pub(super) fn memory_needed(settings: &SyncSettings) -> usize {
        settings.compared_nodes() * size_of::<Source>()
    }

    /// Finds the stream of a frame; `None` if its node is not compared.
    pub(super) fn find(&mut self, peer: PeerIndex, fields: &TrailerFields, now: Nanos) -> Option<Found> {
        if fields.sequence == 0 {
            return None;
        }
        let is_it = |source: &Source| source.peer == peer && source.epoch == fields.epoch;
        let known = self.0.iter().position(is_it);
        let index = known.or_else(|| self.bind(peer, fields, now))?;
        self.0[index].last_seen = now;
        let origin = self.origin(index as u8, fields.lane)?;
        Some(if known.is_some() { Found::Known(origin) } else { Found::New(origin) })
    }

    #[cold]
    fn bind(&mut self, peer: PeerIndex, fields: &TrailerFields, now: Nanos) -> Option<usize> {
        let of_peer = |index: &usize| self.0[*index].peer == peer;
        let candidates = (0..self.0.len()).filter(of_peer);
        let is_one_node = candidates.clone().count() == 1;
        let index = candidates.min_by_key(|&index| (self.0[index].epoch != 0, self.0[index].last_seen))?;
        let source = &mut self.0[index];
        let is_free = source.epoch == 0 || now.saturating_sub(source.last_seen) > MAX_SILENCE;
        if !is_free && !is_one_node {
            return None;
        }
        source.generation = source.generation.wrapping_add(1);
        (source.epoch, source.flow) = (fields.epoch, fields.flow);
        Some(index)
    }

    pub(super) fn origin(&self, source: u8, lane: u8) -> Option<Origin> {
        let generation = self.0.get(usize::from(source))?.generation;
        Some(Origin { source, lane, generation })
    }

    /// Returns the peer, and the stream as reports name it.
    pub(super) fn name_of(&self, origin: Origin) -> Option<(PeerIndex, StreamName)> {
        let source = self.0.get(usize::from(origin.source))?;
        let name = StreamName { epoch: source.epoch, flow: source.flow, lane: origin.lane };
        (source.generation == origin.generation).then_some((source.peer, name))
    }

    /// Whether a node of this peer has sent frames lately.
    pub(super) fn is_alive(&self, source: u8, peer: PeerIndex, now: Nanos) -> bool {
        let is_of_peer = |source: &&Source| source.peer == peer && source.epoch != 0;
        let source = self.0.get(usize::from(source)).filter(is_of_peer);
        source.is_some_and(|source| now.saturating_sub(source.last_seen) <= MAX_SILENCE)
    }
}
