//! What went by on a cable, connection by connection, so that what went wrong can be read afterwards.
//!
//! A connection is named by its family and its client's first sequence number, which is the same on both cables, also when
//! the firewall translates between them.

use std::collections::HashMap;
use std::fmt::Write as _;

use pfplane_demo::clock::{MILLISECOND, Nanos};

use crate::frame::{ACK, FIN, PSH, RST, SYN, Tcp};

/// Whether it is IPv6, and the client's first sequence number.
pub type Name = (bool, u32);

/// Where a segment was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It came from the end.
    FromEnd,
    /// It went to the firewall.
    ToFirewall,
    /// It came from the firewall.
    FromFirewall,
    /// It went to the end.
    ToEnd,
    /// The cable lost it.
    Lost,
}

/// A segment as it was seen once.
#[derive(Clone, Copy, Debug)]
pub struct Sight {
    /// When.
    pub at: Nanos,
    /// Where.
    pub place: Place,
    /// Towards the end of this cable.
    pub to_end: bool,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement.
    pub ack: u32,
    /// Window as it stands.
    pub window: u16,
    /// Bytes of data.
    pub length: u16,
    /// Flags.
    pub flags: u8,
    /// Whether it was forged.
    pub forged: bool,
}

/// All of one connection on one cable.
#[derive(Clone, Debug)]
pub struct Log {
    /// The client's port as this cable knows it.
    pub client_port: u16,
    /// In the order of time.
    pub sights: Vec<Sight>,
}

/// The record of one cable.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    /// The newest connection of two ends.
    names: HashMap<Vec<u8>, Name>,
    /// By name.
    pub logs: HashMap<Name, Log>,
}

impl Recorder {
    /// The connection of a segment, once its SYN was seen.
    pub fn name(&self, tcp: Tcp, frame: &[u8]) -> Option<Name> {
        self.names.get(&tcp.connection(frame)).copied()
    }

    /// The server's first sequence number, as its cable saw it answer the connection's own SYN.
    pub fn server_began(&self, name: Name) -> Option<u32> {
        let mut answers = self.logs.get(&name)?.sights.iter().filter(|sight| {
            sight.flags & (SYN | ACK) == SYN | ACK && !sight.forged && sight.ack == name.1.wrapping_add(1)
        });
        answers.next_back().map(|sight| sight.seq)
    }

    /// How many segments of a connection the cable lost one after another, towards the firewall or towards the end.
    pub fn lost_in_a_row(&self, name: Name) -> usize {
        let sights = self.logs.get(&name).map_or(&[][..], |log| &log.sights);
        let (mut row, mut most) = ([0; 2], 0);
        for sight in sights.iter().filter(|sight| !sight.forged) {
            let row = &mut row[usize::from(sight.to_end)];
            match sight.place {
                Place::Lost => *row += 1,
                Place::ToFirewall | Place::ToEnd => *row = 0,
                Place::FromEnd | Place::FromFirewall => {}
            }
            most = most.max(*row);
        }
        most
    }

    /// Takes note of a segment.
    pub fn note(&mut self, tcp: Tcp, frame: &[u8], forged: bool, sight: (Nanos, Place, bool)) {
        let flags = tcp.flags(frame);
        let (at, place, to_end) = sight;
        if !forged && flags & (SYN | ACK) == SYN {
            let name = (tcp.is_v6(), tcp.seq(frame));
            self.names.insert(tcp.connection(frame), name);
            let client_port = tcp.source_port(frame);
            self.logs.entry(name).or_insert(Log { client_port, sights: Vec::new() });
        }
        let Some(log) = self.name(tcp, frame).and_then(|name| self.logs.get_mut(&name)) else { return };
        log.sights.push(Sight {
            at,
            place,
            to_end,
            seq: tcp.seq(frame),
            ack: tcp.ack(frame),
            window: tcp.window(frame),
            length: tcp.payload(frame),
            flags,
            forged,
        });
    }
}

/// The flags in letters.
pub fn flag_letters(flags: u8) -> String {
    [(SYN, 'S'), (FIN, 'F'), (RST, 'R'), (PSH, 'P'), (ACK, 'A')]
        .into_iter()
        .filter(|(flag, _)| flags & flag != 0)
        .map(|(_, letter)| letter)
        .collect()
}

/// Both cables' record of one connection, a line a sight: milliseconds since `began`, where, the segment.
pub fn text(cables: [&Recorder; 2], name: Name, began: Nanos) -> String {
    let mut sights: Vec<(usize, Sight)> = Vec::new();
    for (side, cable) in cables.iter().enumerate() {
        let of_side = cable.logs.get(&name).map_or(&[][..], |log| &log.sights);
        sights.extend(of_side.iter().map(|sight| (side, *sight)));
    }
    sights.sort_by_key(|(_, sight)| sight.at);
    let mut out = String::new();
    for (side, sight) in sights {
        let at = sight.at.saturating_sub(began) as f64 / MILLISECOND as f64;
        let end = ["client", "server"][side];
        let way = if sight.to_end == (side == 0) { "<" } else { ">" };
        let place = match sight.place {
            Place::FromEnd => format!("from {end}"),
            Place::ToFirewall => format!("{end}'s side into firewall"),
            Place::FromFirewall => format!("out of firewall to {end}"),
            Place::ToEnd => format!("to {end}"),
            Place::Lost => format!("lost beside {end}"),
        };
        let forged = if sight.forged { " FORGED" } else { "" };
        let _ = writeln!(
            out,
            "{at:12.3} {way} {:4} {}+{} ack {} win {} {place}{forged}",
            flag_letters(sight.flags),
            sight.seq,
            sight.length,
            sight.ack,
            sight.window,
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_in_a_row_are_counted_each_way_until_a_segment_comes_through() {
        let sight = |&(place, to_end): &(Place, bool)| Sight {
            at: 0,
            place,
            to_end,
            seq: 0,
            ack: 0,
            window: 0,
            length: 0,
            flags: ACK,
            forged: false,
        };
        let rows: [(&[(Place, bool)], usize); 4] = [
            (&[], 0),
            (&[(Place::Lost, true), (Place::ToEnd, true), (Place::Lost, true)], 1),
            (&[(Place::Lost, false), (Place::ToEnd, true), (Place::FromEnd, false), (Place::Lost, false)], 2),
            (
                &[(Place::Lost, false), (Place::Lost, true), (Place::Lost, true), (Place::ToFirewall, false)],
                2,
            ),
        ];
        for (sights, most) in rows {
            let mut cable = Recorder::default();
            let log = Log { client_port: 1, sights: sights.iter().map(sight).collect() };
            cable.logs.insert((true, 5), log);
            assert_eq!(cable.lost_in_a_row((true, 5)), most, "{sights:?}");
        }
        assert_eq!(Recorder::default().lost_in_a_row((true, 5)), 0);
    }
}
