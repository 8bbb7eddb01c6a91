//! Checks of received records.
//!
//! The kernels make the same checks in `pfsync_in_ins`, `pfsync_in_upd` and `pfsync_in_upd_c`, and count every failure as
//! "badval". This crate also refuses direction 0, which they accept, and names without a NUL, which only FreeBSD 15 refuses.

use core::error::Error;
use core::fmt;

use crate::numbers::peer_state;
use crate::record::{CompressedUpdate, FullState, StatePeer};

/// Why a record is skipped: pf's "badval".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Invalid {
    /// A timeout class at or above the peer's limit. Systems also send it for a state that just ended.
    Timeout,
    /// A peer state above [`peer_state::MAX`].
    PeerState,
    /// A direction that is neither in nor out.
    Direction,
    /// A family that is neither IPv4 nor IPv6.
    Family,
    /// Creator 0.
    Creator,
    /// A name without a NUL.
    Name,
}

impl Invalid {
    /// All reasons.
    pub const ALL: [Self; 6] =
        [Self::Timeout, Self::PeerState, Self::Direction, Self::Family, Self::Creator, Self::Name];

    /// Returns a short name for a counter.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::PeerState => "peer_state",
            Self::Direction => "direction",
            Self::Family => "family",
            Self::Creator => "creator",
            Self::Name => "name",
        }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout => "unknown timeout class",
            Self::PeerState => "unknown peer state",
            Self::Direction => "direction is neither in nor out",
            Self::Family => "family is neither IPv4 nor IPv6",
            Self::Creator => "creator is 0",
            Self::Name => "name without a NUL",
        })
    }
}

impl Error for Invalid {}

const DIRECTION_IN: u8 = 1;
const DIRECTION_OUT: u8 = 2;

/// Returns the bytes of a name field up to its NUL; `None` when it has no NUL.
///
/// The bytes are not checked: escape them before showing them.
#[must_use]
pub fn name_bytes(field: &[u8]) -> Option<&[u8]> {
    field.iter().position(|&byte| byte == 0).map(|end| &field[..end])
}

/// Checks the fields that every kind of update has.
#[inline]
fn check_update(timeout: u8, src: &StatePeer, dst: &StatePeer, timeout_limit: u8) -> Result<(), Invalid> {
    if timeout >= timeout_limit {
        return Err(Invalid::Timeout);
    }
    if src.state > peer_state::MAX || dst.state > peer_state::MAX {
        return Err(Invalid::PeerState);
    }
    Ok(())
}

impl FullState {
    /// Checks whether the state may be inserted, by INS or by an UPD of an unknown state.
    ///
    /// `timeout_limit` is the first invalid class: [`Profile::timeout_limit`](crate::Profile::timeout_limit) of the peer,
    /// which may differ from that of the message's layout.
    ///
    /// # Errors
    /// The first reason against it, in the order of [`Invalid`].
    pub fn validate(&self, timeout_limit: u8) -> Result<(), Invalid> {
        self.validate_update(timeout_limit)?;
        if !matches!(self.direction, DIRECTION_IN | DIRECTION_OUT) {
            return Err(Invalid::Direction);
        }
        if !(self.family.is_ip() && self.key[0].family.is_ip() && self.key[1].family.is_ip()) {
            return Err(Invalid::Family);
        }
        if self.id.creator == 0 {
            return Err(Invalid::Creator);
        }
        let names: [&[u8]; 4] = [&self.ifname, &self.rt_ifname, &self.orig_ifname, &self.tagname];
        if names.iter().any(|name| name_bytes(name).is_none()) {
            return Err(Invalid::Name);
        }
        Ok(())
    }

    /// Checks whether an UPD may be merged into a known state. Only the fields that the merge uses are checked.
    ///
    /// # Errors
    /// [`Invalid::Timeout`] or [`Invalid::PeerState`].
    #[inline]
    pub fn validate_update(&self, timeout_limit: u8) -> Result<(), Invalid> {
        check_update(self.timeout, &self.src, &self.dst, timeout_limit)
    }
}

impl CompressedUpdate {
    /// Checks whether the update may be merged. See [`FullState::validate`] for the limit.
    ///
    /// # Errors
    /// [`Invalid::Timeout`] or [`Invalid::PeerState`].
    #[inline]
    pub fn validate(&self, timeout_limit: u8) -> Result<(), Invalid> {
        check_update(self.timeout, &self.src, &self.dst, timeout_limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Family, Identity, Version};

    fn valid() -> FullState {
        let mut state = FullState {
            id: Identity { id: 1, creator: 2 },
            direction: 1,
            timeout: 2,
            family: Family::V6,
            ..FullState::EMPTY
        };
        state.key[0].family = Family::V6;
        state.key[1].family = Family::V4;
        state
    }

    #[test]
    fn each_bad_field_has_its_own_reason() {
        type Change = fn(&mut FullState);
        let cases: [(Invalid, Change); 14] = [
            (Invalid::Timeout, |state| state.timeout = 20),
            (Invalid::Timeout, |state| state.timeout = 255),
            (Invalid::PeerState, |state| state.src.state = 13),
            (Invalid::PeerState, |state| state.dst.state = 255),
            (Invalid::Direction, |state| state.direction = 0),
            (Invalid::Direction, |state| state.direction = 3),
            (Invalid::Family, |state| state.family = Family::from_number(10, Version::V6)),
            (Invalid::Family, |state| state.key[0].family = Family::NONE),
            (Invalid::Family, |state| state.key[1].family = Family::from_number(26, Version::V6)),
            (Invalid::Creator, |state| state.id.creator = 0),
            (Invalid::Name, |state| state.ifname = [b'a'; 16]),
            (Invalid::Name, |state| state.rt_ifname = [b'a'; 16]),
            (Invalid::Name, |state| state.orig_ifname = [1; 16]),
            (Invalid::Name, |state| state.tagname = [b'a'; 64]),
        ];
        assert_eq!(valid().validate(20), Ok(()));
        for (reason, change) in cases {
            let mut state = valid();
            change(&mut state);
            assert_eq!(state.validate(20), Err(reason));
        }
    }

    #[test]
    fn the_timeout_limit_is_that_of_the_peer() {
        let state = FullState { timeout: 24, ..valid() };
        assert_eq!(state.validate(25), Ok(()));
        assert_eq!(state.validate_update(20), Err(Invalid::Timeout));
    }

    #[test]
    fn a_name_ends_at_its_first_nul() {
        assert_eq!(name_bytes(b"em0\0\xa5\xa5"), Some(&b"em0"[..]));
        assert_eq!(name_bytes(b"\0"), Some(&b""[..]));
        assert_eq!(name_bytes(b"abcdefghijklmno\0"), Some(&b"abcdefghijklmno"[..]));
        assert_eq!(name_bytes(b"abcdefghijklmnop"), None);
    }
}
