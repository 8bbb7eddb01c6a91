//! When a compressed update must leave: how many at the head of its queue are due.
//!
//! The queue is in the order of arrival, so ages need no clock in the record: arrivals of about the same time are counted
//! together, and when their time has come so many more at the head are due. A state that leaves from the middle is taken
//! off the youngest count, so that an error makes others leave early, never late.

use crate::time::Nanos;

const GROUPS: usize = 16;
/// An age is divided into so many groups.
const GRAIN: u64 = 8;

#[derive(Clone, Copy, Debug, Default)]
struct Group {
    began: Nanos,
    count: u32,
}

/// Counts of the entries of one queue by age.
#[derive(Debug)]
pub(super) struct Aging {
    age: Nanos,
    /// At the head of the queue, to leave now.
    due: u32,
    groups: [Group; GROUPS],
    first: usize,
    len: usize,
}

impl Aging {
    pub const fn new(age: Nanos) -> Self {
        Self { age, due: 0, groups: [Group { began: 0, count: 0 }; GROUPS], first: 0, len: 0 }
    }

    /// Ages are measured by this from now on, also of what waits.
    pub const fn set_age(&mut self, age: Nanos) {
        self.age = age;
    }

    pub const fn due(&self) -> u32 {
        self.due
    }

    /// When something will be due, `Nanos::MAX` when nothing waits.
    pub fn deadline(&self) -> Nanos {
        match (self.due, self.len) {
            (1.., _) => 0,
            (0, 0) => Nanos::MAX,
            _ => self.groups[self.first].began.saturating_add(self.age),
        }
    }

    /// When the oldest entry that is not due came, if there is one.
    pub fn oldest(&self) -> Option<Nanos> {
        (self.len > 0).then(|| self.groups[self.first].began)
    }

    /// An entry joined the queue at its end.
    pub fn arrived(&mut self, now: Nanos) {
        if self.len > 0 {
            let youngest = &mut self.groups[(self.first + self.len - 1) % GROUPS];
            if now.saturating_sub(youngest.began) < self.age / GRAIN || self.len == GROUPS {
                youngest.count += 1;
                return;
            }
        }
        self.groups[(self.first + self.len) % GROUPS] = Group { began: now, count: 1 };
        self.len += 1;
    }

    /// An entry joined the queue at its head, to leave now.
    pub fn jumped(&mut self) {
        self.due += 1;
    }

    /// An entry left from anywhere.
    pub fn left(&mut self) {
        if self.len == 0 {
            self.due = self.due.saturating_sub(1);
            return;
        }
        let youngest = (self.first + self.len - 1) % GROUPS;
        self.groups[youngest].count -= 1;
        if self.groups[youngest].count == 0 {
            self.len -= 1;
        }
    }

    /// `count` due entries were taken from the head.
    pub fn taken(&mut self, count: u32) {
        self.due = self.due.saturating_sub(count);
    }

    /// Makes those due whose time has come.
    pub fn advance(&mut self, now: Nanos) {
        while self.len > 0 && now.saturating_sub(self.groups[self.first].began) >= self.age {
            self.due += self.groups[self.first].count;
            self.first = (self.first + 1) % GROUPS;
            self.len -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_becomes_due_at_its_age_within_an_eighth() {
        let mut aging = Aging::new(800);
        for now in 0..1000 {
            aging.arrived(now);
        }
        assert_eq!(aging.deadline(), 800);
        for now in (800..1800).step_by(50) {
            aging.advance(now);
            let exact = u32::try_from(now - 799).unwrap();
            assert!(aging.due() >= exact.min(1000) && aging.due() <= exact + 100, "{} at {now}", aging.due());
        }
        aging.taken(1000);
        assert_eq!(aging.deadline(), Nanos::MAX);
    }

    #[test]
    fn one_that_leaves_from_the_middle_makes_nobody_late() {
        let mut aging = Aging::new(800);
        (0..3).for_each(|_| aging.arrived(0));
        (0..2).for_each(|_| aging.arrived(700));
        (0..4).for_each(|_| aging.left());
        aging.advance(800);
        assert_eq!(aging.due(), 1);
        aging.left();
        assert_eq!(aging.due(), 0);
    }

    #[test]
    fn a_host_that_does_not_flush_for_long_loses_no_count() {
        let mut aging = Aging::new(8);
        (0..1000).for_each(|now| aging.arrived(now));
        aging.advance(2000);
        assert_eq!(aging.due(), 1000);
    }

    #[test]
    fn one_that_jumped_the_queue_is_due_at_once() {
        let mut aging = Aging::new(800);
        aging.arrived(5);
        aging.jumped();
        assert_eq!(aging.deadline(), 0);
        aging.taken(1);
        assert_eq!(aging.deadline(), 805);
    }
}
