//! How long a state lives without traffic: pf's timeout classes, their adaptive scaling, and the clock on the wire.
//!
//! A state ends at *last activity + lifetime of its class* (OpenBSD `pf_state_expires`; protocol 4.3). All numbers are
//! bounded by [`MAX_SECONDS`], so that a lifetime in ticks never reaches half of the tick's range and comparisons
//! survive its wrap.

use super::Hot;
use crate::error::Error;
use crate::time::{TICKS_PER_SECOND, Tick};

/// Numbers of the timeout classes, as on the wire.
pub mod timeout_class {
    /// TCP, one packet seen.
    pub const TCP_FIRST: u8 = 0;
    /// TCP, at least one side is not established.
    pub const TCP_OPENING: u8 = 1;
    /// TCP, both sides are established.
    pub const TCP_ESTABLISHED: u8 = 2;
    /// TCP, one side sent FIN.
    pub const TCP_CLOSING: u8 = 3;
    /// TCP, both sides sent FIN.
    pub const TCP_FIN_WAIT: u8 = 4;
    /// TCP, both FINs are acknowledged or there was an RST.
    pub const TCP_CLOSED: u8 = 5;
    /// UDP, one packet seen.
    pub const UDP_FIRST: u8 = 6;
    /// UDP, one side only has sent more than once.
    pub const UDP_SINGLE: u8 = 7;
    /// UDP, both sides sent.
    pub const UDP_MULTIPLE: u8 = 8;
    /// ICMP, one query seen.
    pub const ICMP_FIRST: u8 = 9;
    /// ICMP, after the second packet.
    pub const ICMP_REPLY: u8 = 10;
    /// Other protocols, one packet seen.
    pub const OTHER_FIRST: u8 = 11;
    /// Other protocols, one side only has sent more than once.
    pub const OTHER_SINGLE: u8 = 12;
    /// Other protocols, both sides sent.
    pub const OTHER_MULTIPLE: u8 = 13;
    /// Not a lifetime: seconds in which all states are looked at once for expiry.
    pub const INTERVAL: u8 = 15;
    /// Not a lifetime: number of states where adaptive scaling begins.
    pub const ADAPTIVE_START: u8 = 16;
    /// Not a lifetime: number of states at which every lifetime is zero. 0 switches scaling off.
    pub const ADAPTIVE_END: u8 = 17;
    /// FreeBSD 14 and later: the first of the classes of SCTP.
    pub const SCTP_FIRST: u8 = 20;
}

/// The greatest timeout that is accepted, in seconds (115 days): less than half of what a [`Tick`] can tell apart.
pub const MAX_SECONDS: u32 = 10_000_000;

const _: () = assert!(MAX_SECONDS as u64 * (TICKS_PER_SECOND as u64) < (i32::MAX as u64));

/// Name as in pf.conf, and pf's default: seconds, or states for the two adaptive ones. Classes 20 to 24 are FreeBSD
/// 14's for SCTP (protocol 4.2).
pub const CLASSES: [(&str, u32); 25] = [
    ("tcp.first", 120),
    ("tcp.opening", 30),
    ("tcp.established", 86_400),
    ("tcp.closing", 900),
    ("tcp.finwait", 45),
    ("tcp.closed", 90),
    ("udp.first", 60),
    ("udp.single", 30),
    ("udp.multiple", 60),
    ("icmp.first", 20),
    ("icmp.error", 10),
    ("other.first", 60),
    ("other.single", 30),
    ("other.multiple", 60),
    ("frag", 60),
    ("interval", 10),
    ("adaptive.start", 60_000),
    ("adaptive.end", 120_000),
    ("src.track", 0),
    ("tcp.tsdiff", 30),
    ("sctp.first", 120),
    ("sctp.opening", 30),
    ("sctp.established", 86_400),
    ("sctp.closing", 900),
    ("sctp.closed", 90),
];

/// The timeouts of an engine: one number a class. Two cache lines, read by every lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    seconds: [u32; CLASSES.len()],
}

impl Default for Timeouts {
    /// pf's defaults.
    fn default() -> Self {
        Self { seconds: CLASSES.map(|(_, default)| default) }
    }
}

impl Timeouts {
    /// The class called `name` in pf.conf.
    #[must_use]
    pub fn class_named(name: &str) -> Option<u8> {
        let found = CLASSES.iter().position(|&(known, _)| known == name)?;
        u8::try_from(found).ok()
    }

    /// Sets the number of a class: seconds, or states for the two adaptive ones.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] when the class does not exist, when a lifetime exceeds [`MAX_SECONDS`], or when the
    /// lifetime of a class that a state can be in is 0.
    pub fn set(&mut self, class: u8, value: u32) -> Result<(), Error> {
        let least = u32::from(!(14..=19).contains(&class));
        let most = if matches!(class, 16 | 17) { u32::MAX } else { MAX_SECONDS };
        let unknown = Error::Setting { name: "timeout class", value: class.into(), least: 0, most: 24 };
        let Some(seconds) = self.seconds.get_mut(usize::from(class)) else { return Err(unknown) };
        if !(least..=most).contains(&value) {
            let name = CLASSES[usize::from(class)].0;
            return Err(Error::Setting { name, value: value.into(), least: least.into(), most: most.into() });
        }
        *seconds = value;
        Ok(())
    }

    /// The number of a class as it was set, without scaling; 0 for a class that does not exist.
    #[inline]
    #[must_use]
    pub fn get(&self, class: u8) -> u32 {
        self.seconds.get(usize::from(class)).copied().unwrap_or(0)
    }

    /// The number of states where adaptive scaling begins.
    #[inline]
    #[must_use]
    pub const fn adaptive_start(&self) -> u32 {
        self.seconds[timeout_class::ADAPTIVE_START as usize]
    }

    /// The number of states at which every lifetime is zero; 0 switches scaling off.
    #[inline]
    #[must_use]
    pub const fn adaptive_end(&self) -> u32 {
        self.seconds[timeout_class::ADAPTIVE_END as usize]
    }

    /// Seconds that a state of `class` lives without traffic while there are `states_now` states.
    #[inline]
    #[must_use]
    pub fn lifetime_s(&self, class: u8, states_now: u32) -> u32 {
        self.scaled(self.unscaled(class), states_now)
    }

    /// Whether the state has ended: never again returned by a lookup, removed by the sweep.
    ///
    /// `override_s` is the state's own timeout where it has one. A clock that lies in the future (hostile or restarted
    /// host) does not end a state.
    #[inline]
    #[must_use]
    pub fn expired(&self, hot: &Hot, override_s: Option<u32>, now: Tick, states_now: u32) -> bool {
        let lifetime = self.lifetime_of(hot, override_s, states_now);
        lifetime == 0 || now.since(hot.last_activity) >= ticks(lifetime)
    }

    /// Seconds left, rounded up, for the wire's `expire`: 0 only for a state that has ended, since a receiver takes 0
    /// as a full fresh lifetime. Never more than the lifetime, because FreeBSD 15 wraps there (protocol 4.3).
    #[must_use]
    pub fn remaining_s(&self, hot: &Hot, override_s: Option<u32>, now: Tick, states_now: u32) -> u32 {
        let lifetime = self.lifetime_of(hot, override_s, states_now);
        let idle = now.since(hot.last_activity).max(0).cast_unsigned();
        (lifetime * TICKS_PER_SECOND).saturating_sub(idle).div_ceil(TICKS_PER_SECOND)
    }

    /// The last activity of a state that comes from a peer with `expire_s` seconds left: 0 gives a full lifetime, more
    /// than our own lifetime of the class is clamped to it, so the result never lies in the future.
    #[must_use]
    pub fn import_activity(&self, class: u8, expire_s: u32, now: Tick) -> Tick {
        let lifetime = self.unscaled(class);
        let left = if expire_s == 0 { lifetime } else { expire_s.min(lifetime) };
        now.minus_seconds(lifetime - left)
    }

    #[inline]
    fn lifetime_of(&self, hot: &Hot, override_s: Option<u32>, states_now: u32) -> u32 {
        let base = override_s.map_or_else(|| self.unscaled(hot.timeout), |seconds| seconds.min(MAX_SECONDS));
        self.scaled(base, states_now)
    }

    #[inline]
    fn unscaled(&self, class: u8) -> u32 {
        // A peer may name one of the adaptive classes, whose numbers are states and know no bound.
        self.get(class).min(MAX_SECONDS)
    }

    #[inline]
    fn scaled(&self, lifetime: u32, states_now: u32) -> u32 {
        let (start, end) = (self.adaptive_start(), self.adaptive_end());
        if states_now <= start || end <= start {
            return lifetime;
        }
        let room = u64::from(end.saturating_sub(states_now));
        let scaled = u64::from(lifetime) * room / u64::from(end - start);
        u32::try_from(scaled).unwrap_or(lifetime)
    }
}

#[inline]
const fn ticks(seconds: u32) -> i32 {
    (seconds * TICKS_PER_SECOND).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn idle_since(class: u8, last_activity: Tick) -> Hot {
        Hot { timeout: class, last_activity, ..Hot::EMPTY }
    }

    #[test]
    fn a_state_ends_exactly_at_the_end_of_its_class() {
        let timeouts = Timeouts::default();
        let near_the_wrap = Tick(u32::MAX - 50);
        for (class, &(name, seconds)) in CLASSES.iter().enumerate().take(14) {
            let hot = idle_since(u8::try_from(class).unwrap(), near_the_wrap);
            let end = near_the_wrap.plus_seconds(seconds);
            let just_before = Tick(end.0.wrapping_sub(1));
            assert!(!timeouts.expired(&hot, None, just_before, 0), "{name}");
            assert!(timeouts.expired(&hot, None, end, 0), "{name}");
            assert_eq!(timeouts.remaining_s(&hot, None, just_before, 0), 1, "{name}");
            assert_eq!(timeouts.remaining_s(&hot, None, end, 0), 0, "{name}");
        }
    }

    #[test]
    fn the_override_of_a_state_wins_over_its_class() {
        let timeouts = Timeouts::default();
        let hot = idle_since(timeout_class::TCP_ESTABLISHED, Tick(0));
        assert!(!timeouts.expired(&hot, None, Tick(0).plus_seconds(100), 0));
        assert!(timeouts.expired(&hot, Some(100), Tick(0).plus_seconds(100), 0));
        assert_eq!(timeouts.remaining_s(&hot, Some(u32::MAX), Tick(0), 0), MAX_SECONDS);
    }

    #[test]
    fn lifetimes_shrink_between_the_adaptive_bounds() {
        let timeouts = Timeouts::default();
        let established = |states| timeouts.lifetime_s(timeout_class::TCP_ESTABLISHED, states);
        assert_eq!(established(60_000), 86_400);
        assert_eq!(established(90_000), 43_200);
        assert_eq!(established(119_999), 1);
        assert_eq!(established(120_000), 0);
        assert_eq!(established(u32::MAX), 0);
        let fresh = idle_since(timeout_class::TCP_ESTABLISHED, Tick(7));
        assert!(timeouts.expired(&fresh, None, Tick(7), 120_000));
        assert!(timeouts.expired(&fresh, Some(50), Tick(7), 120_000));
    }

    #[test]
    fn adaptive_scaling_can_be_switched_off() {
        let mut timeouts = Timeouts::default();
        timeouts.set(timeout_class::ADAPTIVE_END, 0).unwrap();
        assert_eq!(timeouts.lifetime_s(timeout_class::UDP_FIRST, u32::MAX), 60);
    }

    #[test]
    fn settings_outside_their_range_are_refused_by_name() {
        let mut timeouts = Timeouts::default();
        let class = Timeouts::class_named("udp.first").unwrap();
        assert_eq!(class, timeout_class::UDP_FIRST);
        assert!(matches!(timeouts.set(class, 0), Err(Error::Setting { name: "udp.first", least: 1, .. })));
        assert!(matches!(
            timeouts.set(class, MAX_SECONDS + 1),
            Err(Error::Setting { name: "udp.first", .. })
        ));
        assert!(matches!(timeouts.set(25, 1), Err(Error::Setting { name: "timeout class", .. })));
        assert_eq!(timeouts, Timeouts::default());
        timeouts.set(class, MAX_SECONDS).unwrap();
        timeouts.set(timeout_class::ADAPTIVE_START, u32::MAX).unwrap();
        assert_eq!(Timeouts::class_named("udp"), None);
    }

    #[test]
    fn an_imported_clock_is_clamped_to_our_own_lifetime() {
        let timeouts = Timeouts::default();
        let now = Tick(50);
        let import = |expire_s| timeouts.import_activity(timeout_class::TCP_ESTABLISHED, expire_s, now);
        assert_eq!(import(0), now);
        assert_eq!(import(86_400), now);
        assert_eq!(import(86_401), now);
        assert_eq!(import(u32::MAX), now);
        assert_eq!(import(86_399), now.minus_seconds(1));
        assert_eq!(import(1), now.minus_seconds(86_399));
        assert_eq!(timeouts.import_activity(255, 9, now), now);
    }

    #[test]
    fn a_clock_in_the_future_does_not_end_a_state() {
        let timeouts = Timeouts::default();
        let hot = idle_since(timeout_class::ICMP_REPLY, Tick(5_000));
        assert!(!timeouts.expired(&hot, None, Tick(0), 0));
        assert_eq!(timeouts.remaining_s(&hot, None, Tick(0), 0), 10);
    }

    proptest! {
        #[test]
        fn what_is_exported_is_imported_within_a_second(
            class in 0u8..14, start: u32, any: u32, other_start: u32,
        ) {
            let timeouts = Timeouts::default();
            let idle = any % (timeouts.get(class) * TICKS_PER_SECOND);
            let now = Tick(start.wrapping_add(idle));
            let hot = idle_since(class, Tick(start));
            let wire = timeouts.remaining_s(&hot, None, now, 0);
            let imported = timeouts.import_activity(class, wire, Tick(other_start));
            let drift = Tick(other_start).since(imported) - now.since(hot.last_activity);
            prop_assert!((-99..=0).contains(&drift), "{drift}");
        }

        #[test]
        fn no_class_clock_or_setting_makes_the_arithmetic_wrong(
            class: u8, activity: u32, now: u32, states: u32, own: Option<u32>, expire: u32, start: u32, end: u32,
        ) {
            let mut timeouts = Timeouts::default();
            timeouts.set(timeout_class::ADAPTIVE_START, start).unwrap();
            timeouts.set(timeout_class::ADAPTIVE_END, end).unwrap();
            let hot = idle_since(class, Tick(activity));
            let left = timeouts.remaining_s(&hot, own, Tick(now), states);
            prop_assert_eq!(left == 0, timeouts.expired(&hot, own, Tick(now), states));
            prop_assert!(left <= MAX_SECONDS);
            prop_assert!(Tick(now).since(timeouts.import_activity(class, expire, Tick(now))) >= 0);
        }
    }
}
