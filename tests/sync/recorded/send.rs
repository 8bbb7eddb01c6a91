//! Recorded senders: a time line of local events, and the packets that a real system sent. We must send the same at the
//! same time, except where [`deviation`] says otherwise.

use super::{START, messages, number, peers, put};
use crate::captures::{hex, json};
use crate::node::{MS, Node, S, settings};
use pfplane::internals::state::LocalFlags;
use pfplane::internals::sync::{Arrival, Defer, PF_DELAY, Removal, SyncSettings};
use pfplane::internals::table::Slot;
use pfsync::{Action, FullState, Profile, Record};
use serde_json::Value;
use std::collections::BTreeMap;

/// Messages and released packets by millisecond.
type Line = BTreeMap<u64, (Vec<(Action, Record)>, usize)>;

struct Player<'a> {
    node: Node,
    profile: Profile,
    states: &'a Value,
    slots: BTreeMap<String, Slot>,
    line: Line,
}

impl<'a> Player<'a> {
    fn new(case: &'a Value, profile: Profile) -> Self {
        let config = &case["config"];
        let defer = if number(config, "defer") == 1 { PF_DELAY } else { 0 };
        let node_settings = SyncSettings {
            peers: peers(profile),
            host_id: u32::from_str_radix(case["hostid"].as_str().unwrap(), 16).unwrap(),
            mtu: number(config, "mtu") as u32,
            maxupd: number(config, "maxupd") as u8,
            // As in pf, where inserts wait for a second.
            insert_age: S,
            defer: Defer { delay: defer, ..Defer::default() },
            ..settings(99, profile)
        };
        let node = Node::new(node_settings, 64, START);
        Self { node, profile, states: &case["states"], slots: BTreeMap::new(), line: Line::new() }
    }

    fn at_ms(&self) -> u64 {
        (self.node.now - START) / MS
    }

    fn slot(&self, word: &str) -> Option<Slot> {
        self.slots.get(word).copied()
    }

    /// Sends what is due.
    fn send(&mut self) {
        let at = self.at_ms();
        let packets: Vec<Vec<u8>> = self.node.flush().into_iter().map(|(_, packet)| packet).collect();
        if !packets.is_empty() {
            self.line.entry(at).or_default().0.extend(messages(&packets));
        }
        let Node { table, exporter, now, .. } = &mut self.node;
        exporter.release_expired(table, *now);
        while exporter.take_released().is_some() {
            self.line.entry(at).or_default().1 += 1;
        }
    }

    fn put(&mut self, name: &str) -> Slot {
        let value = &self.states[name];
        let slot = put(&mut self.node, value, self.profile);
        self.slots.insert(name.to_owned(), slot);
        slot
    }

    fn insert(&mut self, name: &str, is_held: bool) {
        let slot = self.put(name);
        let Node { table, exporter, now, .. } = &mut self.node;
        if is_held {
            table.hot_mut(slot).local.set(LocalFlags::DEFERRED);
        }
        exporter.inserted(table, slot, *now);
        if is_held {
            exporter.hold(table, slot, 1).unwrap();
        }
    }

    fn step(&mut self, step: &Value, is_held_next: bool) {
        let words: Vec<&str> = step["do"].as_str().unwrap().split([' ', ',']).collect();
        match words[..] {
            ["wait", time, "ms"] => {
                for _ in 0..time.parse::<u64>().unwrap() {
                    self.node.wait(MS);
                    self.send();
                }
                return;
            }
            ["known", "already:", ref names @ ..] => names.iter().for_each(|name| _ = self.put(name)),
            ["insert", name, "", "its", "first", "packet", "held"] => self.insert(name, true),
            ["insert", name] => self.insert(name, is_held_next),
            ["upd", name] => {
                let slot = self.slot(name).unwrap();
                let Node { table, exporter, now, .. } = &mut self.node;
                exporter.updated(table, slot, *now);
            }
            ["del", name] => {
                let slot = self.slots.remove(name).unwrap();
                self.node.remove(slot, Removal::Ended);
            }
            ["set", name, ref changes @ ..] => {
                let slot = self.slot(name).unwrap();
                let peer = &mut self.node.table.track_mut(slot).src;
                for change in changes {
                    match change.split_once('=').unwrap() {
                        ("src.seqlo", value) => peer.seqlo = value.parse().unwrap(),
                        ("src.max_win", value) => peer.max_win = value.parse().unwrap(),
                        other => panic!("{other:?}"),
                    }
                }
            }
            ["receive:", ..] => {
                self.node.receive(&hex(step["input"].as_str().unwrap()), Arrival::SyncPort);
            }
            ["send", "tasks", "run"] | ["hold", ..] => {}
            _ => panic!("{words:?}"),
        }
        self.send();
    }
}

fn play(case: &Value, profile: Profile) -> Line {
    let mut player = Player::new(case, profile);
    let steps = case["steps"].as_array().unwrap();
    for (place, step) in steps.iter().enumerate() {
        let next = steps.get(place + 1).and_then(|next| next["do"].as_str()).unwrap_or("");
        player.step(step, next.starts_with("hold"));
    }
    player.line
}

fn recorded(case: &Value) -> Line {
    let mut line = Line::new();
    let expired = expired(case);
    let is_sent = |(_, record): &(Action, Record)| !matches!(record, Record::State(state) if expired.contains(&state.id.id));
    for packet in case["steps"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|step| step["sent"].as_array().into_iter().flatten())
    {
        let bytes = hex(packet["hex"].as_str().unwrap());
        let (sent, released) = line.entry(number(packet, "at_ms")).or_default();
        match bytes[9] {
            240 => sent.extend(messages(&[bytes]).into_iter().filter(is_sent)),
            _ => *released += 1,
        }
    }
    line
}

/// Ids of expired states: the systems send them, we do not.
fn expired(case: &Value) -> Vec<u64> {
    let states = case["states"].as_object().unwrap().values();
    let expired = states.filter(|state| number(state, "expires_in") == 0);
    expired.map(|state| u64::from_str_radix(state["id"].as_str().unwrap(), 16).unwrap()).collect()
}

/// Returns the messages in one order, without what is not compared.
fn sorted(line: &Line, profile: Profile) -> Vec<String> {
    let message = |(action, record): &(Action, Record)| match record {
        Record::Compressed(update) => {
            format!("{action:?} {:?}", pfsync::CompressedUpdate { expire: 0, ..*update })
        }
        Record::State(state) => format!("{action:?} {:?}", FullState { expire: 0, ..*state }),
        other => format!("{action:?} {other:?}"),
    };
    let mut words = Vec::new();
    for (at, (messages, released)) in line {
        words.extend(messages.iter().map(|sent| format!("{profile:?} at {at}: {}", message(sent))));
        words.extend((0..*released).map(|_| format!("{profile:?} at {at}: the held packet is released")));
    }
    words.sort();
    words
}

/// Returns why we send the same at another time on purpose.
fn deviation(name: &str, profile: Profile) -> Option<&'static str> {
    let kind = name.trim_end_matches(['0', '1']).trim_end_matches('_');
    Some(match kind {
        "request_insert_waits" if profile == Profile::OpenBsd6 => {
            "inserts have an age of their own, shorter than pf's"
        }
        "fill_ins_1500_5" | "fill_ins_1500_6" | "fill_ins_600_4" => {
            "a frame is sent when it is full, not when one more message follows"
        }
        "insert_two" => "one queue per lane, whatever the key",
        _ => return None,
    })
}

/// Returns what was sent, without the times.
fn timeless(lines: &[String]) -> Vec<&str> {
    let mut words: Vec<&str> = lines.iter().map(|line| line.split_once(": ").unwrap().1).collect();
    words.sort_unstable();
    words
}

#[test]
fn every_recorded_time_line_sends_the_same_at_the_same_time() {
    let mut wrong = Vec::new();
    let (mut cases, mut messages) = (0, 0);
    for (system, profile) in [
        ("openbsd", Profile::OpenBsd6),
        ("freebsd1400", Profile::FreeBsd1400),
        ("freebsd1301", Profile::FreeBsd1301),
    ] {
        for case in json(&format!("{system}/scenarios/send.json"))["cases"].as_array().unwrap() {
            let name = case["name"].as_str().unwrap();
            let (ours, theirs) = (sorted(&play(case, profile), profile), sorted(&recorded(case), profile));
            cases += 1;
            messages += theirs.len();
            let is_right = match deviation(name, profile) {
                Some(_) => timeless(&ours) == timeless(&theirs),
                None => ours == theirs,
            };
            if !is_right {
                wrong.push(format!("{system} {name}:\n  {ours:#?}\n  {theirs:#?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {cases}:\n{}", wrong.len(), wrong.join("\n"));
    println!("{messages} messages of {cases} time lines");
}
