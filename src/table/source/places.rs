//! Where sources are counted: buckets of one cache line, found by a keyed hash, without a lock.

use super::super::memory::{FixedArray, Memory, bytes_of};
use crate::cpu::{Isa, Kernel, Level, Secret};
use crate::error::Error;
use crate::state::RATE_SECONDS;
use crate::time::{TICKS_PER_SECOND, Tick};
use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};

/// Places in a bucket: as many words as a cache line holds.
const WAYS: usize = 8;
const COUNT_BITS: u32 = 24;
/// The greatest count of a place.
pub(super) const MAX_COUNT: u32 = (1 << COUNT_BITS) - 1;

/// The words of one bucket. Each is a tag of 40 bits and a count of 24: nobody may see one without the other.
#[repr(C, align(64))]
struct Bucket([AtomicU64; WAYS]);

/// What is known of a source besides how many states it has.
#[derive(Default)]
#[repr(C, align(64))]
pub(super) struct Detail {
    /// TCP connections that both sides have opened.
    pub connections: AtomicU32,
    /// How many it may have, 0 for any number: the rule's, as of the last state.
    pub max_connections: AtomicU32,
    /// How fast it may open them, likewise.
    pub max_rate: AtomicU32,
    /// See [`Self::max_rate`].
    pub rate_seconds: AtomicU32,
    /// Opened lately, see `rate.rs`.
    pub opened: AtomicU64,
    /// Made lately.
    pub made: AtomicU64,
    /// Until then what is counted lately must be remembered, with or without states.
    pub until: AtomicU32,
}

/// A name in 40 bits, and the two buckets that it may be in. Two names that share all of it are taken for one: with a
/// million of them at once, less likely than one in a hundred thousand, and nobody outside can make such a pair.
#[derive(Clone, Copy)]
pub(super) struct Name {
    tag: u64,
    buckets: [u32; 2],
}

/// Why a count was not raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotRaised {
    /// It is at its limit.
    AtLimit,
    /// There is no place for the name.
    Full,
}

enum Found {
    Known(u32, u64),
    Free(u32, u64),
    None,
}

pub(super) struct Places {
    buckets: FixedArray<Bucket>,
    details: FixedArray<Detail>,
    secret: Secret,
    level: Level,
}

const fn count_of(word: u64) -> u32 {
    (word as u32) & MAX_COUNT
}

const fn tag_of(word: u64) -> u64 {
    word >> COUNT_BITS
}

impl Places {
    /// Places for `names` names, and so many more that two buckets for each are enough.
    pub fn new(names: u32, secret: [u64; 4], memory: &Memory) -> Result<Self, Error> {
        let buckets = buckets_for(names);
        Ok(Self {
            buckets: memory.array_of("sources", buckets, || Bucket(Default::default()), -1)?,
            details: memory.array_of("source counts", buckets * WAYS, Detail::default, -1)?,
            secret: Secret(secret),
            level: Level::best(),
        })
    }

    /// Bytes that it asks its memory for.
    pub const fn bytes_needed(names: u32) -> usize {
        let buckets = buckets_for(names);
        bytes_of::<Bucket>(buckets) + bytes_of::<Detail>(buckets * WAYS)
    }

    /// The name of an address within a scope.
    pub fn name(&self, address: &[u8; 16], scope: u64) -> Name {
        let [low, high] =
            [0, 8].map(|at| address[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)));
        let words = [low, high, scope, 0x7372_6320_6e61_6d65, 0];
        let hash = self.level.run(Hash { secret: &self.secret, words: &words });
        let buckets = self.buckets.len() as u64;
        // 0 is no tag. Names with one tag have other buckets, since these come from what the tag leaves out as well.
        let tag = (hash >> COUNT_BITS).max(1);
        let numbers = [hash & u64::from(MAX_COUNT), hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40];
        Name { tag, buckets: numbers.map(|number| ((number * buckets) >> COUNT_BITS) as u32) }
    }

    pub fn detail(&self, place: u32) -> &Detail {
        &self.details[place as usize]
    }

    fn word(&self, place: u32) -> &AtomicU64 {
        &self.buckets[place as usize / WAYS].0[place as usize % WAYS]
    }

    /// A place without a count may be given to another name once nothing of it has to be remembered.
    fn is_idle(&self, place: u32, now: Tick) -> bool {
        let until = self.detail(place).until.load(Relaxed);
        let left = Tick(until).since(now);
        // What is further away was written half a wrap of the ticks ago.
        until == 0 || !(1..=(RATE_SECONDS * TICKS_PER_SECOND).cast_signed()).contains(&left)
    }

    fn find(&self, name: Name, now: Tick) -> Found {
        let mut best = (0, Found::None);
        for bucket in name.buckets {
            let mut here = (0, Found::None);
            for place in places_in(bucket) {
                let word = self.word(place).load(Acquire);
                if tag_of(word) == name.tag {
                    return Found::Known(place, word);
                }
                if count_of(word) == 0 && self.is_idle(place, now) {
                    here = (here.0 + 1, Found::Free(place, word));
                }
            }
            // The emptier of the two: so both are full at once only when there is hardly a free place anywhere.
            if here.0 > best.0 {
                best = here;
            }
        }
        best.1
    }

    /// Raises a name's count if it is below `most`; gives its place. `first` is asked before a name gets its first count,
    /// `undo` takes that back.
    ///
    /// It goes round again only when another lane has changed the same word meanwhile.
    pub fn raise<E: From<NotRaised>>(
        &self,
        name: Name,
        most: u32,
        now: Tick,
        first: impl Fn() -> Result<(), E>,
        undo: impl Fn(),
    ) -> Result<u32, E> {
        // What `first` takes may be the very place that is free for the name: so it comes before the search.
        let mut asked = false;
        let why = loop {
            let (place, word, is_new) = match self.find(name, now) {
                Found::Known(place, word) => (place, word, false),
                Found::Free(place, word) => (place, word, true),
                Found::None => break NotRaised::Full,
            };
            let count = if is_new { 0 } else { count_of(word) };
            if count >= most.min(MAX_COUNT) {
                break NotRaised::AtLimit;
            }
            if count == 0 && !asked {
                first()?;
                asked = true;
                continue;
            }
            let raised = name.tag << COUNT_BITS | u64::from(count + 1);
            if self.word(place).compare_exchange(word, raised, AcqRel, Relaxed).is_err() {
                continue;
            }
            if is_new && self.is_second(name, place, now) {
                // The other lane's goes on. Where a third one has counted here, the first count stays with it.
                asked = self.lower(place);
                continue;
            }
            if count > 0 && asked {
                undo();
            }
            return Ok(place);
        };
        if asked {
            undo();
        }
        Err(why.into())
    }

    /// A place was just taken for a name. Another lane may have taken one too: that which is found first stays.
    fn is_second(&self, name: Name, place: u32, now: Tick) -> bool {
        self.forget(place);
        matches!(self.find(name, now), Found::Known(other, _) if other != place)
    }

    /// What the place's name before had lately. What another lane counts for the new name in this very instant is
    /// forgotten with it.
    fn forget(&self, place: u32) {
        let detail = self.detail(place);
        detail.opened.store(0, Relaxed);
        detail.made.store(0, Relaxed);
        detail.until.store(0, Relaxed);
    }

    /// Takes one from the count of a place. True when it was the last.
    pub fn lower(&self, place: u32) -> bool {
        let less = |word: u64| (count_of(word) > 0).then(|| word - 1);
        self.word(place).fetch_update(AcqRel, Relaxed, less).is_ok_and(|word| count_of(word) == 1)
    }

    /// Takes one from the count of a name.
    pub fn lower_name(&self, name: Name) {
        if let Found::Known(place, _) = self.find(name, Tick(0)) {
            self.lower(place);
        }
    }

    /// The count of a name, and its open connections.
    pub fn counts(&self, name: Name) -> (u32, u32) {
        match self.find(name, Tick(0)) {
            Found::Known(place, word) => (count_of(word), self.detail(place).connections.load(Relaxed)),
            _ => (0, 0),
        }
    }
}

fn places_in(bucket: u32) -> core::ops::Range<u32> {
    let first = bucket * WAYS as u32;
    first..first + WAYS as u32
}

/// At most five of eight places are taken then, so that two full buckets for one name are rarer than can be seen.
const fn buckets_for(names: u32) -> usize {
    (names as usize * 8 / 5).div_ceil(WAYS) + 1
}

struct Hash<'a> {
    secret: &'a Secret,
    words: &'a [u64; 5],
}

impl Kernel for Hash<'_> {
    type Output = u64;

    #[inline(always)]
    fn run<I: Isa>(self, isa: I) -> u64 {
        isa.hash(self.secret, self.words)
    }
}
