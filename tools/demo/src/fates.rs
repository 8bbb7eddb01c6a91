//! What became of each connection: the client's and the server's reports laid beside each other.

use std::collections::HashMap;

use serde::Serialize;

use crate::clock::{MILLISECOND, Nanos, SECOND, milliseconds};
use crate::traffic::activity::Gap;
use crate::traffic::plan::Family;
use crate::traffic::report::{ConnectionReport, End, EndReport, ProbeReport};

/// A connection that the client called established at least this long before the kill must have been in the last
/// flush: the firewalls hold a new state back for a tenth of it, and the rest is for a busy machine.
pub const FLUSH_MARGIN: Nanos = 100 * MILLISECOND;

/// A probe that was answered within this time of the end of the traffic is alive.
const PROBE_PATIENCE: Nanos = SECOND;

/// One firewall's death.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Death {
    /// The signal was sent.
    pub kill: Nanos,
    /// The process was gone.
    pub dead: Nanos,
    /// The other one said that it is master.
    pub takeover: Nanos,
}

/// The moments that a fate is measured by.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Moments {
    /// The first death.
    pub first: Death,
    /// Who had died is back and knows all, when he came back.
    pub back: Option<Nanos>,
    /// The second death, when there was one.
    pub second: Option<Death>,
    /// The traffic was told to end.
    pub stop: Nanos,
}

impl Moments {
    /// Every death, in order.
    pub fn deaths(&self) -> impl Iterator<Item = Death> {
        std::iter::once(self.first).chain(self.second)
    }

    /// The last takeover.
    pub fn last_takeover(&self) -> Nanos {
        self.second.unwrap_or(self.first).takeover
    }
}

/// How old a connection was at the first kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Age {
    /// Established before the last flush: it must live.
    Old,
    /// Being opened at the kill: it may live or fail.
    Young,
    /// Begun after the takeover: the survivor's own.
    New,
}

/// One connection, both ends together.
#[derive(Clone, Debug, Serialize)]
pub struct Fate {
    /// Its number.
    pub number: u32,
    /// Its family.
    pub family: Family,
    /// How old it was at the kill.
    pub age: Age,
    /// Whether the client ever had it established.
    pub opened: bool,
    /// Whether data went both ways after the last takeover and each end got all that the other sent, to the goodbye.
    pub alive: bool,
    /// The client's view of its end.
    pub end: End,
    /// What happened to it, when it is not alive.
    pub trouble: Option<String>,
    /// Bytes received at both ends.
    pub bytes: u64,
    /// Of these, wrong ones.
    pub wrong: u64,
    /// The longest silence at either end before the first kill, and behind each kill.
    pub gaps: Vec<Gap>,
    /// For each death, when data first arrived at either end after the takeover.
    pub back: Vec<Option<Nanos>>,
}

/// The fates of all connections the client began, in its order.
pub fn fates(client: &EndReport, server: &EndReport, moments: &Moments) -> Vec<Fate> {
    let far: HashMap<u32, &ConnectionReport> =
        server.connections.iter().map(|report| (report.number, report)).collect();
    client.connections.iter().map(|near| fate(near, far.get(&near.number).copied(), moments)).collect()
}

fn fate(near: &ConnectionReport, far: Option<&ConnectionReport>, moments: &Moments) -> Fate {
    let trouble = trouble(near, far, moments);
    let ends = || [Some(near), far].into_iter().flatten().map(|end| &end.activity);
    let back = |death: Death| ends().filter_map(|end| end.first_since(death.takeover)).min();
    let gap = |stretch: usize| {
        ends()
            .filter_map(|end| end.gaps.get(stretch).copied())
            .max_by_key(|gap| gap.length)
            .unwrap_or_default()
    };
    Fate {
        number: near.number,
        family: near.family,
        age: age(near, moments),
        opened: near.established.is_some(),
        alive: trouble.is_none(),
        end: near.end,
        trouble,
        bytes: near.received + far.map_or(0, |far| far.received),
        wrong: near.wrong + far.map_or(0, |far| far.wrong),
        gaps: (0..=moments.deaths().count()).map(gap).collect(),
        back: moments.deaths().map(back).collect(),
    }
}

fn age(near: &ConnectionReport, moments: &Moments) -> Age {
    match (near.established, near.started) {
        (Some(moment), _) if moment + FLUSH_MARGIN <= moments.first.kill => Age::Old,
        (_, Some(moment)) if moment > moments.first.takeover => Age::New,
        _ => Age::Young,
    }
}

/// Why a connection is not alive; nothing when it is.
fn trouble(near: &ConnectionReport, far: Option<&ConnectionReport>, moments: &Moments) -> Option<String> {
    let error = || near.error.as_deref().unwrap_or("no reason given").to_owned();
    match near.end {
        End::Connecting => return Some("no answer to its SYN".into()),
        End::ConnectFailed => return Some(format!("could not be opened: {}", error())),
        End::Open => return Some("hangs: established, but nothing gets through".into()),
        End::Reset => return Some("was reset".into()),
        End::TimedOut => return Some("was given up by the kernel: nothing was acknowledged".into()),
        End::Failed => return Some(error()),
        End::Closed => {}
    }
    let Some(far) = far else { return Some("the server never heard of it".into()) };
    if far.end != End::Closed {
        return Some(format!("the server's end is {:?}", far.end));
    }
    if near.sent != far.received || far.sent != near.received {
        return Some("bytes are missing at the end".into());
    }
    let heard = [near, far].iter().all(|end| end.activity.heard_since(moments.last_takeover()));
    (!heard).then(|| "closed, but carried nothing after the takeover".into())
}

/// For each death, how many connections that were open by then, or being opened, it cost.
pub fn lost(fates: &[Fate], deaths: usize) -> Vec<u64> {
    let mut lost = vec![0; deaths];
    for fate in fates.iter().filter(|fate| fate.age != Age::New && fate.opened && !fate.alive) {
        // The first death that no data came behind; one that carried on and ended badly is the last one's.
        let death = fate.back.iter().position(Option::is_none).unwrap_or(deaths - 1);
        lost[death] += 1;
    }
    lost
}

/// Whether a UDP flow or ping is answered at the end, after the takeover.
pub fn has_resumed(probe: &ProbeReport, moments: &Moments) -> bool {
    let late = moments.stop.saturating_sub(PROBE_PATIENCE);
    probe.activity.heard_since(late.max(moments.last_takeover()))
}

/// How a set of durations is spread, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Half are shorter.
    pub median: f64,
    /// One of a hundred is longer.
    pub p99: f64,
    /// None is longer.
    pub max: f64,
}

impl Spread {
    /// Nothing when there are none.
    pub fn of(durations: impl IntoIterator<Item = Nanos>) -> Option<Spread> {
        let mut sorted: Vec<Nanos> = durations.into_iter().collect();
        sorted.sort_unstable();
        let rank = |share: f64| sorted.get((share * sorted.len() as f64).ceil() as usize - 1).copied();
        let max = *sorted.last()?;
        Some(Spread {
            median: milliseconds(rank(0.5)?),
            p99: milliseconds(rank(0.99)?),
            max: milliseconds(max),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::traffic::activity::Activity;
    use crate::traffic::plan::Plan;

    pub(crate) const MOMENTS: Moments =
        Moments { first: death(10 * SECOND), back: None, second: None, stop: 18 * SECOND };
    pub(crate) const ROLLING: Moments =
        Moments { second: Some(death(14 * SECOND)), back: Some(13 * SECOND), ..MOMENTS };

    const fn death(kill: Nanos) -> Death {
        Death { kill, dead: kill + 1, takeover: kill + 2 }
    }

    fn plan() -> Plan {
        let words = r#"{"seed":1,"connections":1,"udp_flows":0,"ping":false,"interval_ms":100,"open_per_second":1,
            "server_v4":"127.0.0.1","server_v6":"::1","tcp_port":1,"udp_port":2,"user_timeout_ms":1,"bucket_ms":50,
            "base":0}"#;
        serde_json::from_str(words).expect("a plan")
    }

    fn end_of(established: Nanos, last: Nanos) -> ConnectionReport {
        let mut activity = Activity::new(&plan());
        activity.arrived(established, 1);
        activity.mark();
        activity.arrived(last, 1);
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

    fn living() -> (ConnectionReport, ConnectionReport) {
        (end_of(SECOND, 17 * SECOND), end_of(SECOND, 17 * SECOND))
    }

    fn alive(near: &ConnectionReport, far: Option<&ConnectionReport>) -> bool {
        fate(near, far, &MOMENTS).alive
    }

    #[test]
    fn a_connection_lives_when_both_ends_closed_in_order_with_equal_totals() {
        let (near, far) = living();
        assert!(alive(&near, Some(&far)));
    }

    #[test]
    fn a_hanging_reset_or_unknown_connection_is_dead_and_says_so() {
        let (mut near, far) = living();
        assert!(!alive(&near, None));
        for end in [End::Connecting, End::ConnectFailed, End::Open, End::Reset, End::TimedOut, End::Failed] {
            near.end = end;
            assert!(fate(&near, Some(&far), &MOMENTS).trouble.is_some(), "{end:?}");
        }
    }

    #[test]
    fn missing_bytes_at_either_end_are_a_death() {
        for missing in [0, 1] {
            let (mut near, mut far) = living();
            *(if missing == 0 { &mut near.received } else { &mut far.received }) -= 1;
            assert!(!alive(&near, Some(&far)));
        }
    }

    #[test]
    fn a_connection_that_was_silent_since_the_kill_did_not_live() {
        let silent = end_of(SECOND, 9 * SECOND);
        assert!(!alive(&silent, Some(&silent)));
    }

    #[test]
    fn a_connection_that_only_lived_through_the_first_death_of_two_did_not_live() {
        let late = end_of(SECOND, 13 * SECOND);
        assert!(fate(&late, Some(&late), &MOMENTS).alive);
        assert!(!fate(&late, Some(&late), &ROLLING).alive);
        let (near, far) = living();
        let fate = fate(&near, Some(&far), &ROLLING);
        assert!(fate.alive);
        assert_eq!([fate.gaps.len(), fate.back.len()], [3, 2]);
    }

    #[test]
    fn a_loss_belongs_to_the_death_that_no_data_came_behind() {
        let (near, far) = living();
        let alive = fate(&near, Some(&far), &ROLLING);
        let died = |back: [Option<Nanos>; 2]| Fate { alive: false, back: back.to_vec(), ..alive.clone() };
        let new = Fate { age: Age::New, ..died([None, None]) };
        let unopened = Fate { opened: false, ..died([None, None]) };
        let fates = [
            alive.clone(),
            died([None, None]),
            died([Some(1), None]),
            died([Some(1), Some(1)]),
            new,
            unopened,
        ];
        assert_eq!(lost(&fates, 2), [1, 2]);
    }

    #[test]
    fn age_is_measured_against_the_last_flush_and_the_takeover() {
        let at = |established| age(&end_of(established, 17 * SECOND), &MOMENTS);
        assert_eq!(at(MOMENTS.first.kill - FLUSH_MARGIN), Age::Old);
        assert_eq!(at(MOMENTS.first.kill - FLUSH_MARGIN + 1), Age::Young);
        assert_eq!(at(MOMENTS.first.takeover + SECOND), Age::New);
    }

    #[test]
    fn the_longer_silence_of_the_two_ends_counts() {
        let (near, _) = living();
        let mut far = near.clone();
        far.activity.gaps[1].length += 5;
        assert_eq!(fate(&near, Some(&far), &MOMENTS).gaps[1], far.activity.gaps[1]);
    }

    #[test]
    fn a_spread_names_durations_that_occurred() {
        let spread = Spread::of((1..=200).map(|n| n * MILLISECOND)).expect("not empty");
        assert_eq!(spread, Spread { median: 100.0, p99: 198.0, max: 200.0 });
        assert_eq!(Spread::of([3 * MILLISECOND]).expect("one").median, 3.0);
        assert_eq!(Spread::of([]), None);
    }
}
