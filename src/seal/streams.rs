//! Streams of a peer's proven epoch: the frames of one of its lanes.

use super::cipher::{Cipher, SubkeyId};
use crate::error::Error;
use crate::memory::{Heap, List};
use crate::time::Nanos;
use pfsync::TrailerFields;

/// Maximum number of streams of one peer. Only authentic frames begin one.
const MAX_STREAMS: usize = 128;

#[derive(Debug)]
struct Stream {
    flow: u8,
    lane: u8,
    /// The lowest number that is accepted.
    next: u64,
    /// Until when its frames are accepted without an answer to a challenge.
    fresh_until: Nanos,
    /// The subkey of its last frame.
    cipher: Option<(SubkeyId, Cipher)>,
}

/// The streams of one peer.
#[derive(Debug)]
pub(super) struct Streams {
    streams: List<Stream>,
    /// The stream of the last frame.
    last: usize,
}

impl Streams {
    /// Allocates the memory of a peer's streams, or none for a peer without a seal.
    pub(super) fn new(is_sealed: bool, heap: Heap) -> Result<Self, Error> {
        let streams = heap.list("streams of a peer", if is_sealed { MAX_STREAMS } else { 0 })?;
        Ok(Self { streams, last: 0 })
    }

    /// Returns the bytes that [`Self::new`] allocates for a sealed peer.
    pub(super) const fn memory_needed() -> usize {
        MAX_STREAMS * size_of::<Stream>()
    }

    pub(super) fn clear(&mut self) {
        self.streams.clear();
    }

    /// Wipes the subkeys. Each is derived again when it is needed.
    pub(super) fn clear_subkeys(&mut self) {
        self.streams.iter_mut().for_each(|stream| stream.cipher = None);
    }

    /// Returns the index of a frame's stream.
    pub(super) fn find(&mut self, frame: &TrailerFields) -> Option<usize> {
        let is_same = |stream: &Stream| (stream.flow, stream.lane) == (frame.flow, frame.lane);
        if !self.streams.get(self.last).is_some_and(is_same) {
            self.last = self.streams.iter().position(is_same)?;
        }
        Some(self.last)
    }

    /// Whether the frame's number is above those of its stream.
    pub(super) fn is_next(&self, index: usize, frame: &TrailerFields) -> bool {
        frame.sequence >= self.streams[index].next
    }

    pub(super) fn is_fresh(&self, index: usize, now: Nanos) -> bool {
        now < self.streams[index].fresh_until
    }

    /// Returns the subkey of the stream's last frame, if it is this frame's too.
    pub(super) fn cipher(&self, index: usize, frame: &TrailerFields) -> Option<&Cipher> {
        let (id, cipher) = self.streams[index].cipher.as_ref()?;
        (*id == SubkeyId::of(frame)).then_some(cipher)
    }

    /// Begins the stream of a frame. `None` if there are too many.
    pub(super) fn begin(&mut self, frame: &TrailerFields) -> Option<usize> {
        if self.streams.len() == self.streams.capacity() {
            return None;
        }
        let TrailerFields { flow, lane, sequence, .. } = *frame;
        self.streams.push(Stream { flow, lane, next: sequence, fresh_until: 0, cipher: None });
        Some(self.streams.len() - 1)
    }

    /// Notes an accepted frame, its subkey if that is another one, and until when the stream is fresh if it was proven.
    pub(super) fn accept(
        &mut self,
        index: usize,
        frame: &TrailerFields,
        derived: Option<Cipher>,
        fresh_until: Option<Nanos>,
    ) {
        let stream = &mut self.streams[index];
        stream.next = frame.sequence.saturating_add(1);
        if let Some(cipher) = derived {
            stream.cipher = Some((SubkeyId::of(frame), cipher));
        }
        stream.fresh_until = fresh_until.unwrap_or(stream.fresh_until);
    }
}
