//! Rounds: all contenders in one process, taking turns in rotating order, so that a noisy neighbour hits them alike.
//! Within a turn the middle block counts, so that a block in which the scheduler took the core away does not.

use std::time::Instant;

/// One contender's part of one round: does its work and says how many nanoseconds an item took.
pub type Turn<'a> = Box<dyn FnMut() -> f64 + 'a>;

/// What the rounds gave for one contender.
#[derive(Clone, Debug)]
pub struct Timing {
    /// Its name.
    pub name: String,
    /// Nanoseconds per item, one for each round.
    pub ns: Vec<f64>,
}

impl Timing {
    /// The best round.
    pub fn best(&self) -> f64 {
        self.ns.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// The middle round.
    pub fn median(&self) -> f64 {
        median(&self.ns)
    }

    /// Worst round over best.
    pub fn spread(&self) -> f64 {
        self.ns.iter().copied().fold(0.0, f64::max) / self.best()
    }

    /// How many times as long `self` took as `other`: the median of the ratios of each round.
    pub fn over(&self, other: &Self) -> f64 {
        let ratios: Vec<f64> = self.ns.iter().zip(&other.ns).map(|(own, others)| own / others).collect();
        median(&ratios)
    }
}

/// The middle value.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Lets the contenders take turns for so many rounds. A first round warms up and is thrown away.
pub fn run(contenders: Vec<(String, Turn<'_>)>, rounds: usize) -> Vec<Timing> {
    let (names, mut turns): (Vec<String>, Vec<Turn<'_>>) = contenders.into_iter().unzip();
    let mut timings: Vec<Timing> = names.into_iter().map(|name| Timing { name, ns: Vec::new() }).collect();
    for turn in &mut turns {
        turn();
    }
    for round in 0..rounds {
        for n in 0..turns.len() {
            let which = (round + n) % turns.len();
            let ns = turns[which]();
            timings[which].ns.push(ns);
        }
    }
    timings
}

/// Nanoseconds that `work` takes.
pub fn time<R>(work: impl FnOnce() -> R) -> (f64, R) {
    let start = Instant::now();
    let result = work();
    (start.elapsed().as_nanos() as f64, result)
}
