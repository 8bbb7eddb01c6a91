//! One end of one TCP connection: sends records of known bytes at its pace, checks what comes.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use super::activity::Activity;
use super::keystream::{Keystream, Way};
use super::plan::{Family, Plan};
use super::report::{ConnectionReport, End};
use crate::clock::Nanos;
use pfplane_testkit::random::mix;

/// The client's first bytes: who this connection is.
pub const HELLO_LEN: usize = 8;
const HELLO_MAGIC: [u8; 4] = *b"pfp1";
const SHORTEST_RECORD: u64 = 64;
const LONGEST_RECORD: u64 = 512;

/// The first bytes of connection `number`.
pub fn hello(number: u32) -> [u8; HELLO_LEN] {
    let mut bytes = [0; HELLO_LEN];
    bytes[..4].copy_from_slice(&HELLO_MAGIC);
    bytes[4..].copy_from_slice(&number.to_be_bytes());
    bytes
}

/// The number in a client's first bytes, or nothing when they are not ours.
pub fn number_of(hello: &[u8; HELLO_LEN]) -> Option<u32> {
    let (magic, number) = hello.split_at(4);
    (magic == HELLO_MAGIC).then(|| u32::from_be_bytes(number.try_into().expect("four bytes")))
}

/// One end of a connection, from the first byte to the report.
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
    said_goodbye: bool,
    heard_goodbye: bool,
    draining: bool,
    end: End,
    error: Option<String>,
    /// When data arrived.
    pub activity: Activity,
}

impl Connection {
    /// The client's end of a connection that is being attempted.
    pub fn connecting(plan: &Plan, number: u32, stream: TcpStream, now: Nanos) -> Connection {
        let mut connection = Connection::new(plan, number, stream, Way::ToServer);
        connection.pending.extend_from_slice(&hello(number));
        connection.started = Some(now);
        connection.end = End::Connecting;
        connection
    }

    /// The server's end, after the client's hello was read.
    pub fn accepted(plan: &Plan, number: u32, stream: TcpStream, now: Nanos) -> Connection {
        let mut connection = Connection::new(plan, number, stream, Way::ToClient);
        connection.received = HELLO_LEN as u64;
        connection.established = Some(now);
        connection
    }

    fn new(plan: &Plan, number: u32, stream: TcpStream, sends: Way) -> Connection {
        let receives = if sends == Way::ToServer { Way::ToClient } else { Way::ToServer };
        Connection {
            stream: Some(stream),
            number,
            family: plan.family_of(number),
            started: None,
            established: None,
            outgoing: Keystream::new(plan.seed, number, sends),
            incoming: Keystream::new(plan.seed, number, receives),
            pending: Vec::new(),
            records: 0,
            sent: 0,
            received: 0,
            wrong: 0,
            said_goodbye: false,
            heard_goodbye: false,
            draining: false,
            end: End::Open,
            error: None,
            activity: Activity::new(plan),
        }
    }

    /// The socket, while there is one.
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.stream.as_ref().map(AsFd::as_fd)
    }

    /// Whether the connection attempt is still under way.
    pub fn is_connecting(&self) -> bool {
        self.end == End::Connecting
    }

    /// Whether it was ever established.
    pub fn was_established(&self) -> bool {
        self.established.is_some()
    }

    /// Whether nothing more can happen on it.
    pub fn is_over(&self) -> bool {
        self.stream.is_none()
    }

    /// Whether it ended with an error.
    pub fn has_failed(&self) -> bool {
        self.is_over() && self.end != End::Closed
    }

    /// Bytes received so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Wrong bytes received so far.
    pub fn wrong(&self) -> u64 {
        self.wrong
    }

    /// The attempt has ended: established, or failed for good.
    pub fn finish_connecting(&mut self, now: Nanos) {
        let Some(stream) = &self.stream else { return };
        match stream.take_error() {
            Ok(None) => {
                self.established = Some(now);
                self.end = End::Open;
                self.flush();
            }
            Ok(Some(error)) | Err(error) => self.give_up(&error),
        }
    }

    /// Sends the next record, or what is left of the last one when the kernel had no room.
    pub fn send_record(&mut self) {
        if self.end != End::Open || self.draining {
            return;
        }
        if self.pending.is_empty() {
            let span = LONGEST_RECORD - SHORTEST_RECORD + 1;
            let length = SHORTEST_RECORD + mix(self.records ^ u64::from(self.number) << 32) % span;
            self.outgoing.append(&mut self.pending, length as usize);
            self.records += 1;
        }
        self.flush();
    }

    /// Reads what there is, checks it, and notes when it came.
    pub fn receive(&mut self, buffer: &mut [u8], now: Nanos) {
        let Some(stream) = &mut self.stream else { return };
        match stream.read(buffer) {
            Ok(0) => self.hear_goodbye(now),
            Ok(count) => self.take(&buffer[..count], now),
            Err(error) if is_patience(&error) => {}
            Err(error) => self.give_up(&error),
        }
    }

    /// Checks bytes that have already been read.
    pub fn take(&mut self, bytes: &[u8], now: Nanos) {
        self.received += bytes.len() as u64;
        self.wrong += self.incoming.count_wrong(bytes);
        self.activity.arrived(now, bytes.len());
    }

    /// Sends what is pending and then says goodbye; call again until the connection is over.
    pub fn drain(&mut self, now: Nanos) {
        self.activity.finish(now);
        if self.end != End::Open {
            return;
        }
        self.draining = true;
        self.flush();
        if self.pending.is_empty() && !self.said_goodbye {
            self.said_goodbye = true;
            if let Some(Err(error)) = self.stream.as_ref().map(|stream| stream.shutdown(Shutdown::Write)) {
                self.give_up(&error);
            }
        }
        self.close_when_done();
    }

    /// What is to be written down.
    pub fn report(mut self, now: Nanos) -> ConnectionReport {
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

    /// The other end is done; so are we, after what is pending.
    fn hear_goodbye(&mut self, now: Nanos) {
        self.heard_goodbye = true;
        self.drain(now);
    }

    fn close_when_done(&mut self) {
        if self.said_goodbye && self.heard_goodbye && self.end == End::Open {
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
            Err(error) if is_patience(&error) => {}
            Err(error) => self.give_up(&error),
        }
    }

    fn give_up(&mut self, error: &io::Error) {
        self.end = match (self.end, error.kind()) {
            (End::Connecting, _) => End::ConnectFailed,
            (_, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => End::Reset,
            (_, ErrorKind::TimedOut) => End::TimedOut,
            _ => End::Failed,
        };
        self.error = Some(error.to_string());
        self.stream = None;
    }
}

fn is_patience(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_says_its_number_and_anything_else_says_nothing() {
        assert_eq!(number_of(&hello(70_000)), Some(70_000));
        let mut bytes = hello(1);
        bytes[0] ^= 0xff;
        assert_eq!(number_of(&bytes), None);
    }
}
