//! Idle timeouts of states: pf's timeout classes, adaptive scaling, and the `expire` field on the wire.
//!
//! A state expires at *last activity + timeout of its class* (OpenBSD `pf_state_expires`; protocol 4.3). [`MAX_SECONDS`]
//! keeps timeouts below half of the tick's range, so that comparisons survive its wrap.
//!
//! Scaling applies once, on the node that expires a state: `expire` on the wire is unscaled, so that a receiver, pf or ours,
//! obtains the true idle time by subtracting it from its own unscaled timeout. pf sends scaled values; see
//! [`Timeouts::sender_scaled`].

use super::{Hot, LocalFlags};
use crate::error::{Error, check_range};
use crate::time::{TICKS_PER_SECOND, Tick};

/// The timeout classes, numbered as on the wire.
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
    /// UDP, more than one packet from one side only.
    pub const UDP_SINGLE: u8 = 7;
    /// UDP, both sides sent.
    pub const UDP_MULTIPLE: u8 = 8;
    /// ICMP, one query seen.
    pub const ICMP_FIRST: u8 = 9;
    /// ICMP, after the second packet.
    pub const ICMP_REPLY: u8 = 10;
    /// Other protocols, one packet seen.
    pub const OTHER_FIRST: u8 = 11;
    /// Other protocols, more than one packet from one side only.
    pub const OTHER_SINGLE: u8 = 12;
    /// Other protocols, both sides sent.
    pub const OTHER_MULTIPLE: u8 = 13;
    /// Not a timeout: seconds for one expiry sweep over all states.
    pub const INTERVAL: u8 = 15;
    /// Not a timeout: number of states at which adaptive scaling begins.
    pub const ADAPTIVE_START: u8 = 16;
    /// Not a timeout: number of states at which every timeout is zero. 0 disables scaling.
    pub const ADAPTIVE_END: u8 = 17;
    /// The first SCTP class (FreeBSD 14 and later).
    pub const SCTP_FIRST: u8 = 20;
    /// SCTP, one side is not established.
    pub const SCTP_OPENING: u8 = 21;
    /// SCTP, established.
    pub const SCTP_ESTABLISHED: u8 = 22;
    /// SCTP, one side shuts down.
    pub const SCTP_CLOSING: u8 = 23;
    /// SCTP, shut down or aborted.
    pub const SCTP_CLOSED: u8 = 24;
}

/// Maximum timeout in seconds (115 days), below half of the range of a [`Tick`].
pub const MAX_SECONDS: u32 = 10_000_000;

const _: () = assert!(MAX_SECONDS as u64 * (TICKS_PER_SECOND as u64) < (i32::MAX as u64));

/// Each class's name in pf.conf and its default: seconds, or states for the two adaptive ones. Classes 20 to 24 are
/// FreeBSD 14's for SCTP (protocol 4.2).
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

/// The timeouts of an engine, one per class. Two cache lines, read by every lookup.
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
    /// Sets the value of a class: seconds, or states for the two adaptive ones.
    ///
    /// # Errors
    ///
    /// [`Error::Setting`] if the class does not exist, the timeout exceeds [`MAX_SECONDS`], or the timeout of a class that
    /// a state can be in is 0.
    pub fn set(&mut self, class: u8, value: u32) -> Result<(), Error> {
        check_range("timeout class", class.into(), 0, CLASSES.len() as u64 - 1)?;
        let min = u64::from(!(14..=19).contains(&class));
        let max = if matches!(class, 16 | 17) { u32::MAX } else { MAX_SECONDS };
        check_range(CLASSES[usize::from(class)].0, value.into(), min, max.into())?;
        self.seconds[usize::from(class)] = value;
        Ok(())
    }

    /// Returns the value of a class without scaling, 0 for a class that does not exist.
    #[inline]
    #[must_use]
    pub fn get(&self, class: u8) -> u32 {
        self.seconds.get(usize::from(class)).copied().unwrap_or(0)
    }

    /// Returns the number of states at which adaptive scaling begins.
    #[inline]
    #[must_use]
    pub const fn adaptive_start(&self) -> u32 {
        self.seconds[timeout_class::ADAPTIVE_START as usize]
    }

    /// Returns the number of states at which every timeout is zero; 0 disables scaling.
    #[inline]
    #[must_use]
    pub const fn adaptive_end(&self) -> u32 {
        self.seconds[timeout_class::ADAPTIVE_END as usize]
    }

    /// Whether the state has expired. Lookups ignore an expired state and the sweep removes it.
    ///
    /// `override_s` is the state's own timeout, if any. A last activity in the future (hostile peer or restarted host)
    /// does not expire a state.
    #[inline]
    #[must_use]
    pub fn expired(&self, hot: &Hot, override_s: Option<u32>, now: Tick, states_now: u32) -> bool {
        let timeout_s = self.timeout_of(hot, override_s, states_now);
        timeout_s == 0 || now.since(hot.last_activity) >= ticks(timeout_s)
    }

    /// As [`Self::expired`], as far as peers are concerned: where a peer has the traffic, it scales the timeout, and this
    /// node's number of states does not count.
    #[must_use]
    pub fn expired_for_peers(&self, hot: &Hot, override_s: Option<u32>, now: Tick, states_now: u32) -> bool {
        let states = if hot.local.has(LocalFlags::LOCAL_TRAFFIC) { states_now } else { 0 };
        self.expired(hot, override_s, now, states)
    }

    /// Returns `expire` on the wire: the seconds left without adaptive scaling, rounded up. At least 1, because a receiver
    /// takes 0 as a full timeout; at most the timeout of the class, because FreeBSD 15 would wrap (protocol 4.3).
    #[must_use]
    pub fn export_s(&self, hot: &Hot, override_s: Option<u32>, now: Tick) -> u32 {
        self.remaining_s(hot, override_s, now, 0).clamp(1, self.unscaled(hot.timeout).max(1))
    }

    /// Whether the sender of an imported state scaled its timeout, or used a timeout of its own: its last activity would lie
    /// before its creation. The seconds it sent then hold as they are, because its number of states is unknown.
    #[must_use]
    pub fn sender_scaled(hot: &Hot, creation: Tick) -> bool {
        !hot.local.has(LocalFlags::LOCAL_TRAFFIC) && hot.last_activity.since(creation) < 0
    }

    /// Returns the seconds left, rounded up; 0 means expired. `states_now` 0 means without scaling.
    #[must_use]
    pub fn remaining_s(&self, hot: &Hot, override_s: Option<u32>, now: Tick, states_now: u32) -> u32 {
        let timeout_s = self.timeout_of(hot, override_s, states_now);
        let idle = now.since(hot.last_activity).max(0).cast_unsigned();
        (timeout_s * TICKS_PER_SECOND).saturating_sub(idle).div_ceil(TICKS_PER_SECOND)
    }

    /// Returns the last activity of a peer's state with `expire_s` seconds left, unscaled. 0 means a full timeout; more than
    /// our own timeout of the class is clamped, so the result is never in the future.
    #[must_use]
    pub fn import_activity(&self, class: u8, expire_s: u32, now: Tick) -> Tick {
        let timeout_s = self.unscaled(class);
        let left = if expire_s == 0 { timeout_s } else { expire_s.min(timeout_s) };
        now.minus_seconds(timeout_s - left)
    }

    #[inline]
    fn timeout_of(&self, hot: &Hot, override_s: Option<u32>, states_now: u32) -> u32 {
        let base = override_s.map_or_else(|| self.unscaled(hot.timeout), |seconds| seconds.min(MAX_SECONDS));
        self.scaled(base, states_now)
    }

    #[inline]
    fn unscaled(&self, class: u8) -> u32 {
        // A peer may send an adaptive class, whose value counts states and has no such limit.
        self.get(class).min(MAX_SECONDS)
    }

    #[inline]
    fn scaled(&self, timeout_s: u32, states_now: u32) -> u32 {
        let (start, end) = (self.adaptive_start(), self.adaptive_end());
        if states_now <= start || end <= start {
            return timeout_s;
        }
        let remaining = u64::from(end.saturating_sub(states_now));
        let scaled = u64::from(timeout_s) * remaining / u64::from(end - start);
        u32::try_from(scaled).unwrap_or(timeout_s)
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
    fn a_state_expires_exactly_after_the_timeout_of_its_class() {
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
    fn a_states_own_timeout_overrides_its_class() {
        let timeouts = Timeouts::default();
        let hot = idle_since(timeout_class::TCP_ESTABLISHED, Tick(0));
        assert!(!timeouts.expired(&hot, None, Tick(0).plus_seconds(100), 0));
        assert!(timeouts.expired(&hot, Some(100), Tick(0).plus_seconds(100), 0));
        assert_eq!(timeouts.remaining_s(&hot, Some(u32::MAX), Tick(0), 0), MAX_SECONDS);
    }

    #[test]
    fn timeouts_shrink_between_the_adaptive_limits() {
        let timeouts = Timeouts::default();
        let fresh = idle_since(timeout_class::TCP_ESTABLISHED, Tick(7));
        let established = |states| timeouts.remaining_s(&fresh, None, Tick(7), states);
        assert_eq!(established(60_000), 86_400);
        assert_eq!(established(90_000), 43_200);
        assert_eq!(established(119_999), 1);
        assert_eq!(established(120_000), 0);
        assert_eq!(established(u32::MAX), 0);
        assert!(timeouts.expired(&fresh, None, Tick(7), 120_000));
        assert!(timeouts.expired(&fresh, Some(50), Tick(7), 120_000));
    }

    #[test]
    fn adaptive_scaling_can_be_disabled() {
        let mut timeouts = Timeouts::default();
        timeouts.set(timeout_class::ADAPTIVE_END, 0).unwrap();
        let fresh = idle_since(timeout_class::UDP_FIRST, Tick(7));
        assert_eq!(timeouts.remaining_s(&fresh, None, Tick(7), u32::MAX), 60);
    }

    #[test]
    fn an_error_names_the_class_whose_value_is_out_of_range() {
        let mut timeouts = Timeouts::default();
        let class = timeout_class::UDP_FIRST;
        assert!(matches!(timeouts.set(class, 0), Err(Error::Setting { name: "udp.first", min: 1, .. })));
        assert!(matches!(
            timeouts.set(class, MAX_SECONDS + 1),
            Err(Error::Setting { name: "udp.first", .. })
        ));
        assert!(matches!(timeouts.set(25, 1), Err(Error::Setting { name: "timeout class", .. })));
        assert_eq!(timeouts, Timeouts::default());
        timeouts.set(class, MAX_SECONDS).unwrap();
        timeouts.set(timeout_class::ADAPTIVE_START, u32::MAX).unwrap();
    }

    #[test]
    fn an_imported_expiry_is_clamped_to_our_own_timeout() {
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
    fn an_exported_expiry_is_not_scaled_and_is_within_the_timeout_of_the_class() {
        let timeouts = Timeouts::default();
        let now = Tick(0).plus_seconds(100_000);
        let export =
            |class, idle_s, own| timeouts.export_s(&idle_since(class, now.minus_seconds(idle_s)), own, now);
        assert_eq!(export(timeout_class::TCP_ESTABLISHED, 30, None), 86_370);
        assert_eq!(export(timeout_class::TCP_ESTABLISHED, 90_000, None), 1, "kept by a grace");
        assert_eq!(export(timeout_class::UDP_FIRST, 10, Some(20)), 10);
        assert_eq!(export(timeout_class::UDP_FIRST, 10, Some(1000)), 60);
    }

    #[test]
    fn a_state_whose_traffic_a_peer_has_expires_for_peers_without_our_scaling() {
        let timeouts = Timeouts::default();
        let mut hot = idle_since(timeout_class::TCP_ESTABLISHED, Tick(0));
        let now = Tick(0).plus_seconds(50_000);
        assert!(
            timeouts.expired(&hot, None, now, 90_000) && !timeouts.expired_for_peers(&hot, None, now, 90_000)
        );
        hot.local.set(LocalFlags::LOCAL_TRAFFIC);
        assert!(timeouts.expired_for_peers(&hot, None, now, 90_000));
    }

    #[test]
    fn activity_before_the_creation_shows_that_the_sender_scaled() {
        let creation = Tick(0).plus_seconds(100);
        let at = |last_activity| idle_since(timeout_class::TCP_ESTABLISHED, last_activity);
        assert!(Timeouts::sender_scaled(&at(creation.minus_seconds(1)), creation));
        assert!(!Timeouts::sender_scaled(&at(creation), creation));
        let mut local = at(creation.minus_seconds(1));
        local.local.set(LocalFlags::LOCAL_TRAFFIC);
        assert!(!Timeouts::sender_scaled(&local, creation));
    }

    #[test]
    fn activity_in_the_future_does_not_expire_a_state() {
        let timeouts = Timeouts::default();
        let hot = idle_since(timeout_class::ICMP_REPLY, Tick(5_000));
        assert!(!timeouts.expired(&hot, None, Tick(0), 0));
        assert_eq!(timeouts.remaining_s(&hot, None, Tick(0), 0), 10);
    }

    proptest! {
        #[test]
        fn an_exported_expiry_is_imported_within_a_second(
            class in 0u8..14, start: u32, any: u32, other_start: u32,
        ) {
            let timeouts = Timeouts::default();
            let idle = any % (timeouts.get(class) * TICKS_PER_SECOND);
            let now = Tick(start.wrapping_add(idle));
            let hot = idle_since(class, Tick(start));
            let wire = timeouts.export_s(&hot, None, now);
            let imported = timeouts.import_activity(class, wire, Tick(other_start));
            let drift = Tick(other_start).since(imported) - now.since(hot.last_activity);
            prop_assert!((-99..=0).contains(&drift), "{drift}");
            let creation = Tick(other_start).minus_seconds(idle / TICKS_PER_SECOND);
            let is_scaled = Timeouts::sender_scaled(&Hot { last_activity: imported, ..hot }, creation);
            prop_assert!(!is_scaled, "a state of one packet");
        }

        #[test]
        fn arithmetic_holds_for_any_class_time_and_setting(
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
