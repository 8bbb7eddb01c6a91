//! Translates records into messages and back.
//!
//! In memory and in [`FullState`] a state follows our own conventions, which are OpenBSD's (see [`pfsync::convert()`]).
//! Messages of other dialects are converted when they are sent and received (`dialect.rs`); fields that this node does not
//! use are kept for the peers that do (`extra.rs`).

mod dialect;
mod extra;

pub use dialect::to_native;
pub(super) use dialect::{NATIVE, Needs, class_in, drop_foreign_flags, for_profile};
pub(crate) use extra::add_extra;
pub(super) use extra::{MAX_FIELD_BYTES, carries, decode_fields, encode_fields, extra_of};

use crate::packet::protocol::TCP;
use crate::packet::{Be16, Family, Key};
use crate::state::{Cold, Extra, Hot, LocalFlags, Peer, Record, Scrub, StateId, Timeouts, Track, pf_flags};
use crate::time::{TICKS_PER_SECOND, Tick};
use pfsync::{self, CompressedUpdate, FullState, Identity, Profile, StateKey, StatePeer, route};

/// Time, and what the remaining lifetime of a state depends on.
#[derive(Clone, Copy, Debug)]
pub struct Clock<'a> {
    /// Timeouts of the classes.
    pub timeouts: &'a Timeouts,
    /// Current time.
    pub now: Tick,
    /// States in the table, for adaptive timeouts.
    pub states: u32,
}

impl From<StateId> for Identity {
    fn from(id: StateId) -> Self {
        Self { id: id.id, creator: id.creator }
    }
}

impl From<Identity> for StateId {
    fn from(id: Identity) -> Self {
        Self { id: id.id, creator: id.creator }
    }
}

/// Converts a message's key. Address bytes that the family does not use are cleared, because the hash covers them.
#[must_use]
pub fn key_of(key: &StateKey) -> Key {
    let family = match key.family {
        pfsync::Family::V4 => Family::V4,
        pfsync::Family::V6 => Family::V6,
        _ => Family::NONE,
    };
    let mut addr = key.addr;
    if family == Family::V4 {
        addr.iter_mut().for_each(|address| address[4..].fill(0));
    }
    Key { addr, port: key.port.map(Be16), rdomain: key.rdomain, family, proto: key.proto }
}

/// Converts a message's stack key. Where the two keys differ in family, pf swaps its sides (OpenBSD `pf_state_key_setup`;
/// protocol 7.1), and we do not.
fn stack_key_of(state: &FullState) -> Key {
    let key = key_of(&state.key[1]);
    if state.key[0].family == state.key[1].family { key } else { key.swapped() }
}

fn state_key(key: &Key) -> StateKey {
    let family = match key.family {
        Family::V4 => pfsync::Family::V4,
        Family::V6 => pfsync::Family::V6,
        _ => pfsync::Family::NONE,
    };
    let port = key.port.map(|port| port.0);
    StateKey { addr: key.addr, port, rdomain: key.rdomain, family, proto: key.proto }
}

pub(super) fn state_peer(peer: &Peer, state: u8) -> StatePeer {
    let Scrub { ts_mod, flags, ttl, valid } = peer.scrub;
    StatePeer {
        scrub: pfsync::Scrub { flags, ttl, valid, ts_mod },
        seqlo: peer.seqlo,
        seqhi: peer.seqhi,
        seqdiff: peer.seqdiff,
        max_win: peer.max_win,
        mss: peer.mss,
        state,
        wscale: peer.wscale,
    }
}

/// Returns when a state was created, by the age that a message gives.
#[must_use]
pub fn creation_of(state: &FullState, now: Tick) -> Tick {
    now.minus_seconds(state.creation.min(crate::state::MAX_SECONDS))
}

fn peer_of(received: &StatePeer) -> Peer {
    let mut peer = Peer::default();
    super::import::merge::replace(&mut peer, received);
    peer
}

/// Returns what a dialect must be able to express to carry a state.
pub(super) fn needs_of(hot: &Hot, cold: &Cold, extra: Option<&Extra>, is_incomplete: bool) -> Needs {
    let translated = hot.local.has(LocalFlags::TRANSLATED).then_some(&cold.stack_key);
    Needs {
        families_differ: translated.is_some_and(|stack| stack.family != hot.key.family),
        rdomain: hot.key.rdomain != 0 || translated.is_some_and(|stack| stack.rdomain != 0),
        route_interface: cold.rt != route::NONE && extra.is_none_or(|extra| extra.fields.rt_ifname[0] == 0),
        lost_fields: is_incomplete,
    }
}

/// Builds a full state message of `profile`, which must be able to express the state. `None` when the
/// state has expired.
///
/// The remaining time is sent without adaptive scaling: a receiver derives the idle time from it and scales by its own number
/// of states.
#[must_use]
pub fn full_state(
    hot: &Hot,
    track: &Track,
    cold: &Cold,
    extra: Option<&Extra>,
    clock: &Clock<'_>,
    profile: Profile,
) -> Option<FullState> {
    let own = hot.local.has(LocalFlags::OVERRIDE).then_some(cold.timeout_override_s);
    if clock.timeouts.expired_for_peers(hot, own, clock.now, clock.states) {
        return None;
    }
    let expire = clock.timeouts.export_s(hot, own, clock.now);
    let mut state = native_state(hot, track, cold, clock.now, expire);
    if let Some(extra) = extra {
        add_extra(&mut state, extra);
    }
    Some(for_profile(state, profile))
}

/// Builds a full state message in our own conventions.
pub(super) fn native_state(hot: &Hot, track: &Track, cold: &Cold, now: Tick, expire: u32) -> FullState {
    let stack = if hot.local.has(LocalFlags::TRANSLATED) { &cold.stack_key } else { &hot.key };
    let held = if hot.local.has(LocalFlags::DEFERRED) { pf_flags::ACK } else { 0 };
    let stack = if stack.family == hot.key.family { *stack } else { stack.swapped() };
    let key = [state_key(&hot.key), state_key(&stack)];
    let count = |n: usize| cold.packets[n].saturating_add(hot.packets[n].into());
    let bytes = |n: usize| cold.bytes[n].saturating_add(hot.bytes[n].into());
    FullState {
        id: cold.id.into(),
        ifname: cold.ifname,
        key,
        src: state_peer(&track.src, hot.peer_state[0]),
        dst: state_peer(&track.dst, hot.peer_state[1]),
        rt_addr: cold.rt_addr,
        rule: cold.rule,
        anchor: cold.anchor,
        nat_rule: u32::MAX,
        creation: now.since(cold.creation).max(0).cast_unsigned() / TICKS_PER_SECOND,
        expire,
        packets: [count(0), count(1)],
        bytes: [bytes(0), bytes(1)],
        rtableid: cold.rtableid,
        max_mss: cold.max_mss,
        family: key[0].family,
        direction: hot.direction() as u8,
        log: cold.log,
        rt: cold.rt,
        timeout: hot.timeout,
        sync_flags: cold.sync_flags,
        min_ttl: cold.min_ttl,
        set_tos: cold.set_tos,
        set_prio: cold.set_prio,
        state_flags: hot.pf_flags | held,
        ..FullState::EMPTY
    }
}

/// Builds a compressed update of `profile`, which [must be able](Needs::are_met_by) to express the state: otherwise its
/// receiver would request the whole state again and again.
#[must_use]
pub(super) fn compressed_update(hot: &Hot, track: &Track, cold: &Cold, profile: Profile) -> CompressedUpdate {
    CompressedUpdate {
        id: cold.id.into(),
        src: state_peer(&track.src, hot.peer_state[0]),
        dst: state_peer(&track.dst, hot.peer_state[1]),
        expire: 0,
        timeout: class_in(hot.timeout, profile),
    }
}

/// Builds the record of a peer's state, to be inserted. The state is validated and in our conventions.
///
/// The remaining time is limited to our own timeouts. Counters start at 0; translation rule and anchor have no meaning here
/// (OpenBSD `pf_state_import`; protocol 5.3). Both windows are outdated when traffic arrives here.
#[must_use]
pub fn record_of(state: &FullState, timeouts: &Timeouts, now: Tick, origin_peer: u8) -> Record {
    let (wire_key, stack_key) = (key_of(&state.key[0]), stack_key_of(state));
    let mut hot = Hot {
        key: wire_key,
        last_activity: timeouts.import_activity(state.timeout, state.expire, now),
        pf_flags: state.state_flags & !(pf_flags::ACK | pf_flags::NOSYNC),
        local: local_flags(state.direction, wire_key != stack_key),
        timeout: state.timeout,
        peer_state: [state.src.state, state.dst.state],
        ..Hot::EMPTY
    };
    let track = Track { src: peer_of(&state.src), dst: peer_of(&state.dst) };
    if wire_key.proto == TCP {
        track.mark_modulation(&mut hot.local);
    }
    let cold = Cold {
        stack_key,
        id: state.id.into(),
        creation: creation_of(state, now),
        network_update: now,
        ifname: clean_name(&state.ifname),
        rt_addr: state.rt_addr,
        rule: state.rule,
        rtableid: state.rtableid,
        origin_peer,
        log: state.log,
        rt: state.rt,
        sync_flags: state.sync_flags,
        max_mss: state.max_mss,
        min_ttl: state.min_ttl,
        set_tos: state.set_tos,
        set_prio: state.set_prio,
        connected: wire_key.proto == TCP && hot.is_connected(),
        ..Cold::EMPTY
    };
    Record { hot, track, cold }
}

fn local_flags(direction: u8, translated: bool) -> LocalFlags {
    const OUT: u8 = crate::packet::Direction::Out as u8;
    let mut local = LocalFlags(LocalFlags::IMPORTED | LocalFlags::RESYNC_SRC | LocalFlags::RESYNC_DST);
    if direction == OUT {
        local.set(LocalFlags::OUT);
    }
    if translated {
        local.set(LocalFlags::TRANSLATED);
    }
    local
}

/// Clears the bytes after a name's NUL, so that names can be compared whole.
pub(super) fn clean_name(field: &[u8; 16]) -> [u8; 16] {
    const ONES: u128 = u128::MAX / 0xff;
    const HIGHS: u128 = ONES << 7;
    let text = u128::from_le_bytes(*field);
    // The lowest set bit is the highest bit of the first zero byte; without one there is no name.
    let zeros = text.wrapping_sub(ONES) & !text & HIGHS;
    let before = (zeros & zeros.wrapping_neg()) >> 7;
    (text & before.wrapping_sub(u128::from(before != 0))).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::fixture;
    use pfsync::IcmpPorts;

    const NOW: Tick = Tick(1000);

    fn clock(timeouts: &Timeouts) -> Clock<'_> {
        Clock { timeouts, now: NOW, states: 1 }
    }

    fn there_and_back(record: &Record, profile: Profile) -> Record {
        let timeouts = Timeouts::default();
        let full =
            full_state(&record.hot, &record.track, &record.cold, None, &clock(&timeouts), profile).unwrap();
        record_of(&to_native(&full, profile, IcmpPorts::default()), &timeouts, NOW, 1)
    }

    #[test]
    fn a_state_keeps_its_keys_and_windows_through_every_dialect() {
        for profile in Profile::ALL {
            for n in 0..8 {
                let record = fixture::state(n);
                let back = there_and_back(&record, profile);
                assert_eq!(back.hot.key, record.hot.key, "{profile:?} {n}");
                assert_eq!(back.cold.id, record.cold.id);
                assert_eq!(back.hot.peer_state, record.hot.peer_state);
                assert_eq!(back.hot.timeout, record.hot.timeout);
                assert_eq!([back.track.src, back.track.dst], [record.track.src, record.track.dst]);
                assert_eq!(back.hot.direction(), record.hot.direction());
                assert!(back.hot.local.has(LocalFlags::IMPORTED | LocalFlags::RESYNC_DST));
            }
        }
    }

    #[test]
    fn a_name_ends_at_its_first_nul_and_is_empty_without_one() {
        // Bytes at the edges of what the arithmetic distinguishes.
        for n in 0..46_656_u64 {
            let digit = |at: usize| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(at as u32 * 4) % 6;
            let field: [u8; 16] =
                core::array::from_fn(|at| [0, 1, 0x7f, 0x80, 0x81, 0xff][digit(at) as usize]);
            let mut expected = [0; 16];
            if let Some(name) = pfsync::name_bytes(&field) {
                expected[..name.len()].copy_from_slice(name);
            }
            assert_eq!(clean_name(&field), expected, "{field:?}");
        }
        assert_eq!(clean_name(&[b'a'; 16]), [0; 16]);
    }

    #[test]
    fn a_translated_state_keeps_both_keys() {
        let mut record = fixture::state(3);
        record.hot.local.set(LocalFlags::TRANSLATED);
        record.cold.stack_key = fixture::state(5).hot.key;
        for profile in Profile::ALL {
            let back = there_and_back(&record, profile);
            assert!(back.hot.local.has(LocalFlags::TRANSLATED));
            assert_eq!((back.hot.key, back.cold.stack_key), (record.hot.key, record.cold.stack_key));
        }
    }

    #[test]
    fn an_expired_state_is_never_sent() {
        let timeouts = Timeouts::default();
        let mut record = fixture::state(0);
        record.hot.last_activity = NOW.minus_seconds(100_000);
        let full =
            full_state(&record.hot, &record.track, &record.cold, None, &clock(&timeouts), Profile::OpenBsd6);
        assert_eq!(full, None);
    }

    #[test]
    fn the_true_idle_time_is_recovered_whatever_the_fill_of_the_sender() {
        let timeouts = Timeouts::default();
        let mut record = fixture::state(0);
        record.hot.last_activity = NOW.minus_seconds(1000);
        record.cold.creation = NOW.minus_seconds(5000);
        for (states, is_sent) in [(1, true), (60_001, true), (110_000, true), (119_990, false)] {
            let clock = Clock { states, ..clock(&timeouts) };
            for profile in Profile::ALL {
                let full = full_state(&record.hot, &record.track, &record.cold, None, &clock, profile);
                assert_eq!(full.is_some(), is_sent, "{states} states, {profile:?}");
                let Some(full) = full else { continue };
                assert_eq!(full.expire, timeouts.get(record.hot.timeout) - 1000);
                let back = record_of(&to_native(&full, profile, IcmpPorts::default()), &timeouts, NOW, 1);
                assert_eq!(back.hot.last_activity, record.hot.last_activity);
            }
        }
    }

    #[test]
    fn the_ack_flag_is_sent_while_a_packet_is_held_and_never_stored() {
        let timeouts = Timeouts::default();
        let mut record = fixture::state(0);
        record.hot.local.set(LocalFlags::DEFERRED);
        let full =
            full_state(&record.hot, &record.track, &record.cold, None, &clock(&timeouts), Profile::OpenBsd6);
        assert_eq!(full.unwrap().state_flags & pf_flags::ACK, pf_flags::ACK);
        assert_eq!(record_of(&full.unwrap(), &timeouts, NOW, 1).hot.pf_flags & pf_flags::ACK, 0);
    }

    #[test]
    fn stray_bytes_behind_an_address_or_a_name_are_cleared() {
        let mut state = FullState { ifname: *b"em0\0garbagegarb\0", ..FullState::EMPTY };
        state.key[0] = StateKey { family: pfsync::Family::V4, addr: [[7; 16]; 2], ..StateKey::EMPTY };
        state.key[1] = state.key[0];
        let record = record_of(&state, &Timeouts::default(), NOW, 1);
        assert_eq!(record.hot.key.addr[0][4..], [0; 12]);
        assert_eq!(&record.cold.ifname, b"em0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        assert!(!record.hot.local.has(LocalFlags::TRANSLATED));
    }

    #[test]
    fn sctp_timeout_classes_are_mapped_for_a_peer_without_them() {
        assert_eq!(class_in(22, Profile::FreeBsd1500), 22);
        assert_eq!(class_in(22, Profile::OpenBsd6), 13);
        assert_eq!(class_in(2, Profile::FreeBsd1301), 2);
    }
}
