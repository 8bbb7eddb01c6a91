//! The three layouts of FreeBSD's whole states, version 5 (FreeBSD `pfsync_state_export`, `pfsync_state_import`).

use zerocopy::big_endian::U64;

use super::{Emit, Key36, Prefix232, State242, State277, State360};
use crate::profile::Version;
use crate::record::{Family, FullState, Identity, StateKey, StatePeer};

#[inline(always)]
fn parse_key(wire: &Key36, family: Family, proto: u8) -> StateKey {
    StateKey {
        addr: [family.masked(&wire.addr[0]), family.masked(&wire.addr[1])],
        port: wire.port,
        rdomain: 0,
        family,
        proto,
    }
}

#[inline(always)]
fn peek_prefix(wire: &Prefix232, af: u8, proto: u8) -> (Identity, StateKey) {
    let id = Identity { id: wire.id.get(), creator: wire.creatorid.get() };
    (id, parse_key(&wire.key[0], Family::from_number(af, Version::V5), proto))
}

/// Reads the identity and the wire key.
#[inline(always)]
pub(crate) fn peek_1301(wire: &State242) -> (Identity, StateKey) {
    peek_prefix(&wire.prefix, wire.af, wire.proto)
}

/// See [`peek_1301`].
#[inline(always)]
pub(crate) fn peek_1400(wire: &State277) -> (Identity, StateKey) {
    peek_prefix(&wire.prefix, wire.af, wire.proto)
}

/// See [`peek_1301`].
#[inline(always)]
pub(crate) fn peek_1500(wire: &State360) -> (Identity, StateKey) {
    peek_prefix(&wire.prefix, wire.wire_af, wire.wire_proto)
}

#[inline(always)]
fn parse_prefix(wire: &Prefix232, family: [Family; 2], proto: [u8; 2], state: &mut FullState) {
    state.id = Identity { id: wire.id.get(), creator: wire.creatorid.get() };
    state.ifname = wire.ifname;
    state.key = [parse_key(&wire.key[0], family[0], proto[0]), parse_key(&wire.key[1], family[1], proto[1])];
    state.src = StatePeer::parse(&wire.src);
    state.dst = StatePeer::parse(&wire.dst);
    state.rt_addr = wire.rt_addr;
    state.rule = wire.rule.get();
    state.anchor = wire.anchor.get();
    state.nat_rule = wire.nat_rule.get();
    state.creation = wire.creation.get();
    state.expire = wire.expire.get();
    state.packets = [wire.packets[0].get(), wire.packets[1].get()];
    state.bytes = [wire.bytes[0].get(), wire.bytes[1].get()];
    state.family = family[0];
}

#[inline(always)]
fn emit_prefix(state: &FullState, wire: &mut Prefix232) {
    wire.id.set(state.id.id);
    wire.ifname = state.ifname;
    for (key, wire) in state.key.iter().zip(&mut wire.key) {
        wire.addr = key.masked();
        wire.port = key.port;
    }
    state.src.emit(&mut wire.src);
    state.dst.emit(&mut wire.dst);
    wire.rt_addr = state.rt_addr;
    wire.rule.set(state.rule);
    wire.anchor.set(state.anchor);
    wire.nat_rule.set(state.nat_rule);
    wire.creation.set(state.creation);
    wire.expire.set(state.expire);
    wire.packets = state.packets.map(U64::new);
    wire.bytes = state.bytes.map(U64::new);
    wire.creatorid.set(state.id.creator);
}

/// Converts a routing option to OpenBSD's number. FreeBSD's numbers are one higher, and its historic 1 becomes 4, which
/// OpenBSD does not use.
#[inline(always)]
const fn route_from_freebsd(number: u8) -> u8 {
    match number {
        1 => 4,
        2..=4 => number - 1,
        _ => number,
    }
}

/// The inverse of [`route_from_freebsd`].
#[inline(always)]
const fn route_to_freebsd(number: u8) -> u8 {
    match number {
        1..=3 => number + 1,
        4 => 1,
        _ => number,
    }
}

#[inline(always)]
pub(crate) fn parse_1301(wire: &State242, state: &mut FullState) {
    parse_prefix(&wire.prefix, [Family::from_number(wire.af, Version::V5); 2], [wire.proto; 2], state);
    state.direction = wire.direction;
    state.log = wire.log;
    state.state_flags = u16::from(wire.state_flags);
    state.timeout = wire.timeout;
    state.sync_flags = wire.sync_flags;
    state.updates = wire.updates;
}

impl Emit<State242> for FullState {
    #[inline(always)]
    fn emit(&self, wire: &mut State242) {
        emit_prefix(self, &mut wire.prefix);
        wire.af = self.key[0].family.number(Version::V5);
        wire.proto = self.key[0].proto;
        wire.direction = self.direction;
        wire.spare = [0; 2];
        wire.log = self.log;
        wire.state_flags = self.state_flags as u8;
        wire.timeout = self.timeout;
        wire.sync_flags = self.sync_flags;
        wire.updates = self.updates;
    }
}

#[inline(always)]
pub(crate) fn parse_1400(wire: &State277, state: &mut FullState) {
    parse_prefix(&wire.prefix, [Family::from_number(wire.af, Version::V5); 2], [wire.proto; 2], state);
    state.direction = wire.direction;
    state.state_flags = wire.state_flags.get();
    state.log = wire.log;
    state.timeout = wire.timeout;
    state.sync_flags = wire.sync_flags;
    state.updates = wire.updates;
    state.qid = wire.qid.get();
    state.pqid = wire.pqid.get();
    state.dnpipe = wire.dnpipe.get();
    state.dnrpipe = wire.dnrpipe.get();
    state.rtableid = [wire.rtableid.get(); 2];
    state.min_ttl = wire.min_ttl;
    state.set_tos = wire.set_tos;
    state.max_mss = wire.max_mss.get();
    state.set_prio = wire.set_prio;
    state.rt = route_from_freebsd(wire.rt);
    state.rt_ifname = wire.rt_ifname;
}

impl Emit<State277> for FullState {
    #[inline(always)]
    fn emit(&self, wire: &mut State277) {
        emit_prefix(self, &mut wire.prefix);
        wire.af = self.key[0].family.number(Version::V5);
        wire.proto = self.key[0].proto;
        wire.direction = self.direction;
        wire.state_flags.set(self.state_flags);
        wire.log = self.log;
        wire.spare = 0;
        wire.timeout = self.timeout;
        wire.sync_flags = self.sync_flags;
        wire.updates = self.updates;
        wire.qid.set(self.qid);
        wire.pqid.set(self.pqid);
        wire.dnpipe.set(self.dnpipe);
        wire.dnrpipe.set(self.dnrpipe);
        wire.rtableid.set(self.rtableid[0]);
        wire.min_ttl = self.min_ttl;
        wire.set_tos = self.set_tos;
        wire.max_mss.set(self.max_mss);
        wire.set_prio = self.set_prio;
        wire.rt = route_to_freebsd(self.rt);
        wire.rt_ifname = self.rt_ifname;
    }
}

#[inline(always)]
pub(crate) fn parse_1500(wire: &State360, state: &mut FullState) {
    let family =
        [Family::from_number(wire.wire_af, Version::V5), Family::from_number(wire.stack_af, Version::V5)];
    parse_prefix(&wire.prefix, family, [wire.wire_proto, wire.stack_proto], state);
    state.tagname = wire.tagname;
    state.rt_ifname = wire.rt_ifname;
    state.orig_ifname = wire.orig_ifname;
    state.rtableid = [wire.rtableid.get(); 2];
    state.state_flags = wire.state_flags.get();
    state.qid = wire.qid.get();
    state.pqid = wire.pqid.get();
    state.dnpipe = wire.dnpipe.get();
    state.dnrpipe = wire.dnrpipe.get();
    state.max_mss = wire.max_mss.get();
    state.rt_family = Family::from_number(wire.rt_af, Version::V5);
    state.log = wire.log;
    state.timeout = wire.timeout;
    state.direction = wire.direction;
    state.rt = route_from_freebsd(wire.rt);
    state.min_ttl = wire.min_ttl;
    state.set_tos = wire.set_tos;
    state.set_prio = wire.set_prio;
}

impl Emit<State360> for FullState {
    #[inline(always)]
    fn emit(&self, wire: &mut State360) {
        emit_prefix(self, &mut wire.prefix);
        wire.tagname = self.tagname;
        wire.rt_ifname = self.rt_ifname;
        wire.orig_ifname = self.orig_ifname;
        wire.rtableid.set(self.rtableid[0]);
        wire.state_flags.set(self.state_flags);
        wire.qid.set(self.qid);
        wire.pqid.set(self.pqid);
        wire.dnpipe.set(self.dnpipe);
        wire.dnrpipe.set(self.dnrpipe);
        wire.max_mss.set(self.max_mss);
        wire.wire_af = self.key[0].family.number(Version::V5);
        wire.stack_af = self.key[1].family.number(Version::V5);
        wire.rt_af = self.rt_family.number(Version::V5);
        wire.wire_proto = self.key[0].proto;
        wire.stack_proto = self.key[1].proto;
        wire.log = self.log;
        wire.timeout = self.timeout;
        wire.direction = self.direction;
        wire.rt = route_to_freebsd(self.rt);
        wire.min_ttl = self.min_ttl;
        wire.set_tos = self.set_tos;
        wire.set_prio = self.set_prio;
        wire.spare = [0; 3];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::route;

    #[test]
    fn routing_options_map_one_to_one() {
        assert_eq!(
            [
                route_to_freebsd(route::NONE),
                route_to_freebsd(route::ROUTE_TO),
                route_to_freebsd(route::DUP_TO),
                route_to_freebsd(route::REPLY_TO)
            ],
            [0, 2, 3, 4]
        );
        assert_eq!(route_from_freebsd(1), route::FASTROUTE);
        for number in 0..=255 {
            assert_eq!(route_to_freebsd(route_from_freebsd(number)), number);
            assert_eq!(route_from_freebsd(route_to_freebsd(number)), number);
        }
    }
}
