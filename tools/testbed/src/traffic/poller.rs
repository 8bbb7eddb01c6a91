//! epoll. A wait returns after a few milliseconds at the latest, so that thousands of connections need no timers.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::time::Timespec;

use crate::clock::Nanos;

/// Identifies a file descriptor in events.
pub type Token = u64;

const MAX_EVENTS: usize = 1024;

/// An epoll instance and its event buffer.
pub struct Poller {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poller {
    /// Creates an instance.
    pub fn new() -> io::Result<Poller> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Poller { epoll, events: Vec::with_capacity(MAX_EVENTS) })
    }

    /// Reports `source` while it is readable.
    pub fn watch_reading(&self, source: impl AsFd, token: Token) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, source, EventData::new_u64(token), EventFlags::IN)?)
    }

    /// Reports `source` when its connection attempt has ended.
    pub fn watch_connecting(&self, source: impl AsFd, token: Token) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, source, EventData::new_u64(token), EventFlags::OUT)?)
    }

    /// Changes from waiting for the connection attempt to waiting for data.
    pub fn switch_to_reading(&self, source: impl AsFd, token: Token) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, source, EventData::new_u64(token), EventFlags::IN)?)
    }

    /// Reports `source` once each time it becomes readable or writable.
    pub fn watch_edges(&self, source: impl AsFd, token: Token) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(&self.epoll, source, EventData::new_u64(token), flags)?)
    }

    /// Waits for events, at most `max_wait` (less than a second), and returns their tokens.
    pub fn wait(&mut self, max_wait: Nanos) -> io::Result<Vec<Token>> {
        self.events.clear();
        let timeout = Timespec { tv_sec: 0, tv_nsec: max_wait as i64 };
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.events.iter().map(|event| event.data.u64()).collect())
    }
}
