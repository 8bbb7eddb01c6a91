//! Replication of a table that the host owns, with an engine's configuration.

use super::{Config, identity};
use crate::error::{Error, check_range};
use crate::sync::{HostTable, Replica};

/// Builds the replication of `host`, whose slots are below `capacity`. Settings for tables and steering are ignored.
///
/// # Errors
/// A setting is out of range, there is more than one lane, or a peer has an Ethernet header.
pub fn replica<T: HostTable>(config: &Config, host: T, capacity: u32) -> Result<Replica<T>, Error> {
    config.check()?;
    check_range("lanes", config.lanes.into(), 1, 1)?;
    if config.sync.peers.iter().any(|peer| peer.ethernet.is_some()) {
        return Err(Error::Invalid {
            name: "peer.ethernet",
            reason: "frames of a replica start with the IP header",
        });
    }
    let sync = config.effective_sync(identity::random_host_id());
    let start = identity::start(config.start_unix_s);
    let timeouts = config.effective_timeouts(capacity.into())?;
    Replica::new(sync, timeouts, host, capacity, identity::first_id(0, start))
}
