//! Trailers of pfplane nodes, in both detailed styles, and what is wrong with damaged ones.

use std::time::Duration;

use pfplane_dump::capture::CapturedPacket;
use pfplane_dump::decoder::Decoder;
use pfplane_dump::filter::Filter;
use pfplane_dump::report::Output;
use pfplane_dump::styles::{Json, Verbose};
use pfsync::envelope::{Address, GROUP_V4, Transport};
use pfsync::{
    FrameWriter, Identity, Profile, Protection, StateOption, TrailerFields, TrailerOption, WriterOptions,
    option_kind,
};

const LINK_RAW_IP: u32 = 101;

/// A packet with an otherwise empty frame and a trailer with two options.
fn packet() -> Vec<u8> {
    let mut packet = vec![0; 300];
    let mut writer =
        FrameWriter::new(&mut packet[20..], Profile::FreeBsd1400, &WriterOptions::default()).unwrap();
    writer.begin_trailer(Protection::Gmac).unwrap();
    let id = Identity { id: 7, creator: 0x9f49_b47d };
    writer.push_state_option(&StateOption { kind: option_kind::STATE_OPAQUE, id, value: b"tenant" }).unwrap();
    writer.push_option(&TrailerOption { kind: 99, value: &[1, 2] }).unwrap();
    let fields =
        TrailerFields { key: 1, flow: 2, lane: 3, epoch: 4, sequence: 17, clock: 5, ..Default::default() };
    let payload = writer.finish_with(&fields);
    packet.truncate(20 + payload);
    set_length(&mut packet);
    packet
}

fn set_length(packet: &mut [u8]) {
    let transport = Transport { source: Address::V4([192, 0, 2, 1]), destination: GROUP_V4, tos: 0 };
    let payload = packet.len() - 20;
    transport.emit(packet, payload, 0).unwrap();
}

/// Decodes a packet of which `captured` bytes were captured. Returns whether it is malformed.
fn decode(packet: &[u8], captured: usize, output: &mut dyn Output) -> bool {
    let mut decoder = Decoder::new(Filter::default());
    let captured = CapturedPacket {
        time: Duration::ZERO,
        bytes: &packet[..captured],
        length: packet.len() as u32,
        link_type: LINK_RAW_IP,
    };
    assert!(decoder.packet(&captured, output));
    decoder.malformed()
}

fn verbose(packet: &[u8], captured: usize) -> (String, bool) {
    let mut text = Vec::new();
    let malformed = decode(packet, captured, &mut Verbose::new(&mut text));
    (String::from_utf8(text).unwrap(), malformed)
}

#[test]
fn a_trailer_and_its_options_are_shown() {
    let packet = packet();
    let (text, malformed) = verbose(&packet, packet.len());
    let lines: Vec<_> = text.lines().skip(1).map(str::trim).collect();
    let tag = "00".repeat(16);
    let fields =
        format!("trailer gmac key 1 flow 2 lane 3 epoch 0000000000000004 seq 17 clock 5 flags 0 tag {tag}");
    let opaque = "STATE_OPAQUE id: 0000000000000007 creatorid: 9f49b47d 74656e616e74";
    assert_eq!((lines, malformed), (vec![&fields[..], "option 99 0102", opaque], false));

    let mut text = Vec::new();
    assert!(!decode(&packet, packet.len(), &mut Json::new(&mut text)));
    let frame: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let trailer = &frame["pfplane"];
    assert_eq!((trailer["protection"].as_str(), trailer["sequence"].as_u64()), (Some("gmac"), Some(17)));
    assert_eq!(trailer["options"][1]["name"], "STATE_OPAQUE");
    assert_eq!(frame["trailer"], 48 + 8 + 24);
}

#[test]
fn a_damaged_trailer_is_reported_with_its_cause() {
    let whole = packet();
    let trailer = 20 + 20;
    for (at, value, cause) in [
        (trailer + 4, 0x21, "trailer_format"),
        (trailer + 29, 1, "trailer_length"),
        (trailer + 34, 0xff, "badoption"),
    ] {
        let mut damaged = whole.clone();
        damaged[at] = value;
        let (text, malformed) = verbose(&damaged, damaged.len());
        assert!(malformed && text.contains(cause), "{cause}: {text}");
    }
    let mut short = whole[..trailer + 9].to_vec();
    set_length(&mut short);
    assert!(verbose(&short, short.len()).0.contains("trailer_short"));
    let (text, malformed) = verbose(&whole, trailer + 40);
    assert!(
        !malformed && text.contains("cut"),
        "a trailer that was captured in part is not malformed: {text}"
    );
}
