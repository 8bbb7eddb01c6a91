//! The copied sources and their edits: loom's atomics and `Arc` replace the standard ones, slots replace memory.

/// Words, and their replacement.
type Edit = (&'static str, &'static str);

/// One copied source.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Text {
    /// The ring.
    Rtrb,
    /// The padding between the ring's two ends.
    CachePadded,
    /// The rings between the sync lane and the owners.
    Rings,
    /// The rings of aliases, and the bell.
    Aliases,
}

/// Where a source is, and where its copy goes.
pub(crate) struct Location {
    /// Whether `path` is in the folder of `rtrb`, else in ours.
    pub is_of_rtrb: bool,
    /// The source.
    pub path: &'static str,
    /// The file in a copy's folder.
    pub copied_to: &'static str,
}

impl Text {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Rtrb, Self::CachePadded, Self::Rings, Self::Aliases];

    /// Returns where the source is.
    pub(crate) const fn location(self) -> Location {
        let (is_of_rtrb, path, copied_to) = match self {
            Self::Rtrb => (true, "src/lib.rs", "rtrb/lib.rs"),
            Self::CachePadded => (true, "src/cache_padded.rs", "rtrb/cache_padded.rs"),
            Self::Rings => (false, "src/lane/exchange/rings.rs", "rings.rs"),
            Self::Aliases => (false, "src/lane/exchange/aliases.rs", "aliases.rs"),
        };
        Location { is_of_rtrb, path, copied_to }
    }

    /// Returns the name in messages of a failed build.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Rtrb => "rtrb's lib.rs",
            Self::CachePadded => "rtrb's cache_padded.rs",
            Self::Rings => "src/lane/exchange/rings.rs",
            Self::Aliases => "src/lane/exchange/aliases.rs",
        }
    }

    /// Applies the edits for loom.
    pub(crate) fn edit(self, text: &str) -> Result<String, String> {
        let part = match self {
            // A module cannot have the crate's attributes, which stand before this.
            Self::Rtrb => once(self.name(), text, "extern crate alloc;")?.1,
            // The tests expect the crate around them.
            Self::Aliases => once(self.name(), text, "#[cfg(test)]\nmod tests {")?.0,
            Self::CachePadded | Self::Rings => text,
        };
        self.edits()
            .iter()
            .try_fold(part.to_owned(), |text, (was, becomes)| self.replace(&text, was, becomes))
    }

    /// Replaces words that occur exactly once.
    pub(crate) fn replace(self, text: &str, was: &str, becomes: &str) -> Result<String, String> {
        let (before, after) = once(self.name(), text, was)?;
        Ok([before, becomes, after].concat())
    }

    const fn edits(self) -> &'static [Edit] {
        match self {
            Self::Rtrb => RTRB,
            Self::CachePadded => &[],
            Self::Rings => RINGS,
            Self::Aliases => ALIASES,
        }
    }
}

const RTRB: &[Edit] = &[
    ("use alloc::sync::Arc;", "use loom::sync::Arc;"),
    ("use alloc::vec::Vec;", "use crate::slots::{Slot, Slots};"),
    ("use core::sync::atomic::{AtomicUsize, Ordering};", "use loom::sync::atomic::{AtomicUsize, Ordering};"),
    // Lanes write and read one message at a time, so the parts for several messages are left out.
    ("pub mod chunks;", ""),
    ("use chunks::WriteChunkUninit;", ""),
    ("// This is used in the documentation.\n#[allow(unused_imports)]", ""),
    ("fn increment(&self,", "#[expect(dead_code)] fn increment(&self,"),
    // The ring's memory.
    ("{ManuallyDrop, MaybeUninit}", "MaybeUninit"),
    ("data_ptr: *mut T,", "data_ptr: Slots<T>,"),
    ("ManuallyDrop::new(Vec::with_capacity(capacity)).as_mut_ptr()", "Slots::with_capacity(capacity)"),
    ("(&self, pos: usize) -> *mut T {", "(&self, pos: usize) -> &Slot<T> {"),
    ("unsafe { Vec::from_raw_parts(self.data_ptr, 0, self.capacity) };", ""),
    ("Ok(unsafe { &*self.buffer.slot_ptr(head) })", "panic!(\"lanes do not peek at slot {head}\")"),
    // Loom's Arc cannot be compared.
    ("#[derive(Debug, PartialEq, Eq)]\npub struct Producer<T>", "#[derive(Debug)]\npub struct Producer<T>"),
    ("#[derive(Debug, PartialEq, Eq)]\npub struct Consumer<T>", "#[derive(Debug)]\npub struct Consumer<T>"),
];

const RINGS: &[Edit] = &[
    ("use crate::state::StateId;", "use pfplane::internals::state::StateId;"),
    ("use crate::sync::{Message, WalkOrder};", "use pfplane::internals::sync::{Message, WalkOrder};"),
    ("use rtrb::{", "use super::rtrb::{"),
    ("RING_CAPACITY: usize = 2048;", "RING_CAPACITY: usize = super::CAPACITY;"),
];

const ALIASES: &[Edit] = &[
    ("use crate::error::Error;", "use pfplane::internals::error::Error;"),
    ("use crate::memory::Memory;", "use pfplane::internals::memory::Memory;"),
    ("use crate::packet::{", "use pfplane::internals::packet::{"),
    ("use crate::table::{", "use pfplane::internals::table::{"),
    ("use rtrb::{", "use super::rtrb::{"),
    ("use std::sync::Arc;", "use loom::sync::Arc;"),
    ("use std::sync::atomic::{AtomicU32, Ordering};", "use loom::sync::atomic::{AtomicU32, Ordering};"),
    // Loom's Arc cannot be collected into.
    (
        "let bells: Arc<[Bell]> = (0..lanes).map(|_| Bell::default()).collect();",
        "let bells: Arc<[Bell]> = Arc::from_std((0..lanes).map(|_| Bell::default()).collect());",
    ),
    // With two lanes, a ring has half of the capacity.
    ("TOTAL_CAPACITY: usize = 8192;", "TOTAL_CAPACITY: usize = 2 * super::CAPACITY;"),
    ("MIN_CAPACITY: usize = 64;", "MIN_CAPACITY: usize = 1;"),
];

/// Returns the text before and after words that occur exactly once.
pub(crate) fn once<'a>(name: &str, text: &'a str, words: &str) -> Result<(&'a str, &'a str), String> {
    let times = text.matches(words).count();
    text.split_once(words).filter(|_| times == 1).ok_or_else(|| {
        format!("{name} contains `{words}` {times} times instead of once: it has changed since this check was written")
    })
}
