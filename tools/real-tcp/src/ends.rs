//! The ends that one thread keeps going: woken by the kernel, or when a pause of their own is over.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;

use pfplane_demo::clock::{self, Nanos};

use crate::end::{End, Fate};
use crate::poller::Poller;

/// Ends by token.
pub struct Ends {
    poller: Poller,
    ends: HashMap<u64, End>,
    due: BinaryHeap<Reverse<(Nanos, u64)>>,
    next: u64,
    buffer: Vec<u8>,
}

/// What one turn brought.
pub struct Turn {
    /// Ends that are over.
    pub over: Vec<(End, Fate)>,
    /// Tokens that are none of ours: listeners, arriving connections.
    pub foreign: Vec<u64>,
}

impl Ends {
    /// None yet. Tokens below `first` are the caller's.
    pub fn new(first: u64) -> io::Result<Ends> {
        let (ends, due) = (HashMap::new(), BinaryHeap::new());
        Ok(Ends { poller: Poller::new()?, ends, due, next: first, buffer: vec![0; 64 * 1024] })
    }

    /// For what the caller watches itself.
    pub fn poller(&self) -> &Poller {
        &self.poller
    }

    /// How many are at work.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// How many wait for their first answer.
    pub fn greeting(&self) -> usize {
        self.ends.values().filter(|end| end.is_greeting()).count()
    }

    /// Takes one in. `watched` when the poller knows it by this token already.
    pub fn add(&mut self, end: End, now: Nanos, watched: Option<u64>) -> io::Result<()> {
        let token = watched.unwrap_or(self.next);
        if watched.is_none() {
            self.next += 1;
            self.poller.watch(end.stream(), token)?;
        }
        self.ends.insert(token, end);
        self.due.push(Reverse((now, token)));
        Ok(())
    }

    /// A token that nobody has.
    pub fn fresh_token(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// Waits a little and lets everybody go on who can.
    pub fn turn(&mut self, at_most: Nanos) -> io::Result<Turn> {
        let mut turn = Turn { over: Vec::new(), foreign: Vec::new() };
        let now = clock::now();
        let next_due = self.due.peek().map_or(at_most, |Reverse((moment, _))| moment.saturating_sub(now));
        let told = self.poller.wait(at_most.min(next_due))?;
        let now = clock::now();
        for token in told {
            match self.ends.get_mut(&token) {
                Some(end) => {
                    end.becomes_readable();
                    self.go_on(token, now, &mut turn);
                }
                None => turn.foreign.push(token),
            }
        }
        while let Some(Reverse((_, token))) = self.due.peek().copied().filter(|Reverse((due, _))| *due <= now)
        {
            self.due.pop();
            self.go_on(token, now, &mut turn);
        }
        Ok(turn)
    }

    fn go_on(&mut self, token: u64, now: Nanos, turn: &mut Turn) {
        let Some(end) = self.ends.get_mut(&token) else { return };
        match end.go_on(now, &mut self.buffer) {
            // At most one alarm a second for each that is woken by the kernel all the time.
            Ok(again) => self.due.push(Reverse((again, token))),
            Err(fate) => {
                let end = self.ends.remove(&token).expect("it was there");
                turn.over.push((end, fate));
            }
        }
    }
}
