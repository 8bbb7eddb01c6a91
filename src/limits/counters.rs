//! A lock-free hash table of counters: buckets of one cache line, found by a keyed hash.

use crate::cpu::{Isa, Kernel, Level, Secret};
use crate::error::Error;
use crate::memory::{FixedArray, Memory, bytes_of};
use crate::state::MAX_RATE_SECONDS;
use crate::time::{TICKS_PER_SECOND, Tick};
use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};

/// Counters in a bucket: the words of a cache line.
const WAYS: usize = 8;
const COUNT_BITS: u32 = 24;
/// The maximum of a counter.
pub(super) const MAX_COUNT: u32 = (1 << COUNT_BITS) - 1;

/// Each word is a tag of 40 bits and a count of 24, so that both change together.
#[repr(C, align(64))]
struct Bucket([AtomicU64; WAYS]);

/// What is kept for a source besides its number of states.
#[derive(Default)]
#[repr(C, align(64))]
pub(super) struct Detail {
    /// TCP connections that both sides have opened.
    pub connections: AtomicU32,
    /// Limit for these, 0 for none: the rule's, as of the last state.
    pub max_connections: AtomicU32,
    /// Limit for the rate of opening them, as of the last state.
    pub max_rate: AtomicU32,
    /// The period of `max_rate`.
    pub rate_seconds: AtomicU32,
    /// The rate of opened connections, see `rate.rs`.
    pub opened: AtomicU64,
    /// The rate of new states.
    pub created: AtomicU64,
    /// The rates must be kept until then, even without states; 0 when there are none.
    pub keep_until: AtomicU32,
}

/// An address and scope, hashed: a tag of 40 bits and the two buckets that may hold its counter.
///
/// Keys that share all of it share a counter. With a million keys, that happens with a probability below one in a hundred
/// thousand, and nobody without the secret can construct such a pair.
#[derive(Clone, Copy)]
pub(super) struct CounterKey {
    tag: u64,
    buckets: [u32; 2],
}

/// Why a counter was not incremented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IncrementError {
    /// It is at its limit.
    AtLimit,
    /// Both buckets of the key are full.
    Full,
}

/// A counter's index and its word.
enum Found {
    Known(u32, u64),
    Free(u32, u64),
    None,
}

pub(super) struct Counters {
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

impl Counters {
    /// Builds a table for `capacity` keys, with spare counters so that two buckets per key are enough.
    pub(super) fn new(capacity: u32, secret: [u64; 4], memory: &Memory) -> Result<Self, Error> {
        let buckets = buckets_for(capacity);
        Ok(Self {
            buckets: memory.array_of("sources", buckets, || Bucket(Default::default()), -1)?,
            details: memory.array_of("source counts", buckets * WAYS, Detail::default, -1)?,
            secret: Secret(secret),
            level: Level::best(),
        })
    }

    /// Returns the bytes that a table for `capacity` keys allocates.
    pub(super) const fn bytes_needed(capacity: u32) -> usize {
        let buckets = buckets_for(capacity);
        bytes_of::<Bucket>(buckets) + bytes_of::<Detail>(buckets * WAYS)
    }

    /// Hashes an address within a scope.
    pub(super) fn key(&self, address: &[u8; 16], scope: u64) -> CounterKey {
        let [low, high] =
            [0, 8].map(|at| address[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)));
        let words = [low, high, scope, 0x7372_6320_6e61_6d65, 0];
        let hash = self.level.run(Hash { secret: &self.secret, words: &words });
        let buckets = self.buckets.len() as u64;
        // 0 is no tag. The bucket numbers also depend on the bits outside the tag.
        let tag = (hash >> COUNT_BITS).max(1);
        let numbers = [hash & u64::from(MAX_COUNT), hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40];
        CounterKey { tag, buckets: numbers.map(|number| ((number * buckets) >> COUNT_BITS) as u32) }
    }

    pub(super) fn detail(&self, index: u32) -> &Detail {
        &self.details[index as usize]
    }

    fn word(&self, index: u32) -> &AtomicU64 {
        &self.buckets[index as usize / WAYS].0[index as usize % WAYS]
    }

    /// Whether a counter of zero may be reused for another key: its rates have decayed.
    fn is_idle(&self, index: u32, now: Tick) -> bool {
        let until = self.detail(index).keep_until.load(Relaxed);
        let left = Tick(until).since(now);
        // A time further ahead was written before the ticks wrapped.
        until == 0 || !(1..=(MAX_RATE_SECONDS * TICKS_PER_SECOND).cast_signed()).contains(&left)
    }

    fn find(&self, key: CounterKey, now: Tick) -> Found {
        let mut best = (0, Found::None);
        for bucket in key.buckets {
            let mut here = (0, Found::None);
            for index in indices_of(bucket) {
                let word = self.word(index).load(Acquire);
                if tag_of(word) == key.tag {
                    return Found::Known(index, word);
                }
                if count_of(word) == 0 && self.is_idle(index, now) {
                    here = (here.0 + 1, Found::Free(index, word));
                }
            }
            // Use the emptier bucket, so that both are full only when the whole table nearly is.
            if here.0 > best.0 {
                best = here;
            }
        }
        best.1
    }

    /// Increments a key's counter if it is below `max`. Returns the counter's index.
    ///
    /// Calls `on_first` before the first count of a key, and `undo_first` if that count is not made after all. Retries
    /// only when another lane has changed the same word.
    pub(super) fn increment<E: From<IncrementError>>(
        &self,
        key: CounterKey,
        max: u32,
        now: Tick,
        on_first: impl Fn() -> Result<(), E>,
        undo_first: impl Fn(),
    ) -> Result<u32, E> {
        // `on_first` may itself take the free counter found for this key, so search again after it.
        let mut first_done = false;
        let why = loop {
            let (index, word, is_new) = match self.find(key, now) {
                Found::Known(index, word) => (index, word, false),
                Found::Free(index, word) => (index, word, true),
                Found::None => break IncrementError::Full,
            };
            let count = if is_new { 0 } else { count_of(word) };
            if count >= max.min(MAX_COUNT) {
                break IncrementError::AtLimit;
            }
            if count == 0 && !first_done {
                on_first()?;
                first_done = true;
                continue;
            }
            let incremented = key.tag << COUNT_BITS | u64::from(count + 1);
            if self.word(index).compare_exchange(word, incremented, AcqRel, Relaxed).is_err() {
                continue;
            }
            if is_new && self.is_duplicate(key, index, now) {
                // Use the other lane's counter. If a third lane has counted here, this one keeps its first count.
                first_done = self.decrement(index);
                continue;
            }
            if count > 0 && first_done {
                undo_first();
            }
            return Ok(index);
        };
        if first_done {
            undo_first();
        }
        Err(why.into())
    }

    /// Whether another lane has taken a counter for the same key at the same time. The one that is found first stays.
    fn is_duplicate(&self, key: CounterKey, index: u32, now: Tick) -> bool {
        self.reset_rates(index);
        matches!(self.find(key, now), Found::Known(other, _) if other != index)
    }

    /// Clears the rates of the counter's previous key. An event that another lane counts for the new key at this instant
    /// is lost.
    fn reset_rates(&self, index: u32) {
        let detail = self.detail(index);
        detail.opened.store(0, Relaxed);
        detail.created.store(0, Relaxed);
        detail.keep_until.store(0, Relaxed);
    }

    /// Decrements a counter. Returns true when it becomes zero.
    pub(super) fn decrement(&self, index: u32) -> bool {
        let less = |word: u64| (count_of(word) > 0).then(|| word - 1);
        self.word(index).fetch_update(AcqRel, Relaxed, less).is_ok_and(|word| count_of(word) == 1)
    }

    /// Decrements the counter of a key.
    pub(super) fn decrement_key(&self, key: CounterKey) {
        if let Found::Known(index, _) = self.find(key, Tick(0)) {
            self.decrement(index);
        }
    }

    /// Returns a key's count and its open connections.
    pub(super) fn counts(&self, key: CounterKey) -> (u32, u32) {
        match self.find(key, Tick(0)) {
            Found::Known(index, word) => (count_of(word), self.detail(index).connections.load(Relaxed)),
            _ => (0, 0),
        }
    }
}

fn indices_of(bucket: u32) -> core::ops::Range<u32> {
    let first = bucket * WAYS as u32;
    first..first + WAYS as u32
}

/// At most five of eight counters are used, so two full buckets for one key are negligibly rare.
const fn buckets_for(capacity: u32) -> usize {
    (capacity as usize * 8 / 5).div_ceil(WAYS) + 1
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
