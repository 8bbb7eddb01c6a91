//! One end of a TCP connection: sends records of known bytes and checks what arrives; and the set of all of them.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use pfplane_testkit::random::mix;

use super::activity::Activity;
use super::keystream::{Direction, Keystream};
use super::plan::{Family, Plan};
use super::report::{ConnectionReport, End, Progress};
use super::sockets::{HELLO_LEN, hello};
use crate::clock::Nanos;

const MIN_RECORD: u64 = 64;
const MAX_RECORD: u64 = 512;
const BUFFER_BYTES: usize = 64 * 1024;

/// One end of a connection.
pub struct Connection {
    stream: Option<TcpStream>,
    number: u32,
    family: Family,
    started: Option<Nanos>,
    established: Option<Nanos>,
    outgoing: Keystream,
    incoming: Keystream,
    pending: Vec<u8>,
    records: u64,
    sent: u64,
    received: u64,
    wrong: u64,
    fin_sent: bool,
    fin_received: bool,
    draining: bool,
    end: End,
    error: Option<String>,
    /// When data arrived.
    pub activity: Activity,
}

impl Connection {
    /// Creates the client's end of a connection attempt.
    pub fn connecting(plan: &Plan, number: u32, stream: TcpStream, now: Nanos) -> Connection {
        let mut connection = Connection::new(plan, number, stream, Direction::ToServer);
        connection.pending.extend_from_slice(&hello(number));
        connection.started = Some(now);
        connection.end = End::Connecting;
        connection
    }

    /// Creates the server's end after the client's hello.
    pub fn accepted(plan: &Plan, number: u32, stream: TcpStream, now: Nanos) -> Connection {
        let mut connection = Connection::new(plan, number, stream, Direction::ToClient);
        connection.received = HELLO_LEN as u64;
        connection.established = Some(now);
        connection
    }

    fn new(plan: &Plan, number: u32, stream: TcpStream, sends: Direction) -> Connection {
        Connection {
            stream: Some(stream),
            number,
            family: plan.family_of(number),
            started: None,
            established: None,
            outgoing: Keystream::new(plan.seed, number, sends),
            incoming: Keystream::new(plan.seed, number, sends.reverse()),
            pending: Vec::new(),
            records: 0,
            sent: 0,
            received: 0,
            wrong: 0,
            fin_sent: false,
            fin_received: false,
            draining: false,
            end: End::Open,
            error: None,
            activity: Activity::new(plan),
        }
    }

    /// Returns the socket, unless it is closed.
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.stream.as_ref().map(AsFd::as_fd)
    }

    /// Whether the connection attempt is still in progress.
    pub fn is_connecting(&self) -> bool {
        self.end == End::Connecting
    }

    /// Whether the socket is closed.
    pub fn is_over(&self) -> bool {
        self.stream.is_none()
    }

    /// Completes the connection attempt: established or failed.
    pub fn finish_connecting(&mut self, now: Nanos) {
        let Some(stream) = &self.stream else { return };
        match stream.take_error() {
            Ok(None) => {
                self.established = Some(now);
                self.end = End::Open;
                self.flush();
            }
            Ok(Some(error)) | Err(error) => self.fail(&error),
        }
    }

    /// Sends the next record, or the rest of the previous one.
    pub fn send_record(&mut self) {
        if self.end != End::Open || self.draining {
            return;
        }
        if self.pending.is_empty() {
            let span = MAX_RECORD - MIN_RECORD + 1;
            let length = MIN_RECORD + mix(self.records ^ u64::from(self.number) << 32) % span;
            self.outgoing.append(&mut self.pending, length as usize);
            self.records += 1;
        }
        self.flush();
    }

    /// Reads and checks what has arrived.
    pub fn receive(&mut self, buffer: &mut [u8], now: Nanos) {
        let Some(stream) = &mut self.stream else { return };
        match stream.read(buffer) {
            Ok(0) => {
                self.fin_received = true;
                self.drain(now);
            }
            Ok(count) => {
                self.received += count as u64;
                self.wrong += self.incoming.count_wrong(&buffer[..count]);
                self.activity.record(now, count);
            }
            Err(error) if is_temporary(&error) => {}
            Err(error) => self.fail(&error),
        }
    }

    /// Sends what is pending and then a FIN; call again until the connection is over.
    pub fn drain(&mut self, now: Nanos) {
        self.activity.finish(now);
        if self.end != End::Open {
            return;
        }
        self.draining = true;
        self.flush();
        if self.pending.is_empty() && !self.fin_sent {
            self.fin_sent = true;
            if let Some(Err(error)) = self.stream.as_ref().map(|stream| stream.shutdown(Shutdown::Write)) {
                self.fail(&error);
            }
        }
        if self.fin_sent && self.fin_received && self.end == End::Open {
            self.end = End::Closed;
            self.stream = None;
        }
    }

    fn flush(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        if self.pending.is_empty() {
            return;
        }
        match stream.write(&self.pending) {
            Ok(count) => {
                self.sent += count as u64;
                self.pending.drain(..count);
            }
            Err(error) if is_temporary(&error) => {}
            Err(error) => self.fail(&error),
        }
    }

    fn fail(&mut self, error: &io::Error) {
        self.end = match (self.end, error.kind()) {
            (End::Connecting, _) => End::ConnectFailed,
            (_, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => End::Reset,
            (_, ErrorKind::TimedOut) => End::TimedOut,
            _ => End::Failed,
        };
        self.error = Some(error.to_string());
        self.stream = None;
    }

    fn report(mut self, now: Nanos) -> ConnectionReport {
        self.activity.finish(now);
        ConnectionReport {
            number: self.number,
            family: self.family,
            started: self.started,
            established: self.established,
            sent: self.sent,
            received: self.received,
            wrong: self.wrong,
            end: self.end,
            error: self.error,
            activity: self.activity,
        }
    }
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// The connections of one end, in the order they were opened.
#[derive(Default)]
pub struct ConnectionSet {
    connections: Vec<Connection>,
    /// When each connection sends next. All have the same interval, so the queue stays sorted.
    due: VecDeque<(Nanos, usize)>,
    marks: usize,
    buffer: Vec<u8>,
}

impl ConnectionSet {
    /// Returns the number of connections.
    pub fn len(&self) -> usize {
        self.connections.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// Adds a connection and returns its index.
    pub fn add(&mut self, mut connection: Connection) -> usize {
        connection.activity.skip_marks(self.marks);
        self.connections.push(connection);
        self.connections.len() - 1
    }

    /// Returns a connection.
    pub fn get_mut(&mut self, index: usize) -> &mut Connection {
        &mut self.connections[index]
    }

    /// Lets connection `index` receive.
    pub fn receive(&mut self, index: usize, now: Nanos) {
        self.buffer.resize(BUFFER_BYTES, 0);
        self.connections[index].receive(&mut self.buffer, now);
    }

    /// Counts later gaps separately.
    pub fn mark(&mut self) {
        self.marks += 1;
        self.connections.iter_mut().for_each(|connection| connection.activity.mark());
    }

    /// Lets connection `index` send its first record at `time`.
    pub fn schedule(&mut self, index: usize, time: Nanos) {
        self.due.push_back((time, index));
    }

    /// Sends the records that are due.
    pub fn send_due(&mut self, interval: Nanos, now: Nanos) {
        while let Some(&(_, index)) = self.due.front().filter(|&&(time, _)| time <= now) {
            self.due.pop_front();
            self.connections[index].send_record();
            if !self.connections[index].is_over() {
                self.schedule(index, now + interval);
            }
        }
    }

    /// Sends what is pending and the FINs. Returns whether all connections are over.
    pub fn drain(&mut self, now: Nanos) -> bool {
        self.connections.iter_mut().for_each(|connection| connection.drain(now));
        self.connections.iter().all(Connection::is_over)
    }

    /// Counts the connections and their bytes.
    pub fn progress(&self, plan: &Plan, now: Nanos) -> Progress {
        let recently = now.saturating_sub(plan.activity_timeout());
        let mut progress = Progress { at: now, ..Progress::default() };
        for connection in &self.connections {
            let has_failed = connection.is_over() && connection.end != End::Closed;
            let is_active = !connection.is_over() && connection.activity.is_active_since(recently);
            progress.started += 1;
            progress.established += u32::from(connection.established.is_some());
            progress.failed += u32::from(has_failed);
            progress.with_data += u32::from(connection.activity.first.is_some());
            progress.active += u32::from(is_active);
            progress.received += connection.received;
            progress.wrong += connection.wrong;
        }
        progress
    }

    /// Returns the report of each connection.
    pub fn report(self, stopped: Nanos) -> Vec<ConnectionReport> {
        self.connections.into_iter().map(|connection| connection.report(stopped)).collect()
    }
}
