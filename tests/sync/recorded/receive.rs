//! Recorded receivers: local states, received frames, and what a real system did. We must do the same, except where
//! [`deviation`] says otherwise.

use super::{START, comparable, exported, messages, number, packets, peers, put, state_of};
use crate::captures::json;
use crate::node::{MS, Node, settings};
use pfplane::internals::state::{StateId, class_of};
use pfplane::internals::sync::{Arrival, SyncSettings};
use pfsync::envelope::Envelope;
use pfsync::{Action, BulkStatus, FrameReader, FullState, Profile, Record, StatePeer, bulk_status};
use serde_json::Value;
use std::collections::BTreeMap;

/// The local states of a case.
fn local(case: &Value, profile: Profile, is_pfplane: bool) -> (Node, BTreeMap<String, FullState>) {
    let receiver = &case["receiver"];
    let is_running = !case["name"].as_str().unwrap().starts_with("not_running");
    let mut peers = peers(profile);
    peers[0].extensions = is_pfplane;
    let settings = SyncSettings {
        enabled: is_running,
        peers,
        host_id: u32::from_str_radix(case["hostid"].as_str().unwrap(), 16).unwrap(),
        mtu: number(receiver, "mtu") as u32,
        maxupd: number(receiver, "maxupd") as u8,
        ..settings(99, profile)
    };
    let mut node = Node::new(settings, 4096, START);
    let mut labels = BTreeMap::new();
    for value in case["local"].as_array().unwrap() {
        let slot = put(&mut node, value, profile);
        labels.insert(value["label"].as_str().unwrap().to_owned(), exported(&node, slot, profile));
    }
    if matches!(case["bulk_request_before"].as_str(), Some("sent" | "waiting")) {
        node.importer.bulk.start(node.now, false);
        assert!(node.importer.bulk.poll(node.now));
    }
    (node, labels)
}

fn after(node: &Node, profile: Profile) -> BTreeMap<StateId, FullState> {
    let states =
        node.slots().into_iter().map(|slot| (node.table.cold(slot).id, exported(node, slot, profile)));
    states.collect()
}

fn recorded_after(case: &Value, labels: &BTreeMap<String, FullState>) -> BTreeMap<StateId, FullState> {
    let state = |value: &Value| {
        if value["unchanged"] == true {
            labels[value["label"].as_str().unwrap()]
        } else {
            comparable(&state_of(value))
        }
    };
    let states = case["after"].as_array().unwrap().iter().map(state);
    states.map(|state| (id_of(&state), state)).collect()
}

fn flushed(node: &mut Node) -> Vec<Vec<u8>> {
    node.flush().into_iter().map(|(_, packet)| packet).collect()
}

fn same_states(ours: &BTreeMap<StateId, FullState>, theirs: &BTreeMap<StateId, FullState>) -> bool {
    ours.len() == theirs.len()
        && ours.iter().all(|(id, state)| {
            theirs.get(id).is_some_and(|other| {
                (other.expire == ANY || state.expire.abs_diff(other.expire) <= 1)
                    && FullState { expire: 0, ..*state } == FullState { expire: 0, ..*other }
            })
        })
}

#[derive(Clone)]
pub(super) struct Outcome {
    states: BTreeMap<StateId, FullState>,
    replies: Vec<(Action, Record)>,
    later: Vec<(Action, Record)>,
    counters: BTreeMap<&'static str, u64>,
}

impl Outcome {
    /// Returns what differs from another outcome.
    pub(super) fn differences(&self, other: &Self) -> Vec<&'static str> {
        let counters = self.counters.iter().filter(|&(name, count)| other.counters[name] != *count);
        let mut different: Vec<_> = counters.map(|(name, _)| *name).collect();
        let parts = [
            ("states", same_states(&self.states, &other.states)),
            ("replies", self.replies == other.replies),
            ("later", self.later == other.later),
        ];
        different.extend(parts.iter().filter(|(_, same)| !same).map(|(name, _)| name));
        different
    }
}

/// One case: our outcome, and the recorded one.
pub(super) struct Played {
    before: BTreeMap<StateId, FullState>,
    pub(super) ours: Outcome,
    recorded: Outcome,
    is_ready: bool,
}

pub(super) fn play(case: &Value, profile: Profile) -> Played {
    play_with(case, profile, false, Vec::clone)
}

/// Plays a case with changed frames. `is_pfplane`: the sender is taken for a pfplane node.
pub(super) fn play_with(
    case: &Value,
    profile: Profile,
    is_pfplane: bool,
    changed: impl Fn(&Vec<u8>) -> Vec<u8>,
) -> Played {
    let (mut node, labels) = local(case, profile, is_pfplane);
    let before = after(&node, profile);
    let arrival = if case["input_interface"].is_null() { Arrival::SyncPort } else { Arrival::OtherPort };
    for packet in packets(&case["input"]) {
        node.receive(&changed(&packet), arrival);
    }
    let states = after(&node, profile);
    let replies = messages(&flushed(&mut node));
    let is_ready = node.importer.bulk.is_ready();
    let mut later = Vec::new();
    for _ in 0..number(case, "waited_ms") / 10 {
        node.now += 10 * MS;
        later.extend(flushed(&mut node));
    }
    let (importer, sync) = (*node.importer.counters, *node.exporter.counters);
    let counters = BTreeMap::from([
        ("ipackets", importer.ipackets),
        ("badif", importer.badif),
        ("badttl", importer.badttl),
        ("hdrops", importer.hdrops),
        ("badver", importer.badver),
        ("badact", importer.badact),
        ("badlen", importer.badlen),
        ("badval", importer.badval + sync.badval_update),
        ("badstate", sync.badstate),
        ("stale", sync.stale),
    ]);
    let ours = Outcome { states, replies, later: messages(&later), counters };
    let counters = ours.counters.keys().map(|&name| (name, number(&case["counters"], name))).collect();
    let recorded = Outcome {
        states: recorded_after(case, &labels),
        replies: messages(&packets(&case["replies"])),
        later: messages(&packets(&case["replies_later"])),
        counters,
    };
    Played { before, ours, recorded, is_ready }
}

/// Returns the right outcome where we deviate from the system on purpose, `None` where the system is right.
fn deviation(system: &str, name: &str, played: &Played, input: &[Vec<u8>]) -> Option<Outcome> {
    let is_freebsd = system != "openbsd";
    let mut right = played.recorded.clone();
    let kind = name.trim_end_matches(['0', '1']).trim_end_matches('_');
    match kind {
        // A key is one connection here, whatever interface the state is bound to.
        "ins_same_keys_other_if" => right.states.clone_from(&played.before),
        // One answer or request per state and second.
        "stale_maxupd" | "stale_twice" | "upd_c_unknown_twice" => right.replies.dedup(),
        // A length below the header's or within a message is an error (protocol 9 item 7).
        "len_zero" | "len_cuts_message" => {
            right.states.clone_from(&played.before);
            right.counters.insert("badlen", 1);
        }
        // Counted (item 26).
        "ins_creator0" => _ = right.counters.insert("badval", 1),
        // END without START completes (item 47).
        "bulk_receive_empty" if !is_freebsd => right.later.clear(),
        // An unknown interface is accepted, as by OpenBSD and not by FreeBSD.
        "ins_unknown_if" | "ins_unknown_rt_if" => right.states.extend(states_in(input)),
        // FreeBSD does not count it.
        "req_nosync" => _ = right.counters.insert("badstate", 1),
        // FreeBSD 13 and 14 clear every interface (protocol 5.2).
        "clr_creator_if" if is_freebsd => {
            let elsewhere = |state: &FullState| !state.ifname.starts_with(b"em0\0");
            right.states.extend(played.before.clone().into_iter().filter(|(_, state)| elsewhere(state)));
        }
        // FreeBSD loses the scrub data of the first side (protocol 5.4, second defect).
        "scrub_arrives_src" => merge_into(&mut right, &played.before, input),
        // We know messages that this FreeBSD does not, and they are too long for the frame. FreeBSD reads a record after a
        // count of zero as a subheader.
        "count_0" | "action_6" | "action_15" | "action_16" | "action" if is_freebsd => {
            right.counters.insert("badact", played.ours.counters["badact"]);
            right.counters.insert("badlen", 1 - played.ours.counters["badact"]);
        }
        // A delete may overtake the insert of its state on the link, so the id stays ended unless the insert's state is
        // younger. The systems never use an id again.
        "del_then_ins" => {
            right.states.clear();
            right.later =
                states_in(input).map(|(id, _)| (Action::DeleteCompressed, Record::Id(id.into()))).collect();
        }
        // Refused (item 26).
        "ins_val_direction_0" => {
            right.states.clear();
            right.counters.insert("badval", 1);
        }
        // Two views of one connection: the systems keep their own for ever, we all keep the same one.
        "upd_wrong_creator" => {
            let ours = *played.before.first_key_value().unwrap().1;
            if wins_over(&whole_state_in(input), &ours) {
                right.states = states_in(input).collect();
                right.counters.insert("badstate", 0);
            } else {
                let own = Record::State(FullState { expire: 0, ..comparable(&ours) });
                right.replies = vec![(Action::Update, own)];
            }
        }
        // The state has expired: it is not sent.
        "stale_ins_queued" if system == "freebsd1301" => right.replies.clear(),
        // FreeBSD copies the second side even when it is stale, and finds it stale by its sequence number even at a higher
        // state (opnsense/src#327; protocol 5.4).
        _ if is_freebsd && ["tcp_", "proxy_", "nontcp_"].iter().any(|family| name.starts_with(family)) => {
            merge_into(&mut right, &played.before, input);
        }
        // A class of neither view, see `class_between_views`.
        _ if (name.starts_with("tcp_") || name.starts_with("nontcp_"))
            && right.states.values().all(|state| class_between_views([true, false], state).is_some()) =>
        {
            merge_into(&mut right, &played.before, input);
        }
        _ => return None,
    }
    Some(right)
}

fn whole_state_in(input: &[Vec<u8>]) -> FullState {
    let envelope = Envelope::parse(&input[0]).unwrap();
    let mut reader = FrameReader::new(&input[0][envelope.payload]).unwrap();
    let region = reader.next_region().unwrap().unwrap();
    match region.records().next() {
        Some(Record::State(state)) => state,
        other => panic!("{other:?}"),
    }
}

/// More progress, then clearly later traffic, then the lower id.
fn wins_over(theirs: &FullState, ours: &FullState) -> bool {
    let progress = |state: &FullState| state.src.state.min(4) + state.dst.state.min(4);
    let (further, later) = (progress(theirs), i64::from(theirs.expire) - i64::from(ours.expire));
    let is_over = ours.expire == 0 || ours.key[0].proto == 6 && ours.src.state >= 9 && ours.dst.state >= 9;
    is_over
        || further > progress(ours)
        || further == progress(ours) && (later > 5 || later >= -5 && id_of(theirs) < id_of(ours))
}

fn id_of(state: &FullState) -> StateId {
    StateId { id: state.id.id, creator: state.id.creator }
}

fn records_in(input: &[Vec<u8>]) -> Vec<Record> {
    messages(input).into_iter().map(|(_, record)| record).collect()
}

fn states_in(input: &[Vec<u8>]) -> impl Iterator<Item = (StateId, FullState)> {
    // The clock is not compared: `messages` leaves it out.
    records_in(input).into_iter().filter_map(|record| match record {
        Record::State(state) => Some((id_of(&state), FullState { expire: ANY, ..state })),
        _ => None,
    })
}

/// A clock that is not compared.
const ANY: u32 = u32::MAX;

/// Merges the one update of the input into the one state before, side by side.
fn merge_into(right: &mut Outcome, before: &BTreeMap<StateId, FullState>, input: &[Vec<u8>]) {
    let (src, dst, timeout) = match records_in(input)[..] {
        [Record::State(state)] => (state.src, state.dst, state.timeout),
        [Record::Compressed(update)] => (update.src, update.dst, update.timeout),
        ref other => panic!("not one update: {other:?}"),
    };
    let (id, mut state) = before.first_key_value().map(|(id, state)| (*id, *state)).unwrap();
    let is_tcp = state.key[0].proto == 6;
    let older = |ours: &StatePeer, theirs: &StatePeer| {
        let behind = (ours.seqlo.wrapping_sub(theirs.seqlo) as i32) > 0;
        ours.state > theirs.state || is_tcp && ours.state == theirs.state && behind
    };
    let proxied = is_tcp && state.src.state >= 11 && src.state < 11;
    let stale = [older(&state.src, &src) && !proxied, older(&state.dst, &dst)];
    let keep_scrub = |ours: &StatePeer, theirs: StatePeer| {
        if theirs.scrub.valid == 1 { theirs } else { StatePeer { scrub: ours.scrub, ..theirs } }
    };
    if !stale[0] {
        state.src = keep_scrub(&state.src, src);
    }
    if !stale[1] {
        state.dst = keep_scrub(&state.dst, dst);
    }
    if stale != [true; 2] {
        state.timeout = class_between_views(stale, &state).unwrap_or(timeout);
        state.expire = ANY;
    }
    right.counters.insert("stale", stale.iter().any(|&stale| stale).into());
    right.states = BTreeMap::from([(id, state)]);
    let reply = pfsync::CompressedUpdate {
        id: state.id,
        src: state.src,
        dst: state.dst,
        expire: 0,
        timeout: state.timeout,
    };
    right.replies = match stale {
        [false, false] => Vec::new(),
        _ => vec![(Action::UpdateCompressed, Record::Compressed(reply))],
    };
}

/// Returns the class of a state with one side of each view, where it differs from the sender's: both sides are closing, or
/// both have answered. The systems copy the sender's class, which fits only one side.
fn class_between_views(stale: [bool; 2], state: &FullState) -> Option<u8> {
    let sides = [state.src.state, state.dst.state];
    if stale[0] == stale[1] {
        return None;
    }
    match state.key[0].proto {
        6 => (ended(&state.src) && ended(&state.dst)).then(|| class_of(sides)),
        1 | 58 => None,
        17 => (sides == [2, 2]).then_some(8),
        _ => (sides == [2, 2]).then_some(13),
    }
}

fn ended(side: &StatePeer) -> bool {
    (7..11).contains(&side.state)
}

/// Drops the times of a bulk answer: only its contents are compared.
fn without_pace(outcome: &mut Outcome) {
    let later = std::mem::take(&mut outcome.later);
    outcome.replies.extend(later);
    for (_, record) in &mut outcome.replies {
        if let Record::BulkStatus(status) = record {
            status.endtime = 0;
        }
    }
    outcome.replies.sort_by_key(|message| format!("{message:?}"));
}

fn start_of(outcome: &Outcome) -> Option<(Action, Record)> {
    let end = outcome.replies.iter().find(|(action, _)| *action == Action::BulkStatus)?;
    let Record::BulkStatus(status) = end.1 else { return None };
    Some((Action::BulkStatus, Record::BulkStatus(BulkStatus { status: bulk_status::START, ..status })))
}

/// Returns what is wrong in one case.
fn faults_of(system: &str, profile: Profile, case: &Value) -> Vec<&'static str> {
    let name = case["name"].as_str().unwrap();
    let mut played = play(case, profile);
    if name.starts_with("req_bulk") {
        without_pace(&mut played.ours);
        without_pace(&mut played.recorded);
        // An expired state is not sent: the peer would start its timeout again.
        played.recorded.replies.retain(|(_, record)| match record {
            Record::State(state) => played.before[&id_of(state)].expire > 0,
            _ => true,
        });
        if played.before.is_empty() && system == "openbsd" {
            // OpenBSD answers for an empty table with END alone, which it ignores itself (protocol 5.8 hazard 6).
            played.recorded.replies.extend(start_of(&played.recorded));
            without_pace(&mut played.recorded);
        }
    }
    let mut faults = played.ours.differences(&played.recorded);
    if !faults.is_empty()
        && let Some(right) = deviation(system, name, &played, &packets(&case["input"]))
    {
        faults = played.ours.differences(&right);
    }
    if matches!(case["bulk_request_after"].as_str(), Some("done" | "idle"))
        && matches!(case["bulk_request_before"].as_str(), Some("sent" | "waiting"))
        && !played.is_ready
    {
        faults.push("not ready");
    }
    faults
}

#[test]
fn every_recorded_frame_has_the_recorded_or_the_right_outcome() {
    let mut faults = Vec::new();
    let mut cases = 0;
    for (system, profile) in [
        ("openbsd", Profile::OpenBsd6),
        ("freebsd1400", Profile::FreeBsd1400),
        ("freebsd1301", Profile::FreeBsd1301),
    ] {
        let file = json(&format!("{system}/scenarios/receive.json"));
        for case in file["cases"].as_array().unwrap() {
            cases += 1;
            let found = faults_of(system, profile, case);
            if !found.is_empty() {
                faults.push(format!("{system} {}: {found:?} ({})", case["name"], case["about"]));
            }
        }
    }
    assert!(faults.is_empty(), "{} of {cases}:\n{}", faults.len(), faults.join("\n"));
    assert_eq!(cases, 577);
}
