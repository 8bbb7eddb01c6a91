//! Replication of a table that the host owns, with an engine's configuration.

use super::Config;
use super::identity::Random;
use crate::error::{Error, check_range};
use crate::memory::populate_code;
use crate::sync::{Ends, Exporter, HostTable, Ids, Replica};

/// Builds the replication of `host`, whose slots are below `capacity`. Settings for tables and steering are ignored.
///
/// # Errors
/// A setting is out of range, there is more than one lane, or a peer has an Ethernet header.
pub fn replica<T: HostTable>(config: &Config, host: T, capacity: u32) -> Result<Replica<T>, Error> {
    config.check()?;
    populate_code();
    check_range("lanes", config.lanes.into(), 1, 1)?;
    if config.sync.peers.iter().any(|peer| peer.ethernet.is_some()) {
        return Err(Error::Invalid {
            name: "peer.ethernet",
            reason: "frames of a replica start with the IP header",
        });
    }
    let mut random = Random::new(config.random_seed)?;
    let sync = config.effective_sync(random.host_id())?;
    let timeouts = config.effective_timeouts(capacity.into())?;
    let first_id = random.first_id(config.start_unix_s);
    let ids = Ids::new(sync.host_id, 0, first_id);
    let secret = random.secret()[0];
    let seals = config.seals(sync.host_id, first_id)?;
    let epoch = seals.as_ref().map_or_else(|| random.epoch(first_id), |seals| seals.epoch());
    let ends = Ends::new(&sync, ids, capacity, secret, (&config.memory, config.lane_socket(0)))?;
    let heap = config.heap(0);
    let exporter = Exporter::for_lane((&sync, &seals), (0, capacity), ends, epoch, heap)?;
    Replica::new(&sync, timeouts, host, capacity, exporter, &seals, heap)
}
