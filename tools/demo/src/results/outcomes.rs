//! What happened to each connection, from the reports of client and server.

use std::collections::HashMap;

use pfplane_testbed::clock::{MILLISECOND, Nanos, SECOND, milliseconds};
use pfplane_testbed::traffic::activity::Gap;
use pfplane_testbed::traffic::plan::Family;
use pfplane_testbed::traffic::report::{ConnectionReport, End, ProbeReport, TrafficReport};
use serde::Serialize;

/// A connection established at least this long before the kill must have been sent to the peer: the firewalls delay a new
/// state for a tenth of it, and the rest allows for a busy machine.
pub(crate) const FLUSH_MARGIN: Nanos = 100 * MILLISECOND;

/// A probe is active at the end if its last answer is at most this old.
const PROBE_TIMEOUT: Nanos = SECOND;

/// The times of one fault.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EventTimes {
    /// The signal was sent, or the links were cut.
    pub begin: Nanos,
    /// The process had exited or was continued, or the links were restored.
    pub end: Nanos,
    /// The other firewall reported that it is the master.
    pub takeover: Nanos,
}

/// The times that outcomes depend on.
#[derive(Clone, Debug)]
pub(crate) struct Times {
    /// At least one.
    pub events: Vec<EventTimes>,
    /// When a firewall that had ended had restarted and loaded all states, for the first time.
    pub rejoin: Option<Nanos>,
    /// When the traffic was stopped.
    pub stop: Nanos,
}

impl Times {
    pub(crate) fn first(&self) -> EventTimes {
        *self.events.first().expect("a run has an event")
    }

    /// Returns when the last fault was over and a firewall was the master.
    pub(crate) fn settled(&self) -> Nanos {
        self.events.iter().map(|event| event.takeover.max(event.end)).max().unwrap_or(0)
    }
}

/// When a connection was opened, relative to the first fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Group {
    /// Established at least [`FLUSH_MARGIN`] before: must survive.
    Established,
    /// Being opened at the kill: may survive or fail.
    Opening,
    /// Started after the takeover, on the surviving firewall.
    New,
}

/// The outcome of one connection, from both ends.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub number: u32,
    pub family: Family,
    pub group: Group,
    /// Whether the client ever had it established.
    pub opened: bool,
    /// Whether it carried data both ways after the last takeover and closed in order, each end with all that the other sent.
    pub survived: bool,
    /// How the client's end ended.
    pub end: End,
    /// Why it did not survive.
    pub failure: Option<String>,
    /// Bytes received at both ends.
    pub bytes: u64,
    /// Wrong bytes among them.
    pub wrong: u64,
    /// The longest gap at either end before the first fault and after each fault.
    pub gaps: Vec<Gap>,
    /// For each fault, when data first arrived at either end after the takeover.
    pub resumed: Vec<Option<Nanos>>,
}

/// Returns the outcomes in the client's order.
pub(crate) fn outcomes(client: &TrafficReport, server: &TrafficReport, times: &Times) -> Vec<Outcome> {
    let far: HashMap<u32, &ConnectionReport> =
        server.connections.iter().map(|report| (report.number, report)).collect();
    client.connections.iter().map(|near| outcome(near, far.get(&near.number).copied(), times)).collect()
}

fn outcome(near: &ConnectionReport, far: Option<&ConnectionReport>, times: &Times) -> Outcome {
    let failure = failure(near, far, times);
    let ends = || [Some(near), far].into_iter().flatten().map(|end| &end.activity);
    let resumed = |event: &EventTimes| ends().filter_map(|end| end.first_since(event.takeover)).min();
    let gap = |interval: usize| {
        ends()
            .filter_map(|end| end.gaps.get(interval).copied())
            .max_by_key(|gap| gap.length)
            .unwrap_or_default()
    };
    Outcome {
        number: near.number,
        family: near.family,
        group: group(near, times),
        opened: near.established.is_some(),
        survived: failure.is_none(),
        end: near.end,
        failure,
        bytes: near.received + far.map_or(0, |far| far.received),
        wrong: near.wrong + far.map_or(0, |far| far.wrong),
        gaps: (0..=times.events.len()).map(gap).collect(),
        resumed: times.events.iter().map(resumed).collect(),
    }
}

fn group(near: &ConnectionReport, times: &Times) -> Group {
    match (near.established, near.started) {
        (Some(time), _) if time + FLUSH_MARGIN <= times.first().begin => Group::Established,
        (_, Some(time)) if time > times.first().takeover => Group::New,
        _ => Group::Opening,
    }
}

/// Returns why a connection did not survive.
fn failure(near: &ConnectionReport, far: Option<&ConnectionReport>, times: &Times) -> Option<String> {
    let error = || near.error.as_deref().unwrap_or("no reason given").to_owned();
    match near.end {
        End::Connecting => return Some("no answer to its SYN".into()),
        End::ConnectFailed => return Some(format!("could not be opened: {}", error())),
        End::Open => return Some("hangs: established, but data no longer arrives".into()),
        End::Reset => return Some("was reset".into()),
        End::TimedOut => return Some("timed out: the kernel got no acknowledgement".into()),
        End::Failed => return Some(error()),
        End::Closed => {}
    }
    let Some(far) = far else { return Some("never reached the server".into()) };
    if far.end != End::Closed {
        return Some(format!("ended as {:?} at the server", far.end));
    }
    if near.sent != far.received || far.sent != near.received {
        return Some("closed with bytes missing".into());
    }
    let active = [near, far].iter().all(|end| end.activity.is_active_since(times.settled()));
    (!active).then(|| "closed, but carried no data after the takeover".into())
}

/// Returns how many connections each fault lost, among those open or being opened at the time.
pub(crate) fn lost_per_event(outcomes: &[Outcome], events: usize) -> Vec<u64> {
    let mut lost = vec![0; events];
    let failed = |outcome: &&Outcome| outcome.group != Group::New && outcome.opened && !outcome.survived;
    for outcome in outcomes.iter().filter(failed) {
        // The first fault after which no data arrived; the last one for a connection that resumed and failed later.
        let event = outcome.resumed.iter().position(Option::is_none).unwrap_or(events - 1);
        lost[event] += 1;
    }
    lost
}

/// Whether a UDP flow or ping is answered at the end, after the takeover.
pub(crate) fn probe_resumed(probe: &ProbeReport, times: &Times) -> bool {
    let recently = times.stop.saturating_sub(PROBE_TIMEOUT);
    probe.activity.is_active_since(recently.max(times.settled()))
}

/// Percentiles of durations in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub min: f64,
    pub median: f64,
    pub p99: f64,
    pub max: f64,
}

impl Spread {
    /// Returns `None` for no durations.
    pub(crate) fn of(durations: impl IntoIterator<Item = Nanos>) -> Option<Spread> {
        let mut sorted: Vec<Nanos> = durations.into_iter().collect();
        sorted.sort_unstable();
        let rank = |share: f64| sorted.get((share * sorted.len() as f64).ceil() as usize - 1).copied();
        let [min, max] = [*sorted.first()?, *sorted.last()?].map(milliseconds);
        Some(Spread { min, median: milliseconds(rank(0.5)?), p99: milliseconds(rank(0.99)?), max })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use pfplane_testbed::traffic::activity::Activity;
    use pfplane_testbed::traffic::plan::Plan;

    pub(crate) fn one_kill() -> Times {
        Times { events: vec![kill(10 * SECOND)], rejoin: None, stop: 18 * SECOND }
    }

    pub(crate) fn two_kills() -> Times {
        let events = vec![kill(10 * SECOND), kill(14 * SECOND)];
        Times { events, rejoin: Some(13 * SECOND), ..one_kill() }
    }

    fn kill(begin: Nanos) -> EventTimes {
        EventTimes { begin, end: begin + 1, takeover: begin + 2 }
    }

    fn end(established: Nanos, last: Nanos) -> ConnectionReport {
        let mut activity = Activity::new(&Plan::default());
        activity.record(established, 1);
        activity.mark();
        activity.record(last, 1);
        ConnectionReport {
            number: 0,
            family: Family::V4,
            started: Some(established - 1),
            established: Some(established),
            sent: 100,
            received: 100,
            wrong: 0,
            end: End::Closed,
            error: None,
            activity,
        }
    }

    fn surviving() -> (ConnectionReport, ConnectionReport) {
        (end(SECOND, 17 * SECOND), end(SECOND, 17 * SECOND))
    }

    fn survives(near: &ConnectionReport, far: Option<&ConnectionReport>) -> bool {
        outcome(near, far, &one_kill()).survived
    }

    #[test]
    fn a_connection_survives_when_both_ends_close_with_equal_totals() {
        let (near, far) = surviving();
        assert!(survives(&near, Some(&far)));
    }

    #[test]
    fn a_hanging_reset_or_unknown_connection_fails_with_a_reason() {
        let (mut near, far) = surviving();
        assert!(!survives(&near, None));
        for end in [End::Connecting, End::ConnectFailed, End::Open, End::Reset, End::TimedOut, End::Failed] {
            near.end = end;
            assert!(outcome(&near, Some(&far), &one_kill()).failure.is_some(), "{end:?}");
        }
    }

    #[test]
    fn a_connection_with_missing_bytes_at_either_end_fails() {
        for missing in [0, 1] {
            let (mut near, mut far) = surviving();
            *(if missing == 0 { &mut near.received } else { &mut far.received }) -= 1;
            assert!(!survives(&near, Some(&far)));
        }
    }

    #[test]
    fn a_connection_without_data_since_the_kill_fails() {
        let silent = end(SECOND, 9 * SECOND);
        assert!(!survives(&silent, Some(&silent)));
    }

    #[test]
    fn data_must_arrive_after_the_fault_is_over_too() {
        let mut times = one_kill();
        times.events[0].end = 18 * SECOND;
        let (near, far) = surviving();
        assert!(!outcome(&near, Some(&far), &times).survived);
    }

    #[test]
    fn a_connection_must_carry_data_after_the_second_kill_too() {
        let early = end(SECOND, 13 * SECOND);
        assert!(outcome(&early, Some(&early), &one_kill()).survived);
        assert!(!outcome(&early, Some(&early), &two_kills()).survived);
        let (near, far) = surviving();
        let outcome = outcome(&near, Some(&far), &two_kills());
        assert!(outcome.survived);
        assert_eq!([outcome.gaps.len(), outcome.resumed.len()], [3, 2]);
    }

    #[test]
    fn a_loss_counts_for_the_fault_after_which_no_data_arrived() {
        let (near, far) = surviving();
        let survived = outcome(&near, Some(&far), &two_kills());
        let failed = |resumed: [Option<Nanos>; 2]| Outcome {
            survived: false,
            resumed: resumed.to_vec(),
            ..survived.clone()
        };
        let outcomes = [
            survived.clone(),
            failed([None, None]),
            failed([Some(1), None]),
            failed([Some(1), Some(1)]),
            Outcome { group: Group::New, ..failed([None, None]) },
            Outcome { opened: false, ..failed([None, None]) },
        ];
        assert_eq!(lost_per_event(&outcomes, 2), [1, 2]);
    }

    #[test]
    fn the_group_depends_on_the_flush_margin_and_the_takeover() {
        let group_at = |established| group(&end(established, 17 * SECOND), &one_kill());
        assert_eq!(group_at(one_kill().first().begin - FLUSH_MARGIN), Group::Established);
        assert_eq!(group_at(one_kill().first().begin - FLUSH_MARGIN + 1), Group::Opening);
        assert_eq!(group_at(one_kill().first().takeover + SECOND), Group::New);
    }

    #[test]
    fn the_longer_gap_of_the_two_ends_counts() {
        let (near, _) = surviving();
        let mut far = near.clone();
        far.activity.gaps[1].length += 5;
        assert_eq!(outcome(&near, Some(&far), &one_kill()).gaps[1], far.activity.gaps[1]);
    }

    #[test]
    fn percentiles_are_durations_that_occurred() {
        let spread = Spread::of((1..=200).map(|n| n * MILLISECOND)).expect("not empty");
        assert_eq!(spread, Spread { min: 1.0, median: 100.0, p99: 198.0, max: 200.0 });
        assert_eq!(Spread::of([3 * MILLISECOND]).expect("one").median, 3.0);
        assert_eq!(Spread::of([]), None);
    }
}
