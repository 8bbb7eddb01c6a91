//! The state message of OpenBSD, header version 6 (`protocol` section 3.3; OpenBSD `pf_state_export`).

use super::key::{Family, StateKey};
use super::layout::{Key40, State264};
use super::message::Identity;
use super::peer::StatePeer;
use super::profile::Version;
use super::state::FullState;

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

#[inline(always)]
fn parse_key(wire: &Key40, family: Family, proto: u8) -> StateKey {
    StateKey {
        addr: [family.masked(wire.addr[0]), family.masked(wire.addr[1])],
        port: wire.port,
        rdomain: wire.rdomain.get(),
        family,
        proto,
    }
}

#[inline(always)]
fn emit_key(key: &StateKey, wire: &mut Key40) {
    wire.addr = key.masked();
    wire.port = key.port;
    wire.rdomain.set(key.rdomain);
    wire.af = key.family.number(Version::V6);
    wire.pad = 0;
}

/// The protocol of the stack key: only one is sent, and ICMP changes with the family (OpenBSD `pf_state_import`).
#[inline(always)]
pub(super) fn stack_proto(wire: Family, stack: Family, proto: u8) -> u8 {
    match (wire, stack, proto) {
        (Family::V4, Family::V6, ICMP) => ICMPV6,
        (Family::V6, Family::V4, ICMPV6) => ICMP,
        _ => proto,
    }
}

/// Into a state in which what OpenBSD does not carry is as in [`FullState::EMPTY`]; as all the parsers here.
#[inline(always)]
pub(super) fn parse(wire: &State264, state: &mut FullState) {
    let family = Family::of(wire.af, Version::V6);
    // Senders of old leave the families of both keys empty and mean the message's.
    let old = wire.key[0].af | wire.key[1].af == 0;
    let of_key = |key: &Key40| if old { family } else { Family::of(key.af, Version::V6) };
    let families = [of_key(&wire.key[0]), of_key(&wire.key[1])];
    let proto = stack_proto(families[0], families[1], wire.proto);
    state.id = Identity { id: wire.id.get(), creator: wire.creatorid.get() };
    state.ifname = wire.ifname;
    state.key =
        [parse_key(&wire.key[0], families[0], wire.proto), parse_key(&wire.key[1], families[1], proto)];
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

#[inline(always)]
pub(super) fn emit(state: &FullState, wire: &mut State264) {
    wire.id.set(state.id.id);
    wire.ifname = state.ifname;
    emit_key(&state.key[0], &mut wire.key[0]);
    emit_key(&state.key[1], &mut wire.key[1]);
    state.src.emit(&mut wire.src);
    state.dst.emit(&mut wire.dst);
    wire.rt_addr = state.rt_addr;
    wire.rule.set(state.rule);
    wire.anchor.set(state.anchor);
    wire.nat_rule.set(u32::MAX);
    wire.creation.set(state.creation);
    wire.expire.set(state.expire);
    wire.packets[0].set(state.packets[0]);
    wire.packets[1].set(state.packets[1]);
    wire.bytes[0].set(state.bytes[0]);
    wire.bytes[1].set(state.bytes[1]);
    wire.creatorid.set(state.id.creator);
    wire.rtableid[0].set(state.rtableid[0]);
    wire.rtableid[1].set(state.rtableid[1]);
    wire.max_mss.set(state.max_mss);
    wire.af = state.key[0].family.number(Version::V6);
    wire.proto = state.key[0].proto;
    wire.direction = state.direction;
    wire.log = state.log;
    wire.rt = state.rt;
    wire.timeout = state.timeout;
    wire.sync_flags = state.sync_flags;
    wire.updates = state.updates;
    wire.min_ttl = state.min_ttl;
    wire.set_tos = state.set_tos;
    wire.state_flags.set(state.state_flags);
    wire.set_prio = state.set_prio;
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
    fn a_sender_of_old_that_names_no_key_families_means_the_message_s() {
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
