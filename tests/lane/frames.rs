//! Frames of a peer, and what a node sends.

use super::node::{MS, Node};
use pfsync::envelope::{Address, Envelope, GROUP_V4, Transport};
use pfsync::{
    Action, FrameReader, FrameWriter, FullState, Identity, Profile, Record, Version, WriterOptions,
};

/// The address of the peer.
pub(crate) const PEER: Address = Address::V4([192, 0, 2, 1]);

/// Returns a frame of the peer.
pub(crate) fn frame(profile: Profile, write: impl FnOnce(&mut FrameWriter<'_>)) -> Vec<u8> {
    let mut packet = vec![0; 9000];
    let mut writer = FrameWriter::new(&mut packet[20..], profile, &WriterOptions::default()).unwrap();
    write(&mut writer);
    let payload = writer.finish();
    Transport { source: PEER, destination: GROUP_V4, tos: 0 }.emit(&mut packet, payload, 0).unwrap();
    packet.truncate(20 + payload);
    packet
}

/// Returns a frame with states of the peer.
pub(crate) fn frame_of(profile: Profile, action: Action, states: &[FullState]) -> Vec<u8> {
    frame(profile, |writer| assert_eq!(writer.push_states(action, states), Ok(states.len())))
}

/// Returns the peer's request for a state.
pub(crate) fn request_for(profile: Profile, id: Identity) -> Vec<u8> {
    frame(profile, |writer| writer.push_id(Action::UpdateRequest, id).unwrap())
}

/// Returns the records in a frame.
pub(crate) fn records_in(packet: &[u8]) -> Vec<(Action, Record)> {
    let payload = Envelope::parse(packet).unwrap().payload;
    let mut reader = FrameReader::new(&packet[payload]).unwrap();
    let mut all = Vec::new();
    while let Some(region) = reader.next_region() {
        let region = region.unwrap();
        all.extend(region.records().map(|record| (region.action(), record)));
    }
    all
}

/// Returns the states in a frame.
pub(crate) fn states_in(packet: &[u8]) -> Vec<FullState> {
    let states = records_in(packet).into_iter().filter_map(|(_, record)| match record {
        Record::State(state) => Some(state),
        _ => None,
    });
    states.collect()
}

/// Returns the frames that a node sends in the next milliseconds.
pub(crate) fn sent_frames(node: &mut Node, mut now: u64, milliseconds: u64) -> Vec<Vec<u8>> {
    let mut buffer = vec![0; node.lanes[0].max_frame_bytes()];
    let mut frames = Vec::new();
    for _ in 0..milliseconds {
        now += MS;
        node.poll(now);
        for lane in &mut node.lanes {
            while let Some(frame) = lane.flush(&mut buffer, now) {
                frames.push(buffer[frame].to_vec());
            }
        }
    }
    frames
}

/// Returns the states of a version that a node sends in the next 50 milliseconds.
pub(crate) fn sent_states_of(node: &mut Node, now: u64, version: Version) -> Vec<FullState> {
    let is_of = |frame: &Vec<u8>| frame[20] == version as u8;
    sent_frames(node, now, 50)
        .iter()
        .filter(|frame| is_of(frame))
        .flat_map(|frame| states_in(frame))
        .collect()
}

/// Returns the states that a node sends in the next 50 milliseconds.
pub(crate) fn sent_states(node: &mut Node, now: u64) -> Vec<FullState> {
    sent_frames(node, now, 50).iter().flat_map(|frame| states_in(frame)).collect()
}
