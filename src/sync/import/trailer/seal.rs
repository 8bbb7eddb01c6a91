//! Judges the seal of a frame, before anything of the frame is used.

use super::super::{Importer, Sender};
use crate::error::Error;
use crate::memory::Heap;
use crate::seal::{MAX_ECHOES, Opener, Refusal, SealHello, SealMode, SealedFrame, echo_of};
use crate::sync::message::{Body, PeerIndex};
use crate::sync::seal::{MAX_PACKET_BYTES, Seals, first_covered, header_bytes};
use crate::sync::settings::UnsealedRights;
use crate::time::Nanos;
use arrayvec::ArrayVec;
use pfsync::envelope::Envelope;
use pfsync::{
    FrameReader, FullState, HEADER_BYTES, Protection, TAG_BYTES, TRAILER_BYTES, Trailer, TrailerFields,
    option_kind, reveal_body,
};

/// How a frame may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Accepted {
    /// Its seal is valid.
    Sealed,
    /// Its seal is valid, and it was encrypted: the payload is the first bytes of [`Importer::decrypted`](super::super::Importer).
    Decrypted(usize),
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
        let decrypted = || heap.list_of("a decrypted frame", MAX_PACKET_BYTES, |_| 0);
        self.decrypted = self.opener.is_some().then(decrypted).transpose()?;
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
        let Some(opener) = self.opener.as_mut().filter(|opener| opener.mode(peer.into()) != SealMode::Off)
        else {
            return self.accept_without_key(reader, peer);
        };
        let result = match reader.trailer() {
            Ok(Some(trailer)) => match (trailer.fields().protection, &mut self.decrypted) {
                (Protection::None, _) => {
                    opener.accept_unsealed(peer.into(), now).map(|()| Accepted::Unsealed)
                }
                (Protection::Gcm, Some(decrypted)) => {
                    open_encrypted(opener, decrypted, packet, envelope, trailer.fields(), peer, now)
                        .map(Accepted::Decrypted)
                }
                _ => open(opener, packet, envelope, reader, &trailer, peer, now).map(|()| Accepted::Sealed),
            },
            Ok(None) => opener.accept_unsealed(peer.into(), now).map(|()| Accepted::Unsealed),
            Err(error) => {
                self.count_bad_trailer(error);
                self.peer_counters[usize::from(peer)].frames_refused += 1;
                return None;
            }
        };
        match result {
            Ok(Accepted::Unsealed) => self.counters.frames_unsealed += 1,
            Ok(accepted) => {
                self.counters.frames_sealed += 1;
                self.counters.frames_decrypted += u64::from(accepted != Accepted::Sealed);
                self.peer_counters[usize::from(peer)].frames_sealed += 1;
            }
            Err(refusal) => self.count_refusal(refusal, peer, now),
        }
        result.ok()
    }

    /// Whether a frame of a peer without a seal may be used: an encrypted one cannot be read.
    fn accept_without_key(&mut self, reader: &FrameReader<'_>, peer: PeerIndex) -> Option<Accepted> {
        let is_encrypted = |trailer: Trailer<'_>| trailer.fields().protection == Protection::Gcm;
        if self.peers[usize::from(peer)].extensions
            && reader.trailer().ok().flatten().is_some_and(is_encrypted)
        {
            self.counters.seal_format += 1;
            self.peer_counters[usize::from(peer)].frames_refused += 1;
            return None;
        }
        Some(Accepted::Unsealed)
    }

    #[cold]
    fn count_refusal(&mut self, refusal: Refusal, peer: PeerIndex, now: Nanos) {
        let counters = &mut self.counters;
        *match refusal {
            Refusal::Unsealed => &mut counters.seal_missing,
            Refusal::Stripped => &mut counters.seal_stripped,
            Refusal::Format => &mut counters.seal_format,
            Refusal::Key => &mut counters.seal_key,
            Refusal::Unencrypted => &mut counters.seal_unencrypted,
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
            Body::Delete(id) | Body::Gone(id) => (id.creator, UnsealedRights::DELETE),
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

/// Opens a frame that is signed.
fn open(
    opener: &mut Opener,
    packet: &[u8],
    envelope: &Envelope,
    reader: &FrameReader<'_>,
    trailer: &Trailer<'_>,
    peer: PeerIndex,
    now: Nanos,
) -> Result<(), Refusal> {
    let fields = trailer.fields();
    if fields.protection != Protection::Gmac || envelope.payload.start != header_bytes(packet) {
        return Err(Refusal::Format);
    }
    let mut hello = None;
    let mut echoes = ArrayVec::<u64, MAX_ECHOES>::new();
    let mut is_handshake = reader.length() == HEADER_BYTES;
    for option in trailer.options().map_while(Result::ok) {
        match option.kind {
            option_kind::HELLO => hello = hello.or(SealHello::parse(option.value)),
            option_kind::ECHO => {
                if let Some(challenge) = echo_of(option.value) {
                    // A node returns at most two.
                    let _ = echoes.try_push(challenge);
                }
            }
            _ => is_handshake = false,
        }
    }
    if opener.mode(peer.into()) == SealMode::Encrypt && !is_handshake {
        return Err(Refusal::Unencrypted);
    }
    let whole = &packet[first_covered(packet)..envelope.payload.end];
    let (covered, tag) = whole.split_last_chunk().ok_or(Refusal::Format)?;
    let frame = SealedFrame { fields: *fields, covered, tag, hello, echoes: &echoes };
    opener.open(peer.into(), &frame, &mut [], now)
}

/// Opens a frame that is encrypted. Returns the length of its payload, which is in `decrypted` then, as that of a signed frame.
fn open_encrypted(
    opener: &mut Opener,
    decrypted: &mut [u8],
    packet: &[u8],
    envelope: &Envelope,
    fields: &TrailerFields,
    peer: PeerIndex,
    now: Nanos,
) -> Result<usize, Refusal> {
    let header = header_bytes(packet);
    let (start, length) = (first_covered(packet), envelope.payload.len());
    if envelope.payload.start != header {
        return Err(Refusal::Format);
    }
    let packet = &packet[..envelope.payload.end];
    let copy = decrypted.get_mut(..packet.len()).ok_or(Refusal::Format)?;
    copy.copy_from_slice(packet);
    let fixed = header + HEADER_BYTES + TRAILER_BYTES;
    let (covered, rest) = copy.split_at_mut_checked(fixed).ok_or(Refusal::Format)?;
    let (text, tag) = rest.split_last_chunk_mut::<TAG_BYTES>().ok_or(Refusal::Format)?;
    let frame = SealedFrame { fields: *fields, covered: &covered[start..], tag, hello: None, echoes: &[] };
    opener.open(peer.into(), &frame, text, now)?;
    decrypted.copy_within(header..header + length, 0);
    if reveal_body(&mut decrypted[..length]) { Ok(length) } else { Err(Refusal::Format) }
}
