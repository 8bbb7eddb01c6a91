//! Many kills while connections are opened, each at another moment, and what they cost in all beside what was announced.

use crate::arguments::Arguments;
use crate::failure::Outcome;
use crate::run::{Ending, run};
use crate::verdict::Loss;

/// The kill comes when so many of a hundred connections are open: at least, and so many more at most.
const EARLIEST: u64 = 20;
const SPAN: u64 = 60;
/// With the golden ratio moments differ from run to run, and lie evenly after any number of runs.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Runs `kills` demonstrations one after the other, each in a folder of its own. `true` when all were as they must be.
pub fn run_all(arguments: &Arguments, kills: u32) -> Outcome<bool> {
    let mut losses = Vec::new();
    let mut failed = 0;
    for number in 1..=kills {
        let one = Arguments {
            out: arguments.out.join(format!("kill-{number:04}")),
            kill_at_percent: moment(number),
            seed: arguments.seed.map(|seed| seed.wrapping_add(number.into())),
            ..arguments.clone()
        };
        println!("kill {number} of {kills}, when {} of a hundred connections are open", one.kill_at_percent);
        let Ending { as_hoped, losses: of_run } = run(&one)?;
        failed += u32::from(!as_hoped);
        losses.extend(of_run);
        println!("so far {}, {failed} runs failed\n", words(&losses));
    }
    Ok(failed == 0)
}

fn moment(number: u32) -> u32 {
    let turn = u64::from(number).wrapping_mul(GOLDEN) >> 32;
    (EARLIEST + ((turn * SPAN) >> 32)) as u32
}

fn words(losses: &[Loss]) -> String {
    let sum = |number: fn(&Loss) -> u64| losses.iter().map(number).sum::<u64>();
    let more = losses.iter().filter(|loss| loss.lost > loss.announced).count();
    format!(
        "{} kills: {} connections announced as exposed, {} lost; {more} times more than announced",
        losses.len(),
        sum(|loss| loss.announced),
        sum(|loss| loss.lost)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_moments_lie_all_over_the_opening() {
        let moments: Vec<u32> = (1..=100).map(moment).collect();
        assert!(moments.iter().all(|&percent| (20..80).contains(&percent)));
        for tenth in 2..8 {
            assert!(moments.iter().filter(|&&percent| percent / 10 == tenth).count() >= 14, "{moments:?}");
        }
    }

    #[test]
    fn a_sum_says_how_often_more_was_lost_than_announced() {
        let loss = |announced, lost| Loss { announced, lost };
        let text = words(&[loss(5, 3), loss(0, 1)]);
        assert_eq!(text, "2 kills: 5 connections announced as exposed, 4 lost; 1 times more than announced");
    }
}
