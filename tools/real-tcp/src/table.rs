//! The results of runs as a table, one line each.

use crate::event_log::Reasons;

/// The results of one run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    pub mode: String,
    pub connections: u32,
    /// Connections that followed their scripts.
    pub correct: u32,
    /// Bytes that differ from those sent.
    pub wrong: u64,
    /// Refused genuine packets.
    pub genuine_refused: Reasons,
    /// Forged segments sent.
    pub forged: u64,
    /// Forged segments that the firewalls logged as refused.
    pub forged_refused: u64,
    /// Forged segments that passed: on open connections, and on others.
    pub passed: [u64; 2],
    pub takeovers: u32,
    /// Connections lost because A was killed before it could send them to B.
    pub too_new: u32,
    pub problems: Vec<String>,
}

impl Row {
    pub(crate) fn passed(&self) -> bool {
        self.problems.is_empty()
    }

    fn verdict(&self) -> String {
        if self.passed() { "PASSED".into() } else { format!("FAILED: {}", self.problems.join("; ")) }
    }
}

fn other_reasons(reasons: &Reasons) -> String {
    let others = reasons.iter().filter(|(reason, _)| *reason != "window");
    let texts: Vec<String> = others.map(|(reason, count)| format!("{count} {reason}")).collect();
    if texts.is_empty() { "none".into() } else { texts.join(", ") }
}

/// Formats the table.
pub(crate) fn text(rows: &[Row]) -> String {
    let mut out = format!(
        "{:20} {:>7} {:>7} {:>5} {:>6} {:>8} {:>8} {:>9} {:>5}  {}\n",
        "mode",
        "conns",
        "correct",
        "wrong",
        "window",
        "forged",
        "refused",
        "passed",
        "kills",
        "genuine packets refused for other reasons"
    );
    for row in rows {
        out += &format!(
            "{:20} {:>7} {:>7} {:>5} {:>6} {:>8} {:>8} {:>9} {:>5}  {}; {} too new; {}\n",
            row.mode,
            row.connections,
            row.correct,
            row.wrong,
            row.genuine_refused.get("window").copied().unwrap_or(0),
            row.forged,
            row.forged_refused,
            format!("{}+{}", row.passed[0], row.passed[1]),
            row.takeovers,
            other_reasons(&row.genuine_refused),
            row.too_new,
            row.verdict(),
        );
    }
    out += "(wrong: bytes; window: genuine packets refused by the window check; passed: forged segments that passed, on open\n\
            connections and on others, which were opening or closed; too new: lost because A was killed before it could send\n\
            them to B)\n";
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_shows_its_figures_and_problems() {
        let refused = Reasons::from([("window".into(), 3), ("reset".into(), 5)]);
        let row = Row { mode: "nat".into(), connections: 10, genuine_refused: refused, ..Row::default() };
        assert!(row.passed());
        assert!(text(std::slice::from_ref(&row)).contains("5 reset; 0 too new; PASSED"));
        let failed = Row { problems: vec!["so".into()], ..row };
        assert!(!failed.passed());
        assert!(text(&[failed]).contains("FAILED: so"));
    }
}
