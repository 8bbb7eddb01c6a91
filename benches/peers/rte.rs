//! DPDK's `rte_hash`.

use crate::Keys;
use core::ffi::{CStr, c_char, c_int, c_void};
use std::ffi::CString;

unsafe extern "C" {
    fn peer_rte_start(core: *mut c_char, megabytes: *mut c_char) -> c_int;
    fn peer_rte_new(name: *const c_char, entries: u32, key_bytes: u32, lock_free: c_int) -> *mut c_void;
    fn rte_hash_free(hash: *mut c_void);
    fn rte_hash_add_key(hash: *const c_void, key: *const c_void) -> i32;
    fn rte_hash_del_key(hash: *const c_void, key: *const c_void) -> i32;
    fn rte_hash_hash(hash: *const c_void, key: *const c_void) -> u32;
    fn rte_hash_lookup_with_hash_bulk(
        hash: *const c_void,
        keys: *mut *const c_void,
        hashes: *mut u32,
        count: u32,
        positions: *mut i32,
    ) -> c_int;
    fn rte_hash_lookup_bulk(
        hash: *const c_void,
        keys: *mut *const c_void,
        count: u32,
        positions: *mut i32,
    ) -> c_int;
}

/// Starts EAL with this much memory on the current core. Call it once per process.
///
/// # Panics
/// Panics when EAL does not start.
pub fn start(megabytes: usize) {
    // SAFETY: the call has no preconditions.
    let core = unsafe { libc::sched_getcpu() };
    let core = CString::new(core.max(0).to_string()).expect("a number");
    let megabytes = CString::new(megabytes.to_string()).expect("a number");
    // SAFETY: both strings end with NUL. EAL keeps them but does not write to them; they are leaked.
    let status = unsafe { peer_rte_start(core.into_raw(), megabytes.into_raw()) };
    assert!(status >= 0, "EAL does not start");
}

/// A hash from key to position; positions are below [`RteHash::positions`].
pub struct RteHash {
    hash: *mut c_void,
    packed: bool,
    positions: usize,
}

/// Keys in a bulk call of the size of a burst.
const BULK: usize = 32;

/// Maximum number of keys in a bulk call: `RTE_HASH_LOOKUP_BULK_MAX`.
pub const MAX_BULK: usize = 64;

impl RteHash {
    /// Builds a hash for `entries` keys.
    ///
    /// # Panics
    /// Panics when DPDK has no memory for it.
    #[must_use]
    pub fn new(name: &CStr, entries: u32, packed: bool, lock_free: bool) -> Self {
        let key_bytes = if packed { 16 } else { 40 };
        // SAFETY: the name ends with NUL and is copied.
        let hash = unsafe { peer_rte_new(name.as_ptr(), entries, key_bytes, lock_free.into()) };
        assert!(!hash.is_null(), "rte_hash has no memory for {entries} entries");
        Self { hash, packed, positions: entries as usize + 1 }
    }

    /// Returns one more than the largest position.
    #[must_use]
    pub const fn positions(&self) -> usize {
        self.positions
    }

    fn key(&self, keys: &Keys<'_>, n: usize) -> *const c_void {
        if self.packed { (&raw const keys.packed[n]).cast() } else { (&raw const keys.whole[n]).cast() }
    }

    /// Inserts key `n`. Returns `None` when the hash is full.
    pub fn insert(&mut self, keys: &Keys<'_>, n: usize) -> Option<usize> {
        // SAFETY: the hash is our own, and the key has its length.
        let position = unsafe { rte_hash_add_key(self.hash, self.key(keys, n)) };
        usize::try_from(position).ok()
    }

    /// Removes key `n`. Returns its position.
    pub fn remove(&mut self, keys: &Keys<'_>, n: usize) -> Option<usize> {
        // SAFETY: the hash is our own, and the key has its length.
        let position = unsafe { rte_hash_del_key(self.hash, self.key(keys, n)) };
        usize::try_from(position).ok()
    }

    /// Finds the positions of up to 32 keys from `first` on; negative for keys that are not in the hash.
    #[inline]
    pub fn find(&self, keys: &Keys<'_>, first: usize, count: usize, positions: &mut [i32; BULK]) {
        let mut pointers = [core::ptr::null(); BULK];
        for (n, pointer) in pointers[..count].iter_mut().enumerate() {
            *pointer = self.key(keys, first + n);
        }
        // SAFETY: there are `count` pointers to keys of the hash's length and as many positions, at most 64.
        unsafe {
            rte_hash_lookup_bulk(self.hash, pointers.as_mut_ptr(), count as u32, positions.as_mut_ptr())
        };
    }
}

impl RteHash {
    /// Returns the hash of key `n`.
    #[must_use]
    pub fn hash(&self, keys: &Keys<'_>, n: usize) -> u32 {
        // SAFETY: the hash is our own, and the key has its length.
        unsafe { rte_hash_hash(self.hash, self.key(keys, n)) }
    }

    /// Finds the positions of up to [`MAX_BULK`] keys from `first` on, whose hashes the caller knows.
    #[inline]
    pub fn find_hashed(
        &self,
        keys: &Keys<'_>,
        first: usize,
        hashes: &mut [u32],
        positions: &mut [i32; MAX_BULK],
    ) {
        let mut pointers = [core::ptr::null(); MAX_BULK];
        let count = hashes.len().min(MAX_BULK);
        for (n, pointer) in pointers[..count].iter_mut().enumerate() {
            *pointer = self.key(keys, first + n);
        }
        // SAFETY: there are `count` pointers to keys of the hash's length, and as many hashes and positions, at most 64.
        unsafe {
            rte_hash_lookup_with_hash_bulk(
                self.hash,
                pointers.as_mut_ptr(),
                hashes.as_mut_ptr(),
                count as u32,
                positions.as_mut_ptr(),
            )
        };
    }
}

impl Drop for RteHash {
    fn drop(&mut self) {
        // SAFETY: it came from `peer_rte_new` and is freed once.
        unsafe { rte_hash_free(self.hash) }
    }
}
