//! What these tests share: a node with its lanes, bursts of packets, and frames between two nodes.

use pfplane::internals::engine::{Config, Engine};
use pfplane::internals::lane::{Burst, BurstInfo, Lane, Packet, PacketView, Verdict};
use pfplane::internals::packet::{Direction, Facts, Link, TranslateError, Translation, WritablePacket};
use pfplane::internals::sync::{PeerSettings, SyncSettings};
use pfsync::Profile;
use pfsync::envelope::Address;

pub(crate) const MS: u64 = 1_000_000;
pub(crate) const SECOND: u64 = 1000 * MS;

/// Bytes that are free before a packet.
const HEADROOM: usize = 64;

/// One engine with its lanes.
pub(crate) struct Node {
    pub engine: Engine,
    pub lanes: Vec<Lane>,
}

impl Node {
    pub(crate) fn new(config: Config) -> Self {
        let (engine, lanes) = Engine::new(config).expect("settings in range");
        Self { engine, lanes }
    }

    pub(crate) fn poll(&mut self, now: u64) {
        self.lanes.iter_mut().for_each(|lane| lane.poll(now));
    }

    /// Returns a statistic as of now. Lanes publish theirs once a millisecond.
    pub(crate) fn stat(&mut self, now: u64, name: &str) -> u64 {
        self.poll(now);
        self.engine.stat_named(name).unwrap_or_else(|| panic!("no statistic {name}"))
    }

    pub(crate) fn states(&self) -> usize {
        let next = |lane: &Lane, from| lane.state_from(from, 0).map(|state| state.slot.0);
        let of = |lane: &Lane| std::iter::successors(next(lane, 0), |slot| next(lane, slot + 1)).count();
        self.lanes.iter().map(of).sum()
    }
}

/// Makes a configuration that of node `n` of two, which speaks `profile` to the other.
pub(crate) fn replicating(n: u8, profile: Profile, config: Config) -> Config {
    let mut sync = SyncSettings { host_id: 0xfeed_0000 | u32::from(n), ..SyncSettings::default() };
    sync.peers.push(PeerSettings::group(profile, Address::V4([192, 0, 2, n])));
    Config { sync, start_unix_s: 1_700_000_000, ..config }
}

/// Polls both nodes every millisecond, and lets them receive each other's frames.
pub(crate) fn exchange(nodes: &mut [Node; 2], now: &mut u64, milliseconds: u64) {
    for _ in 0..milliseconds {
        *now += MS;
        for from in 0..2 {
            nodes[from].poll(*now);
            for lane in 0..nodes[from].lanes.len() {
                let mut buffer = vec![0; nodes[from].lanes[lane].max_frame_bytes()];
                while let Some(frame) = nodes[from].lanes[lane].flush(&mut buffer, *now) {
                    assert!(nodes[1 - from].lanes[0].receive(&buffer[frame], *now));
                }
            }
        }
    }
}

pub(crate) const fn info(direction: Direction, now: u64) -> BurstInfo {
    BurstInfo { direction, link: Link::Ip, rdomain: 0, trust_hash: false, now }
}

pub(crate) const fn view(bytes: &[u8]) -> PacketView<'_> {
    PacketView::new(bytes)
}

/// Checks that each packet gets one verdict.
struct CheckedBurst<'a> {
    packets: Vec<Packet<'a>>,
    verdicts: Vec<Option<Verdict>>,
}

impl Burst for CheckedBurst<'_> {
    fn count(&self) -> usize {
        self.packets.len()
    }

    fn packet(&self, index: usize) -> Packet<'_> {
        self.packets[index]
    }

    fn verdict(&mut self, index: usize, verdict: Verdict) {
        assert!(self.verdicts[index].replace(verdict).is_none(), "one verdict a packet");
    }
}

/// Looks up a burst.
pub(crate) fn lookup_all<'a>(
    lane: &mut Lane,
    info: &BurstInfo,
    packets: impl IntoIterator<Item = Packet<'a>>,
) -> Vec<Verdict> {
    let packets: Vec<_> = packets.into_iter().collect();
    let verdicts = vec![None; packets.len()];
    let mut burst = CheckedBurst { packets, verdicts };
    lane.lookup_burst(info, &mut burst);
    burst.verdicts.into_iter().map(|verdict| verdict.expect("a verdict for every packet")).collect()
}

/// One packet that the lane rewrites.
pub(crate) struct RewrittenPacket<'a> {
    pub view: PacketView<'a>,
    /// The packet after its translation.
    pub out: Vec<u8>,
    /// Why the packet cannot be rewritten.
    pub refuses: Option<TranslateError>,
    pub verdict: Option<Verdict>,
}

impl<'a> RewrittenPacket<'a> {
    pub(crate) fn new(view: PacketView<'a>) -> Self {
        Self { view, out: view.data.to_vec(), refuses: None, verdict: None }
    }

    pub(crate) fn lookup(&mut self, lane: &mut Lane, info: &BurstInfo) -> Verdict {
        lane.lookup_burst(info, self);
        self.verdict.expect("a verdict for every packet")
    }
}

impl Burst for RewrittenPacket<'_> {
    fn count(&self) -> usize {
        1
    }

    fn packet(&self, _: usize) -> Packet<'_> {
        Packet::Bytes(self.view)
    }

    fn rewrite(&mut self, _: usize, facts: &Facts, to: &Translation<'_>) -> Result<i16, TranslateError> {
        if let Some(refused) = self.refuses {
            return Err(refused);
        }
        let mut bytes = vec![0xee; HEADROOM];
        bytes.extend_from_slice(&self.out);
        let mut packet =
            WritablePacket { bytes: &mut bytes, start: HEADROOM, l4_offload: false, ip_offload: false };
        let start = to.apply(facts, &mut packet)?;
        self.out = bytes.split_off(start);
        Ok(start as i16 - HEADROOM as i16)
    }

    fn verdict(&mut self, _: usize, verdict: Verdict) {
        self.verdict = Some(verdict);
    }
}
