//! Goals: how many times as long as ours a peer is to take, and whether it does.

use super::report::Measure;
use super::rounds::Timing;
use serde_json::{Value, json};

/// Rounds of the limit that differ by more say nothing of the others.
const LIMIT_DIFFERS_BY: f64 = 1.6;

/// One goal, held to one measure.
pub struct Goal {
    /// The measure's name.
    pub measure: &'static str,
    /// Its flows.
    pub size: u32,
    /// How the names of the peers begin; the fastest of them counts.
    pub over: &'static [&'static str],
    /// The ratio to reach.
    pub target: f64,
    /// The ratio to be proud of.
    pub stretch: f64,
}

/// What came of a goal.
pub struct Outcome<'a> {
    goal: &'a Goal,
    /// Ours, and how many times as long the peer took. Ways of ours in the order of the report.
    ratios: Vec<(&'a str, f64)>,
    /// Whether the machine was quiet enough to say so.
    valid: bool,
}

impl Goal {
    /// What came of it; none where it was not measured.
    pub fn outcome<'a>(&'a self, measures: &'a [Measure]) -> Option<Outcome<'a>> {
        let is_it = |measure: &&Measure| measure.name == self.measure && measure.size == self.size;
        let timings = &measures.iter().find(is_it)?.timings;
        let is_peer = |timing: &&Timing| self.over.iter().any(|name| timing.name.starts_with(name));
        let ratio =
            |own: &Timing| timings.iter().filter(is_peer).map(|peer| peer.over(own)).min_by(f64::total_cmp);
        let is_ours =
            |timing: &&Timing| timing.name.starts_with("pfplane") && !timing.name.contains("portable");
        let ratios: Option<Vec<_>> =
            timings.iter().filter(is_ours).map(|own| Some((own.name.as_str(), ratio(own)?))).collect();
        let is_limit = |timing: &&Timing| timing.name.starts_with("limit");
        let valid = timings.iter().find(is_limit).is_none_or(|limit| limit.spread() <= LIMIT_DIFFERS_BY);
        Some(Outcome { goal: self, ratios: ratios?, valid })
    }
}

impl Outcome<'_> {
    /// Prints a line for each way of ours.
    pub fn print(&self) {
        let Goal { measure, size, over, target, stretch } = self.goal;
        println!("  {measure} at {size}, over {}: {target} (stretch {stretch})", over.join(", "));
        for (name, ratio) in &self.ratios {
            let word = match ratio {
                _ if !self.valid => "not valid: the limit's rounds differ too much",
                ratio if *ratio >= *stretch => "stretch reached",
                ratio if *ratio >= *target => "reached",
                _ => "missed",
            };
            println!("    {name:<36} {ratio:>6.2}  {word}");
        }
    }

    /// The same for machines.
    pub fn to_json(&self) -> Value {
        let Goal { measure, size, over, target, stretch } = self.goal;
        let ratios: serde_json::Map<String, Value> =
            self.ratios.iter().map(|(name, ratio)| ((*name).to_owned(), json!(ratio))).collect();
        json!({
            "measure": measure, "flows": size, "over": over, "target": target, "stretch": stretch,
            "ratios": ratios, "valid": self.valid,
        })
    }
}
