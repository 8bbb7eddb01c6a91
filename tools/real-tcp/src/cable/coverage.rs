//! Which situations a run covered, by its scripts and as the cables recorded them. A count of zero means not tested.

use super::frame::{ACK, FIN, RST, SYN};
use super::recorder::{ConnectionId, Observation, Point, Recorder};
use crate::endpoints::script::{Buffer, Pattern, Script};
use crate::network::Phase;

/// A situation and how often it occurred.
pub(crate) type Coverage = (&'static str, u64);

/// A connection's script, TCP options and server buffer.
type Plan = (Script, Phase, Buffer);
type PlannedSituation = (&'static str, fn(&Plan) -> bool);

/// Counts connections by their scripts.
pub(crate) fn planned(plans: impl Iterator<Item = Plan> + Clone) -> Vec<Coverage> {
    let situations: [PlannedSituation; 16] = [
        ("IPv4", |(script, ..)| !script.v6),
        ("IPv6", |(script, ..)| script.v6),
        ("window scaling", |(_, phase, _)| phase.scaling == [true; 2]),
        ("no window scaling", |(_, phase, _)| phase.scaling != [true; 2]),
        ("SACK", |(_, phase, _)| phase.sack == [true; 2]),
        ("timestamps", |(_, phase, _)| phase.timestamps == [true; 2]),
        ("none of the three", |(_, phase, _)| {
            [phase.scaling, phase.sack, phase.timestamps].iter().all(|option| *option != [true; 2])
        }),
        ("tiny windows", |(script, _, server)| [script.buffer, *server].contains(&Buffer::Tiny)),
        ("huge windows", |(script, _, server)| [script.buffer, *server].contains(&Buffer::Huge)),
        ("slow readers", |(script, ..)| script.slow.contains(&true)),
        ("simultaneous close", |(script, ..)| script.pattern == Pattern::SimultaneousClose),
        ("half-closed", |(script, ..)| script.pattern == Pattern::HalfClose),
        ("reset by the client", |(script, ..)| script.pattern == Pattern::ResetByClient),
        ("reset by the server", |(script, ..)| script.pattern == Pattern::ResetByServer),
        ("aborted halfway", |(script, ..)| {
            matches!(script.pattern, Pattern::AbortByClient | Pattern::AbortByServer)
        }),
        ("idle with keep-alive", |(script, ..)| script.pattern == Pattern::Idle),
    ];
    situations.iter().map(|(name, is)| (*name, plans.clone().filter(is).count() as u64)).collect()
}

/// Counts what the cables recorded.
pub(crate) fn recorded(cables: [&Recorder; 2]) -> Vec<Coverage> {
    let crossed = cables[0].logs.keys().filter(|id| fins_crossed(cables, **id)).count() as u64;
    let from_endpoints = |is: fn(&Observation) -> bool| {
        let logs = cables.iter().flat_map(|cable| cable.logs.values());
        let segments = logs.flat_map(|log| &log.observations);
        let genuine = |segment: &&Observation| segment.point == Point::FromEndpoint && !segment.forged;
        segments.filter(genuine).filter(|segment| is(segment)).count() as u64
    };
    let closed_windows =
        from_endpoints(|segment| segment.window == 0 && segment.flags & (SYN | FIN | RST) == 0);
    vec![
        ("connections with crossing FINs", crossed),
        ("closed windows", closed_windows),
        ("RSTs", from_endpoints(|segment| segment.flags & RST != 0)),
        ("keep-alive and window probes", cables.iter().map(|cable| probes(cable)).sum()),
    ]
}

/// Whether each endpoint sent its FIN before it received the other's.
fn fins_crossed(cables: [&Recorder; 2], id: ConnectionId) -> bool {
    let fin_time = |cable: &Recorder, point| {
        let mut segments = cable.observations(id).iter();
        segments
            .find(|segment| segment.point == point && segment.flags & FIN != 0)
            .map(|segment| segment.time)
    };
    cables.iter().all(|cable| {
        match (fin_time(cable, Point::FromEndpoint), fin_time(cable, Point::ToEndpoint)) {
            (Some(sent), Some(received)) => sent < received,
            (sent, received) => sent.is_some() && received.is_none(),
        }
    })
}

/// Counts segments without data one octet before the next sequence number.
fn probes(cable: &Recorder) -> u64 {
    let mut count = 0;
    for log in cable.logs.values() {
        let mut next: Option<u32> = None;
        let genuine = |segment: &&Observation| segment.point == Point::FromEndpoint && !segment.forged;
        for segment in log.observations.iter().filter(genuine) {
            let flags = u32::from(segment.flags & SYN != 0) + u32::from(segment.flags & FIN != 0);
            let end = segment.seq.wrapping_add(u32::from(segment.length)).wrapping_add(flags);
            let is_probe = segment.flags == ACK && segment.length == 0;
            count += u64::from(is_probe && next == Some(segment.seq.wrapping_add(1)));
            if next.is_none_or(|next| end.wrapping_sub(next).cast_signed() > 0) {
                next = Some(end);
            }
        }
    }
    count
}
