//! What a new state is to have.

use super::{Failure, PFPLANE_ERROR_ARGUMENT, PFPLANE_OK, check_size, guard, pfplane_source_limits, put};
use crate::packet::Family;
use crate::state::{Nat, Options, PortRange};

/// What a new state is to have besides what its first packet says.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct pfplane_state_options {
    /// sizeof(struct pfplane_state_options).
    pub size: u32,
    /// The rule's number, as a peer shows it. Default UINT32_MAX: none.
    pub rule: u32,
    /// The interface that the state is bound to, NUL-terminated. Default "all": floating.
    pub ifname: [u8; 16],
    /// PFPLANE_STATE_* flags. Default 0.
    pub pf_flags: u16,
    /// PFPLANE_NAT_*: which of the fields below hold. Default 0: nothing is translated.
    pub nat: u16,
    /// Seconds without traffic after which the state ends. Default 0: by the state's timeout class.
    pub timeout_s: u32,
    /// PFPLANE_NAT_SOURCE: the first packet's new source address, network order; IPv4 in the first four bytes.
    pub nat_source: [u8; 16],
    /// PFPLANE_NAT_DESTINATION: its new destination address.
    pub nat_destination: [u8; 16],
    /// PFPLANE_NAT_SOURCE_PORT: the first and the last of the ports that its new source port is drawn from, host order; for
    /// an ICMP query, of identifiers. Twice the same: that one. Protocols without ports keep what they have.
    pub nat_source_ports: [u16; 2],
    /// PFPLANE_NAT_DESTINATION_PORT: its new destination port, host order. TCP and UDP only.
    pub nat_destination_port: u16,
    /// PFPLANE_NAT_FAMILY: 4 or 6, the family of the new addresses (NAT64 and NAT46). Both addresses must be given then.
    pub nat_family: u8,
    /// 1: a TCP connection may also begin in its middle, with a packet that is no SYN (pf's `flags any`). Windows are taken
    /// unscaled then. Default 0: PFPLANE_DROP with PFPLANE_REASON_NO_STATE.
    pub pickup: u8,
    /// Limits for the sources of the rule's states; states of one `rule` count together. Default: none.
    pub source: pfplane_source_limits,
}

/// Sloppy TCP tracking: no sequence checks.
pub const PFPLANE_STATE_SLOPPY: u16 = 0x0002;
/// `pfplane_state_options.nat_source` holds.
pub const PFPLANE_NAT_SOURCE: u16 = 0x0001;
/// `pfplane_state_options.nat_destination` holds.
pub const PFPLANE_NAT_DESTINATION: u16 = 0x0002;
/// `pfplane_state_options.nat_source_ports` holds.
pub const PFPLANE_NAT_SOURCE_PORT: u16 = 0x0004;
/// `pfplane_state_options.nat_destination_port` holds.
pub const PFPLANE_NAT_DESTINATION_PORT: u16 = 0x0008;
/// `pfplane_state_options.nat_family` holds.
pub const PFPLANE_NAT_FAMILY: u16 = 0x0010;

const KNOWN_NAT: u16 = PFPLANE_NAT_SOURCE
    | PFPLANE_NAT_DESTINATION
    | PFPLANE_NAT_SOURCE_PORT
    | PFPLANE_NAT_DESTINATION_PORT
    | PFPLANE_NAT_FAMILY;

/// The state is never told to peers.
pub const PFPLANE_STATE_NOSYNC: u16 = 0x0008;

const KNOWN_FLAGS: u16 = PFPLANE_STATE_SLOPPY | PFPLANE_STATE_NOSYNC;

/// Fills `options_out` with the defaults.
///
/// Parameters: `size`, sizeof(struct pfplane_state_options).
/// Returns: PFPLANE_OK, PFPLANE_ERROR_NULL or PFPLANE_ERROR_SIZE.
/// Thread: any.
///
/// # Safety
/// `options_out` is NULL or has room for the struct.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pfplane_state_options_init(
    options_out: *mut pfplane_state_options,
    size: u32,
) -> i32 {
    guard(|| {
        check_size::<pfplane_state_options>(size, "options")?;
        let defaults = Options::default();
        let options = pfplane_state_options {
            size,
            rule: defaults.rule,
            ifname: defaults.ifname,
            pf_flags: 0,
            nat: 0,
            timeout_s: 0,
            nat_source: [0; 16],
            nat_destination: [0; 16],
            nat_source_ports: [0; 2],
            nat_destination_port: 0,
            nat_family: 0,
            pickup: 0,
            source: pfplane_source_limits::default(),
        };
        // SAFETY: the caller promises NULL or room for the struct.
        unsafe { put(options_out, "options_out", options) }?;
        Ok(PFPLANE_OK)
    })
}

impl pfplane_state_options {
    pub(super) fn convert(&self) -> Result<Options, Failure> {
        check_size::<Self>(self.size, "options")?;
        if !self.ifname.contains(&0) {
            return Err(Failure::new(PFPLANE_ERROR_ARGUMENT, "options.ifname has no NUL in its 16 bytes"));
        }
        if self.pf_flags & !KNOWN_FLAGS != 0 {
            let text = format!("options.pf_flags is {:#x}, known bits are {KNOWN_FLAGS:#x}", self.pf_flags);
            return Err(Failure::new(PFPLANE_ERROR_ARGUMENT, text));
        }
        if self.pickup > 1 {
            return Err(super::packet::unknown("options.pickup", self.pickup));
        }
        let source = self.source.convert();
        source.check()?;
        Ok(Options {
            rule: self.rule,
            source,
            ifname: self.ifname,
            pf_flags: self.pf_flags,
            nat: self.translation()?,
            pickup: self.pickup == 1,
            timeout_override_s: (self.timeout_s != 0).then_some(self.timeout_s),
            ..Options::default()
        })
    }

    /// What is translated.
    fn translation(&self) -> Result<Nat, Failure> {
        if self.nat & !KNOWN_NAT != 0 {
            let text = format!("options.nat is {:#x}, known bits are {KNOWN_NAT:#x}", self.nat);
            return Err(Failure::new(PFPLANE_ERROR_ARGUMENT, text));
        }
        let holds = |flag| self.nat & flag != 0;
        let family = match self.nat_family {
            _ if !holds(PFPLANE_NAT_FAMILY) => None,
            4 => Some(Family::V4),
            6 => Some(Family::V6),
            other => return Err(super::packet::unknown("options.nat_family", other)),
        };
        let [first, last] = self.nat_source_ports;
        if holds(PFPLANE_NAT_SOURCE_PORT) && first > last {
            let text = format!("options.nat_source_ports ends at {last}, before it begins at {first}");
            return Err(Failure::new(PFPLANE_ERROR_ARGUMENT, text));
        }
        Ok(Nat {
            family,
            source: holds(PFPLANE_NAT_SOURCE).then_some(self.nat_source),
            destination: holds(PFPLANE_NAT_DESTINATION).then_some(self.nat_destination),
            source_ports: holds(PFPLANE_NAT_SOURCE_PORT).then_some(PortRange { first, last }),
            destination_port: holds(PFPLANE_NAT_DESTINATION_PORT).then_some(self.nat_destination_port),
        })
    }
}
