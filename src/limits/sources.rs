//! Counts of states and connections per source, and the limits on them.

use super::counters::{CounterKey, Counters, Detail, IncrementError, MAX_COUNT};
use super::rate::count_event;
use crate::error::{Error, check_range};
use crate::memory::Memory;
use crate::packet::Family;
use crate::state::{MAX_SOURCE_COUNT, NO_SOURCES, Rate, SourceLimits};
use crate::time::Tick;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// The settings of a [`Sources`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourcePlan {
    /// Sources that can be counted at once. A source counts once for the engine and once for each rule with own limits.
    pub capacity: u32,
    /// Prefix length of an IPv4 and of an IPv6 source.
    pub bits: [u8; 2],
    /// The limits over all rules. With any of them, every state is counted.
    pub limits: SourceLimits,
    /// Whether a source that cannot be counted is admitted without limits. Otherwise it is refused, as in pf.
    pub pass_when_full: bool,
}

/// Why a source may not create a state, or loses the one it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceRefusal {
    /// Too many sources.
    Sources,
    /// Too many states of this source.
    States,
    /// Too many open connections of this source.
    Connections,
    /// The source opens connections too fast.
    ConnectionRate,
    /// The source creates states too fast.
    NewRate,
    /// No counter is free.
    Full,
}

impl From<IncrementError> for SourceRefusal {
    fn from(why: IncrementError) -> Self {
        match why {
            IncrementError::AtLimit => Self::States,
            IncrementError::Full => Self::Full,
        }
    }
}

/// Whose states are counted: an address, and the rule whose limits apply.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// The address as in a key.
    pub address: [u8; 16],
    /// Its family.
    pub family: Family,
    /// The state's rule.
    pub rule: u32,
}

/// The scope of the engine's limits. The scope of a rule's limits is its number.
const ENGINE: u64 = 1 << 32;
/// With a scope: counts the sources of the scope.
const SOURCES_OF: u64 = 1 << 40;
const V6: u64 = 1 << 41;

/// The counts of an engine's sources, shared by its lanes.
pub struct Sources {
    counters: Counters,
    masks: [u128; 2],
    limits: SourceLimits,
    pass_when_full: bool,
    /// Sources that have a state, once for each scope.
    source_count: AtomicU32,
    uncounted: AtomicU64,
}

impl Sources {
    /// Builds the counters for a plan. `secret` is 256 random bits.
    ///
    /// # Errors
    /// A limit is out of range, or there is no memory.
    pub fn new(plan: &SourcePlan, secret: [u64; 4], memory: &Memory) -> Result<Self, Error> {
        plan.check()?;
        let masks = [32, 128].map(|width: u32| u128::MAX << (128 - width));
        let mask = |family: usize| {
            masks[family] & u128::MAX.checked_shl(128 - u32::from(plan.bits[family])).unwrap_or(0)
        };
        Ok(Self {
            counters: Counters::new(plan.capacity, secret, memory)?,
            masks: [mask(0), mask(1)],
            limits: plan.limits,
            pass_when_full: plan.pass_when_full,
            source_count: AtomicU32::new(0),
            uncounted: AtomicU64::new(0),
        })
    }

    /// Returns the bytes that counters for `capacity` sources allocate.
    #[must_use]
    pub const fn memory_needed(capacity: u32) -> usize {
        Counters::bytes_needed(capacity)
    }

    /// Whether there are limits over all rules, so that every state is counted.
    #[must_use]
    pub fn are_limited(&self) -> bool {
        !self.limits.is_none()
    }

    /// Returns the number of sources that have a state. A source counts once for the engine and once for each rule.
    #[must_use]
    pub fn source_count(&self) -> u32 {
        self.source_count.load(Relaxed)
    }

    /// Returns how many states were not counted because no counter was free.
    #[must_use]
    pub fn uncounted(&self) -> u64 {
        self.uncounted.load(Relaxed)
    }

    /// Counts a new state for the engine's limits and for its rule's. Returns the counters that the state holds until
    /// [`Self::release`].
    ///
    /// # Errors
    /// The limit that is reached. Nothing is counted then, except for the rates.
    pub fn admit(
        &self,
        source: &Source,
        limits: &SourceLimits,
        now: Tick,
    ) -> Result<[u32; 2], SourceRefusal> {
        let mut counters = NO_SOURCES;
        let scopes = [(ENGINE, &self.limits), (source.rule.into(), limits)];
        for (n, (scope, limits)) in scopes.into_iter().enumerate() {
            if limits.is_none() {
                continue;
            }
            match self.admit_in_scope(source, scope, limits, now) {
                Ok(index) => counters[n] = index,
                Err(SourceRefusal::Full) if self.pass_when_full => {
                    self.uncounted.fetch_add(1, Relaxed);
                }
                Err(why) => {
                    self.release(&counters, source.rule, false);
                    return Err(why);
                }
            }
        }
        Ok(counters)
    }

    /// Counts a state that a peer has admitted, whatever the limits are. `by_rule`: the peer's rule has limits.
    #[must_use]
    pub fn admit_imported(&self, source: &Source, by_rule: bool, now: Tick) -> [u32; 2] {
        let is_counted = [!self.limits.is_none(), by_rule];
        let mut counters = NO_SOURCES;
        for (n, scope) in [ENGINE, source.rule.into()].into_iter().enumerate().filter(|(n, _)| is_counted[*n])
        {
            match self.increment(source, scope, &SourceLimits::default(), now) {
                Ok(index) => counters[n] = index,
                Err(_) => {
                    self.uncounted.fetch_add(1, Relaxed);
                }
            }
        }
        counters
    }

    fn admit_in_scope(
        &self,
        source: &Source,
        scope: u64,
        limits: &SourceLimits,
        now: Tick,
    ) -> Result<u32, SourceRefusal> {
        let index = self.increment(source, scope, limits, now)?;
        let detail = self.counters.detail(index);
        store_if_changed(&detail.max_connections, limits.connections);
        store_if_changed(&detail.max_rate, limits.connection_rate.max);
        store_if_changed(&detail.rate_seconds, limits.connection_rate.seconds);
        if !limits.new_rate.is_none() {
            extend_keep_until(detail, limits.new_rate.seconds, now);
            if !count_event(&detail.created, limits.new_rate, now) {
                self.decrement(index, scope);
                return Err(SourceRefusal::NewRate);
            }
        }
        Ok(index)
    }

    /// Increments the count of a source, and for its first state also the count of sources.
    fn increment(
        &self,
        source: &Source,
        scope: u64,
        limits: &SourceLimits,
        now: Tick,
    ) -> Result<u32, SourceRefusal> {
        let sources = self.sources_key(scope);
        let on_first = || {
            let counted =
                self.counters.increment(sources, max_or_none(limits.sources), now, || Ok(()), || ());
            counted.map_err(|why| match why {
                IncrementError::AtLimit => SourceRefusal::Sources,
                IncrementError::Full => SourceRefusal::Full,
            })?;
            self.source_count.fetch_add(1, Relaxed);
            Ok(())
        };
        let undo_first = || self.remove_source(sources);
        let key = self.source_key(source, scope);
        self.counters.increment(key, max_or_none(limits.states), now, on_first, undo_first)
    }

    fn remove_source(&self, sources: CounterKey) {
        self.counters.decrement_key(sources);
        self.source_count.fetch_sub(1, Relaxed);
    }

    fn source_key(&self, source: &Source, scope: u64) -> CounterKey {
        let is_v6 = source.family == Family::V6;
        let address = u128::from_be_bytes(source.address) & self.masks[usize::from(is_v6)];
        self.counters.key(&address.to_be_bytes(), scope | if is_v6 { V6 } else { 0 })
    }

    /// The key that counts a scope's sources.
    fn sources_key(&self, scope: u64) -> CounterKey {
        self.counters.key(&[0; 16], scope | SOURCES_OF)
    }

    /// Counts a TCP connection that both sides have opened.
    ///
    /// # Errors
    /// The limit that it exceeds. It is counted nevertheless; the caller deletes its state.
    pub fn count_connection(&self, counters: &[u32; 2], now: Tick) -> Result<(), SourceRefusal> {
        let mut outcome = Ok(());
        for index in held(counters) {
            // Both counters count it, whichever limit it exceeds.
            let counted = count_connection(self.counters.detail(index), now);
            if outcome.is_ok() {
                outcome = counted;
            }
        }
        outcome
    }

    /// As [`Self::count_connection`], for a connection that a peer has admitted.
    pub fn count_imported_connection(&self, counters: &[u32; 2]) {
        for index in held(counters) {
            self.counters.detail(index).connections.fetch_add(1, Relaxed);
        }
    }

    /// Releases the counters of a state that has ended. `connected`: it was also counted as a connection.
    pub fn release(&self, counters: &[u32; 2], rule: u32, connected: bool) {
        for (&index, scope) in counters.iter().zip([ENGINE, rule.into()]) {
            if index == u32::MAX {
                continue;
            }
            if connected {
                // First, so that a counter without states has no connections.
                self.counters.detail(index).connections.fetch_sub(1, Relaxed);
            }
            self.decrement(index, scope);
        }
    }

    fn decrement(&self, index: u32, scope: u64) {
        if self.counters.decrement(index) {
            self.remove_source(self.sources_key(scope));
        }
    }

    /// Returns the states and the open connections of a source: over all rules or, with `by_rule`, those of its rule.
    #[must_use]
    pub fn counts(&self, source: &Source, by_rule: bool) -> (u32, u32) {
        let scope = if by_rule { source.rule.into() } else { ENGINE };
        self.counters.counts(self.source_key(source, scope))
    }

    /// Returns the number of sources that have a state, over all rules or of one.
    #[must_use]
    pub fn sources(&self, rule: Option<u32>) -> u32 {
        self.counters.counts(self.sources_key(rule.map_or(ENGINE, u64::from))).0
    }
}

/// The counters that a state holds.
fn held(counters: &[u32; 2]) -> impl Iterator<Item = u32> {
    counters.iter().copied().filter(|&index| index != u32::MAX)
}

fn count_connection(detail: &Detail, now: Tick) -> Result<(), SourceRefusal> {
    let connections = detail.connections.fetch_add(1, Relaxed) + 1;
    let rate = Rate { max: detail.max_rate.load(Relaxed), seconds: detail.rate_seconds.load(Relaxed) };
    let within_rate = rate.is_none() || {
        extend_keep_until(detail, rate.seconds, now);
        count_event(&detail.opened, rate, now)
    };
    if connections > max_or_none(detail.max_connections.load(Relaxed)) {
        return Err(SourceRefusal::Connections);
    }
    if within_rate { Ok(()) } else { Err(SourceRefusal::ConnectionRate) }
}

/// Keeps a counter's rates for at least `seconds`.
fn extend_keep_until(detail: &Detail, seconds: u32, now: Tick) {
    let until = now.plus_seconds(seconds);
    let old = detail.keep_until.load(Relaxed);
    if old == 0 || until.since(Tick(old)) > 0 {
        detail.keep_until.store(until.0, Relaxed);
    }
}

/// Writes only a changed value, so that lanes with states of one rule share the cache line.
fn store_if_changed(word: &AtomicU32, value: u32) {
    if word.load(Relaxed) != value {
        word.store(value, Relaxed);
    }
}

/// A limit of 0 is no limit.
const fn max_or_none(limit: u32) -> u32 {
    if limit == 0 { MAX_COUNT } else { limit }
}

impl SourcePlan {
    /// Checks all settings.
    ///
    /// # Errors
    /// [`Error::Setting`], naming the first setting that is out of range.
    pub fn check(&self) -> Result<(), Error> {
        check_range("max_sources", self.capacity.into(), 0, MAX_SOURCE_COUNT.into())?;
        check_range("source_prefix_v4", self.bits[0].into(), 1, 32)?;
        check_range("source_prefix_v6", self.bits[1].into(), 1, 128)?;
        self.limits.check()?;
        if self.capacity == 0 && !self.limits.is_none() {
            let reason = "is 0, but limits for sources need counters";
            return Err(Error::Invalid { name: "max_sources", reason });
        }
        Ok(())
    }
}
