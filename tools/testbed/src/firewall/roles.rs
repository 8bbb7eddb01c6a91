//! Polls the roles of both firewalls while a run lasts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{Control, Node};
use crate::clock::{self, Nanos};
use crate::failure::{Context, Fallible, fail};
use crate::network::Network;

const INTERVAL: Duration = Duration::from_millis(20);
/// A firewall that is paused or dies does not answer.
const TIMEOUT: Duration = Duration::from_millis(200);

/// A role that a firewall had from a time on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleChange {
    /// When the role was first seen, or a request for it was first not answered.
    pub at: Nanos,
    /// `master`, `backup`, another role of the election, or `no answer`.
    pub role: String,
    /// Why the firewall has the role; empty without an election.
    pub why: String,
}

/// The role of a firewall that does not answer.
pub const NO_ANSWER: &str = "no answer";

/// Two threads, each with one firewall.
pub struct RolePoller {
    is_over: Arc<AtomicBool>,
    threads: [JoinHandle<Vec<RoleChange>>; 2],
}

impl RolePoller {
    /// Starts them; the firewalls need not run yet.
    pub fn start(network: &Network) -> Fallible<RolePoller> {
        let is_over = Arc::new(AtomicBool::new(false));
        let start = |node: Node| {
            let (control, is_over) = (Control::of(node, network), Arc::clone(&is_over));
            thread::Builder::new()
                .name("roles".into())
                .spawn(move || poll(&control, &is_over))
                .context(|| "start the thread that polls a firewall's role")
        };
        let threads = [start(Node::A)?, start(Node::B)?];
        Ok(RolePoller { is_over, threads })
    }

    /// Ends them. Returns the role changes of A and B.
    pub fn finish(self) -> Fallible<[Vec<RoleChange>; 2]> {
        self.is_over.store(true, Ordering::Relaxed);
        let [a, b] = self.threads.map(JoinHandle::join);
        match (a, b) {
            (Ok(a), Ok(b)) => Ok([a, b]),
            _ => fail("the thread that polls a firewall's role panicked"),
        }
    }
}

fn poll(control: &Control, is_over: &AtomicBool) -> Vec<RoleChange> {
    let mut changes: Vec<RoleChange> = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let asked = clock::now();
        let status = control.status_within(TIMEOUT);
        // An answer tells the role at its arrival; without one the firewall has been silent since the request.
        let (at, role, why) = match status {
            Ok(status) => {
                let why = status.why().to_owned();
                (clock::now(), status.role, why)
            }
            Err(_) => (asked, NO_ANSWER.to_owned(), String::new()),
        };
        if changes.last().is_none_or(|last| last.role != role) {
            changes.push(RoleChange { at, role, why });
        }
        thread::sleep(INTERVAL);
    }
    changes
}
