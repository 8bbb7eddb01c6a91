//! Hellos of election groups for the other pfplane nodes: they ride in the trailer of a frame that is written anyway, or of an
//! otherwise empty one.

use super::Exporter;
use crate::error::Error;
use crate::memory::{Heap, Owned};
use crate::sync::message::PeerIndex;
use crate::sync::settings::MAX_PEERS;
use arrayvec::ArrayVec;
use core::ops::Range;

/// Length of a hello.
pub const HELLO_BYTES: usize = 48;
/// A hello as the election writes it.
pub type HelloBytes = [u8; HELLO_BYTES];

const _: () = assert!(MAX_PEERS <= 32);

/// Where a hello has the number of its group.
pub const HELLO_GROUP: Range<usize> = 8..12;
/// Groups whose hellos can wait at the same time.
const MAX_GROUPS: usize = 8;

#[derive(Clone, Copy, Debug)]
struct WaitingHello {
    hello: HelloBytes,
    /// The peers that it was not sent to yet, as bits.
    peers: u32,
}

/// The last hello of each group, for the peers that it was not sent to yet.
#[derive(Debug, Default)]
pub(super) struct HelloQueue {
    waiting: ArrayVec<WaitingHello, MAX_GROUPS>,
    /// One did not fit into a frame, so it needs one of its own.
    pub is_urgent: bool,
}

impl HelloQueue {
    #[inline(never)]
    pub(super) fn boxed(heap: Heap) -> Result<Owned<Self>, Error> {
        heap.owned("hellos", Self::default())
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The next peer to send a hello to.
    pub(super) fn next_peer(&self) -> Option<PeerIndex> {
        Some(self.waiting.first()?.peers.trailing_zeros() as PeerIndex)
    }

    /// The next hello for a peer.
    pub(super) fn next_for(&self, peer: PeerIndex) -> Option<&HelloBytes> {
        self.waiting.iter().find(|waiting| waiting.peers & 1 << peer != 0).map(|waiting| &waiting.hello)
    }

    /// Notes that the hello of [`Self::next_for`] was sent.
    pub(super) fn sent(&mut self, peer: PeerIndex) {
        self.is_urgent = false;
        let Some(index) = self.waiting.iter().position(|waiting| waiting.peers & 1 << peer != 0) else {
            return;
        };
        self.waiting[index].peers &= !(1 << peer);
        if self.waiting[index].peers == 0 {
            self.waiting.remove(index);
        }
    }

    /// Adds a hello. It replaces an older one of its group, or else, if too many wait, the oldest one. Returns false if another
    /// group's hello is lost by that.
    fn add(&mut self, hello: WaitingHello) -> bool {
        self.waiting.retain(|waiting| waiting.hello[HELLO_GROUP] != hello.hello[HELLO_GROUP]);
        let is_full = self.waiting.is_full();
        if is_full {
            self.waiting.remove(0);
        }
        self.waiting.push(hello);
        !is_full
    }
}

impl Exporter {
    /// Sends a hello to every pfplane peer, with the next frame.
    pub fn send_hello(&mut self, hello: &HelloBytes) {
        let peers = self.settings.peers.iter().enumerate().filter(|(_, peer)| peer.extensions);
        let peers = peers.fold(0, |mask, (index, _)| mask | 1 << index);
        if self.is_active && peers != 0 {
            let dropped = !self.hellos.add(WaitingHello { hello: *hello, peers });
            self.counters.hellos_dropped += u64::from(dropped);
            self.pacing.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::SyncSettings;
    use crate::sync::fixture::{MS, Node, S, settings};
    use pfsync::envelope::Envelope;
    use pfsync::{FrameReader, Profile, option_kind};

    fn hello(group: u8, number: u8) -> HelloBytes {
        let mut hello = [number; HELLO_BYTES];
        hello[8..12].fill(group);
        hello
    }

    /// A node with a stock peer and a pfplane node of each kind.
    fn node() -> Node {
        let profiles = [Profile::OpenBsd6, Profile::FreeBsd1400, Profile::OpenBsd6];
        let mut settings = settings(&profiles);
        settings.peers.iter_mut().skip(1).for_each(|peer| peer.extensions = true);
        Node::new(SyncSettings { mtu: 1500, ..settings })
    }

    /// For each frame that is due: its peer, its records, and the hellos in it.
    fn frames(node: &mut Node) -> Vec<(PeerIndex, usize, Vec<HelloBytes>)> {
        let mut buffer = [0; 1500];
        let mut frames = Vec::new();
        while let Some(flushed) = node.flush_into(&mut buffer) {
            let packet = &buffer[..flushed.length];
            let mut reader = FrameReader::new(&packet[Envelope::parse(packet).unwrap().payload]).unwrap();
            let trailer = reader.trailer().unwrap();
            let options = trailer.iter().flat_map(|trailer| trailer.options()).map(Result::unwrap);
            let hellos = options.map(|option| {
                assert_eq!(option.kind, option_kind::ELECTION);
                option.value.try_into().unwrap()
            });
            let hellos = hellos.collect();
            let regions = std::iter::from_fn(|| reader.next_region()).map(Result::unwrap);
            frames.push((flushed.peer, regions.map(|region| region.records().count()).sum(), hellos));
        }
        frames
    }

    #[test]
    fn a_hello_is_sent_at_once_to_pfplane_peers_in_an_empty_frame() {
        let mut node = node();
        node.exporter.send_hello(&hello(1, 7));
        let expected = hello(1, 7);
        assert_eq!(frames(&mut node), [(1, 0, vec![expected]), (2, 0, vec![expected])]);
        assert!(frames(&mut node).is_empty());
        assert_eq!(node.exporter.counters.hellos_sent, 2);
        assert!(!node.exporter.due(node.now));
    }

    #[test]
    fn a_hello_rides_in_a_frame_that_is_due() {
        let mut node = node();
        node.insert(1);
        node.wait(S).exporter.send_hello(&hello(1, 7));
        let expected = vec![hello(1, 7)];
        assert_eq!(frames(&mut node), [(0, 1, vec![]), (1, 1, expected.clone()), (2, 1, expected)]);
    }

    #[test]
    fn a_hello_is_sent_though_every_frame_is_full() {
        let mut node = node();
        (0..200).for_each(|n| _ = node.insert(n));
        node.wait(S).exporter.send_hello(&hello(1, 7));
        let frames = frames(&mut node);
        let first = |peer| frames.iter().position(|(to, _, hellos)| *to == peer && !hellos.is_empty());
        assert!(first(1).unwrap() < 8 && first(2).unwrap() < 8, "{frames:?}");
        assert_eq!(frames.iter().map(|(_, records, _)| records).sum::<usize>(), 600);
        assert_eq!(frames.iter().map(|(_, _, hellos)| hellos.len()).sum::<usize>(), 2);
    }

    #[test]
    fn the_last_hello_of_each_group_is_sent() {
        let mut node = node();
        for number in 0..5 {
            node.exporter.send_hello(&hello(1, number));
            node.exporter.send_hello(&hello(2, number));
        }
        let hellos: Vec<_> = frames(&mut node).into_iter().filter(|(peer, ..)| *peer == 1).collect();
        assert_eq!(hellos, [(1, 0, vec![hello(1, 4)]), (1, 0, vec![hello(2, 4)])]);
        (0..20).for_each(|group| node.exporter.send_hello(&hello(group, 0)));
        let hellos: Vec<_> = frames(&mut node).into_iter().filter(|(peer, ..)| *peer == 1).collect();
        assert_eq!(hellos.len(), MAX_GROUPS);
        assert_eq!(hellos[0].2, [hello(12, 0)], "the oldest are dropped");
        assert_eq!(node.exporter.counters.hellos_dropped, 12);
    }

    #[test]
    fn without_a_pfplane_peer_nothing_is_sent() {
        let mut node = Node::new(settings(&[Profile::OpenBsd6]));
        node.exporter.send_hello(&hello(1, 7));
        assert!(frames(node.wait(10 * MS)).is_empty());
        assert_eq!(node.exporter.counters.hellos_sent, 0);
    }
}
