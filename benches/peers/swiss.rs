//! Abseil's and Boost's flat maps.

use crate::Keys;
use core::ffi::c_void;

type New = unsafe extern "C" fn(usize) -> *mut c_void;
type Free = unsafe extern "C" fn(*mut c_void);
type Insert = unsafe extern "C" fn(*mut c_void, *const c_void, u32);
type Find = unsafe extern "C" fn(*const c_void, *const c_void, usize, *mut u32);

/// The functions of one map for one key length.
#[derive(Clone, Copy)]
struct Functions {
    new: New,
    free: Free,
    insert: Insert,
    find: Find,
}

/// A C++ map from key to slot.
pub struct SwissMap {
    name: &'static str,
    functions: Functions,
    map: *mut c_void,
    packed: bool,
}

macro_rules! functions {
    ($new:ident, $free:ident, $insert:ident, $find:ident) => {{
        unsafe extern "C" {
            fn $new(capacity: usize) -> *mut c_void;
            fn $free(map: *mut c_void);
            fn $insert(map: *mut c_void, key: *const c_void, slot: u32);
            fn $find(map: *const c_void, keys: *const c_void, count: usize, slots: *mut u32);
        }
        Functions { new: $new, free: $free, insert: $insert, find: $find }
    }};
}

/// Builds all maps that are installed, for `capacity` keys, packed or whole.
#[must_use]
pub fn maps(capacity: usize, packed: bool) -> Vec<SwissMap> {
    let mut all: Vec<(&'static str, Functions, Functions)> = Vec::new();
    #[cfg(peer_absl)]
    all.push((
        "Abseil flat_hash_map",
        functions!(peer_absl16_new, peer_absl16_free, peer_absl16_insert, peer_absl16_find),
        functions!(peer_absl40_new, peer_absl40_free, peer_absl40_insert, peer_absl40_find),
    ));
    #[cfg(peer_boost)]
    all.push((
        "Boost unordered_flat_map",
        functions!(peer_boost16_new, peer_boost16_free, peer_boost16_insert, peer_boost16_find),
        functions!(peer_boost40_new, peer_boost40_free, peer_boost40_insert, peer_boost40_find),
    ));
    let map = |(name, short, long)| {
        let functions: Functions = if packed { short } else { long };
        // SAFETY: the function takes any capacity.
        let map = unsafe { (functions.new)(capacity) };
        SwissMap { name, functions, map, packed }
    };
    all.into_iter().map(map).collect()
}

impl SwissMap {
    /// Returns its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    fn keys(&self, keys: &Keys<'_>) -> (*const c_void, usize) {
        if self.packed {
            (keys.packed.as_ptr().cast(), keys.packed.len())
        } else {
            (keys.whole.as_ptr().cast(), keys.whole.len())
        }
    }

    /// Inserts the first of `keys`.
    pub fn insert(&mut self, keys: &Keys<'_>, slot: u32) {
        let (key, count) = self.keys(keys);
        assert!(count > 0);
        // SAFETY: the map is our own, and `key` points to a key of its length.
        unsafe { (self.functions.insert)(self.map, key, slot) }
    }

    /// Finds the slots of a burst; `u32::MAX` for keys that are not in the map.
    pub fn find(&self, keys: &Keys<'_>, slots: &mut [u32]) {
        let (first, count) = self.keys(keys);
        assert!(count <= slots.len());
        // SAFETY: `count` keys of the map's length start at `first`, and there are as many slots.
        unsafe { (self.functions.find)(self.map, first, count, slots.as_mut_ptr()) }
    }
}

impl Drop for SwissMap {
    fn drop(&mut self) {
        // SAFETY: the map came from the same functions and is freed once.
        unsafe { (self.functions.free)(self.map) }
    }
}
