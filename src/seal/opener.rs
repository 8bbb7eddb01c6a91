//! The receiving side: which frames of a peer are genuine, recent, and received for the first time.
//!
//! | the peer's epoch | frame | outcome |
//! |---|---|---|
//! | any | a hello of another epoch | that one becomes the candidate, and its challenge is returned |
//! | candidate | returns a valid challenge of ours | it is proven; the streams of the old one end, and no older challenge proves another |
//! | candidate | other | refused |
//!
//! | stream of the proven epoch | frame | outcome |
//! |---|---|---|
//! | none, or not proven for [`FRESHNESS`] | returns a valid challenge | accepted; numbers below it never are |
//! | none, or not proven for [`FRESHNESS`] | other | refused |
//! | proven | number above all before it | accepted |
//! | proven | other | refused |

use super::challenges::Challenges;
use super::cipher::{Cipher, Origin, nonce_of};
use super::hello::SealHello;
use super::keys::{SealKey, SealKeys};
use super::refusal::Refusal;
use super::shared::{PeerSeal, Run, SealMode, SealShared};
use super::streams::Streams;
use crate::error::Error;
use crate::memory::{Counted, Heap, List};
use crate::time::{NANOS_PER_SECOND, Nanos};
use pfsync::{TAG_BYTES, TrailerFields, trailer_flags};
use std::sync::atomic::Ordering;

/// How long a stream is accepted after it returned a challenge. A peer returns one each second.
const FRESHNESS: Nanos = 10 * NANOS_PER_SECOND;
/// How long frames without a seal are refused after the last sealed one, in mode `sign`.
const STRIPPED: Nanos = 3600 * NANOS_PER_SECOND;
/// Hellos of an epoch that is not proven are answered at this interval.
const ANSWER_INTERVAL: Nanos = NANOS_PER_SECOND / 100;
/// How long challenges are returned often after the peer sent a first hello.
const EAGERNESS: Nanos = 3 * NANOS_PER_SECOND;
/// A hello after a longer silence counts as a first one.
const SILENCE: Nanos = 2 * NANOS_PER_SECOND;

/// A frame with a seal.
#[derive(Clone, Copy, Debug)]
pub struct SealedFrame<'a> {
    /// The fields of its trailer.
    pub fields: TrailerFields,
    /// What the tag covers.
    pub covered: &'a [u8],
    /// The tag.
    pub tag: &'a [u8; TAG_BYTES],
    /// The hello in its trailer.
    pub hello: Option<SealHello>,
    /// The challenges that its trailer returns.
    pub echoes: &'a [u64],
}

/// The frames of one peer.
#[derive(Debug)]
struct Receiving {
    generation: u32,
    keys: SealKeys,
    proven: Option<Origin>,
    candidate: Option<Origin>,
    challenges: Challenges,
    streams: Streams,
    /// When the last sealed frame was accepted.
    last_accepted: Option<Nanos>,
    /// When a hello that was not accepted was answered last.
    answered: Option<Nanos>,
    /// When the last accepted hello was received.
    last_hello: Option<Nanos>,
    /// The peer has accepted our frames before.
    was_accepted: bool,
}

impl Receiving {
    fn origin_of(&self, frame: &SealedFrame<'_>) -> Option<(Origin, bool)> {
        let is_of = |origin: &Origin| origin.half() == frame.fields.epoch;
        if let Some(proven) = self.proven.filter(is_of) {
            return Some((proven, true));
        }
        if let Some(candidate) = self.candidate.filter(is_of) {
            return Some((candidate, false));
        }
        // Nothing of the hello is believed before the tag is verified with the key that follows from it.
        let hello = frame.hello?;
        let epoch = u128::from(frame.fields.epoch) << 64 | u128::from(hello.epoch);
        Some((Origin { epoch: epoch.to_be_bytes(), creator: hello.creator }, false))
    }
}

/// Opens the frames of all peers: one per engine, on the sync lane.
#[derive(Debug)]
pub struct Opener {
    shared: Counted<SealShared>,
    run: Run,
    peers: List<Receiving>,
    is_established: bool,
}

impl Opener {
    /// Builds the receiving side.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn new(shared: Counted<SealShared>, heap: Heap) -> Result<Self, Error> {
        let mut peers = heap.list("seals of peers", shared.peers.len())?;
        for (index, seal) in shared.peers.iter().enumerate() {
            peers.push(Receiving {
                generation: 0,
                keys: SealKeys::default(),
                proven: None,
                candidate: None,
                challenges: Challenges::new(index as u8),
                streams: Streams::new(seal.mode != SealMode::Off, heap)?,
                last_accepted: None,
                answered: None,
                last_hello: None,
                was_accepted: false,
            });
        }
        let run = shared.run();
        Ok(Self { shared, run, peers, is_established: false })
    }

    /// Returns the bytes that [`Self::new`] allocates for `peers` peers, of which `sealed` are sealed.
    #[must_use]
    pub const fn memory_needed(peers: usize, sealed: usize) -> usize {
        peers * size_of::<Receiving>() + sealed * Streams::memory_needed()
    }

    /// Returns the mode of a peer.
    #[must_use]
    pub fn mode(&self, peer: usize) -> SealMode {
        self.shared.peers[peer].mode
    }

    /// Draws new challenges when they are due. Call it in every poll of the sync lane.
    pub fn step(&mut self, now: Nanos) {
        self.renew();
        let Self { shared, run, peers, .. } = self;
        for (seal, receiving) in shared.peers.iter().zip(peers) {
            if seal.mode != SealMode::Off
                && let Some(challenge) = receiving.challenges.step(&run.secret, now)
            {
                seal.challenge.store(challenge, Ordering::Relaxed);
            }
        }
    }

    /// Begins another run if the control thread has renewed it: each peer has to be proven again, and to prove this node.
    fn renew(&mut self) {
        let Self { shared, run, peers, .. } = self;
        if !shared.update(run) {
            return;
        }
        for (index, (seal, receiving)) in shared.peers.iter().zip(peers).enumerate() {
            receiving.proven = None;
            receiving.candidate = None;
            receiving.streams.clear();
            receiving.challenges = Challenges::new(index as u8);
            receiving.answered = None;
            receiving.last_hello = None;
            receiving.was_accepted = false;
            seal.challenge.store(0, Ordering::Relaxed);
            seal.echoes.iter().for_each(|echo| echo.store(0, Ordering::Relaxed));
            seal.proven.store(0, Ordering::Relaxed);
            seal.is_accepted.store(false, Ordering::Relaxed);
        }
    }

    /// Returns whether a peer has accepted this node's frames for the first time since the last call: what was sent to it
    /// before is lost.
    pub const fn take_established(&mut self) -> bool {
        core::mem::replace(&mut self.is_established, false)
    }

    /// Whether a sealed peer has this host id, or we do and there is a sealed peer.
    #[must_use]
    pub fn is_sealed_creator(&self, creator: u32) -> bool {
        let mut proven = self.peers.iter().filter_map(|receiving| receiving.proven);
        let is_ours = creator == self.run.origin.creator;
        proven.any(|origin| is_ours || origin.creator == creator)
    }

    /// Whether a frame without a seal may be used.
    ///
    /// # Errors
    /// [`Refusal::Unsealed`], [`Refusal::Stripped`].
    pub fn accept_unsealed(&self, peer: usize, now: Nanos) -> Result<(), Refusal> {
        let is_recent = |last: Nanos| now.saturating_sub(last) < STRIPPED;
        match self.shared.peers[peer].mode {
            SealMode::Off => Ok(()),
            SealMode::Sign if self.peers[peer].last_accepted.is_some_and(is_recent) => Err(Refusal::Stripped),
            SealMode::Sign => Ok(()),
            SealMode::Require | SealMode::Encrypt => Err(Refusal::Unsealed),
        }
    }

    /// Whether a frame of a peer may be used. If so it counts as received, and `text` is decrypted; it is empty if the frame is only
    /// signed.
    ///
    /// # Errors
    /// See [`Refusal`]. Nothing of the frame may be used then.
    pub fn open(
        &mut self,
        peer: usize,
        frame: &SealedFrame<'_>,
        text: &mut [u8],
        now: Nanos,
    ) -> Result<(), Refusal> {
        self.renew();
        let Self { shared, run, peers, is_established } = self;
        let (seal, receiving) = (&shared.peers[peer], &mut peers[peer]);
        let fields = &frame.fields;
        if fields.epoch == run.origin.half() {
            return Err(Refusal::Looped);
        }
        if seal.take_keys(&mut receiving.generation, &mut receiving.keys) {
            receiving.streams.clear_subkeys();
        }
        let (origin, is_proven) = receiving.origin_of(frame).ok_or(Refusal::Unproven)?;
        let stream = if is_proven { receiving.streams.find(fields) } else { None };
        let is_next = |index| receiving.streams.is_next(index, fields);
        if matches!(fields.sequence, 0 | u64::MAX) || !stream.is_none_or(is_next) {
            return Err(Refusal::Replayed);
        }
        let derived = receiving.authenticate(&origin, stream, frame, text)?;
        // From here on the frame is known to be of a node with our key.
        if origin.creator == run.origin.creator {
            return Err(Refusal::DuplicateId);
        }
        let is_answer = receiving.challenges.are_answered(frame.echoes, is_proven, now);
        let is_fresh = |index| receiving.streams.is_fresh(index, now);
        let is_accepted = is_answer || stream.is_some_and(is_fresh);
        if !is_accepted {
            if !is_proven {
                receiving.candidate = Some(origin);
            }
            if let Some(hello) = frame.hello {
                receiving.answer(seal, &hello, fields.flags, now);
            }
            return Err(Refusal::Unproven);
        }
        if !is_proven {
            receiving.prove(seal, origin);
            seal.challenge.store(receiving.challenges.replace(&run.secret, now), Ordering::Relaxed);
        }
        let stream = stream.or_else(|| receiving.streams.begin(fields)).ok_or(Refusal::Unproven)?;
        let fresh_until = is_answer.then_some(now.saturating_add(FRESHNESS));
        receiving.streams.accept(stream, fields, derived, fresh_until);
        receiving.last_accepted = Some(now);
        seal.last_accepted.store(now, Ordering::Relaxed);
        if seal.key_received.load(Ordering::Relaxed) != u32::from(fields.key) {
            seal.key_received.store(fields.key.into(), Ordering::Relaxed);
        }
        if let Some(hello) = frame.hello {
            seal.peer_encrypts.store(fields.flags & trailer_flags::ENCRYPT != 0, Ordering::Relaxed);
            *is_established |= receiving.hello(seal, run.origin.half(), &hello, now);
        }
        Ok(())
    }
}

impl Receiving {
    /// Verifies the tag and decrypts the text. Returns the subkey if it is not that of the stream's last frame.
    fn authenticate(
        &self,
        origin: &Origin,
        stream: Option<usize>,
        frame: &SealedFrame<'_>,
        text: &mut [u8],
    ) -> Result<Option<Cipher>, Refusal> {
        let fields = &frame.fields;
        let key = self.keys.find(fields.key).ok_or(Refusal::Key)?;
        let nonce = nonce_of(fields);
        let (is_genuine, derived) = match stream.and_then(|index| self.streams.cipher(index, fields)) {
            Some(cipher) => (cipher.decrypt(&nonce, frame.covered, text, frame.tag), None),
            None => {
                let cipher = Cipher::derive(key, origin, fields);
                (cipher.decrypt(&nonce, frame.covered, text, frame.tag), Some(cipher))
            }
        };
        if is_genuine { Ok(derived) } else { Err(Refusal::Tag) }
    }

    /// Notes that the candidate, or the frame's own epoch, has returned a challenge.
    fn prove(&mut self, seal: &PeerSeal, origin: Origin) {
        let is_known = self.candidate == Some(origin);
        self.proven = Some(origin);
        self.candidate = None;
        self.streams.clear();
        let challenge = if is_known { seal.echoes[1].load(Ordering::Relaxed) } else { 0 };
        seal.echoes[0].store(challenge, Ordering::Release);
        seal.echoes[1].store(0, Ordering::Release);
        seal.is_accepted.store(false, Ordering::Relaxed);
        seal.proven.store(origin.half(), Ordering::Relaxed);
        seal.answers.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes the hello of an accepted frame. Returns whether the peer accepts our frames for the first time.
    fn hello(&mut self, seal: &PeerSeal, epoch: u64, hello: &SealHello, now: Nanos) -> bool {
        let is_recent = |last: Nanos| now.saturating_sub(last) < SILENCE;
        if !self.last_hello.is_some_and(is_recent) {
            seal.eager_until.store(now.saturating_add(EAGERNESS), Ordering::Relaxed);
        }
        self.last_hello = Some(now);
        seal.peer_keys.store(u32::from_be_bytes(hello.keys), Ordering::Relaxed);
        set_echo(seal, 0, hello.challenge);
        if !self.answered.is_some_and(is_recent) && self.candidate.is_none() {
            seal.echoes[1].store(0, Ordering::Relaxed);
        }
        let accepts = hello.accepts == epoch;
        if accepts != seal.is_accepted.load(Ordering::Relaxed) {
            seal.is_accepted.store(accepts, Ordering::Relaxed);
            seal.answers.fetch_add(1, Ordering::Relaxed);
        }
        accepts && !core::mem::replace(&mut self.was_accepted, true)
    }

    /// Answers the hello of a frame that nothing proves to be recent.
    fn answer(&mut self, seal: &PeerSeal, hello: &SealHello, flags: u16, now: Nanos) {
        if flags & trailer_flags::ENCRYPT != 0 {
            // The peer has said so at some time. If that was long ago, encryption does no harm.
            seal.peer_encrypts.store(true, Ordering::Relaxed);
        }
        if self.answered.is_some_and(|last| now.saturating_sub(last) < ANSWER_INTERVAL) {
            return;
        }
        self.answered = Some(now);
        seal.eager_until.store(now.saturating_add(EAGERNESS), Ordering::Relaxed);
        seal.peer_keys.store(u32::from_be_bytes(hello.keys), Ordering::Relaxed);
        set_echo(seal, 1, hello.challenge);
        seal.answers.fetch_add(1, Ordering::Relaxed);
    }
}

fn set_echo(seal: &PeerSeal, index: usize, challenge: u64) {
    if seal.echoes[index].load(Ordering::Relaxed) != challenge {
        seal.echoes[index].store(challenge, Ordering::Release);
        seal.echo_version.fetch_add(1, Ordering::Release);
    }
}

/// Verifies a recorded frame of the node `creator`, whose epoch has this second half, and decrypts its text. For tools: nothing tells
/// whether the frame is recent, or the first of its number.
#[must_use]
pub fn open_recorded(
    key: &SealKey,
    (epoch, creator): (u64, u32),
    frame: &SealedFrame<'_>,
    text: &mut [u8],
) -> bool {
    let epoch = u128::from(frame.fields.epoch) << 64 | u128::from(epoch);
    let cipher = Cipher::derive(key, &Origin { epoch: epoch.to_be_bytes(), creator }, &frame.fields);
    cipher.decrypt(&nonce_of(&frame.fields), frame.covered, text, frame.tag)
}
