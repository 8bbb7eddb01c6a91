//! The file in which a firewall publishes its exposure: what its death would lose now. The file outlives the process.

use std::path::Path;

use serde::Serialize;

use crate::failure::{Context, Fallible, fail};

const TITLE: &[u8] = b"pfplane exposure 1\n";
const HEADER_BYTES: usize = 64;
const LANE_BYTES: usize = 64;
/// A lane's words: creations, changes, age of the oldest in nanoseconds, connections in frames not sent yet.
const WORD_BYTES: usize = 8;

/// The sum over all lanes, the maximum for the age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Exposure {
    /// New connections that the peer has not been sent: these would be lost.
    pub connections: u64,
    /// States with another change that is not sent yet: these would survive.
    pub changes: u64,
    /// The approximate age of the oldest such change.
    pub oldest_ns: u64,
}

impl Exposure {
    /// Reads the file.
    pub fn read(path: &Path) -> Fallible<Exposure> {
        let bytes = std::fs::read(path).context(|| format!("read {}", path.display()))?;
        let Some(exposure) = Exposure::parse(&bytes) else {
            return fail(format!("{} is not an exposure file", path.display()));
        };
        Ok(exposure)
    }

    fn parse(bytes: &[u8]) -> Option<Exposure> {
        let lanes = usize::try_from(word(bytes, 32)?).ok()?;
        if !bytes.starts_with(TITLE) || bytes.len() != HEADER_BYTES + lanes.checked_mul(LANE_BYTES)? {
            return None;
        }
        let mut sum = Exposure::default();
        for lane in (HEADER_BYTES..bytes.len()).step_by(LANE_BYTES) {
            let number = |index: usize| word(bytes, lane + index * WORD_BYTES);
            sum.connections += number(0)? + number(3)?;
            sum.changes += number(1)?;
            sum.oldest_ns = sum.oldest_ns.max(number(2)?);
        }
        Some(sum)
    }
}

fn word(bytes: &[u8], offset: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(offset..offset + WORD_BYTES)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(lanes: &[[u64; 4]]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[..TITLE.len()].copy_from_slice(TITLE);
        bytes[32..40].copy_from_slice(&(lanes.len() as u64).to_ne_bytes());
        for lane in lanes {
            bytes.extend(lane.iter().chain(&[0; 4]).flat_map(|number| number.to_ne_bytes()));
        }
        bytes
    }

    #[test]
    fn connections_in_unsent_frames_count_as_exposed() {
        let bytes = file(&[[2, 5, 40, 0], [1, 1, 90, 3]]);
        let sum = Exposure { connections: 6, changes: 6, oldest_ns: 90 };
        assert_eq!(Exposure::parse(&bytes), Some(sum));
    }

    #[test]
    fn a_truncated_or_foreign_file_is_refused() {
        let bytes = file(&[[0; 4]; 2]);
        assert_eq!(Exposure::parse(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Exposure::parse(&[]), None);
        let mut other = bytes;
        other[0] = b'q';
        assert_eq!(Exposure::parse(&other), None);
    }
}
