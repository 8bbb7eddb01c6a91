//! Two lanes that translate the same packets: one parses and rewrites them itself, the other gets the facts from the host.
//! Their verdicts must agree, and correct checksums must stay correct after a rewrite.

use pfplane::internals::engine::{Config, Engine};
use pfplane::internals::lane::{Action, Burst, BurstInfo, Lane, Packet, PacketView, Reason, Verdict};
use pfplane::internals::packet::checksum::Sum;
use pfplane::internals::packet::{
    Be16, Direction, Facts, Family, Key, Kind, Link, TranslateError, Translation, WritablePacket, parse,
    parse_fragment,
};
use pfplane::internals::state::{Nat, Options, PortRange};

/// Free bytes before a packet that may grow.
const HEADROOM: usize = 64;
const CAPACITY: u32 = 64;

struct Twins {
    engines: [Engine; 2],
    /// The first parses packets, the second gets facts.
    lanes: [Lane; 2],
    now: u64,
    /// The last translated packet as it left, and the facts of the original.
    last: Option<(Vec<u8>, Facts)>,
}

/// Runs `data` as a list of steps: a kind, options, a length, and that many bytes.
///
/// # Panics
/// The lanes disagree, a translated packet does not have its state's key or lost a correct checksum, or a refused packet was
/// changed.
pub fn any_translation(data: &[u8]) {
    let mut twins = Twins::new();
    let mut rest = data;
    while let Some((&[what, how, length], tail)) = rest.split_first_chunk() {
        let (bytes, tail) = tail.split_at(usize::from(length).min(tail.len()));
        rest = tail;
        match what & 7 {
            0..=3 => {
                let mut bytes = bytes.to_vec();
                if what & 8 == 0 {
                    fix_checksums(&mut bytes, link(what));
                }
                twins.packet(&bytes, what, how);
            }
            4 => twins.reply(what, how),
            5 => twins.error(what, how),
            6 => twins.wait(u64::from(how) << 26),
            _ => twins.end(u32::from(how) % CAPACITY),
        }
    }
}

const fn link(what: u8) -> Link {
    if what & 16 == 0 { Link::Ip } else { Link::Ethernet }
}

fn read(bytes: &[u8], link: Link, direction: Direction) -> Option<Facts> {
    parse(bytes, bytes.len() as u32, link, direction).ok()
}

/// Returns a translation of any family and kind.
fn options(how: u8) -> Options {
    let to_v6 = how & 1 != 0;
    let address = |last: u8| {
        let mut address = [0; 16];
        address[..4].copy_from_slice(&[192, 0, 2, last]);
        if to_v6 {
            address = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
        }
        address
    };
    let changes_family = how & 14 == 14;
    let port = 1024 + u16::from(how >> 4);
    let nat = Nat {
        family: changes_family.then_some(if to_v6 { Family::V6 } else { Family::V4 }),
        source: (how & 2 != 0).then(|| address(1)),
        destination: (how & 4 != 0).then(|| address(2 + (how >> 6))),
        // A single port, so that both lanes draw the same.
        source_ports: (how & 8 != 0).then_some(PortRange { first: port, last: port }),
        destination_port: (how & 32 != 0).then_some(8080),
        rdomain: None,
    };
    Options { nat, ..Options::default() }
}

fn rewrite(bytes: &mut Vec<u8>, facts: &Facts, to: &Translation<'_>) -> Result<i16, TranslateError> {
    let mut buffer = vec![0xee; HEADROOM];
    buffer.extend_from_slice(bytes);
    let before = buffer.clone();
    let mut packet =
        WritablePacket { bytes: &mut buffer, start: HEADROOM, l4_offload: false, ip_offload: false };
    match to.apply(facts, &mut packet) {
        Ok(start) => {
            *bytes = buffer.split_off(start);
            Ok(start as i16 - HEADROOM as i16)
        }
        Err(refused) => {
            assert_eq!(buffer, before, "a refused packet stays unchanged");
            Err(refused)
        }
    }
}

/// One packet, and a copy that is rewritten.
struct Rewritten<'a> {
    view: PacketView<'a>,
    out: &'a mut Vec<u8>,
    verdict: Option<Verdict>,
}

impl Burst for Rewritten<'_> {
    fn count(&self) -> usize {
        1
    }

    fn packet(&self, _: usize) -> Packet<'_> {
        Packet::Bytes(self.view)
    }

    fn rewrite(&mut self, _: usize, facts: &Facts, to: &Translation<'_>) -> Result<i16, TranslateError> {
        rewrite(self.out, facts, to)
    }

    fn verdict(&mut self, _: usize, verdict: Verdict) {
        self.verdict = Some(verdict);
    }
}

impl Twins {
    fn new() -> Self {
        let make = || {
            let config =
                Config { states_per_lane: CAPACITY, start_unix_s: 1_700_000_000, ..Config::default() };
            let (engine, mut lanes) = Engine::new(config).expect("a plain configuration");
            (engine, lanes.pop().expect("one lane"))
        };
        let ((first, reads), (second, takes_facts)) = (make(), make());
        Self { engines: [first, second], lanes: [reads, takes_facts], now: 1_000_000_000, last: None }
    }

    fn packet(&mut self, bytes: &[u8], what: u8, how: u8) {
        let direction = if what & 32 == 0 { Direction::In } else { Direction::Out };
        let burst = BurstInfo { direction, link: link(what), rdomain: 0, trust_hash: false, now: self.now };
        let view = PacketView::new(bytes);
        let mut out = bytes.to_vec();
        let mut packet = Rewritten { view, out: &mut out, verdict: None };
        self.lanes[0].lookup_burst(&burst, &mut packet);
        let mut verdict = packet.verdict.expect("a verdict for every packet");
        let Some(facts) = read(bytes, burst.link, direction) else {
            return self.check_without_key(&burst, bytes, &verdict);
        };
        let mut given = self.lanes[1].lookup_facts(&burst, &facts, None);
        let is_new = verdict.action == Action::New;
        if is_new {
            let options = options(how);
            assert_eq!(given.action, Action::New);
            let mut packet = Rewritten { view, out: &mut out, verdict: None };
            verdict = self.lanes[0].create_in_burst(&burst, &mut packet, 0, &options);
            given = self.lanes[1].create_from_facts(&burst, &facts, None, &options);
        }
        self.agree(&verdict, &given, &facts, bytes, &out, is_new);
        if verdict.translated {
            self.check(&verdict, &facts, &burst, bytes, &out);
            self.last = Some((out, facts));
        }
    }

    /// Checks the verdict on a packet that has no key or is incomplete.
    fn check_without_key(&self, burst: &BurstInfo, bytes: &[u8], verdict: &Verdict) {
        assert!(!matches!(verdict.action, Action::Pass | Action::New | Action::Held));
        if verdict.action != Action::Fragment {
            return;
        }
        let fragment = parse_fragment(bytes, bytes.len() as u32, burst.link, burst.direction);
        let fragment = fragment.expect("a first fragment has a key");
        if let Some(state) = self.lanes[0].state_at(verdict.slot, self.now) {
            let key = if burst.direction == Direction::In {
                state.hot.key
            } else {
                stack_key(&self.lanes[0], verdict)
            };
            assert_eq!(fragment.key, key);
            assert!(fragment.is_first && fragment.has_ports);
        }
    }

    /// Checks that the lane that got facts agrees, and that its translation gives the same packet.
    fn agree(
        &mut self,
        read: &Verdict,
        given: &Verdict,
        facts: &Facts,
        before: &[u8],
        out: &[u8],
        is_new: bool,
    ) {
        let refused = matches!(
            (read.action, read.reason),
            (Action::Drop, Reason::Translation) | (Action::NotContiguous | Action::NotWritable, _)
        );
        if refused && given.translated {
            let to = self.lanes[1].translation(facts, given.slot);
            let mut copy = before.to_vec();
            assert!(rewrite(&mut copy, facts, &to).is_err());
            if is_new {
                assert!(self.lanes[1].delete(given.slot, self.now));
            }
            return;
        }
        let plain = Verdict { moved: 0, ..*read };
        assert_eq!(plain, *given, "{facts:?}");
        if given.translated {
            let to = self.lanes[1].translation(facts, given.slot);
            let mut copy = before.to_vec();
            assert_eq!(rewrite(&mut copy, facts, &to), Ok(read.moved));
            assert_eq!(copy, out);
        } else {
            assert_eq!(before, out, "an untranslated packet stays unchanged");
        }
    }

    /// Checks that a translated packet has its state's key, and that correct checksums stayed correct.
    fn check(&self, verdict: &Verdict, facts: &Facts, burst: &BurstInfo, before: &[u8], out: &[u8]) {
        let to = self.lanes[0].translation(facts, verdict.slot).to;
        let made = read(out, burst.link, burst.direction).expect("a translated packet can be parsed");
        assert_eq!((made.key, made.kind, made.tcp), (*to, facts.kind, facts.tcp), "{facts:?}");
        assert_eq!(out.len() as i64 - before.len() as i64, -i64::from(verdict.moved));
        if sums(before, facts).into_iter().all(|sum| sum.is_none_or(|sum| sum.is_intact())) {
            for sum in sums(out, &made).into_iter().flatten() {
                assert!(sum.is_intact(), "{facts:?} to {made:?}");
            }
        }
    }

    /// Sends a reply to the last translated packet. It must get back to the initiator.
    fn reply(&mut self, what: u8, how: u8) {
        let Some((mut bytes, facts)) = self.last.take() else { return };
        let link = if facts.l3_offset == 0 { Link::Ip } else { Link::Ethernet };
        let Some(made) = read(&bytes, link, facts.direction) else { return };
        if !matches!(made.kind, Kind::Tcp | Kind::Udp | Kind::Other) {
            return;
        }
        let (l3, l4) = (usize::from(made.l3_offset), usize::from(made.l4_offset));
        let (at, size) = if made.key.family == Family::V6 { (l3 + 8, 16) } else { (l3 + 12, 4) };
        let (source, destination) = bytes[at..at + 2 * size].split_at_mut(size);
        source.swap_with_slice(destination);
        if made.kind != Kind::Other {
            bytes[l4..l4 + 4].rotate_left(2);
        }
        if made.kind == Kind::Tcp {
            let was: [u8; 4] = bytes[l4 + 4..l4 + 8].try_into().expect("four bytes");
            let (seq, ack) =
                (u32::from(how) << 8, u32::from_be_bytes(was).wrapping_add(u32::from(what >> 6)));
            bytes[l4 + 4..l4 + 8].copy_from_slice(&seq.to_be_bytes());
            bytes[l4 + 8..l4 + 12].copy_from_slice(&ack.to_be_bytes());
            bytes[l4 + 13] = [0x12, 0x10, 0x11, 0x14][usize::from(how & 3)];
        }
        fix_checksums(&mut bytes, link);
        let way = if facts.direction == Direction::In { 32 } else { 0 };
        let what = if link == Link::Ip { way } else { way | 16 };
        let before = self.last.take();
        self.packet(&bytes, what, 0);
        if let Some((_, answer)) = self.last.as_ref().filter(|_| before.is_none()) {
            assert_eq!(answer.key, made.key, "a reply has the key that the packet left with");
        }
    }

    /// Sends an ICMP error about the last translated packet, from a router or from the other end. With a correct checksum it
    /// reaches the sender, and quotes the packet as the sender knows it.
    fn error(&mut self, what: u8, how: u8) {
        let Some((bytes, facts)) = self.last.take() else { return };
        let at = usize::from(facts.l3_offset);
        let Some(packet) = bytes.get(at..) else { return };
        let is_v4 = packet[0] >> 4 == 4;
        let quoted = &packet[..packet.len().min(48 + usize::from(what) + usize::from(how & 0x1c))];
        let icmp_bytes = 8 + quoted.len();
        let mut error = if is_v4 {
            let mut header = vec![0x45, 0, 0, 0, 0, 1, 0, 0, 61, 1, 0, 0];
            header[2..4].copy_from_slice(&(20 + icmp_bytes as u16).to_be_bytes());
            header.extend([&packet[16..20], &packet[12..16]].concat());
            header
        } else {
            let mut header = vec![0x60, 0, 0, 0, 0, 0, 58, 61];
            header[4..6].copy_from_slice(&(icmp_bytes as u16).to_be_bytes());
            header.extend([&packet[24..40], &packet[8..24]].concat());
            header
        };
        let v4_kinds = [(3, 3), (3, 4), (11, 0), (12, 0)];
        let v6_kinds = [(1, 4), (2, 0), (3, 0), (4, 1)];
        let (kind, code) =
            if is_v4 { v4_kinds[usize::from(how & 3)] } else { v6_kinds[usize::from(how & 3)] };
        error.extend([kind, code, 0xff, 0xff, 0, 0, how, 0x80]);
        error.extend(quoted);
        fix_checksums(&mut error, Link::Ip);
        let way = if facts.direction == Direction::In { 32 } else { 0 };
        self.packet(&error, way, 0);
    }

    fn wait(&mut self, time: u64) {
        self.now += time;
        self.lanes.iter_mut().for_each(|lane| lane.poll(self.now));
        for engine in &self.engines {
            assert!(engine.stat_named("states").is_some_and(|states| states <= u64::from(CAPACITY)));
        }
    }

    fn end(&mut self, from: u32) {
        let id = self.lanes.each_ref().map(|lane| lane.state_from(from, self.now).map(|state| state.slot));
        assert_eq!(id[0], id[1]);
        if let Some(slot) = id[0] {
            self.lanes.iter_mut().for_each(|lane| assert!(lane.delete(slot, self.now)));
        }
    }
}

/// Returns the key of outbound packets of a state.
fn stack_key(lane: &Lane, verdict: &Verdict) -> Key {
    let inbound = Facts { direction: Direction::In, ..Facts::EMPTY };
    let to = *lane.translation(&inbound, verdict.slot).to;
    if to == inbound.key { lane.state_at(verdict.slot, 0).map_or(to, |state| state.hot.key) } else { to }
}

/// Returns the sums over the IPv4 header and over what follows it; `None` if there is no checksum.
fn sums(bytes: &[u8], facts: &Facts) -> [Option<Sum>; 2] {
    let (l3, l4) = (usize::from(facts.l3_offset), usize::from(facts.l4_offset));
    let end = l3 + facts.ip_length as usize;
    let is_v4 = bytes[l3] >> 4 == 4;
    let header = is_v4.then(|| Sum::default().bytes(&bytes[l3..l3 + usize::from(bytes[l3] & 15) * 4]));
    let Some((offset, proto)) = checksum_offset(facts, is_v4) else { return [header, None] };
    let segment = &bytes[l4..end];
    if segment.len() < offset + 2 || (proto == 17 && segment[offset..offset + 2] == [0; 2]) {
        return [header, None];
    }
    if proto == 1 {
        return [header, Some(Sum::default().bytes(segment))];
    }
    let mut addresses = [[0; 16]; 2];
    let (at, size) = if is_v4 { (l3 + 12, 4) } else { (l3 + 8, 16) };
    for (n, address) in addresses.iter_mut().enumerate() {
        address[..size].copy_from_slice(&bytes[at + n * size..][..size]);
    }
    [header, Some(Sum::pseudo_header(&addresses, proto, segment.len() as u32).bytes(segment))]
}

/// Returns the offset of the checksum after the IP header, and the protocol.
const fn checksum_offset(facts: &Facts, is_v4: bool) -> Option<(usize, u8)> {
    match (facts.kind, facts.key.proto) {
        (Kind::Tcp, _) => Some((16, 6)),
        (Kind::Udp, _) => Some((6, 17)),
        (Kind::IcmpQuery | Kind::IcmpReply | Kind::IcmpError, _) => Some((2, if is_v4 { 1 } else { 58 })),
        _ => None,
    }
}

/// Writes correct checksums into a packet, if it can be parsed.
fn fix_checksums(bytes: &mut [u8], link: Link) {
    let Some(facts) = read(bytes, link, Direction::In) else { return };
    let (l3, l4) = (usize::from(facts.l3_offset), usize::from(facts.l4_offset));
    let is_v4 = bytes[l3] >> 4 == 4;
    if is_v4 {
        bytes[l3 + 10..l3 + 12].fill(0);
        let [header, _] = sums(bytes, &facts);
        let sum = header.map_or(Be16::new(0), Sum::checksum);
        bytes[l3 + 10..l3 + 12].copy_from_slice(&sum.0);
    }
    let Some((offset, proto)) = checksum_offset(&facts, is_v4) else { return };
    let at = l4 + offset;
    if at + 2 > l3 + facts.ip_length as usize || (proto == 17 && bytes[at..at + 2] == [0; 2]) {
        return;
    }
    // Not zero, which means no checksum in UDP.
    bytes[at..at + 2].copy_from_slice(&[0xff; 2]);
    let [_, Some(sum)] = sums(bytes, &facts) else { return };
    let sum = sum.checksum();
    let sum = if proto == 17 && sum.get() == 0 { Be16::new(0xffff) } else { sum };
    bytes[at..at + 2].copy_from_slice(&sum.0);
}
