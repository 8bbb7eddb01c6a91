//! The packets of the connections, the same for pfplane and conntrackd.

use pfplane_testkit::Packet;
use pfplane_testkit::packet::{ACK, FIN, SYN, ethernet};

/// The sender of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

/// One packet of a connection.
#[derive(Clone, Copy)]
pub(super) struct Step {
    pub side: Side,
    flags: u8,
    seq: u32,
    ack: u32,
}

impl Step {
    /// Whether it opens the connection.
    pub(super) const fn opens(&self) -> bool {
        self.flags == SYN
    }
}

const CLIENT: u32 = 1000;
const SERVER: u32 = 5000;

/// The packets that open a connection, and those that close it a second later.
pub(super) const OPENING: [Step; 3] = [
    Step { side: Side::Client, flags: SYN, seq: CLIENT, ack: 0 },
    Step { side: Side::Server, flags: SYN | ACK, seq: SERVER, ack: CLIENT + 1 },
    Step { side: Side::Client, flags: ACK, seq: CLIENT + 1, ack: SERVER + 1 },
];
pub(super) const ENDING: [Step; 3] = [
    Step { side: Side::Client, flags: FIN | ACK, seq: CLIENT + 1, ack: SERVER + 1 },
    Step { side: Side::Server, flags: FIN | ACK, seq: SERVER + 1, ack: CLIENT + 2 },
    Step { side: Side::Client, flags: ACK, seq: CLIENT + 2, ack: SERVER + 2 },
];

/// Clients are 10.0.0.1 to 10.0.0.`HOSTS`, with 50 000 ports each.
pub(super) const HOSTS: u32 = 200;
const PORTS: u32 = 50_000;
/// The server.
pub(super) const SERVER_ADDRESS: [u8; 4] = [10, 1, 0, 1];
/// The length of the Ethernet header.
pub(super) const ETHERNET: usize = 14;

/// Builds the frame of `step` of connection `number`, to the MAC address `mac`.
pub(super) fn frame(number: u32, step: Step, mac: [u8; 6]) -> Vec<u8> {
    let mut client = [10, 0, 0, 1 + (number / PORTS % HOSTS) as u8];
    let mut server = SERVER_ADDRESS;
    let mut ports = [(1024 + number % PORTS) as u16, 80];
    if step.side == Side::Server {
        (client, server) = (server, client);
        ports.reverse();
    }
    let address = |v4: [u8; 4]| std::array::from_fn(|index| v4.get(index).copied().unwrap_or(0));
    let (source, destination) = (address(client), address(server));
    let Step { flags, seq, ack, .. } = step;
    let base =
        Packet { source, destination, window: 0xffff, wscale: None, ..Packet::syn(false, 0, 0, ports) };
    let mut frame = ethernet(&[], &Packet { flags, seq, ack, ..base }.tcp());
    frame[..6].copy_from_slice(&mac);
    frame
}

/// The packets by time: `rate` connections open per second, and each closes a second later.
pub(super) struct Schedule {
    count: u32,
    rate: u32,
    opened: u32,
    ended: u32,
}

impl Schedule {
    /// Schedules `count` connections.
    pub(super) const fn new(count: u32, rate: u32) -> Self {
        Self { count, rate, opened: 0, ended: 0 }
    }

    /// Calls `packet` for each packet that is due `elapsed_s` seconds after the start.
    pub(super) fn due(&mut self, elapsed_s: f64, mut packet: impl FnMut(u32, Step)) {
        let until = |seconds: f64| self.count.min((seconds.max(0.0) * f64::from(self.rate)) as u32);
        let (opened, ended) = (until(elapsed_s), until(elapsed_s - 1.0));
        for (from, to, steps) in [(self.opened, opened, OPENING), (self.ended, ended, ENDING)] {
            (from..to).for_each(|number| steps.iter().for_each(|&step| packet(number, step)));
        }
        (self.opened, self.ended) = (opened, ended);
    }

    /// Whether every connection has closed.
    pub(super) const fn is_over(&self) -> bool {
        self.ended == self.count
    }
}
