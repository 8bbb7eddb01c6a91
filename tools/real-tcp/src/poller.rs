//! epoll, edge triggered: an end that reads slowly on purpose must not be told about it all the time.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use pfplane_demo::clock::{MILLISECOND, Nanos};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::time::Timespec;

const MAX_EVENTS: usize = 512;
const LONGEST_WAIT: Nanos = 10 * MILLISECOND;

/// An epoll instance and room for its events.
pub struct Poller {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poller {
    /// A new one.
    pub fn new() -> io::Result<Poller> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Poller { epoll, events: Vec::with_capacity(MAX_EVENTS) })
    }

    /// Tells of `source` as `token` whenever it becomes readable or writable.
    pub fn watch(&self, source: impl AsFd, token: u64) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        Ok(epoll::add(&self.epoll, source, EventData::new_u64(token), flags)?)
    }

    /// The tokens that something happened to; comes back after ten milliseconds at the latest.
    pub fn wait(&mut self, at_most: Nanos) -> io::Result<Vec<u64>> {
        self.events.clear();
        let wait = Timespec { tv_sec: 0, tv_nsec: at_most.min(LONGEST_WAIT) as i64 };
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&wait)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.events.iter().map(|event| event.data.u64()).collect())
    }
}
