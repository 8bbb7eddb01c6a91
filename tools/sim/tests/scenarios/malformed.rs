//! Malformed frames: the list in section 9 of the protocol reference, as whole IP packets.

use pfplane::internals::state::StateId;
use pfplane::internals::sync::ID_COUNTER;
use pfplane_testkit::Random;
use pfsync::envelope::{Address, GROUP_V4, TOS_LOW_DELAY, Transport};
use pfsync::{
    Action, BulkStatus, CompressedUpdate, Family, FrameWriter, FullState, Identity, Profile, StateKey,
    Version, WriterOptions,
};

const SENDER: Address = Address::V4([192, 0, 2, 66]);

/// Builds an IP packet of protocol 240 with this payload.
fn packet(payload: &[u8]) -> Vec<u8> {
    let transport = Transport { source: SENDER, destination: GROUP_V4, tos: TOS_LOW_DELAY };
    let mut packet = vec![0; 20];
    packet.extend(payload);
    transport.emit(&mut packet, payload.len(), 7).expect("the header fits");
    packet
}

/// Builds a frame with these bytes behind its header.
fn frame(version: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + body.len()).expect("a frame").to_be_bytes();
    let mut payload = vec![version, 0, length[0], length[1]];
    payload.resize(20, 0);
    payload.extend(body);
    packet(&payload)
}

fn written(write: impl FnOnce(&mut FrameWriter<'_>)) -> Vec<u8> {
    let mut payload = [0; 1480];
    let mut writer =
        FrameWriter::new(&mut payload, Profile::OpenBsd6, &WriterOptions::default()).expect("it fits");
    write(&mut writer);
    let length = writer.finish();
    packet(&payload[..length])
}

/// Builds a state that is valid until it is spoiled.
fn state(n: u64) -> FullState {
    let mut addr = [[0; 16]; 2];
    addr[0][..4].copy_from_slice(&(0xc633_6400 + n as u32).to_be_bytes());
    addr[1][..4].copy_from_slice(&[203, 0, 113, 5]);
    let key = StateKey { addr, port: [[4, 0], [0, 80]], rdomain: 0, family: Family::V4, proto: 17 };
    FullState {
        id: Identity { id: n, creator: 0xbad_0bad },
        ifname: *b"all\0\0\0\0\0\0\0\0\0\0\0\0\0",
        key: [key, key],
        family: Family::V4,
        direction: 1,
        timeout: 7,
        ..FullState::EMPTY
    }
}

/// Builds sixty new states with ids that `lane` of the node that issued `issued` may issue, whatever lane owns their keys.
pub(crate) fn misplaced(issued: StateId, lane: u64) -> Vec<Vec<u8>> {
    let state = |n: u64| {
        let id = (lane << 56) | (issued.id.wrapping_add(0x1000 * (lane + 1) + n) & ID_COUNTER);
        let id = Identity { id, creator: issued.creator };
        FullState { id, ..state(0x1000 * (lane + 1) + n) }
    };
    let frame = |from: u64| {
        written(|writer| {
            let mut push = |n| writer.push_state(Action::Update, &state(n)).expect("it fits");
            (from..from + 5).for_each(&mut push);
        })
    };
    (0..60).step_by(5).map(frame).collect()
}

/// Builds all frames of the list.
pub(crate) fn frames() -> Vec<Vec<u8>> {
    let mut frames = envelopes();
    frames.extend(headers());
    frames.extend(subheaders());
    frames.extend(values());
    frames.extend(sequences());
    frames
}

fn envelopes() -> Vec<Vec<u8>> {
    let sound = frame(6, &[]);
    let mut short: Vec<Vec<u8>> = (0..40).map(|length| sound[..length].to_vec()).collect();
    let mut routed = sound.clone();
    routed[8] = 254;
    // The checksum stays valid.
    routed[10] += 1;
    let mut fragment = sound.clone();
    fragment[6] = 0x20;
    let mut other_protocol = sound.clone();
    other_protocol[9] = 17;
    let mut options = sound.clone();
    options[0] = 0x46;
    short.extend([routed, fragment, other_protocol, options]);
    short
}

fn headers() -> Vec<Vec<u8>> {
    let lengths = [0u16, 1, 19, 21, 23, 24, 65535].into_iter().flat_map(|length| {
        [5, 6].map(|version| {
            let [high, low] = length.to_be_bytes();
            let mut payload = [0; 20];
            payload[..4].copy_from_slice(&[version, 0, high, low]);
            packet(&payload)
        })
    });
    let versions = [0, 2, 3, 4, 5, 7, 255].map(|version| frame(version, &[]));
    let cut = (0..20).map(|length| packet(&[6; 20][..length]));
    let left = (1..4).map(|left| frame(6, &vec![7; left]));
    lengths.chain(versions).chain(cut).chain(left).collect()
}

/// Builds every action with wrong counts and lengths, and with bodies that are too short or too long.
fn subheaders() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for action in 0..=255 {
        for (len, count) in [(0, 0), (0, 1), (1, 1), (255, 1), (255, 65535), (3, 0), (3, 65535), (66, 1)] {
            let [high, low] = u16::to_be_bytes(count);
            for body in [0, 11, 263] {
                frames.push(frame(6, &[&[action, len, high, low][..], &vec![0; body]].concat()));
            }
        }
    }
    frames
}

fn values() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut spoiled = |spoil: &dyn Fn(&mut FullState)| {
        for action in [Action::Insert, Action::Update] {
            let mut state = state(900);
            spoil(&mut state);
            frames.push(written(|writer| writer.push_state(action, &state).expect("it fits")));
        }
    };
    for value in [13, 128, 255] {
        spoiled(&|state| state.src.state = value);
        spoiled(&|state| state.dst.state = value);
    }
    for timeout in [20, 21, 22, 25, 26, 27, 255] {
        spoiled(&|state| state.timeout = timeout);
    }
    for direction in [0, 3, 255] {
        spoiled(&|state| state.direction = direction);
    }
    spoiled(&|state| state.ifname = [0xff; 16]);
    spoiled(&|state| state.rt_ifname = [1; 16]);
    spoiled(&|state| state.family = Family::from_number(10, Version::V6));
    spoiled(&|state| state.key[0].family = Family::NONE);
    spoiled(&|state| state.key[1].family = Family::V6);
    spoiled(&|state| state.key.iter_mut().for_each(|key| key.proto = 0));
    spoiled(&|state| state.key.iter_mut().for_each(|key| key.proto = 240));
    spoiled(&|state| state.id.creator = 0);
    spoiled(&|state| state.src.wscale = 0x8f);
    spoiled(&|state| (state.creation, state.expire) = (u32::MAX, u32::MAX));
    for timeout in [22, 255] {
        let update = CompressedUpdate { timeout, ..CompressedUpdate::default() };
        frames.push(written(|writer| writer.push_compressed_update(&update).expect("it fits")));
    }
    for (id, creator) in [(0, 7), (7, 0), (u64::MAX, u32::MAX)] {
        frames.push(written(|writer| {
            let id = Identity { id, creator };
            for action in [Action::DeleteCompressed, Action::InsertAck, Action::UpdateRequest] {
                writer.push_id(action, id).expect("it fits");
            }
            let update = CompressedUpdate { id, ..CompressedUpdate::default() };
            writer.push_compressed_update(&update).expect("it fits");
        }));
    }
    frames
}

fn sequences() -> Vec<Vec<u8>> {
    let twice = written(|writer| {
        for action in [Action::Insert, Action::Insert, Action::Update] {
            writer.push_state(action, &state(1)).expect("it fits");
        }
        writer.push_id(Action::DeleteCompressed, state(1).id).expect("it fits");
        writer.push_state(Action::Insert, &state(1)).expect("it fits");
    });
    let mut marks: Vec<_> = [0, 3, 255]
        .map(|status| {
            written(|writer| {
                let mark = BulkStatus { creator: 1, endtime: u32::MAX, status };
                writer.push_bulk_status(&mark).expect("it fits");
            })
        })
        .into();
    marks.extend([frame(6, &[10, 3, 0, 0]), frame(5, &[12, 0, 0, 1, 12, 0, 0, 1]), frame(5, &[12, 0, 0, 0])]);
    marks.push(twice);
    marks
}

/// Builds a frame that is almost valid: a few bytes of a valid one changed, or the end cut off.
pub(crate) fn noise(random: &mut Random, n: u64) -> Vec<u8> {
    let mut bytes = written(|writer| {
        for offset in 0..3 {
            writer.push_state(Action::Insert, &state(n % 64 + offset)).expect("it fits");
        }
        writer.push_id(Action::DeleteCompressed, state(n % 61).id).expect("it fits");
        writer.push_id(Action::UpdateRequest, state(n % 67).id).expect("it fits");
        let update = CompressedUpdate { id: state(n % 59).id, timeout: 7, ..CompressedUpdate::default() };
        writer.push_compressed_update(&update).expect("it fits");
    });
    let from = if n.is_multiple_of(3) { 0 } else { 20 };
    for _ in 0..random.below(12) {
        let at = from + random.below((bytes.len() - from) as u64) as usize;
        bytes[at] = random.below(256) as u8;
    }
    if n.is_multiple_of(5) {
        let length = random.below(bytes.len() as u64 + 1) as usize;
        bytes.truncate(length);
    }
    bytes
}
