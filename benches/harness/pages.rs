//! An allocator that gives all contenders the same pages: large allocations start on a huge page and request huge pages.

use std::alloc::{GlobalAlloc, Layout, System};

/// The system's allocator, with huge pages for large allocations.
pub(crate) struct HugePages;

const HUGE: usize = 2 << 20;
/// Size of the smallest large allocation. `peers/maps.h` has the same value for the C++ maps.
const MIN_LARGE: usize = 64 << 10;

// SAFETY: `alloc` and `dealloc` forward to the system's allocator with the same layout; large allocations use a stricter
// alignment in both.
unsafe impl GlobalAlloc for HugePages {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let layout = stricter(layout);
        // SAFETY: the caller's layout has a size above zero, and so has the stricter one.
        let memory = unsafe { System.alloc(layout) };
        if layout.align() >= HUGE && !memory.is_null() {
            // SAFETY: the range was just allocated; the advice changes no contents.
            unsafe { libc::madvise(memory.cast(), layout.size(), libc::MADV_HUGEPAGE) };
        }
        memory
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the memory came from `alloc`, which used the same stricter layout.
        unsafe { System.dealloc(memory, stricter(layout)) }
    }
}

/// Returns the percentage of the process' memory that really is on huge pages. `None` when the kernel does not report it.
pub(crate) fn huge_percent() -> Option<u64> {
    let all = std::fs::read_to_string("/proc/self/smaps_rollup").ok()?;
    let kilobytes = |name: &str| -> Option<u64> {
        let line = all.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    };
    Some(kilobytes("AnonHugePages:")? * 100 / kilobytes("Anonymous:")?.max(1))
}

fn stricter(layout: Layout) -> Layout {
    if layout.size() < MIN_LARGE {
        return layout;
    }
    Layout::from_size_align(layout.size().next_multiple_of(HUGE), HUGE).unwrap_or(layout)
}
