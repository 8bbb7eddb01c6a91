//! Sealed and encrypted frames of two real nodes, with and without their keys.

use std::time::Duration;

use pfplane::{
    BurstInfo, Config, Direction, Engine, Lane, Link, Options, PacketView, PeerSeal, PeerSettings, SealKey,
    SealKeys, SealMode, SyncSettings,
};
use pfplane_dump::capture::CapturedPacket;
use pfplane_dump::decoder::Decoder;
use pfplane_dump::filter::Filter;
use pfplane_dump::seal::Keys;
use pfplane_dump::styles::{Json, Lines};
use pfplane_testkit::Packet;
use pfsync::Profile;
use pfsync::envelope::Address;

const LINK_RAW_IP: u32 = 101;
const MS: u64 = 1_000_000;

fn node(number: u8, v6: bool, mode: SealMode) -> (Engine, Lane) {
    let address = |node| match v6 {
        false => Address::V4([192, 0, 2, node]),
        true => Address::V6([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, node]),
    };
    let mut keys = SealKeys::default();
    keys.push(SealKey::new(1, &[0x17; 32]).unwrap()).unwrap();
    let seal = PeerSeal { mode, keys, ..PeerSeal::default() };
    let peer = PeerSettings::new(Profile::OpenBsd6, address(number), address(3 - number));
    let peer = PeerSettings { extensions: true, seal, ..peer };
    let sync = SyncSettings { host_id: number.into(), peers: vec![peer], ..Config::default().sync };
    let config = Config { states_per_lane: 64, sync, ..Config::default() };
    let (engine, mut lanes) = Engine::new(config).unwrap();
    (engine, lanes.remove(0))
}

/// What two nodes send for a while.
fn recorded(v6: bool, mode: SealMode) -> Vec<Vec<u8>> {
    let mut nodes = [node(1, v6, mode), node(2, v6, mode)];
    let mut all = Vec::new();
    for step in 1..100 {
        if step == 40 {
            let info = BurstInfo {
                direction: Direction::In,
                link: Link::Ip,
                rdomain: 0,
                trust_hash: false,
                now: step * MS,
            };
            let syn = Packet::syn(false, 5, 6, [4000, 443]).tcp();
            nodes[0].1.create(&info, &PacketView::new(&syn), &Options::default());
        }
        for from in [0, 1] {
            nodes[from].1.poll(step * MS);
            let mut buffer = vec![0; 2000];
            while let Some(range) = nodes[from].1.flush(&mut buffer, step * MS) {
                let frame = buffer[range].to_vec();
                nodes[1 - from].1.receive(&frame, step * MS);
                all.push(frame);
            }
        }
    }
    all
}

fn decoder(keys: Option<&str>) -> Decoder {
    let decoder = Decoder::new(Filter::default());
    match keys {
        Some(text) => decoder.with_keys(Keys::parse(text).unwrap()),
        None => decoder,
    }
}

fn captured(packet: &[u8], bytes: usize) -> CapturedPacket<'_> {
    CapturedPacket {
        time: Duration::ZERO,
        bytes: &packet[..bytes],
        length: packet.len() as u32,
        link_type: LINK_RAW_IP,
    }
}

fn lines(packets: &[Vec<u8>], keys: Option<&str>) -> (String, bool) {
    let (mut decoder, mut text) = (decoder(keys), Vec::new());
    let mut output = Lines::new(&mut text);
    packets.iter().for_each(|packet| assert!(decoder.packet(&captured(packet, packet.len()), &mut output)));
    (String::from_utf8(text).unwrap(), decoder.malformed())
}

fn key(id: u8, byte: &str) -> String {
    format!("{id} {}", byte.repeat(32))
}

#[test]
fn an_encrypted_frame_is_readable_with_the_key_only() {
    for v6 in [false, true] {
        let packets = recorded(v6, SealMode::Encrypt);
        let (without, malformed) = lines(&packets, None);
        assert!(without.contains("v6 encrypted\n") && !without.contains("INS") && !malformed, "{without}");
        let (with, malformed) = lines(&packets, Some(&key(1, "17")));
        assert!(with.contains("v6 encrypted, genuine INS 1: ") && !malformed, "{with}");
        assert!(!with.contains("forged"));
    }
}

#[test]
fn a_sealed_frame_is_readable_always_and_verified_with_the_key() {
    let packets = recorded(false, SealMode::Require);
    assert!(lines(&packets, None).0.contains("v6 sealed INS 1: "));
    let (with, malformed) = lines(&packets, Some(&key(1, "17")));
    assert!(with.contains("v6 sealed, genuine INS 1: ") && !malformed, "{with}");
    let mut text = Vec::new();
    let mut decoder = decoder(Some(&key(1, "17")));
    let mut output = Json::new(&mut text);
    packets.iter().for_each(|packet| _ = decoder.packet(&captured(packet, packet.len()), &mut output));
    assert!(String::from_utf8(text).unwrap().contains(r#""seal":"sealed, genuine""#));
}

#[test]
fn why_a_frame_cannot_be_read_is_said() {
    for mode in [SealMode::Require, SealMode::Encrypt] {
        let packets = recorded(false, mode);
        let (text, malformed) = lines(&packets, Some(&key(1, "18")));
        assert!(text.contains("[badauth: ") && malformed, "{text}");
        let (text, malformed) = lines(&packets, Some(&key(2, "17")));
        assert!(text.contains("INS") == (mode == SealMode::Require) && !malformed);
        assert!(text.contains("key 1 is not in the file"), "{text}");
        let insert = packets.iter().max_by_key(|packet| packet.len()).unwrap();
        let (text, malformed) = lines(std::slice::from_ref(insert), Some(&key(1, "17")));
        assert!(text.contains("no hello of this run before") && !malformed, "{text}");
        // One bit of each frame.
        let damaged: Vec<_> = packets
            .iter()
            .map(|packet| {
                let mut packet = packet.clone();
                *packet.last_mut().unwrap() ^= 1;
                packet
            })
            .collect();
        let (text, malformed) = lines(&damaged, Some(&key(1, "17")));
        assert!(!text.contains("genuine") && malformed, "{text}");
    }
}

#[test]
fn a_cut_packet_is_not_verified() {
    for packet in recorded(true, SealMode::Encrypt) {
        for bytes in 0..packet.len() {
            let (mut decoder, mut text) = (decoder(Some(&key(1, "17"))), Vec::new());
            decoder.packet(&captured(&packet, bytes), &mut Lines::new(&mut text));
            let text = String::from_utf8(text).unwrap();
            assert!(!text.contains("genuine") && !text.contains("forged"), "{bytes}: {text}");
        }
    }
}
