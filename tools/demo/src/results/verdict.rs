//! Judges a run: passed, or a sentence for each problem.

use pfplane_testbed::traffic::report::ProbeReport;
use serde::Serialize;

use crate::results::outcomes::{Group, Outcome, Times, probe_resumed};

/// What the run must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expectation {
    /// All connections survive.
    AllSurvive,
    /// Without replication, none survive.
    NoneSurvive,
    /// The kill comes during setup: established and new connections survive.
    EstablishedAndNewSurvive,
    /// With held first packets, the connections being opened survive too.
    OpeningSurviveToo,
    /// Losses are reported and no failure: two firewalls forward during a partition.
    Reported,
}

/// What is judged.
pub(crate) struct Evidence<'a> {
    pub expectation: Expectation,
    /// Connections that the user requested.
    pub requested: u32,
    pub outcomes: &'a [Outcome],
    /// UDP flows and pings.
    pub probes: &'a [ProbeReport],
    pub times: Times,
    /// What the connections had to survive.
    pub event: String,
    /// One for each fault; empty without replication.
    pub losses: Vec<Loss>,
    /// Problems of the firewalls' exits, of the captures and of the roles.
    pub problems: Vec<String>,
}

/// What one fault lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Loss {
    /// Connections that the killed firewall had reported as exposed.
    pub exposed: u64,
    /// Connections that were open, or being opened, and failed.
    pub lost: u64,
}

/// The result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub passed: bool,
    /// The problems, or what the run showed.
    pub sentences: Vec<String>,
}

/// Judges a run.
pub(crate) fn judge(evidence: &Evidence<'_>) -> Verdict {
    let mut problems = evidence.problems.clone();
    problems.extend(wrong_bytes(evidence));
    problems.extend(failed_connections(evidence));
    problems.extend(unanswered_probes(evidence));
    problems.extend(evidence.losses.iter().filter_map(|&loss| excess_loss(loss)));
    if problems.is_empty() {
        return Verdict { passed: true, sentences: vec![success(evidence)] };
    }
    Verdict { passed: false, sentences: problems }
}

fn excess_loss(Loss { exposed, lost }: Loss) -> Option<String> {
    (lost > exposed)
        .then(|| format!("{lost} connections were lost, but the killed firewall had only {exposed} exposed."))
}

/// Returns the size of a group and how many of it survived.
fn count(outcomes: &[Outcome], group: Group) -> (usize, usize) {
    let of_group = || outcomes.iter().filter(|outcome| outcome.group == group);
    (of_group().count(), of_group().filter(|outcome| outcome.survived).count())
}

fn wrong_bytes(evidence: &Evidence<'_>) -> Option<String> {
    let bytes: u64 = evidence.outcomes.iter().map(|outcome| outcome.wrong).sum();
    let answers: u64 = evidence.probes.iter().map(|probe| probe.wrong).sum();
    (bytes + answers > 0).then(|| format!("{bytes} bytes and {answers} answers differ from what was sent."))
}

fn failed_connections(evidence: &Evidence<'_>) -> Vec<String> {
    let outcomes = evidence.outcomes;
    let (established, survived) = count(outcomes, Group::Established);
    let requested = evidence.requested as usize;
    let too_few = (established < requested)
        .then(|| format!("only {established} of {requested} connections were open at the kill."));
    let some_failed = (survived < established).then(|| {
        let failed = outcomes.iter().find(|outcome| outcome.group == Group::Established && !outcome.survived);
        let example = failed.map(|outcome| (outcome.number, outcome.failure.as_deref().unwrap_or_default()));
        let (number, failure) = example.unwrap_or_default();
        let count = established - survived;
        format!("{count} of {established} connections were lost; for example, number {number}: {failure}.")
    });
    let sentences = match evidence.expectation {
        Expectation::AllSurvive => vec![too_few, some_failed],
        Expectation::Reported => vec![too_few],
        Expectation::NoneSurvive => {
            let survivors = (survived > 0).then(|| {
                format!("{survived} connections survived without replication, so the run proves nothing.")
            });
            vec![too_few, survivors]
        }
        Expectation::EstablishedAndNewSurvive | Expectation::OpeningSurviveToo => {
            let none = (established == 0).then(|| "no connection was established before the kill.".into());
            let mut sentences = vec![none, some_failed];
            sentences.extend(failures_during_setup(evidence));
            sentences
        }
    };
    sentences.into_iter().flatten().collect()
}

fn failures_during_setup(evidence: &Evidence<'_>) -> [Option<String>; 3] {
    let (opening, opening_survived) = count(evidence.outcomes, Group::Opening);
    let (new, new_survived) = count(evidence.outcomes, Group::New);
    let required = evidence.expectation == Expectation::OpeningSurviveToo;
    let none_opening = (required && opening == 0).then(|| "the kill met no connection being opened.".into());
    let opening_failed = (required && opening_survived < opening).then(|| {
        let lost = opening - opening_survived;
        format!("{lost} of {opening} connections being opened were lost although first packets were held.")
    });
    let new_failed = (new_survived < new)
        .then(|| format!("{} of {new} connections started after the takeover failed.", new - new_survived));
    [none_opening, opening_failed, new_failed]
}

fn unanswered_probes(evidence: &Evidence<'_>) -> Option<String> {
    let silent = evidence.probes.iter().filter(|probe| !probe_resumed(probe, &evidence.times));
    let names: Vec<String> =
        silent.map(|probe| format!("{} ({})", probe.name, probe.family.name())).collect();
    (!names.is_empty()).then(|| format!("no answers after the takeover: {}.", names.join(", ")))
}

fn success(evidence: &Evidence<'_>) -> String {
    let (established, survived) = count(evidence.outcomes, Group::Established);
    match evidence.expectation {
        Expectation::AllSurvive | Expectation::Reported => {
            format!("{survived} of {established} connections survived {}", evidence.event)
        }
        Expectation::NoneSurvive => {
            format!(
                "0 of {established} connections survived: without replication the other firewall has no states"
            )
        }
        Expectation::EstablishedAndNewSurvive | Expectation::OpeningSurviveToo => {
            let (opening, opening_survived) = count(evidence.outcomes, Group::Opening);
            let (new, new_survived) = count(evidence.outcomes, Group::New);
            format!(
                "{survived} of {established} established connections survived, {opening_survived} of {opening} that were \
                 being opened, {new_survived} of {new} started after the takeover"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::outcomes::tests::one_kill;
    use pfplane_testbed::traffic::plan::Family;
    use pfplane_testbed::traffic::report::End;

    fn outcome(group: Group, survived: bool) -> Outcome {
        Outcome {
            number: 0,
            family: Family::V4,
            group,
            opened: true,
            survived,
            end: End::Closed,
            failure: (!survived).then(|| "hangs".into()),
            bytes: 1,
            wrong: 0,
            gaps: Vec::new(),
            resumed: Vec::new(),
        }
    }

    fn evidence(expectation: Expectation, requested: u32, outcomes: &[Outcome]) -> Evidence<'_> {
        let (losses, problems, event) = (Vec::new(), Vec::new(), "the test".into());
        Evidence { expectation, requested, outcomes, probes: &[], times: one_kill(), event, losses, problems }
    }

    fn verdict(expectation: Expectation, outcomes: &[Outcome]) -> Verdict {
        judge(&evidence(expectation, outcomes.len() as u32, outcomes))
    }

    /// Outcomes by group, E(stablished), O(pening) or N(ew), with + for survived.
    fn outcomes(text: &str) -> Vec<Outcome> {
        let group = |letter| match letter {
            'E' => Group::Established,
            'O' => Group::Opening,
            _ => Group::New,
        };
        let words = text.split_whitespace();
        words.map(|word| outcome(group(word.chars().next().unwrap()), word.ends_with('+'))).collect()
    }

    #[test]
    fn each_expectation_decides_which_groups_must_survive() {
        use Expectation::{AllSurvive, EstablishedAndNewSurvive, NoneSurvive, OpeningSurviveToo};
        let cases = [
            (AllSurvive, "E+ E+ E+", true),
            (AllSurvive, "E+ E- E+", false),
            (NoneSurvive, "E- E-", true),
            (NoneSurvive, "E- E+", false),
            // A connection that was never open is not an expected loss.
            (NoneSurvive, "E- O-", false),
            (EstablishedAndNewSurvive, "E+ O- N+", true),
            (EstablishedAndNewSurvive, "E+ O- N-", false),
            (EstablishedAndNewSurvive, "O+ N+", false),
            (OpeningSurviveToo, "E+ O+ N+", true),
            (OpeningSurviveToo, "E+ O- N+", false),
            (OpeningSurviveToo, "E+ N+ N+", false),
        ];
        for (expectation, text, passed) in cases {
            let verdict = verdict(expectation, &outcomes(text));
            assert_eq!(verdict.passed, passed, "{expectation:?} {text}: {verdict:?}");
        }
        let verdict = verdict(AllSurvive, &outcomes("E+ E- E+"));
        assert!(verdict.sentences[0].contains("1 of 3"), "{verdict:?}");
    }

    #[test]
    fn the_sentence_names_what_was_survived() {
        let outcomes = [outcome(Group::Established, true)];
        let verdict = judge(&evidence(Expectation::AllSurvive, 1, &outcomes));
        assert!(verdict.passed && verdict.sentences[0].ends_with("survived the test"), "{verdict:?}");
    }

    #[test]
    fn one_wrong_byte_fails_every_mode() {
        use Expectation::{AllSurvive, EstablishedAndNewSurvive, NoneSurvive};
        for expectation in [AllSurvive, NoneSurvive, EstablishedAndNewSurvive] {
            let mut outcomes = vec![outcome(Group::Established, expectation != NoneSurvive); 3];
            assert!(verdict(expectation, &outcomes).passed);
            outcomes[2].wrong = 1;
            assert!(!verdict(expectation, &outcomes).passed, "{expectation:?}");
        }
    }

    #[test]
    fn losing_more_than_was_exposed_is_a_failure() {
        let outcomes = [outcome(Group::Established, true), outcome(Group::Opening, false)];
        for (exposed, passed) in [(0, false), (1, true), (2, true)] {
            let evidence = evidence(Expectation::EstablishedAndNewSurvive, 2, &outcomes);
            let evidence = Evidence { losses: vec![Loss { exposed, lost: 1 }], ..evidence };
            assert_eq!(judge(&evidence).passed, passed, "{exposed}");
        }
    }

    #[test]
    fn one_other_problem_is_a_failure() {
        let outcomes = [outcome(Group::Established, true)];
        let evidence = evidence(Expectation::AllSurvive, 1, &outcomes);
        assert!(!judge(&Evidence { problems: vec!["buffers are missing.".into()], ..evidence }).passed);
    }
}
