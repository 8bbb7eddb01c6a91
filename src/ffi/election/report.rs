//! Election: status, events and counters

use super::super::{
    Failure, PFPLANE_END, PFPLANE_ERROR_ARGUMENT, PFPLANE_OK, check_size, given_mut, pfplane_address,
    pfplane_stat,
};
use super::config::{c_address, pfplane_election, with_election};
use crate::election::{Class, Election, EventKind, MemberCounters, Role, Why};
use crate::time::Nanos;
use core::ffi::c_char;

// enum pfplane_election_role: The role of a group.
/// No link is up, or the host forbids to be master: silent, owns nothing.
pub const PFPLANE_ELECTION_INIT: u32 = 0;
/// Another node is master, or none yet.
pub const PFPLANE_ELECTION_BACKUP: u32 = 1;
/// This node forwards while its lease lasts.
pub const PFPLANE_ELECTION_MASTER: u32 = 2;
/// It was master before it was stopped, and listens whether another node has taken over.
pub const PFPLANE_ELECTION_LISTEN: u32 = 3;

// enum pfplane_election_why: Why a group has its role.
/// The election has just begun.
pub const PFPLANE_ELECTION_WHY_STARTED: u32 = 0;
/// A link came up.
pub const PFPLANE_ELECTION_WHY_LINK_UP: u32 = 1;
/// All links are down.
pub const PFPLANE_ELECTION_WHY_LINKS_DOWN: u32 = 2;
/// The host forbids to be master.
pub const PFPLANE_ELECTION_WHY_FAULT: u32 = 3;
/// The master was silent.
pub const PFPLANE_ELECTION_WHY_SILENCE: u32 = 4;
/// The master said farewell.
pub const PFPLANE_ELECTION_WHY_FAREWELL: u32 = 5;
/// The host says that the peer is dead.
pub const PFPLANE_ELECTION_WHY_PEER_DOWN: u32 = 6;
/// This node is better, and preempts.
pub const PFPLANE_ELECTION_WHY_PREEMPTION: u32 = 7;
/// The master is demoted more than this node.
pub const PFPLANE_ELECTION_WHY_MASTER_DEMOTED: u32 = 8;
/// Another master is better.
pub const PFPLANE_ELECTION_WHY_BETTER_MASTER: u32 = 9;
/// The host asked to step down.
pub const PFPLANE_ELECTION_WHY_STEPPED_DOWN: u32 = 10;
/// The host called too late.
pub const PFPLANE_ELECTION_WHY_LATE_POLL: u32 = 11;
/// After a late call, nobody had taken over.
pub const PFPLANE_ELECTION_WHY_NOBODY_ELSE: u32 = 12;
/// Neither a peer nor the witness is reachable.
pub const PFPLANE_ELECTION_WHY_ISOLATED: u32 = 13;
/// A peer or the witness is reachable again.
pub const PFPLANE_ELECTION_WHY_REACHABLE: u32 = 14;

// enum pfplane_election_event_kind: What happened. A change of the role and PFPLANE_ELECTION_EVENT_LOST always come, every other
// kind once a second and member at most, PFPLANE_ELECTION_EVENT_REFUSED once a second, member and counter.
/// The role changed.
pub const PFPLANE_ELECTION_EVENT_ROLE: u32 = 1;
/// Another node is master too, and worse.
pub const PFPLANE_ELECTION_EVENT_CONFLICT: u32 = 2;
/// Another node advertises exactly what this one does: give them different priorities.
pub const PFPLANE_ELECTION_EVENT_EQUAL: u32 = 3;
/// The master is received elsewhere, but not on this member.
pub const PFPLANE_ELECTION_EVENT_MEMBER_DEAF: u32 = 4;
/// The peer is well, but does not receive this node on this member.
pub const PFPLANE_ELECTION_EVENT_MEMBER_MUTE: u32 = 5;
/// An advert lists other addresses.
pub const PFPLANE_ELECTION_EVENT_ADDRESSES_DIFFER: u32 = 6;
/// A node advertises at another interval: `interval_us` and `own_interval_us`.
pub const PFPLANE_ELECTION_EVENT_INTERVAL_DIFFERS: u32 = 7;
/// A digest is wrong: another pass-phrase, or other addresses.
pub const PFPLANE_ELECTION_EVENT_BAD_DIGEST: u32 = 8;
/// A checksum is right in the manner of the other RFC: see checksum_rfc9568.
pub const PFPLANE_ELECTION_EVENT_CHECKSUM_OTHER_MANNER: u32 = 9;
/// Multicast where peers are configured, or unicast where none are.
pub const PFPLANE_ELECTION_EVENT_WRONG_MODE: u32 = 10;
/// The host called too late.
pub const PFPLANE_ELECTION_EVENT_LATE_POLL: u32 = 11;
/// A counter came twice with different values: somebody replays adverts.
pub const PFPLANE_ELECTION_EVENT_CONTRADICTED: u32 = 12;
/// `lost` events were lost, because they were not read.
pub const PFPLANE_ELECTION_EVENT_LOST: u32 = 13;
/// An advert was refused; `counter` says why.
pub const PFPLANE_ELECTION_EVENT_REFUSED: u32 = 14;

/// An event.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_election_event {
    /// sizeof(struct pfplane_election_event).
    pub size: u32,
    /// PFPLANE_ELECTION_EVENT_*.
    pub kind: u32,
    /// When.
    pub at_ns: u64,
    /// The member that it concerns, UINT32_MAX for none.
    pub member: u32,
    /// PFPLANE_ELECTION_EVENT_ROLE: the role before, PFPLANE_ELECTION_*.
    pub role_before: u32,
    /// PFPLANE_ELECTION_EVENT_ROLE: the role now.
    pub role: u32,
    /// PFPLANE_ELECTION_EVENT_ROLE: PFPLANE_ELECTION_WHY_*.
    pub why: u32,
    /// PFPLANE_ELECTION_EVENT_LOST: how many.
    pub lost: u32,
    /// Who sent what caused it, without a family for nobody.
    pub source: pfplane_address,
    /// PFPLANE_ELECTION_EVENT_REFUSED: the number of the member's counter that counts it, for pfplane_election_stat. UINT32_MAX
    /// for none.
    pub counter: u32,
    /// PFPLANE_ELECTION_EVENT_INTERVAL_DIFFERS: the other node's interval in microseconds. CARP: its advbase, if that is not 0.
    pub interval_us: u32,
    /// PFPLANE_ELECTION_EVENT_INTERVAL_DIFFERS: this node's.
    pub own_interval_us: u32,
    /// Zero.
    pub reserved: u32,
}

/// What a group is doing.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_election_status {
    /// sizeof(struct pfplane_election_status).
    pub size: u32,
    /// PFPLANE_ELECTION_INIT, _BACKUP, _MASTER or _LISTEN.
    pub role: u32,
    /// Why it has the role: PFPLANE_ELECTION_WHY_*.
    pub why: u32,
    /// PFPLANE_ELECTION_SYNCED, _GAVE_UP or _LOADING, as it counts: a master that had all states once counts as synced.
    pub readiness: u32,
    /// Its demotion, in the dialect's measure.
    pub demotion: u32,
    /// What it advertises: OpenBSD's demotion in the upper half, in the lower one CARP's advbase and advskew, or 255 less VRRP's
    /// priority. The smaller is the better master.
    pub rank: u32,
    /// Since when it has the role.
    pub since_ns: u64,
    /// The end of its lease, 0 for none.
    pub forward_until_ns: u64,
    /// The master that it received last, without a family while it is master itself.
    pub master: pfplane_address,
    /// The interval of a node whose interval is another one, in microseconds; 0 for none.
    pub other_interval_us: u32,
    /// When it received this master last, 0 for never.
    pub master_at_ns: u64,
    /// When the peer last said hello, 0 for never.
    pub hello_at_ns: u64,
    /// Changes of the role since the start.
    pub role_changes: u64,
    /// Calls that came too late while it was master.
    pub late_polls: u64,
}

const fn role_number(role: Role) -> u32 {
    match role {
        Role::Init => PFPLANE_ELECTION_INIT,
        Role::Backup => PFPLANE_ELECTION_BACKUP,
        Role::Master => PFPLANE_ELECTION_MASTER,
        Role::Listen => PFPLANE_ELECTION_LISTEN,
    }
}

const fn why_number(why: Why) -> u32 {
    match why {
        Why::Started => PFPLANE_ELECTION_WHY_STARTED,
        Why::LinkUp => PFPLANE_ELECTION_WHY_LINK_UP,
        Why::LinksDown => PFPLANE_ELECTION_WHY_LINKS_DOWN,
        Why::Fault => PFPLANE_ELECTION_WHY_FAULT,
        Why::Silence => PFPLANE_ELECTION_WHY_SILENCE,
        Why::Farewell => PFPLANE_ELECTION_WHY_FAREWELL,
        Why::PeerDown => PFPLANE_ELECTION_WHY_PEER_DOWN,
        Why::Preemption => PFPLANE_ELECTION_WHY_PREEMPTION,
        Why::MasterDemoted => PFPLANE_ELECTION_WHY_MASTER_DEMOTED,
        Why::BetterMaster => PFPLANE_ELECTION_WHY_BETTER_MASTER,
        Why::SteppedDown => PFPLANE_ELECTION_WHY_STEPPED_DOWN,
        Why::LatePoll => PFPLANE_ELECTION_WHY_LATE_POLL,
        Why::NobodyElse => PFPLANE_ELECTION_WHY_NOBODY_ELSE,
        Why::Isolated => PFPLANE_ELECTION_WHY_ISOLATED,
        Why::Reachable => PFPLANE_ELECTION_WHY_REACHABLE,
    }
}

const fn kind_number(kind: EventKind) -> u32 {
    match kind {
        EventKind::Role { .. } => PFPLANE_ELECTION_EVENT_ROLE,
        EventKind::Conflict => PFPLANE_ELECTION_EVENT_CONFLICT,
        EventKind::Equal => PFPLANE_ELECTION_EVENT_EQUAL,
        EventKind::MemberDeaf => PFPLANE_ELECTION_EVENT_MEMBER_DEAF,
        EventKind::MemberMute => PFPLANE_ELECTION_EVENT_MEMBER_MUTE,
        EventKind::AddressesDiffer => PFPLANE_ELECTION_EVENT_ADDRESSES_DIFFER,
        EventKind::IntervalDiffers { .. } => PFPLANE_ELECTION_EVENT_INTERVAL_DIFFERS,
        EventKind::BadDigest => PFPLANE_ELECTION_EVENT_BAD_DIGEST,
        EventKind::ChecksumOtherManner => PFPLANE_ELECTION_EVENT_CHECKSUM_OTHER_MANNER,
        EventKind::WrongMode => PFPLANE_ELECTION_EVENT_WRONG_MODE,
        EventKind::LatePoll => PFPLANE_ELECTION_EVENT_LATE_POLL,
        EventKind::Contradicted => PFPLANE_ELECTION_EVENT_CONTRADICTED,
        EventKind::Lost(_) => PFPLANE_ELECTION_EVENT_LOST,
        EventKind::Refused(_) => PFPLANE_ELECTION_EVENT_REFUSED,
    }
}

fn microseconds(time: Nanos) -> u32 {
    u32::try_from(time / 1000).unwrap_or(u32::MAX)
}

/// Returns the number of the counter of an advert that was refused.
fn counter_number(kind: EventKind) -> u32 {
    let EventKind::Refused(refusal) = kind else { return u32::MAX };
    let index = MemberCounters::LIST.iter().position(|counter| counter.name == refusal.counter());
    index.map_or(u32::MAX, |index| index as u32)
}

/// Takes the oldest event. Call it until it returns PFPLANE_END; 64 are kept.
///
/// Parameters: the caller sets `event_out->size`.
/// Returns: PFPLANE_OK; PFPLANE_END when there is none; PFPLANE_ERROR_SIZE; PFPLANE_ERROR_NULL.
/// Thread: the election's.
///
/// # Safety
/// `election` is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_election_event_next(
    election: *mut pfplane_election,
    now_ns: u64,
    event_out: Option<&mut pfplane_election_event>,
) -> i32 {
    let body = |election: &mut Election| {
        let out = given_mut(event_out, "event_out")?;
        check_size::<pfplane_election_event>(out.size, "event_out")?;
        let Some(event) = election.event_next(now_ns) else { return Ok(PFPLANE_END) };
        let (role_before, role, why) = match event.kind {
            EventKind::Role { from, to, why } => (role_number(from), role_number(to), why_number(why)),
            _ => (0, 0, 0),
        };
        let (ours, theirs) = match event.kind {
            EventKind::IntervalDiffers { ours, theirs } => (microseconds(ours), microseconds(theirs)),
            _ => (0, 0),
        };
        *out = pfplane_election_event {
            size: out.size,
            kind: kind_number(event.kind),
            at_ns: event.at,
            member: event.member.map_or(u32::MAX, u32::from),
            role_before,
            role,
            why,
            lost: if let EventKind::Lost(lost) = event.kind { lost } else { 0 },
            source: c_address(event.source),
            counter: counter_number(event.kind),
            interval_us: theirs,
            own_interval_us: ours,
            reserved: 0,
        };
        Ok(PFPLANE_OK)
    };
    // SAFETY: the election is valid.
    unsafe { with_election(election, body) }
}

/// Returns what the group is doing.
///
/// Parameters: the caller sets `status_out->size`.
/// Returns: PFPLANE_OK; PFPLANE_ERROR_SIZE; PFPLANE_ERROR_NULL.
/// Thread: the election's.
///
/// # Safety
/// `election` is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_election_status_read(
    election: *const pfplane_election,
    status_out: Option<&mut pfplane_election_status>,
) -> i32 {
    let body = |election: &mut Election| {
        let out = given_mut(status_out, "status_out")?;
        check_size::<pfplane_election_status>(out.size, "status_out")?;
        let status = election.status();
        *out = pfplane_election_status {
            size: out.size,
            role: role_number(status.role),
            why: why_number(status.why),
            readiness: match status.class {
                Class::Synced => super::PFPLANE_ELECTION_SYNCED,
                Class::GaveUp => super::PFPLANE_ELECTION_GAVE_UP,
                Class::Loading => super::PFPLANE_ELECTION_LOADING,
            },
            demotion: status.demotion,
            rank: u32::from(status.rank.demotion) << 16 | u32::from(status.rank.timing),
            since_ns: status.since,
            forward_until_ns: election.forwarding().until(),
            master: c_address(status.master.map(|(source, _)| source)),
            other_interval_us: status.other_interval.map_or(0, microseconds),
            master_at_ns: status.master.map_or(0, |(_, at)| at),
            hello_at_ns: status.greeted.unwrap_or(0),
            role_changes: status.role_changes,
            late_polls: status.late_polls,
        };
        Ok(PFPLANE_OK)
    };
    // SAFETY: the election is valid.
    unsafe { with_election(election, body) }
}

/// A reason of the host's for a demotion.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_election_reason {
    /// sizeof(struct pfplane_election_reason).
    pub size: u32,
    /// Its weight.
    pub weight: u32,
    /// Its name, NUL-terminated.
    pub name: [c_char; 32],
}

/// Returns the host's reason number `index`, counted from 0.
///
/// Parameters: the caller sets `reason_out->size`.
/// Returns: PFPLANE_OK; PFPLANE_END when `index` is past the last; PFPLANE_ERROR_SIZE; PFPLANE_ERROR_NULL.
/// Thread: the election's.
///
/// # Safety
/// `election` is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_election_reason_at(
    election: *const pfplane_election,
    index: u32,
    reason_out: Option<&mut pfplane_election_reason>,
) -> i32 {
    let body = |election: &mut Election| {
        let out = given_mut(reason_out, "reason_out")?;
        check_size::<pfplane_election_reason>(out.size, "reason_out")?;
        let Some(reason) = election.reasons().get(index as usize) else { return Ok(PFPLANE_END) };
        (out.weight, out.name) = (reason.weight, [0; 32]);
        for (to, byte) in out.name.iter_mut().zip(reason.name.bytes()) {
            *to = c_char::from_ne_bytes([byte]);
        }
        Ok(PFPLANE_OK)
    };
    // SAFETY: the election is valid.
    unsafe { with_election(election, body) }
}

/// Returns counter number `index` of a member. Names that the systems' CARP has are kept.
///
/// Parameters: `member`, its index in `pfplane_election_config.members`; the caller sets `stat_out->size`.
/// Returns: PFPLANE_OK; PFPLANE_END when `index` is past the last; PFPLANE_ERROR_ARGUMENT when there is no such member;
/// PFPLANE_ERROR_SIZE; PFPLANE_ERROR_NULL.
/// Ownership: the texts are the library's.
/// Thread: the election's.
///
/// # Safety
/// `election` is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_election_stat(
    election: *const pfplane_election,
    member: u32,
    index: u32,
    stat_out: Option<&mut pfplane_stat>,
) -> i32 {
    let body = |election: &mut Election| {
        pfplane_stat::fill(stat_out, || {
            let counters = election.counters(member as usize).ok_or_else(|| no_member(member))?;
            let descriptor = MemberCounters::LIST.get(index as usize);
            Ok(descriptor.zip(counters.values().get(index as usize).copied()))
        })
    };
    // SAFETY: the election is valid.
    unsafe { with_election(election, body) }
}

fn no_member(member: u32) -> Failure {
    Failure::new(PFPLANE_ERROR_ARGUMENT, format_args!("member {member}: the election has no such member"))
}
