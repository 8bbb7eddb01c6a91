//! NAT of a new state: computes the second key from the first (OpenBSD `pf_state_key_setup`; protocol 7.1).

use super::{LocalFlags, Record, Refusal};
use crate::packet::{
    Be16, Direction, Facts, Family, Key, Kind, has_translatable_ports, key_in_family, protocol,
};

/// A range of ports or ICMP identifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// The first port.
    pub first: u16,
    /// The last port, at least `first`.
    pub last: u16,
}

impl PortRange {
    /// Returns the part of the range that node `node` of `nodes` draws from: the ranges of all nodes are contiguous and do
    /// not overlap. A range of a single port is not divided. Returns `None` if the range has too few ports for this node.
    #[must_use]
    pub fn share_of(self, node: u32, nodes: u32) -> Option<Self> {
        let span = u32::from(self.last.saturating_sub(self.first)) + 1;
        if span == 1 || nodes <= 1 {
            return Some(self);
        }
        let bound = |node: u32| u32::from(self.first) + span * node / nodes;
        let (first, end) = (bound(node), bound(node + 1));
        (first < end).then(|| Self { first: first as u16, last: (end - 1) as u16 })
    }
}

/// The translation of a first packet's addresses and ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nat {
    /// The new address family (pf's af-to); needs both addresses.
    pub family: Option<Family>,
    /// The new source address (pf's nat-to), in a key's format.
    pub source: Option<[u8; 16]>,
    /// The new destination address (pf's rdr-to).
    pub destination: Option<[u8; 16]>,
    /// The range for the new source port or ICMP identifier. `None`: unchanged (pf's static-port).
    pub source_ports: Option<PortRange>,
    /// The new destination port.
    pub destination_port: Option<u16>,
    /// The routing domain on the other side of this node (pf's rtable), in which replies arrive.
    pub rdomain: Option<u16>,
}

impl Nat {
    /// Whether there is no translation.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the translated key with the source port unchanged.
    ///
    /// # Errors
    /// [`Refusal::Untranslatable`] for another family without both addresses, or a protocol without a counterpart there.
    pub fn key(&self, facts: &Facts) -> Result<Key, Refusal> {
        let source = facts.direction.source_slot();
        let mut key = facts.key;
        if let Some(family) = self.family.filter(|family| *family != key.family) {
            if self.source.is_none() || self.destination.is_none() {
                return Err(Refusal::Untranslatable);
            }
            key = key_in_family(&key, facts.kind, source, family).ok_or(Refusal::Untranslatable)?;
        }
        key.rdomain = self.rdomain.unwrap_or(key.rdomain);
        let normalized = |mut address: [u8; 16]| {
            if key.family == Family::V4 {
                address[4..].fill(0);
            }
            address
        };
        let (new_source, new_destination) = (self.source.map(normalized), self.destination.map(normalized));
        key.addr[source] = new_source.unwrap_or(key.addr[source]);
        key.addr[1 - source] = new_destination.unwrap_or(key.addr[1 - source]);
        if let Some(port) = self.destination_port
            && (matches!(facts.kind, Kind::Tcp | Kind::Udp) || facts.key.proto == protocol::SCTP)
        {
            key.port[1 - source] = Be16::new(port);
        }
        Ok(key)
    }

    /// Returns the range for this packet's new source port, or `None` if the port is unchanged.
    #[must_use]
    pub fn range_for(&self, facts: &Facts) -> Option<PortRange> {
        let kind = facts.key.port[1 - facts.direction.source_slot()];
        let has_ports = has_translatable_ports(facts.key.family, facts.key.proto, kind);
        self.source_ports.filter(|_| has_ports)
    }
}

impl Record {
    /// Returns the wire key and the stack key, which are equal without translation.
    #[must_use]
    pub const fn keys(&self) -> [&Key; 2] {
        let is_translated = self.hot.local.has(LocalFlags::TRANSLATED);
        [&self.hot.key, if is_translated { &self.cold.stack_key } else { &self.hot.key }]
    }

    /// Sets the translated key of a new state.
    ///
    /// For an inbound packet, the packet's key is the wire key and `key` the stack key; for an outbound packet, the other
    /// way round.
    pub fn translate_to(&mut self, key: &Key) {
        if *key == self.hot.key {
            return;
        }
        match self.hot.direction() {
            Direction::In => self.cold.stack_key = *key,
            Direction::Out => (self.cold.stack_key, self.hot.key) = (self.hot.key, *key),
        }
        self.hot.local.set(LocalFlags::TRANSLATED);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Options, StateId, create};
    use super::*;
    use crate::time::Tick;

    fn v4(last: u8) -> [u8; 16] {
        let mut address = [0; 16];
        address[..4].copy_from_slice(&[192, 0, 2, last]);
        address
    }

    fn facts(direction: Direction, ports: [u16; 2]) -> Facts {
        let key = Key {
            addr: [v4(1), v4(2)],
            port: ports.map(Be16::new),
            family: Family::V4,
            proto: 6,
            ..Key::EMPTY
        };
        let key = if direction == Direction::In { key } else { key.swapped() };
        Facts { key, kind: Kind::Tcp, direction, ..Facts::EMPTY }
    }

    fn record(facts: &Facts, nat: &Nat) -> Record {
        let mut record = create(facts, &Options::default(), StateId { id: 1, creator: 2 }, Tick(0));
        record.translate_to(&nat.key(facts).unwrap());
        record
    }

    #[test]
    fn source_nat_of_an_inbound_packet_sets_the_stack_key() {
        let facts = facts(Direction::In, [1234, 80]);
        let record = record(&facts, &Nat { source: Some(v4(9)), ..Nat::default() });
        assert!(record.hot.local.has(LocalFlags::TRANSLATED));
        assert_eq!(record.hot.key, facts.key);
        assert_eq!(record.cold.stack_key, Key { addr: [v4(9), v4(2)], ..facts.key });
    }

    #[test]
    fn source_nat_of_an_outbound_packet_sets_the_wire_key() {
        // LAN 10.0.0.5:1234 to 192.0.2.9:80, leaving as 198.51.100.1:50000.
        let facts = facts(Direction::Out, [1234, 80]);
        let record = record(&facts, &Nat { source: Some(v4(9)), ..Nat::default() });
        assert_eq!(record.cold.stack_key, facts.key);
        assert_eq!(record.hot.key, Key { addr: [v4(2), v4(9)], ..facts.key });
        assert_eq!(record.hot.direction(), Direction::Out);
    }

    #[test]
    fn rdr_changes_destination_address_and_port() {
        let facts = facts(Direction::In, [4000, 80]);
        let nat = Nat { destination: Some(v4(80)), destination_port: Some(8080), ..Nat::default() };
        let record = record(&facts, &nat);
        let stack = Key { addr: [v4(1), v4(80)], port: [4000, 8080].map(Be16::new), ..facts.key };
        assert_eq!((record.hot.key, record.cold.stack_key), (facts.key, stack));
    }

    #[test]
    fn a_translation_to_the_same_key_is_none() {
        let facts = facts(Direction::In, [4000, 80]);
        let record = record(&facts, &Nat { source: Some(v4(1)), ..Nat::default() });
        assert!(!record.hot.local.has(LocalFlags::TRANSLATED));
    }

    #[test]
    fn nodes_share_a_range_without_overlap_and_without_a_gap() {
        for (first, last) in [(1, 3), (50_001, 65_535), (0, 65_535), (1024, 1033), (7, 7)] {
            let range = PortRange { first, last };
            for nodes in 1..=8 {
                let ports = |node| {
                    range
                        .share_of(node, nodes)
                        .map_or(0..0, |share| u32::from(share.first)..u32::from(share.last) + 1)
                };
                let all: Vec<u32> = (0..nodes).flat_map(ports).collect();
                if first == last {
                    assert_eq!(all, vec![7; nodes as usize], "a fixed port is not divided");
                } else {
                    assert_eq!(all, (first.into()..=u32::from(last)).collect::<Vec<_>>());
                }
            }
        }
    }

    #[test]
    fn another_family_needs_both_addresses() {
        let facts = facts(Direction::In, [4000, 80]);
        let mut nat = Nat { family: Some(Family::V6), source: Some([1; 16]), ..Nat::default() };
        assert_eq!(nat.key(&facts), Err(Refusal::Untranslatable));
        nat.destination = Some([2; 16]);
        assert_eq!(nat.key(&facts).unwrap().addr, [[1; 16], [2; 16]]);
        assert_eq!(nat.key(&facts).unwrap().family, Family::V6);
    }
}
