//! The same pages for all contenders: large allocations of the whole process start on a huge page and ask for more.

use std::alloc::{GlobalAlloc, Layout, System};

/// The system's allocator, with huge pages under everything that is large.
pub struct HugePages;

const HUGE: usize = 2 << 20;
/// From this size on an allocation is large; `peers/maps.h` has the same for the maps of C++.
const LARGE: usize = 64 << 10;

// SAFETY: every call is passed on to the system's allocator with the same layout in `alloc` and `dealloc`; large ones
// only get a stricter alignment in both.
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

/// How much of the process' memory lies on huge pages, in percent, as the kernel says; asking for them is not having them.
/// None where it does not say.
pub fn huge_percent() -> Option<u64> {
    let all = std::fs::read_to_string("/proc/self/smaps_rollup").ok()?;
    let kilobytes = |name: &str| -> Option<u64> {
        let line = all.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.parse().ok()
    };
    Some(kilobytes("AnonHugePages:")? * 100 / kilobytes("Anonymous:")?.max(1))
}

fn stricter(layout: Layout) -> Layout {
    if layout.size() < LARGE {
        return layout;
    }
    Layout::from_size_align(layout.size().next_multiple_of(HUGE), HUGE).unwrap_or(layout)
}
