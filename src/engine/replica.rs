//! Replication of a table of the host's, by the same configuration as an engine.

use super::{Config, identity};
use crate::error::{Error, check_range};
use crate::sync::{HostTable, Replica};

/// Replication of `host`, whose places are below `capacity`. What a configuration says of tables and steering is not looked
/// at.
///
/// # Errors
/// A setting out of range, more than one lane, or a peer whose frames begin with an Ethernet header.
pub fn replica<T: HostTable>(config: &Config, host: T, capacity: u32) -> Result<Replica<T>, Error> {
    config.check()?;
    check_range("lanes", config.lanes.into(), 1, 1)?;
    if config.ethernet.iter().any(Option::is_some) {
        return Err(Error::Invalid {
            name: "peer.ethernet",
            reason: "frames of a replica begin with the IP header",
        });
    }
    let sync = config.effective_sync(identity::random_host_id());
    let start = identity::start(config.start_unix_s);
    Replica::new(sync, config.timeouts.clone(), host, capacity, identity::first_id(0, start))
}
