//! Ages of queued compressed updates: how many at the head of the queue are due.
//!
//! Entries are queued in time order, so the records need no clock: entries of about the same age are counted together.
//! An entry removed from the middle is subtracted from the newest count, so an error sends others early, never late.

use crate::time::Nanos;

const GROUPS: usize = 16;
/// Groups per age: the resolution.
const GROUPS_PER_AGE: u64 = 8;

#[derive(Clone, Copy, Debug, Default)]
struct Group {
    began: Nanos,
    count: u32,
}

/// Counts of the entries of one queue by age.
#[derive(Debug)]
pub(super) struct Aging {
    age: Nanos,
    /// Entries at the head of the queue that go into the next frame.
    due: u32,
    /// When that frame is due at the latest.
    due_at: Nanos,
    groups: [Group; GROUPS],
    first: usize,
    len: usize,
}

impl Aging {
    pub(super) const fn new(age: Nanos) -> Self {
        Self {
            age,
            due: 0,
            due_at: Nanos::MAX,
            groups: [Group { began: 0, count: 0 }; GROUPS],
            first: 0,
            len: 0,
        }
    }

    /// Sets the age at which entries are due, also for those that wait.
    pub(super) const fn set_age(&mut self, age: Nanos) {
        self.age = age;
    }

    pub(super) const fn due(&self) -> u32 {
        self.due
    }

    /// When the next entry is due; `Nanos::MAX` when none waits.
    pub(super) fn deadline(&self) -> Nanos {
        match (self.due, self.len) {
            (1.., _) => self.due_at,
            (0, 0) => Nanos::MAX,
            _ => self.groups[self.first].began.saturating_add(self.age),
        }
    }

    /// When the oldest entry that is not due was queued.
    pub(super) fn oldest(&self) -> Option<Nanos> {
        (self.len > 0).then(|| self.groups[self.first].began)
    }

    /// Counts an entry added at the end.
    pub(super) fn push(&mut self, now: Nanos) {
        if self.len > 0 {
            let newest = &mut self.groups[(self.first + self.len - 1) % GROUPS];
            if now.saturating_sub(newest.began) < self.age / GROUPS_PER_AGE || self.len == GROUPS {
                newest.count += 1;
                return;
            }
        }
        self.groups[(self.first + self.len) % GROUPS] = Group { began: now, count: 1 };
        self.len += 1;
    }

    /// Counts an entry added at the head, due at a time.
    pub(super) fn push_due(&mut self, at: Nanos) {
        self.due += 1;
        self.hasten(at);
    }

    /// Sends the entries that are due at this time at the latest.
    pub(super) fn hasten(&mut self, at: Nanos) {
        self.due_at = self.due_at.min(at);
    }

    /// Counts an entry removed from anywhere.
    pub(super) fn remove(&mut self) {
        if self.len == 0 {
            return self.take_due(1);
        }
        let newest = (self.first + self.len - 1) % GROUPS;
        self.groups[newest].count -= 1;
        if self.groups[newest].count == 0 {
            self.len -= 1;
        }
    }

    /// Counts `count` due entries taken from the head.
    pub(super) fn take_due(&mut self, count: u32) {
        self.due = self.due.saturating_sub(count);
        if self.due == 0 {
            self.due_at = Nanos::MAX;
        }
    }

    /// Makes the entries due that have reached the age.
    pub(super) fn advance(&mut self, now: Nanos) {
        while self.len > 0 && now.saturating_sub(self.groups[self.first].began) >= self.age {
            self.due += self.groups[self.first].count;
            self.due_at = 0;
            self.first = (self.first + 1) % GROUPS;
            self.len -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_entry_is_due_at_its_age_within_an_eighth() {
        let mut aging = Aging::new(800);
        for now in 0..1000 {
            aging.push(now);
        }
        assert_eq!(aging.deadline(), 800);
        for now in (800..1800).step_by(50) {
            aging.advance(now);
            let exact = u32::try_from(now - 799).unwrap();
            assert!(aging.due() >= exact.min(1000) && aging.due() <= exact + 100, "{} at {now}", aging.due());
        }
        aging.take_due(1000);
        assert_eq!(aging.deadline(), Nanos::MAX);
    }

    #[test]
    fn an_entry_removed_from_the_middle_makes_no_other_late() {
        let mut aging = Aging::new(800);
        (0..3).for_each(|_| aging.push(0));
        (0..2).for_each(|_| aging.push(700));
        (0..4).for_each(|_| aging.remove());
        aging.advance(800);
        assert_eq!(aging.due(), 1);
        aging.remove();
        assert_eq!(aging.due(), 0);
    }

    #[test]
    fn a_host_that_does_not_flush_for_long_loses_no_count() {
        let mut aging = Aging::new(8);
        (0..1000).for_each(|now| aging.push(now));
        aging.advance(2000);
        assert_eq!(aging.due(), 1000);
    }

    #[test]
    fn an_entry_moved_to_the_head_is_due_at_once() {
        let mut aging = Aging::new(800);
        aging.push(5);
        aging.push_due(90);
        assert_eq!(aging.deadline(), 90);
        aging.push_due(0);
        assert_eq!(aging.deadline(), 0);
        aging.take_due(1);
        aging.take_due(1);
        assert_eq!(aging.deadline(), 805);
    }
}
