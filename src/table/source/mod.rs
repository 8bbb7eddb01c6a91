//! Counts of sources, the senders of first packets: of all lanes together, since one source's connections are spread
//! over them.
//!
//! A source has a place for the engine's limits, and one for each rule that has limits of its own. It is asked when a
//! state is made, when its connection is open, and when it ends; never for another packet, and not at all without limits.
//! There is no lock: a place's name and count are one word. Memory is had when the engine is made.
//!
//! A count is the number of states that hold the place, and each state keeps its places: so counts cannot leak, whatever
//! way a state ends. Under contention a limit may refuse a state too many for an instant, never let one too many pass,
//! but for this: two lanes that meet a new source in the same instant may count it apart until one of the states ends.

mod places;
mod rate;

use super::memory::Memory;
use crate::error::Error;
use crate::packet::Family;
use crate::state::{MAX_SOURCE_COUNT, NO_SOURCES, SourceLimits};
use crate::time::Tick;
use places::{Detail, MAX_COUNT, Name, NotRaised, Places};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// What a [`Sources`] is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourcePlan {
    /// Sources that can be counted at once; one that rules count apart counts as often.
    pub most: u32,
    /// Bits of an IPv4 and of an IPv6 address that make a source.
    pub bits: [u8; 2],
    /// The limits over all rules. With any, every state is counted.
    pub limits: SourceLimits,
    /// Whether a source that cannot be counted is free of limits. Otherwise it is refused, as in pf.
    pub pass_when_full: bool,
}

/// Why a source gets no state, or loses the one that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceRefusal {
    /// There are so many sources already.
    Sources,
    /// It has so many states already.
    States,
    /// It has opened so many connections already.
    Connections,
    /// It opens connections too fast.
    ConnectionRate,
    /// It makes states too fast.
    NewRate,
    /// There is no room to count it.
    Full,
}

impl From<NotRaised> for SourceRefusal {
    fn from(why: NotRaised) -> Self {
        match why {
            NotRaised::AtLimit => Self::States,
            NotRaised::Full => Self::Full,
        }
    }
}

/// Whose states are counted: an address, and the rule for whose limits.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// As a key holds it.
    pub address: [u8; 16],
    /// Its family.
    pub family: Family,
    /// The rule of the state.
    pub rule: u32,
}

/// The scope of the engine's limits; a rule's is its number.
const ENGINE: u64 = 1 << 32;
/// With a scope: not the source in it, but the number of its sources.
const SOURCES_OF: u64 = 1 << 40;
const V6: u64 = 1 << 41;

/// The counts of an engine's sources. Shared by its lanes.
pub struct Sources {
    places: Places,
    masks: [u128; 2],
    limits: SourceLimits,
    pass_when_full: bool,
    /// Sources that have a state, once for each scope.
    known: AtomicU32,
    uncounted: AtomicU64,
}

impl Sources {
    /// Counts for a plan. `secret` is 256 random bits.
    ///
    /// # Errors
    /// A limit out of range; no memory.
    pub fn new(plan: &SourcePlan, secret: [u64; 4], memory: &Memory) -> Result<Self, Error> {
        plan.check()?;
        let masks = [32, 128].map(|width: u32| u128::MAX << (128 - width));
        let mask = |family: usize| {
            masks[family] & u128::MAX.checked_shl(128 - u32::from(plan.bits[family])).unwrap_or(0)
        };
        Ok(Self {
            places: Places::new(plan.most, secret, memory)?,
            masks: [mask(0), mask(1)],
            limits: plan.limits,
            pass_when_full: plan.pass_when_full,
            known: AtomicU32::new(0),
            uncounted: AtomicU64::new(0),
        })
    }

    /// Bytes that so many sources ask their memory for.
    #[must_use]
    pub const fn memory_needed(sources: u32) -> usize {
        Places::bytes_needed(sources)
    }

    /// Whether there are limits over all rules, so that every state is counted.
    #[must_use]
    pub fn are_limited(&self) -> bool {
        !self.limits.is_none()
    }

    /// Sources that have a state now; one that is counted for the engine and for rules counts for each.
    #[must_use]
    pub fn known(&self) -> u32 {
        self.known.load(Relaxed)
    }

    /// States that are not counted because there was no room for their source.
    #[must_use]
    pub fn uncounted(&self) -> u64 {
        self.uncounted.load(Relaxed)
    }

    /// Counts a new state: for the engine's limits, and for its rule's. The places are the state's until
    /// [`Self::release`].
    ///
    /// # Errors
    /// The limit that is reached; nothing is counted then, but for the rates.
    pub fn admit(
        &self,
        source: &Source,
        limits: &SourceLimits,
        now: Tick,
    ) -> Result<[u32; 2], SourceRefusal> {
        let mut places = NO_SOURCES;
        for (n, (scope, limits)) in self.scopes(source, limits).into_iter().enumerate() {
            if limits.is_none() {
                continue;
            }
            match self.enter(source, scope, limits, now) {
                Ok(place) => places[n] = place,
                Err(SourceRefusal::Full) if self.pass_when_full => {
                    self.uncounted.fetch_add(1, Relaxed);
                }
                Err(why) => {
                    self.release(&places, source.rule, false);
                    return Err(why);
                }
            }
        }
        Ok(places)
    }

    /// Counts a state that a peer has let in, whatever the limits say. `by_rule`: the peer's rule has limits.
    #[must_use]
    pub fn admit_imported(&self, source: &Source, by_rule: bool, now: Tick) -> [u32; 2] {
        let wanted = [!self.limits.is_none(), by_rule];
        let mut places = NO_SOURCES;
        for (n, scope) in [ENGINE, source.rule.into()].into_iter().enumerate().filter(|(n, _)| wanted[*n]) {
            match self.raise(source, scope, &SourceLimits::default(), now) {
                Ok(place) => places[n] = place,
                Err(_) => {
                    self.uncounted.fetch_add(1, Relaxed);
                }
            }
        }
        places
    }

    fn scopes<'a>(&'a self, source: &Source, limits: &'a SourceLimits) -> [(u64, &'a SourceLimits); 2] {
        [(ENGINE, &self.limits), (source.rule.into(), limits)]
    }

    fn enter(
        &self,
        source: &Source,
        scope: u64,
        limits: &SourceLimits,
        now: Tick,
    ) -> Result<u32, SourceRefusal> {
        let place = self.raise(source, scope, limits, now)?;
        let detail = self.places.detail(place);
        keep(&detail.max_connections, limits.connections);
        keep(&detail.max_rate, limits.connection_rate.most);
        keep(&detail.rate_seconds, limits.connection_rate.seconds);
        if !limits.new_rate.is_none() {
            remember(detail, limits.new_rate.seconds, now);
            if !rate::strike(&detail.made, limits.new_rate, now) {
                self.leave(place, scope);
                return Err(SourceRefusal::NewRate);
            }
        }
        Ok(place)
    }

    /// Raises the count of a source, and with its first state that of the sources.
    fn raise(
        &self,
        source: &Source,
        scope: u64,
        limits: &SourceLimits,
        now: Tick,
    ) -> Result<u32, SourceRefusal> {
        let all = self.sources_of(scope);
        let first = || {
            let raised = self.places.raise(all, at_most(limits.sources), now, || Ok(()), || ());
            raised.map(|_| ()).map_err(|why| match why {
                NotRaised::AtLimit => SourceRefusal::Sources,
                NotRaised::Full => SourceRefusal::Full,
            })?;
            self.known.fetch_add(1, Relaxed);
            Ok(())
        };
        let undo = || self.one_source_less(all);
        self.places.raise(self.name(source, scope), at_most(limits.states), now, first, undo)
    }

    fn one_source_less(&self, all: Name) {
        self.places.lower_name(all);
        self.known.fetch_sub(1, Relaxed);
    }

    fn name(&self, source: &Source, scope: u64) -> Name {
        let is_v6 = source.family == Family::V6;
        let address = u128::from_be_bytes(source.address) & self.masks[usize::from(is_v6)];
        self.places.name(&address.to_be_bytes(), scope | if is_v6 { V6 } else { 0 })
    }

    fn sources_of(&self, scope: u64) -> Name {
        self.places.name(&[0; 16], scope | SOURCES_OF)
    }

    /// Counts a TCP connection that both sides have opened.
    ///
    /// # Errors
    /// The limit that it is beyond: it is counted all the same, and is to be ended.
    pub fn connected(&self, places: &[u32; 2], now: Tick) -> Result<(), SourceRefusal> {
        let mut outcome = Ok(());
        for detail in
            places.iter().filter(|&&place| place != u32::MAX).map(|&place| self.places.detail(place))
        {
            outcome = outcome.and(connect(detail, now));
        }
        outcome
    }

    /// As [`Self::connected`], for a connection that a peer has let in.
    pub fn connected_imported(&self, places: &[u32; 2]) {
        for &place in places.iter().filter(|&&place| place != u32::MAX) {
            self.places.detail(place).connections.fetch_add(1, Relaxed);
        }
    }

    /// A state has ended. `connected`: it was counted as a connection too.
    pub fn release(&self, places: &[u32; 2], rule: u32, connected: bool) {
        for (&place, scope) in
            places.iter().zip([ENGINE, rule.into()]).filter(|(place, _)| **place != u32::MAX)
        {
            if connected {
                // First, so that a place without states has no connections.
                self.places.detail(place).connections.fetch_sub(1, Relaxed);
            }
            self.leave(place, scope);
        }
    }

    fn leave(&self, place: u32, scope: u64) {
        if self.places.lower(place) {
            self.one_source_less(self.sources_of(scope));
        }
    }

    /// What is counted of a source: its states and its open connections, over all rules or, with `by_rule`, of its rule.
    #[must_use]
    pub fn counts(&self, source: &Source, by_rule: bool) -> (u32, u32) {
        let scope = if by_rule { source.rule.into() } else { ENGINE };
        self.places.counts(self.name(source, scope))
    }

    /// Sources that have a state, over all rules or of one.
    #[must_use]
    pub fn sources(&self, rule: Option<u32>) -> u32 {
        self.places.counts(self.sources_of(rule.map_or(ENGINE, u64::from))).0
    }
}

fn connect(detail: &Detail, now: Tick) -> Result<(), SourceRefusal> {
    let connections = detail.connections.fetch_add(1, Relaxed) + 1;
    let rate = crate::state::Rate {
        most: detail.max_rate.load(Relaxed),
        seconds: detail.rate_seconds.load(Relaxed),
    };
    let is_slow = rate.is_none() || {
        remember(detail, rate.seconds, now);
        rate::strike(&detail.opened, rate, now)
    };
    if connections > at_most(detail.max_connections.load(Relaxed)) {
        return Err(SourceRefusal::Connections);
    }
    if is_slow { Ok(()) } else { Err(SourceRefusal::ConnectionRate) }
}

/// What is counted now must not be forgotten for so long.
fn remember(detail: &Detail, seconds: u32, now: Tick) {
    let until = now.plus_seconds(seconds);
    let old = detail.until.load(Relaxed);
    if old == 0 || until.since(Tick(old)) > 0 {
        detail.until.store(until.0, Relaxed);
    }
}

/// Writes what is not there yet: the line stays shared while all states are of one rule.
fn keep(place: &AtomicU32, value: u32) {
    if place.load(Relaxed) != value {
        place.store(value, Relaxed);
    }
}

/// 0 is no limit.
const fn at_most(limit: u32) -> u32 {
    if limit == 0 { MAX_COUNT } else { limit }
}

impl SourcePlan {
    /// The first setting that cannot be used.
    ///
    /// # Errors
    /// [`Error::Setting`], naming the setting and its range.
    pub fn check(&self) -> Result<(), Error> {
        let range = |name, value: u32, least: u32, most: u32| {
            if (least..=most).contains(&value) {
                return Ok(());
            }
            Err(Error::Setting { name, value: value.into(), least: least.into(), most: most.into() })
        };
        range("sources", self.most, 0, MAX_SOURCE_COUNT)?;
        range("source_bits_v4", self.bits[0].into(), 1, 32)?;
        range("source_bits_v6", self.bits[1].into(), 1, 128)?;
        self.limits.check()?;
        if self.most == 0 && !self.limits.is_none() {
            let why = "is 0, and there are limits for sources: they need room to be counted";
            return Err(Error::Unusable { name: "sources", why });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
