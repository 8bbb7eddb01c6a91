//! Ports of a range, one after the other and at random, against a set.

use super::*;
use crate::memory::Heap;
use crate::packet::Family;
use proptest::prelude::*;
use std::collections::HashSet;

fn key(pool: u8, proto: u8, port: u16) -> Key {
    let kind = if proto == 58 { 128 } else { 443 };
    let port = [Be16::new(port), Be16::new(kind)];
    Key { addr: [[7; 16], [pool; 16]], port, family: Family::V6, proto, ..Key::EMPTY }
}

fn pools(lane: u16, lanes: u16, ports: u32) -> PortPools {
    let steering = Counted::new(Heap::SYSTEM, "test", Steering::over_lanes(lanes.into()).unwrap()).unwrap();
    let memory = &Memory::SYSTEM;
    PortPools::new(&PortPlan { ports, lane, lanes, steering, secret: [1, 2, 3, 4], memory, socket: -1 })
        .unwrap()
}

fn is_ours(pools: &PortPools, key: &Key) -> bool {
    if has_ports(key.proto) {
        u16::from(pools.steering.lane_of(key)) == pools.lane
    } else {
        key.port[0].get() % pools.lanes == pools.lane
    }
}

#[test]
fn a_range_is_used_up_to_the_last_port_and_each_port_is_drawn_once() {
    for (lanes, proto) in [(1, 6), (1, 58), (3, 17), (4, 6), (8, 132), (5, 58)] {
        for (first, last) in [(50_001, 65_535), (0, 65_535), (1000, 1003), (127, 128), (9, 9)] {
            let mut all = HashSet::new();
            for lane in 0..lanes {
                let mut pools = pools(lane, lanes, 65_536);
                let empty = key(9, proto, 0);
                for n in 0u64.. {
                    let place = PortPlace { key: &empty, slot: 0 };
                    let random = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    let Some(port) = pools.draw(place, [first, last], random, |_| true) else { break };
                    let key = key(9, proto, port.get());
                    assert!((first..=last).contains(&port.get()) && is_ours(&pools, &key));
                    assert!(all.insert(port.get()), "{port:?} is drawn twice");
                    pools.mark(&key, Direction::Out, true);
                }
                for port in &all {
                    pools.mark(&key(9, proto, *port), Direction::Out, false);
                }
                assert_eq!(pools.index.entries(), 0, "nothing is left");
            }
            assert_eq!(all.len(), usize::from(last - first) + 1, "{lanes} lanes, protocol {proto}");
        }
    }
}

#[test]
fn what_accepts_nothing_ends_and_an_odd_slot_has_its_own_pool() {
    let mut pools = pools(0, 1, 100);
    let mut asked = 0;
    let key = key(3, 6, 77);
    let mut refuse = |_| {
        asked += 1;
        false
    };
    assert_eq!(pools.draw(PortPlace { key: &key, slot: 0 }, [0, 65_535], 5, &mut refuse), None);
    assert_eq!(asked, MAX_REJECTED);
    pools.mark(&key, Direction::Out, true);
    let draw = |slot| pools.draw(PortPlace { key: &key, slot }, [77, 77], 0, |_| true);
    assert_eq!((draw(0), draw(1)), (None, Some(Be16::new(77))));
}

proptest! {
    #[test]
    fn any_history_matches_a_set(
        lanes in 1u16..5,
        icmp in any::<bool>(),
        steps in prop::collection::vec((1u8..4, 1000u16..1300, any::<bool>()), 0..600),
        draws in prop::collection::vec((1u8..4, 1000u16..1300, 0u16..200, any::<u64>()), 1..20),
    ) {
        let proto = if icmp { 58 } else { 17 };
        let mut pools = pools(0, lanes, 900);
        let mut used = HashSet::new();
        for (pool, port, is_used) in steps {
            let key = key(pool, proto, port);
            pools.mark(&key, Direction::Out, is_used);
            if is_used { used.insert(key) } else { used.remove(&key) };
        }
        for (pool, first, length, random) in draws {
            let last = first + length;
            let is_free = |port| {
                let key = key(pool, proto, port);
                is_ours(&pools, &key) && !used.contains(&key)
            };
            let any = (first..=last).any(is_free);
            let empty = key(pool, proto, 0);
            let drawn = pools.draw(PortPlace { key: &empty, slot: 0 }, [first, last], random, |_| true);
            prop_assert_eq!(drawn.is_some(), any);
            prop_assert!(drawn.is_none_or(|port| (first..=last).contains(&port.get()) && is_free(port.get())));
        }
    }
}
