//! Frames that were forged, changed, replayed, spliced, reflected and sent to another address: none is accepted, and each has its
//! cause. `PFPLANE_FORGERIES` is their number.

use super::world::*;
use super::*;
use core::ffi::CStr;
use pfplane_testkit::Random;
use std::collections::HashSet;

/// The counters of which exactly one grows with each refused frame.
const CAUSES: [&CStr; 17] = [
    c"badip",
    c"badttl",
    c"badsource",
    c"badver",
    c"badlen",
    c"hdrops",
    c"badauth",
    c"frames_looped",
    c"seal_missing",
    c"seal_format",
    c"seal_key",
    c"seal_unencrypted",
    c"seal_replayed",
    c"seal_unproven",
    c"trailer_short",
    c"trailer_format",
    c"trailer_length",
];

/// What an attacker has recorded.
struct Recorded {
    /// Sent in this run of both nodes, delivered or not, by either.
    frames: Vec<Vec<u8>>,
    /// Those of the first node that were never delivered.
    held: Vec<Vec<u8>>,
}

/// Both families, signed and encrypted.
fn worlds() -> impl Iterator<Item = (bool, u32)> {
    [false, true]
        .into_iter()
        .flat_map(|v6| [PFPLANE_SEAL_REQUIRE, PFPLANE_SEAL_ENCRYPT].map(|mode| (v6, mode)))
}

/// A pair that has exchanged states, in its second run, and what was sent in both runs.
fn recorded(v6: bool, mode: u32) -> ([Engine; 2], Recorded) {
    let keys = [key(2), key(1)];
    let make = |n: u8| node(&sealed(n, v6, mode, &keys[usize::from(n - 1)..]));
    let (a, b) = (make(1), make(2));
    create(&a, 0, 60, MS);
    let mut all = exchange([&a, &b], MS, 1500 * MS);
    drop((a, b));
    let (a, b) = (make(1), make(2));
    create(&a, 100, 60, 2000 * MS);
    create(&b, 200, 60, 2000 * MS);
    all.extend(exchange([&a, &b], 2000 * MS, 3000 * MS));
    create(&a, 300, 200, 3000 * MS);
    let held = (0..30).flat_map(|step| frames(&a, (3000 + step) * MS)).collect();
    (([a, b]), Recorded { frames: all, held })
}

/// Changes a frame so that at least one byte that its tag covers differs.
fn forge(random: &mut Random, recorded: &Recorded) -> Vec<u8> {
    let base = if random.chance(500) { &recorded.held } else { &recorded.frames };
    let original = &base[random.index(base.len())];
    let other = &recorded.frames[random.index(recorded.frames.len())];
    let (mut frame, first) = (original.clone(), if original[0] >> 4 == 6 { 8 } else { 12 });
    match random.below(7) {
        0 => {
            for _ in 0..random.between(1, 3) {
                let at = random.between(first, frame.len() as u64 - 1) as usize;
                frame[at] ^= 1 << random.below(8);
            }
        }
        1 => frame.truncate(random.between(first, frame.len() as u64 - 1) as usize),
        2 => {
            // The trailer of another frame.
            let tail = random.between(16, 80).min(other.len() as u64) as usize;
            let from = frame.len().saturating_sub(tail).max(first as usize);
            frame.truncate(from);
            frame.extend_from_slice(&other[other.len() - tail..]);
        }
        3 => {
            // Another number, key, lane, flow, epoch or clock: any byte of the trailer's fields.
            let at = frame.windows(4).rposition(|bytes| bytes == [0xd5, b'p', b'f', b's']).unwrap_or(40);
            let field = at + random.between(4, 31) as usize;
            let field = field.min(frame.len() - 1);
            frame[field] = frame[field].wrapping_add(random.between(1, 255) as u8);
        }
        4 => {
            let tag = frame.len() - 16;
            random.fill(&mut frame[tag..]);
        }
        5 => {
            // Other addresses: reflected, or in the name of another node.
            let length = if first == 8 { 16 } else { 4 };
            let (source, destination) = (first as usize, first as usize + length);
            for n in 0..length {
                frame.swap(source + n, destination + n);
            }
        }
        _ => {
            let at = random.between(first, frame.len() as u64 - 1) as usize;
            let length = random.between(1, 40).min((frame.len() - at) as u64) as usize;
            random.fill(&mut frame[at..at + length]);
        }
    }
    mend(&mut frame);
    frame
}

/// Corrects what the tag does not cover, so that the frame gets as far as possible: the IP header's length and checksum.
fn mend(frame: &mut [u8]) {
    let length = frame.len();
    if frame[0] >> 4 == 6 {
        let payload = (length.saturating_sub(40)) as u16;
        frame[4..6].copy_from_slice(&payload.to_be_bytes());
        return;
    }
    if length < 20 {
        return;
    }
    frame[2..4].copy_from_slice(&(length as u16).to_be_bytes());
    frame[10..12].fill(0);
    let sum: u32 = frame[..20].chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    frame[10..12].copy_from_slice(&sum.to_be_bytes());
}

fn causes(node: &Engine, now: u64) -> [u64; CAUSES.len()] {
    node.lane(0).poll(now);
    CAUSES.map(|name| node.stat(name))
}

/// What a node would show of a frame that was accepted.
fn taken(node: &Engine, now: u64) -> (u64, u64, usize) {
    (
        node.stat(c"frames_sealed"),
        node.stat(c"inserts_received") + node.stat(c"updates_received"),
        states(node, now),
    )
}

#[test]
fn no_forged_frame_is_accepted_and_each_has_its_cause() {
    let forgeries =
        std::env::var("PFPLANE_FORGERIES").map_or(100_000, |text| text.parse().expect("a number"));
    let mut all = [0; CAUSES.len()];
    for (v6, mode) in worlds() {
        let ([a, b], recorded) = recorded(v6, mode);
        assert!(recorded.held.len() > 10 && recorded.frames.len() > 100);
        // A node that has received nothing in its run, beside the one that has.
        let fresh = node(&sealed(2, v6, mode, &[key(1), key(2)]));
        let genuine: HashSet<_> = recorded.held.iter().cloned().collect();
        let mut random = Random::new(7 + u64::from(v6));
        let now = 3100 * MS;
        let nodes = [&a, &b, &fresh];
        let before = nodes.map(|node| (causes(node, now), taken(node, now)));
        let mut sent = [0; 3];
        for _ in 0..forgeries / 4 {
            let frame = forge(&mut random, &recorded);
            // What is not changed is not forged.
            if genuine.contains(&frame) {
                continue;
            }
            let to = random.index(3);
            nodes[to].lane(0).receive(&frame, now);
            sent[to] += 1;
        }
        for ((node, before), sent) in nodes.iter().zip(before).zip(sent) {
            let after = causes(node, now + 2 * MS);
            assert_eq!(taken(node, now), before.1, "a frame was accepted");
            let refused: Vec<u64> =
                after.iter().zip(before.0).map(|(after, before)| after - before).collect();
            assert_eq!(refused.iter().sum::<u64>(), sent, "{CAUSES:?} {refused:?}");
            all.iter_mut().zip(&refused).for_each(|(all, refused)| *all += refused);
        }
        // The frames themselves are genuine: they are accepted once, in order.
        for frame in &recorded.held {
            b.lane(0).receive(frame, now + 3 * MS);
        }
        b.lane(0).poll(now + 5 * MS);
        assert_eq!(b.stat(c"frames_sealed") - before[1].1.0, recorded.held.len() as u64);
    }
    for (name, count) in CAUSES.iter().zip(all) {
        println!("{:>10} {}", count, name.to_string_lossy());
    }
    let count = |name: &CStr| all[CAUSES.iter().position(|cause| *cause == name).unwrap()];
    for name in
        [c"badauth", c"seal_key", c"seal_replayed", c"seal_unproven", c"seal_missing", c"trailer_length"]
    {
        assert!(count(name) > forgeries / 2000, "{name:?} was not reached");
    }
}

#[test]
fn recorded_frames_of_any_run_are_accepted_by_no_other_run() {
    for (v6, mode) in worlds() {
        let ([_, b], recorded) = recorded(v6, mode);
        let keys = [key(1), key(2)];
        let fresh = node(&sealed(2, v6, mode, &keys));
        let now = 3100 * MS;
        causes(&fresh, now);
        let before = taken(&b, now).1;
        for frame in recorded.frames.iter().chain(&recorded.frames).chain(&recorded.held) {
            fresh.lane(0).receive(frame, now);
        }
        for frame in &recorded.frames {
            b.lane(0).receive(frame, now);
        }
        causes(&fresh, now + 2 * MS);
        causes(&b, now + 2 * MS);
        assert_eq!((taken(&fresh, now).0, states(&fresh, now)), (0, 0));
        assert_eq!(taken(&b, now).1, before);
        assert!(fresh.stat(c"seal_unproven") > 100 && b.stat(c"seal_replayed") > 100);
    }
}
