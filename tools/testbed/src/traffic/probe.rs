//! Probes: numbered requests that are answered. The server returns the datagrams of a UDP flow; its kernel answers pings.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto, sockopt};

use super::activity::Activity;
use super::keystream::{Direction, Keystream};
use super::plan::{Family, Plan};
use super::report::ProbeReport;
use crate::clock::{MILLISECOND, Nanos};

/// The time between two requests of a probe.
pub const PROBE_INTERVAL: Nanos = 50 * MILLISECOND;

const CONTENT_LEN: usize = 64;
const ICMP_HEADER_LEN: usize = 8;

/// What precedes the numbered content.
#[derive(Clone, Copy)]
enum Header {
    None,
    Icmp { request: u8, reply: u8 },
}

impl Header {
    const PING: Header = Header::Icmp { request: 8, reply: 0 };
    const PING6: Header = Header::Icmp { request: 128, reply: 129 };

    /// Returns the header of a request; the kernel sets identifier and checksum of ping sockets.
    fn emit(self, number: u64) -> Vec<u8> {
        match self {
            Header::None => Vec::new(),
            Header::Icmp { request, .. } => {
                let [high, low] = (number as u16).to_be_bytes();
                vec![request, 0, 0, 0, 0, 0, high, low]
            }
        }
    }

    /// Returns what follows the header of an answer, `None` when this is no answer.
    fn strip(self, bytes: &[u8]) -> Option<&[u8]> {
        match self {
            Header::None => Some(bytes),
            Header::Icmp { reply, .. } => {
                (bytes.first() == Some(&reply)).then(|| bytes.get(ICMP_HEADER_LEN..)).flatten()
            }
        }
    }
}

/// One UDP flow or one ping.
pub struct Probe {
    socket: OwnedFd,
    header: Header,
    name: String,
    family: Family,
    seed: u64,
    /// Makes the contents of the probes differ.
    salt: u32,
    answered: Vec<bool>,
    sent_at: Vec<Nanos>,
    /// The first request that is counted; earlier ones waited for the path to come up.
    counted_from: usize,
    duplicated: u64,
    wrong: u64,
    refused: u64,
    /// When answers arrived.
    pub activity: Activity,
}

impl Probe {
    /// Opens UDP flow `number`.
    pub fn udp(plan: &Plan, number: u32) -> io::Result<Probe> {
        let server = plan.server(plan.family_of(number), plan.udp_port);
        Probe::new(plan, server, ipproto::UDP, Header::None, format!("UDP {}", number + 1), number)
    }

    /// Opens the ping of a family.
    pub fn ping(plan: &Plan, family: Family) -> io::Result<Probe> {
        let server = plan.server(family, 0);
        match family {
            Family::V4 => Probe::new(plan, server, ipproto::ICMP, Header::PING, "ping".into(), u32::MAX),
            Family::V6 => {
                Probe::new(plan, server, ipproto::ICMPV6, Header::PING6, "ping6".into(), u32::MAX - 1)
            }
        }
    }

    fn new(
        plan: &Plan,
        server: SocketAddr,
        protocol: rustix::net::Protocol,
        header: Header,
        name: String,
        salt: u32,
    ) -> io::Result<Probe> {
        let (domain, family) = match server {
            SocketAddr::V4(_) => (AddressFamily::INET, Family::V4),
            SocketAddr::V6(_) => (AddressFamily::INET6, Family::V6),
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(domain, SocketType::DGRAM, flags, Some(protocol))?;
        rustix::net::connect(&socket, &server)?;
        Ok(Probe {
            socket,
            header,
            name,
            family,
            seed: plan.seed,
            salt,
            answered: Vec::new(),
            sent_at: Vec::new(),
            counted_from: 0,
            duplicated: 0,
            wrong: 0,
            refused: 0,
            activity: Activity::new(plan),
        })
    }

    /// Returns the socket to poll.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Whether this is a UDP flow.
    pub fn is_flow(&self) -> bool {
        matches!(self.header, Header::None)
    }

    /// Returns the number of wrong answers.
    pub fn wrong(&self) -> u64 {
        self.wrong
    }

    /// Sends the next request.
    pub fn send(&mut self, now: Nanos) {
        let number = self.answered.len() as u64;
        self.answered.push(false);
        self.sent_at.push(now);
        let mut bytes = self.header.emit(number);
        bytes.extend_from_slice(&self.content(number));
        // A request that cannot be sent stays unanswered and is counted as such.
        self.refused += u64::from(rustix::net::send(&self.socket, &bytes, SendFlags::empty()).is_err());
    }

    /// Counts losses from here on: the path is up.
    pub fn start_counting(&mut self) {
        self.counted_from = self.answered.len();
    }

    /// Receives one answer.
    pub fn receive(&mut self, now: Nanos) {
        let mut buffer = [0u8; 2048];
        let Ok((_, count)) = rustix::net::recv(&self.socket, &mut buffer, RecvFlags::empty()) else {
            // Clears a pending error, which level triggering would report again and again.
            let _ = sockopt::socket_error(&self.socket);
            return;
        };
        let Some(content) = self.header.strip(&buffer[..count]) else { return };
        let number = content.first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes));
        match number.filter(|&number| number < self.answered.len() as u64) {
            Some(number) if content == self.content(number) => self.accept(number, count, now),
            _ => self.wrong += 1,
        }
    }

    /// Returns the report.
    pub fn report(mut self, now: Nanos) -> ProbeReport {
        self.activity.finish(now);
        let counted = &self.answered[self.counted_from..];
        let times = counted.iter().zip(&self.sent_at[self.counted_from..]);
        let lost = times.filter(|(answered, _)| !**answered).map(|(_, &sent)| sent).collect();
        ProbeReport {
            name: self.name,
            family: self.family,
            sent: counted.len() as u64,
            answered: counted.iter().filter(|&&answered| answered).count() as u64,
            lost,
            duplicated: self.duplicated,
            wrong: self.wrong,
            refused: self.refused,
            activity: self.activity,
        }
    }

    fn accept(&mut self, number: u64, bytes: usize, now: Nanos) {
        let answered = &mut self.answered[number as usize];
        self.duplicated += u64::from(*answered);
        *answered = true;
        self.activity.record(now, bytes);
    }

    fn content(&self, number: u64) -> Vec<u8> {
        let mut content = number.to_be_bytes().to_vec();
        let mut stream = Keystream::new(self.seed.wrapping_add(number), self.salt, Direction::ToServer);
        stream.append(&mut content, CONTENT_LEN - 8);
        content
    }
}
