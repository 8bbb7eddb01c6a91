//! Scripted connections, one line a packet, for both families.
//!
//! ```text
//! > SA 1000+20 ack 501 win 4000 ws 7 = pass    ESTABLISHED:SYN_SENT tcp.opening
//! |  |    |  |                         |       |                    |
//! |  |    |  bytes of data             |       both sides' states   timeout class
//! |  |    sequence number              outcome
//! |  flags: S, F, R, P, A, or - for none
//! direction: > forward, < reverse
//! ```
//!
//! The first line creates the state (`new`). Fields that are omitted are zero, except `win`, which is 1000. If the states and
//! the class are omitted, they must not change.

mod closing;
mod opening;
mod resets;
mod rows;
mod sloppy;
mod windows;

use crate::connection::packet;
use pfplane::internals::packet::{Family, TcpFacts};
use pfplane::internals::state::{
    CLASSES, DropReason, LocalFlags, Options, Outcome, Record, StateId, create, pf_flags, timeout_class,
    track,
};
use pfplane::internals::time::Tick;
use rows::record_rows;

const STATES: [(&str, u8); 7] = [
    ("CLOSED", 0),
    ("SYN_SENT", 2),
    ("ESTABLISHED", 4),
    ("CLOSING", 7),
    ("FIN_WAIT_2", 9),
    ("TIME_WAIT", 10),
    ("PROXY_SRC", 11),
];

const OUTCOMES: [(&str, Outcome); 7] = [
    ("new", Outcome::Pass),
    ("pass", Outcome::Pass),
    ("loose", Outcome::PassLoose),
    ("retire", Outcome::Retire),
    ("window", Outcome::Drop(DropReason::Window)),
    ("challenge", Outcome::Drop(DropReason::ChallengeAck)),
    ("reset", Outcome::Drop(DropReason::Reset)),
];

fn named<T: Copy>(names: &[(&str, T)], wanted: &str, line: &str) -> T {
    let found = names.iter().find(|(name, _)| *name == wanted);
    found.unwrap_or_else(|| panic!("'{wanted}' in: {line}")).1
}

/// Parses the left half of a line.
fn parse_packet(line: &str) -> (bool, TcpFacts) {
    let words: Vec<&str> = line.split('=').next().unwrap().split_whitespace().collect();
    let number = |text: &str| text.parse::<u32>().unwrap_or_else(|_| panic!("'{text}' in: {line}"));
    let bit = |flag| "FSRPA".find(flag).map_or(0, |bit| 1 << bit);
    let (seq, payload) = words[2].split_once('+').unwrap_or((words[2], "0"));
    let mut tcp = TcpFacts {
        seq: number(seq),
        payload: number(payload),
        flags: words[1].chars().map(bit).sum(),
        window: 1_000,
        ..TcpFacts::default()
    };
    for pair in words[3..].chunks(2) {
        let value = number(pair[1]);
        match pair[0] {
            "ack" => tcp.ack = value,
            "win" => tcp.window = value.try_into().unwrap(),
            "ws" => tcp.wscale = 0x80 | u8::try_from(value).unwrap(),
            word => panic!("'{word}' in: {line}"),
        }
    }
    (words[0] == ">", tcp)
}

/// Runs a recipe from its first packet and returns the final record.
fn run_recipe(family: Family, flags: u16, recipe: &str) -> Record {
    continue_recipe(None, family, flags, recipe)
}

/// Runs a recipe from a record and returns the final one.
fn continue_recipe(mut state: Option<Record>, family: Family, flags: u16, recipe: &str) -> Record {
    for (now, line) in recipe.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate() {
        let (forward, tcp) = parse_packet(line);
        let facts = packet(family, forward, tcp);
        let now = Tick(u32::try_from(now).unwrap());
        let expected: Vec<&str> = line.split('=').nth(1).unwrap().split_whitespace().collect();
        let old_record = state;
        let before = state.map_or(([0; 2], 0), |record| (record.hot.peer_state, record.hot.timeout));
        let outcome = if let Some(record) = &mut state {
            track(&mut record.hot, &mut record.track, &facts, now)
        } else {
            let options = Options { pf_flags: flags, ..Options::default() };
            state = Some(create(&facts, &options, StateId { id: 1, creator: 1 }, now));
            Outcome::Pass
        };
        assert_eq!(outcome, named(&OUTCOMES, expected[0], line), "{line}\n{state:?}");
        let record = state.as_ref().unwrap();
        let hot = record.hot;
        let after = match expected[1..] {
            [states, class] => {
                let (src, dst) = states.split_once(':').unwrap();
                let class = CLASSES.iter().position(|(name, _)| *name == class).unwrap();
                ([named(&STATES, src, line), named(&STATES, dst, line)], u8::try_from(class).unwrap())
            }
            _ => before,
        };
        assert_eq!((hot.peer_state, hot.timeout), after, "{line}");
        if expected[0] != "new" {
            record_rows(&old_record.unwrap(), record, facts.tcp.flags, usize::from(!forward), outcome);
        }
        // Only packets that pass properly update the last activity.
        assert_eq!(hot.last_activity == now, outcome == Outcome::Pass, "{line}");
    }
    state.unwrap()
}

fn recipe(text: &str) {
    run_recipe(Family::V4, 0, text);
    run_recipe(Family::V6, 0, text);
}

fn sloppy_recipe(text: &str) {
    run_recipe(Family::V4, pf_flags::SLOPPY, text);
    run_recipe(Family::V6, pf_flags::SLOPPY, text);
}
