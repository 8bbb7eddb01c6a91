//! Fixed arrays for tables, and where their memory comes from: the host's allocator hooks or anonymous mappings.
//!
//! All memory is allocated and touched when its owner is created, so the packet path never meets a page fault. A
//! [`FixedArray`] owns its memory, or its share of an [`Arena`] with other arrays, and never grows.

mod allocator;
mod arena;
mod array;
mod pages;
#[cfg(test)]
pub(crate) mod recording;
mod region;

pub use allocator::{AllocHook, FreeHook, Hooks, Memory};
pub use arena::Arena;
pub use array::{FixedArray, bytes_of};
pub use pages::PageMode;

/// Alignment of every array: a cache line.
const LINE: usize = 64;
