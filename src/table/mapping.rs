//! One piece of memory, as the host's hooks or the kernel give it, and how it goes back.
//!
//! With `memory.rs` the room's files with `unsafe`.

use super::memory::{Hooks, LINE};
use super::pages::{self, PageMode};
use core::ptr::{self, NonNull};

pub(super) const HUGE_PAGE: usize = 2 << 20;
/// From this size on an array is worth a huge page of its own.
const HUGE_FROM: usize = HUGE_PAGE / 2;
const SMALL_PAGE: usize = 4096;

#[derive(Debug)]
enum Origin {
    Hooks(Hooks),
    Hugetlb,
    Mapped,
}

/// Memory that is given back on drop.
#[derive(Debug)]
pub(super) struct Region {
    pub base: NonNull<u8>,
    /// Asked of the hooks, or mapped.
    pub bytes: usize,
    origin: Origin,
}

impl Region {
    /// From the hooks, or mapped.
    pub fn new(hooks: Option<Hooks>, bytes: usize, socket: i32) -> Option<Self> {
        match hooks {
            Some(hooks) => Self::from_hooks(hooks, bytes, socket),
            None if bytes >= HUGE_FROM && !cfg!(miri) => {
                let rounded = bytes.next_multiple_of(HUGE_PAGE);
                Self::hugetlb(rounded, socket).or_else(|| Self::transparent(rounded, socket))
            }
            None => Self::small(bytes.next_multiple_of(SMALL_PAGE), socket),
        }
    }

    fn from_hooks(hooks: Hooks, bytes: usize, socket: i32) -> Option<Self> {
        // SAFETY: `Hooks::new` was promised that the hook may be called so.
        let memory = unsafe { (hooks.alloc)(hooks.context, bytes, LINE, socket) };
        Some(Self { base: NonNull::new(memory.cast())?, bytes, origin: Origin::Hooks(hooks) })
    }

    fn hugetlb(bytes: usize, socket: i32) -> Option<Self> {
        let base = map(bytes, libc::MAP_HUGETLB)?;
        bind(base, bytes, socket);
        Some(Self { base, bytes, origin: Origin::Hugetlb })
    }

    /// A mapping that starts on a huge page, with the kernel asked to use huge pages for it.
    fn transparent(bytes: usize, socket: i32) -> Option<Self> {
        let base = map(bytes + HUGE_PAGE, 0)?;
        let head = base.as_ptr().align_offset(HUGE_PAGE);
        let tail = HUGE_PAGE - head;
        let aligned = NonNull::new(base.as_ptr().wrapping_add(head))?;
        unmap(base, head);
        unmap(NonNull::new(aligned.as_ptr().wrapping_add(bytes))?, tail);
        bind(aligned, bytes, socket);
        // SAFETY: the range is a mapping of ours; the advice changes no contents.
        unsafe { libc::madvise(aligned.as_ptr().cast(), bytes, libc::MADV_HUGEPAGE) };
        Some(Self { base: aligned, bytes, origin: Origin::Mapped })
    }

    fn small(bytes: usize, socket: i32) -> Option<Self> {
        let base = map(bytes, 0)?;
        bind(base, bytes, socket);
        Some(Self { base, bytes, origin: Origin::Mapped })
    }

    /// Only meaningful once the pages were touched.
    pub fn page_mode(&self) -> PageMode {
        match self.origin {
            Origin::Hooks(_) => PageMode::Hooks,
            Origin::Hugetlb => PageMode::Hugetlb,
            // No room for a huge page: not worth a look at all mappings of the process.
            Origin::Mapped if self.bytes < HUGE_FROM => PageMode::Small,
            Origin::Mapped => pages::mode_at(self.base.addr().get()),
        }
    }
}

// SAFETY: a region is an address and how to give it back, which the hooks allow from any thread; what lies in it belongs to
// the arrays, each of which has a part of its own.
unsafe impl Send for Region {}
// SAFETY: as above; nothing of a region is changed through a shared one.
unsafe impl Sync for Region {}

impl Drop for Region {
    fn drop(&mut self) {
        match self.origin {
            Origin::Hugetlb | Origin::Mapped => unmap(self.base, self.bytes),
            Origin::Hooks(hooks) => {
                // SAFETY: the memory came from these hooks with this size, and goes back once.
                unsafe { (hooks.free)(hooks.context, self.base.as_ptr().cast(), self.bytes) }
            }
        }
    }
}

fn map(bytes: usize, flags: libc::c_int) -> Option<NonNull<u8>> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | flags;
    // SAFETY: a new anonymous mapping wherever the kernel likes touches no memory that is in use.
    let base =
        unsafe { libc::mmap(ptr::null_mut(), bytes, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    if base == libc::MAP_FAILED { None } else { NonNull::new(base.cast()) }
}

fn unmap(base: NonNull<u8>, bytes: usize) {
    if bytes > 0 {
        // SAFETY: callers pass a part of a mapping of their own that nothing refers to any more.
        unsafe { libc::munmap(base.as_ptr().cast(), bytes) };
    }
}

/// Asks for the pages to lie on a NUMA node. A preference: where it cannot be had the kernel takes another node.
fn bind(base: NonNull<u8>, bytes: usize, socket: i32) {
    const PREFERRED: libc::c_ulong = 1;
    let Ok(node @ 0..64) = u32::try_from(socket) else { return };
    let nodes: u64 = 1 << node;
    // SAFETY: the range is a mapping of ours and `nodes` is the 64-bit mask that the call is told of.
    unsafe { libc::syscall(libc::SYS_mbind, base.as_ptr(), bytes, PREFERRED, &raw const nodes, 65u64, 0u64) };
}
