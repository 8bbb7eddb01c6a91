//! The dialects, and which message has which number and size in them.
//!
//! Numbers 13, 14 and 15 mean different things in the two live versions, so nothing is ever looked up by the action
//! number alone (`protocol` sections 0.2, 2.2 and 3.1).

use super::layout;

/// The dialect spoken to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Profile {
    /// OpenBSD, header version 6.
    OpenBsd6,
    /// FreeBSD 13 and older, header version 5, states of 242 bytes.
    FreeBsd1301,
    /// FreeBSD 14, header version 5, states of 277 bytes.
    FreeBsd1400,
    /// FreeBSD 15, header version 5, states of 360 bytes.
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

/// What a region's records mean, whatever number the dialect gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// All states of a creator are gone.
    Clear,
    /// A new state, whole.
    Insert,
    /// An insert that asked for it was taken in.
    InsertAck,
    /// A state, whole.
    Update,
    /// What changes in a state.
    UpdateCompressed,
    /// Ask for a whole state; with a zero identity for all of them.
    UpdateRequest,
    /// A state is gone, told with the whole of it. Nobody sends this today.
    Delete,
    /// A state is gone.
    DeleteCompressed,
    /// A bulk transfer begins or ends.
    BulkStatus,
    /// Counters of an IPsec association.
    Tdb,
    /// The frame ends here (version 5).
    Eof,
}

/// What the records of a region look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    State(Profile),
    Compressed,
    Id,
    Clear,
    BulkStatus,
    Tdb,
    Nothing,
}

/// One message of one dialect.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub number: u8,
    pub action: Action,
    pub bytes: u16,
    pub body: Body,
}

const fn row<T>(number: u8, action: Action, body: Body) -> Message {
    Message { number, action, bytes: size_of::<T>() as u16, body }
}

const fn state<T>(number: u8, action: Action, profile: Profile) -> Message {
    row::<T>(number, action, Body::State(profile))
}

/// OpenBSD `pfsync_acts`. Numbers that are missing have no handler there and are skipped.
static VERSION_6: [Message; 10] = [
    row::<layout::Clear>(0, Action::Clear, Body::Clear),
    row::<layout::Id>(2, Action::InsertAck, Body::Id),
    row::<layout::Compressed>(4, Action::UpdateCompressed, Body::Compressed),
    row::<layout::Id>(5, Action::UpdateRequest, Body::Id),
    state::<layout::State264>(6, Action::Delete, Profile::OpenBsd6),
    row::<layout::Id>(7, Action::DeleteCompressed, Body::Id),
    row::<layout::BulkStatus>(10, Action::BulkStatus, Body::BulkStatus),
    state::<layout::State264>(13, Action::Insert, Profile::OpenBsd6),
    state::<layout::State264>(14, Action::Update, Profile::OpenBsd6),
    row::<layout::Tdb52>(15, Action::Tdb, Body::Tdb),
];

/// FreeBSD `pfsync_acts`. A receiver takes every message version that it knows, whatever it sends itself.
static VERSION_5: [Message; 15] = [
    row::<layout::Clear>(0, Action::Clear, Body::Clear),
    state::<layout::State242>(1, Action::Insert, Profile::FreeBsd1301),
    row::<layout::Id>(2, Action::InsertAck, Body::Id),
    state::<layout::State242>(3, Action::Update, Profile::FreeBsd1301),
    row::<layout::Compressed>(4, Action::UpdateCompressed, Body::Compressed),
    row::<layout::Id>(5, Action::UpdateRequest, Body::Id),
    state::<layout::State242>(6, Action::Delete, Profile::FreeBsd1301),
    row::<layout::Id>(7, Action::DeleteCompressed, Body::Id),
    row::<layout::BulkStatus>(10, Action::BulkStatus, Body::BulkStatus),
    row::<layout::Tdb48>(11, Action::Tdb, Body::Tdb),
    row::<()>(12, Action::Eof, Body::Nothing),
    state::<layout::State277>(13, Action::Insert, Profile::FreeBsd1400),
    state::<layout::State277>(14, Action::Update, Profile::FreeBsd1400),
    state::<layout::State360>(15, Action::Insert, Profile::FreeBsd1500),
    state::<layout::State360>(16, Action::Update, Profile::FreeBsd1500),
];

/// Row of each action number: one load on the receive path instead of a search.
const fn index(rows: &[Message]) -> [u8; 32] {
    let mut table = [NO_ROW; 32];
    let mut at = 0;
    while at < rows.len() {
        table[rows[at].number as usize] = at as u8;
        at += 1;
    }
    table
}

const NO_ROW: u8 = u8::MAX;
static INDEX_6: [u8; 32] = index(&VERSION_6);
static INDEX_5: [u8; 32] = index(&VERSION_5);

impl Version {
    /// The version of a version byte, if it is one of the live ones.
    #[must_use]
    pub const fn of(number: u8) -> Option<Self> {
        match number {
            5 => Some(Self::V5),
            6 => Some(Self::V6),
            _ => None,
        }
    }

    /// The message with this number, if this version has a handler for it.
    #[inline]
    pub(super) fn message(self, number: u8) -> Option<&'static Message> {
        let (rows, index): (&'static [Message], _) = match self {
            Self::V5 => (&VERSION_5, &INDEX_5),
            Self::V6 => (&VERSION_6, &INDEX_6),
        };
        rows.get(*index.get(number as usize)? as usize)
    }
}

impl Profile {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::OpenBsd6, Self::FreeBsd1301, Self::FreeBsd1400, Self::FreeBsd1500];

    /// The name used in configuration and output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenBsd6 => "openbsd6",
            Self::FreeBsd1301 => "freebsd1301",
            Self::FreeBsd1400 => "freebsd1400",
            Self::FreeBsd1500 => "freebsd1500",
        }
    }

    /// The profile of a name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }

    /// The version byte of this profile's frames.
    #[inline]
    #[must_use]
    pub const fn version(self) -> Version {
        match self {
            Self::OpenBsd6 => Version::V6,
            _ => Version::V5,
        }
    }

    /// Bytes of one whole state.
    #[must_use]
    pub const fn state_bytes(self) -> usize {
        match self {
            Self::OpenBsd6 => size_of::<layout::State264>(),
            Self::FreeBsd1301 => size_of::<layout::State242>(),
            Self::FreeBsd1400 => size_of::<layout::State277>(),
            Self::FreeBsd1500 => size_of::<layout::State360>(),
        }
    }

    /// The first timeout class that a peer of this profile finds invalid (pf's `PFTM_MAX`; `protocol` section 4.2).
    ///
    /// A FreeBSD 14 peer that is configured for message version 1301 takes 25 classes: give [`FullState::validate`]
    /// the greater number there.
    ///
    /// [`FullState::validate`]: super::FullState::validate
    #[must_use]
    pub const fn timeout_limit(self) -> u8 {
        match self {
            Self::OpenBsd6 | Self::FreeBsd1301 => 20,
            Self::FreeBsd1400 | Self::FreeBsd1500 => 25,
        }
    }

    /// The order in which the system of this profile writes regions into a frame (`protocol` section 2.3).
    ///
    /// OpenBSD sends what is not in its list in frames of their own.
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

    /// The message that carries this action in this profile, if it can say it at all.
    #[inline]
    pub(super) const fn message(self, action: Action) -> Option<&'static Message> {
        Some(match (self.version(), action) {
            (Version::V6, Action::Eof) => return None,
            (Version::V6, Action::Clear) => &VERSION_6[0],
            (Version::V6, Action::InsertAck) => &VERSION_6[1],
            (Version::V6, Action::UpdateCompressed) => &VERSION_6[2],
            (Version::V6, Action::UpdateRequest) => &VERSION_6[3],
            (Version::V6, Action::Delete) => &VERSION_6[4],
            (Version::V6, Action::DeleteCompressed) => &VERSION_6[5],
            (Version::V6, Action::BulkStatus) => &VERSION_6[6],
            (Version::V6, Action::Insert) => &VERSION_6[7],
            (Version::V6, Action::Update) => &VERSION_6[8],
            (Version::V6, Action::Tdb) => &VERSION_6[9],
            (Version::V5, Action::Clear) => &VERSION_5[0],
            (Version::V5, Action::InsertAck) => &VERSION_5[2],
            (Version::V5, Action::UpdateCompressed) => &VERSION_5[4],
            (Version::V5, Action::UpdateRequest) => &VERSION_5[5],
            (Version::V5, Action::DeleteCompressed) => &VERSION_5[7],
            (Version::V5, Action::BulkStatus) => &VERSION_5[8],
            (Version::V5, Action::Tdb) => &VERSION_5[9],
            (Version::V5, Action::Eof) => &VERSION_5[10],
            (Version::V5, Action::Insert) => match self {
                Self::FreeBsd1400 => &VERSION_5[11],
                Self::FreeBsd1500 => &VERSION_5[13],
                _ => &VERSION_5[1],
            },
            (Version::V5, Action::Update) => match self {
                Self::FreeBsd1400 => &VERSION_5[12],
                Self::FreeBsd1500 => &VERSION_5[14],
                _ => &VERSION_5[3],
            },
            (Version::V5, Action::Delete) => match self {
                Self::FreeBsd1301 => &VERSION_5[6],
                _ => return None,
            },
        })
    }
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Clear,
        Self::Insert,
        Self::InsertAck,
        Self::Update,
        Self::UpdateCompressed,
        Self::UpdateRequest,
        Self::Delete,
        Self::DeleteCompressed,
        Self::BulkStatus,
        Self::Tdb,
        Self::Eof,
    ];

    /// The name that the systems' own sources use for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clear => "CLR",
            Self::Insert => "INS",
            Self::InsertAck => "INS_ACK",
            Self::Update => "UPD",
            Self::UpdateCompressed => "UPD_C",
            Self::UpdateRequest => "UPD_REQ",
            Self::Delete => "DEL",
            Self::DeleteCompressed => "DEL_C",
            Self::BulkStatus => "BUS",
            Self::Tdb => "TDB",
            Self::Eof => "EOF",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_profile_writes_its_version_reads_as_the_same_message() {
        for profile in Profile::ALL {
            for action in Action::ALL {
                let Some(message) = profile.message(action) else { continue };
                assert_eq!(message.action, action, "{profile:?}");
                assert_eq!(
                    profile.version().message(message.number),
                    Some(message),
                    "{profile:?} {action:?}"
                );
                if let Body::State(layout) = message.body {
                    assert_eq!((layout, message.bytes as usize), (profile, profile.state_bytes()));
                }
            }
        }
    }

    #[test]
    fn numbers_without_a_handler_have_no_message() {
        for number in [1, 3, 8, 9, 11, 12, 16, 17, 31, 32, 255] {
            assert_eq!(Version::V6.message(number), None, "{number}");
        }
        for number in [8, 9, 17, 31, 32, 255] {
            assert_eq!(Version::V5.message(number), None, "{number}");
        }
    }

    #[test]
    fn names_lead_back_to_their_profiles() {
        for profile in Profile::ALL {
            assert_eq!(Profile::of_name(profile.name()), Some(profile));
        }
        assert_eq!(Profile::of_name("netbsd"), None);
    }
}
