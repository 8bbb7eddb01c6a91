//! Seals a lane's frames, and writes those of the handshake.

use super::Exporter;
use super::frame::{Flushed, Frame};
use crate::error::Error;
use crate::memory::Heap;
use crate::seal::{Handshake, Sealer, echo_bytes};
use crate::sync::message::PeerIndex;
use crate::sync::seal::{Seals, first_covered, header_bytes};
use crate::time::Nanos;
use pfsync::{Full, Protection, TAG_BYTES, TrailerFields, TrailerOption, hide_body, option_kind};

/// The seal of a lane's frames.
#[derive(Debug, Default)]
pub(super) struct Sealing {
    sealer: Option<Sealer>,
    /// The frame that is written now.
    frame: Option<TrailerFields>,
}

impl Exporter {
    /// Seals the frames to sealed peers, of which there is one if `seals` is not `None`.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn set_seals(&mut self, seals: &Seals, lane: u8, heap: Heap) -> Result<(), Error> {
        let sealer = seals.as_ref().map(|shared| Sealer::new(shared.clone(), lane, heap)).transpose()?;
        self.sealing = Sealing { sealer, frame: None };
        Ok(())
    }

    /// Makes the handshake's frames due. Call it in every poll.
    pub fn step_seal(&mut self, now: Nanos) {
        self.renew_run();
        if self.due_handshake(now).is_some() {
            self.pacing.wake();
        }
    }

    /// Begins another run if the control thread has renewed it.
    pub(super) fn renew_run(&mut self) {
        if let Some(epoch) = self.sealing.sealer.as_mut().and_then(Sealer::renew) {
            self.numbers.renew(epoch);
        }
    }

    /// Returns a peer to which a frame of the handshake is due.
    pub(super) fn due_handshake(&self, now: Nanos) -> Option<PeerIndex> {
        self.sealing.sealer.as_ref()?.due(now).map(|peer| peer as PeerIndex)
    }

    /// Adds what the seal needs to the fields of a frame's trailer.
    pub(super) fn seal_fields(&mut self, peer: PeerIndex, fields: TrailerFields) -> TrailerFields {
        let Sealing { sealer, frame } = &mut self.sealing;
        let Some(sealer) = sealer else { return fields };
        *frame = sealer.fields(peer.into(), fields, self.flushed_at);
        frame.unwrap_or(fields)
    }

    /// Encrypts a frame that is complete, if its peer's are encrypted, and writes its tag.
    pub(super) fn seal_frame(&mut self, packet: &mut [u8], peer: PeerIndex) {
        let Sealing { sealer: Some(sealer), frame } = &mut self.sealing else { return };
        let Some(frame) = frame.take() else { return };
        let start = first_covered(packet);
        let header = header_bytes(packet);
        let encrypted = match frame.protection {
            Protection::Gcm => hide_body(&mut packet[header..]).map(|bytes| header + bytes.start),
            Protection::Gmac | Protection::None => Some(packet.len().saturating_sub(TAG_BYTES)),
        };
        let Some((covered, rest)) = encrypted.and_then(|at| packet.split_at_mut_checked(at)) else { return };
        let Some((text, tag)) = rest.split_last_chunk_mut::<TAG_BYTES>() else { return };
        match sealer.seal(peer.into(), &frame, &covered[start..], text) {
            Some(computed) => *tag = computed,
            // The peer refuses the frame. Its contents stay secret.
            None => text.fill(0),
        }
    }

    /// Writes a frame of the handshake.
    pub(super) fn write_handshake(
        &mut self,
        peer: PeerIndex,
        buffer: &mut [u8],
    ) -> Result<Option<Flushed>, Full> {
        let fields = self.begin_frame(peer);
        let mut frame = Frame::begin(&self.settings, &self.settings.peers[usize::from(peer)], buffer)?;
        let Sealing { sealer: Some(sealer), frame: sealed } = &mut self.sealing else { return Ok(None) };
        let Handshake { hello, echoes, flags } = sealer.handshake(peer.into(), self.flushed_at);
        // Not encrypted: the key of the stream follows from it.
        let fields = TrailerFields { protection: Protection::Gmac, flags, ..fields };
        *sealed = Some(fields);
        for challenge in echoes {
            frame.push_seal_option(option_kind::ECHO, &echo_bytes(challenge))?;
        }
        if let Some(hello) = hello {
            frame.push_seal_option(option_kind::HELLO, &hello.to_bytes())?;
        }
        let length = frame.finish(self.packet_id, &fields);
        self.counters.handshakes_sent += 1;
        Ok(self.count_frame(length, peer))
    }
}

impl Frame<'_> {
    fn push_seal_option(&mut self, kind: u8, value: &[u8]) -> Result<(), Full> {
        self.writer.push_option(&TrailerOption { kind, value })
    }
}
