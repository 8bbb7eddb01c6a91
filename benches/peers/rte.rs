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
    fn rte_hash_lookup_bulk(
        hash: *const c_void,
        keys: *mut *const c_void,
        count: u32,
        places: *mut i32,
    ) -> c_int;
}

/// Starts EAL once per process, with so much memory, on the core that it runs on.
///
/// # Panics
/// When EAL does not start.
pub fn start(megabytes: usize) {
    // SAFETY: it has no conditions.
    let core = unsafe { libc::sched_getcpu() };
    let core = CString::new(core.max(0).to_string()).expect("a number");
    let megabytes = CString::new(megabytes.to_string()).expect("a number");
    // SAFETY: both strings end with NUL, and EAL, which keeps them, does not write to them; they are leaked.
    let status = unsafe { peer_rte_start(core.into_raw(), megabytes.into_raw()) };
    assert!(status >= 0, "EAL does not start");
}

/// A hash from key to place; places are below [`RteHash::places`].
pub struct RteHash {
    hash: *mut c_void,
    packed: bool,
    places: usize,
}

/// Keys in one bulk call.
const BULK: usize = 32;

impl RteHash {
    /// A hash with room for `entries` keys.
    ///
    /// # Panics
    /// When DPDK has no memory for it.
    #[must_use]
    pub fn new(name: &CStr, entries: u32, packed: bool, lock_free: bool) -> Self {
        let key_bytes = if packed { 16 } else { 40 };
        // SAFETY: the name ends with NUL and is copied.
        let hash = unsafe { peer_rte_new(name.as_ptr(), entries, key_bytes, lock_free.into()) };
        assert!(!hash.is_null(), "rte_hash has no memory for {entries} entries");
        Self { hash, packed, places: entries as usize + 1 }
    }

    /// One more than the greatest place.
    #[must_use]
    pub const fn places(&self) -> usize {
        self.places
    }

    fn key(&self, keys: &Keys<'_>, n: usize) -> *const c_void {
        if self.packed { (&raw const keys.packed[n]).cast() } else { (&raw const keys.whole[n]).cast() }
    }

    /// Adds key `n`. `None` when it finds no room.
    pub fn put(&mut self, keys: &Keys<'_>, n: usize) -> Option<usize> {
        // SAFETY: the hash is ours, the key has its length.
        let place = unsafe { rte_hash_add_key(self.hash, self.key(keys, n)) };
        usize::try_from(place).ok()
    }

    /// Takes key `n` out and gives back its place.
    pub fn take(&mut self, keys: &Keys<'_>, n: usize) -> Option<usize> {
        // SAFETY: the hash is ours, the key has its length.
        let place = unsafe { rte_hash_del_key(self.hash, self.key(keys, n)) };
        usize::try_from(place).ok()
    }

    /// The places of up to 32 keys from number `first`; negative for what is not there.
    #[inline]
    pub fn find(&self, keys: &Keys<'_>, first: usize, count: usize, places: &mut [i32; BULK]) {
        let mut pointers = [core::ptr::null(); BULK];
        for (n, pointer) in pointers[..count].iter_mut().enumerate() {
            *pointer = self.key(keys, first + n);
        }
        // SAFETY: `count` pointers to keys of the hash's length, room for as many places, and at most 64.
        unsafe { rte_hash_lookup_bulk(self.hash, pointers.as_mut_ptr(), count as u32, places.as_mut_ptr()) };
    }
}

impl Drop for RteHash {
    fn drop(&mut self) {
        // SAFETY: it came from `peer_rte_new` and is freed once.
        unsafe { rte_hash_free(self.hash) }
    }
}
