//! The dialects that systems in use today speak.

use core::fmt;

use crate::action::Action;
use crate::layout;

/// The dialect spoken to a peer.
///
/// OpenBSD and FreeBSD drop each other's frames because of the version byte. FreeBSD's dialects differ in the layout of
/// whole states; a FreeBSD peer receives every layout that it knows and sends the configured one (`pfsync_kstatus_to_softc`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// OpenBSD 5.0 and later: version 6, states of 264 bytes.
    OpenBsd6,
    /// FreeBSD 9 to 13: version 5, states of 242 bytes.
    FreeBsd1301,
    /// FreeBSD 14: version 5, states of 277 bytes.
    FreeBsd1400,
    /// FreeBSD 15: version 5, states of 360 bytes.
    FreeBsd1500,
}

/// The version byte of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Version {
    /// FreeBSD 9 and later.
    V5 = 5,
    /// OpenBSD 5.0 and later.
    V6 = 6,
}

impl Version {
    /// Returns the version of a version byte; `None` for versions that no current system sends.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            5 => Some(Self::V5),
            6 => Some(Self::V6),
            _ => None,
        }
    }
}

impl Profile {
    /// All profiles.
    pub const ALL: [Self; 4] = [Self::OpenBsd6, Self::FreeBsd1301, Self::FreeBsd1400, Self::FreeBsd1500];

    /// Returns a name for configuration files and output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenBsd6 => "openbsd6",
            Self::FreeBsd1301 => "freebsd1301",
            Self::FreeBsd1400 => "freebsd1400",
            Self::FreeBsd1500 => "freebsd1500",
        }
    }

    /// Returns the profile with this [`Self::name`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }

    /// Returns the version byte of this profile's frames.
    #[inline]
    #[must_use]
    pub const fn version(self) -> Version {
        match self {
            Self::OpenBsd6 => Version::V6,
            _ => Version::V5,
        }
    }

    /// Returns the length of a whole state.
    #[must_use]
    pub const fn state_bytes(self) -> usize {
        match self {
            Self::OpenBsd6 => size_of::<layout::State264>(),
            Self::FreeBsd1301 => size_of::<layout::State242>(),
            Self::FreeBsd1400 => size_of::<layout::State277>(),
            Self::FreeBsd1500 => size_of::<layout::State360>(),
        }
    }

    /// Returns the first timeout class that a peer of this profile rejects: `PFTM_MAX`.
    ///
    /// A FreeBSD 14 peer that is configured for message version 1301 accepts 25 classes: pass 25 to
    /// [`FullState::validate`](crate::FullState::validate) there.
    #[must_use]
    pub const fn timeout_limit(self) -> u8 {
        match self {
            Self::OpenBsd6 | Self::FreeBsd1301 => 20,
            Self::FreeBsd1400 | Self::FreeBsd1500 => 25,
        }
    }

    /// Returns the order in which the system writes regions into a frame (OpenBSD `pfsync_slice_write`, FreeBSD
    /// `pfsync_sendout`).
    ///
    /// OpenBSD sends actions that are not listed in frames of their own.
    #[must_use]
    pub const fn region_order(self) -> &'static [Action] {
        const OPENBSD: [Action; 6] = [
            Action::InsertAck,
            Action::UpdateCompressed,
            Action::DeleteCompressed,
            Action::Insert,
            Action::Update,
            Action::Tdb,
        ];
        const FREEBSD: [Action; 8] = [
            Action::Insert,
            Action::InsertAck,
            Action::Update,
            Action::UpdateCompressed,
            Action::DeleteCompressed,
            Action::UpdateRequest,
            Action::Clear,
            Action::BulkStatus,
        ];
        match self {
            Self::OpenBsd6 => &OPENBSD,
            _ => &FREEBSD,
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", *self as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_is_found_by_its_name() {
        for profile in Profile::ALL {
            assert_eq!(Profile::from_name(profile.name()), Some(profile));
        }
        assert_eq!(Profile::from_name("netbsd"), None);
    }
}
