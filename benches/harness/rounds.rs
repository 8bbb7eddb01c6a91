//! Rounds: all contenders run in one process and take turns in rotating order, so that noise affects them alike. Within a
//! turn the median block counts, which ignores blocks that were interrupted by the scheduler.

use std::time::Instant;

/// One contender's part of a round. Returns nanoseconds per item.
pub(crate) type Turn<'a> = Box<dyn FnMut() -> f64 + 'a>;

/// The results of one contender.
#[derive(Clone, Debug)]
pub(crate) struct Timing {
    /// Its name.
    pub name: String,
    /// Nanoseconds per item, one for each round.
    pub ns: Vec<f64>,
}

impl Timing {
    /// Returns the best round.
    pub(crate) fn best(&self) -> f64 {
        self.ns.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// Returns the median round.
    pub(crate) fn median(&self) -> f64 {
        median(&self.ns)
    }

    /// Returns the worst round divided by the best.
    pub(crate) fn spread(&self) -> f64 {
        self.ns.iter().copied().fold(0.0, f64::max) / self.best()
    }

    /// Returns how many times as long as `other` it took: the median of the rounds' ratios.
    pub(crate) fn over(&self, other: &Self) -> f64 {
        let ratios: Vec<f64> = self.ns.iter().zip(&other.ns).map(|(own, others)| own / others).collect();
        median(&ratios)
    }
}

/// Returns the median.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Runs all contenders for `rounds` rounds, after one that warms up.
pub(crate) fn run(contenders: Vec<(String, Turn<'_>)>, rounds: usize) -> Vec<Timing> {
    let (names, mut turns): (Vec<String>, Vec<Turn<'_>>) = contenders.into_iter().unzip();
    let mut timings: Vec<Timing> = names.into_iter().map(|name| Timing { name, ns: Vec::new() }).collect();
    for turn in &mut turns {
        turn();
    }
    for round in 0..rounds {
        for n in 0..turns.len() {
            let index = (round + n) % turns.len();
            let ns = turns[index]();
            timings[index].ns.push(ns);
        }
    }
    timings
}

/// Runs `work`. Returns its nanoseconds and its result.
pub(crate) fn time<R>(work: impl FnOnce() -> R) -> (f64, R) {
    let start = Instant::now();
    let result = work();
    (start.elapsed().as_nanos() as f64, result)
}
