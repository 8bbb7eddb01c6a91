//! Who was master and who forwarded: from the roles that the firewalls report and from what they sent into the switch.

use pfplane_testbed::capture::SentFrames;
use pfplane_testbed::clock::{MILLISECOND, Nanos, SECOND, milliseconds, seconds_since};
use pfplane_testbed::firewall::{Node, RoleChange};
use pfplane_testbed::stalls::Stall;
use serde_json::{Value, json};

use crate::results::outcomes::{EventTimes, Times};

/// The traffic is dense: a firewall that forwards is rarely silent for so long, and no backup takes over so soon.
const DENSE: Nanos = 5 * MILLISECOND;
/// Packets of two firewalls at most so far apart belong to one time in which both forwarded.
const TOGETHER: Nanos = 200 * MILLISECOND;
/// The longest silence of an event is sought from shortly before it until shortly after.
const MARGIN: Nanos = 100 * MILLISECOND;
/// For how long after a stall its consequences last: a role that was lost is taken again.
const STALL_EFFECT: Nanos = 100 * MILLISECOND;
/// Role changes of a firewall that are printed.
const MAX_CHANGES: usize = 8;
const MASTER: &str = "master";

/// What happened on the wire at one fault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Handover {
    /// From the fault to the other firewall's first advert; `None` without one.
    pub first_advert: Option<Nanos>,
    /// The longest time without a forwarded packet.
    pub silence: Nanos,
    /// Packets that the firewall that yielded forwarded while the other one forwarded too.
    pub late_packets: u64,
    /// For how long both did.
    pub both_forwarded: Nanos,
    /// From the end of the fault to the last of these packets, if one came after it.
    pub after_end: Option<Nanos>,
}

impl Handover {
    pub(crate) fn json(&self) -> Value {
        json!({
            "first_advert_ms": self.first_advert.map(milliseconds),
            "longest_silence_ms": milliseconds(self.silence),
            "packets_of_the_loser_after_the_takeover": self.late_packets,
            "both_forwarded_ms": milliseconds(self.both_forwarded),
            "loser_forwarded_after_the_end_ms": self.after_end.map(milliseconds),
        })
    }
}

/// The roles and the wire of a run.
pub(crate) struct Forwarding {
    /// The role changes of A and B.
    pub roles: [Vec<RoleChange>; 2],
    /// `None` without a capture.
    pub frames: Option<SentFrames>,
    /// One for each fault; empty without a capture.
    pub handovers: Vec<Handover>,
    /// When the machine stood still.
    pub stalls: Vec<Stall>,
}

/// How long none or both of two were active.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Overlap {
    pub none: Nanos,
    pub both: Nanos,
}

impl Forwarding {
    /// `masters`: for each fault, the master before it and the one after it.
    pub(crate) fn new(
        roles: [Vec<RoleChange>; 2],
        frames: Option<SentFrames>,
        stalls: Vec<Stall>,
        masters: &[[Node; 2]],
        times: &Times,
    ) -> Forwarding {
        let until = |index: usize| times.events.get(index + 1).map_or(times.stop, |next| next.begin);
        let events = times.events.iter().zip(masters).enumerate();
        let handovers = frames.as_ref().map_or_else(Vec::new, |frames| {
            events.map(|(index, (event, &masters))| handover(frames, event, until(index), masters)).collect()
        });
        Forwarding { roles, frames, handovers, stalls }
    }

    /// Returns for how long none or both reported that they were master, from the first fault until the stop.
    pub(crate) fn masters(&self, times: &Times) -> Overlap {
        let start = times.first().begin;
        let mut marks: Vec<Nanos> = self.roles.iter().flatten().map(|change| change.at.max(start)).collect();
        marks.push(times.stop);
        marks.retain(|&mark| mark <= times.stop);
        marks.sort_unstable();
        let mut overlap = Overlap::default();
        for pair in marks.windows(2) {
            let is_master = |node: &Vec<RoleChange>| {
                let current = node.iter().rev().find(|change| change.at <= pair[0]);
                current.is_some_and(|change| change.role == MASTER)
            };
            match self.roles.iter().filter(|node| is_master(node)).count() {
                0 => overlap.none += pair[1] - pair[0],
                2 => overlap.both += pair[1] - pair[0],
                _ => {}
            }
        }
        overlap
    }

    /// Returns for how long nobody forwarded at the faults, and both.
    pub(crate) fn forwarding(&self) -> Option<Overlap> {
        self.frames.as_ref()?;
        let sum = |part: fn(&Handover) -> Nanos| self.handovers.iter().map(part).sum();
        Some(Overlap {
            none: sum(|handover| handover.silence),
            both: sum(|handover| handover.both_forwarded),
        })
    }

    /// Prints the roles over time, what each forwarded, and for how long none or two did. `names`: of A and B.
    pub(crate) fn print(&self, times: &Times, names: [&str; 2]) {
        for (node, name) in [Node::A, Node::B].into_iter().zip(names) {
            println!("{name}: {}", self.role_line(node, times, MAX_CHANGES));
        }
        if let Some(frames) = &self.frames {
            let [a, b] = [&frames.forwarded[0], &frames.forwarded[1]].map(Vec::len);
            println!("packets forwarded: {} {a}, {} {b}", names[0], names[1]);
        }
        let seconds = |time: Nanos| time as f64 / SECOND as f64;
        let line = |what: &str, Overlap { none, both }: Overlap| {
            println!("{what}: none for {:.3} s, two for {:.3} s", seconds(none), seconds(both));
        };
        line("masters by their own account, since the first event", self.masters(times));
        if let Some(overlap) = self.forwarding() {
            line("routers that forwarded, at the events", overlap);
        }
        println!("{}", self.stalls_line());
    }

    /// Returns how often the machine stood still, and for how long at most.
    fn stalls_line(&self) -> String {
        let what = "times at which this machine ran nothing, not even a waiting thread of the demonstration, for over 5 ms";
        let longest = self.stalls.iter().map(|stall| stall.length).max();
        let longest =
            longest.map_or_else(String::new, |length| format!(", {:.1} ms at most", milliseconds(length)));
        format!("{what}: {}{longest}", self.stalls.len())
    }

    /// Returns the longest stall that ended at most [`STALL_EFFECT`] before a time.
    pub(crate) fn stall_before(&self, time: Nanos) -> Option<Stall> {
        let is_near = |stall: &&Stall| stall.at <= time && time <= stall.at + stall.length + STALL_EFFECT;
        self.stalls.iter().filter(is_near).max_by_key(|stall| stall.length).copied()
    }

    /// Returns a firewall's role changes as text, at most `max` of them. The times are seconds since the first fault.
    pub(crate) fn role_line(&self, node: Node, times: &Times, max: usize) -> String {
        let changes = &self.roles[node as usize];
        let text = |change: &RoleChange| {
            let why = if change.why.is_empty() { String::new() } else { format!(" ({})", change.why) };
            format!("{:+.2} s {}{why}", seconds_since(times.first().begin, change.at), change.role)
        };
        let more = changes.len().saturating_sub(max);
        let shown: Vec<String> = changes.iter().take(max).map(text).collect();
        let rest = if more > 0 { format!(", {more} more in report.json") } else { String::new() };
        format!("{}{rest}", shown.join(", "))
    }

    pub(crate) fn json(&self, times: &Times) -> Value {
        let since_first = |time: Nanos| seconds_since(times.first().begin, time);
        let roles = |node: Node| {
            let changes = self.roles[node as usize].iter();
            let value = |change: &RoleChange| json!({ "at_s": since_first(change.at), "role": change.role, "why": change.why });
            changes.map(value).collect::<Vec<_>>()
        };
        let count = |node: Node| self.frames.as_ref().map(|frames| frames.forwarded[node as usize].len());
        let overlap = |overlap: Overlap| {
            json!({
                "none_s": overlap.none as f64 / SECOND as f64,
                "both_s": overlap.both as f64 / SECOND as f64,
            })
        };
        json!({
            "roles": { "firewall A": roles(Node::A), "firewall B": roles(Node::B) },
            "packets_forwarded": { "firewall A": count(Node::A), "firewall B": count(Node::B) },
            "masters": overlap(self.masters(times)),
            "forwarding": self.forwarding().map(overlap),
            "stalls": self.stalls.iter().map(|stall| json!({
                "at_s": since_first(stall.at),
                "ms": milliseconds(stall.length),
            })).collect::<Vec<_>>(),
        })
    }
}

/// `until`: the next fault, or the stop.
fn handover(frames: &SentFrames, event: &EventTimes, until: Nanos, [before, after]: [Node; 2]) -> Handover {
    let other = before.other();
    let first_since = |list: &[Nanos]| between(list, event.begin, until).first().copied();
    let advert = first_since(&frames.adverts[other as usize]);
    let packet = first_since(&frames.forwarded[other as usize]);
    // A partition may end with the same master; then the other one had forwarded beside it.
    let [winner, loser] = [after, after.other()].map(|node| {
        let forwarded = &frames.forwarded[node as usize];
        between(forwarded, event.begin, until)
    });
    let late = interleaved(loser, winner);
    let together = late.windows(2).map(|pair| pair[1] - pair[0]).filter(|&gap| gap < TOGETHER);
    let silence_end = event.takeover.max(packet.unwrap_or(0)) + MARGIN;
    let dense = merged(frames, event.begin.saturating_sub(MARGIN), silence_end.min(until));
    Handover {
        first_advert: advert.map(|advert| advert - event.begin),
        silence: dense.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0),
        late_packets: late.len() as u64,
        both_forwarded: together.sum(),
        after_end: late.last().filter(|&&last| last > event.end).map(|last| last - event.end),
    }
}

/// Returns the packets of `loser` that lie between two packets of `winner` at most [`DENSE`] apart: both forward. Later the
/// loser may become master again, when the winner is silent.
fn interleaved(loser: &[Nanos], winner: &[Nanos]) -> Vec<Nanos> {
    let is_between = |&time: &Nanos| {
        let next = winner.partition_point(|&other| other < time);
        let previous = next.checked_sub(1).map(|index| winner[index]);
        previous.zip(winner.get(next)).is_some_and(|(previous, next)| next - previous <= DENSE)
    };
    loser.iter().copied().filter(is_between).collect()
}

/// Returns the times from `start` on and before `end`; `times` is sorted.
fn between(times: &[Nanos], start: Nanos, end: Nanos) -> &[Nanos] {
    let index = |time: Nanos| times.partition_point(|&other| other < time);
    &times[index(start)..index(end.max(start))]
}

/// Returns the times of all forwarded packets in a span.
fn merged(frames: &SentFrames, start: Nanos, end: Nanos) -> Vec<Nanos> {
    let [a, b] = &frames.forwarded;
    let mut times = [between(a, start, end), between(b, start, end)].concat();
    times.sort_unstable();
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(begin: Nanos, end: Nanos, takeover: Nanos) -> Times {
        Times { events: vec![EventTimes { begin, end, takeover }], rejoin: None, stop: SECOND }
    }

    fn forwarding(a: &[Nanos], b: &[Nanos], adverts_of_b: &[Nanos], times: &Times, after: Node) -> Handover {
        let frames =
            SentFrames { adverts: [Vec::new(), adverts_of_b.to_vec()], forwarded: [a.to_vec(), b.to_vec()] };
        let masters = [[Node::A, after]];
        let forwarding = Forwarding::new([Vec::new(), Vec::new()], Some(frames), Vec::new(), &masters, times);
        forwarding.handovers[0].clone()
    }

    #[test]
    fn a_kill_shows_the_first_advert_and_the_silence() {
        let handover = forwarding(&[10, 20, 100], &[140, 150], &[135], &times(100, 110, 136), Node::B);
        let expected = Handover { first_advert: Some(35), silence: 80, ..Handover::default() };
        assert_eq!(handover, expected);
    }

    #[test]
    fn packets_beside_those_of_the_new_master_are_counted() {
        let handover = forwarding(
            &[10, 100, 145, 160, 190],
            &[140, 150, 170, 180],
            &[135],
            &times(100, 150, 136),
            Node::B,
        );
        assert_eq!((handover.late_packets, handover.both_forwarded), (2, 15));
        assert_eq!(handover.after_end, Some(10));
    }

    #[test]
    fn a_firewall_that_becomes_master_again_after_a_silence_is_not_late() {
        let ms = |time: Nanos| time * MILLISECOND;
        let a = [ms(1), ms(80)];
        let b = [ms(35), ms(36), ms(37), ms(120)];
        let handover = forwarding(&a, &b, &[ms(34)], &times(ms(2), ms(50), ms(34)), Node::B);
        assert_eq!((handover.late_packets, handover.after_end), (0, None));
    }

    #[test]
    fn a_partition_lasts_until_the_loser_is_silent() {
        let times = times(100, 300, 300);
        let stays = forwarding(&[90, 200, 320, 400], &[150, 250, 310], &[140], &times, Node::A);
        assert_eq!((stays.late_packets, stays.both_forwarded, stays.after_end), (2, 60, Some(10)));
        let yields = forwarding(&[90, 200, 305], &[150, 250, 310, 400], &[140], &times, Node::B);
        assert_eq!((yields.late_packets, yields.both_forwarded, yields.after_end), (2, 105, Some(5)));
    }

    #[test]
    fn the_masters_are_counted_between_role_changes() {
        let change = |at, role: &str| RoleChange { at, role: role.into(), why: "silence".into() };
        let a = vec![change(10, "backup"), change(20, MASTER), change(120, "no answer")];
        let b = vec![change(15, "backup"), change(110, MASTER)];
        let forwarding =
            Forwarding { roles: [a, b], frames: None, handovers: Vec::new(), stalls: Vec::new() };
        let times = Times { stop: 200, ..times(100, 0, 0) };
        assert_eq!(forwarding.masters(&times), Overlap { none: 0, both: 10 });
        assert_eq!(forwarding.forwarding(), None);
        let line = forwarding.role_line(Node::A, &times, 2);
        assert_eq!(line, "-0.00 s backup (silence), -0.00 s master (silence), 1 more in report.json");
    }

    #[test]
    fn a_stall_explains_what_follows_soon_after_it() {
        let stall = Stall { at: SECOND, length: 20 * MILLISECOND };
        let roles = [Vec::new(), Vec::new()];
        let forwarding = Forwarding { roles, frames: None, handovers: Vec::new(), stalls: vec![stall] };
        let end = stall.at + stall.length + STALL_EFFECT;
        assert_eq!([stall.at, end].map(|time| forwarding.stall_before(time)), [Some(stall); 2]);
        assert_eq!([stall.at - 1, end + 1].map(|time| forwarding.stall_before(time)), [None; 2]);
        assert!(forwarding.stalls_line().ends_with(": 1, 20.0 ms at most"));
    }
}
