//! Frames that nobody sent, or not like this. What can be told from a sound frame must do no harm; what cannot, since
//! pfsync has no authentication, must be settled later.

use pfplane_testkit::Random;
use pfsync::envelope::{Address, Envelope, Transport};
use pfsync::{Action, FrameReader, FrameWriter, Identity, Profile, Version, WriterOptions};
use std::rc::Rc;

/// What a hostile neighbour does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
    /// The frame with a bit of its header turned.
    Turned,
    /// The frame, cut short.
    Cut,
    /// Bytes without meaning behind a sound IP header.
    Garbage,
    /// A frame of some time ago once more.
    Repeated,
    /// Deletes of living states that have been through a router.
    Routed,
    /// A request for all states: twelve bytes must not buy the table again and again.
    WantsAll,
}

const ALL: [Attack; 6] =
    [Attack::Turned, Attack::Cut, Attack::Garbage, Attack::Repeated, Attack::Routed, Attack::WantsAll];

impl Attack {
    /// Any of them.
    pub fn draw(random: &mut Random) -> Self {
        random.pick(&ALL)
    }

    /// Its name in the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Turned => "a bit of its header turned",
            Self::Cut => "cut short",
            Self::Garbage => "and garbage",
            Self::Repeated => "and an old frame again",
            Self::Routed => "and routed deletes",
            Self::WantsAll => "and a bulk request",
        }
    }

    /// Whether the sound frame does not come.
    #[must_use]
    pub const fn replaces(self) -> bool {
        matches!(self, Self::Turned | Self::Cut)
    }

    /// The hostile frame.
    #[must_use]
    pub fn frame(self, sound: &[u8], old: &[Rc<[u8]>], seen: &[Identity], random: &mut Random) -> Vec<u8> {
        let Ok(envelope) = Envelope::parse(sound) else { return Vec::new() };
        let header = envelope.payload.start;
        let mut bytes = sound.to_vec();
        match self {
            Self::Turned => bytes[header + random.index(4)] ^= 1 << random.below(8),
            Self::Cut => bytes.truncate(random.between(1, sound.len() as u64 - 1) as usize),
            Self::Garbage => bytes[header..].iter_mut().for_each(|byte| *byte = random.below(256) as u8),
            Self::Repeated => bytes = old[random.index(old.len())].to_vec(),
            Self::Routed => {
                bytes = forged(&envelope, sound, Action::DeleteCompressed, seen);
                lower_ttl(&mut bytes);
            }
            Self::WantsAll => bytes = forged(&envelope, sound, Action::UpdateRequest, &[Identity::BULK]),
        }
        bytes
    }
}

/// A frame in the name and the dialect of a sound one.
fn forged(envelope: &Envelope, sound: &[u8], action: Action, ids: &[Identity]) -> Vec<u8> {
    let version = FrameReader::new(&sound[envelope.payload.clone()]).map(|reader| reader.version());
    let profile = if version == Ok(Version::V6) { Profile::OpenBsd6 } else { Profile::FreeBsd1400 };
    let transport = Transport { source: envelope.source, destination: envelope.destination, tos: 0 };
    let header = transport.encoded_len();
    let mut bytes = vec![0; 1500];
    let mut writer =
        FrameWriter::new(&mut bytes[header..], profile, &WriterOptions::default()).expect("there is room");
    for id in ids {
        writer.push_id(action, *id).expect("there is room");
    }
    let payload = writer.finish();
    transport.emit(&mut bytes, payload, 0).expect("one family");
    bytes.truncate(header + payload);
    bytes
}

/// As a router would: one less, and the checksum made right.
fn lower_ttl(packet: &mut [u8]) {
    match Envelope::parse(packet).map(|envelope| envelope.source) {
        Ok(Address::V4(_)) => {
            packet[8] -= 1;
            let sum = u16::from_be_bytes([packet[10], packet[11]]);
            let (sum, carry) = sum.overflowing_add(0x100);
            packet[10..12].copy_from_slice(&(sum + u16::from(carry)).to_be_bytes());
        }
        Ok(Address::V6(_)) => packet[7] -= 1,
        Err(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_routed_frame_is_sound_but_for_its_ttl() {
        for source in [Address::V4([192, 0, 2, 1]), Address::V6([1; 16])] {
            let transport = Transport { source, destination: source, tos: 0 };
            let mut packet = vec![0; transport.encoded_len()];
            transport.emit(&mut packet, 0, 7).unwrap();
            lower_ttl(&mut packet);
            assert_eq!(Envelope::parse(&packet).unwrap().ttl, 254);
        }
    }
}
