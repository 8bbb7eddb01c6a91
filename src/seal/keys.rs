//! Pre-shared keys of a pair of nodes.

use crate::error::Error;
use arrayvec::ArrayVec;
use core::fmt;
use zeroize::Zeroize;

/// Length of a key.
pub const KEY_BYTES: usize = 32;
/// Maximum number of keys of one peer.
pub const MAX_KEYS: usize = 4;

const NAME: &str = "peer.seal_keys";

const fn invalid(reason: &'static str) -> Error {
    Error::Invalid { name: NAME, reason }
}

/// A pre-shared key. It is wiped when it is dropped, and `Debug` shows its id only.
#[derive(Clone, PartialEq, Eq)]
pub struct SealKey {
    id: u8,
    secret: [u8; KEY_BYTES],
}

impl Drop for SealKey {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealKey({})", self.id)
    }
}

impl SealKey {
    /// A key of 32 random bytes. Both nodes give it the same id, 1 to 255.
    ///
    /// # Errors
    /// Another length, an id of 0, or only zeros.
    pub fn new(id: u8, secret: &[u8]) -> Result<Self, Error> {
        let Ok(secret) = <[u8; KEY_BYTES]>::try_from(secret) else {
            return Err(invalid("a key must have 32 bytes"));
        };
        let key = Self { id, secret };
        if id == 0 {
            return Err(invalid("a key's id must be from 1 to 255"));
        }
        if secret == [0; KEY_BYTES] {
            return Err(invalid("a key of zeros only is no secret"));
        }
        Ok(key)
    }

    /// Returns the id.
    #[must_use]
    pub const fn id(&self) -> u8 {
        self.id
    }

    pub(super) const fn secret(&self) -> &[u8; KEY_BYTES] {
        &self.secret
    }
}

/// The keys of one peer, the preferred one first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SealKeys {
    keys: ArrayVec<SealKey, MAX_KEYS>,
}

impl SealKeys {
    /// Adds a key behind the others.
    ///
    /// # Errors
    /// A second key with its id, or a fifth key.
    pub fn push(&mut self, key: SealKey) -> Result<(), Error> {
        self.insert(self.keys.len(), key)
    }

    /// Adds a key before the others: it is used as soon as the peer has it.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn prefer(&mut self, key: SealKey) -> Result<(), Error> {
        self.insert(0, key)
    }

    fn insert(&mut self, index: usize, key: SealKey) -> Result<(), Error> {
        if self.find(key.id).is_some() {
            return Err(invalid("two keys have the same id"));
        }
        self.keys.try_insert(index, key).map_err(|_| invalid("a peer has at most 4 keys; remove one first"))
    }

    /// Removes a key.
    ///
    /// # Errors
    /// No key has this id, or it is the last one.
    pub fn remove(&mut self, id: u8) -> Result<(), Error> {
        let index = self.keys.iter().position(|key| key.id == id);
        let index = index.ok_or(invalid("no key has this id"))?;
        if self.keys.len() == 1 {
            return Err(invalid("the last key of a sealed peer cannot be removed; add the next one first"));
        }
        self.keys.remove(index);
        Ok(())
    }

    /// Whether there is no key.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn find(&self, id: u8) -> Option<&SealKey> {
        self.keys.iter().find(|key| key.id == id)
    }

    /// The ids of all keys; 0 for none.
    #[must_use]
    pub fn ids(&self) -> [u8; MAX_KEYS] {
        core::array::from_fn(|index| self.keys.get(index).map_or(0, SealKey::id))
    }

    /// Returns the preferred key among those that the peer holds. While these are unknown, or there is none among them,
    /// each `attempt` has the next one.
    pub(super) fn choose(&self, held: [u8; MAX_KEYS], attempt: usize) -> Option<&SealKey> {
        let common = self.keys.iter().find(|key| held.contains(&key.id));
        common.or_else(|| self.keys.get(attempt % self.keys.len().max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: u8) -> SealKey {
        SealKey::new(id, &[id; 32]).unwrap()
    }

    #[test]
    fn wrong_keys_are_refused_with_the_reason() {
        let why = |result: Result<SealKey, Error>| result.unwrap_err().to_string();
        assert_eq!(why(SealKey::new(1, &[7; 16])), "peer.seal_keys: a key must have 32 bytes");
        assert_eq!(why(SealKey::new(1, &[7; 33])), "peer.seal_keys: a key must have 32 bytes");
        assert!(why(SealKey::new(0, &[7; 32])).contains("from 1 to 255"));
        assert!(why(SealKey::new(1, &[0; 32])).contains("zeros only"));
    }

    #[test]
    fn the_ids_of_a_peers_keys_differ_and_one_key_stays() {
        let why = |result: Result<(), Error>| result.unwrap_err().to_string();
        let mut keys = SealKeys::default();
        keys.push(key(1)).unwrap();
        assert!(why(keys.push(key(1))).contains("same id"));
        assert!(why(keys.remove(2)).contains("no key has this id"));
        assert!(why(keys.remove(1)).contains("the last key"));
        keys.prefer(key(2)).unwrap();
        keys.push(key(3)).unwrap();
        keys.push(key(4)).unwrap();
        assert_eq!(keys.ids(), [2, 1, 3, 4]);
        assert!(why(keys.push(key(5))).contains("at most 4"));
        keys.remove(1).unwrap();
        assert_eq!(keys.ids(), [2, 3, 4, 0]);
    }

    #[test]
    fn the_preferred_key_that_the_peer_has_is_chosen() {
        let mut keys = SealKeys::default();
        (1..=3).for_each(|id| keys.push(key(id)).unwrap());
        let chosen = |held, attempt| keys.choose(held, attempt).unwrap().id();
        assert_eq!(chosen([3, 2, 0, 0], 0), 2);
        assert_eq!((0..4).map(|attempt| chosen([0; 4], attempt)).collect::<Vec<_>>(), [1, 2, 3, 1]);
        assert_eq!(chosen([9, 0, 0, 0], 1), 2, "the peer may have others by now");
        assert!(SealKeys::default().choose([0; 4], 0).is_none());
    }

    #[test]
    fn no_output_shows_a_key() {
        let mut keys = SealKeys::default();
        keys.push(SealKey::new(17, &[0xab; 32]).unwrap()).unwrap();
        let text = format!("{keys:?} {keys:#?}");
        assert!(text.contains("SealKey(17)") && !text.contains("171") && !text.contains("ab"), "{text}");
    }
}
