//! How a new state translates: the second key from the first (OpenBSD `pf_state_key_setup`; protocol 7.1).

use super::{LocalFlags, Record, Refusal};
use crate::packet::{Be16, Direction, Facts, Family, Key, Kind, has_translatable_ports, key_in_family};

/// The first and the last of a range of ports or ICMP identifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// The first.
    pub first: u16,
    /// The last, not below the first.
    pub last: u16,
}

/// What the first packet's addresses and ports become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Nat {
    /// The family of the new addresses where it is another one (pf's af-to); both addresses must be given then.
    pub family: Option<Family>,
    /// The new source (pf's nat-to), as a key holds addresses.
    pub source: Option<[u8; 16]>,
    /// The new destination (pf's rdr-to).
    pub destination: Option<[u8; 16]>,
    /// From where the new source port, or identifier of an ICMP query, is taken. None: it stays (pf's static-port).
    pub source_ports: Option<PortRange>,
    /// The new destination port.
    pub destination_port: Option<u16>,
}

impl Nat {
    /// Whether nothing is translated.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// The key that the packet has afterwards, with its source port as it was.
    ///
    /// # Errors
    /// [`Refusal::Untranslatable`] for another family without both addresses, and for a protocol that has no like there.
    pub fn key(&self, facts: &Facts) -> Result<Key, Refusal> {
        let source = facts.direction.source_slot();
        let mut key = facts.key;
        if let Some(family) = self.family.filter(|family| *family != key.family) {
            if self.source.is_none() || self.destination.is_none() {
                return Err(Refusal::Untranslatable);
            }
            key = key_in_family(&key, facts.kind, source, family).ok_or(Refusal::Untranslatable)?;
        }
        let clean = |mut address: [u8; 16]| {
            if key.family == Family::V4 {
                address[4..].fill(0);
            }
            address
        };
        let (new_source, new_destination) = (self.source.map(clean), self.destination.map(clean));
        key.addr[source] = new_source.unwrap_or(key.addr[source]);
        key.addr[1 - source] = new_destination.unwrap_or(key.addr[1 - source]);
        if let Some(port) = self.destination_port
            && matches!(facts.kind, Kind::Tcp | Kind::Udp)
        {
            key.port[1 - source] = Be16::new(port);
        }
        Ok(key)
    }

    /// The range that a new source port of this packet is to be taken from, if it is to have one.
    #[must_use]
    pub fn range_for(&self, facts: &Facts) -> Option<PortRange> {
        let kind = facts.key.port[1 - facts.direction.source_slot()];
        let has = has_translatable_ports(facts.key.family, facts.key.proto, kind);
        self.source_ports.filter(|_| has)
    }
}

impl Record {
    /// Makes the state of a first packet one that translates its packets to another key and back.
    ///
    /// Importer, the packet's own key is the wire key and the new one the stack key; outbound the other way round.
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
    fn source_translation_of_an_inbound_packet_is_in_the_stack_key() {
        let facts = facts(Direction::In, [1234, 80]);
        let record = record(&facts, &Nat { source: Some(v4(9)), ..Nat::default() });
        assert!(record.hot.local.has(LocalFlags::TRANSLATED));
        assert_eq!(record.hot.key, facts.key);
        assert_eq!(record.cold.stack_key, Key { addr: [v4(9), v4(2)], ..facts.key });
    }

    #[test]
    fn the_outbound_example_of_the_protocol_reference_has_its_keys() {
        // LAN 10.0.0.5:1234 to 192.0.2.9:80, leaving as 198.51.100.1:50000.
        let facts = facts(Direction::Out, [1234, 80]);
        let record = record(&facts, &Nat { source: Some(v4(9)), ..Nat::default() });
        assert_eq!(record.cold.stack_key, facts.key);
        assert_eq!(record.hot.key, Key { addr: [v4(2), v4(9)], ..facts.key });
        assert_eq!(record.hot.direction(), Direction::Out);
    }

    #[test]
    fn a_redirect_changes_destination_and_port() {
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
    fn another_family_needs_both_addresses() {
        let facts = facts(Direction::In, [4000, 80]);
        let mut nat = Nat { family: Some(Family::V6), source: Some([1; 16]), ..Nat::default() };
        assert_eq!(nat.key(&facts), Err(Refusal::Untranslatable));
        nat.destination = Some([2; 16]);
        assert_eq!(nat.key(&facts).unwrap().addr, [[1; 16], [2; 16]]);
        assert_eq!(nat.key(&facts).unwrap().family, Family::V6);
    }
}
