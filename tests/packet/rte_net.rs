//! Compares our parser and checksums with DPDK's `rte_net`, which a small C program (`rte_net.c`), compiled against the
//! installed DPDK, runs on each frame.
//!
//! [`difference`] lists the intended differences. `PROPTEST_CASES=20000` runs more cases.

use crate::captures;
use crate::frames::{a_frame, any_direction, ip_of};
use pfplane::internals::packet::checksum::{Sum, checksum};
use pfplane::internals::packet::{
    Direction, Facts, Family, Kind, Link, Rejection, Translation, WritablePacket, key_in_family, parse,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock};

const L3_IPV4: u32 = 0x10;
const L3_IPV6: u32 = 0x40;
const L3: u32 = 0xf0;
const L3_IPV6_PLAIN: u32 = 0x40;
const L4: u32 = 0xf00;
const L4_TCP: u32 = 0x100;
const L4_UDP: u32 = 0x200;
const L4_FRAGMENT: u32 = 0x300;
const L4_SCTP: u32 = 0x400;

/// DPDK's result for a frame.
#[derive(Clone, Copy, Debug)]
struct Answer {
    kind: u32,
    l2: usize,
    l3: usize,
    ip_checksum: [u8; 2],
    l4_checksum: [u8; 2],
}

struct Dpdk {
    _child: Child,
    to: ChildStdin,
    from: ChildStdout,
}

/// Returns the program, or `None` if DPDK or a C compiler is missing.
fn dpdk() -> Option<&'static Mutex<Dpdk>> {
    static PROGRAM: OnceLock<Option<Mutex<Dpdk>>> = OnceLock::new();
    PROGRAM.get_or_init(start).as_ref()
}

fn start() -> Option<Mutex<Dpdk>> {
    let skipped = |what: &str| {
        println!("SKIPPED: the comparison with rte_net needs {what}");
        None
    };
    let flags = |kind: &str| Command::new("pkg-config").args([kind, "libdpdk"]).output().ok();
    let (Some(cflags), Some(paths)) = (flags("--cflags"), flags("--libs-only-L")) else {
        return skipped("pkg-config");
    };
    if !cflags.status.success() {
        return skipped("DPDK (Debian: libdpdk-dev)");
    }
    let words = |output: &[u8]| -> Vec<String> {
        String::from_utf8_lossy(output).split_whitespace().map(str::to_owned).collect()
    };
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/packet/rte_net.c");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("rte_net-{}", std::process::id()));
    let mut compiler = Command::new("cc");
    compiler.args(words(&cflags.stdout)).args(["-O1", "-Wall", "-Wextra", "-Werror"]);
    compiler.args(["-Wno-address-of-packed-member", "-o"]).arg(&program).arg(source);
    compiler.args(words(&paths.stdout)).args(["-lrte_net", "-lrte_mbuf", "-lrte_mempool", "-lrte_eal"]);
    let Ok(built) = compiler.output() else { return skipped("a C compiler called cc") };
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let mut child = Command::new(&program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program runs");
    std::fs::remove_file(&program).expect("the program is removed");
    let to = child.stdin.take().expect("standard input");
    let from = child.stdout.take().expect("standard output");
    Some(Mutex::new(Dpdk { _child: child, to, from }))
}

/// Runs DPDK on an Ethernet frame.
fn query(frame: &[u8]) -> Option<Answer> {
    let mut dpdk = dpdk()?.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut request = (frame.len() as u16).to_le_bytes().to_vec();
    request.extend(frame);
    dpdk.to.write_all(&request).expect("the program reads the frame");
    let mut answer = [0; 12];
    dpdk.from.read_exact(&mut answer).expect("the program answers");
    let number = |at: usize| usize::from(u16::from_ne_bytes([answer[at], answer[at + 1]]));
    Some(Answer {
        kind: u32::from_ne_bytes([answer[0], answer[1], answer[2], answer[3]]),
        l2: number(4),
        l3: number(6),
        ip_checksum: [answer[8], answer[9]],
        l4_checksum: [answer[10], answer[11]],
    })
}

/// Returns what we parse and DPDK does not.
fn difference(frame: &[u8], facts: &Facts) -> Option<&'static str> {
    let at = usize::from(facts.l3_offset);
    if facts.key.family == Family::V4 {
        return (frame[at + 9] == 51).then_some("an authentication header");
    }
    let (mut next, mut at, mut extensions) = (frame[at + 6], at + 40, 0);
    while at < usize::from(facts.l4_offset) {
        let length = usize::from(frame[at + 1]);
        match next {
            51 => return Some("an authentication header"),
            44 => return Some("an atomic fragment"),
            _ => {}
        }
        (next, at, extensions) = (frame[at], at + (length + 1) * 8, extensions + 1);
    }
    (extensions > 4).then_some("more extension headers than it parses")
}

/// Compares both parsers. Returns whether there was anything to compare.
fn compare(frame: &[u8], direction: Direction) -> Result<bool, TestCaseError> {
    let Some(theirs) = query(frame) else { return Ok(false) };
    let ours = parse(frame, frame.len() as u32, Link::Ethernet, direction);
    let context = || format!("ours {ours:?}, theirs {theirs:x?}, frame {frame:02x?}");
    match &ours {
        Ok(facts) => {
            let family = if facts.key.family == Family::V4 { L3_IPV4 } else { L3_IPV6 };
            prop_assert!(theirs.kind & family != 0, "{}", context());
            prop_assert_eq!(theirs.l2, usize::from(facts.l3_offset), "{}", context());
            if difference(frame, facts).is_some() {
                return Ok(false);
            }
            prop_assert_eq!(theirs.l2 + theirs.l3, usize::from(facts.l4_offset), "{}", context());
            // The key of an ICMP error has the quoted packet's protocol.
            let transport = match (facts.kind, facts.key.proto) {
                (Kind::Tcp, _) => L4_TCP,
                (Kind::Udp, _) => L4_UDP,
                (Kind::Other, 132) => L4_SCTP,
                _ => 0,
            };
            prop_assert_eq!(theirs.kind & L4, transport, "{}", context());
        }
        Err(Rejection::Fragment) => {
            let before = frame.get(theirs.l2 + 9) == Some(&51) || theirs.kind & L3_IPV6 != 0;
            prop_assert!(theirs.kind & L4 == L4_FRAGMENT || before, "{}", context());
        }
        Err(Rejection::NotIp) => prop_assert_eq!(theirs.kind & L3, 0, "{}", context()),
        // DPDK checks neither lengths nor flags.
        Err(_) => return Ok(false),
    }
    Ok(true)
}

/// Compares the checksums in a frame with DPDK's and ours. Returns whether there were any to compare.
fn check_checksums(frame: &[u8]) -> Result<bool, TestCaseError> {
    let Ok(facts) = parse(frame, frame.len() as u32, Link::Ethernet, Direction::In) else { return Ok(false) };
    let Some(theirs) = query(frame).filter(|_| difference(frame, &facts).is_none()) else { return Ok(false) };
    let (l3, l4) = (usize::from(facts.l3_offset), usize::from(facts.l4_offset));
    let context = || format!("theirs {theirs:x?}, frame {frame:02x?}");
    if facts.key.family == Family::V4 {
        prop_assert_eq!(&frame[l3 + 10..l3 + 12], &theirs.ip_checksum, "{}", context());
        let mut header = frame[l3..l4].to_vec();
        header[10..12].fill(0);
        prop_assert_eq!(checksum(&header).0, theirs.ip_checksum, "{}", context());
    }
    let field = match facts.kind {
        Kind::Tcp => 16,
        Kind::Udp => 6,
        _ => return Ok(facts.key.family == Family::V4),
    };
    // DPDK counts extension headers as data.
    if facts.key.family == Family::V6 && theirs.kind & L3 != L3_IPV6_PLAIN {
        return Ok(false);
    }
    let end = l3 + facts.ip_length as usize;
    prop_assert_eq!(&frame[l4 + field..l4 + field + 2], &theirs.l4_checksum, "{}", context());
    let mut segment = frame[l4..end].to_vec();
    segment[field..field + 2].fill(0);
    let sum = Sum::pseudo_header(&facts.key.addr, facts.key.proto, segment.len() as u32).bytes(&segment);
    let ours = sum.checksum().0;
    let ours = if facts.kind == Kind::Udp && ours == [0; 2] { [0xff; 2] } else { ours };
    prop_assert_eq!(ours, theirs.l4_checksum, "{}", context());
    Ok(true)
}

/// Translates all addresses and ports, within the family or to the other one. Returns `None` if that is impossible.
fn translated(frame: &[u8], seed: u8, other_family: bool) -> Option<Vec<u8>> {
    const HEADROOM: usize = 64;
    let facts = parse(frame, frame.len() as u32, Link::Ethernet, Direction::In).ok()?;
    let mut to = facts.key;
    if other_family {
        let family = if to.family == Family::V4 { Family::V6 } else { Family::V4 };
        to = key_in_family(&to, facts.kind, 0, family)?;
    }
    let length = if to.family == Family::V4 { 4 } else { 16 };
    for (n, address) in to.addr.iter_mut().enumerate() {
        *address = [0; 16];
        (0..length).for_each(|at| address[at] = seed.wrapping_mul(at as u8 + 3).wrapping_add(n as u8));
    }
    if matches!(facts.kind, Kind::Tcp | Kind::Udp) {
        to.port =
            to.port.map(|port| pfplane::internals::packet::Be16::new(port.get() ^ u16::from(seed) << 3));
    }
    let mut bytes = vec![0; HEADROOM];
    bytes.extend(frame);
    let translation = Translation { to: &to, modulation: [u32::from(seed) << 9, 7] };
    let modulation = if facts.kind == Kind::Tcp { translation.modulation } else { [0; 2] };
    let mut packet =
        WritablePacket { bytes: &mut bytes, start: HEADROOM, l4_offload: false, ip_offload: false };
    let start = Translation { modulation, ..translation }.apply(&facts, &mut packet).ok()?;
    Some(bytes.split_off(start))
}

proptest! {
    #[test]
    fn headers_are_parsed_like_dpdk(frame in a_frame(), direction in any_direction()) {
        compare(&frame, direction)?;
    }

    #[test]
    fn damaged_headers_are_parsed_like_dpdk(
        frame in a_frame(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        direction in any_direction(),
    ) {
        let mut frame = frame;
        let ip = frame.len() - ip_of(&frame).len();
        for (at, value) in edits {
            let headers = (frame.len() - ip).min(80);
            frame[ip + at.index(headers)] = value;
        }
        compare(&frame, direction)?;
    }

    #[test]
    fn checksums_equal_those_of_dpdk(frame in a_frame()) {
        check_checksums(&frame)?;
    }

    #[test]
    fn checksums_of_translated_packets_equal_those_of_dpdk(
        frame in a_frame(),
        seed in any::<u8>(),
        other_family in any::<bool>(),
    ) {
        if let Some(frame) = translated(&frame, seed, other_family) {
            check_checksums(&frame)?;
        }
    }
}

#[test]
fn recorded_frames_are_parsed_and_summed_like_dpdk() {
    let mut compared = 0;
    for system in ["openbsd", "freebsd1301", "freebsd1400"] {
        for name in captures::capture_names(system) {
            for packet in captures::packets(&format!("{system}/gen/{name}.pcap")) {
                let kind: &[u8] = if packet[0] >> 4 == 4 { &[8, 0] } else { &[0x86, 0xdd] };
                let frame = [&[2; 12], kind, &packet].concat();
                let (read, summed) = (compare(&frame, Direction::In), check_checksums(&frame));
                let (read, summed) = (read.expect("parsed alike"), summed.expect("summed alike"));
                compared += usize::from(read) + usize::from(summed);
            }
        }
    }
    assert!(compared > 400 || dpdk().is_none(), "{compared}");
}

#[test]
fn the_comparison_covers_enough_frames_and_detects_errors() {
    if dpdk().is_none() {
        return;
    }
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut read, mut summed, mut translated_too) = (0, 0, [0; 2]);
    for seed in (0..4).flat_map(|_| 0..200u8) {
        let frame = a_frame().new_tree(&mut runner).expect("a frame").current();
        read += usize::from(compare(&frame, Direction::In).expect("alike"));
        summed += usize::from(check_checksums(&frame).expect("alike"));
        for other_family in [false, true] {
            if let Some(frame) = translated(&frame, seed, other_family) {
                translated_too[usize::from(other_family)] +=
                    usize::from(check_checksums(&frame).expect("alike"));
            }
        }
        let mut broken = frame.clone();
        let last = broken.len() - 1;
        broken[last] ^= 0x55;
        let facts = parse(&frame, frame.len() as u32, Link::Ethernet, Direction::In);
        if facts.is_ok_and(|facts| facts.kind == Kind::Udp)
            && check_checksums(&frame).is_ok_and(|summed| summed)
        {
            assert!(
                check_checksums(&broken).is_err() || frame[14 + 12] == 0x86,
                "a wrong checksum is detected"
            );
        }
    }
    assert!(read > 250 && summed > 180, "{read} {summed}");
    assert!(translated_too.iter().all(|count| *count > 5), "{translated_too:?}");
}
