//! Which rows of the tables the recipes reach. The tables are followed here once more, plainly: of the rows of one flag
//! the first that holds is taken, and a later flag sees what an earlier one did.

use super::*;
use pfplane::internals::state::tcp_table::{CLASSES as CLASS_ROWS, FULL, LOOSE, Range, Row, SLOPPY};
use std::cell::RefCell;
use std::collections::BTreeSet;

thread_local! {
    static REACHED: RefCell<BTreeSet<(&'static str, usize)>> = const { RefCell::new(BTreeSet::new()) };
}

const TABLES: [(&str, &[Row]); 3] = [("full", &FULL), ("loose", &LOOSE), ("sloppy", &SLOPPY)];

fn holds(range: Range, state: u8) -> bool {
    (range.0..=range.1).contains(&state)
}

fn reach(table: &'static str, row: usize) {
    REACHED.with_borrow_mut(|reached| reached.insert((table, row)));
}

/// Takes note of a packet with these flags: the record before and after it, its sender, 0 the forward one, and what became of
/// it.
pub fn note(then: &Record, now: &Record, flags: u8, sender: usize, outcome: Outcome) {
    let is_sloppy = now.hot.pf_flags & pf_flags::SLOPPY != 0;
    let place = OUTCOMES.iter().rposition(|(_, known)| *known == outcome).unwrap();
    reach("outcome", place);
    let of_sender = |record: &Record| [record.hot.peer_state[sender], record.hot.peer_state[1 - sender]];
    let (mut states, after) = (of_sender(then), of_sender(now));
    let numbers = [then.track.src.seqlo, then.track.dst.seqlo];
    let silent = numbers[1 - sender] == 0;
    if !is_sloppy && numbers[sender] == 0 {
        // The first packet of a side brings it to SYN_SENT before the rows.
        states[0] = states[0].max(2);
    }
    let (name, rows) = match outcome {
        Outcome::Pass if is_sloppy => TABLES[2],
        Outcome::Pass => TABLES[0],
        // What passes loosely moves no state but by a row; an RST that is not believed moves none.
        Outcome::PassLoose if of_sender(then) != after => TABLES[1],
        _ => return,
    };
    let mut taken = 0;
    for (number, row) in rows.iter().enumerate() {
        let is_due = flags & row.flag & !taken != 0 && (!row.receiver_silent || silent);
        if is_due && holds(row.sender, states[0]) && holds(row.receiver, states[1]) {
            states = [row.to[0].unwrap_or(states[0]), row.to[1].unwrap_or(states[1])];
            taken |= row.flag;
            reach(name, number);
        }
    }
    assert_eq!(states, after, "the {name} table and the tracker differ");
    if outcome == Outcome::Pass {
        let (behind, ahead) = (states[0].min(states[1]), states[0].max(states[1]));
        let row = CLASS_ROWS.iter().position(|row| ahead >= row.ahead && behind >= row.behind).unwrap();
        assert_eq!(CLASS_ROWS[row].class, now.hot.timeout, "{states:?}");
        reach("class", row);
    }
}

#[test]
fn every_row_of_the_tables_and_every_outcome_is_reached_by_a_recipe() {
    for recipe in [closing::RECIPES, opening::RECIPES, resets::RECIPES, sloppy::RECIPES, windows::RECIPES] {
        recipe.iter().for_each(|recipe| recipe());
    }
    let mut expected: BTreeSet<(&str, usize)> =
        TABLES.iter().flat_map(|(name, rows)| (0..rows.len()).map(move |row| (*name, row))).collect();
    expected.extend((0..CLASS_ROWS.len()).map(|row| ("class", row)));
    // The first is how a recipe begins.
    expected.extend((1..OUTCOMES.len()).map(|outcome| ("outcome", outcome)));
    REACHED.with_borrow(|reached| {
        let missing: Vec<_> = expected.difference(reached).collect();
        assert!(missing.is_empty(), "no recipe reaches {missing:?}");
        println!("{} rows and outcomes reached", reached.len());
    });
}
