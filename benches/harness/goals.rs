//! Goals: how many times as fast as a peer pfplane should be.

use super::report::Measure;
use super::rounds::Timing;
use serde_json::{Value, json};

/// With a larger spread of the limit's rounds, the results are not valid.
const MAX_LIMIT_SPREAD: f64 = 1.6;

/// A goal for one measure.
pub(crate) struct Goal {
    /// The measure's name.
    pub measure: &'static str,
    /// Its number of flows.
    pub size: u32,
    /// Prefixes of the peers' names. The fastest peer counts.
    pub over: &'static [&'static str],
    /// The ratio to reach.
    pub target: f64,
    /// An ambitious ratio.
    pub stretch: f64,
}

/// The result for a goal.
pub(crate) struct Outcome<'a> {
    goal: &'a Goal,
    /// pfplane's variants in the order of the report, and how many times as long the peer took.
    ratios: Vec<(&'a str, f64)>,
    /// Whether the machine was quiet enough.
    valid: bool,
}

impl Goal {
    /// Returns the outcome, or `None` when it was not measured.
    pub(crate) fn outcome<'a>(&'a self, measures: &'a [Measure]) -> Option<Outcome<'a>> {
        let matches = |measure: &&Measure| measure.name == self.measure && measure.size == self.size;
        let timings = &measures.iter().find(matches)?.timings;
        let is_peer = |timing: &&Timing| self.over.iter().any(|name| timing.name.starts_with(name));
        let ratio =
            |own: &Timing| timings.iter().filter(is_peer).map(|peer| peer.over(own)).min_by(f64::total_cmp);
        let is_ours =
            |timing: &&Timing| timing.name.starts_with("pfplane") && !timing.name.contains("portable");
        let ratios: Option<Vec<_>> =
            timings.iter().filter(is_ours).map(|own| Some((own.name.as_str(), ratio(own)?))).collect();
        let is_limit = |timing: &&Timing| timing.name.starts_with("limit");
        let valid = timings.iter().find(is_limit).is_none_or(|limit| limit.spread() <= MAX_LIMIT_SPREAD);
        Some(Outcome { goal: self, ratios: ratios?, valid })
    }
}

impl Outcome<'_> {
    /// Prints a line for each of pfplane's variants.
    pub(crate) fn print(&self) {
        let Goal { measure, size, over, target, stretch } = self.goal;
        println!("  {measure} at {size}, over {}: {target} (stretch {stretch})", over.join(", "));
        for (name, ratio) in &self.ratios {
            let verdict = match ratio {
                _ if !self.valid => "not valid: the limit's spread is too large",
                ratio if *ratio >= *stretch => "stretch reached",
                ratio if *ratio >= *target => "reached",
                _ => "missed",
            };
            println!("    {name:<36} {ratio:>6.2}  {verdict}");
        }
    }

    /// Converts to JSON.
    pub(crate) fn to_json(&self) -> Value {
        let Goal { measure, size, over, target, stretch } = self.goal;
        let ratios: serde_json::Map<String, Value> =
            self.ratios.iter().map(|(name, ratio)| ((*name).to_owned(), json!(ratio))).collect();
        json!({
            "measure": measure, "flows": size, "over": over, "target": target, "stretch": stretch,
            "ratios": ratios, "valid": self.valid,
        })
    }
}
