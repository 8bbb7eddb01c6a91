//! One end of one connection: sends its bytes, checks the other's, and ends as the script says.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use pfplane_demo::clock::{MILLISECOND, Nanos, SECOND};
use pfplane_demo::traffic::connection::hello;
use pfplane_demo::traffic::keystream::{Keystream, Way};
use rustix::net::sockopt;

use crate::script::{Manner, Script};

/// A connection that has not come to its end by then never will.
pub const LONGEST: Nanos = 600 * SECOND;
const USER_TIMEOUT_MS: u32 = 90_000;
const KEEP_ALIVE: Duration = Duration::from_secs(2);
const SILENCE: Nanos = 15 * SECOND;
const CHUNK: usize = 16 * 1024;
const SLOW_CHUNK: usize = 600;
const SLOW_PAUSE: Nanos = 8 * MILLISECOND;

/// Lets an end notice that nobody answers any more, also while it has nothing to say.
pub fn notice_silence(stream: &TcpStream) -> rustix::io::Result<()> {
    sockopt::set_tcp_user_timeout(stream, USER_TIMEOUT_MS)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEP_ALIVE)?;
    sockopt::set_tcp_keepintvl(stream, KEEP_ALIVE)
}

/// How an end came out.
#[derive(Clone, Debug)]
pub struct Fate {
    /// The connection's number.
    pub number: u32,
    /// Bytes received and checked.
    pub received: u64,
    /// Those that were not the ones sent.
    pub wrong: u64,
    /// When it began.
    pub began: Nanos,
    /// The client's port, as this end knows it.
    pub port: u16,
    /// What went against the script.
    pub trouble: Option<String>,
}

/// An end at work.
pub struct End {
    stream: TcpStream,
    number: u32,
    script: Script,
    own_way: Way,
    began: Nanos,
    client_port: u16,
    hello: Vec<u8>,
    pending: Vec<u8>,
    outgoing: Keystream,
    to_make: u64,
    incoming: Keystream,
    received: u64,
    wrong: u64,
    said_goodbye: bool,
    heard_goodbye: bool,
    readable: bool,
    /// Not before this moment: the pause of a slow reader, or the silence of an idle connection.
    read_again: Nanos,
    silent_until: Nanos,
    was_silent: bool,
}

impl End {
    /// An end whose connection is up, or for the client on its way.
    pub fn new(
        stream: TcpStream,
        seed: u64,
        number: u32,
        script: Script,
        own_way: Way,
        now: Nanos,
    ) -> rustix::io::Result<End> {
        sockopt::set_tcp_nodelay(&stream, true)?;
        notice_silence(&stream)?;
        let client = if own_way == Way::ToServer { stream.local_addr() } else { stream.peer_addr() };
        let client_port = client.map_or(0, |address| address.port());
        let other_way = if own_way == Way::ToServer { Way::ToClient } else { Way::ToServer };
        Ok(End {
            stream,
            number,
            own_way,
            began: now,
            client_port,
            hello: if own_way == Way::ToServer { hello(number).to_vec() } else { Vec::new() },
            pending: Vec::new(),
            outgoing: Keystream::new(seed, number, own_way),
            to_make: script.length(own_way),
            incoming: Keystream::new(seed, number, other_way),
            received: 0,
            wrong: 0,
            said_goodbye: false,
            heard_goodbye: false,
            readable: true,
            read_again: 0,
            silent_until: 0,
            was_silent: false,
            script,
        })
    }

    /// The socket.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Whether it waits for the first answer, or for room to say who it is.
    pub fn is_greeting(&self) -> bool {
        !self.hello.is_empty()
    }

    /// The connection's number.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// What the script says.
    pub fn script(&self) -> &Script {
        &self.script
    }

    /// The kernel says that there is something to read.
    pub fn becomes_readable(&mut self) {
        self.readable = true;
    }

    /// Does all that can be done now. The fate, when that was the last of it; else when to come again at the latest.
    pub fn go_on(&mut self, now: Nanos, buffer: &mut [u8]) -> Result<Nanos, Fate> {
        let result = self.read(now, buffer).and_then(|()| self.write(now));
        if let Err(trouble) = result {
            return Err(self.fate(trouble));
        }
        if self.must_reset() {
            // With a zero linger time closing the socket, which its owner does now, sends the RST.
            let lingers = sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO));
            return Err(self.fate(lingers.err().map(|error| format!("cannot reset: {error}"))));
        }
        if self.said_goodbye && self.heard_goodbye {
            return Err(self.fate(None));
        }
        if now > self.began + LONGEST {
            let (expected, left) = (self.expected(), self.to_make + self.pending.len() as u64);
            let words = format!("{} of {expected} bytes came and {left} were left to send", self.received);
            return Err(self.fate(Some(format!("did not end: {words}"))));
        }
        let pause = [self.read_again, self.silent_until].into_iter().filter(|moment| *moment > now).min();
        Ok(pause.unwrap_or(now + SECOND))
    }

    /// Whether its socket must stand after this fate: an end that resets does so by closing it.
    pub fn keeps_its_socket(&self, fate: &Fate) -> bool {
        use Manner::{AbortByClient, AbortByServer, ResetByClient, ResetByServer};
        let resets =
            matches!(self.script.manner, AbortByClient | AbortByServer | ResetByClient | ResetByServer);
        fate.trouble.is_none() && !resets
    }

    fn fate(&self, trouble: Option<String>) -> Fate {
        let short = trouble.is_none() && self.must_be_whole() && self.received != self.expected();
        let short = short.then(|| format!("{} of {} bytes came", self.received, self.expected()));
        Fate {
            number: self.number,
            received: self.received,
            wrong: self.wrong,
            began: self.began,
            port: self.client_port,
            trouble: trouble.or(short),
        }
    }

    fn expected(&self) -> u64 {
        self.script.length(if self.own_way == Way::ToServer { Way::ToClient } else { Way::ToServer })
    }

    fn is_client(&self) -> bool {
        self.own_way == Way::ToServer
    }

    fn has_all(&self) -> bool {
        self.received == self.expected()
    }

    fn has_sent_all(&self) -> bool {
        self.to_make == 0 && self.pending.is_empty() && self.hello.is_empty()
    }

    fn must_be_whole(&self) -> bool {
        !matches!(self.script.manner, Manner::AbortByClient | Manner::AbortByServer)
    }

    /// Whether this end is the one that resets, and its moment has come.
    fn must_reset(&self) -> bool {
        let half_is_here = self.received * 2 >= self.expected();
        match (self.script.manner, self.is_client()) {
            (Manner::ResetByClient, true) | (Manner::ResetByServer, false) => {
                self.has_all() && self.has_sent_all()
            }
            (Manner::AbortByClient, true) | (Manner::AbortByServer, false) => half_is_here,
            _ => false,
        }
    }

    /// Whether the other end's RST is what the script says.
    fn expects_reset(&self) -> bool {
        match (self.script.manner, self.is_client()) {
            // It has all of ours before it gives up: our last byte waited for all of its.
            (Manner::ResetByClient, false) | (Manner::ResetByServer, true) => self.has_all(),
            (Manner::AbortByClient, false) | (Manner::AbortByServer, true) => true,
            _ => false,
        }
    }

    fn read(&mut self, now: Nanos, buffer: &mut [u8]) -> Result<(), Option<String>> {
        let slow = self.script.slow[usize::from(!self.is_client())];
        while self.readable && now >= self.read_again {
            let room = if slow { SLOW_CHUNK } else { CHUNK };
            match self.stream.read(&mut buffer[..room]) {
                Ok(0) => {
                    self.readable = false;
                    self.heard_goodbye = true;
                }
                Ok(count) => {
                    self.received += count as u64;
                    self.wrong += self.incoming.count_wrong(&buffer[..count]);
                    if self.received > self.expected() {
                        return Err(Some(format!("more came than {} bytes", self.expected())));
                    }
                    if slow {
                        self.read_again = now + SLOW_PAUSE;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.told(&error)),
            }
        }
        Ok(())
    }

    /// An error of the socket: foreseen, or trouble.
    fn told(&self, error: &std::io::Error) -> Option<String> {
        let reset = matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe);
        // The RST was lost, and behind a new translation of the client's port nobody answers for the old one.
        let timed_out = error.kind() == ErrorKind::TimedOut;
        let foreseen = (reset || timed_out) && self.expects_reset();
        (!foreseen).then(|| format!("{error} after {} bytes", self.received))
    }

    fn write(&mut self, now: Nanos) -> Result<(), Option<String>> {
        while !self.said_goodbye && now >= self.silent_until {
            self.make(now);
            let front = if self.hello.is_empty() { &mut self.pending } else { &mut self.hello };
            if front.is_empty() {
                break;
            }
            match self.stream.write(front) {
                Ok(count) => drop(front.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.told(&error)),
            }
        }
        if !self.said_goodbye && self.has_sent_all() && self.may_say_goodbye() {
            self.said_goodbye = true;
            // Fails when the other end's RST is here already, which the next read tells.
            let _ = self.stream.shutdown(Shutdown::Write);
        }
        Ok(())
    }

    /// Puts the next bytes of the stream into `pending`, as many as the script allows now.
    fn make(&mut self, now: Nanos) {
        let length = self.script.length(self.own_way);
        if self.script.manner == Manner::Idle && !self.was_silent && self.to_make <= length / 2 {
            self.was_silent = true;
            self.silent_until = now + SILENCE;
            return;
        }
        if !self.pending.is_empty() || !self.hello.is_empty() || !self.may_begin() {
            return;
        }
        let keeps_back = u64::from(self.expects_reset_once_whole() && !self.has_all());
        let count = self.to_make.saturating_sub(keeps_back).min(CHUNK as u64);
        self.outgoing.append(&mut self.pending, count as usize);
        self.to_make -= count;
    }

    fn may_begin(&self) -> bool {
        self.script.manner != Manner::HalfClose || self.is_client() || self.heard_goodbye
    }

    /// The end that will be reset keeps its last byte until it has everything, so that nothing is lost by the RST.
    fn expects_reset_once_whole(&self) -> bool {
        matches!(
            (self.script.manner, self.is_client()),
            (Manner::ResetByClient, false) | (Manner::ResetByServer, true)
        )
    }

    fn may_say_goodbye(&self) -> bool {
        match self.script.manner {
            Manner::Plain | Manner::HalfClose | Manner::Idle => true,
            Manner::CloseTogether => self.has_all(),
            _ => false,
        }
    }
}
