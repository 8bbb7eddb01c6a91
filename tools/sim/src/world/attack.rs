//! Hostile frames. Those that differ from sound frames must do no harm. pfsync has no authentication, so damage by the
//! others must be repaired later.

use pfplane_testkit::Random;
use pfsync::envelope::{Address, Envelope, Transport};
use pfsync::{Action, FrameReader, FrameWriter, Identity, Profile, Version, WriterOptions};
use std::rc::Rc;

/// What an attacker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attack {
    /// Flips a bit of the header.
    BitFlip,
    /// Truncates the frame.
    Truncated,
    /// Sends random bytes behind a sound IP header.
    Garbage,
    /// Replays an older frame.
    Replayed,
    /// Sends deletes of live states through a router.
    Routed,
    /// Requests all states: twelve bytes must not trigger a transfer each time.
    BulkRequest,
}

const ALL: [Attack; 6] = [
    Attack::BitFlip,
    Attack::Truncated,
    Attack::Garbage,
    Attack::Replayed,
    Attack::Routed,
    Attack::BulkRequest,
];

impl Attack {
    /// Draws one of them.
    pub(super) fn draw(random: &mut Random) -> Self {
        random.pick(&ALL)
    }

    /// Returns its name in the log.
    #[must_use]
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::BitFlip => "with a flipped header bit",
            Self::Truncated => "truncated",
            Self::Garbage => "with garbage",
            Self::Replayed => "with a replayed frame",
            Self::Routed => "with routed deletes",
            Self::BulkRequest => "with a bulk request",
        }
    }

    /// Returns whether the sound frame is not delivered.
    #[must_use]
    pub(super) const fn replaces(self) -> bool {
        matches!(self, Self::BitFlip | Self::Truncated)
    }

    /// Builds the hostile frame.
    #[must_use]
    pub(super) fn frame(
        self,
        sound: &[u8],
        old: &[Rc<[u8]>],
        seen: &[Identity],
        random: &mut Random,
    ) -> Vec<u8> {
        let Ok(envelope) = Envelope::parse(sound) else { return Vec::new() };
        let header = envelope.payload.start;
        let mut bytes = sound.to_vec();
        match self {
            Self::BitFlip => bytes[header + random.index(4)] ^= 1 << random.below(8),
            Self::Truncated => bytes.truncate(random.between(1, sound.len() as u64 - 1) as usize),
            Self::Garbage => bytes[header..].iter_mut().for_each(|byte| *byte = random.below(256) as u8),
            Self::Replayed => bytes = old[random.index(old.len())].to_vec(),
            Self::Routed => {
                bytes = forged(&envelope, sound, Action::DeleteCompressed, seen);
                lower_ttl(&mut bytes);
            }
            Self::BulkRequest => bytes = forged(&envelope, sound, Action::UpdateRequest, &[Identity::BULK]),
        }
        bytes
    }
}

/// Builds a frame of identities with the sender and the dialect of a sound one.
fn forged(envelope: &Envelope, sound: &[u8], action: Action, ids: &[Identity]) -> Vec<u8> {
    frame_of(envelope, dialect(envelope, sound), |writer| {
        for id in ids {
            writer.push_id(action, *id).expect("it fits");
        }
    })
}

/// Returns a dialect of the version of a sound frame.
pub(super) fn dialect(envelope: &Envelope, sound: &[u8]) -> Profile {
    let version = FrameReader::new(&sound[envelope.payload.clone()]).map(|reader| reader.version());
    if version == Ok(Version::V6) { Profile::OpenBsd6 } else { Profile::FreeBsd1400 }
}

/// Builds a frame with the addresses of another one.
pub(super) fn frame_of(
    envelope: &Envelope,
    profile: Profile,
    fill: impl FnOnce(&mut FrameWriter<'_>),
) -> Vec<u8> {
    let transport = Transport { source: envelope.source, destination: envelope.destination, tos: 0 };
    let header = transport.encoded_len();
    let mut bytes = vec![0; 1500];
    let mut writer =
        FrameWriter::new(&mut bytes[header..], profile, &WriterOptions::default()).expect("it fits");
    fill(&mut writer);
    let payload = writer.finish();
    transport.emit(&mut bytes, payload, 0).expect("one family");
    bytes.truncate(header + payload);
    bytes
}

/// Decrements the TTL and updates the checksum, as a router does.
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
