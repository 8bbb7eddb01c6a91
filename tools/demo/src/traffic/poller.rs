//! epoll, level triggered, with a steady beat: work that is due is done in batches each few milliseconds, so two
//! thousand connections do not cost two thousand timers.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::time::Timespec;

use crate::clock::MILLISECOND;

/// What a file descriptor is known by.
pub type Token = u64;

const BEAT_MS: i64 = 4;
const MAX_EVENTS: usize = 1024;

/// An epoll instance and room for its events.
pub struct Poller {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poller {
    /// Errors: the kernel's, when it is out of descriptors.
    pub fn new() -> io::Result<Poller> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Poller { epoll, events: Vec::with_capacity(MAX_EVENTS) })
    }

    /// Reports `source` as `token` when it can be read.
    pub fn watch_reading(&self, source: impl AsFd, token: Token) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, source, EventData::new_u64(token), EventFlags::IN)?)
    }

    /// Reports `source` as `token` when its connection attempt has ended.
    pub fn watch_connecting(&self, source: impl AsFd, token: Token) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, source, EventData::new_u64(token), EventFlags::OUT)?)
    }

    /// From waiting for the connection attempt to waiting for data.
    pub fn now_reading(&self, source: impl AsFd, token: Token) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, source, EventData::new_u64(token), EventFlags::IN)?)
    }

    /// The tokens that are ready; comes back after a beat at the latest.
    pub fn wait(&mut self) -> io::Result<Vec<Token>> {
        self.events.clear();
        let beat = Timespec { tv_sec: 0, tv_nsec: BEAT_MS * MILLISECOND as i64 };
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&beat)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.events.iter().map(|event| event.data.u64()).collect())
    }
}
