//! Which states have ended, so that no message that crosses their end, and no node that missed it, brings them back.
//!
//! Remembered are ends that are decided: by a new connection, an administrator, a limit, or a peer's delete or clear. Not
//! remembered are states that expired without traffic: a peer's copy that still lives then has newer traffic.
//!
//! The memory holds ids in small buckets. An id has two buckets to go to, so they fill evenly; when both are full, it
//! replaces the oldest in them.

mod ids;

pub use ids::{ID_COUNTER, Ids, distance, lifted_above};

use crate::cpu::{Near, prefetch};
use crate::error::Error;
use crate::memory::{FixedArray, Memory, bytes_of};
use crate::state::StateId;
use crate::sync::settings::SyncSettings;
use crate::table::{PrefetchHint, Purpose};
use crate::time::{TICKS_PER_SECOND, Tick};

/// Entries of a bucket: a cache line.
const WAYS: usize = 4;
/// The creation of a state is known in whole seconds.
const AGE_ACCURACY: i32 = TICKS_PER_SECOND.cast_signed();

#[derive(Clone, Copy, Debug)]
struct Entry {
    id: u64,
    /// 0 in an entry that was never used: no node has this id.
    creator: u32,
    ended: Tick,
}

impl Entry {
    const EMPTY: Self = Self { id: 0, creator: 0, ended: Tick(0) };

    const fn is(&self, id: StateId) -> bool {
        self.id == id.id && self.creator == id.creator
    }
}

#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Bucket([Entry; WAYS]);

/// The ended states of one lane, and the ids that it issues.
#[derive(Debug, Default)]
pub struct Ends {
    /// This lane's ids.
    pub ids: Ids,
    /// A power of two, or none.
    buckets: Option<FixedArray<Bucket>>,
    secret: u64,
    duration: i32,
    /// Ids forgotten before their time.
    pub forgotten: u64,
}

/// Returns the number of buckets for `count` ids: at least half of the entries stay free for an even spread.
const fn buckets_for(count: u32) -> usize {
    if count == 0 { 0 } else { (count as usize * 2).div_ceil(WAYS).next_power_of_two() }
}

impl Ends {
    /// Allocates memory for the ends of a lane with `states` states. `secret` makes buckets unpredictable for peers.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn new(
        settings: &SyncSettings,
        ids: Ids,
        states: u32,
        secret: u64,
        (memory, socket): (&Memory, i32),
    ) -> Result<Self, Error> {
        let count = buckets_for(settings.ends_of(states));
        let bucket = Bucket([Entry::EMPTY; WAYS]);
        let buckets = (count > 0).then(|| memory.array("ended states", count, bucket, socket)).transpose()?;
        let duration = settings.ended_s.saturating_mul(TICKS_PER_SECOND).cast_signed();
        Ok(Self { ids, buckets, secret, duration, forgotten: 0 })
    }

    /// Returns the bytes that [`Self::new`] allocates.
    #[must_use]
    pub fn memory_needed(settings: &SyncSettings, states: u32) -> usize {
        match buckets_for(settings.ends_of(states)) {
            0 => 0,
            count => bytes_of::<Bucket>(count),
        }
    }

    /// Remembers that a state has ended.
    pub fn remember(&mut self, id: StateId, now: Tick) {
        let [first, second] = self.buckets_of(id);
        let Some(buckets) = &mut self.buckets else { return };
        let is_free =
            |entry: &Entry| entry.is(id) || entry.creator == 0 || now.since(entry.ended) >= self.duration;
        let free_in = |bucket: usize| buckets[bucket].0.iter().filter(|entry| is_free(entry)).count();
        let at = match (free_in(first), free_in(second)) {
            (0, 0) => [first, second].into_iter().max_by_key(|&bucket| oldest(&buckets[bucket], now).1),
            (in_first, in_second) => Some(if in_second > in_first { second } else { first }),
        };
        let bucket = &mut buckets[at.unwrap_or(first)];
        let index = bucket.0.iter().position(is_free).unwrap_or_else(|| {
            self.forgotten += 1;
            oldest(bucket, now).0
        });
        bucket.0[index] = Entry { id: id.id, creator: id.creator, ended: now };
    }

    /// Whether a state that a peer sends has ended. `created` is when the peer says it was created.
    ///
    /// Our own ids never repeat. Another node may repeat an id, if it restarts without a clock: its new state is younger
    /// than the end of the old one.
    #[must_use]
    pub fn has_ended(&self, id: StateId, created: Tick, now: Tick) -> bool {
        let Some(buckets) = &self.buckets else { return false };
        let entries = self.buckets_of(id).map(|bucket| &buckets[bucket].0);
        let Some(entry) = entries.into_iter().flatten().find(|entry| entry.is(id)) else { return false };
        let is_new = !self.is_ours(id) && created.since(entry.ended) > AGE_ACCURACY;
        now.since(entry.ended) < self.duration && !is_new
    }

    /// Prefetches what [`Self::has_ended`] and [`Self::remember`] will read of these states.
    #[inline]
    pub fn prefetch(&self, hints: &[PrefetchHint]) {
        let Some(buckets) = &self.buckets else { return };
        let changes = |hint: &&PrefetchHint| !matches!(hint.purpose, Purpose::Update);
        for hint in hints.iter().filter(changes) {
            for bucket in self.buckets_of(hint.id) {
                prefetch::<Near, _>(buckets, bucket);
            }
        }
    }

    /// Whether this node has created the state, in this run or an earlier one.
    #[must_use]
    pub const fn is_ours(&self, id: StateId) -> bool {
        self.ids.creator() == id.creator
    }

    /// The two buckets of an id; they may be one.
    fn buckets_of(&self, id: StateId) -> [usize; 2] {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let mask = self.buckets.as_ref().map_or(0, |buckets| buckets.len() - 1);
        let mixed = (id.id ^ u64::from(id.creator).rotate_left(32) ^ self.secret).wrapping_mul(ODD);
        let mixed = (mixed ^ mixed >> 32).wrapping_mul(ODD);
        [mixed ^ mixed >> 29, mixed >> 32].map(|hash| hash as usize & mask)
    }
}

/// Returns the oldest entry of a bucket and its age.
fn oldest(bucket: &Bucket, now: Tick) -> (usize, i32) {
    let ages = bucket.0.iter().map(|entry| now.since(entry.ended)).enumerate();
    ages.max_by_key(|&(_, age)| age).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::fixture::settings;
    use pfsync::Profile;

    fn ends(max_ended: u32, ended_s: u32) -> Ends {
        let settings = SyncSettings { max_ended, ended_s, ..settings(&[Profile::OpenBsd6]) };
        let ids = Ids::new(settings.host_id, 0, 1);
        Ends::new(&settings, ids, 1 << 20, 0x1234_5678_9abc_def0, (&Memory::SYSTEM, -1)).unwrap()
    }

    fn id(n: u64) -> StateId {
        StateId { id: n, creator: 9 }
    }

    #[test]
    fn as_many_ends_are_remembered_as_the_setting_says() {
        for count in [1, 3, 1000, 20_000, 21_845] {
            let mut ends = ends(count, 60);
            (0..u64::from(count)).for_each(|n| ends.remember(id(n), Tick(5)));
            let known = (0..u64::from(count)).filter(|&n| ends.has_ended(id(n), Tick(0), Tick(6))).count();
            assert!(known as u64 + ends.forgotten >= u64::from(count));
            assert!(ends.forgotten * 1000 <= count.into(), "{} of {count} forgotten", ends.forgotten);
            assert!(!ends.has_ended(id(count.into()), Tick(0), Tick(6)));
        }
    }

    #[test]
    fn the_oldest_ends_are_forgotten_first_and_all_after_the_time_of_the_setting() {
        let mut ends = ends(1024, 60);
        (0..10_000).for_each(|n| ends.remember(id(n), Tick(n as u32)));
        let now = Tick(10_000);
        assert!((9500..10_000).filter(|&n| ends.has_ended(id(n), Tick(0), Tick(5999))).count() > 490);
        assert!((0..5000).all(|n| !ends.has_ended(id(n), Tick(0), now)));
        assert!(ends.has_ended(id(9999), Tick(0), Tick(9999 + 5999)));
        assert!(!ends.has_ended(id(9999), Tick(0), Tick(9999 + 6000)));
    }

    #[test]
    fn another_nodes_state_that_is_younger_than_the_end_is_a_new_one() {
        let mut ends = ends(16, 60);
        let own = StateId { id: 5, creator: settings(&[]).host_id };
        for id in [id(5), own] {
            ends.remember(id, Tick(1000));
        }
        for (created, ended) in [(900, true), (1000, true), (1100, true), (1101, false)] {
            assert_eq!(ends.has_ended(id(5), Tick(created), Tick(2000)), ended, "{created}");
            assert!(ends.has_ended(own, Tick(created), Tick(2000)));
        }
    }

    #[test]
    fn a_memory_of_size_zero_remembers_nothing_and_allocates_nothing() {
        let mut ends = ends(0, 60);
        ends.remember(id(1), Tick(1));
        assert!(!ends.has_ended(id(1), Tick(0), Tick(2)));
        let settings = SyncSettings { max_ended: 0, ..settings(&[Profile::OpenBsd6]) };
        assert_eq!(Ends::memory_needed(&settings, 1000), 0);
    }
}
