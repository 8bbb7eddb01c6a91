//! Packets that the settings refuse, whatever their state.

use super::{Checksums, PacketView, Reason};
use crate::packet::{Facts, IpOptions, are_checksums_intact, tcp_flags};

/// Which checksums the library verifies where the NIC did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VerifyChecksums {
    /// None.
    Never,
    /// Of packets that end a connection: TCP resets, and SCTP aborts and shutdowns.
    #[default]
    Resets,
    /// Of all packets.
    All,
}

/// The settings for packets of any state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketPolicy {
    /// Which checksums are verified.
    pub verify_checksums: VerifyChecksums,
    /// Whether packets with a source route may pass.
    pub pass_source_routes: bool,
}

/// The settings as masks, so that nearly all packets cost one comparison.
#[derive(Clone, Copy)]
pub(super) struct PolicyMasks {
    /// TCP flags of segments to verify.
    flags: u8,
    /// See [`IpOptions`].
    options: u8,
    verifies_all: bool,
}

impl PolicyMasks {
    pub(super) const fn new(policy: &PacketPolicy) -> Self {
        let verifies = !matches!(policy.verify_checksums, VerifyChecksums::Never);
        Self {
            flags: if verifies { tcp_flags::RST } else { 0 },
            options: if policy.pass_source_routes { 0 } else { IpOptions::SOURCE_ROUTE },
            verifies_all: matches!(policy.verify_checksums, VerifyChecksums::All),
        }
    }

    /// Whether the source route of a packet with these options is refused.
    #[inline(always)]
    pub(super) const fn refuses(&self, options: IpOptions) -> bool {
        options.any(self.options)
    }

    /// Checks a parsed packet. `bytes` is its first segment.
    #[inline(always)]
    pub(super) fn check(&self, facts: &Facts, view: &PacketView<'_>) -> Result<(), Reason> {
        let is_suspect = facts.tcp.flags & self.flags | facts.ip_options.0 & self.options != 0;
        if is_suspect || self.verifies_all {
            return self.check_slow(facts, view);
        }
        Ok(())
    }

    #[cold]
    fn check_slow(&self, facts: &Facts, view: &PacketView<'_>) -> Result<(), Reason> {
        if self.refuses(facts.ip_options) {
            return Err(Reason::IpOptions);
        }
        if view.checksums != Checksums::Intact && !are_checksums_intact(view.data, facts) {
            return Err(Reason::Checksum);
        }
        Ok(())
    }
}
