//! One block of memory from the host's hooks or from the kernel, freed on drop.

use super::SMALL_PAGE;
use super::allocator::Hooks;
use super::pages::{self, PageMode};
use core::ptr::{self, NonNull};

pub(super) const HUGE_PAGE: usize = 2 << 20;
/// Smaller blocks are mapped on small pages.
const MIN_HUGE: usize = HUGE_PAGE / 2;

#[derive(Debug)]
enum Origin {
    Hooks(Hooks),
    Hugetlb,
    Mapped,
}

/// A block of memory, freed on drop.
#[derive(Debug)]
pub(super) struct Region {
    pub base: NonNull<u8>,
    /// As requested from the hooks, or as mapped.
    pub bytes: usize,
    origin: Origin,
}

impl Region {
    /// Allocates from the hooks with this alignment, or maps.
    pub(super) fn allocate(hooks: Option<Hooks>, bytes: usize, align: usize, socket: i32) -> Option<Self> {
        match hooks {
            Some(hooks) => Self::from_hooks(hooks, bytes, align, socket),
            None if is_huge(bytes) => {
                let rounded = mapped_bytes(bytes);
                Self::hugetlb(rounded, socket).or_else(|| Self::transparent(rounded, socket))
            }
            None => Self::small(mapped_bytes(bytes), socket),
        }
    }

    /// Takes over a block that [`Self::allocate`] returned for `bytes`.
    ///
    /// # Safety
    /// `base` is that of such a block, with the same hooks, and nobody else frees it.
    pub(super) unsafe fn from_parts(hooks: Option<Hooks>, base: NonNull<u8>, bytes: usize) -> Self {
        match hooks {
            Some(hooks) => Self { base, bytes, origin: Origin::Hooks(hooks) },
            None => Self { base, bytes: mapped_bytes(bytes), origin: Origin::Mapped },
        }
    }

    fn from_hooks(hooks: Hooks, bytes: usize, align: usize, socket: i32) -> Option<Self> {
        // SAFETY: the caller of `Hooks::new` guaranteed that the hook may be called like this.
        let memory = unsafe { (hooks.alloc)(hooks.context, bytes, align, socket) };
        Some(Self { base: NonNull::new(memory.cast())?, bytes, origin: Origin::Hooks(hooks) })
    }

    fn hugetlb(bytes: usize, socket: i32) -> Option<Self> {
        let base = map(bytes, libc::MAP_HUGETLB)?;
        bind(base, bytes, socket);
        Some(Self { base, bytes, origin: Origin::Hugetlb })
    }

    /// Maps memory that starts on a huge page, and advises the kernel to use huge pages for it.
    fn transparent(bytes: usize, socket: i32) -> Option<Self> {
        let base = map(bytes + HUGE_PAGE, 0)?;
        let head = base.as_ptr().align_offset(HUGE_PAGE);
        let tail = HUGE_PAGE - head;
        let aligned = NonNull::new(base.as_ptr().wrapping_add(head))?;
        unmap(base, head);
        unmap(NonNull::new(aligned.as_ptr().wrapping_add(bytes))?, tail);
        bind(aligned, bytes, socket);
        // SAFETY: the range is our own mapping; the advice changes no contents.
        unsafe { libc::madvise(aligned.as_ptr().cast(), bytes, libc::MADV_HUGEPAGE) };
        Some(Self { base: aligned, bytes, origin: Origin::Mapped })
    }

    fn small(bytes: usize, socket: i32) -> Option<Self> {
        let base = map(bytes, 0)?;
        bind(base, bytes, socket);
        Some(Self { base, bytes, origin: Origin::Mapped })
    }

    /// Returns the pages that back the block. Only meaningful once they were touched.
    pub(super) fn page_mode(&self) -> PageMode {
        match self.origin {
            Origin::Hooks(_) => PageMode::Hooks,
            Origin::Hugetlb => PageMode::Hugetlb,
            // Too small for a huge page: saves reading the list of mappings.
            Origin::Mapped if self.bytes < MIN_HUGE => PageMode::Small,
            Origin::Mapped => pages::mode_at(self.base.addr().get()),
        }
    }
}

// SAFETY: a region is an address and the way to free it, which the hooks allow from any thread; its contents belong to the
// arrays, each of which has its own part.
unsafe impl Send for Region {}
// SAFETY: as above; nothing changes through a shared region.
unsafe impl Sync for Region {}

impl Drop for Region {
    fn drop(&mut self) {
        match self.origin {
            Origin::Hugetlb | Origin::Mapped => unmap(self.base, self.bytes),
            Origin::Hooks(hooks) => {
                // SAFETY: the memory came from these hooks with this size, and is freed once.
                unsafe { (hooks.free)(hooks.context, self.base.as_ptr().cast(), self.bytes) }
            }
        }
    }
}

const fn is_huge(bytes: usize) -> bool {
    bytes >= MIN_HUGE && !cfg!(miri)
}

/// Returns the size of the mapping for `bytes`.
const fn mapped_bytes(bytes: usize) -> usize {
    bytes.next_multiple_of(if is_huge(bytes) { HUGE_PAGE } else { SMALL_PAGE })
}

/// Writes to every page of a new block, so that no later access faults.
pub(super) fn touch(base: NonNull<u8>, bytes: usize) {
    for offset in (0..bytes).step_by(SMALL_PAGE).chain(bytes.checked_sub(1)) {
        // SAFETY: the offset is within the block.
        let page = unsafe { base.add(offset) };
        // SAFETY: a byte of the block, whose contents nobody has set yet.
        unsafe { page.write_volatile(0) };
    }
}

fn map(bytes: usize, flags: libc::c_int) -> Option<NonNull<u8>> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | flags;
    // SAFETY: a new anonymous mapping at an address of the kernel's choice touches no memory in use.
    let base =
        unsafe { libc::mmap(ptr::null_mut(), bytes, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    if base == libc::MAP_FAILED { None } else { NonNull::new(base.cast()) }
}

fn unmap(base: NonNull<u8>, bytes: usize) {
    if bytes > 0 {
        // SAFETY: callers pass a part of their own mapping that nothing refers to any more.
        unsafe { libc::munmap(base.as_ptr().cast(), bytes) };
    }
}

/// Sets the preferred NUMA node of the pages. The kernel uses another node when this one has no memory.
fn bind(base: NonNull<u8>, bytes: usize, socket: i32) {
    const PREFERRED: libc::c_ulong = 1;
    let Ok(node @ 0..64) = u32::try_from(socket) else { return };
    let nodes: u64 = 1 << node;
    // SAFETY: the range is our own mapping, and `nodes` is a mask of the 64 bits that are passed.
    unsafe { libc::syscall(libc::SYS_mbind, base.as_ptr(), bytes, PREFERRED, &raw const nodes, 65u64, 0u64) };
}
