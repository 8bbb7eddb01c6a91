//! Facts of packets of one TCP connection, as the parser would return them.

use pfplane::internals::packet::{Be16, Direction, Facts, Family, IpOptions, Key, Kind, TcpFacts};

/// Returns the facts of a TCP packet of the connection 1.2.3.4:4000 to 5.6.7.8:80, or the like in IPv6. `forward` is into
/// the host.
pub(crate) fn packet(family: Family, forward: bool, tcp: TcpFacts) -> Facts {
    let mut client = [0; 16];
    let mut server = [0; 16];
    client[..4].copy_from_slice(&[1, 2, 3, 4]);
    server[..4].copy_from_slice(&[5, 6, 7, 8]);
    let mut header = 40;
    if family == Family::V6 {
        client[15] = 4;
        server[15] = 8;
        header = 60;
    }
    let port = [Be16::new(4000), Be16::new(80)];
    Facts {
        key: Key { addr: [client, server], port, rdomain: 0, family, proto: 6 },
        kind: Kind::Tcp,
        direction: if forward { Direction::In } else { Direction::Out },
        l3_offset: 14,
        l4_offset: 14 + header - 20,
        ip_length: u32::from(header) + tcp.payload,
        ttl: 64,
        tos: 0,
        ip_options: IpOptions::NONE,
        tcp,
    }
}
