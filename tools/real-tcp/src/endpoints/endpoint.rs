//! One end of one connection: sends its bytes, checks those of the other end, and ends as the script says.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use pfplane_testbed::clock::{MILLISECOND, Nanos, SECOND};
use pfplane_testbed::traffic::keystream::{Direction, Keystream};
use pfplane_testbed::traffic::sockets::hello;
use rustix::net::sockopt;

use super::script::{Pattern, Script};

/// A connection that lasts longer has failed.
pub(crate) const TIME_LIMIT: Nanos = 600 * SECOND;
const USER_TIMEOUT_MS: u32 = 90_000;
const KEEP_ALIVE: Duration = Duration::from_secs(2);
const IDLE_TIME: Nanos = 15 * SECOND;
const CHUNK: usize = 16 * 1024;
const SLOW_CHUNK: usize = 600;
const SLOW_PAUSE: Nanos = 8 * MILLISECOND;

/// Makes the kernel detect a dead connection, also while nothing is sent.
pub(crate) fn set_timeouts(stream: &TcpStream) -> rustix::io::Result<()> {
    sockopt::set_tcp_user_timeout(stream, USER_TIMEOUT_MS)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEP_ALIVE)?;
    sockopt::set_tcp_keepintvl(stream, KEEP_ALIVE)
}

/// The outcome at one end.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub number: u32,
    /// Bytes received and checked.
    pub received: u64,
    pub wrong: u64,
    pub started: Nanos,
    /// The client's port at this end.
    pub port: u16,
    /// How it deviated from the script.
    pub failure: Option<String>,
}

/// An active endpoint.
pub(crate) struct Endpoint {
    stream: TcpStream,
    number: u32,
    script: Script,
    /// The direction in which this end sends.
    sends: Direction,
    started: Nanos,
    client_port: u16,
    hello: Vec<u8>,
    pending: Vec<u8>,
    outgoing: Keystream,
    /// Bytes not yet generated.
    remaining: u64,
    incoming: Keystream,
    received: u64,
    wrong: u64,
    fin_sent: bool,
    fin_received: bool,
    readable: bool,
    /// The end of a slow reader's pause.
    read_again: Nanos,
    /// The end of an idle connection's pause.
    idle_until: Nanos,
    was_idle: bool,
}

impl Endpoint {
    /// Creates an endpoint. The connection is established, or at the client being opened.
    pub(crate) fn new(
        stream: TcpStream,
        seed: u64,
        number: u32,
        script: Script,
        sends: Direction,
        now: Nanos,
    ) -> rustix::io::Result<Endpoint> {
        sockopt::set_tcp_nodelay(&stream, true)?;
        set_timeouts(&stream)?;
        let is_client = sends == Direction::ToServer;
        let client = if is_client { stream.local_addr() } else { stream.peer_addr() };
        Ok(Endpoint {
            stream,
            number,
            sends,
            started: now,
            client_port: client.map_or(0, |address| address.port()),
            hello: if is_client { hello(number).to_vec() } else { Vec::new() },
            pending: Vec::new(),
            outgoing: Keystream::new(seed, number, sends),
            remaining: script.length(sends),
            incoming: Keystream::new(seed, number, sends.reverse()),
            received: 0,
            wrong: 0,
            fin_sent: false,
            fin_received: false,
            readable: true,
            read_again: 0,
            idle_until: 0,
            was_idle: false,
            script,
        })
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    pub(crate) fn script(&self) -> &Script {
        &self.script
    }

    /// Whether the hello is not sent yet, because the connection is not established.
    pub(crate) fn hello_is_pending(&self) -> bool {
        !self.hello.is_empty()
    }

    /// The kernel reported an event.
    pub(crate) fn set_readable(&mut self) {
        self.readable = true;
    }

    /// Does all that is possible now. Returns when to call again, or the outcome.
    pub(crate) fn step(&mut self, now: Nanos, buffer: &mut [u8]) -> Result<Nanos, Outcome> {
        let result = self.read(now, buffer).and_then(|()| self.write(now));
        if let Err(failure) = result {
            return Err(self.outcome(failure));
        }
        if self.must_reset() {
            // With a linger time of zero, closing the socket sends an RST. The owner closes it now.
            let error = sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO)).err();
            return Err(self.outcome(error.map(|error| format!("cannot reset: {error}"))));
        }
        if self.fin_sent && self.fin_received {
            return Err(self.outcome(None));
        }
        if now > self.started + TIME_LIMIT {
            let (expected, left) = (self.expected(), self.remaining + self.pending.len() as u64);
            let received = self.received;
            let failure =
                format!("did not end: received {received} of {expected} bytes, {left} left to send");
            return Err(self.outcome(Some(failure)));
        }
        let pause = [self.read_again, self.idle_until].into_iter().filter(|time| *time > now).min();
        Ok(pause.unwrap_or(now + SECOND))
    }

    /// Whether the socket must stay open after this outcome; an endpoint that resets does so by closing it.
    pub(crate) fn keeps_its_socket(&self, outcome: &Outcome) -> bool {
        use Pattern::{AbortByClient, AbortByServer, ResetByClient, ResetByServer};
        let resets =
            matches!(self.script.pattern, AbortByClient | AbortByServer | ResetByClient | ResetByServer);
        outcome.failure.is_none() && !resets
    }

    fn outcome(&self, failure: Option<String>) -> Outcome {
        let incomplete = self.must_be_complete() && !self.has_all();
        let missing = || incomplete.then(|| format!("{} of {} bytes", self.received, self.expected()));
        Outcome {
            number: self.number,
            received: self.received,
            wrong: self.wrong,
            started: self.started,
            port: self.client_port,
            failure: failure.or_else(missing),
        }
    }

    fn expected(&self) -> u64 {
        self.script.length(self.sends.reverse())
    }

    fn is_client(&self) -> bool {
        self.sends == Direction::ToServer
    }

    fn has_all(&self) -> bool {
        self.received == self.expected()
    }

    fn has_sent_all(&self) -> bool {
        self.remaining == 0 && self.pending.is_empty() && self.hello.is_empty()
    }

    fn must_be_complete(&self) -> bool {
        !matches!(self.script.pattern, Pattern::AbortByClient | Pattern::AbortByServer)
    }

    /// Whether this end must reset now.
    fn must_reset(&self) -> bool {
        match (self.script.pattern, self.is_client()) {
            (Pattern::ResetByClient, true) | (Pattern::ResetByServer, false) => {
                self.has_all() && self.has_sent_all()
            }
            (Pattern::AbortByClient, true) | (Pattern::AbortByServer, false) => {
                self.received * 2 >= self.expected()
            }
            _ => false,
        }
    }

    /// Whether the script allows an RST of the other end now.
    fn expects_reset(&self) -> bool {
        match (self.script.pattern, self.is_client()) {
            // The other end has all bytes by then: this end sends its last byte after it has received everything.
            (Pattern::ResetByClient, false) | (Pattern::ResetByServer, true) => self.has_all(),
            (Pattern::AbortByClient, false) | (Pattern::AbortByServer, true) => true,
            _ => false,
        }
    }

    fn read(&mut self, now: Nanos, buffer: &mut [u8]) -> Result<(), Option<String>> {
        let slow = self.script.slow[usize::from(!self.is_client())];
        while self.readable && now >= self.read_again {
            let max_length = if slow { SLOW_CHUNK } else { CHUNK };
            match self.stream.read(&mut buffer[..max_length]) {
                Ok(0) => {
                    self.readable = false;
                    self.fin_received = true;
                }
                Ok(count) => {
                    self.received += count as u64;
                    self.wrong += self.incoming.count_wrong(&buffer[..count]);
                    if self.received > self.expected() {
                        return Err(Some(format!("received more than {} bytes", self.expected())));
                    }
                    if slow {
                        self.read_again = now + SLOW_PAUSE;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failure(&error)),
            }
        }
        Ok(())
    }

    /// Returns a socket error as a failure; `None` when the script expects it.
    fn failure(&self, error: &std::io::Error) -> Option<String> {
        let reset = matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe);
        // After a lost RST, the client's port may have a new translation, and nobody answers for the old one.
        let timed_out = error.kind() == ErrorKind::TimedOut;
        let expected = (reset || timed_out) && self.expects_reset();
        (!expected).then(|| format!("{error} after {} bytes", self.received))
    }

    fn write(&mut self, now: Nanos) -> Result<(), Option<String>> {
        while !self.fin_sent && now >= self.idle_until {
            self.generate(now);
            let front = if self.hello.is_empty() { &mut self.pending } else { &mut self.hello };
            if front.is_empty() {
                break;
            }
            match self.stream.write(front) {
                Ok(count) => drop(front.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failure(&error)),
            }
        }
        if !self.fin_sent && self.has_sent_all() && self.may_send_fin() {
            self.fin_sent = true;
            // Fails after an RST of the other end, which the next read reports.
            let _ = self.stream.shutdown(Shutdown::Write);
        }
        Ok(())
    }

    /// Appends the next bytes of the stream to `pending`, as far as the script allows.
    fn generate(&mut self, now: Nanos) {
        let length = self.script.length(self.sends);
        if self.script.pattern == Pattern::Idle && !self.was_idle && self.remaining <= length / 2 {
            self.was_idle = true;
            self.idle_until = now + IDLE_TIME;
            return;
        }
        if !self.pending.is_empty() || !self.hello.is_empty() || !self.may_send() {
            return;
        }
        let withheld = u64::from(self.withholds_last_byte() && !self.has_all());
        let count = self.remaining.saturating_sub(withheld).min(CHUNK as u64);
        self.outgoing.append(&mut self.pending, count as usize);
        self.remaining -= count;
    }

    fn may_send(&self) -> bool {
        self.script.pattern != Pattern::HalfClose || self.is_client() || self.fin_received
    }

    /// The end that will be reset withholds its last byte until it has everything, so that the RST loses nothing.
    fn withholds_last_byte(&self) -> bool {
        matches!(
            (self.script.pattern, self.is_client()),
            (Pattern::ResetByClient, false) | (Pattern::ResetByServer, true)
        )
    }

    fn may_send_fin(&self) -> bool {
        match self.script.pattern {
            Pattern::Plain | Pattern::HalfClose | Pattern::Idle => true,
            Pattern::SimultaneousClose => self.has_all(),
            _ => false,
        }
    }
}
