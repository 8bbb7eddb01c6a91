//! The keys of a replica's peers, changed while it runs.

use super::Replica;
use crate::error::Error;
use crate::seal::{SealKey, SealShared, SealStatus};

impl<T> Replica<T> {
    /// Adds a key for a sealed peer. It is preferred to the others: frames are sealed with it as soon as the peer has it.
    ///
    /// # Errors
    /// The peer is not sealed, it has a key with this id, or four keys.
    pub fn add_seal_key(&self, peer: usize, key: SealKey) -> Result<(), Error> {
        self.seals()?.add_key(peer, key)
    }

    /// Removes a key of a sealed peer.
    ///
    /// # Errors
    /// The peer is not sealed, has no such key or no other one, or still sends with this one.
    pub fn remove_seal_key(&self, peer: usize, id: u8) -> Result<(), Error> {
        self.seals()?.remove_key(peer, id)
    }

    /// Returns the seals.
    ///
    /// # Errors
    /// No peer is sealed.
    pub fn seals(&self) -> Result<&SealShared, Error> {
        self.seals.as_deref().ok_or(Error::Invalid { name: "peer.seal", reason: "no peer is sealed" })
    }

    /// Returns the state of a peer's seal. `None` past the last peer.
    #[must_use]
    pub fn seal_status(&self, peer: usize) -> Option<SealStatus> {
        match &self.seals {
            Some(seals) => seals.status(peer),
            None => (peer < self.peers).then(SealStatus::default),
        }
    }

    /// Returns the number of peers.
    #[must_use]
    pub const fn peers(&self) -> usize {
        self.peers
    }
}
