//! Pairs the results of two builds and prints their ratios.

use serde_json::Value;

/// Both builds' nanoseconds of one contender, round by round.
struct Row {
    measure: String,
    contender: String,
    ns: [Vec<f64>; 2],
}

/// The results of all runs.
#[derive(Default)]
pub(crate) struct Comparison {
    rows: Vec<Row>,
}

impl Comparison {
    /// Adds the results of one run, the older build's first.
    pub(crate) fn add(&mut self, results: &[Value; 2]) -> Result<(), String> {
        for (build, result) in results.iter().enumerate() {
            for measure in list(result, "measures")? {
                let title = format!("{} at {} flows", text(measure, "name")?, measure["flows"]);
                for contender in list(measure, "contenders")? {
                    let rounds = list(contender, "rounds_ns")?.iter().filter_map(Value::as_f64);
                    self.row(&title, text(contender, "name")?).ns[build].extend(rounds);
                }
            }
        }
        if self.rows.is_empty() {
            return Err("the bench measured nothing; does --only name a measure?".to_owned());
        }
        Ok(())
    }

    fn row(&mut self, measure: &str, contender: &str) -> &mut Row {
        let matches = |row: &Row| row.measure == measure && row.contender == contender;
        let index = self.rows.iter().position(matches).unwrap_or_else(|| {
            let (measure, contender) = (measure.to_owned(), contender.to_owned());
            self.rows.push(Row { measure, contender, ns: [Vec::new(), Vec::new()] });
            self.rows.len() - 1
        });
        &mut self.rows[index]
    }

    /// Prints a table for each measure.
    pub(crate) fn print(&self) {
        let mut measure = "";
        for row in &self.rows {
            if row.measure != measure {
                measure = &row.measure;
                println!("\n{measure}");
                println!("  {:<44} {:>9} {:>9}  {:<13} spread", "", "before ns", "after ns", "times as fast");
            }
            println!("  {:<44} {}", row.contender, row.result());
        }
    }
}

impl Row {
    fn result(&self) -> String {
        let [before, after] = self.ns.each_ref().map(|rounds| sorted(rounds.clone()));
        let column = |rounds: &[f64]| quantile(rounds, 0.5).map_or_else(String::new, |ns| format!("{ns:.2}"));
        let ratios = sorted(self.ratios());
        let quantiles = [0.5, 0.1, 0.9].map(|part| quantile(&ratios, part));
        let ratio = match quantiles {
            [Some(median), Some(low), Some(high)] => format!("{median:<13.3} {low:.2} to {high:.2}"),
            _ => "in one of the builds only".to_owned(),
        };
        format!("{:>9} {:>9}  {ratio}", column(&before), column(&after))
    }

    /// Returns how many times as fast the newer build was, round by round.
    fn ratios(&self) -> Vec<f64> {
        let [before, after] = &self.ns;
        before.iter().zip(after).map(|(before, after)| before / after).collect()
    }
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

/// Returns the value below which `part` of the sorted values lie.
fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((last as f64 * part).round() as usize).copied()
}

fn list<'a>(value: &'a Value, name: &str) -> Result<&'a [Value], String> {
    value[name].as_array().map(Vec::as_slice).ok_or_else(|| format!("the results have no list '{name}'"))
}

fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str, String> {
    value[name].as_str().ok_or_else(|| format!("the results have no text '{name}'"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn result(rounds: &[f64]) -> Value {
        let contender = json!({ "name": "pfplane", "rounds_ns": rounds });
        json!({ "measures": [{ "name": "lookup", "flows": 9, "contenders": [contender] }] })
    }

    #[test]
    fn ratios_pair_the_rounds_of_all_runs() {
        let mut comparison = Comparison::default();
        comparison.add(&[result(&[2.0, 8.0]), result(&[1.0, 2.0])]).unwrap();
        comparison.add(&[result(&[3.0]), result(&[1.0])]).unwrap();
        let [row] = &comparison.rows[..] else { panic!("one measure, one contender") };
        assert_eq!((row.ratios(), row.measure.as_str()), (vec![2.0, 4.0, 3.0], "lookup at 9 flows"));
        assert_eq!(row.result(), "     3.00      1.00  3.000         2.00 to 4.00");
    }

    #[test]
    fn a_contender_of_one_build_has_no_ratio() {
        let mut comparison = Comparison::default();
        comparison.add(&[json!({ "measures": [] }), result(&[4.0])]).unwrap();
        assert_eq!(comparison.rows[0].result(), "               4.00  in one of the builds only");
    }

    #[test]
    fn results_without_measures_are_refused() {
        let empty = json!({ "measures": [] });
        assert!(Comparison::default().add(&[empty.clone(), empty]).is_err());
        assert!(Comparison::default().add(&[json!({}), json!({})]).is_err());
    }
}
