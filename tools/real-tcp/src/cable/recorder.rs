//! Records the segments on a cable by connection, for analysis after the run.
//!
//! A connection's identifier is its family and the client's initial sequence number, which are the same on both cables,
//! also with address translation.

use std::collections::HashMap;
use std::fmt::Write as _;

use pfplane_testbed::clock::{MILLISECOND, Nanos};

use super::frame::{ACK, FIN, PSH, RST, SYN, Tcp};

/// Whether it is IPv6, and the client's initial sequence number.
pub(crate) type ConnectionId = (bool, u32);

/// Where a segment was observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    FromEndpoint,
    ToFirewall,
    FromFirewall,
    ToEndpoint,
    /// The cable lost it.
    Lost,
}

/// One observation of a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Observation {
    pub time: Nanos,
    pub point: Point,
    /// Whether it is sent to this cable's endpoint.
    pub to_endpoint: bool,
    pub seq: u32,
    pub ack: u32,
    /// The unscaled window.
    pub window: u16,
    /// Bytes of data.
    pub length: u16,
    pub flags: u8,
    pub forged: bool,
}

/// One connection on one cable.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionLog {
    /// The client's port on this cable.
    pub client_port: u16,
    /// In order of time.
    pub observations: Vec<Observation>,
}

/// The record of one cable.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorder {
    /// The latest connection between two endpoints.
    latest: HashMap<Vec<u8>, ConnectionId>,
    pub logs: HashMap<ConnectionId, ConnectionLog>,
}

impl Recorder {
    /// Returns the connection of a segment, once its SYN was observed.
    pub(crate) fn connection(&self, tcp: Tcp, frame: &[u8]) -> Option<ConnectionId> {
        self.latest.get(&tcp.endpoints(frame)).copied()
    }

    /// Returns the observations of a connection.
    pub(crate) fn observations(&self, id: ConnectionId) -> &[Observation] {
        self.logs.get(&id).map_or(&[], |log| &log.observations)
    }

    /// Returns the server's initial sequence number, from its answer to this connection's SYN.
    pub(crate) fn server_initial_seq(&self, id: ConnectionId) -> Option<u32> {
        let mut answers = self.observations(id).iter().filter(|segment| {
            segment.flags & (SYN | ACK) == SYN | ACK && !segment.forged && segment.ack == id.1.wrapping_add(1)
        });
        answers.next_back().map(|segment| segment.seq)
    }

    /// Returns how many consecutive segments in one direction the cable lost at most.
    pub(crate) fn max_consecutive_losses(&self, id: ConnectionId) -> usize {
        let (mut losses, mut max) = ([0; 2], 0);
        for segment in self.observations(id).iter().filter(|segment| !segment.forged) {
            let losses = &mut losses[usize::from(segment.to_endpoint)];
            match segment.point {
                Point::Lost => *losses += 1,
                Point::ToFirewall | Point::ToEndpoint => *losses = 0,
                Point::FromEndpoint | Point::FromFirewall => {}
            }
            max = max.max(*losses);
        }
        max
    }

    /// Records a segment.
    pub(crate) fn record(&mut self, tcp: Tcp, frame: &[u8], forged: bool, observed: (Nanos, Point, bool)) {
        let flags = tcp.flags(frame);
        let (time, point, to_endpoint) = observed;
        if !forged && flags & (SYN | ACK) == SYN {
            let id = (tcp.is_v6(), tcp.seq(frame));
            self.latest.insert(tcp.endpoints(frame), id);
            let client_port = tcp.source_port(frame);
            self.logs.entry(id).or_insert(ConnectionLog { client_port, observations: Vec::new() });
        }
        let Some(log) = self.connection(tcp, frame).and_then(|id| self.logs.get_mut(&id)) else { return };
        log.observations.push(Observation {
            time,
            point,
            to_endpoint,
            seq: tcp.seq(frame),
            ack: tcp.ack(frame),
            window: tcp.window(frame),
            length: tcp.payload_length(),
            flags,
            forged,
        });
    }
}

/// Returns the flags as letters.
fn flag_letters(flags: u8) -> String {
    [(SYN, 'S'), (FIN, 'F'), (RST, 'R'), (PSH, 'P'), (ACK, 'A')]
        .into_iter()
        .filter(|(flag, _)| flags & flag != 0)
        .map(|(_, letter)| letter)
        .collect()
}

/// Formats both cables' record of one connection, one line per observation: milliseconds since `start`, segment, point.
pub(crate) fn text(cables: [&Recorder; 2], id: ConnectionId, start: Nanos) -> String {
    let mut segments: Vec<(usize, &Observation)> = Vec::new();
    for (side, cable) in cables.iter().enumerate() {
        segments.extend(cable.observations(id).iter().map(|segment| (side, segment)));
    }
    segments.sort_by_key(|(_, segment)| segment.time);
    let mut out = String::new();
    for (side, segment) in segments {
        let time = segment.time.saturating_sub(start) as f64 / MILLISECOND as f64;
        let end = ["client", "server"][side];
        let arrow = if segment.to_endpoint == (side == 0) { "<" } else { ">" };
        let point = match segment.point {
            Point::FromEndpoint => format!("from {end}"),
            Point::ToFirewall => format!("to firewall, {end} side"),
            Point::FromFirewall => format!("from firewall, {end} side"),
            Point::ToEndpoint => format!("to {end}"),
            Point::Lost => format!("lost on the {end}'s cable"),
        };
        let forged = if segment.forged { " FORGED" } else { "" };
        let Observation { seq, length, ack, window, .. } = segment;
        let flags = flag_letters(segment.flags);
        let _ = writeln!(
            out,
            "{time:12.3} {arrow} {flags:4} {seq}+{length} ack {ack} win {window} {point}{forged}"
        );
    }
    out
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn observation(time: Nanos, point: Point, to_endpoint: bool, flags: u8) -> Observation {
        Observation { time, point, to_endpoint, flags, seq: 0, ack: 0, window: 0, length: 0, forged: false }
    }

    pub(crate) fn recorder(id: ConnectionId, observations: Vec<Observation>) -> Recorder {
        let mut recorder = Recorder::default();
        recorder.logs.insert(id, ConnectionLog { client_port: 1, observations });
        recorder
    }

    #[test]
    fn consecutive_losses_are_counted_per_direction() {
        use Point::{FromEndpoint, Lost, ToEndpoint, ToFirewall};
        let cases: [(&[(Point, bool)], usize); 4] = [
            (&[], 0),
            (&[(Lost, true), (ToEndpoint, true), (Lost, true)], 1),
            (&[(Lost, false), (ToEndpoint, true), (FromEndpoint, false), (Lost, false)], 2),
            (&[(Lost, false), (Lost, true), (Lost, true), (ToFirewall, false)], 2),
        ];
        for (segments, max) in cases {
            let observations =
                segments.iter().map(|&(point, to_endpoint)| observation(0, point, to_endpoint, ACK));
            let cable = recorder((true, 5), observations.collect());
            assert_eq!(cable.max_consecutive_losses((true, 5)), max, "{segments:?}");
        }
        assert_eq!(Recorder::default().max_consecutive_losses((true, 5)), 0);
    }
}
