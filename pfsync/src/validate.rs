//! Whether a record that came from outside may be used (`protocol` sections 5.3, 5.4 and 9, items 26 to 28).
//!
//! The kernels test the same things, in `pfsync_in_ins`, `pfsync_in_upd` and `pfsync_in_upd_c`, and count all of
//! them as "badval". Direction 0, which they let pass, is refused here, and so are names without an end.

use super::message::CompressedUpdate;
use super::peer::StatePeer;
use super::state::FullState;

/// Why a record is skipped. All of them are pf's "badval".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Invalid {
    /// A timeout class at or above the peer's limit: also what a system sends of a state that just ended.
    Timeout,
    /// A peer's state number above 12.
    PeerState,
    /// A direction that is neither in nor out.
    Direction,
    /// A family that is neither IPv4 nor IPv6.
    Family,
    /// Creator 0.
    Creator,
    /// A name that does not end within its field.
    Name,
}

impl Invalid {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Timeout, Self::PeerState, Self::Direction, Self::Family, Self::Creator, Self::Name];

    /// A short name, fit for a counter.
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

/// The greatest state number of a peer on the wire (pf's `PF_TCPS_PROXY_DST`), for every protocol.
const PEER_STATE_MAX: u8 = 12;
const DIRECTION_IN: u8 = 1;
const DIRECTION_OUT: u8 = 2;

/// The text of a name field, without what follows its NUL; `None` when it has no NUL.
///
/// The bytes are as they came, possibly not text: make them harmless before showing them.
#[must_use]
pub fn name_of(field: &[u8]) -> Option<&[u8]> {
    field.iter().position(|&byte| byte == 0).map(|end| &field[..end])
}

/// What every update is held to.
#[inline]
fn of_update(timeout: u8, src: &StatePeer, dst: &StatePeer, timeout_limit: u8) -> Result<(), Invalid> {
    if timeout >= timeout_limit {
        return Err(Invalid::Timeout);
    }
    if src.state > PEER_STATE_MAX || dst.state > PEER_STATE_MAX {
        return Err(Invalid::PeerState);
    }
    Ok(())
}

impl FullState {
    /// Whether the state may be taken in, by INS or by an UPD of an unknown one.
    ///
    /// `timeout_limit` is the first invalid class: [`Profile::timeout_limit`](super::Profile::timeout_limit) of the
    /// peer, not of the message.
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
        if names.iter().any(|name| name_of(name).is_none()) {
            return Err(Invalid::Name);
        }
        Ok(())
    }

    /// Whether an UPD may be merged into a state that is known already: less is used, so less is tested.
    ///
    /// # Errors
    /// [`Invalid::Timeout`] or [`Invalid::PeerState`].
    #[inline]
    pub fn validate_update(&self, timeout_limit: u8) -> Result<(), Invalid> {
        of_update(self.timeout, &self.src, &self.dst, timeout_limit)
    }
}

impl CompressedUpdate {
    /// Whether the update may be merged. See [`FullState::validate`] for the limit.
    ///
    /// # Errors
    /// [`Invalid::Timeout`] or [`Invalid::PeerState`].
    #[inline]
    pub fn validate(&self, timeout_limit: u8) -> Result<(), Invalid> {
        of_update(self.timeout, &self.src, &self.dst, timeout_limit)
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::Family;
    use super::super::message::Identity;
    use super::super::profile::Version;
    use super::*;

    fn sound() -> FullState {
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
    fn each_reason_has_its_own_name() {
        type Spoil = fn(&mut FullState);
        let cases: [(Invalid, Spoil); 13] = [
            (Invalid::Timeout, |state| state.timeout = 20),
            (Invalid::Timeout, |state| state.timeout = 255),
            (Invalid::PeerState, |state| state.src.state = 13),
            (Invalid::PeerState, |state| state.dst.state = 255),
            (Invalid::Direction, |state| state.direction = 0),
            (Invalid::Direction, |state| state.direction = 3),
            (Invalid::Family, |state| state.family = Family::of(10, Version::V6)),
            (Invalid::Family, |state| state.key[0].family = Family::NONE),
            (Invalid::Family, |state| state.key[1].family = Family::of(26, Version::V6)),
            (Invalid::Creator, |state| state.id.creator = 0),
            (Invalid::Name, |state| state.ifname = [b'a'; 16]),
            (Invalid::Name, |state| state.rt_ifname = [b'a'; 16]),
            (Invalid::Name, |state| state.tagname = [b'a'; 64]),
        ];
        assert_eq!(sound().validate(20), Ok(()));
        for (reason, spoil) in cases {
            let mut state = sound();
            spoil(&mut state);
            assert_eq!(state.validate(20), Err(reason));
        }
    }

    #[test]
    fn the_timeout_limit_is_the_peer_s() {
        let state = FullState { timeout: 24, ..sound() };
        assert_eq!(state.validate(25), Ok(()));
        assert_eq!(state.validate_update(20), Err(Invalid::Timeout));
    }

    #[test]
    fn a_name_ends_at_its_first_nul() {
        assert_eq!(name_of(b"em0\0\xa5\xa5"), Some(&b"em0"[..]));
        assert_eq!(name_of(b"\0"), Some(&b""[..]));
        assert_eq!(name_of(b"em0"), None);
    }
}
