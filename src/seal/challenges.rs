//! The challenges that a peer must return.

use super::cipher::expand;
use crate::time::{NANOS_PER_SECOND, Nanos};
use core::fmt;
use zeroize::Zeroize;

/// Challenges that are valid at the same time.
const COUNT: usize = 3;
/// Interval between two challenges.
const INTERVAL: Nanos = NANOS_PER_SECOND;
/// How long a challenge is valid.
const VALIDITY: Nanos = 3 * NANOS_PER_SECOND;

/// A secret of this run.
pub(super) struct RunSecret(pub [u8; 32]);

impl Drop for RunSecret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for RunSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RunSecret")
    }
}

/// A challenge.
#[derive(Clone, Copy, Debug)]
struct Challenge {
    number: u64,
    drawn: Nanos,
    /// It was drawn before the peer's epoch was proven, so it proves streams of that epoch only.
    for_streams: bool,
}

/// The challenges for one peer.
#[derive(Debug)]
pub(super) struct Challenges {
    peer: u8,
    /// How many were drawn.
    drawn: u64,
    /// The newest first.
    recent: [Option<Challenge>; COUNT],
}

impl Challenges {
    pub(super) const fn new(peer: u8) -> Self {
        Self { peer, drawn: 0, recent: [None; COUNT] }
    }

    /// Draws a new challenge if the newest one is a second old. Returns it.
    pub(super) fn step(&mut self, secret: &RunSecret, now: Nanos) -> Option<u64> {
        let is_recent = |challenge: Challenge| now.saturating_sub(challenge.drawn) < INTERVAL;
        if self.recent[0].is_some_and(is_recent) { None } else { Some(self.draw(secret, now)) }
    }

    /// Notes that an epoch was proven, and draws a new challenge, which it returns. No older one proves another epoch, so frames
    /// of two epochs cannot be replayed in turns. Those drawn since the epoch before still prove streams of this one, whose lanes
    /// do not have the new challenge yet. None of their frames was accepted before: this epoch was not proven meanwhile.
    pub(super) fn replace(&mut self, secret: &RunSecret, now: Nanos) -> u64 {
        for recent in &mut self.recent {
            *recent = recent.filter(|challenge| !challenge.for_streams);
            if let Some(challenge) = recent {
                challenge.for_streams = true;
            }
        }
        self.draw(secret, now)
    }

    fn draw(&mut self, secret: &RunSecret, now: Nanos) -> u64 {
        self.drawn += 1;
        let mut challenge = [0; 8];
        let info: [&[u8]; 3] = [b"challenge", &[self.peer], &self.drawn.to_be_bytes()];
        expand(&[], &secret.0, &info, &mut challenge);
        // 0 stands for none.
        let number = u64::from_be_bytes(challenge).max(1);
        self.recent.rotate_right(1);
        self.recent[0] = Some(Challenge { number, drawn: now, for_streams: false });
        number
    }

    /// Whether one of these echoes is a valid challenge, for a stream of the proven epoch or for another epoch.
    pub(super) fn are_answered(&self, echoes: &[u64], is_proven: bool, now: Nanos) -> bool {
        let is_valid = |challenge: &&Challenge| {
            now.saturating_sub(challenge.drawn) <= VALIDITY && (is_proven || !challenge.for_streams)
        };
        let mut valid = self.recent.iter().flatten().filter(is_valid);
        valid.any(|challenge| echoes.contains(&challenge.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Nanos = NANOS_PER_SECOND;

    #[test]
    fn a_challenge_is_valid_for_three_seconds_and_proves_one_epoch() {
        let secret = RunSecret([7; 32]);
        let mut challenges = Challenges::new(0);
        let first = challenges.step(&secret, 10 * S).unwrap();
        assert_eq!(challenges.step(&secret, 10 * S + S - 1), None);
        let second = challenges.step(&secret, 11 * S).unwrap();
        assert_ne!(first, second);
        for is_proven in [false, true] {
            assert!(challenges.are_answered(&[5, first], is_proven, 13 * S));
            assert!(!challenges.are_answered(&[first], is_proven, 13 * S + 1));
            assert!(!challenges.are_answered(&[0, 5], is_proven, 13 * S));
        }
        let third = challenges.replace(&secret, 13 * S);
        assert!(!challenges.are_answered(&[first, second], false, 13 * S));
        assert!(challenges.are_answered(&[second], true, 13 * S), "a stream of the same epoch");
        assert!(challenges.are_answered(&[third], false, 13 * S));
        let fourth = challenges.replace(&secret, 13 * S);
        assert!(!challenges.are_answered(&[first, second], true, 13 * S));
        assert!(challenges.are_answered(&[third], true, 13 * S));
        assert!(challenges.are_answered(&[fourth], false, 13 * S));
    }

    #[test]
    fn peers_and_runs_have_different_challenges() {
        let draw = |secret, peer| Challenges::new(peer).replace(&RunSecret(secret), 0);
        let all = [draw([1; 32], 0), draw([1; 32], 1), draw([2; 32], 0)];
        assert!(all[0] != all[1] && all[0] != all[2] && all[1] != all[2]);
    }
}
