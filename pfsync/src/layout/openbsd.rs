//! Whole states of OpenBSD, version 6 (OpenBSD `pf_state_export`, `pf_state_import`).

use core::mem::offset_of;

use zerocopy::big_endian::{U16, U32, U64};

use super::{Emit, Key40, State264};
use crate::numbers::ip_protocol::{ICMP, ICMPV6};
use crate::profile::Version;
use crate::record::{Family, FullState, Identity, StateKey, StatePeer};

#[inline(always)]
fn parse_key(wire: &Key40, family: Family, proto: u8) -> StateKey {
    StateKey {
        addr: [family.masked(&wire.addr[0]), family.masked(&wire.addr[1])],
        port: wire.port,
        rdomain: wire.rdomain.get(),
        family,
        proto,
    }
}

/// Index of a key's family and the byte after it, in units of two bytes. They are one store.
const AF_AND_PAD: usize = offset_of!(Key40, af) / 2;

#[inline(always)]
fn emit_key(key: &StateKey, wire: &mut Key40) {
    wire.addr = key.masked();
    wire.port = key.port;
    wire.rdomain.set(key.rdomain);
    let halves: &mut [U16; 20] = zerocopy::transmute_mut!(wire);
    halves[AF_AND_PAD].set(u16::from(key.family.number(Version::V6)) << 8);
}

/// Returns the protocol of the stack key. The message has only one protocol, and ICMP changes with the family.
#[must_use]
pub const fn stack_protocol(wire: Family, stack: Family, proto: u8) -> u8 {
    match (wire, stack, proto) {
        (Family::V4, Family::V6, ICMP) => ICMPV6,
        (Family::V6, Family::V4, ICMPV6) => ICMP,
        _ => proto,
    }
}

/// Parses the keys of a state whose families differ. Rare, so kept out of the loop over the records.
#[cold]
fn parse_mixed_keys(wire: &State264, state: &mut FullState) {
    // Old senders leave the families of both keys zero; then the message's family holds for both.
    let has_no_families = wire.key[0].af | wire.key[1].af == 0;
    let [first, second] = [wire.key[0].af, wire.key[1].af]
        .map(|af| Family::from_number(if has_no_families { wire.af } else { af }, Version::V6));
    let proto = stack_protocol(first, second, wire.proto);
    state.key = [parse_key(&wire.key[0], first, wire.proto), parse_key(&wire.key[1], second, proto)];
}

/// Reads the identity and the wire key, the latter with the message's family.
#[inline(always)]
pub(crate) fn peek(wire: &State264) -> (Identity, StateKey) {
    let id = Identity { id: wire.id.get(), creator: wire.creatorid.get() };
    (id, parse_key(&wire.key[0], Family::from_number(wire.af, Version::V6), wire.proto))
}

/// Parses a state. Fields that OpenBSD does not carry keep their values, which must be those of [`FullState::EMPTY`].
#[inline(always)]
pub(crate) fn parse(wire: &State264, state: &mut FullState) {
    let family = Family::from_number(wire.af, Version::V6);
    state.id = Identity { id: wire.id.get(), creator: wire.creatorid.get() };
    state.ifname = wire.ifname;
    if wire.key[0].af == wire.af && wire.key[1].af == wire.af {
        state.key[0] = parse_key(&wire.key[0], family, wire.proto);
        state.key[1] = parse_key(&wire.key[1], family, wire.proto);
    } else {
        parse_mixed_keys(wire, state);
    }
    state.src = StatePeer::parse(&wire.src);
    state.dst = StatePeer::parse(&wire.dst);
    state.rt_addr = wire.rt_addr;
    state.rule = wire.rule.get();
    state.anchor = wire.anchor.get();
    state.creation = wire.creation.get();
    state.expire = wire.expire.get();
    state.packets = [wire.packets[0].get(), wire.packets[1].get()];
    state.bytes = [wire.bytes[0].get(), wire.bytes[1].get()];
    state.rtableid = [wire.rtableid[0].get(), wire.rtableid[1].get()];
    state.max_mss = wire.max_mss.get();
    state.family = family;
    state.direction = wire.direction;
    state.log = wire.log;
    state.rt = wire.rt;
    state.timeout = wire.timeout;
    state.sync_flags = wire.sync_flags;
    state.updates = wire.updates;
    state.min_ttl = wire.min_ttl;
    state.set_tos = wire.set_tos;
    state.set_prio = wire.set_prio;
    state.state_flags = wire.state_flags.get();
}

impl Emit<State264> for FullState {
    #[inline(always)]
    fn emit(&self, wire: &mut State264) {
        wire.id.set(self.id.id);
        wire.ifname = self.ifname;
        emit_key(&self.key[0], &mut wire.key[0]);
        emit_key(&self.key[1], &mut wire.key[1]);
        self.src.emit(&mut wire.src);
        self.dst.emit(&mut wire.dst);
        wire.rt_addr = self.rt_addr;
        wire.rule.set(self.rule);
        wire.anchor.set(self.anchor);
        wire.nat_rule.set(u32::MAX);
        wire.creation.set(self.creation);
        wire.expire.set(self.expire);
        wire.packets = self.packets.map(U64::new);
        wire.bytes = self.bytes.map(U64::new);
        wire.creatorid.set(self.id.creator);
        wire.rtableid[0].set(self.rtableid[0]);
        wire.rtableid[1].set(self.rtableid[1]);
        emit_tail(self, wire);
    }
}

/// Writes the last bytes. Fields that are neighbours in both layouts are one store.
#[inline(always)]
fn emit_tail(state: &FullState, wire: &mut State264) {
    let FullState { direction, log, rt, timeout, sync_flags, updates, min_ttl, set_tos, .. } = *state;
    let StateKey { family, proto, .. } = state.key[0];
    wire.state_flags.set(state.state_flags);
    wire.set_prio = state.set_prio;
    let words: &mut [U32; 66] = zerocopy::transmute_mut!(wire);
    let family = u32::from(family.number(Version::V6));
    words[offset_of!(State264, max_mss) / 4]
        .set(u32::from(state.max_mss) << 16 | family << 8 | u32::from(proto));
    words[offset_of!(State264, direction) / 4] = U32::from_bytes([direction, log, rt, timeout]);
    words[offset_of!(State264, sync_flags) / 4] = U32::from_bytes([sync_flags, updates, min_ttl, set_tos]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::FromZeros;

    fn wire_with(af: u8, key_af: [u8; 2], proto: u8) -> State264 {
        let mut wire = State264::new_zeroed();
        wire.af = af;
        wire.proto = proto;
        wire.key[0].af = key_af[0];
        wire.key[1].af = key_af[1];
        wire
    }

    fn parsed(wire: &State264) -> FullState {
        let mut state = FullState::EMPTY;
        parse(wire, &mut state);
        state
    }

    #[test]
    fn keys_without_families_have_that_of_the_message() {
        let state = parsed(&wire_with(24, [0, 0], 6));
        assert_eq!([state.key[0].family, state.key[1].family], [Family::V6; 2]);
        let state = parsed(&wire_with(24, [2, 0], 6));
        assert_eq!([state.key[0].family, state.key[1].family], [Family::V4, Family::NONE]);
    }

    #[test]
    fn icmp_changes_its_protocol_with_the_family() {
        let state = parsed(&wire_with(2, [2, 24], ICMP));
        assert_eq!([state.key[0].proto, state.key[1].proto], [ICMP, ICMPV6]);
        let state = parsed(&wire_with(24, [24, 2], ICMPV6));
        assert_eq!([state.key[0].proto, state.key[1].proto], [ICMPV6, ICMP]);
        let state = parsed(&wire_with(24, [24, 2], 6));
        assert_eq!([state.key[0].proto, state.key[1].proto], [6, 6]);
    }
}
