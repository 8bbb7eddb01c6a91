//! Which rows of the tables the recipes reach. Applies the tables again in the plainest way.

use super::*;
use pfplane::internals::state::tcp_table::{CLASSES as CLASS_ROWS, FULL, LOOSE, Range, Row, SLOPPY};
use std::cell::RefCell;
use std::collections::BTreeSet;

thread_local! {
    static REACHED: RefCell<BTreeSet<(&'static str, usize)>> = const { RefCell::new(BTreeSet::new()) };
}

const TABLES: [(&str, &[Row]); 3] = [("full", &FULL), ("loose", &LOOSE), ("sloppy", &SLOPPY)];

fn contains(range: Range, state: u8) -> bool {
    (range.0..=range.1).contains(&state)
}

fn reach(table: &'static str, row: usize) {
    REACHED.with_borrow_mut(|reached| reached.insert((table, row)));
}

/// Records the rows that a packet reaches, given the record before and after it, its flags, its sender (0 forward) and its
/// outcome.
pub(super) fn record_rows(before: &Record, after: &Record, flags: u8, sender: usize, outcome: Outcome) {
    let is_sloppy = after.hot.pf_flags & pf_flags::SLOPPY != 0;
    let index = OUTCOMES.iter().rposition(|(_, known)| *known == outcome).unwrap();
    reach("outcome", index);
    let of_sender = |record: &Record| [record.hot.peer_state[sender], record.hot.peer_state[1 - sender]];
    let (mut states, new_states) = (of_sender(before), of_sender(after));
    let numbers = [before.track.src.seqlo, before.track.dst.seqlo];
    let silent = numbers[1 - sender] == 0;
    if !is_sloppy && numbers[sender] == 0 {
        // The first packet of a side sets SYN_SENT before the rows apply.
        states[0] = states[0].max(2);
    }
    let (name, rows) = match outcome {
        Outcome::Pass if is_sloppy => TABLES[2],
        Outcome::Pass => TABLES[0],
        // A loose packet changes states through a row only; an unproven RST changes none.
        Outcome::PassLoose if of_sender(before) != new_states => TABLES[1],
        _ => return,
    };
    let mut taken = 0;
    for (number, row) in rows.iter().enumerate() {
        let is_due = flags & row.flag & !taken != 0 && (!row.receiver_silent || silent);
        if is_due && contains(row.sender, states[0]) && contains(row.receiver, states[1]) {
            states = [row.to[0].unwrap_or(states[0]), row.to[1].unwrap_or(states[1])];
            taken |= row.flag;
            reach(name, number);
        }
    }
    assert_eq!(states, new_states, "the {name} table and the tracker differ");
    if outcome == Outcome::Pass {
        let (behind, ahead) = (states[0].min(states[1]), states[0].max(states[1]));
        let row = CLASS_ROWS.iter().position(|row| ahead >= row.ahead && behind >= row.behind).unwrap();
        assert_eq!(CLASS_ROWS[row].class, after.hot.timeout, "{states:?}");
        reach("class", row);
    }
}

#[test]
fn recipes_reach_every_row_and_every_outcome() {
    for recipe in [closing::RECIPES, opening::RECIPES, resets::RECIPES, sloppy::RECIPES, windows::RECIPES] {
        recipe.iter().for_each(|recipe| recipe());
    }
    let mut expected: BTreeSet<(&str, usize)> =
        TABLES.iter().flat_map(|(name, rows)| (0..rows.len()).map(move |row| (*name, row))).collect();
    expected.extend((0..CLASS_ROWS.len()).map(|row| ("class", row)));
    // The first, `new`, begins every recipe.
    expected.extend((1..OUTCOMES.len()).map(|outcome| ("outcome", outcome)));
    REACHED.with_borrow(|reached| {
        let missing: Vec<_> = expected.difference(reached).collect();
        assert!(missing.is_empty(), "no recipe reaches {missing:?}");
        println!("{} rows and outcomes reached", reached.len());
    });
}
