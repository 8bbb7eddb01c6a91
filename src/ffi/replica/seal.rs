//! The seal of a replica's peers
//!
//! As for an engine, whose calls explain more.

use super::super::engine::{pfplane_seal_key, pfplane_seal_status, write_status};
use super::super::{PFPLANE_OK, check_size, given, given_mut, pfplane_replica};
use super::calls::with_replica;
use super::store::Callbacks;
use crate::engine::renew_seals;
use crate::sync::Replica;

/// Adds a key for a sealed peer, as pfplane_engine_seal_key_add does.
///
/// Parameters: `peer`, its index in `pfplane_config.peers`; `key`, copied.
/// Returns: PFPLANE_OK; PFPLANE_ERROR_SETTING when the key cannot be added (the last error says why); PFPLANE_ERROR_NULL.
/// Thread: the replica's.
///
/// # Safety
/// `key->key` has `key->key_bytes` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_replica_seal_key_add(
    replica: Option<&mut pfplane_replica>,
    peer: u32,
    key: Option<&pfplane_seal_key>,
) -> i32 {
    let body = |replica: &mut Replica<Callbacks>| {
        // SAFETY: the C caller vouches for the key's bytes.
        let key = unsafe { given(key, "key")?.convert() }?;
        replica.add_seal_key(peer as usize, key)?;
        Ok(PFPLANE_OK)
    };
    with_replica(replica, body)
}

/// Removes a key of a sealed peer, as pfplane_engine_seal_key_remove does.
///
/// Returns: PFPLANE_OK; PFPLANE_ERROR_SETTING when the key cannot be removed (the last error says why); PFPLANE_ERROR_NULL.
/// Thread: the replica's.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_replica_seal_key_remove(
    replica: Option<&mut pfplane_replica>,
    peer: u32,
    id: u32,
) -> i32 {
    let body = |replica: &mut Replica<Callbacks>| {
        // No key has the id 0.
        replica.remove_seal_key(peer as usize, u8::try_from(id).unwrap_or(0))?;
        Ok(PFPLANE_OK)
    };
    with_replica(replica, body)
}

/// Begins another run of the seals, as pfplane_engine_seal_renew does.
///
/// Returns: PFPLANE_OK; PFPLANE_ERROR_SETTING when no peer is sealed or the system has no random bits; PFPLANE_ERROR_NULL.
/// Thread: the replica's.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_replica_seal_renew(replica: Option<&mut pfplane_replica>) -> i32 {
    let body = |replica: &mut Replica<Callbacks>| {
        renew_seals(replica.seals()?)?;
        Ok(PFPLANE_OK)
    };
    with_replica(replica, body)
}

/// Reports the state of a peer's seal, as of the last frame.
///
/// Parameters: the caller sets `status_out->size`.
/// Returns: PFPLANE_OK; PFPLANE_ERROR_ARGUMENT when there is no such peer; PFPLANE_ERROR_NULL or PFPLANE_ERROR_SIZE.
/// Thread: the replica's.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_replica_seal_status(
    replica: Option<&mut pfplane_replica>,
    peer: u32,
    status_out: Option<&mut pfplane_seal_status>,
) -> i32 {
    let body = |replica: &mut Replica<Callbacks>| {
        let out = given_mut(status_out, "status_out")?;
        check_size::<pfplane_seal_status>(out.size, "status_out")?;
        write_status(replica.seal_status(peer as usize), (peer, replica.peers()), out)?;
        Ok(PFPLANE_OK)
    };
    with_replica(replica, body)
}
