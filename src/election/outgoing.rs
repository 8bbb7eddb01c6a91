//! Frames that wait to be sent. They are built one at a time when the host takes them, so that nothing is stored.

use super::member::{Announced, Member};
use crate::time::Nanos;

/// A round of adverts: one on each member, to each receiver.
#[derive(Debug, Default)]
pub(super) struct Round {
    announced: Option<Announced>,
    members: u32,
    receiver: usize,
    is_last: bool,
}

impl Round {
    /// Begins a round, in place of what was left of the one before.
    pub(super) fn begin(&mut self, announced: Announced, members: u32, is_last: bool) {
        *self = Self { announced: Some(announced), members, receiver: 0, is_last };
    }

    pub(super) fn cancel(&mut self) {
        self.members = 0;
    }

    /// Returns the next advert: member, receiver, contents, and whether it is the last word of a master.
    pub(super) fn next(&mut self, members: &[Member]) -> Option<(usize, usize, Announced, bool)> {
        let announced = self.announced?;
        while self.members != 0 {
            let index = self.members.trailing_zeros() as usize;
            if self.receiver < members[index].receivers() {
                self.receiver += 1;
                return Some((index, self.receiver - 1, announced, self.is_last));
            }
            self.receiver = 0;
            self.members &= self.members - 1;
        }
        None
    }
}

/// When the addresses are announced after a node has become master, and after that by the setting.
const REPEATS: [Nanos; 2] = [100_000_000, 900_000_000];

/// Announces all addresses of all members: at once, after 100 ms, after one second, and then every so often.
#[derive(Debug)]
pub(super) struct Announcer {
    every: Nanos,
    due: Option<Nanos>,
    step: usize,
    /// The next member and address, while a turn lasts.
    cursor: Option<(usize, usize)>,
}

impl Announcer {
    /// `every` is 0 for never again.
    pub(super) const fn new(every: Nanos) -> Self {
        Self { every, due: None, step: 0, cursor: None }
    }

    pub(super) const fn begin(&mut self, now: Nanos) {
        (self.due, self.step, self.cursor) = (Some(now), 0, None);
    }

    /// Announces once more at `at`, and again after that, because another master may have spoken last.
    pub(super) const fn after_conflict(&mut self, at: Nanos) {
        (self.due, self.step) = (Some(at), 0);
    }

    pub(super) const fn stop(&mut self) {
        (self.due, self.cursor) = (None, None);
    }

    pub(super) const fn due(&self) -> Option<Nanos> {
        self.due
    }

    /// Begins a turn if it is time.
    pub(super) fn poll(&mut self, now: Nanos) {
        if self.due.is_none_or(|due| now < due) {
            return;
        }
        self.cursor = Some((0, 0));
        let wait = REPEATS.get(self.step).copied().or((self.every > 0).then_some(self.every));
        self.due = wait.map(|wait| now.saturating_add(wait));
        self.step = (self.step + 1).min(REPEATS.len());
    }

    /// Returns the next member and address to announce.
    pub(super) fn next(&mut self, members: &[Member]) -> Option<(usize, usize)> {
        loop {
            let (member, address) = self.cursor?;
            let Some(here) = members.get(member) else {
                self.cursor = None;
                return None;
            };
            if here.is_up() && address < here.addresses.len() {
                self.cursor = Some((member, address + 1));
                return Some((member, address));
            }
            self.cursor = Some((member + 1, 0));
        }
    }
}
