//! What the lanes and the control thread share. Lanes never wait for it.

use super::challenges::RunSecret;
use super::cipher::{Epoch, Origin, expand, halves};
use super::keys::{MAX_KEYS, SealKey, SealKeys};
use crate::error::Error;
use crate::memory::{Heap, List};
use crate::time::Nanos;
use arrayvec::ArrayVec;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use zeroize::Zeroizing;

/// Challenges of one peer that wait for their answer: that of its proven epoch, and that of another one.
pub const MAX_ECHOES: usize = 2;

/// How frames from and to a peer are sealed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SealMode {
    /// Not at all. A seal of the peer is not verified.
    #[default]
    Off = 0,
    /// Frames to the peer are sealed. Its frames may lack a seal, until the first valid one and again an hour after the last.
    Sign = 1,
    /// Frames to the peer are sealed, and only sealed frames of it are accepted.
    Require = 2,
    /// Frames in both directions are encrypted. A peer in mode `Sign` or `Require` encrypts too as soon as it knows.
    Encrypt = 3,
}

/// The seal of one peer.
#[derive(Debug)]
pub(super) struct PeerSeal {
    pub mode: SealMode,
    /// Changed by the control thread. A lane that does not get them at once keeps its copy for another frame.
    keys: Mutex<SealKeys>,
    /// Counts changes of the keys.
    generation: AtomicU32,
    /// Sync lane: our newest challenge.
    pub challenge: AtomicU64,
    /// Sync lane: challenges of the peer to return, 0 for none; see [`MAX_ECHOES`].
    pub echoes: [AtomicU64; MAX_ECHOES],
    /// Sync lane: counts changes of these.
    pub echo_version: AtomicU32,
    /// Sync lane: counts hellos that are to be answered at once.
    pub answers: AtomicU32,
    /// Sync lane: until when challenges are returned often, because the peer may not accept every stream yet.
    pub eager_until: AtomicU64,
    /// Sync lane: the ids of the peer's keys, 0 while they are unknown.
    pub peer_keys: AtomicU32,
    /// Sync lane: first half of the peer's epoch once it is proven, otherwise 0.
    pub proven: AtomicU64,
    /// Sync lane: when that was, or the last frame was accepted.
    pub last_accepted: AtomicU64,
    /// Sync lane: the peer accepts our frames.
    pub is_accepted: AtomicBool,
    /// Sync lane: the peer accepts encrypted frames only.
    pub peer_encrypts: AtomicBool,
    /// Sync lane: the key of the last accepted frame, 0 for none.
    pub key_received: AtomicU32,
    /// The key of the last sealed frame, 0 for none.
    pub key_sent: AtomicU32,
}

impl PeerSeal {
    fn new(mode: SealMode, keys: SealKeys) -> Self {
        Self {
            mode,
            keys: Mutex::new(keys),
            generation: AtomicU32::new(1),
            challenge: AtomicU64::new(0),
            echoes: Default::default(),
            echo_version: AtomicU32::new(0),
            answers: AtomicU32::new(0),
            eager_until: AtomicU64::new(0),
            peer_keys: AtomicU32::new(0),
            proven: AtomicU64::new(0),
            last_accepted: AtomicU64::new(0),
            is_accepted: AtomicBool::new(false),
            peer_encrypts: AtomicBool::new(false),
            key_received: AtomicU32::new(0),
            key_sent: AtomicU32::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, SealKeys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Copies the keys if they have changed since `generation` and nobody changes them now. Returns whether it did.
    pub(super) fn take_keys(&self, generation: &mut u32, keys: &mut SealKeys) -> bool {
        if self.generation.load(Ordering::Relaxed) == *generation {
            return false;
        }
        let Ok(current) = self.keys.try_lock() else { return false };
        keys.clone_from(&current);
        *generation = self.generation.load(Ordering::Relaxed);
        true
    }

    pub(super) fn held_keys(&self) -> [u8; MAX_KEYS] {
        self.peer_keys.load(Ordering::Relaxed).to_be_bytes()
    }

    /// Returns the challenges to return.
    pub(super) fn echoes(&self) -> ArrayVec<u64, MAX_ECHOES> {
        let echoes = self.echoes.iter().map(|echo| echo.load(Ordering::Acquire));
        echoes.filter(|&challenge| challenge != 0).collect()
    }

    /// Whether frames to the peer are encrypted.
    pub(super) fn encrypts(&self) -> bool {
        self.mode == SealMode::Encrypt
            || self.mode != SealMode::Off && self.peer_encrypts.load(Ordering::Relaxed)
    }

    pub(super) fn is_eager(&self, now: Nanos) -> bool {
        now < self.eager_until.load(Ordering::Relaxed)
    }

    /// Whether both nodes accept each other's frames.
    pub(super) fn is_established(&self) -> bool {
        self.proven.load(Ordering::Relaxed) != 0 && self.is_accepted.load(Ordering::Relaxed)
    }
}

/// The state of one peer's seal, for operators.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SealStatus {
    /// The mode.
    pub mode: SealMode,
    /// This node accepts the peer's frames.
    pub is_proven: bool,
    /// The peer accepts this node's frames.
    pub is_accepted: bool,
    /// Frames to the peer are encrypted.
    pub encrypts: bool,
    /// When a frame was accepted last; 0 for never.
    pub last_accepted: Nanos,
    /// The ids of this node's keys, the preferred one first; 0 for none.
    pub keys: [u8; MAX_KEYS],
    /// The ids of the peer's keys.
    pub peer_keys: [u8; MAX_KEYS],
    /// The key of the last frame sent; 0 for none.
    pub key_sent: u8,
    /// The key of the last frame accepted; 0 for none.
    pub key_received: u8,
}

/// What a node has drawn for its run. Copies of a process that renew it have different ones.
#[derive(Debug)]
pub(super) struct Run {
    renewal: u64,
    pub origin: Origin,
    /// For challenges.
    pub secret: RunSecret,
}

/// The seals of all peers.
#[derive(Debug)]
pub struct SealShared {
    random: RunSecret,
    creator: u32,
    /// A random number that was drawn when the run was renewed last; 0 before. Each lane derives the run from it by itself.
    renewal: AtomicU64,
    pub(super) peers: List<PeerSeal>,
}

impl SealShared {
    /// Draws an epoch. `system` are random bits of the operating system, `seed` those of the host, and `run` a number that
    /// differs between runs with equal seeds.
    ///
    /// # Errors
    /// Neither has random bits; a sealed peer has no key; [`Error::OutOfMemory`].
    pub fn new(
        (system, seed, run): (Option<[u8; 32]>, Option<[u8; 32]>, u64),
        creator: u32,
        peers: impl ExactSizeIterator<Item = (SealMode, SealKeys)>,
        heap: Heap,
    ) -> Result<Self, Error> {
        let no_random = Error::Invalid {
            name: "peer.seal",
            reason: "the system has no random bits for the seal, and random_seed is not given",
        };
        let (Some(random), other) = (system.or(seed), seed.unwrap_or_default()) else {
            return Err(no_random);
        };
        let random = Zeroizing::new(random);
        let mut drawn = RunSecret([0; 32]);
        expand(&other, &*random, &[b"pfplane seal run", &run.to_be_bytes()], &mut drawn.0);
        let mut list = heap.list("seals", peers.len())?;
        for (mode, keys) in peers {
            check(mode, &keys)?;
            list.push(PeerSeal::new(mode, keys));
        }
        Ok(Self { random: drawn, creator, renewal: AtomicU64::new(0), peers: list })
    }

    /// Returns the run as it is now.
    pub(super) fn run(&self) -> Run {
        let renewal = self.renewal.load(Ordering::Acquire);
        let mut drawn = Zeroizing::new([0; 48]);
        expand(&renewal.to_be_bytes(), &self.random.0, &[b"pfplane seal epoch"], &mut *drawn);
        let mut epoch: Epoch = core::array::from_fn(|n| drawn[n]);
        if halves(&epoch).0 == 0 {
            epoch[7] = 1;
        }
        let secret = RunSecret(core::array::from_fn(|n| drawn[16 + n]));
        Run { renewal, origin: Origin { epoch, creator: self.creator }, secret }
    }

    /// Changes a lane's copy of the run if it was renewed. Returns whether it was.
    pub(super) fn update(&self, run: &mut Run) -> bool {
        let is_renewed = self.renewal.load(Ordering::Acquire) != run.renewal;
        if is_renewed {
            *run = self.run();
        }
        is_renewed
    }

    /// Begins another run, with another epoch: as if the node had been restarted, but for its states. `random` are new random bits.
    pub fn renew(&self, random: [u8; 32]) {
        let [a, b, c, d, e, f, g, h, ..] = random;
        self.renewal.store(u64::from_be_bytes([a, b, c, d, e, f, g, h]).max(1), Ordering::Release);
    }

    /// Returns the bytes that [`Self::new`] allocates.
    #[must_use]
    pub const fn memory_needed(peers: usize) -> usize {
        peers * size_of::<PeerSeal>()
    }

    /// Returns the half of the epoch that is in every trailer.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.run().origin.half()
    }

    /// Returns the number of peers.
    #[must_use]
    pub fn peers(&self) -> usize {
        self.peers.len()
    }

    /// Adds a key, which is used as soon as the peer has it.
    ///
    /// # Errors
    /// The peer is not sealed; as [`SealKeys::prefer`].
    pub fn add_key(&self, peer: usize, key: SealKey) -> Result<(), Error> {
        self.change(peer, |_, keys| keys.prefer(key))
    }

    /// Removes a key.
    ///
    /// # Errors
    /// The peer is not sealed, still sends with this key, or has no other one of ours; as [`SealKeys::remove`].
    pub fn remove_key(&self, peer: usize, id: u8) -> Result<(), Error> {
        self.change(peer, |seal, keys| {
            let mut rest = keys.clone();
            rest.remove(id)?;
            let held = seal.held_keys();
            let is_in_use = seal.key_received.load(Ordering::Relaxed) == u32::from(id);
            let is_known = seal.proven.load(Ordering::Relaxed) != 0;
            let has_common = rest.ids().iter().any(|id| *id != 0 && held.contains(id));
            if is_known && (is_in_use || !has_common) {
                let reason = "the peer still sends with this key; give it the next one first";
                return Err(Error::Invalid { name: "peer.seal_keys", reason });
            }
            *keys = rest;
            Ok(())
        })
    }

    fn change(
        &self,
        peer: usize,
        change: impl FnOnce(&PeerSeal, &mut SealKeys) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let seal = self.peers.get(peer).filter(|seal| seal.mode != SealMode::Off);
        let seal = seal.ok_or(Error::Invalid { name: "peer.seal", reason: "this peer is not sealed" })?;
        let mut keys = seal.lock();
        change(seal, &mut keys)?;
        seal.generation.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Returns the state of a peer's seal.
    #[must_use]
    pub fn status(&self, peer: usize) -> Option<SealStatus> {
        let seal = self.peers.get(peer)?;
        Some(SealStatus {
            mode: seal.mode,
            is_proven: seal.proven.load(Ordering::Relaxed) != 0,
            is_accepted: seal.is_accepted.load(Ordering::Relaxed),
            encrypts: seal.encrypts(),
            last_accepted: seal.last_accepted.load(Ordering::Relaxed),
            keys: seal.lock().ids(),
            peer_keys: seal.held_keys(),
            key_sent: seal.key_sent.load(Ordering::Relaxed) as u8,
            key_received: seal.key_received.load(Ordering::Relaxed) as u8,
        })
    }
}

/// Checks the keys of a peer with this mode.
///
/// # Errors
/// A sealed peer has none.
pub(super) fn check(mode: SealMode, keys: &SealKeys) -> Result<(), Error> {
    if mode != SealMode::Off && keys.is_empty() {
        return Err(Error::Invalid {
            name: "peer.seal_keys",
            reason: "a sealed peer needs at least one key",
        });
    }
    Ok(())
}
