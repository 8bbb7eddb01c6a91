//! What happens on one connection. Both ends derive it from the seed and the connection's number.

use pfplane_testbed::traffic::keystream::Direction;
use pfplane_testkit::Random;

/// How a connection transfers and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// Each end sends, closes its half and reads to the other's FIN.
    Plain,
    /// Both ends close when both have everything.
    SimultaneousClose,
    /// The client sends everything and closes its half before the server sends its first byte.
    HalfClose,
    /// After the transfer the client sends an RST. Its next connection uses the same port.
    ResetByClient,
    /// After the transfer the server sends an RST.
    ResetByServer,
    /// The client sends an RST halfway.
    AbortByClient,
    /// The server sends an RST halfway.
    AbortByServer,
    /// Half of the transfer, a long pause with keep-alive probes, the other half.
    Idle,
}

/// The shares of the patterns in ten thousand.
const SHARES: [(Pattern, u64); 8] = [
    (Pattern::Plain, 3_800),
    (Pattern::SimultaneousClose, 1_500),
    (Pattern::HalfClose, 1_500),
    (Pattern::ResetByClient, 800),
    (Pattern::ResetByServer, 800),
    (Pattern::AbortByClient, 600),
    (Pattern::AbortByServer, 600),
    (Pattern::Idle, 400),
];

/// A receive buffer, which determines the offered window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Buffer {
    /// The kernel's minimum.
    Tiny,
    /// The kernel's default.
    Default,
    /// Megabytes.
    Huge,
}

impl Buffer {
    /// Returns the size to set, if any.
    pub(crate) fn bytes(self) -> Option<usize> {
        match self {
            Buffer::Tiny => Some(1024),
            Buffer::Default => None,
            Buffer::Huge => Some(8 << 20),
        }
    }
}

/// The script of one connection.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub pattern: Pattern,
    /// Bytes that the client sends after its hello.
    pub to_server: u64,
    /// Bytes that the server sends.
    pub to_client: u64,
    /// The client's receive buffer; the server's depends on the phase.
    pub buffer: Buffer,
    /// Ends that read slowly, so that windows close: the client, the server.
    pub slow: [bool; 2],
    pub v6: bool,
}

impl Script {
    /// Derives the script of connection `number`, for which the server has `server_buffer`.
    pub(crate) fn new(seed: u64, number: u32, server_buffer: Buffer) -> Script {
        let mut random = Random::stream(seed, u64::from(number));
        let pattern = pattern(random.between(0, 9_999));
        let buffer = match random.between(0, 9) {
            0..3 => Buffer::Tiny,
            3..5 => Buffer::Huge,
            _ => Buffer::Default,
        };
        let slow = [random.between(0, 9) == 0, random.between(0, 9) == 0];
        // A window below a segment, with 200 ms between probes, carries little in a minute.
        let max_length = |receiver: Buffer| {
            if receiver == Buffer::Tiny || slow[0] || slow[1] { 16_000 } else { 1_500_000 }
        };
        let to_server = length(&mut random).min(max_length(server_buffer));
        let to_client = length(&mut random).min(max_length(buffer));
        Script { pattern, to_server, to_client, buffer, slow, v6: !number.is_multiple_of(2) }
    }

    /// Returns the bytes sent in a direction.
    pub(crate) fn length(&self, direction: Direction) -> u64 {
        if direction == Direction::ToServer { self.to_server } else { self.to_client }
    }
}

fn pattern(mut share: u64) -> Pattern {
    for (pattern, shares) in SHARES {
        if share < shares {
            return pattern;
        }
        share -= shares;
    }
    Pattern::Plain
}

/// Mostly short: so are most connections of a firewall.
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
    fn shares_are_complete_and_every_pattern_buffer_and_family_occurs() {
        assert_eq!(SHARES.iter().map(|(_, shares)| shares).sum::<u64>(), 10_000);
        let scripts: Vec<Script> = (0..2_000).map(|number| Script::new(7, number, Buffer::Default)).collect();
        for (pattern, _) in SHARES {
            for v6 in [false, true] {
                let occurs = scripts.iter().any(|script| script.pattern == pattern && script.v6 == v6);
                assert!(occurs, "{pattern:?}");
            }
        }
        for buffer in [Buffer::Tiny, Buffer::Default, Buffer::Huge] {
            assert!(scripts.iter().any(|script| script.buffer == buffer), "{buffer:?}");
        }
    }

    #[test]
    fn a_script_depends_on_seed_and_number_only() {
        let text = |seed, number| format!("{:?}", Script::new(seed, number, Buffer::Default));
        assert_eq!(text(1, 2), text(1, 2));
        assert!((0..50).any(|number| text(1, number) != text(2, number)));
    }
}
