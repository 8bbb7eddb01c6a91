//! What each firewall sends into the switch, with the kernel's time stamps: adverts of the election and forwarded packets.
//!
//! One tcpdump on all interfaces of the switch's namespace sees each frame that arrives from a firewall. A thread reads
//! its output while it runs and keeps the times only, so that a run of many minutes needs little memory and no file.

use std::io::Read;
use std::path::Path;
use std::process::ChildStdout;
use std::thread::{self, JoinHandle};

use rustix::time::{ClockId, clock_gettime};

use super::tcpdump::Tcpdump;
use crate::clock::{self, MILLISECOND, Nanos, SECOND};
use crate::failure::{Context, Fallible, fail};
use crate::firewall::Node;
use crate::network::{Host, Network};

/// The switch's ports towards A and B.
const PORTS: [(&str, Node); 4] =
    [("a-in", Node::A), ("a-out", Node::A), ("b-in", Node::B), ("b-out", Node::B)];
/// Enough for the headers up to the type of an ICMPv6 message.
const SNAP_BYTES: &str = "80";
const BUFFER_KB: &str = "32768";

const PCAP_NANOSECONDS: u32 = 0xa1b2_3c4d;
const PCAP_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;
const MAX_RECORD: usize = 262_144;
/// LINKTYPE_LINUX_SLL2, the only one with interface indices.
const LINK_TYPE: u32 = 276;
const LINK_HEADER: usize = 20;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;
/// VRRP and CARP.
const ELECTION: u8 = 112;
/// ICMPv6 types below are errors and echo; from here on they belong to the link: multicast listeners, neighbour discovery.
const FIRST_LINK_TYPE: u8 = 130;

/// The times of the frames that A and B sent, in order, on the monotonic clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SentFrames {
    /// Adverts of CARP or VRRP.
    pub adverts: [Vec<Nanos>; 2],
    /// Packets that only a master sends: forwarded ones and answers to refused ones.
    pub forwarded: [Vec<Nanos>; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Advert,
    Forwarded,
    Other,
}

/// A running recording.
pub struct PortCapture {
    tcpdump: Tcpdump,
    reader: JoinHandle<Fallible<SentFrames>>,
    /// The wall clock's advance over the monotonic clock.
    wall_offset: Nanos,
}

impl PortCapture {
    /// Starts it; the network must exist.
    pub fn start(network: &Network) -> Fallible<PortCapture> {
        let switch = network.namespace(Host::Switch);
        let mut ports = Vec::new();
        for (port, node) in PORTS {
            ports.push((switch.interface_index(port)?, node));
        }
        let any_port: Vec<String> = ports.iter().map(|(index, _)| format!("ifindex {index}")).collect();
        let filter = format!("inbound and ({})", any_port.join(" or "));
        let options =
            ["-i", "any", "-s", SNAP_BYTES, "-B", BUFFER_KB, "--time-stamp-precision=nano", &filter];
        let mut tcpdump = Tcpdump::start(&switch, &options, Path::new("-"))?;
        let output = tcpdump.take_output()?;
        let wall_offset = wall_offset();
        let reader = thread::Builder::new()
            .name("ports".into())
            .spawn(move || read_frames(output, &ports, wall_offset))
            .context(|| "start the thread that reads the ports' capture")?;
        Ok(PortCapture { tcpdump, reader, wall_offset })
    }

    /// Ends it. Fails when frames are missing, or when the wall clock was set meanwhile.
    pub fn finish(self) -> Fallible<SentFrames> {
        let lost = self.tcpdump.finish()?;
        let frames =
            self.reader.join().unwrap_or_else(|_| fail("the reader of the ports' capture panicked"))?;
        if lost > 0 {
            return fail(format!(
                "tcpdump lost {lost} frames of the switch's ports; the machine is too busy to judge"
            ));
        }
        let step = wall_offset().abs_diff(self.wall_offset);
        if step > MILLISECOND {
            return fail(
                "the wall clock was set during the run, so the time stamps of the capture are wrong",
            );
        }
        Ok(frames)
    }
}

fn wall_offset() -> Nanos {
    let wall = clock_gettime(ClockId::Realtime);
    (wall.tv_sec as u64 * SECOND + wall.tv_nsec as u64).saturating_sub(clock::now())
}

fn read_frames(output: ChildStdout, ports: &[(u32, Node)], wall_offset: Nanos) -> Fallible<SentFrames> {
    parse(std::io::BufReader::with_capacity(1 << 20, output), ports, wall_offset)
}

/// Parses a capture file up to its end; a truncated last record is ignored.
fn parse(mut file: impl Read, ports: &[(u32, Node)], wall_offset: Nanos) -> Fallible<SentFrames> {
    let mut frames = SentFrames::default();
    let mut header = [0; PCAP_HEADER];
    if !fill(&mut file, &mut header)? {
        return Ok(frames);
    }
    if [host_word(&header, 0), host_word(&header, 20)] != [PCAP_NANOSECONDS, LINK_TYPE] {
        return fail("tcpdump writes another format than expected; version 4.99 or later is needed");
    }
    let (mut record, mut data) = ([0; RECORD_HEADER], vec![0; MAX_RECORD]);
    while fill(&mut file, &mut record)? {
        let length = host_word(&record, 8) as usize;
        if length > MAX_RECORD || !fill(&mut file, &mut data[..length])? {
            break;
        }
        let wall = u64::from(host_word(&record, 0)) * SECOND + u64::from(host_word(&record, 4));
        let Some((interface, kind)) = classify(&data[..length]) else { continue };
        let Some((_, node)) = ports.iter().find(|(index, _)| *index == interface) else { continue };
        let list = match kind {
            Kind::Advert => &mut frames.adverts,
            Kind::Forwarded => &mut frames.forwarded,
            Kind::Other => continue,
        };
        list[*node as usize].push(wall.saturating_sub(wall_offset));
    }
    // The kernel orders the frames of one interface; two interfaces are read from two processors.
    frames.adverts.iter_mut().chain(&mut frames.forwarded).for_each(|times| times.sort_unstable());
    Ok(frames)
}

/// Fills `buffer`. Returns false at the end of the file.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> Fallible<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error).context(|| "read tcpdump's capture"),
    }
}

fn host_word(bytes: &[u8], offset: usize) -> u32 {
    bytes[offset..].first_chunk().map_or(0, |word| u32::from_ne_bytes(*word))
}

/// Returns a frame's interface and kind; `None` for one that is too short.
fn classify(frame: &[u8]) -> Option<(u32, Kind)> {
    let (link, packet) = frame.split_at_checked(LINK_HEADER)?;
    let interface = u32::from_be_bytes(*link[4..].first_chunk()?);
    let kind = match u16::from_be_bytes([link[0], link[1]]) {
        ETHERTYPE_IPV4 => kind_of(*packet.get(9)?, 0),
        ETHERTYPE_IPV6 => kind_of(*packet.get(6)?, *packet.get(40)?),
        _ => Kind::Other,
    };
    Some((interface, kind))
}

/// `first` is the first byte of an IPv6 packet's payload.
fn kind_of(protocol: u8, first: u8) -> Kind {
    match protocol {
        ELECTION => Kind::Advert,
        ICMPV6 if first >= FIRST_LINK_TYPE => Kind::Other,
        TCP | UDP | ICMP | ICMPV6 => Kind::Forwarded,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PORTS: [(u32, Node); 2] = [(3, Node::A), (5, Node::B)];

    /// A frame that arrived from `interface`.
    fn frame(interface: u32, ethertype: u16, protocol: u8, first: u8) -> Vec<u8> {
        let mut frame = vec![0; LINK_HEADER + 48];
        frame[..2].copy_from_slice(&ethertype.to_be_bytes());
        frame[4..8].copy_from_slice(&interface.to_be_bytes());
        let offset = if ethertype == ETHERTYPE_IPV6 { 6 } else { 9 };
        frame[LINK_HEADER + offset] = protocol;
        frame[LINK_HEADER + 40] = first;
        frame
    }

    fn file(frames: &[(u64, Vec<u8>)]) -> Vec<u8> {
        let mut file = vec![0; PCAP_HEADER];
        file[..4].copy_from_slice(&PCAP_NANOSECONDS.to_ne_bytes());
        file[20..].copy_from_slice(&LINK_TYPE.to_ne_bytes());
        for (time, frame) in frames {
            let length = frame.len() as u32;
            for word in [(time / SECOND) as u32, (time % SECOND) as u32, length, length] {
                file.extend(word.to_ne_bytes());
            }
            file.extend(frame);
        }
        file
    }

    #[test]
    fn adverts_and_forwarded_packets_are_separated_by_node() {
        let frames = [
            (SECOND + 10, frame(3, ETHERTYPE_IPV4, ELECTION, 0)),
            (SECOND + 20, frame(5, ETHERTYPE_IPV6, ELECTION, 0)),
            (SECOND + 30, frame(3, ETHERTYPE_IPV4, TCP, 0)),
            (SECOND + 40, frame(5, ETHERTYPE_IPV6, ICMPV6, 129)),
            (SECOND + 50, frame(5, ETHERTYPE_IPV6, ICMPV6, 136)),
            (SECOND + 60, frame(5, ETHERTYPE_IPV6, ICMPV6, 143)),
            (SECOND + 70, frame(5, 0x0806, 0, 0)),
            (SECOND + 80, frame(4, ETHERTYPE_IPV4, UDP, 0)),
            (SECOND + 90, vec![0; 10]),
        ];
        let parsed = parse(&file(&frames)[..], &PORTS, SECOND).unwrap();
        assert_eq!(parsed.adverts, [vec![10], vec![20]]);
        assert_eq!(parsed.forwarded, [vec![30], vec![40]]);
    }

    #[test]
    fn a_truncated_capture_ends_before_the_cut_and_another_format_is_refused() {
        let frames = [(1, frame(3, ETHERTYPE_IPV4, TCP, 0)), (2, frame(3, ETHERTYPE_IPV4, TCP, 0))];
        let mut bytes = file(&frames);
        assert_eq!(parse(&bytes[..bytes.len() - 1], &PORTS, 0).unwrap().forwarded[0], [1]);
        assert_eq!(parse(&[][..], &PORTS, 0).unwrap(), SentFrames::default());
        bytes[20] ^= 1;
        assert!(parse(&bytes[..], &PORTS, 0).is_err());
    }
}
