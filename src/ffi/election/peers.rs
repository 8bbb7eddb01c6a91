//! Election: what the host knows of others

use super::super::{Failure, PFPLANE_ERROR_ARGUMENT, PFPLANE_ERROR_SETTING, PFPLANE_OK};
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

/// Checks that two groups of this host have no id in common on a network (port and VLAN), where their frames could not be
/// distinguished. A host with several groups calls it for each pair before the first poll.
///
/// Returns: PFPLANE_OK; PFPLANE_ERROR_SETTING when they have one (the last error names the id and both members);
/// PFPLANE_ERROR_ARGUMENT when both are the same election; PFPLANE_ERROR_NULL.
/// Thread: the election's.
///
/// # Safety
/// `election` and `other` are valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_election_check_beside(
    election: *const pfplane_election,
    other: *const pfplane_election,
) -> i32 {
    let body = |this: &mut Election| {
        if core::ptr::eq(election, other) {
            return Err(Failure::new(PFPLANE_ERROR_ARGUMENT, "other is the election itself"));
        }
        let mut clash = None;
        let compare = |other: &mut Election| {
            clash = this.shared_id(other).map(|(here, there)| (here, there, other.group()));
            Ok(PFPLANE_OK)
        };
        // SAFETY: valid, as the caller promises, and another one.
        let status = unsafe { with_election(other, compare) };
        let Some((here, there, group)) = clash else { return Ok(status) };
        let (port, vlan, id) = this.network_of(here);
        Err(Failure::new(
            PFPLANE_ERROR_SETTING,
            format_args!(
                "members[{here}]: id {id} on port {port}, VLAN {vlan} is also that of members[{there}] of group {group}"
            ),
        ))
    };
    // SAFETY: the election is valid.
    unsafe { with_election(election, body) }
}
