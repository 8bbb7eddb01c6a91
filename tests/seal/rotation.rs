//! Keys changed under load, and runs renewed in copies: nothing is refused or lost, and no nonce repeats.

use super::world::*;
use super::*;
use pfplane::pfsync::FrameReader;
use pfplane::pfsync::envelope::Envelope;
use pfplane_testkit::Random;
use std::collections::HashSet;

fn number_of(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

fn add(node: &Engine, id: u32) {
    assert_eq!(unsafe { pfplane_engine_seal_key_add(node.0, 0, Some(&key(id))) }, PFPLANE_OK);
}

fn remove(node: &Engine, id: u32) {
    let status = unsafe { pfplane_engine_seal_key_remove(node.0, 0, id) };
    assert_eq!(status, PFPLANE_OK, "{}", last_error());
}

fn renew(node: &Engine) {
    assert_eq!(unsafe { pfplane_engine_seal_renew(node.0) }, PFPLANE_OK, "{}", last_error());
}

fn key_sent(node: &Engine) -> u8 {
    let mut status = pfplane_seal_status { size: size::<pfplane_seal_status>(), ..zeroed() };
    assert_eq!(pfplane_engine_seal_status(node.get(), 0, Some(&mut status)), PFPLANE_OK);
    status.key_sent
}

const REFUSALS: [&core::ffi::CStr; 7] = [
    c"badauth",
    c"seal_key",
    c"seal_replayed",
    c"seal_unproven",
    c"seal_missing",
    c"seal_format",
    c"frames_lost",
];

/// `PFPLANE_CHANGES` is the number of changes of states in a second.
#[test]
fn rotation_under_load_refuses_no_frame() {
    let each_ms = (number_of("PFPLANE_CHANGES", 4_000) / 1000) as u16;
    for (v6, mode) in [(false, PFPLANE_SEAL_REQUIRE), (true, PFPLANE_SEAL_ENCRYPT)] {
        let keys = [key(1)];
        let make = |n| {
            let peer = sealed(n, v6, mode, &keys);
            let settings =
                pfplane_config { states_per_lane: 80_000, lanes: LANES, max_poll_gap_ms: 0, ..config() };
            Engine::with_peer(&settings, &peer)
        };
        let (a, b) = (make(1), make(2));
        exchange([&a, &b], MS, 100 * MS);
        let refused = |node: &Engine| REFUSALS.map(|name| node.stat(name));
        let before = [&a, &b].map(refused);
        let (mut created, mut now) = (0_u32, 100 * MS);
        for ms in 0..600_u64 {
            match ms {
                100 => add(&a, 2),
                200 => add(&b, 2),
                400 => {
                    assert_eq!([&a, &b].map(key_sent), [2, 2]);
                    remove(&a, 1);
                    remove(&b, 1);
                    add(&b, 3);
                }
                500 => add(&a, 3),
                _ => {}
            }
            for n in 0..each_ms {
                // Half of the changes are new states, the others packets of older ones.
                let at = if n % 2 == 0 { created } else { created.saturating_sub(u32::from(n) * 7) };
                let syn =
                    Packet::syn(at % 4 == 0, 1000 + at / 50_000, 6, [(at % 50_000) as u16 + 1000, 443]).tcp();
                let node = if ms % 3 == 0 { &b } else { &a };
                let verdict = node.lane(0).look_up(&burst(PFPLANE_IN, now), &syn);
                let lane = node.lane(verdict.lane.into());
                if n % 2 == 0 {
                    lane.create(&burst(PFPLANE_IN, now), &syn);
                    created += 1;
                } else {
                    lane.look_up(&burst(PFPLANE_IN, now), &syn);
                }
            }
            exchange([&a, &b], now, now + MS);
            now += MS;
        }
        exchange([&a, &b], now, now + 200 * MS);
        assert_eq!([&a, &b].map(key_sent), [3, 3]);
        assert_eq!([&a, &b].map(refused), before, "{REFUSALS:?}");
        for node in [&a, &b] {
            assert_eq!(states(node, now + 200 * MS), created as usize);
            assert!(node.stat(c"frames_sealed") > 100);
        }
        println!(
            "{created} states, {} frames, none refused",
            a.stat(c"frames_sealed") + b.stat(c"frames_sealed")
        );
    }
}

#[test]
fn a_renewed_node_is_proven_again_and_loses_no_state() {
    for v6 in [false, true] {
        let keys = [key(1)];
        let make = |n| node(&sealed(n, v6, PFPLANE_SEAL_ENCRYPT, &keys));
        let (a, b) = (make(1), make(2));
        create(&a, 0, 50, MS);
        create(&b, 100, 50, MS);
        let old = exchange([&a, &b], MS, 1000 * MS);
        renew(&a);
        create(&a, 200, 50, 1000 * MS);
        create(&b, 300, 50, 1000 * MS);
        let new = exchange([&a, &b], 1000 * MS, 3000 * MS);
        let epochs = |frames: &[Vec<u8>]| frames.iter().map(|frame| nonce(frame).0).collect::<HashSet<_>>();
        assert_eq!((epochs(&old).len(), epochs(&new).len(), epochs(&[old, new].concat()).len()), (2, 2, 3));
        for node in [&a, &b] {
            assert_eq!(states(node, 3000 * MS), 200, "{v6}");
            assert!(pfplane_engine_ready(node.get()));
        }
    }
    let plain = node(&sealed(1, false, PFPLANE_SEAL_OFF, &[]));
    assert_eq!(unsafe { pfplane_engine_seal_renew(plain.0) }, PFPLANE_ERROR_SETTING);
    assert!(last_error().contains("no peer is sealed"), "{}", last_error());
}

/// What names the subkey of a frame beside the shared key and the node, and its nonce: epoch, protection with key, flow and lane,
/// high half of the number; number and clock.
type Nonce = (u64, u32, u64, u32);

fn nonce(frame: &[u8]) -> Nonce {
    let payload = &frame[Envelope::parse(frame).unwrap().payload];
    let trailer = FrameReader::new(payload).unwrap().trailer().unwrap().unwrap();
    let fields = *trailer.fields();
    let stream = u32::from_be_bytes([fields.protection as u8, fields.key, fields.flow, fields.lane]);
    (fields.epoch, stream, fields.sequence, fields.clock)
}

/// Runs what follows in a copy of this process. Returns the nonces of the frames that it returns.
fn in_a_copy(body: impl FnOnce() -> Vec<Vec<u8>>) -> Vec<Nonce> {
    let mut pipe = [0; 2];
    assert_eq!(unsafe { libc::pipe(pipe.as_mut_ptr()) }, 0);
    let child = unsafe { libc::fork() };
    assert!(child >= 0);
    if child == 0 {
        for (epoch, stream, number, clock) in body().iter().map(|frame| nonce(frame)) {
            let mut bytes = [0; 24];
            bytes[..8].copy_from_slice(&epoch.to_ne_bytes());
            bytes[8..12].copy_from_slice(&stream.to_ne_bytes());
            bytes[12..20].copy_from_slice(&number.to_ne_bytes());
            bytes[20..].copy_from_slice(&clock.to_ne_bytes());
            unsafe { libc::write(pipe[1], bytes.as_ptr().cast(), bytes.len()) };
        }
        unsafe { libc::_exit(0) };
    }
    unsafe { libc::close(pipe[1]) };
    let mut nonces = Vec::new();
    let mut bytes = [0_u8; 24];
    while unsafe { libc::read(pipe[0], bytes.as_mut_ptr().cast(), bytes.len()) } == 24 {
        let long = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
        let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
        nonces.push((long(0), word(8), long(12), word(20)));
    }
    unsafe { libc::close(pipe[0]) };
    assert_eq!(unsafe { libc::waitpid(child, core::ptr::null_mut(), 0) }, child);
    nonces
}

/// `PFPLANE_RUNS` is the number of runs of a node. Some are killed, some are copied; each has two entries with one key.
#[test]
fn no_key_and_nonce_are_used_twice_by_runs_that_are_killed_and_copied() {
    let runs = number_of("PFPLANE_RUNS", 60);
    let mut random = Random::new(5);
    let keys = [key(1)];
    let mut seen = HashSet::new();
    let (mut frames_seen, mut copies) = (0, 0);
    let mut use_once = |nonces: Vec<Nonce>| {
        for nonce in nonces {
            frames_seen += 1;
            assert!(seen.insert(nonce), "{nonce:x?} is used twice");
        }
    };
    for run in 0..runs {
        let mode = if run % 2 == 0 { PFPLANE_SEAL_REQUIRE } else { PFPLANE_SEAL_ENCRYPT };
        let first = sealed(1, false, mode, &keys);
        let peers = [first, pfplane_peer { destination: address(9, false), ..first }];
        let small = pfplane_config { states_per_lane: 64, lanes: LANES, ..config() };
        let a = Engine::new(&pfplane_config { peers: peers.as_ptr(), peer_count: 2, ..small });
        let sent = |from: u64, until: u64| {
            create(&a, (from / MS) as u16, 5, from);
            (from / MS..until / MS).flat_map(|ms| frames(&a, ms * MS)).collect::<Vec<_>>()
        };
        // All runs have the same clock. The node is killed at any time.
        use_once(sent(MS, random.between(20, 60) * MS).iter().map(|frame| nonce(frame)).collect());
        if run % 4 == 0 {
            let from = 70 * MS;
            use_once(in_a_copy(|| {
                renew(&a);
                sent(from, from + 30 * MS)
            }));
            use_once(sent(from, from + 30 * MS).iter().map(|frame| nonce(frame)).collect());
            copies += 1;
        }
    }
    println!("{runs} runs, {copies} copies, {frames_seen} frames");
    // A copy that is not renewed, with the same clock, is found by this test.
    let a = node(&sealed(1, false, PFPLANE_SEAL_REQUIRE, &keys));
    let sent = || {
        create(&a, 0, 5, MS);
        (1..40).flat_map(|ms| frames(&a, ms * MS)).collect::<Vec<_>>()
    };
    let copied = in_a_copy(sent);
    let own: HashSet<_> = sent().iter().map(|frame| nonce(frame)).collect();
    assert!(!copied.is_empty() && copied.iter().all(|nonce| own.contains(nonce)));
}
