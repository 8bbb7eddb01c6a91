//! The report: a printed table, a JSON file and a chart.

use super::goals::Goal;
use super::rounds::Timing;
use serde_json::{Value, json};
use std::path::Path;

/// One measure: the same work, done by all contenders.
pub(crate) struct Measure {
    /// Its name.
    pub name: String,
    /// Number of flows.
    pub size: u32,
    /// The timing of each contender, pfplane first.
    pub timings: Vec<Timing>,
}

/// All results of a run.
pub(crate) struct Report {
    bench: &'static str,
    measures: Vec<Measure>,
    facts: Vec<(String, Value)>,
    goals: Vec<Value>,
}

impl Report {
    /// Returns an empty report.
    pub(crate) fn new(bench: &'static str) -> Self {
        Self { bench, measures: Vec::new(), facts: Vec::new(), goals: Vec::new() }
    }

    /// Adds and prints a fact about the run, such as the page mode.
    pub(crate) fn fact(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        let (name, value) = (name.into(), value.into());
        println!("  {name}: {value}");
        self.facts.push((name, value));
    }

    /// Adds a measure and prints it: best and median nanoseconds, spread, and the time relative to pfplane's.
    pub(crate) fn measure(&mut self, measure: Measure) {
        println!("\n{} at {} flows", measure.name, measure.size);
        println!("  {:<34} {:>8} {:>8} {:>7} {:>9}", "", "best ns", "median", "spread", "relative");
        let Some(ours) = measure.timings.first() else { return };
        for timing in &measure.timings {
            println!(
                "  {:<34} {:>8.2} {:>8.2} {:>7.2} {:>8.2}x",
                timing.name,
                timing.best(),
                timing.median(),
                timing.spread(),
                timing.over(ours)
            );
        }
        self.measures.push(measure);
    }

    /// Adds and prints the outcome of the goals that were measured.
    pub(crate) fn goals(&mut self, goals: &[Goal]) {
        let outcomes: Vec<_> = goals.iter().filter_map(|goal| goal.outcome(&self.measures)).collect();
        if !outcomes.is_empty() {
            println!("\ngoals: how many times as fast as the peer (median of the rounds)");
        }
        outcomes.iter().for_each(super::goals::Outcome::print);
        self.goals = outcomes.iter().map(super::goals::Outcome::to_json).collect();
    }

    /// Writes the JSON file, and the chart next to it.
    pub(crate) fn write(&self, path: &Path) -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let text = serde_json::to_string_pretty(&self.to_json())?;
        std::fs::write(path, text + "\n")?;
        let chart = path.with_extension("svg");
        std::fs::write(&chart, super::chart::draw(&self.measures))?;
        println!("\nwritten to {} and {}", path.display(), chart.display());
        Ok(())
    }

    fn to_json(&self) -> Value {
        let measures: Vec<Value> = self.measures.iter().map(measure_to_json).collect();
        let facts: serde_json::Map<String, Value> = self.facts.iter().cloned().collect();
        json!({ "bench": self.bench, "cpu": cpu_name(), "facts": facts, "measures": measures, "goals": self.goals })
    }
}

fn measure_to_json(measure: &Measure) -> Value {
    let ours = &measure.timings[0];
    let contenders: Vec<Value> = measure
        .timings
        .iter()
        .map(|timing| {
            json!({
                "name": timing.name,
                "best_ns": timing.best(),
                "median_ns": timing.median(),
                "spread": timing.spread(),
                "over_ours": timing.over(ours),
                "rounds_ns": timing.ns,
            })
        })
        .collect();
    json!({ "name": measure.name, "flows": measure.size, "contenders": contenders })
}

/// Returns the processor's name.
pub(crate) fn cpu_name() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("model name"));
    line.map_or("unknown", |rest| rest.trim_start_matches([' ', '\t', ':'])).to_owned()
}
