//! Election: configuration
//!
//! An election decides which node forwards. A group is a set of shared addresses on several interfaces, of both families, that
//! change master together. It speaks CARP, by the rules of OpenBSD or FreeBSD, or VRRPv3, and does no I/O: the host passes in
//! frames of IP protocol 112 and the time, sends the frames that come out, and asks pfplane_election_may_forward before each
//! burst.
//!
//! Which one to choose: PFPLANE_ELECTION_VRRP3 for two pfplane nodes (from 10 ms) and beside keepalived or FRR;
//! PFPLANE_ELECTION_OPENBSD or _FREEBSD if the other node is a pf box or runs ucarp (about 3 s).

use super::super::{
    Failure, PFPLANE_ERROR_ARGUMENT, PFPLANE_ERROR_PANIC, PFPLANE_OK, check_size, elements, given, given_mut,
    guard, pfplane_address, pfplane_allocator, put, unknown,
};
use crate::election::{
    ChecksumManner, Dialect, Election, ElectionConfig, Forwarding, MacMode, MemberConfig, Silence,
};
use crate::memory::{Counted, Heap, Memory, Owned, try_copy, try_list, try_vec};
use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char};
use core::mem::MaybeUninit;
use core::net::IpAddr;
use core::sync::atomic::{AtomicBool, Ordering};
use zeroize::Zeroizing;

/// Decides which node is master: one group of shared addresses, by CARP or VRRPv3.
pub struct pfplane_election {
    /// What any thread may ask.
    pub(super) forwarding: Counted<Forwarding>,
    /// What one thread at a time uses: whoever has set `in_use`.
    election: UnsafeCell<Election>,
    in_use: AtomicBool,
    /// Where the election is.
    heap: Heap,
}

// enum pfplane_election_dialect: Protocol and rules.
/// CARP with OpenBSD's rules: a demotion counts before the timing.
pub const PFPLANE_ELECTION_OPENBSD: u32 = 1;
/// CARP with FreeBSD's rules: a demotion is part of advskew.
pub const PFPLANE_ELECTION_FREEBSD: u32 = 2;
/// VRRP version 3 (RFC 9568).
pub const PFPLANE_ELECTION_VRRP3: u32 = 3;

// enum pfplane_election_silence: When a backup takes a master for dead.
/// Silence on all members and of hellos if the peer says hello; otherwise silence on any member, as BSD has it.
pub const PFPLANE_ELECTION_SILENCE_AUTOMATIC: u32 = 0;
/// Silence on all members and of hellos.
pub const PFPLANE_ELECTION_SILENCE_ALL: u32 = 1;
/// Silence on any member.
pub const PFPLANE_ELECTION_SILENCE_ANY: u32 = 2;

// enum pfplane_election_mac: Which MAC address the shared addresses have.
/// The virtual one, which moves with the role: 00:00:5e:00:01:ID, of VRRP over IPv6 00:00:5e:00:02:ID.
pub const PFPLANE_ELECTION_MAC_VIRTUAL: u32 = 0;
/// The virtual one, but adverts come from the port's own: for ports that drop frames whose source is an address of theirs.
pub const PFPLANE_ELECTION_MAC_VIRTUAL_ADVERTS_OWN: u32 = 1;
/// The port's own: for clouds, hypervisors that forbid other addresses, and ucarp.
pub const PFPLANE_ELECTION_MAC_OWN: u32 = 2;

/// One interface and one family of a group. All of it is copied.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_election_member {
    /// sizeof(struct pfplane_election_member).
    pub size: u32,
    /// The host's number of the port.
    pub port: u16,
    /// The VLAN, 1 to 4094. 0: untagged.
    pub vlan: u16,
    /// The group's id on this network (CARP: vhid, VRRP: VRID), 1 to 255. No other group on the VLAN may have it.
    pub id: u8,
    /// Zero.
    pub reserved: u8,
    /// The port's own MAC address.
    pub own_mac: [u8; 6],
    /// This node's own address, where adverts come from. IPv6: link-local. Its family is the member's.
    pub own_address: pfplane_address,
    /// Elements of `addresses`: 1 to 255.
    pub address_count: u32,
    /// Elements of `peers`: 0 to 16.
    pub peer_count: u32,
    /// The addresses that the group shares here, in any order, of the member's family. All nodes have the same ones.
    pub addresses: *const pfplane_address,
    /// The own addresses of the other nodes, for unicast. None: multicast, from anybody.
    pub peers: *const pfplane_address,
    /// CARP's pass-phrase, NUL-terminated, at most 19 bytes; all members with one id on one network have the same. `NULL` for none.
    pub passphrase: *const c_char,
}

/// A group.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_election_config {
    /// sizeof(struct pfplane_election_config).
    pub size: u32,
    /// PFPLANE_ELECTION_OPENBSD, _FREEBSD or _VRRP3. Default PFPLANE_ELECTION_VRRP3.
    pub dialect: u32,
    /// PFPLANE_ELECTION_SILENCE_*. Default PFPLANE_ELECTION_SILENCE_AUTOMATIC.
    pub silence: u32,
    /// PFPLANE_ELECTION_MAC_*. Default PFPLANE_ELECTION_MAC_VIRTUAL.
    pub mac: u32,
    /// 1 to 254, higher is better; CARP's advskew is 254 less it. Give each node another one. With VRRP, 1 and 2 also stand for
    /// nodes without all states. Default 100.
    pub priority: u8,
    /// 1: takes over from a worse master that is alive, once this node has had all states for `preempt_delay_ms`. It is the
    /// better node's setting. A master that says it has not all states is replaced in any case, and one that is more demoted by
    /// OpenBSD's rules or if hellos tell it. Default 0.
    pub preempt: u8,
    /// 1: VRRP's checksum over IPv4 without pseudo header, as RFC 9568 has it. 0: with it, as RFC 5798 has it and most routers
    /// do. Default 0.
    pub checksum_rfc9568: u8,
    /// 1: accepts VRRP adverts that list other addresses. Default 0.
    pub ignore_addresses: u8,
    /// Time between adverts in microseconds. VRRP: 10000 to 40950000, whole hundredths of a second. CARP: whole seconds to
    /// 254000000; OpenBSD also below one second, in 1/256. A backup waits three of them and up to one more. Default 1000000.
    pub interval_us: u32,
    /// Adverts that announce a shorter interval are refused. Default 5000.
    pub min_interval_us: u32,
    /// How long to listen at least, after the start and after the first link came up, in milliseconds. Default 0.
    pub start_hold_ms: u32,
    /// See `preempt`. Default 0.
    pub preempt_delay_ms: u32,
    /// How often a master announces its addresses again, in milliseconds. 0: never. Default 60000.
    pub announce_every_ms: u32,
    /// VRRP: what a member whose link is down takes from the priority. Default 20.
    pub link_weight: u32,
    /// The number of the group in hellos, the same on all nodes. Default 0.
    pub group: u32,
    /// Elements of `members`: 1 to 32.
    pub member_count: u32,
    /// The members.
    pub members: *const pfplane_election_member,
    /// The host's allocator, for all memory of the election: at most 400 KB. Default `NULL`: malloc.
    pub allocator: *const pfplane_allocator,
}

/// Fills `config_out` with the defaults. The caller then sets at least `members` and `member_count`.
///
/// Parameters: `size`, sizeof(struct pfplane_election_config).
/// Returns: PFPLANE_OK; PFPLANE_ERROR_SIZE when the caller was compiled with another header; PFPLANE_ERROR_NULL.
/// Thread: any.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_election_config_init(
    config_out: Option<&mut MaybeUninit<pfplane_election_config>>,
    size: u32,
) -> i32 {
    guard(|| {
        check_size::<pfplane_election_config>(size, "config")?;
        let defaults = ElectionConfig::default();
        let config = pfplane_election_config {
            size,
            dialect: PFPLANE_ELECTION_VRRP3,
            silence: PFPLANE_ELECTION_SILENCE_AUTOMATIC,
            mac: PFPLANE_ELECTION_MAC_VIRTUAL,
            priority: defaults.priority,
            preempt: 0,
            checksum_rfc9568: 0,
            ignore_addresses: 0,
            interval_us: defaults.interval_us,
            min_interval_us: defaults.min_interval_us,
            start_hold_ms: defaults.start_hold_ms,
            preempt_delay_ms: defaults.preempt_delay_ms,
            announce_every_ms: defaults.announce_every_ms,
            link_weight: defaults.link_weight,
            group: defaults.group,
            member_count: 0,
            members: core::ptr::null(),
            allocator: core::ptr::null(),
        };
        put(config_out, "config_out", config)?;
        Ok(PFPLANE_OK)
    })
}

/// Creates an election. All links are down at first, and the node is loading: tell it otherwise with pfplane_election_link and
/// pfplane_election_readiness.
///
/// Returns: PFPLANE_OK and the election in `election_out`; PFPLANE_ERROR_SETTING or PFPLANE_ERROR_ARGUMENT (the last error
/// names the setting and its limits); PFPLANE_ERROR_MEMORY; PFPLANE_ERROR_SIZE; PFPLANE_ERROR_NULL.
/// Ownership: the caller's, until pfplane_election_free. `config` is copied; of a pass-phrase only its digest is kept.
/// Thread: any. Cost: allocates all memory.
///
/// # Safety
/// What `config` points to is valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_election_new(
    config: Option<&pfplane_election_config>,
    election_out: Option<&mut MaybeUninit<*mut pfplane_election>>,
) -> i32 {
    guard(|| {
        let out = given_mut(election_out, "election_out")?;
        // SAFETY: the configuration's arrays are as long as its counts say.
        let config = unsafe { given(config, "config")?.convert() }?;
        let election = Election::new(&config, crate::engine::random()?)?;
        let heap = Heap::new(config.memory, -1);
        let election = pfplane_election {
            forwarding: election.forwarding().clone(),
            election: UnsafeCell::new(election),
            in_use: AtomicBool::new(false),
            heap,
        };
        out.write(Owned::into_raw_with_allocator(heap.owned("an election", election)?).0);
        Ok(PFPLANE_OK)
    })
}

/// Frees an election. Nothing is sent: step down before.
///
/// Parameters: `election`; `NULL` is fine.
/// Thread: any, when no other uses it.
///
/// # Safety
/// `election` is `NULL`, or was returned by pfplane_election_new and not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_election_free(election: *mut pfplane_election) {
    guard(|| {
        if !election.is_null() {
            // SAFETY: an election that was not freed.
            let heap = unsafe { (*election).heap };
            // SAFETY: it is the box of pfplane_election_new in this heap, and nobody uses it after this call.
            drop(unsafe { Owned::from_raw_in(election, heap) });
        }
        Ok(PFPLANE_OK)
    });
}

/// Runs a call on an election. Two threads at once are refused, and so is every call after a defect, which leaves the election
/// in use.
///
/// # Safety
/// `election` is NULL or valid.
pub(super) unsafe fn with_election(
    election: *const pfplane_election,
    body: impl FnOnce(&mut Election) -> Result<i32, Failure>,
) -> i32 {
    guard(|| {
        // SAFETY: NULL or valid, as the caller promises; other threads only share it.
        let shared = unsafe { election.as_ref() }.ok_or_else(|| Failure::null("election"))?;
        if shared.in_use.swap(true, Ordering::Acquire) {
            let text = "another thread uses the election, or a defect in it was contained";
            return Err(Failure::new(PFPLANE_ERROR_PANIC, text));
        }
        // SAFETY: only whoever sets `in_use` gets here, and it is unset after the reference has ended.
        let result = body(unsafe { &mut *shared.election.get() });
        shared.in_use.store(false, Ordering::Release);
        result
    })
}

fn flag(name: &str, value: u8) -> Result<bool, Failure> {
    match value {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(unknown(name, other)),
    }
}

impl pfplane_election_config {
    /// The configuration as the election takes it, with everything copied.
    ///
    /// # Safety
    /// `members` and what it points to are valid, and as long as their counts say. `allocator` is NULL or valid and does what
    /// its comment says.
    pub(super) unsafe fn convert(&self) -> Result<ElectionConfig, Failure> {
        check_size::<Self>(self.size, "config")?;
        let dialect = match self.dialect {
            PFPLANE_ELECTION_OPENBSD => Dialect::OpenBsd,
            PFPLANE_ELECTION_FREEBSD => Dialect::FreeBsd,
            PFPLANE_ELECTION_VRRP3 => Dialect::Vrrp3,
            other => return Err(unknown("config.dialect", other)),
        };
        let silence = match self.silence {
            PFPLANE_ELECTION_SILENCE_AUTOMATIC => Silence::Automatic,
            PFPLANE_ELECTION_SILENCE_ALL => Silence::All,
            PFPLANE_ELECTION_SILENCE_ANY => Silence::Any,
            other => return Err(unknown("config.silence", other)),
        };
        let mac = match self.mac {
            PFPLANE_ELECTION_MAC_VIRTUAL => MacMode::Virtual,
            PFPLANE_ELECTION_MAC_VIRTUAL_ADVERTS_OWN => MacMode::VirtualAdvertsFromOwn,
            PFPLANE_ELECTION_MAC_OWN => MacMode::Own,
            other => return Err(unknown("config.mac", other)),
        };
        let checksum = if flag("config.checksum_rfc9568", self.checksum_rfc9568)? {
            ChecksumManner::AdvertOnly
        } else {
            ChecksumManner::WithPseudoHeader
        };
        // SAFETY: the count and the array are the struct's own pair.
        let array = unsafe { elements(self.members, self.member_count, "config.members") }?;
        let mut members = try_vec(array.len())?;
        for member in array {
            // SAFETY: each member's arrays are as long as it says.
            members.push(unsafe { member.convert() }?);
        }
        // SAFETY: NULL or a valid struct.
        let memory = match unsafe { self.allocator.as_ref() } {
            // SAFETY: its functions do what the struct's comment says.
            Some(allocator) => unsafe { allocator.convert() }?,
            None => Memory::SYSTEM,
        };
        Ok(ElectionConfig {
            dialect,
            preempt: flag("config.preempt", self.preempt)?,
            preempt_delay_ms: self.preempt_delay_ms,
            silence,
            mac,
            checksum,
            check_addresses: !flag("config.ignore_addresses", self.ignore_addresses)?,
            priority: self.priority,
            interval_us: self.interval_us,
            min_interval_us: self.min_interval_us,
            start_hold_ms: self.start_hold_ms,
            announce_every_ms: self.announce_every_ms,
            link_weight: self.link_weight,
            group: self.group,
            members,
            memory,
        })
    }
}

impl pfplane_election_member {
    /// # Safety
    /// `addresses`, `peers` and `passphrase` are valid, and as long as their counts say.
    unsafe fn convert(&self) -> Result<MemberConfig, Failure> {
        check_size::<Self>(self.size, "member")?;
        let Some(own_address) = ip_address(&self.own_address, "member.own_address")? else {
            return Err(Failure::new(PFPLANE_ERROR_ARGUMENT, "member.own_address is missing"));
        };
        // SAFETY: the count and the array are the struct's own pair.
        let addresses = unsafe { elements(self.addresses, self.address_count, "member.addresses") }?;
        // SAFETY: here too.
        let peers = unsafe { elements(self.peers, self.peer_count, "member.peers") }?;
        let passphrase = if self.passphrase.is_null() {
            Vec::new()
        } else {
            // SAFETY: not NULL, and it ends with a NUL.
            try_copy(unsafe { CStr::from_ptr(self.passphrase) }.to_bytes())?
        };
        Ok(MemberConfig {
            port: self.port,
            vlan: self.vlan,
            id: self.id,
            own_mac: self.own_mac,
            own_address,
            addresses: ip_addresses(addresses, "member.addresses")?,
            peers: ip_addresses(peers, "member.peers")?,
            passphrase: Zeroizing::new(passphrase),
        })
    }
}

fn ip_address(address: &pfplane_address, name: &str) -> Result<Option<IpAddr>, Failure> {
    let [a, b, c, d, ..] = address.bytes;
    match address.family {
        0 => Ok(None),
        4 => Ok(Some([a, b, c, d].into())),
        6 => Ok(Some(address.bytes.into())),
        other => Err(unknown(format_args!("{name}.family"), other)),
    }
}

fn ip_addresses(list: &[pfplane_address], name: &str) -> Result<Vec<IpAddr>, Failure> {
    let mut addresses = try_list(list.len(), IpAddr::from([0; 4]))?;
    for (address, given) in addresses.iter_mut().zip(list) {
        let missing =
            || Failure::new(PFPLANE_ERROR_ARGUMENT, format_args!("{name} contains no address in an element"));
        *address = ip_address(given, name)?.ok_or_else(missing)?;
    }
    Ok(addresses)
}

pub(super) fn c_address(address: Option<IpAddr>) -> pfplane_address {
    let (family, bytes) = match address {
        None => (0, [0; 16]),
        Some(IpAddr::V4(v4)) => (4, core::array::from_fn(|at| v4.octets().get(at).copied().unwrap_or(0))),
        Some(IpAddr::V6(v6)) => (6, v6.octets()),
    };
    pfplane_address { family, reserved: [0; 3], bytes }
}
