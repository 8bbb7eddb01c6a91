//! Whether the run went as it must, and a sentence for each thing that did not.

use serde::Serialize;

use crate::fates::{Age, Fate, Moments, has_resumed};
use crate::traffic::report::ProbeReport;

/// What the run is expected to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// All connections, opened before the kill, live.
    AllLive,
    /// Replication is off: none lives.
    NoneLives,
    /// The kill comes while connections are opened: the old ones and the new ones live.
    OldAndNewLive,
    /// First packets were held: those caught while being opened live, too.
    YoungLiveToo,
}

/// All that is judged.
pub struct Evidence<'a> {
    /// What must be.
    pub expectation: Expectation,
    /// Connections asked for.
    pub wanted: u32,
    /// What became of them.
    pub fates: &'a [Fate],
    /// UDP flows and pings.
    pub probes: &'a [ProbeReport],
    /// When things happened.
    pub moments: Moments,
    /// For each kill under replication, what was announced and what was lost.
    pub losses: Vec<Loss>,
    /// What the survivor's exit and the capture had to complain about.
    pub complaints: Vec<String>,
}

/// What one death cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// Connections that the dead firewall had announced last as exposed.
    pub announced: u64,
    /// Connections that were open, or being opened, and died.
    pub lost: u64,
}

/// The result of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether all is as it must be.
    pub as_hoped: bool,
    /// Why not, or what was shown.
    pub sentences: Vec<String>,
}

/// Judges.
pub fn judge(evidence: &Evidence<'_>) -> Verdict {
    let mut against = evidence.complaints.clone();
    against.extend(wrong_bytes(evidence));
    against.extend(connections(evidence));
    against.extend(silent_probes(evidence));
    against.extend(evidence.losses.iter().filter_map(|&loss| complaint_of(loss)));
    if !against.is_empty() {
        return Verdict { as_hoped: false, sentences: against };
    }
    Verdict { as_hoped: true, sentences: vec![praise(evidence)] }
}

/// More died than was announced.
pub fn complaint_of(Loss { announced, lost }: Loss) -> Option<String> {
    (lost > announced).then(|| {
        format!("{lost} connections were lost, and the dead firewall had announced {announced} as exposed.")
    })
}

/// How many of an age there are, and how many of these live.
pub fn living(fates: &[Fate], age: Age) -> (usize, usize) {
    let of_age = || fates.iter().filter(|fate| fate.age == age);
    (of_age().count(), of_age().filter(|fate| fate.alive).count())
}

fn wrong_bytes(evidence: &Evidence<'_>) -> Option<String> {
    let bytes: u64 = evidence.fates.iter().map(|fate| fate.wrong).sum();
    let answers: u64 = evidence.probes.iter().map(|probe| probe.wrong).sum();
    (bytes + answers > 0).then(|| format!("{bytes} bytes and {answers} answers were not what had been sent."))
}

fn connections(evidence: &Evidence<'_>) -> Vec<String> {
    let (old, old_alive) = living(evidence.fates, Age::Old);
    let wanted = evidence.wanted as usize;
    let opened_all =
        (old < wanted).then(|| format!("only {old} of {wanted} connections were open at the kill."));
    let all_old = (old_alive < old).then(|| {
        let dead = evidence.fates.iter().find(|fate| fate.age == Age::Old && !fate.alive);
        let example = dead.map(|fate| (fate.number, fate.trouble.as_deref().unwrap_or_default()));
        let (number, trouble) = example.unwrap_or_default();
        format!("{} of {old} connections died; number {number}, for one, {trouble}.", old - old_alive)
    });
    match evidence.expectation {
        Expectation::AllLive => [opened_all, all_old].into_iter().flatten().collect(),
        Expectation::NoneLives => {
            let survivors = (old_alive > 0).then(|| {
                format!(
                    "{old_alive} connections lived without replication: the demonstration proves nothing."
                )
            });
            [opened_all, survivors].into_iter().flatten().collect()
        }
        Expectation::OldAndNewLive | Expectation::YoungLiveToo => {
            let (new, new_alive) = living(evidence.fates, Age::New);
            let (young, young_alive) = living(evidence.fates, Age::Young);
            let must = evidence.expectation == Expectation::YoungLiveToo;
            let young_died = (must && young_alive < young).then(|| {
                format!(
                    "{} of {young} connections caught while being opened died, although first packets were held.",
                    young - young_alive
                )
            });
            let none_young =
                (must && young == 0).then(|| "the kill caught no connection while being opened.".to_owned());
            let none_old =
                (old == 0).then(|| "no connection was open long enough before the kill.".to_owned());
            let refused = (new_alive < new).then(|| {
                format!("{} of {new} connections begun after the takeover failed.", new - new_alive)
            });
            [none_old, all_old, none_young, young_died, refused].into_iter().flatten().collect()
        }
    }
}

fn silent_probes(evidence: &Evidence<'_>) -> Option<String> {
    let silent: Vec<String> = evidence
        .probes
        .iter()
        .filter(|probe| !has_resumed(probe, &evidence.moments))
        .map(|probe| format!("{} ({})", probe.name, probe.family.name()))
        .collect();
    (!silent.is_empty()).then(|| format!("no answers any more after the takeover: {}.", silent.join(", ")))
}

fn praise(evidence: &Evidence<'_>) -> String {
    let (old, old_alive) = living(evidence.fates, Age::Old);
    match evidence.expectation {
        Expectation::AllLive => {
            format!("{old_alive}/{old} connections lived through {}.", deaths(&evidence.moments))
        }
        Expectation::NoneLives => {
            format!("0/{old} connections lived: without replication the other firewall had no states.")
        }
        Expectation::OldAndNewLive | Expectation::YoungLiveToo => {
            let (young, young_alive) = living(evidence.fates, Age::Young);
            let (new, new_alive) = living(evidence.fates, Age::New);
            format!(
                "{old_alive}/{old} connections that were open before the last flush lived; of {young} caught while \
                 being opened {young_alive} lived; {new_alive}/{new} begun after the takeover lived."
            )
        }
    }
}

/// What the connections lived through.
pub fn deaths(moments: &Moments) -> &'static str {
    match moments.second {
        None => "the death of their firewall",
        Some(_) => "the deaths of both firewalls, one after the other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fates::tests::{MOMENTS, ROLLING};
    use crate::traffic::plan::Family;
    use crate::traffic::report::End;

    fn fate(age: Age, alive: bool) -> Fate {
        Fate {
            number: 0,
            family: Family::V4,
            age,
            opened: true,
            alive,
            end: End::Closed,
            trouble: (!alive).then(|| "hangs".into()),
            bytes: 1,
            wrong: 0,
            gaps: Vec::new(),
            back: Vec::new(),
        }
    }

    fn evidence(expectation: Expectation, wanted: u32, fates: &[Fate]) -> Evidence<'_> {
        let (losses, complaints) = (Vec::new(), Vec::new());
        Evidence { expectation, wanted, fates, probes: &[], moments: MOMENTS, losses, complaints }
    }

    fn verdict(expectation: Expectation, fates: &[Fate]) -> Verdict {
        let wanted = fates.len() as u32;
        judge(&evidence(expectation, wanted, fates))
    }

    #[test]
    fn all_alive_is_as_hoped_and_one_death_is_not() {
        let mut fates = vec![fate(Age::Old, true); 3];
        assert!(verdict(Expectation::AllLive, &fates).as_hoped);
        fates[1] = fate(Age::Old, false);
        let verdict = verdict(Expectation::AllLive, &fates);
        assert!(!verdict.as_hoped);
        assert!(verdict.sentences[0].contains("1 of 3"), "{:?}", verdict.sentences);
    }

    #[test]
    fn two_deaths_are_said() {
        let fates = [fate(Age::Old, true)];
        let verdict = judge(&Evidence { moments: ROLLING, ..evidence(Expectation::AllLive, 1, &fates) });
        assert!(verdict.as_hoped && verdict.sentences[0].contains("deaths of both"), "{verdict:?}");
    }

    #[test]
    fn one_wrong_byte_spoils_every_mode() {
        for expectation in [Expectation::AllLive, Expectation::NoneLives, Expectation::OldAndNewLive] {
            let mut fates = vec![fate(Age::Old, expectation != Expectation::NoneLives); 3];
            assert!(verdict(expectation, &fates).as_hoped);
            fates[2].wrong = 1;
            assert!(!verdict(expectation, &fates).as_hoped, "{expectation:?}");
        }
    }

    #[test]
    fn a_connection_that_lives_without_replication_is_a_failure() {
        let fates = [fate(Age::Old, false), fate(Age::Old, true)];
        assert!(!verdict(Expectation::NoneLives, &fates).as_hoped);
    }

    #[test]
    fn connections_that_were_never_open_are_not_counted_as_dying_as_expected() {
        let fates = [fate(Age::Old, false), fate(Age::Young, false)];
        assert!(!verdict(Expectation::NoneLives, &fates).as_hoped);
    }

    #[test]
    fn a_young_connection_may_fail_and_a_new_one_may_not() {
        let fates = [fate(Age::Old, true), fate(Age::Young, false), fate(Age::New, true)];
        assert!(verdict(Expectation::OldAndNewLive, &fates).as_hoped);
        let fates = [fate(Age::Old, true), fate(Age::New, false)];
        assert!(!verdict(Expectation::OldAndNewLive, &fates).as_hoped);
    }

    #[test]
    fn where_first_packets_were_held_a_young_connection_must_live() {
        let mut fates = [fate(Age::Old, true), fate(Age::Young, true), fate(Age::New, true)];
        assert!(verdict(Expectation::YoungLiveToo, &fates).as_hoped);
        fates[1] = fate(Age::Young, false);
        assert!(!verdict(Expectation::YoungLiveToo, &fates).as_hoped);
        fates[1] = fate(Age::New, true);
        assert!(!verdict(Expectation::YoungLiveToo, &fates).as_hoped, "nothing was caught");
    }

    #[test]
    fn a_loss_above_the_announced_number_is_a_failure_and_one_below_is_not() {
        let fates = [fate(Age::Old, true), fate(Age::Young, false)];
        for (announced, as_hoped) in [(0, false), (1, true), (2, true)] {
            let losses = vec![Loss { announced, lost: 1 }];
            let evidence = Evidence { losses, ..evidence(Expectation::OldAndNewLive, 2, &fates) };
            assert_eq!(judge(&evidence).as_hoped, as_hoped, "{announced}");
        }
    }

    #[test]
    fn a_complaint_is_enough() {
        let fates = [fate(Age::Old, true)];
        let complaints = vec!["buffers are missing.".to_owned()];
        assert!(!judge(&Evidence { complaints, ..evidence(Expectation::AllLive, 1, &fates) }).as_hoped);
    }
}
