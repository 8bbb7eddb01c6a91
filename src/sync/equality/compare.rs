//! The sync lane's part: compares the sums of each stream at a cut, and finds the states that differ.

use super::cells::{Cells, Difference};
use super::round::{MAX_RUNS, Round};
use super::sources::{Found, Sources};
use super::status::{Equality, Known, Stream};
use super::{Answer, Ask, MAX_DIFFERENCES, Origin, Question, SIZES, Total};
use crate::error::Error;
use crate::memory::{Heap, List};
use crate::sync::message::PeerIndex;
use crate::sync::settings::SyncSettings;
use crate::time::Nanos;
use arrayvec::ArrayVec;
use pfsync::{CellRun, Elements, StreamOption, TrailerFields};

/// Streams that are compared. Those of nodes that are gone give their place to new ones.
const MAX_STREAMS: usize = 64;
/// Differences that are remembered, of all streams.
const MAX_KNOWN: usize = 2 * MAX_DIFFERENCES;

/// A sum that the lanes are adding up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pending {
    number: u32,
    left: u16,
    sent: Total,
    taken: Total,
    cut: Nanos,
    may_differ: bool,
}

/// Counts of comparisons.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::sync) struct ComparisonCounts {
    pub equal: u64,
    pub different: u64,
    pub skipped: u64,
    pub sketches: u64,
    pub sketches_failed: u64,
    pub missing: u64,
    pub ghosts: u64,
    /// Differences that no sketch can hold.
    pub overflows: u64,
}

/// Compares this node with the nodes that send to it.
#[derive(Debug)]
pub(in crate::sync) struct Comparer {
    sources: Sources,
    streams: List<Stream>,
    capacity: usize,
    /// One if nodes are compared.
    cells: List<Cells>,
    round: Option<Round>,
    /// The stream of the last round.
    last_stream: usize,
    found: List<Difference>,
    known: List<Known>,
    /// Differences that are certain, and to be asked for.
    certain: List<Difference>,
    certain_stream: usize,
    next_number: u32,
    pub counts: ComparisonCounts,
}

impl Comparer {
    pub(in crate::sync) fn new(settings: &SyncSettings, heap: Heap) -> Result<Self, Error> {
        const WHAT: &str = "the comparison of states";
        let is_active = settings.compared_nodes() > 0;
        let count = |number| if is_active { number } else { 0 };
        let mut cells = heap.list(WHAT, count(1))?;
        if is_active {
            cells.push(Cells::new(heap)?);
        }
        Ok(Self {
            sources: Sources::new(settings, heap)?,
            streams: heap.list(WHAT, count(MAX_STREAMS))?,
            capacity: count(MAX_STREAMS),
            cells,
            round: None,
            last_stream: 0,
            found: heap.list(WHAT, count(MAX_DIFFERENCES))?,
            known: heap.list(WHAT, count(MAX_KNOWN))?,
            certain: heap.list(WHAT, count(MAX_DIFFERENCES))?,
            certain_stream: 0,
            next_number: 1,
            counts: ComparisonCounts::default(),
        })
    }

    /// Returns the bytes that [`Self::new`] allocates.
    pub(in crate::sync) fn memory_needed(settings: &SyncSettings) -> usize {
        let nodes = settings.compared_nodes();
        if nodes == 0 {
            return 0;
        }
        Sources::memory_needed(settings)
            + MAX_STREAMS * size_of::<Stream>()
            + size_of::<Cells>()
            + Cells::memory_needed()
            + 2 * MAX_DIFFERENCES * size_of::<Difference>()
            + MAX_KNOWN * size_of::<Known>()
    }

    /// Returns the stream of a frame with these fields. Cost: a comparison for each node of the peer.
    pub(in crate::sync) fn origin_of(
        &mut self,
        peer: PeerIndex,
        fields: &TrailerFields,
        now: Nanos,
    ) -> Origin {
        match self.sources.find(peer, fields, now) {
            Some(Found::Known(origin)) => origin,
            Some(Found::New(origin)) => {
                self.forget(origin.source);
                origin
            }
            None => Origin::NONE,
        }
    }

    /// A node has restarted, or another one has its place.
    #[cold]
    fn forget(&mut self, source: u8) {
        for (number, stream) in self.streams.iter_mut().enumerate() {
            if stream.source == source {
                stream.reset();
                self.known.retain(|known| usize::from(known.stream) != number);
            }
        }
        self.round = None;
        self.certain.clear();
    }

    fn origin(&self, stream: usize) -> Option<Origin> {
        let Stream { source, lane, .. } = *self.streams.get(stream)?;
        self.sources.origin(source, lane)
    }

    fn stream_of(&self, origin: Origin) -> Option<usize> {
        self.streams.iter().position(|stream| (stream.source, stream.lane) == (origin.source, origin.lane))
    }

    const fn number(&mut self) -> u32 {
        self.next_number = self.next_number.wrapping_add(1);
        self.next_number
    }

    /// Receives the sum of a stream. `ask` passes a question to all lanes, behind all messages so far, and returns how many will
    /// answer. `may_differ`: states are being received in bulk, or lost frames being repaired, so that a difference means nothing.
    pub(in crate::sync) fn root(
        &mut self,
        origin: Origin,
        sent: Total,
        may_differ: bool,
        now: Nanos,
        ask: impl FnOnce(&Question) -> u16,
    ) {
        if origin == Origin::NONE {
            return;
        }
        let index = match self.stream_of(origin) {
            Some(index) => index,
            None if self.streams.len() < self.capacity => {
                self.streams.push(Stream::new(origin.source, origin.lane));
                self.streams.len() - 1
            }
            None => return,
        };
        self.streams[index].root_at = Some(now);
        let number = self.number();
        let left = ask(&Question { number, origin, ask: Ask::Total });
        if left == 0 {
            self.counts.skipped += 1;
            return;
        }
        let taken = Total::default();
        self.streams[index].pending = Some(Pending { number, left, sent, taken, cut: now, may_differ });
    }

    /// Receives a part of a sketch; `ask` as in [`Self::root`].
    pub(in crate::sync) fn cells(
        &mut self,
        origin: Origin,
        run: &CellRun,
        now: Nanos,
        ask: impl FnOnce(&Question) -> u16,
    ) {
        let stream = self.stream_of(origin);
        let (Some(round), Some(cells)) = (&mut self.round, self.cells.first_mut()) else { return };
        let first = usize::from(run.first) / CellRun::MAX;
        let is_whole = run.cells().len() == CellRun::MAX && usize::from(run.first) % CellRun::MAX == 0;
        if stream != Some(round.stream) || run.total != cells.total() || !is_whole || run.first >= run.total {
            return;
        }
        if round.cut.is_none() {
            // All cells are as of the frame with the first ones. If that was lost, the sketch is never complete.
            let lanes = ask(&Question { number: round.number, origin, ask: Ask::Freeze });
            round.cut = (lanes > 0).then_some(now);
            round.runs_left = (u32::from(lanes) + 1) * u32::from(run.total) / CellRun::MAX as u32;
        }
        let bit = 1 << (first % 64);
        if round.cut.is_some() && round.arrived[first / 64] & bit == 0 {
            round.arrived[first / 64] |= bit;
            round.runs_left -= 1;
            cells.combine(run, 1);
        }
    }

    /// Receives a lane's answer. Returns a report for a peer that follows from it.
    pub(in crate::sync) fn answered(&mut self, answer: &Answer) -> Option<(PeerIndex, StreamOption)> {
        match *answer {
            Answer::Total { number, total } => self.add_total(number, total),
            Answer::Cells { number, run } => {
                if let (Some(round), Some(cells)) = (&mut self.round, self.cells.first_mut())
                    && round.number == number
                    && round.cut.is_some()
                {
                    round.runs_left = round.runs_left.saturating_sub(1);
                    cells.combine(&run, -1);
                }
            }
            Answer::Built { number } => {
                if let Some(round) = self.round.as_mut().filter(|round| round.number == number) {
                    round.building = round.building.saturating_sub(1);
                }
            }
            Answer::NotBuilt { number } => {
                if self.round.as_ref().is_some_and(|round| round.number == number) {
                    self.fail();
                }
            }
            Answer::Doubt { origin, id } => {
                let (peer, stream) = self.sources.name_of(origin)?;
                return Some((peer, StreamOption::Doubt { stream, id: id.into() }));
            }
            Answer::Refused { origin, id, reason } => {
                let (peer, stream) = self.sources.name_of(origin)?;
                return Some((peer, StreamOption::Refused { stream, id: id.into(), reason: reason.into() }));
            }
        }
        None
    }

    fn add_total(&mut self, number: u32, total: Total) {
        let is_it = |stream: &Stream| stream.pending.is_some_and(|pending| pending.number == number);
        let Some(index) = self.streams.iter().position(is_it) else { return };
        let stream = &mut self.streams[index];
        let Some(pending) = &mut stream.pending else { return };
        pending.taken.add_all(total);
        pending.left -= 1;
        if pending.left > 0 {
            return;
        }
        let Pending { sent, taken, cut, may_differ, .. } = *pending;
        stream.pending = None;
        if sent == taken {
            self.counts.equal += 1;
            self.streams[index].equal(cut);
            self.known.retain(|known| usize::from(known.stream) != index);
        } else if may_differ {
            self.counts.skipped += 1;
        } else {
            self.counts.different += 1;
            self.streams[index].wants_sketch = true;
        }
    }

    fn fail(&mut self) {
        self.counts.sketches_failed += 1;
        if let Some(round) = self.round.take()
            && let Some(stream) = self.streams.get_mut(round.stream)
        {
            stream.wants_sketch = true;
        }
    }

    /// Begins a sketch if one is needed, and ends one that has arrived. `ask` passes a question to all lanes, and returns how many
    /// received it; `send` sends a report, if there is space. Call it in every poll.
    pub(in crate::sync) fn step(
        &mut self,
        now: Nanos,
        mut ask: impl FnMut(&Question) -> u16,
        mut send: impl FnMut(PeerIndex, StreamOption) -> bool,
    ) {
        match &self.round {
            Some(Round { cut: Some(cut), runs_left: 0, stream, .. }) => {
                let (cut, stream) = (*cut, *stream);
                self.round = None;
                self.end_round(stream, cut);
            }
            Some(round) if round.is_late(now) => self.fail(),
            Some(Round { building: 0, requested: None, stream, .. }) => {
                self.request_sketch(*stream, now, &mut send)
            }
            Some(_) => {}
            None => self.begin_round(now, &mut ask),
        }
        if !self.certain.is_empty() {
            self.ask_for_certain(&mut ask, &mut send);
        }
    }

    /// Lets the lanes build their sketch of a stream.
    fn begin_round(&mut self, now: Nanos, ask: &mut impl FnMut(&Question) -> u16) {
        let count = self.streams.len();
        let mut in_turn = (1..=count).map(|n| (self.last_stream + n) % count);
        let Some(index) = in_turn.find(|&index| self.streams[index].wants_sketch) else { return };
        self.last_stream = index;
        let size = SIZES[usize::from(self.streams[index].size).min(SIZES.len() - 1)];
        let number = self.number();
        let Some(origin) = self.origin(index) else { return };
        self.streams[index].wants_sketch = false;
        let Some(cells) = self.cells.first_mut() else { return };
        cells.begin(size);
        let building = ask(&Question { number, origin, ask: Ask::Build(size) });
        if building == 0 {
            // A ring is full. The next sum asks for a sketch again.
            self.counts.sketches_failed += 1;
            return;
        }
        let arrived = [0; MAX_RUNS / 64];
        let (cut, runs_left) = (None, u32::MAX);
        self.round = Some(Round {
            stream: index,
            number,
            began: now,
            building,
            requested: None,
            cut,
            runs_left,
            arrived,
        });
    }

    /// Requests the peer's sketch: ours are complete, so they can be frozen at any cut.
    fn request_sketch(
        &mut self,
        stream: usize,
        now: Nanos,
        send: &mut impl FnMut(PeerIndex, StreamOption) -> bool,
    ) {
        let name = self.origin(stream).and_then(|origin| self.sources.name_of(origin));
        let (Some((peer, stream)), Some(cells)) = (name, self.cells.first()) else { return };
        if let Some(round) = &mut self.round
            && send(peer, StreamOption::Sketch { stream, cells: cells.total().into() })
        {
            round.requested = Some(now);
            self.counts.sketches += 1;
        }
    }

    /// Judges the differences at a cut.
    fn end_round(&mut self, index: usize, cut: Nanos) {
        let Some(cells) = self.cells.first_mut() else { return };
        let stream = &mut self.streams[index];
        if !cells.peel(&mut self.found) {
            if usize::from(stream.size) + 1 < SIZES.len() {
                stream.size += 1;
                stream.wants_sketch = true;
            } else {
                stream.size = 0;
                self.counts.overflows += 1;
            }
            return;
        }
        let found = &mut self.found;
        found.sort_unstable();
        let mut is_known = [false; MAX_DIFFERENCES];
        self.known.retain(|known| {
            let place = found.binary_search(&known.difference);
            is_known[place.unwrap_or(0)] |= place.is_ok() && usize::from(known.stream) == index;
            usize::from(known.stream) != index || place.is_ok()
        });
        let (mut is_new, mut certain) = (true, 0);
        if self.certain.is_empty() {
            self.certain_stream = index;
        }
        for known in self.known.iter_mut().filter(|known| usize::from(known.stream) == index) {
            is_new = false;
            if !known.is_certain(cut) {
                continue;
            }
            certain += 1;
            // Each is asked for once in a while.
            if self.certain_stream == index && self.certain.len() < MAX_DIFFERENCES && known.ask(cut) {
                self.certain.push(known.difference);
                *if known.difference.is_first {
                    &mut self.counts.missing
                } else {
                    &mut self.counts.ghosts
                } += 1;
            }
        }
        let new = found.iter().zip(is_known).filter(|(_, is_known)| !is_known);
        for (difference, _) in new.take(MAX_KNOWN - self.known.len()) {
            self.known.push(Known::new(*difference, index as u8, cut));
        }
        stream.judge(found.is_empty(), is_new, certain, cut);
    }

    /// Asks for states that differ for certain, as far as there is space.
    fn ask_for_certain(
        &mut self,
        ask: &mut impl FnMut(&Question) -> u16,
        send: &mut impl FnMut(PeerIndex, StreamOption) -> bool,
    ) {
        let named = self.origin(self.certain_stream).and_then(|it| Some((it, self.sources.name_of(it)?)));
        let Some((origin, (peer, stream))) = named else { return self.certain.clear() };
        for is_first in [true, false] {
            let mut elements = Elements::default();
            let of_kind = self.certain.iter().rev().filter(|it| it.is_first == is_first).map(|it| it.element);
            let picked: ArrayVec<u64, { Elements::MAX }> = of_kind.take(Elements::MAX).collect();
            picked.iter().for_each(|&element| _ = elements.push(element));
            if elements.is_empty() {
                continue;
            }
            let is_sent = if is_first {
                send(peer, StreamOption::Want { stream, elements })
            } else {
                ask(&Question { number: 0, origin, ask: Ask::Doubt(elements) }) > 0
            };
            if is_sent {
                self.certain.retain(|it| it.is_first != is_first || !picked.contains(&it.element));
            }
        }
    }

    /// Returns how this node's states compare with those of a peer's nodes.
    pub(in crate::sync) fn equality(&self, peer: PeerIndex, now: Nanos) -> Equality {
        let is_compared =
            |stream: &&Stream| self.sources.is_alive(stream.source, peer, now) && stream.is_current(now);
        Equality::of(self.streams.iter().filter(is_compared))
    }
}
