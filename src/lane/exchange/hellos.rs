//! Hellos of election groups between the sync lane and the threads that own elections. Nobody waits.

use crate::sync::{HELLO_BYTES, HelloBytes};
use crate::time::Nanos;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Hellos that wait in one direction: several groups, and several peers.
const SLOTS: usize = 8;

const EMPTY: u32 = 0;
/// A thread reads or writes the slot.
const BUSY: u32 = 1;
const FULL: u32 = 2;

#[derive(Debug, Default)]
struct Slot {
    state: AtomicU32,
    time: AtomicU64,
    words: [AtomicU64; HELLO_BYTES / 8],
}

impl Slot {
    /// Takes the slot out of a state, so that only this thread uses it.
    fn claim(&self, from: u32) -> bool {
        self.state.load(Ordering::Relaxed) == from
            && self.state.compare_exchange(from, BUSY, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    fn release(&self, to: u32) {
        self.state.store(to, Ordering::Release);
    }

    fn write(&self, hello: &HelloBytes, now: Nanos) {
        self.time.store(now, Ordering::Relaxed);
        for (word, bytes) in self.words.iter().zip(hello.as_chunks().0) {
            word.store(u64::from_ne_bytes(*bytes), Ordering::Relaxed);
        }
    }

    fn read(&self) -> (HelloBytes, Nanos) {
        let mut hello = [0; HELLO_BYTES];
        for (word, bytes) in self.words.iter().zip(hello.as_chunks_mut().0) {
            *bytes = word.load(Ordering::Relaxed).to_ne_bytes();
        }
        (hello, self.time.load(Ordering::Relaxed))
    }
}

/// Hellos in one direction. Any thread may put and take.
#[derive(Debug, Default)]
pub struct Hellos {
    slots: [Slot; SLOTS],
}

impl Hellos {
    /// Adds a hello instead of those that it replaces. If there is no space it replaces the oldest one. Returns false if a hello
    /// is lost by that.
    pub fn put(&self, hello: &HelloBytes, now: Nanos, replaces: impl Fn(&HelloBytes) -> bool) -> bool {
        while self.take(&replaces).is_some() {}
        let free = self.slots.iter().find(|slot| slot.claim(EMPTY));
        let oldest = || self.slots.iter().min_by_key(|slot| slot.time.load(Ordering::Relaxed));
        let is_free = free.is_some();
        if let Some(slot) = free.or_else(|| oldest().filter(|slot| slot.claim(FULL))) {
            slot.write(hello, now);
            slot.release(FULL);
        }
        is_free
    }

    /// Takes a hello that is wanted, and when it was put.
    pub fn take(&self, wanted: impl Fn(&HelloBytes) -> bool) -> Option<(HelloBytes, Nanos)> {
        self.slots.iter().find_map(|slot| {
            if !slot.claim(FULL) {
                return None;
            }
            let read = slot.read();
            let is_wanted = wanted(&read.0);
            slot.release(if is_wanted { EMPTY } else { FULL });
            is_wanted.then_some(read)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn only_wanted_hellos_are_taken_and_the_oldest_is_replaced() {
        let hellos = Hellos::default();
        assert_eq!(hellos.take(|_| true), None);
        for n in 0..10 {
            assert_eq!(hellos.put(&[n; HELLO_BYTES], n.into(), |_| false), n < 8);
        }
        assert_eq!(hellos.take(|hello| hello[0] < 2), None, "two were replaced");
        assert_eq!(hellos.take(|hello| hello[0] == 5), Some(([5; HELLO_BYTES], 5)));
        assert_eq!(hellos.take(|hello| hello[0] == 5), None);
        let rest = std::iter::from_fn(|| hellos.take(|_| true)).count();
        assert_eq!(rest, 7);
    }

    #[test]
    fn a_hello_replaces_an_older_one_of_its_group() {
        let hellos = Hellos::default();
        for n in 0..20 {
            assert!(hellos.put(&[n; HELLO_BYTES], n.into(), |other| other[0] % 2 == n % 2));
        }
        let rest: Vec<_> = std::iter::from_fn(|| hellos.take(|_| true)).map(|(_, time)| time).collect();
        assert_eq!(rest.iter().sum::<u64>(), 18 + 19, "{rest:?}");
    }

    #[test]
    fn threads_never_read_half_a_hello() {
        let hellos = Hellos::default();
        thread::scope(|scope| {
            for first in [1, 100] {
                let hellos = &hellos;
                scope.spawn(move || {
                    (0..20_000).for_each(|n| _ = hellos.put(&[first + (n % 50) as u8; 48], n, |_| false))
                });
            }
            for _ in 0..20_000 {
                if let Some((hello, _)) = hellos.take(|_| true) {
                    assert!(hello.iter().all(|&byte| byte == hello[0]) && hello[0] > 0);
                }
            }
        });
    }
}
