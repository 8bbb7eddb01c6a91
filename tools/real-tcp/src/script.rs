//! What happens on one connection. Both ends work it out from the seed and the connection's number.

use pfplane_demo::traffic::keystream::Way;

use pfplane_testkit::Random;

/// How a connection goes and how it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Each end sends, says so with a FIN, and reads to the other's FIN.
    Plain,
    /// Both ends have all, and say goodbye at the same moment.
    CloseTogether,
    /// The client has sent all and closed its half before the server sends its first byte.
    HalfClose,
    /// All is through; one end goes with an RST. Then the client comes again from the same port.
    ResetByClient,
    /// All is through; the server goes with an RST.
    ResetByServer,
    /// In the middle of the transfer the client goes with an RST.
    AbortByClient,
    /// The same, the server.
    AbortByServer,
    /// Half of it, a long silence with keep-alive probes, the other half.
    Idle,
}

/// One in ten thousand shares of each.
const MANNERS: [(Manner, u64); 8] = [
    (Manner::Plain, 3_800),
    (Manner::CloseTogether, 1_500),
    (Manner::HalfClose, 1_500),
    (Manner::ResetByClient, 800),
    (Manner::ResetByServer, 800),
    (Manner::AbortByClient, 600),
    (Manner::AbortByServer, 600),
    (Manner::Idle, 400),
];

/// A receive buffer, and with it the window that an end offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buffer {
    /// The least that the kernel allows.
    Tiny,
    /// The kernel's own choice.
    Usual,
    /// Megabytes.
    Huge,
}

impl Buffer {
    /// The size to ask for, if any.
    pub fn bytes(self) -> Option<usize> {
        match self {
            Buffer::Tiny => Some(1024),
            Buffer::Usual => None,
            Buffer::Huge => Some(8 << 20),
        }
    }
}

/// The whole plan of one connection.
#[derive(Clone, Debug)]
pub struct Script {
    /// How it goes.
    pub manner: Manner,
    /// Bytes that the client sends after its hello.
    pub to_server: u64,
    /// Bytes that the server sends.
    pub to_client: u64,
    /// The client's receive buffer; the server's is its listener's, by phase.
    pub buffer: Buffer,
    /// Ends that read slowly, so that windows close: the client, the server.
    pub slow: [bool; 2],
    /// Whether it is IPv6.
    pub v6: bool,
}

impl Script {
    /// Connection `number` of a run whose server's receive buffers for it are `server_buffer`.
    pub fn of(seed: u64, number: u32, server_buffer: Buffer) -> Script {
        let mut random = Random::stream(seed, u64::from(number));
        let mut share = random.between(0, 9_999);
        let manner = MANNERS
            .iter()
            .find(|(_, shares)| {
                let found = share < *shares;
                share = share.saturating_sub(*shares);
                found
            })
            .map_or(Manner::Plain, |(manner, _)| *manner);
        let buffer = match random.between(0, 9) {
            0..3 => Buffer::Tiny,
            3..5 => Buffer::Huge,
            _ => Buffer::Usual,
        };
        let slow = [random.between(0, 9) == 0, random.between(0, 9) == 0];
        // Through a window of a segment or less, with a fifth of a second for each probe, little goes in a minute.
        let most = |receiver: Buffer| {
            if receiver == Buffer::Tiny || slow[0] || slow[1] { 16_000 } else { 1_500_000 }
        };
        let to_server = length(&mut random).min(most(server_buffer));
        let to_client = length(&mut random).min(most(buffer));
        Script { manner, to_server, to_client, buffer, slow, v6: !number.is_multiple_of(2) }
    }

    /// What goes this way.
    pub fn length(&self, way: Way) -> u64 {
        if way == Way::ToServer { self.to_server } else { self.to_client }
    }
}

/// Mostly little, seldom much: most of a firewall's connections are short.
fn length(random: &mut Random) -> u64 {
    match random.between(0, 99) {
        0..55 => random.between(1, 3_000),
        55..94 => random.between(3_000, 50_000),
        94..99 => random.between(50_000, 250_000),
        _ => random.between(250_000, 1_500_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_whole_and_every_manner_buffer_and_family_comes() {
        assert_eq!(MANNERS.iter().map(|(_, shares)| shares).sum::<u64>(), 10_000);
        let scripts: Vec<Script> = (0..2_000).map(|number| Script::of(7, number, Buffer::Usual)).collect();
        for (manner, _) in MANNERS {
            for v6 in [false, true] {
                assert!(
                    scripts.iter().any(|script| script.manner == manner && script.v6 == v6),
                    "{manner:?}"
                );
            }
        }
        for buffer in [Buffer::Tiny, Buffer::Usual, Buffer::Huge] {
            assert!(scripts.iter().any(|script| script.buffer == buffer), "{buffer:?}");
        }
    }

    #[test]
    fn a_script_follows_from_seed_and_number() {
        let text = |seed, number| format!("{:?}", Script::of(seed, number, Buffer::Usual));
        assert_eq!(text(1, 2), text(1, 2));
        assert!((0..50).any(|number| text(1, number) != text(2, number)));
    }
}
