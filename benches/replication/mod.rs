//! Parts of the `sync` and `seal` benches; the `link` bench also uses some.

pub(crate) mod bulk;
pub(crate) mod link_bytes;
pub(crate) mod receiver;
pub(crate) mod sealed;
pub(crate) mod sender;

use pfplane::internals::engine::{Config, Engine};
use pfplane::internals::lane::Lane;
use pfplane::internals::packet::Family;
use pfplane::internals::state::{Timeouts, timeout_class};
use pfplane::internals::sync::{PeerSettings, SyncSettings};
use pfplane_testkit::Random;
use pfsync::Profile;
use pfsync::envelope::Address;

/// States in a timed block.
const BLOCK: usize = 2048;

fn blocks(smoke: bool) -> usize {
    if smoke { 2 } else { 48 }
}

fn family_of(flow: u32) -> Family {
    if flow.is_multiple_of(2) { Family::V4 } else { Family::V6 }
}

/// Draws the states of a block, all different.
fn draw(random: &mut Random, size: u32) -> Vec<u32> {
    let mut drawn: Vec<u32> = (0..BLOCK.min(size as usize / 2)).map(|_| random.below_u32(size)).collect();
    drawn.sort_unstable();
    drawn.dedup();
    for n in (1..drawn.len()).rev() {
        drawn.swap(n, random.below_u32(n as u32 + 1) as usize);
    }
    drawn
}

/// The settings of node `n` with one peer that uses OpenBSD's dialect.
pub(crate) fn settings(n: u8, mtu: u32) -> SyncSettings {
    let mut sync = SyncSettings {
        host_id: n.into(),
        mtu,
        // The tables are filled by one peer.
        max_imported: Some(u32::MAX),
        ..SyncSettings::default()
    };
    sync.peers.push(PeerSettings::group(Profile::OpenBsd6, Address::V4([192, 0, 2, n])));
    sync
}

/// Timeouts without adaptive scaling, because the tables are full.
pub(crate) fn timeouts() -> Timeouts {
    let mut timeouts = Timeouts::default();
    timeouts.set(timeout_class::ADAPTIVE_END, 0).expect("0 disables the scaling");
    timeouts
}

/// Builds an engine with one lane for `size` states.
fn engine(size: u32, sync: SyncSettings) -> (Engine, Lane) {
    let config = Config {
        states_per_lane: size,
        sync,
        timeouts: timeouts(),
        adaptive_by_capacity: false,
        ..Config::default()
    };
    let (engine, mut lanes) = Engine::new(config).expect("memory");
    (engine, lanes.remove(0))
}
