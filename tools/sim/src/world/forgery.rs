//! Frames that an attacker forges: sound in every field, from a true address, about true identities.

use super::attack::{dialect, frame_of};
use pfplane_testkit::Random;
use pfsync::envelope::Envelope;
use pfsync::{
    Action, BulkStatus, Clear, CompressedUpdate, FrameReader, FrameWriter, FullState, Identity, Record,
    bulk_status,
};
use std::rc::Rc;

/// Messages in a forged frame.
const MAX_MESSAGES: u64 = 20;
/// First port of invented connections: none of the simulator's has it.
const INVENTED_PORT: u64 = 1024;

/// Forges a frame with the sender and the dialect of a sound one, from what older frames held. Returns it with the number
/// of its messages.
pub(super) fn frame(sound: &[u8], old: &[Rc<[u8]>], random: &mut Random) -> (Vec<u8>, u64) {
    let Ok(envelope) = Envelope::parse(sound) else { return (Vec::new(), 0) };
    let states: Vec<FullState> = old.iter().flat_map(|frame| states_of(frame)).collect();
    let profile = dialect(&envelope, sound);
    let wanted = random.between(1, MAX_MESSAGES);
    let mut count = 0;
    let frame = frame_of(&envelope, profile, |writer| {
        while count < wanted && push(writer, &states, random) {
            count += 1;
        }
    });
    (frame, count)
}

/// Returns the full states of a frame.
fn states_of(frame: &[u8]) -> Vec<FullState> {
    let mut states = Vec::new();
    let Ok(envelope) = Envelope::parse(frame) else { return states };
    let Ok(mut reader) = FrameReader::new(&frame[envelope.payload]) else { return states };
    while let Some(Ok(region)) = reader.next_region() {
        for record in region.records() {
            if let Record::State(state) = record {
                states.push(state);
            }
        }
    }
    states
}

/// Appends one forged message. Returns whether it fitted.
fn push(writer: &mut FrameWriter<'_>, states: &[FullState], random: &mut Random) -> bool {
    let known = if states.is_empty() { FullState::EMPTY } else { states[random.index(states.len())] };
    let id = known.id;
    let pushed = match random.below(8) {
        0 | 1 => writer.push_state(Action::Insert, &invented(&known, random)),
        2 => writer.push_state(Action::Update, &altered(&known, random)),
        3 => {
            let FullState { src, dst, timeout, .. } = altered(&known, random);
            writer.push_compressed_update(&CompressedUpdate { id, src, dst, expire: 0, timeout })
        }
        4 | 5 => writer.push_id(Action::DeleteCompressed, id),
        6 => writer.push_clear(&Clear { creator: id.creator, ..Clear::default() }),
        _ => {
            let status = random.pick(&[bulk_status::START, bulk_status::END]);
            writer.push_bulk_status(&BulkStatus { creator: id.creator, endtime: 0, status })
        }
    };
    pushed.is_ok()
}

/// A state that nobody has, often in another node's name.
fn invented(known: &FullState, random: &mut Random) -> FullState {
    let mut state = *known;
    state.id = Identity { id: random.next_u64(), creator: known.id.creator };
    let port = (INVENTED_PORT + random.below(8000)) as u16;
    for key in &mut state.key {
        key.port = [port.to_be_bytes(), (80u16).to_be_bytes()];
    }
    state
}

/// A state with other sequence numbers and state numbers.
fn altered(known: &FullState, random: &mut Random) -> FullState {
    let mut state = *known;
    for side in [&mut state.src, &mut state.dst] {
        side.seqlo = side.seqlo.wrapping_add(random.pick(&[1000, 1 << 20, 1 << 31]));
        side.seqhi = side.seqhi.wrapping_add(random.below(1 << 20) as u32);
        side.state = random.below(12) as u8;
    }
    state
}
