//! The copied sources and their edits: loom's atomics and `Arc` replace ours, slots replace memory.

/// Words, and their replacement.
type Edit = (&'static str, &'static str);

/// One copied source.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Text {
    /// The ring.
    Channel,
    /// The rings between the sync lane and the owners.
    Rings,
    /// The rings of aliases, and the bell.
    Aliases,
}

impl Text {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Channel, Self::Rings, Self::Aliases];

    /// Returns where the source is, from the root of the workspace.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Channel => "src/memory/channel.rs",
            Self::Rings => "src/lane/exchange/rings.rs",
            Self::Aliases => "src/lane/exchange/aliases.rs",
        }
    }

    /// Returns the name of the module, which is also that of its file in a copy's folder.
    pub(crate) const fn module(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::Rings => "rings",
            Self::Aliases => "aliases",
        }
    }

    /// Applies the edits for loom.
    pub(crate) fn edit(self, text: &str) -> Result<String, String> {
        // The tests expect the crate around them.
        let part = match self {
            Self::Channel | Self::Aliases => once(self.path(), text, "#[cfg(test)]\nmod tests {")?.0,
            Self::Rings => text,
        };
        self.edits()
            .iter()
            .try_fold(part.to_owned(), |text, (was, becomes)| self.replace(&text, was, becomes))
    }

    /// Replaces words that occur exactly once.
    pub(crate) fn replace(self, text: &str, was: &str, becomes: &str) -> Result<String, String> {
        let (before, after) = once(self.path(), text, was)?;
        Ok([before, becomes, after].concat())
    }

    const fn edits(self) -> &'static [Edit] {
        match self {
            Self::Channel => CHANNEL,
            Self::Rings => RINGS,
            Self::Aliases => ALIASES,
        }
    }
}

const CHANNEL: &[Edit] = &[
    ("use super::counted::Counted;", "use crate::counted::Counted;"),
    ("use super::heap::Heap;", "use pfplane::internals::memory::Heap;"),
    ("use super::slots::Slots;", "use crate::slots::Slots;"),
    ("use crate::error::Error;", "use pfplane::internals::error::Error;"),
    ("use core::sync::atomic::{AtomicUsize, Ordering};", "use loom::sync::atomic::{AtomicUsize, Ordering};"),
];

const RINGS: &[Edit] = &[
    ("use crate::error::Error;", "use pfplane::internals::error::Error;"),
    (
        "use crate::memory::{Consumer, Heap, List, Producer, channel, channel_bytes};",
        "use super::channel::{Consumer, Producer, channel, channel_bytes};\nuse pfplane::internals::memory::{Heap, List};",
    ),
    ("use crate::state::StateId;", "use pfplane::internals::state::StateId;"),
    (
        "use crate::sync::{Answer, Message, PeerIndex, Question, WalkOrder};",
        "use pfplane::internals::sync::{Answer, Message, PeerIndex, Question, WalkOrder};",
    ),
    ("use pfsync::StreamOption;", "use pfplane::pfsync::StreamOption;"),
    ("RING_CAPACITY: usize = 2048;", "RING_CAPACITY: usize = super::CAPACITY;"),
];

const ALIASES: &[Edit] = &[
    ("use crate::error::Error;", "use pfplane::internals::error::Error;"),
    (
        "use crate::memory::{Consumer, Counted, Heap, List, Memory, Owned, Producer, channel, channel_bytes};",
        "use super::channel::{Consumer, Producer, channel, channel_bytes};\nuse crate::counted::Counted;\n\
         use pfplane::internals::memory::{Heap, List, Memory, Owned};",
    ),
    ("use crate::packet::{", "use pfplane::internals::packet::{"),
    ("use crate::table::{", "use pfplane::internals::table::{"),
    ("use std::sync::atomic::{AtomicU32, Ordering};", "use loom::sync::atomic::{AtomicU32, Ordering};"),
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
