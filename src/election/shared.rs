//! What every thread may ask: whether this node may forward now, and who answers for an address.

use super::codec::frame::Mac;
use super::codec::neighbour;
use crate::memory::List;
use crate::time::Nanos;
use core::net::IpAddr;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A point in time that the election moves and lanes compare with.
///
/// A flag would not do: a node that was stopped does not know that it was, and would go on forwarding after another one has
/// taken over. The lease ends by itself, before a backup that received the last advert stops waiting.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Lease {
    until: AtomicU64,
    /// Cleared before the farewell is sent. A node that hands over forwards for longer, from its own MAC address.
    is_master: AtomicBool,
}

/// Addresses of a member.
#[derive(Debug)]
pub(super) struct Addresses {
    pub(super) port: u16,
    pub(super) vlan: u16,
    pub(super) own: (IpAddr, Mac),
    pub(super) shared: List<IpAddr>,
    /// The MAC address of the shared ones.
    pub(super) mac: Mac,
}

/// The part of an election that any thread may use while another one runs the election.
#[derive(Debug)]
pub struct Forwarding {
    lease: Lease,
    members: List<Addresses>,
}

impl Forwarding {
    pub(super) fn new(members: List<Addresses>) -> Self {
        Self { lease: Lease::default(), members }
    }

    /// Whether a packet may be forwarded at `now`. One load and one comparison.
    #[inline]
    #[must_use]
    pub fn may_forward(&self, now: Nanos) -> bool {
        now < self.until()
    }

    /// Returns the end of the lease, 0 for none.
    #[inline]
    #[must_use]
    pub fn until(&self) -> Nanos {
        // Nothing else is published with the time, so no order is needed.
        self.lease.until.load(Ordering::Relaxed)
    }

    /// Returns the address of [`Forwarding::until`], for readers that do not call: an atomic load through it is the same.
    #[must_use]
    pub fn lease(&self) -> *const Nanos {
        self.lease.until.as_ptr()
    }

    pub(super) fn set_until(&self, until: Nanos) {
        self.lease.until.store(until, Ordering::Relaxed);
    }

    /// Whether frames may be sent from the virtual MAC address at `now`. A node that hands over may forward, but only from its
    /// own: each frame from the virtual one draws the switches' traffic, and the next master may have it already.
    #[inline]
    #[must_use]
    pub fn may_use_virtual_mac(&self, now: Nanos) -> bool {
        self.lease.is_master.load(Ordering::Relaxed) && self.may_forward(now)
    }

    pub(super) fn set_master(&self, is_master: bool) {
        self.lease.is_master.store(is_master, Ordering::Relaxed);
    }

    /// Writes the answer to an ARP request or a neighbour solicitation. Returns its length, or `None` if the frame is no
    /// question, asks for none of our addresses, or asks for a shared one while this node may not forward.
    #[must_use]
    pub fn answer(
        &self,
        (port, vlan): (u16, u16),
        frame: &[u8],
        out: &mut [u8],
        now: Nanos,
    ) -> Option<usize> {
        let question = neighbour::parse(frame, vlan)?;
        let mut here = self.members.iter().filter(|member| (member.port, member.vlan) == (port, vlan));
        let (mac, own) = here.find_map(|member| {
            Some((member.mac_of(question.target, self.may_forward(now))?, member.own.1))
        })?;
        let source = if self.may_use_virtual_mac(now) { mac } else { own };
        neighbour::write_answer(&question, mac, source, vlan, out)
    }
}

impl Addresses {
    fn mac_of(&self, address: IpAddr, is_master: bool) -> Option<Mac> {
        if address == self.own.0 {
            return Some(self.own.1);
        }
        (is_master && self.shared.contains(&address)).then_some(self.mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::election::codec::neighbour::{MAX_NEIGHBOUR_BYTES, write_announcement};
    use crate::memory::Heap;

    const VIRTUAL: Mac = [0, 0, 0x5e, 0, 1, 7];
    const OWN: Mac = [2, 0, 0, 0, 0, 1];

    fn forwarding() -> Forwarding {
        let address = |text: &str| text.parse().unwrap();
        let shared = Heap::SYSTEM.copy_of("test", &[address("10.0.0.100")]).unwrap();
        let own = (address("10.0.0.1"), OWN);
        let mut members = Heap::SYSTEM.list("test", 1).unwrap();
        members.push(Addresses { port: 3, vlan: 0, own, shared, mac: VIRTUAL });
        Forwarding::new(members)
    }

    #[test]
    fn a_lease_ends_by_itself() {
        let forwarding = forwarding();
        assert!(!forwarding.may_forward(0), "there is none at first");
        forwarding.set_until(100);
        assert!(forwarding.may_forward(99) && !forwarding.may_forward(100));
        assert!(!forwarding.may_use_virtual_mac(99), "it hands over");
        forwarding.set_master(true);
        assert!(forwarding.may_use_virtual_mac(99) && !forwarding.may_use_virtual_mac(100));
    }

    /// An ARP request of another node: an announcement of its own address with another target.
    fn request(target: [u8; 4]) -> Vec<u8> {
        let mut frame = [0; MAX_NEIGHBOUR_BYTES];
        let length = write_announcement([10, 0, 0, 9].into(), [2; 6], 0, &mut frame).unwrap();
        frame[38..42].copy_from_slice(&target);
        frame[..length].to_vec()
    }

    #[test]
    fn shared_addresses_are_answered_by_the_master_and_own_ones_always() {
        let forwarding = forwarding();
        let mut out = [0; MAX_NEIGHBOUR_BYTES];
        let mut mac_of = |target, port, now| {
            let length = forwarding.answer((port, 0), &request(target), &mut out, now)?;
            (length == 42).then(|| out[22..28].to_vec())
        };
        assert_eq!(mac_of([10, 0, 0, 1], 3, 50), Some(OWN.to_vec()));
        assert_eq!(mac_of([10, 0, 0, 100], 3, 50), None, "a backup");
        forwarding.set_until(100);
        let hands_over = forwarding.answer((3, 0), &request([10, 0, 0, 100]), &mut out, 50);
        assert!(hands_over.is_some() && out[6..12] == OWN && out[22..28] == VIRTUAL, "to hand over");
        forwarding.set_master(true);
        let mut mac_of = |target, port, now| {
            forwarding.answer((port, 0), &request(target), &mut out, now).map(|_| out[22..28].to_vec())
        };
        assert_eq!(mac_of([10, 0, 0, 100], 3, 50), Some(VIRTUAL.to_vec()));
        assert_eq!(mac_of([10, 0, 0, 100], 3, 100), None, "the lease has ended");
        assert_eq!(mac_of([10, 0, 0, 100], 4, 50), None, "another port");
        assert_eq!(mac_of([10, 0, 0, 101], 3, 50), None, "another address");
    }
}
