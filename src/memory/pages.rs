//! The pages that really back a mapping: the kernel may ignore the advice to use huge pages. And the pages of the code, which
//! are mapped when an engine or a replica is created, not by its first packets.

use super::SMALL_PAGE;
use core::ffi::{c_int, c_void};
use core::ptr;
use std::fs::File;
use std::io::Read;

/// The pages that back an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageMode {
    /// Unknown: the memory came from the host's allocator.
    Hooks,
    /// Reserved huge pages.
    Hugetlb,
    /// Transparent huge pages under at least nine tenths of the mapping.
    Transparent,
    /// Small pages. Lookups outside the cache take two to four times as long.
    Small,
}

impl PageMode {
    /// Returns the name for statistics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hooks => "host",
            Self::Hugetlb => "hugetlb",
            Self::Transparent => "transparent",
            Self::Small => "small",
        }
    }
}

/// Reads the page mode of the mapping that contains `address`. Reports small pages when the kernel gives no answer.
#[inline(never)]
pub(super) fn mode_at(address: usize) -> PageMode {
    if cfg!(miri) {
        return PageMode::Small;
    }
    let Ok(file) = File::open("/proc/self/smaps") else { return PageMode::Small };
    mode_in(file, address)
}

/// Reads the list of mappings line by line, without allocating. The names of long lines are cut.
fn mode_in(mut list: impl Read, address: usize) -> PageMode {
    let mut mapping = Mapping::default();
    let (mut buffer, mut filled) = ([0; 512], 0);
    loop {
        let read = list.read(&mut buffer[filled..]).unwrap_or(0);
        filled += read;
        let mut start = 0;
        while let Some(length) = buffer[start..filled].iter().position(|byte| *byte == b'\n') {
            if mapping.read_line(&buffer[start..start + length], address) {
                return mapping.mode();
            }
            start += length + 1;
        }
        if read == 0 {
            return mapping.mode();
        }
        if start == 0 && filled == buffer.len() {
            // The rest of the line becomes a line of its own, which means nothing.
            mapping.read_line(&buffer, address);
            start = filled;
        }
        buffer.copy_within(start..filled, 0);
        filled -= start;
    }
}

/// What the list says about the mapping of an address.
#[derive(Default)]
struct Mapping {
    is_found: bool,
    resident_kb: u64,
    huge_kb: u64,
}

impl Mapping {
    /// Reads one line. Returns true at the line behind the mapping.
    fn read_line(&mut self, line: &[u8], address: usize) -> bool {
        let line = str::from_utf8(line).unwrap_or("");
        match range_of(line) {
            Some(_) if self.is_found => return true,
            Some((start, end)) => self.is_found = (start..end).contains(&address),
            None if self.is_found => {
                self.resident_kb = kilobytes(line, "Rss:").unwrap_or(self.resident_kb);
                self.huge_kb = kilobytes(line, "AnonHugePages:").unwrap_or(self.huge_kb);
            }
            None => {}
        }
        false
    }

    const fn mode(&self) -> PageMode {
        let is_huge = self.huge_kb > 0 && self.huge_kb >= self.resident_kb / 10 * 9;
        if is_huge { PageMode::Transparent } else { PageMode::Small }
    }
}

/// Parses the address range in a mapping's first line, as in `7f0000000000-7f0000200000 rw-p ...`.
fn range_of(line: &str) -> Option<(usize, usize)> {
    let (start, end) = line.split_once(' ')?.0.split_once('-')?;
    Some((usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
}

fn kilobytes(line: &str, name: &str) -> Option<u64> {
    line.strip_prefix(name)?.trim().strip_suffix(" kB")?.parse().ok()
}

/// Maps all pages of the program or library that contains this code, in one call for each of its segments. Does nothing on
/// kernels before Linux 5.14, which lack the call.
pub(crate) fn populate_code() {
    if cfg!(miri) {
        return;
    }
    // SAFETY: the function has the expected signature, and uses no context.
    unsafe { libc::dl_iterate_phdr(Some(populate_own), ptr::null_mut()) };
}

/// Maps the pages of an object if it contains this function. Returns 1 to end the walk.
unsafe extern "C" fn populate_own(object: *mut libc::dl_phdr_info, _: usize, _: *mut c_void) -> c_int {
    let own = (populate_code as *const ()).addr();
    // SAFETY: the loader passes a valid description.
    let object = unsafe { &*object };
    if object.dlpi_phdr.is_null() {
        return 0;
    }
    // SAFETY: the loader's program headers, which stay as long as the object is loaded.
    let headers = unsafe { core::slice::from_raw_parts(object.dlpi_phdr, object.dlpi_phnum.into()) };
    let segments = headers.iter().filter(|header| header.p_type == libc::PT_LOAD).map(|header| {
        let start = object.dlpi_addr.wrapping_add(header.p_vaddr) as usize;
        (start, start.saturating_add(header.p_memsz as usize))
    });
    if !segments.clone().any(|(start, end)| (start..end).contains(&own)) {
        return 0;
    }
    for (start, end) in segments {
        let first = start - start % SMALL_PAGE;
        // SAFETY: asks the kernel to map pages that a read would map; it refuses what is no mapping.
        unsafe { libc::madvise(ptr::without_provenance_mut(first), end - first, libc::MADV_POPULATE_READ) };
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(not(miri))]
    use std::fs::read_to_string;
    #[cfg(not(miri))]
    use std::os::unix::fs::FileExt;

    const SMAPS: &str = "\
        7f0000000000-7f0000400000 rw-p 00000000 00:00 0\n\
        Size:               4096 kB\n\
        Rss:                4096 kB\n\
        AnonHugePages:      4096 kB\n\
        7f0000400000-7f0000800000 rw-p 00000000 00:00 0\n\
        Rss:                4096 kB\n\
        AnonHugePages:      2048 kB\n\
        VmFlags: rd wr mr mw me ac sd\n\
        7f0000800000-7f0000801000 rw-p 00000000 00:00 0   [heap]\n\
        Rss:                   4 kB\n";

    fn at(address: usize) -> PageMode {
        mode_in(SMAPS.as_bytes(), address)
    }

    #[test]
    fn the_page_mode_is_that_of_the_mapping_around_the_address() {
        assert_eq!(at(0x7f00_0000_0000), PageMode::Transparent);
        assert_eq!(at(0x7f00_003f_ffff), PageMode::Transparent);
        assert_eq!(at(0x7f00_0040_0000), PageMode::Small);
        assert_eq!(at(0x7f00_0080_0fff), PageMode::Small);
    }

    #[test]
    fn an_unknown_address_counts_as_small_pages() {
        assert_eq!(at(0x1000), PageMode::Small);
        assert_eq!(mode_in(&b"garbage\n-\n"[..], 0), PageMode::Small);
        assert_eq!(mode_in(&b"7f00-7f01 x"[..], 0x7f00), PageMode::Small);
    }

    #[test]
    fn a_line_longer_than_the_buffer_is_cut() {
        let long = SMAPS.replacen("00:00 0\n", &format!("00:00 0 {}\n", "x".repeat(5000)), 1);
        for address in [0x7f00_0000_0000, 0x7f00_0040_0000] {
            assert_eq!(mode_in(long.as_bytes(), address), at(address));
        }
    }

    #[cfg(not(miri))]
    /// Whether the pages from `first` to `end` are mapped, as the kernel lists them.
    fn mapped(first: usize, end: usize) -> Vec<bool> {
        const PRESENT: u64 = 1 << 63;
        let pages = (first / 4096)..(end / 4096);
        let mut entries = vec![0; 8 * pages.len()];
        let list = File::open("/proc/self/pagemap").unwrap();
        list.read_exact_at(&mut entries, 8 * pages.start as u64).unwrap();
        entries.chunks(8).map(|entry| u64::from_ne_bytes(entry.try_into().unwrap()) & PRESENT != 0).collect()
    }

    #[test]
    #[cfg(not(miri))]
    fn all_pages_of_the_code_are_mapped() {
        populate_code();
        let own = (populate_code as *const ()).addr();
        let maps = read_to_string("/proc/self/maps").unwrap();
        let ranges = maps.lines().filter_map(|line| line.split_once(' ')?.0.split_once('-'));
        let range = ranges
            .map(|(first, end)| [first, end].map(|text| usize::from_str_radix(text, 16).unwrap()))
            .find(|[first, end]| (*first..*end).contains(&own));
        let [first, end] = range.expect("the mapping of this code");
        let mapped = mapped(first, end);
        assert!(mapped.len() > 100, "{} pages", mapped.len());
        assert_eq!(mapped.iter().filter(|is_mapped| !**is_mapped).count(), 0, "of {}", mapped.len());
    }
}
