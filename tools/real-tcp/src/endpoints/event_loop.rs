//! Runs the endpoints of one thread: each continues when the kernel reports an event or its own pause ends.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;

use pfplane_testbed::clock::{self, MILLISECOND, Nanos};
use pfplane_testbed::traffic::poller::Poller;

use super::endpoint::{Endpoint, Outcome};

const MAX_WAIT: Nanos = 10 * MILLISECOND;
const BUFFER_BYTES: usize = 64 * 1024;

/// The endpoints by token. The poller is edge triggered: an endpoint that reads slowly must not be reported all the time.
pub(super) struct EventLoop {
    poller: Poller,
    endpoints: HashMap<u64, Endpoint>,
    due: BinaryHeap<Reverse<(Nanos, u64)>>,
    next_token: u64,
    buffer: Vec<u8>,
}

/// The result of one turn.
pub(super) struct Turn {
    pub finished: Vec<(Endpoint, Outcome)>,
    /// Tokens of the caller: listeners, arriving connections.
    pub other_tokens: Vec<u64>,
}

impl EventLoop {
    /// Creates an empty loop. Tokens below `first_token` are the caller's.
    pub(super) fn new(first_token: u64) -> io::Result<EventLoop> {
        let (poller, endpoints, due) = (Poller::new()?, HashMap::new(), BinaryHeap::new());
        Ok(EventLoop { poller, endpoints, due, next_token: first_token, buffer: vec![0; BUFFER_BYTES] })
    }

    /// Returns the poller, for what the caller watches.
    pub(super) fn poller(&self) -> &Poller {
        &self.poller
    }

    pub(super) fn len(&self) -> usize {
        self.endpoints.len()
    }

    /// Returns how many wait for their first answer.
    pub(super) fn unanswered(&self) -> usize {
        self.endpoints.values().filter(|endpoint| endpoint.hello_is_pending()).count()
    }

    /// Adds an endpoint. `watched`: the token under which the poller watches it already.
    pub(super) fn add(&mut self, endpoint: Endpoint, now: Nanos, watched: Option<u64>) -> io::Result<()> {
        let token = watched.unwrap_or(self.next_token);
        if watched.is_none() {
            self.next_token += 1;
            self.poller.watch_edges(endpoint.stream(), token)?;
        }
        self.endpoints.insert(token, endpoint);
        self.due.push(Reverse((now, token)));
        Ok(())
    }

    /// Returns an unused token.
    pub(super) fn new_token(&mut self) -> u64 {
        self.next_token += 1;
        self.next_token - 1
    }

    /// Waits at most `max_wait` and continues every endpoint that can.
    pub(super) fn turn(&mut self, max_wait: Nanos) -> io::Result<Turn> {
        let mut turn = Turn { finished: Vec::new(), other_tokens: Vec::new() };
        let now = clock::now();
        let until_due = self.due.peek().map_or(max_wait, |Reverse((time, _))| time.saturating_sub(now));
        let tokens = self.poller.wait(max_wait.min(until_due).min(MAX_WAIT))?;
        let now = clock::now();
        for token in tokens {
            match self.endpoints.get_mut(&token) {
                Some(endpoint) => {
                    endpoint.set_readable();
                    self.step(token, now, &mut turn);
                }
                None => turn.other_tokens.push(token),
            }
        }
        while let Some(Reverse((_, token))) = self.due.peek().copied().filter(|Reverse((due, _))| *due <= now)
        {
            self.due.pop();
            self.step(token, now, &mut turn);
        }
        Ok(turn)
    }

    fn step(&mut self, token: u64, now: Nanos, turn: &mut Turn) {
        let Some(endpoint) = self.endpoints.get_mut(&token) else { return };
        match endpoint.step(now, &mut self.buffer) {
            Ok(again) => self.due.push(Reverse((again, token))),
            Err(outcome) => {
                let endpoint = self.endpoints.remove(&token).expect("it was there");
                turn.finished.push((endpoint, outcome));
            }
        }
    }
}
