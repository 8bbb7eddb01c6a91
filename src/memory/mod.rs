//! Fixed arrays for tables, and where their memory comes from: the host's allocator hooks or anonymous mappings.
//!
//! All memory is allocated and touched when its owner is created, and the code's pages are mapped then, so the packet path
//! never meets a page fault. A [`FixedArray`] owns its memory, or its share of an [`Arena`] with other arrays, and never
//! grows.

mod allocator;
mod arena;
mod array;
mod channel;
mod counted;
mod heap;
mod pages;
#[cfg(test)]
pub(crate) mod recording;
mod region;
mod ring;
mod slots;

pub use allocator::{AllocHook, FreeHook, Hooks, Memory};
pub use arena::Arena;
pub use array::{FixedArray, bytes_of};
pub use channel::{Consumer, Producer, channel, channel_bytes};
pub use counted::Counted;
pub use heap::{Heap, List, Map, Owned, map_bytes};
pub(crate) use heap::{try_copy, try_list, try_vec};
pub use pages::PageMode;
pub(crate) use pages::populate_code;
pub use ring::Ring;

/// Alignment of every array: a cache line.
const LINE: usize = 64;
/// A page that is not huge.
const SMALL_PAGE: usize = 4096;
