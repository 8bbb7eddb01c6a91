//! What came of runs, a line each.

use crate::journal::Reasons;

/// What came of one run.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// What it was to be.
    pub mode: String,
    /// Connections.
    pub connections: u32,
    /// Those that went as they had to.
    pub well: u32,
    /// Bytes that were not the ones sent.
    pub wrong: u64,
    /// True packets refused, by reason.
    pub good_refused: Reasons,
    /// Forged segments sent.
    pub forged: u64,
    /// Of them the firewalls wrote down as refused.
    pub forged_refused: u64,
    /// That came through: on connections that were open, and on others.
    pub through: [u64; 2],
    /// Takeovers.
    pub takeovers: u32,
    /// Connections that the survivor could not know of.
    pub young: u32,
    /// What is against it.
    pub complaints: Vec<String>,
}

impl Row {
    /// Whether all was as it must be.
    pub fn is_good(&self) -> bool {
        self.complaints.is_empty()
    }
}

fn reasons(reasons: &Reasons) -> String {
    let others = reasons.iter().filter(|(why, _)| *why != "window");
    let words: Vec<String> = others.map(|(why, count)| format!("{count} {why}")).collect();
    if words.is_empty() { "none".into() } else { words.join(", ") }
}

/// The table.
pub fn text(rows: &[Row]) -> String {
    let mut out = format!(
        "{:20} {:>7} {:>7} {:>5} {:>6} {:>8} {:>8} {:>9} {:>5}  {}\n",
        "mode",
        "conns",
        "well",
        "wrong",
        "window",
        "forged",
        "refused",
        "through",
        "taken",
        "true packets refused for other reasons"
    );
    for row in rows {
        let through = format!("{}+{}", row.through[0], row.through[1]);
        let verdict =
            if row.is_good() { "GOOD".into() } else { format!("BAD: {}", row.complaints.join("; ")) };
        out += &format!(
            "{:20} {:>7} {:>7} {:>5} {:>6} {:>8} {:>8} {:>9} {:>5}  {}; {} young; {verdict}\n",
            row.mode,
            row.connections,
            row.well,
            row.wrong,
            row.good_refused.get("window").copied().unwrap_or(0),
            row.forged,
            row.forged_refused,
            through,
            row.takeovers,
            reasons(&row.good_refused),
            row.young,
        );
    }
    out += "(wrong: bytes; window: true packets refused by the window check; through: forged ones that came through, on\n\
            open connections and on others, which begin or have ended; taken: takeovers; young: lost because the survivor\n\
            could not know of them)\n";
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_tells_its_figures_and_what_is_against_it() {
        let refused = Reasons::from([("window".into(), 3), ("reset".into(), 5)]);
        let row = Row { mode: "nat".into(), connections: 10, good_refused: refused, ..Row::default() };
        assert!(row.is_good());
        assert!(text(std::slice::from_ref(&row)).contains("5 reset; 0 young; GOOD"));
        let bad = Row { complaints: vec!["so".into()], ..row };
        assert!(!bad.is_good());
        assert!(text(&[bad]).contains("BAD: so"));
    }
}
