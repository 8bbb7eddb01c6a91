//! The sending side of one lane: which key, which challenges to return, encryption, and the tags.

use super::cipher::{Cipher, SubkeyId, halves, nonce_of};
use super::hello::SealHello;
use super::keys::SealKeys;
use super::shared::{MAX_ECHOES, PeerSeal, Run, SealMode, SealShared};
use crate::error::Error;
use crate::memory::{Counted, Heap, List};
use crate::time::{NANOS_PER_SECOND, Nanos};
use arrayvec::ArrayVec;
use pfsync::{Protection, TAG_BYTES, TrailerFields, trailer_flags};
use std::sync::atomic::Ordering;

/// Interval of hellos and echoes.
const INTERVAL: Nanos = NANOS_PER_SECOND;
/// Interval of hellos while one of the nodes does not accept the other's frames.
const FAST_INTERVAL: Nanos = NANOS_PER_SECOND / 10;
/// Interval of echoes after the peer's first hello: until one arrives, the frames of the lane are refused.
const EAGER_INTERVAL: Nanos = NANOS_PER_SECOND / 50;

/// What a frame of the handshake carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// The hello: lane 0 sends it.
    pub hello: Option<SealHello>,
    /// Challenges to return.
    pub echoes: ArrayVec<u64, MAX_ECHOES>,
    /// Flags of the trailer.
    pub flags: u16,
}

/// The frames to one peer.
#[derive(Debug, Default)]
struct Sending {
    generation: u32,
    keys: SealKeys,
    cipher: Option<(SubkeyId, Cipher)>,
    /// The highest number that was sealed.
    last: u64,
    /// When the next frame of the handshake is due.
    next: Nanos,
    /// What the last one answered.
    echo_version: u32,
    answers: u32,
    /// Hellos sent while the peer's keys were unknown.
    attempts: usize,
}

/// Seals the frames of one lane.
#[derive(Debug)]
pub struct Sealer {
    shared: Counted<SealShared>,
    run: Run,
    lane: u8,
    peers: List<Sending>,
}

impl Sealer {
    /// Builds the sending side of a lane.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn new(shared: Counted<SealShared>, lane: u8, heap: Heap) -> Result<Self, Error> {
        let peers = heap.list_of("seals of a lane", shared.peers.len(), |_| Sending::default())?;
        let run = shared.run();
        Ok(Self { shared, run, lane, peers })
    }

    /// Begins another run if the control thread has renewed it. Returns the half of its epoch that is in every trailer. Call it before
    /// each frame.
    pub fn renew(&mut self) -> Option<u64> {
        let Self { shared, run, peers, .. } = self;
        if !shared.update(run) {
            return None;
        }
        for sending in peers {
            sending.cipher = None;
            sending.next = 0;
        }
        Some(run.origin.half())
    }

    /// Returns the bytes that [`Self::new`] allocates.
    #[must_use]
    pub const fn memory_needed(peers: usize) -> usize {
        peers * size_of::<Sending>()
    }

    fn is_on(&self, peer: usize) -> bool {
        self.shared.peers[peer].mode != SealMode::Off
    }

    /// Returns a peer to which a frame of the handshake is due.
    #[must_use]
    pub fn due(&self, now: Nanos) -> Option<usize> {
        (0..self.peers.len()).find(|&peer| self.is_on(peer) && self.is_due(peer, now))
    }

    fn is_due(&self, peer: usize, now: Nanos) -> bool {
        let (seal, sending) = (&self.shared.peers[peer], &self.peers[peer]);
        let has_new_echo = seal.echo_version.load(Ordering::Relaxed) != sending.echo_version;
        if self.lane == 0 {
            // Without a challenge of ours the hello waits for the first poll.
            let must_answer = seal.answers.load(Ordering::Relaxed) != sending.answers;
            let has_challenge = seal.challenge.load(Ordering::Relaxed) != 0;
            return has_challenge && (has_new_echo || must_answer || now >= sending.next);
        }
        let has_echo = seal.echoes.iter().any(|echo| echo.load(Ordering::Relaxed) != 0);
        has_echo && (has_new_echo || now >= sending.next)
    }

    /// Returns what the frame of the handshake carries that is due to a peer.
    pub fn handshake(&mut self, peer: usize, now: Nanos) -> Handshake {
        let Self { shared, run, lane, peers } = self;
        let (seal, sending) = (&shared.peers[peer], &mut peers[peer]);
        sending.echo_version = seal.echo_version.load(Ordering::Acquire);
        sending.answers = seal.answers.load(Ordering::Relaxed);
        let echoes = seal.echoes();
        let flags = if seal.mode == SealMode::Encrypt { trailer_flags::ENCRYPT } else { 0 };
        if *lane != 0 {
            let interval = if seal.is_eager(now) { EAGER_INTERVAL } else { INTERVAL };
            sending.next = now.saturating_add(interval);
            return Handshake { hello: None, echoes, flags };
        }
        let interval = match seal.is_established() {
            _ if seal.is_eager(now) => EAGER_INTERVAL,
            true => INTERVAL,
            false => FAST_INTERVAL,
        };
        sending.next = now.saturating_add(interval);
        sending.attempts = sending.attempts.wrapping_add(1);
        seal.take_keys(&mut sending.generation, &mut sending.keys);
        let hello = SealHello {
            epoch: halves(&run.origin.epoch).1,
            challenge: seal.challenge.load(Ordering::Relaxed),
            accepts: seal.proven.load(Ordering::Relaxed),
            creator: run.origin.creator,
            keys: sending.keys.ids(),
        };
        Handshake { hello: Some(hello), echoes, flags }
    }

    /// Adds what the seal needs to the fields of the next frame to a peer; `None` if the peer is not sealed.
    pub fn fields(&mut self, peer: usize, fields: TrailerFields, now: Nanos) -> Option<TrailerFields> {
        let Self { shared, run, lane, peers } = self;
        let (seal, sending) = (&shared.peers[peer], &mut peers[peer]);
        if seal.mode == SealMode::Off {
            return None;
        }
        if seal.take_keys(&mut sending.generation, &mut sending.keys) {
            sending.cipher = None;
        }
        let key = sending.keys.choose(seal.held_keys(), sending.attempts)?.id();
        let (flow, lane, epoch, clock) = (peer as u8, *lane, run.origin.half(), (now / 1000) as u32);
        let protection = if seal.encrypts() { Protection::Gcm } else { Protection::Gmac };
        Some(TrailerFields { protection, key, flow, lane, epoch, clock, ..fields })
    }

    /// Encrypts the text of a frame, which is empty if the frame is only signed. Returns the tag. `None` if its number is not above all
    /// before it: no pair of key and nonce is used twice. The frame must not be sent then.
    pub fn seal(
        &mut self,
        peer: usize,
        frame: &TrailerFields,
        covered: &[u8],
        text: &mut [u8],
    ) -> Option<[u8; TAG_BYTES]> {
        let Self { shared, run, peers, .. } = self;
        let (seal, sending) = (&shared.peers[peer], &mut peers[peer]);
        if frame.sequence <= sending.last {
            return None;
        }
        sending.last = frame.sequence;
        let Sending { keys, cipher, .. } = sending;
        if cipher.as_ref().is_none_or(|(id, _)| *id != SubkeyId::of(frame)) {
            let key = keys.find(frame.key)?;
            *cipher = Some((SubkeyId::of(frame), Cipher::derive(key, &run.origin, frame)));
        }
        note_key(seal, frame.key);
        cipher.as_ref().map(|(_, cipher)| cipher.encrypt(&nonce_of(frame), covered, text))
    }
}

fn note_key(seal: &PeerSeal, key: u8) {
    if seal.key_sent.load(Ordering::Relaxed) != u32::from(key) {
        seal.key_sent.store(key.into(), Ordering::Relaxed);
    }
}
