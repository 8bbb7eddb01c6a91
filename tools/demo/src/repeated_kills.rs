//! Many runs, each with a kill at another time during connection setup; sums what was lost and what was exposed.

use pfplane_testbed::failure::Fallible;

use crate::arguments::Arguments;
use crate::results::verdict::Loss;
use crate::scenario::{RunResult, run};

/// The kill comes when this percentage of the connections is open, and up to `SPAN` more.
const MIN_PERCENT: u64 = 20;
const SPAN: u64 = 60;
/// Multiples of the golden ratio spread evenly after any number of runs.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Runs `kills` demonstrations, each with a folder of its own. Returns whether all passed.
pub(crate) fn run_all(arguments: &Arguments, kills: u32) -> Fallible<bool> {
    let mut losses = Vec::new();
    let mut failed = 0;
    for number in 1..=kills {
        let one = Arguments {
            out: arguments.out.join(format!("kill-{number:04}")),
            kill_at_percent: kill_percent(number),
            seed: arguments.seed.map(|seed| seed.wrapping_add(number.into())),
            ..arguments.clone()
        };
        println!("run {number} of {kills}: kill when {} % of the connections are open", one.kill_at_percent);
        let RunResult { passed, losses: of_run } = run(&one)?;
        failed += u32::from(!passed);
        losses.extend(of_run);
        println!("so far {}; {failed} runs failed\n", summary(&losses));
    }
    Ok(failed == 0)
}

fn kill_percent(number: u32) -> u32 {
    let fraction = u64::from(number).wrapping_mul(GOLDEN) >> 32;
    (MIN_PERCENT + ((fraction * SPAN) >> 32)) as u32
}

fn summary(losses: &[Loss]) -> String {
    let sum = |number: fn(&Loss) -> u64| losses.iter().map(number).sum::<u64>();
    let exceeded = losses.iter().filter(|loss| loss.lost > loss.exposed).count();
    format!(
        "{} kills: {} connections exposed, {} lost; more lost than exposed in {exceeded}",
        losses.len(),
        sum(|loss| loss.exposed),
        sum(|loss| loss.lost)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kills_are_spread_over_the_whole_setup() {
        let percents: Vec<u32> = (1..=100).map(kill_percent).collect();
        assert!(percents.iter().all(|&percent| (20..80).contains(&percent)));
        for tenth in 2..8 {
            assert!(percents.iter().filter(|&&percent| percent / 10 == tenth).count() >= 14, "{percents:?}");
        }
    }

    #[test]
    fn the_summary_counts_the_kills_that_lost_more_than_was_exposed() {
        let loss = |exposed, lost| Loss { exposed, lost };
        let text = summary(&[loss(5, 3), loss(0, 1)]);
        assert_eq!(text, "2 kills: 5 connections exposed, 4 lost; more lost than exposed in 1");
    }
}
