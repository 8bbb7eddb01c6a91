//! The pages that really back a mapping: the kernel may ignore the advice to use huge pages.

use std::fs::File;
use std::io::{BufRead, BufReader};

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
pub(super) fn mode_at(address: usize) -> PageMode {
    if cfg!(miri) {
        return PageMode::Small;
    }
    let Ok(file) = File::open("/proc/self/smaps") else { return PageMode::Small };
    mode_in(BufReader::new(file).lines().map_while(Result::ok), address)
}

fn mode_in(lines: impl Iterator<Item = String>, address: usize) -> PageMode {
    let mut lines =
        lines.skip_while(|line| !range_of(line).is_some_and(|(start, end)| (start..end).contains(&address)));
    let (mut resident, mut huge) = (0, 0);
    for line in lines.by_ref().skip(1).take_while(|line| range_of(line).is_none()) {
        resident = kilobytes(&line, "Rss:").unwrap_or(resident);
        huge = kilobytes(&line, "AnonHugePages:").unwrap_or(huge);
    }
    if huge > 0 && huge >= resident / 10 * 9 { PageMode::Transparent } else { PageMode::Small }
}

/// Parses the address range in a mapping's first line, as in `7f0000000000-7f0000200000 rw-p ...`.
fn range_of(line: &str) -> Option<(usize, usize)> {
    let (start, end) = line.split_once(' ')?.0.split_once('-')?;
    Some((usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
}

fn kilobytes(line: &str, name: &str) -> Option<u64> {
    line.strip_prefix(name)?.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

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
        mode_in(SMAPS.lines().map(str::to_owned), address)
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
        assert_eq!(mode_in(["garbage".to_owned(), "-".to_owned()].into_iter(), 0), PageMode::Small);
    }
}
