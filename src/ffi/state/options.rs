//! Options of a new state: rule, interface, translation, limits
//!
//! Fill `pfplane_state_options` with pfplane_state_options_init, and pass it to pfplane_lane_state_create.
//!
//! Translation (NAT) is part of the state: the library chooses the port, rewrites both directions, and updates the checksums. For
//! instance, source NAT to 192.0.2.1 with a port from 50000 on:
//!
//! ```c
//!     options.nat = PFPLANE_NAT_SOURCE | PFPLANE_NAT_SOURCE_PORT;
//!     memcpy(options.nat_source, (const uint8_t[]){192, 0, 2, 1}, 4);
//!     options.nat_source_ports[0] = 50000;
//!     options.nat_source_ports[1] = 65535;
//! ```

use super::super::{
    Failure, PFPLANE_ERROR_ARGUMENT, PFPLANE_OK, check_size, guard, pfplane_source_limits, put, setting,
    unknown,
};
use crate::packet::Family;
use crate::state::{MAX_OPAQUE, Nat, Opaque, Options, PortRange};
use core::mem::MaybeUninit;

// enum pfplane_state_flag: Flags that a host can give a state. The values are pf's.
/// Packets with IP options or IPv6 extension headers with options pass, as with pf's `allow-opts`. Without it they are dropped with
/// PFPLANE_REASON_IP_OPTIONS, the first packet too.
pub const PFPLANE_STATE_ALLOW_OPTIONS: u16 = 0x0001;
/// Sloppy TCP tracking: sequence numbers are not checked.
pub const PFPLANE_STATE_SLOPPY: u16 = 0x0002;
/// The state is never sent to peers.
pub const PFPLANE_STATE_NOSYNC: u16 = 0x0008;

/// Maximum number of the host's own bytes of a state, see `pfplane_state_options.opaque`.
pub const PFPLANE_MAX_OPAQUE: usize = 64;

const _: () = assert!(PFPLANE_MAX_OPAQUE == MAX_OPAQUE);

const KNOWN_FLAGS: u16 = PFPLANE_STATE_ALLOW_OPTIONS | PFPLANE_STATE_SLOPPY | PFPLANE_STATE_NOSYNC;

// enum pfplane_nat: Which translations of `pfplane_state_options` apply.
/// `nat_source` applies.
pub const PFPLANE_NAT_SOURCE: u16 = 0x0001;
/// `nat_destination` applies.
pub const PFPLANE_NAT_DESTINATION: u16 = 0x0002;
/// `nat_source_ports` applies.
pub const PFPLANE_NAT_SOURCE_PORT: u16 = 0x0004;
/// `nat_destination_port` applies.
pub const PFPLANE_NAT_DESTINATION_PORT: u16 = 0x0008;
/// `nat_family` applies.
pub const PFPLANE_NAT_FAMILY: u16 = 0x0010;
/// `nat_rdomain` applies.
pub const PFPLANE_NAT_RDOMAIN: u16 = 0x0020;

const KNOWN_NAT: u16 = PFPLANE_NAT_SOURCE
    | PFPLANE_NAT_DESTINATION
    | PFPLANE_NAT_SOURCE_PORT
    | PFPLANE_NAT_DESTINATION_PORT
    | PFPLANE_NAT_FAMILY
    | PFPLANE_NAT_RDOMAIN;

/// What a new state gets besides what its first packet says.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_state_options {
    /// sizeof(struct pfplane_state_options).
    pub size: u32,
    /// The rule's number, shown by peers. Default UINT32_MAX: none.
    pub rule: u32,
    /// The interface that the state is bound to, NUL-terminated. Default "all": floating.
    pub ifname: [u8; 16],
    /// PFPLANE_STATE_*. Default 0.
    pub state_flags: u16,
    /// PFPLANE_NAT_*: which of the translations below apply. Default 0: no translation.
    pub nat: u16,
    /// Seconds without traffic after which the state expires. Default 0: by its timeout class.
    pub timeout_s: u32,
    /// The first packet's new source address, network order; IPv4 in the first 4 bytes.
    pub nat_source: [u8; 16],
    /// The first packet's new destination address, network order; IPv4 in the first 4 bytes.
    pub nat_destination: [u8; 16],
    /// First and last port of the range from which the new source port is chosen, host order; for an ICMP query, of identifiers.
    /// Two equal numbers mean this port. Protocols without ports are not affected.
    pub nat_source_ports: [u16; 2],
    /// The new destination port, host order. TCP, UDP and SCTP only.
    pub nat_destination_port: u16,
    /// 4 or 6: the family of the new addresses (NAT64 and NAT46). Both addresses are required then.
    pub nat_family: u8,
    /// 1: a TCP connection may start with a packet that is not a SYN (pf's `flags any`); its windows count as unscaled.
    /// Default 0: such a packet is dropped with PFPLANE_REASON_NO_STATE.
    pub pickup: u8,
    /// Limits for the sources of this rule's states; states with the same `rule` count together. Default: none.
    pub source_limits: pfplane_source_limits,
    /// The host's own bytes, for instance a tenant and a policy. They are shown in pfplane_state_view and sent to peers with
    /// `pfplane_peer.extensions`. They need an entry of `pfplane_config.max_extra_per_lane`; without a free one, no state is
    /// created (PFPLANE_REASON_TABLE_FULL).
    pub opaque: [u8; 64],
    /// Bytes in `opaque`: 0 to PFPLANE_MAX_OPAQUE. Default 0.
    pub opaque_length: u32,
    /// The routing domain in which the host forwards the first packet, if it is another than `pfplane_burst.rdomain`. Replies are
    /// looked up in it. The state counts as translated; the host forwards its packets in `pfplane_verdict.rdomain`.
    pub nat_rdomain: u16,
    /// Zero.
    pub reserved: [u8; 2],
}

/// Fills `options_out` with the defaults.
///
/// Parameters: `size`, sizeof(struct pfplane_state_options).
/// Returns: PFPLANE_OK, PFPLANE_ERROR_NULL or PFPLANE_ERROR_SIZE.
/// Thread: any.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_state_options_init(
    options_out: Option<&mut MaybeUninit<pfplane_state_options>>,
    size: u32,
) -> i32 {
    guard(|| {
        check_size::<pfplane_state_options>(size, "options")?;
        let defaults = Options::default();
        let options = pfplane_state_options {
            size,
            rule: defaults.rule,
            ifname: defaults.ifname,
            state_flags: 0,
            nat: 0,
            timeout_s: 0,
            nat_source: [0; 16],
            nat_destination: [0; 16],
            nat_source_ports: [0; 2],
            nat_destination_port: 0,
            nat_family: 0,
            pickup: 0,
            source_limits: pfplane_source_limits::default(),
            opaque: [0; PFPLANE_MAX_OPAQUE],
            opaque_length: 0,
            nat_rdomain: 0,
            reserved: [0; 2],
        };
        put(options_out, "options_out", options)?;
        Ok(PFPLANE_OK)
    })
}

impl pfplane_state_options {
    pub(in super::super) fn convert(&self) -> Result<Options, Failure> {
        check_size::<Self>(self.size, "options")?;
        if !self.ifname.contains(&0) {
            return Err(Failure::new(PFPLANE_ERROR_ARGUMENT, "options.ifname has no NUL in its 16 bytes"));
        }
        if self.state_flags & !KNOWN_FLAGS != 0 {
            let text = format_args!(
                "options.state_flags is {:#x}, the known flags are {KNOWN_FLAGS:#x}",
                self.state_flags
            );
            return Err(Failure::new(PFPLANE_ERROR_ARGUMENT, text));
        }
        if self.pickup > 1 {
            return Err(unknown("options.pickup", self.pickup));
        }
        let source = self.source_limits.convert();
        source.check()?;
        Ok(Options {
            rule: self.rule,
            source,
            ifname: self.ifname,
            pf_flags: self.state_flags,
            nat: self.translation()?,
            pickup: self.pickup == 1,
            timeout_override_s: (self.timeout_s != 0).then_some(self.timeout_s),
            opaque: self.opaque()?,
            ..Options::default()
        })
    }

    fn opaque(&self) -> Result<Opaque, Failure> {
        let length =
            setting("options.opaque_length", self.opaque_length.into(), 0, PFPLANE_MAX_OPAQUE as u64)?;
        Ok(Opaque::new(&self.opaque[..length as usize]).unwrap_or(Opaque::EMPTY))
    }

    /// How packets are translated.
    fn translation(&self) -> Result<Nat, Failure> {
        if self.nat & !KNOWN_NAT != 0 {
            let text = format_args!("options.nat is {:#x}, the known flags are {KNOWN_NAT:#x}", self.nat);
            return Err(Failure::new(PFPLANE_ERROR_ARGUMENT, text));
        }
        let holds = |flag| self.nat & flag != 0;
        let family = match self.nat_family {
            _ if !holds(PFPLANE_NAT_FAMILY) => None,
            4 => Some(Family::V4),
            6 => Some(Family::V6),
            other => return Err(unknown("options.nat_family", other)),
        };
        let [first, last] = self.nat_source_ports;
        if holds(PFPLANE_NAT_SOURCE_PORT) && first > last {
            let text = format_args!("options.nat_source_ports ends at {last}, before it begins at {first}");
            return Err(Failure::new(PFPLANE_ERROR_ARGUMENT, text));
        }
        Ok(Nat {
            family,
            source: holds(PFPLANE_NAT_SOURCE).then_some(self.nat_source),
            destination: holds(PFPLANE_NAT_DESTINATION).then_some(self.nat_destination),
            source_ports: holds(PFPLANE_NAT_SOURCE_PORT).then_some(PortRange { first, last }),
            destination_port: holds(PFPLANE_NAT_DESTINATION_PORT).then_some(self.nat_destination_port),
            rdomain: holds(PFPLANE_NAT_RDOMAIN).then_some(self.nat_rdomain),
        })
    }
}
