//! Of what kinds the connections of a run were: as they were meant, and as the cables saw them. A kind that never came
//! was not tried.

use crate::frame::{ACK, FIN, RST, SYN};
use crate::network::Phase;
use crate::recorder::{Name, Place, Recorder, Sight};
use crate::script::{Buffer, Manner, Script};

/// A kind and how many there were.
pub type Kind = (&'static str, u64);

type Plan = (Script, Phase, Buffer);
type PlannedKind = (&'static str, fn(&Plan) -> bool);

/// From the plans: connections.
pub fn planned(plans: impl Iterator<Item = Plan> + Clone) -> Vec<Kind> {
    let kinds: [PlannedKind; 16] = [
        ("IPv4", |(script, ..)| !script.v6),
        ("IPv6", |(script, ..)| script.v6),
        ("window scaling", |(_, phase, _)| phase.scaling == [true; 2]),
        ("no window scaling", |(_, phase, _)| phase.scaling != [true; 2]),
        ("SACK", |(_, phase, _)| phase.sack == [true; 2]),
        ("timestamps", |(_, phase, _)| phase.timestamps == [true; 2]),
        ("none of the three", |(_, phase, _)| {
            [phase.scaling, phase.sack, phase.timestamps].iter().all(|option| *option != [true; 2])
        }),
        ("tiny windows", |(script, _, server)| script.buffer == Buffer::Tiny || *server == Buffer::Tiny),
        ("huge windows", |(script, _, server)| script.buffer == Buffer::Huge || *server == Buffer::Huge),
        ("slow readers", |(script, ..)| script.slow.contains(&true)),
        ("closed together", |(script, ..)| script.manner == Manner::CloseTogether),
        ("half-closed", |(script, ..)| script.manner == Manner::HalfClose),
        ("reset by the client", |(script, ..)| script.manner == Manner::ResetByClient),
        ("reset by the server", |(script, ..)| script.manner == Manner::ResetByServer),
        ("aborted in the middle", |(script, ..)| {
            matches!(script.manner, Manner::AbortByClient | Manner::AbortByServer)
        }),
        ("idle with keep-alive", |(script, ..)| script.manner == Manner::Idle),
    ];
    kinds.iter().map(|(name, is)| (*name, plans.clone().filter(is).count() as u64)).collect()
}

/// From the cables.
pub fn seen(cables: [&Recorder; 2]) -> Vec<Kind> {
    let names: Vec<Name> = cables[0].logs.keys().copied().collect();
    let crossed = names.iter().filter(|name| fins_crossed(cables, **name)).count() as u64;
    let from_ends = |is: fn(&Sight) -> bool| {
        let sights = cables.iter().flat_map(|cable| cable.logs.values()).flat_map(|log| &log.sights);
        sights.filter(|sight| sight.place == Place::FromEnd && !sight.forged && is(sight)).count() as u64
    };
    vec![
        ("connections whose FINs crossed", crossed),
        ("closed windows", from_ends(|sight| sight.window == 0 && sight.flags & (SYN | FIN | RST) == 0)),
        ("RSTs", from_ends(|sight| sight.flags & RST != 0)),
        ("keep-alive and window probes", cables.iter().map(|cable| probes(cable)).sum()),
    ]
}

/// Whether each end had sent its FIN before the other's came.
fn fins_crossed(cables: [&Recorder; 2], name: Name) -> bool {
    let moment = |cable: &Recorder, place| {
        let log = cable.logs.get(&name)?;
        log.sights.iter().find(|sight| sight.place == place && sight.flags & FIN != 0).map(|sight| sight.at)
    };
    cables.iter().all(|cable| match (moment(cable, Place::FromEnd), moment(cable, Place::ToEnd)) {
        (Some(sent), Some(came)) => sent < came,
        (sent, came) => sent.is_some() && came.is_none(),
    })
}

/// Segments without data, one octet before what the end has sent.
fn probes(cable: &Recorder) -> u64 {
    let mut count = 0;
    for log in cable.logs.values() {
        let mut next: Option<u32> = None;
        for sight in log.sights.iter().filter(|sight| sight.place == Place::FromEnd && !sight.forged) {
            let turns = u32::from(sight.flags & SYN != 0) + u32::from(sight.flags & FIN != 0);
            let end = sight.seq.wrapping_add(u32::from(sight.length)).wrapping_add(turns);
            let is_probe = sight.flags == ACK && sight.length == 0;
            count += u64::from(is_probe && next == Some(sight.seq.wrapping_add(1)));
            if next.is_none_or(|next| end.wrapping_sub(next).cast_signed() > 0) {
                next = Some(end);
            }
        }
    }
    count
}
