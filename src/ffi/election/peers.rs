//! Election: what the host knows of others

use super::super::PFPLANE_OK;
use super::config::{pfplane_election, with_election};
use crate::election::Election;

/// Tells whether a witness answers: a third party that a node reaches unless it is cut off itself. While this node receives no
/// peer and the witness does not answer, it is no master. With hellos a dead witness changes nothing; without them a master does
/// not receive its silent backup, and steps down. A host that never calls this has no witness.
///
/// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
/// Thread: the election's.
///
/// # Safety
/// `election` is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_election_witness(election: *mut pfplane_election, answers: bool) -> i32 {
    let body = |election: &mut Election| {
        election.witness(answers);
        Ok(PFPLANE_OK)
    };
    // SAFETY: the election is valid.
    unsafe { with_election(election, body) }
}

/// Tells that the peer is dead, as a host knows that runs BFD. A backup takes over without waiting.
///
/// Returns: PFPLANE_OK or PFPLANE_ERROR_NULL.
/// Thread: the election's.
///
/// # Safety
/// `election` is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_election_peer_down(election: *mut pfplane_election, now_ns: u64) -> i32 {
    let body = |election: &mut Election| {
        election.peer_down(now_ns);
        Ok(PFPLANE_OK)
    };
    // SAFETY: the election is valid.
    unsafe { with_election(election, body) }
}
