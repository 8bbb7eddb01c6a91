//! What a firewall announced last of what its death would cost: read from the file that it keeps and that outlives it.

use std::path::Path;

use serde::Serialize;

use crate::failure::{Because, Outcome, fail};

const TITLE: &[u8] = b"pfplane exposure 1\n";
const HEADER: usize = 64;
const LANE: usize = 64;
/// Words of a lane: creations, changes, age of the oldest in nanoseconds, connections told of in frames on their way.
const WORD: usize = 8;

/// The sum over the lanes; of the age the greatest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Exposure {
    /// Connections that would break: no frame that has left tells of them.
    pub connections: u64,
    /// States with another change that nobody was told of; these live.
    pub changes: u64,
    /// How long the oldest of both had waited, about.
    pub oldest_ns: u64,
}

impl Exposure {
    /// What the file says.
    pub fn read(path: &Path) -> Outcome<Exposure> {
        let bytes = std::fs::read(path).because(|| format!("read {}", path.display()))?;
        let Some(exposure) = Exposure::parse(&bytes) else {
            return fail(format!("{} is not a file that a firewall keeps its exposure in", path.display()));
        };
        Ok(exposure)
    }

    fn parse(bytes: &[u8]) -> Option<Exposure> {
        let lanes = usize::try_from(word(bytes, 32)?).ok()?;
        if !bytes.starts_with(TITLE) || bytes.len() != HEADER + lanes.checked_mul(LANE)? {
            return None;
        }
        let mut sum = Exposure::default();
        for lane in (HEADER..bytes.len()).step_by(LANE) {
            let number = |index: usize| word(bytes, lane + index * WORD);
            sum.connections += number(0)? + number(3)?;
            sum.changes += number(1)?;
            sum.oldest_ns = sum.oldest_ns.max(number(2)?);
        }
        Some(sum)
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at + WORD)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(lanes: &[[u64; 4]]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER + lanes.len() * LANE];
        bytes[..TITLE.len()].copy_from_slice(TITLE);
        bytes[32..40].copy_from_slice(&(lanes.len() as u64).to_ne_bytes());
        for (lane, numbers) in lanes.iter().enumerate() {
            for (index, number) in numbers.iter().enumerate() {
                let at = HEADER + lane * LANE + index * WORD;
                bytes[at..at + WORD].copy_from_slice(&number.to_ne_bytes());
            }
        }
        bytes
    }

    #[test]
    fn what_waits_in_a_frame_is_exposed_like_what_waits_for_one() {
        let bytes = file(&[[2, 5, 40, 0], [1, 1, 90, 3]]);
        let sum = Exposure { connections: 6, changes: 6, oldest_ns: 90 };
        assert_eq!(Exposure::parse(&bytes), Some(sum));
    }

    #[test]
    fn a_file_that_is_cut_off_or_of_another_kind_is_refused() {
        let bytes = file(&[[0; 4]; 2]);
        assert_eq!(Exposure::parse(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Exposure::parse(&[]), None);
        let mut other = bytes;
        other[0] = b'q';
        assert_eq!(Exposure::parse(&other), None);
    }
}
