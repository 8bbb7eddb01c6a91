//! The traffic client and server as threads in their namespaces, and the run's handles of them.

use std::io;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::plan::Plan;
use super::report::{Progress, TrafficReport};
use super::{client, server};
use crate::clock::{self, Nanos, SECOND};
use crate::failure::{Context, Fallible, fail};
use crate::network::{Host, Namespace, Network};

const STOP_TIMEOUT: Nanos = 30 * SECOND;
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A command of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Start opening connections.
    Open,
    /// A kill follows: count later gaps separately.
    Mark,
    /// Close the connections and return the report.
    Stop,
}

/// The thread's end of its connection to the run.
pub struct RunLink {
    commands: Receiver<Command>,
    progress: Arc<Mutex<Option<Progress>>>,
}

impl RunLink {
    /// Returns the next command, [`Command::Stop`] when the run has ended.
    pub fn command(&self) -> Option<Command> {
        match self.commands.try_recv() {
            Ok(command) => Some(command),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Command::Stop),
        }
    }

    /// Publishes the progress.
    pub fn publish(&self, progress: Progress) {
        *self.progress.lock().expect("no thread panics with this lock") = Some(progress);
    }
}

/// The client or the server.
pub struct Traffic {
    name: &'static str,
    thread: Option<JoinHandle<Fallible<TrafficReport>>>,
    commands: Sender<Command>,
    progress: Arc<Mutex<Option<Progress>>>,
}

impl Traffic {
    /// Starts the client, in a namespace of the network if there is one.
    pub fn client(network: Option<&Network>, plan: &Plan) -> Traffic {
        let namespace = network.map(|network| network.namespace(Host::Client));
        Traffic::start("client", namespace, plan.clone(), client::run)
    }

    /// Starts the server, in a namespace of the network if there is one.
    pub fn server(network: Option<&Network>, plan: &Plan) -> Traffic {
        let namespace = network.map(|network| network.namespace(Host::Server));
        Traffic::start("server", namespace, plan.clone(), server::run)
    }

    fn start(
        name: &'static str,
        namespace: Option<Namespace>,
        plan: Plan,
        run: fn(Plan, &RunLink) -> io::Result<TrafficReport>,
    ) -> Traffic {
        let (commands, receiver) = channel();
        let progress = Arc::new(Mutex::new(None));
        let link = RunLink { commands: receiver, progress: Arc::clone(&progress) };
        let thread = thread::spawn(move || {
            namespace.as_ref().map_or(Ok(()), Namespace::enter)?;
            run(plan, &link).context(|| format!("run the traffic {name}"))
        });
        Traffic { name, thread: Some(thread), commands, progress }
    }

    /// Returns the latest progress; `None` before the first.
    pub fn progress(&self) -> Option<Progress> {
        self.progress.lock().expect("no thread panics with this lock").clone()
    }

    /// Sends a command. A thread that has ended is reported by [`Traffic::check_running`].
    pub fn send(&self, command: Command) {
        let _ = self.commands.send(command);
    }

    /// Fails when the thread has ended.
    pub fn check_running(&mut self) -> Fallible<()> {
        if self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return Ok(());
        }
        self.join()?;
        fail(format!("the traffic {} ended unexpectedly", self.name))
    }

    /// Stops the traffic and returns the report.
    pub fn stop(&mut self) -> Fallible<TrafficReport> {
        self.send(Command::Stop);
        let deadline = clock::now() + STOP_TIMEOUT;
        while self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            if clock::now() > deadline {
                return fail(format!("the traffic {} does not stop", self.name));
            }
            thread::sleep(POLL_INTERVAL);
        }
        self.join()
    }

    fn join(&mut self) -> Fallible<TrafficReport> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            _ => fail(format!("the traffic {} panicked", self.name)),
        }
    }
}
