//! The packets of the connections, the same for pfplane and conntrackd.

use pfplane::internals::packet::checksum::checksum;
use pfplane::internals::packet::tcp_flags::{ACK, FIN, SYN};

/// The sender of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
}

/// One packet of a connection.
#[derive(Clone, Copy)]
pub struct Step {
    pub side: Side,
    flags: u8,
    seq: u32,
    ack: u32,
}

impl Step {
    /// Whether it opens the connection.
    pub const fn opens(&self) -> bool {
        self.flags == SYN
    }
}

const CLIENT: u32 = 1000;
const SERVER: u32 = 5000;

/// The packets that open a connection, and those that close it a second later.
pub const OPENING: [Step; 3] = [
    Step { side: Side::Client, flags: SYN, seq: CLIENT, ack: 0 },
    Step { side: Side::Server, flags: SYN | ACK, seq: SERVER, ack: CLIENT + 1 },
    Step { side: Side::Client, flags: ACK, seq: CLIENT + 1, ack: SERVER + 1 },
];
pub const ENDING: [Step; 3] = [
    Step { side: Side::Client, flags: FIN | ACK, seq: CLIENT + 1, ack: SERVER + 1 },
    Step { side: Side::Server, flags: FIN | ACK, seq: SERVER + 1, ack: CLIENT + 2 },
    Step { side: Side::Client, flags: ACK, seq: CLIENT + 2, ack: SERVER + 2 },
];

/// Clients are 10.0.0.1 to 10.0.0.`HOSTS`, with 50 000 ports each.
pub const HOSTS: u32 = 200;
const PORTS: u32 = 50_000;
/// The server.
pub const SERVER_ADDRESS: [u8; 4] = [10, 1, 0, 1];
/// The length of every frame: Ethernet, IPv4, TCP.
pub const FRAME: usize = 14 + 40;
/// The length of the Ethernet header.
pub const ETHERNET: usize = 14;

/// Builds the frame of `step` of connection `number`, to the MAC address `mac`.
pub fn frame(number: u32, step: Step, mac: [u8; 6]) -> [u8; FRAME] {
    let client = [10, 0, 0, 1 + (number / PORTS % HOSTS) as u8];
    let port = (1024 + number % PORTS) as u16;
    let (addresses, ports) = match step.side {
        Side::Client => ([client, SERVER_ADDRESS], [port, 80]),
        Side::Server => ([SERVER_ADDRESS, client], [80, port]),
    };
    let mut frame = [0; FRAME];
    frame[..6].copy_from_slice(&mac);
    frame[6..14].copy_from_slice(&[2, 0, 0, 0, 9, 9, 8, 0]);
    let (ip, tcp) = frame[ETHERNET..].split_at_mut(20);
    ip[..12].copy_from_slice(&[0x45, 0, 0, 40, 0, 1, 0x40, 0, 64, 6, 0, 0]);
    ip[12..16].copy_from_slice(&addresses[0]);
    ip[16..20].copy_from_slice(&addresses[1]);
    let sum = checksum(ip);
    ip[10..12].copy_from_slice(&sum.0);
    tcp[..2].copy_from_slice(&ports[0].to_be_bytes());
    tcp[2..4].copy_from_slice(&ports[1].to_be_bytes());
    tcp[4..8].copy_from_slice(&step.seq.to_be_bytes());
    tcp[8..12].copy_from_slice(&step.ack.to_be_bytes());
    tcp[12..16].copy_from_slice(&[5 << 4, step.flags, 0xff, 0xff]);
    let mut summed = [0; 12 + 20];
    summed[..8].copy_from_slice(&ip[12..20]);
    summed[8..12].copy_from_slice(&[0, 6, 0, 20]);
    summed[12..].copy_from_slice(tcp);
    tcp[16..18].copy_from_slice(&checksum(&summed).0);
    frame
}

/// The packets by time: `rate` connections open per second, and each closes a second later.
pub struct Schedule {
    count: u32,
    rate: u32,
    opened: u32,
    ended: u32,
}

impl Schedule {
    /// Schedules `count` connections.
    pub const fn new(count: u32, rate: u32) -> Self {
        Self { count, rate, opened: 0, ended: 0 }
    }

    /// Calls `packet` for each packet that is due `elapsed_s` seconds after the start.
    pub fn due(&mut self, elapsed_s: f64, mut packet: impl FnMut(u32, Step)) {
        let until = |seconds: f64| self.count.min((seconds.max(0.0) * f64::from(self.rate)) as u32);
        let (opened, ended) = (until(elapsed_s), until(elapsed_s - 1.0));
        for (from, to, steps) in [(self.opened, opened, OPENING), (self.ended, ended, ENDING)] {
            (from..to).for_each(|number| steps.iter().for_each(|&step| packet(number, step)));
        }
        (self.opened, self.ended) = (opened, ended);
    }

    /// Whether every connection has closed.
    pub const fn is_over(&self) -> bool {
        self.ended == self.count
    }
}
