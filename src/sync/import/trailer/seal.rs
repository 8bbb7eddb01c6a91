//! Judges the seal of a frame, before anything of the frame is used.

use super::super::{Importer, Sender};
use crate::error::Error;
use crate::memory::Heap;
use crate::seal::{MAX_ECHOES, Opener, Refusal, SealHello, SealMode, SealedFrame, echo_of};
use crate::sync::message::{Body, PeerIndex};
use crate::sync::seal::{Seals, first_covered};
use crate::sync::settings::UnsealedRights;
use crate::time::Nanos;
use arrayvec::ArrayVec;
use pfsync::envelope::{Address, Envelope};
use pfsync::{FrameReader, FullState, Protection, Trailer, option_kind};

/// How a frame may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Accepted {
    /// Its seal is valid.
    Sealed,
    /// It has none, or none that is verified.
    Unsealed,
}

impl Importer {
    /// Verifies the frames of sealed peers, of which there is one if `seals` is not `None`.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn set_seals(&mut self, seals: &Seals, heap: Heap) -> Result<(), Error> {
        self.opener = seals.as_ref().map(|shared| Opener::new(shared.clone(), heap)).transpose()?;
        Ok(())
    }

    /// Draws new challenges when they are due. Call it in every poll. Returns whether what was sent to a peer until now is lost
    /// because the peer did not accept it.
    pub fn step_seal(&mut self, now: Nanos) -> bool {
        let Some(opener) = &mut self.opener else { return false };
        opener.step(now);
        opener.take_established()
    }

    /// Whether a frame may be used. Counts why not.
    pub(in super::super) fn accept_seal(
        &mut self,
        packet: &[u8],
        envelope: &Envelope,
        reader: &FrameReader<'_>,
        peer: PeerIndex,
        now: Nanos,
    ) -> Option<Accepted> {
        let Some(opener) = &mut self.opener else { return Some(Accepted::Unsealed) };
        if opener.mode(peer.into()) == SealMode::Off {
            return Some(Accepted::Unsealed);
        }
        let result = match reader.trailer() {
            Ok(Some(trailer)) if trailer.fields().protection != Protection::None => {
                open(opener, packet, envelope, &trailer, peer, now).map(|()| Accepted::Sealed)
            }
            Ok(_) => opener.accept_unsealed(peer.into(), now).map(|()| Accepted::Unsealed),
            Err(error) => {
                self.count_bad_trailer(error);
                self.peer_counters[usize::from(peer)].frames_refused += 1;
                return None;
            }
        };
        match result {
            Ok(Accepted::Sealed) => {
                self.counters.frames_sealed += 1;
                self.peer_counters[usize::from(peer)].frames_sealed += 1;
            }
            Ok(Accepted::Unsealed) => self.counters.frames_unsealed += 1,
            Err(refusal) => self.count_refusal(refusal, peer, now),
        }
        result.ok()
    }

    #[cold]
    fn count_refusal(&mut self, refusal: Refusal, peer: PeerIndex, now: Nanos) {
        let counters = &mut self.counters;
        *match refusal {
            Refusal::Unsealed => &mut counters.seal_missing,
            Refusal::Stripped => &mut counters.seal_stripped,
            Refusal::Format => &mut counters.seal_format,
            Refusal::Key => &mut counters.seal_key,
            Refusal::Tag => &mut counters.badauth,
            Refusal::Replayed => &mut counters.seal_replayed,
            Refusal::Unproven => &mut counters.seal_unproven,
            Refusal::Looped => &mut counters.frames_looped,
            Refusal::DuplicateId => {
                self.duplicate_seen = Some(now);
                &mut counters.duplicate_host_id
            }
        } += 1;
        self.peer_counters[usize::from(peer)].frames_refused += 1;
    }

    /// Whether messages of a frame without a seal are limited.
    pub(in super::super) fn limits(&self, accepted: Accepted, peer: PeerIndex) -> bool {
        let rights = self.peers[usize::from(peer)].seal.unsealed;
        accepted == Accepted::Unsealed
            && self.opener.is_some()
            && rights.0 & UnsealedRights::ALL != UnsealedRights::ALL
    }

    /// Whether a frame without a seal may have this effect. Counts if not.
    #[cold]
    pub(in super::super) fn may(&mut self, body: &Body<&FullState>, sender: &Sender) -> bool {
        let (creator, right) = match body {
            Body::Insert(state) => (state.id.creator, UnsealedRights::INSERT),
            Body::Update { state, .. } => (state.id.creator, UnsealedRights::UPDATE),
            Body::UpdateCompressed(update) => (update.id.creator, UnsealedRights::UPDATE),
            Body::Extra(id, _) => (id.creator, UnsealedRights::UPDATE),
            Body::Delete(id) => (id.creator, UnsealedRights::DELETE),
            Body::Clear { creator, .. } => (*creator, UnsealedRights::CLEAR),
            Body::InsertAck(_) | Body::UpdateRequest(_) | Body::BulkRequest(_) => return true,
        };
        let rights = self.peers[usize::from(sender.peer)].seal.unsealed;
        let is_sealed = |opener: &Opener| opener.is_sealed_creator(creator);
        let may = rights.has(right) || !self.opener.as_ref().is_some_and(is_sealed);
        self.counters.messages_unsealed += u64::from(!may);
        may
    }
}

/// Opens a frame with a seal.
fn open(
    opener: &mut Opener,
    packet: &[u8],
    envelope: &Envelope,
    trailer: &Trailer<'_>,
    peer: PeerIndex,
    now: Nanos,
) -> Result<(), Refusal> {
    let fields = trailer.fields();
    let has_options = envelope.payload.start != header_bytes(envelope.source);
    if fields.protection != Protection::Gmac || has_options {
        return Err(Refusal::Format);
    }
    let mut hello = None;
    let mut echoes = ArrayVec::<u64, MAX_ECHOES>::new();
    for option in trailer.options().map_while(Result::ok) {
        match option.kind {
            option_kind::HELLO => hello = hello.or(SealHello::parse(option.value)),
            option_kind::ECHO => {
                if let Some(challenge) = echo_of(option.value) {
                    // A node returns at most two.
                    let _ = echoes.try_push(challenge);
                }
            }
            _ => {}
        }
    }
    let whole = &packet[first_covered(packet)..envelope.payload.end];
    let (covered, tag) = whole.split_last_chunk().ok_or(Refusal::Format)?;
    opener.open(peer.into(), &SealedFrame { fields: *fields, covered, tag, hello, echoes: &echoes }, now)
}

/// Length of an IP header without options.
const fn header_bytes(source: Address) -> usize {
    match source {
        Address::V4(_) => 20,
        Address::V6(_) => 40,
    }
}
