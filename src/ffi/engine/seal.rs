//! Seal
//!
//! Two pfplane nodes can seal their frames: each is authenticated with AES-256-GMAC or encrypted with AES-256-GCM, and forged,
//! changed, replayed and old ones are refused and counted. Both nodes set `pfplane_peer.seal` and have a key in common. The
//! statistics `badauth`, `seal_*` and `frames_refused` say what was refused; doc/seal.md is for operators.

use super::super::{
    Failure, PFPLANE_ERROR_ARGUMENT, PFPLANE_OK, check_size, elements, given, given_mut, guard,
    pfplane_engine, unknown,
};
use super::control::with_engine;
use crate::engine::Engine;
use crate::seal::{MAX_KEYS, SealKey, SealKeys, SealMode, SealStatus};
use crate::sync::{PeerSeal, UnsealedRights};

// enum pfplane_seal_mode: How frames from and to a peer are sealed.
/// Not at all. A seal of the peer is not verified.
pub const PFPLANE_SEAL_OFF: u32 = 0;
/// Frames to the peer are sealed. Its frames may lack a seal until the first valid one, and again an hour after the last. For the time
/// in which one node has the seal and the other not yet.
pub const PFPLANE_SEAL_SIGN: u32 = 1;
/// Frames to the peer are sealed, and of its frames only sealed ones are accepted.
pub const PFPLANE_SEAL_REQUIRE: u32 = 2;
/// Frames to and from the peer are encrypted too (AES-256-GCM). A peer in mode sign or require encrypts as soon as it knows that this
/// node does; its frames of before are refused.
pub const PFPLANE_SEAL_ENCRYPT: u32 = 3;

// enum pfplane_unsealed_right: What messages of frames without a seal may do to states of this node and of sealed peers, once a
// sealed peer has proven itself. Bits of `pfplane_peer.unsealed_may`.
/// Insert states.
pub const PFPLANE_UNSEALED_INSERT: u32 = 1;
/// Update states. Each side of a connection can only advance.
pub const PFPLANE_UNSEALED_UPDATE: u32 = 2;
/// Delete states.
pub const PFPLANE_UNSEALED_DELETE: u32 = 4;
/// Delete all states of a node.
pub const PFPLANE_UNSEALED_CLEAR: u32 = 8;

/// Keys that a peer can have at a time.
pub const PFPLANE_MAX_SEAL_KEYS: u32 = 4;

/// A pre-shared key. It is copied, and wiped when it is not needed any more; the caller wipes its own copy.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_seal_key {
    /// 32 random bytes.
    pub key: *const u8,
    /// 32: a shorter key is refused.
    pub key_bytes: u32,
    /// The key's number on both nodes, 1 to 255.
    pub id: u32,
}

/// The state of a peer's seal.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_seal_status {
    /// sizeof(struct pfplane_seal_status).
    pub size: u32,
    /// PFPLANE_SEAL_*.
    pub mode: u32,
    /// 1: this node accepts the peer's frames, because the peer has answered a challenge.
    pub proven: u8,
    /// 1: the peer accepts this node's frames.
    pub accepted: u8,
    /// The id of the key of the last frame sent; 0 for none.
    pub key_sent: u8,
    /// The id of the key of the last frame accepted; 0 for none.
    pub key_received: u8,
    /// The ids of this node's keys, the preferred one first; 0 behind the last.
    pub keys: [u8; 4],
    /// The ids of the peer's keys, as it said last; 0 behind the last.
    pub peer_keys: [u8; 4],
    /// 1: frames to the peer are encrypted.
    pub encrypts: u8,
    /// Zero.
    pub reserved: [u8; 3],
    /// Time of the last sealed frame that was accepted, 0 for never.
    pub last_accepted_ns: u64,
}

impl pfplane_seal_key {
    /// The key as the engine takes it.
    ///
    /// # Safety
    /// `key` is NULL or has `key_bytes` bytes.
    pub(in super::super) unsafe fn convert(&self) -> Result<SealKey, Failure> {
        // SAFETY: the caller vouches for the array and its length.
        let bytes = unsafe { elements(self.key, self.key_bytes, "seal_key.key") }?;
        let id = u8::try_from(self.id).unwrap_or(0);
        Ok(SealKey::new(id, bytes)?)
    }
}

/// The settings of a peer's seal.
///
/// # Safety
/// `keys` is NULL or has `count` elements, and each key has as many bytes as it says.
pub(super) unsafe fn peer_seal(
    mode: u8,
    unsealed_may: u8,
    keys: *const pfplane_seal_key,
    count: u8,
) -> Result<PeerSeal, Failure> {
    let mode = match u32::from(mode) {
        PFPLANE_SEAL_OFF => SealMode::Off,
        PFPLANE_SEAL_SIGN => SealMode::Sign,
        PFPLANE_SEAL_REQUIRE => SealMode::Require,
        PFPLANE_SEAL_ENCRYPT => SealMode::Encrypt,
        other => return Err(unknown("peer.seal", other)),
    };
    if unsealed_may & !UnsealedRights::ALL != 0 {
        return Err(unknown("peer.unsealed_may", unsealed_may));
    }
    let mut list = SealKeys::default();
    // SAFETY: `count` is the struct's own count of this array.
    for key in unsafe { elements(keys, count.into(), "peer.seal_keys") }? {
        // SAFETY: each key and its length are the caller's own pair.
        list.push(unsafe { key.convert() }?)?;
    }
    Ok(PeerSeal { mode, keys: list, unsealed: UnsealedRights(unsealed_may) })
}

/// Adds a key for a sealed peer. It is preferred to the others: frames are sealed with it as soon as the peer says that it has it
/// too. To rotate keys, add the new key on both nodes, wait until `key_received` of pfplane_engine_seal_status is the new one on both,
/// then remove the old key. No frame is lost.
///
/// Parameters: `peer`, its index in `pfplane_config.peers`; `key`, copied.
/// Returns: PFPLANE_OK; PFPLANE_ERROR_SETTING when the key has not 32 bytes, has an id that another key has, is the fifth one, or
/// the peer is not sealed (the last error says which); PFPLANE_ERROR_NULL.
/// Thread: any.
///
/// # Safety
/// `engine` is `NULL` or a valid engine; `key->key` has `key->key_bytes` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_engine_seal_key_add(
    engine: *mut pfplane_engine,
    peer: u32,
    key: Option<&pfplane_seal_key>,
) -> i32 {
    let body = |engine: &Engine| {
        // SAFETY: the C caller vouches for the key's bytes.
        let key = unsafe { given(key, "key")?.convert() }?;
        Ok(engine.add_seal_key(peer as usize, key)?)
    };
    // SAFETY: as the C caller gave it, NULL or valid.
    unsafe { with_engine(engine, body) }
}

/// Removes a key of a sealed peer.
///
/// Returns: PFPLANE_OK; PFPLANE_ERROR_SETTING when there is no such key, it is the last one, or the peer still sends with it or has no
/// other one of this node's keys (the last error says which); PFPLANE_ERROR_NULL.
/// Thread: any.
///
/// # Safety
/// `engine` is `NULL` or a valid engine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_engine_seal_key_remove(
    engine: *mut pfplane_engine,
    peer: u32,
    id: u32,
) -> i32 {
    let body = |engine: &Engine| {
        // No key has the id 0.
        Ok(engine.remove_seal_key(peer as usize, u8::try_from(id).unwrap_or(0))?)
    };
    // SAFETY: as in the call that adds a key.
    unsafe { with_engine(engine, body) }
}

/// Begins another run of the seals of all peers, with another epoch: for a process that was forked, or a machine that continues from a
/// snapshot, before its lanes send frames. Otherwise both copies seal different frames with one number, which can reveal what
/// encrypted frames hold and lets an attacker forge frames. All peers are proven again, and all states are sent to them again.
///
/// Returns: PFPLANE_OK; PFPLANE_ERROR_SETTING when no peer is sealed or the system has no random bits; PFPLANE_ERROR_NULL.
/// Thread: any.
///
/// # Safety
/// `engine` is `NULL` or a valid engine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_engine_seal_renew(engine: *mut pfplane_engine) -> i32 {
    let body = |engine: &Engine| {
        engine.renew_seals()?;
        Ok(())
    };
    // SAFETY: as in the call that adds a key.
    unsafe { with_engine(engine, body) }
}

/// Reports the state of a peer's seal, as of the last frame.
///
/// Parameters: the caller sets `status_out->size`.
/// Returns: PFPLANE_OK; PFPLANE_ERROR_ARGUMENT when there is no such peer; PFPLANE_ERROR_NULL or PFPLANE_ERROR_SIZE.
/// Thread: any.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_engine_seal_status(
    engine: Option<&pfplane_engine>,
    peer: u32,
    status_out: Option<&mut pfplane_seal_status>,
) -> i32 {
    guard(|| {
        let engine = &given(engine, "engine")?.engine;
        let out = given_mut(status_out, "status_out")?;
        check_size::<pfplane_seal_status>(out.size, "status_out")?;
        write_status(engine.seal_status(peer as usize), (peer, engine.peers()), out)?;
        Ok(PFPLANE_OK)
    })
}

/// Writes the state of peer number `peer` of `peers`; `None` if there is no such peer.
pub(in super::super) fn write_status(
    status: Option<SealStatus>,
    (peer, peers): (u32, usize),
    out: &mut pfplane_seal_status,
) -> Result<(), Failure> {
    let Some(status) = status else {
        let text = format_args!("peer {peer}: there are {peers}");
        return Err(Failure::new(PFPLANE_ERROR_ARGUMENT, text));
    };
    *out = pfplane_seal_status {
        size: out.size,
        mode: status.mode as u32,
        proven: status.is_proven.into(),
        accepted: status.is_accepted.into(),
        key_sent: status.key_sent,
        key_received: status.key_received,
        keys: status.keys,
        peer_keys: status.peer_keys,
        encrypts: status.encrypts.into(),
        reserved: [0; 3],
        last_accepted_ns: status.last_accepted,
    };
    Ok(())
}

const _: () = assert!(PFPLANE_MAX_SEAL_KEYS as usize == MAX_KEYS);
