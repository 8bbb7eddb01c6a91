//! Polls the roles of both firewalls while a run lasts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::{Control, Node};
use crate::clock::{self, Nanos};
use crate::failure::{Context, Fallible, fail};
use crate::network::Network;
use crate::router::RouterRoles;

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

/// Two threads, each with one firewall or router.
pub struct RolePoller {
    is_over: Arc<AtomicBool>,
    threads: [JoinHandle<Vec<RoleChange>>; 2],
}

impl RolePoller {
    /// Starts them; the firewalls need not run yet.
    pub fn start(network: &Network) -> Fallible<RolePoller> {
        let [a, b] = [Node::A, Node::B].map(|node| Control::of(node, network));
        RolePoller::of([Box::new(move || role_of(&a)), Box::new(move || role_of(&b))])
    }

    /// The same for firewall A and a router in place of firewall B.
    pub fn beside(network: &Network, router: RouterRoles) -> Fallible<RolePoller> {
        let a = Control::of(Node::A, network);
        let role_of_router = move || RoleChange { at: clock::now(), role: router.role(), why: String::new() };
        RolePoller::of([Box::new(move || role_of(&a)), Box::new(role_of_router)])
    }

    fn of(sources: [Box<dyn Fn() -> RoleChange + Send>; 2]) -> Fallible<RolePoller> {
        let is_over = Arc::new(AtomicBool::new(false));
        let start = |source: Box<dyn Fn() -> RoleChange + Send>| {
            let is_over = Arc::clone(&is_over);
            thread::Builder::new()
                .name("roles".into())
                .spawn(move || poll(&source, &is_over))
                .context(|| "start the thread that polls a firewall's role")
        };
        let [a, b] = sources;
        let threads = [start(a)?, start(b)?];
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

/// Requests a firewall's role.
fn role_of(control: &Control) -> RoleChange {
    let asked = clock::now();
    // An answer tells the role at its arrival; without one the firewall has been silent since the request.
    match control.status_within(TIMEOUT) {
        Ok(status) => {
            let why = status.why().to_owned();
            RoleChange { at: clock::now(), role: status.role, why }
        }
        Err(_) => RoleChange { at: asked, role: NO_ANSWER.to_owned(), why: String::new() },
    }
}

fn poll(source: &dyn Fn() -> RoleChange, is_over: &AtomicBool) -> Vec<RoleChange> {
    let mut changes: Vec<RoleChange> = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        let current = source();
        if changes.last().is_none_or(|last| last.role != current.role) {
            changes.push(current);
        }
        thread::sleep(INTERVAL);
    }
    changes
}
