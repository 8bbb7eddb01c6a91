//! Which number and size each message has in each version: the systems' `pfsync_acts` tables.
//!
//! Numbers 13, 14 and 15 mean different messages in versions 5 and 6, so a number is always looked up with its version.

use super::{BulkStatus, Clear, Compressed, Id, State242, State264, State277, State360, Tdb48, Tdb52};
use crate::action::Action;
use crate::profile::{Profile, Version};

/// The layout of a region's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    State(Profile),
    Compressed,
    Id,
    Clear,
    BulkStatus,
    Tdb,
    Empty,
}

/// One message of one version.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) number: u8,
    pub(crate) action: Action,
    pub(crate) bytes: u16,
    pub(crate) body: Body,
}

/// The number of the message that ends a frame of version 5.
pub(crate) const EOF: u8 = 12;

const fn row<T>(number: u8, action: Action, body: Body) -> Message {
    Message { number, action, bytes: size_of::<T>() as u16, body }
}

const fn state<T>(number: u8, action: Action, profile: Profile) -> Message {
    row::<T>(number, action, Body::State(profile))
}

/// OpenBSD. Numbers that are missing have no handler there and are skipped.
static VERSION_6: [Message; 10] = [
    row::<Clear>(0, Action::Clear, Body::Clear),
    row::<Id>(2, Action::InsertAck, Body::Id),
    row::<Compressed>(4, Action::UpdateCompressed, Body::Compressed),
    row::<Id>(5, Action::UpdateRequest, Body::Id),
    state::<State264>(6, Action::Delete, Profile::OpenBsd6),
    row::<Id>(7, Action::DeleteCompressed, Body::Id),
    row::<BulkStatus>(10, Action::BulkStatus, Body::BulkStatus),
    state::<State264>(13, Action::Insert, Profile::OpenBsd6),
    state::<State264>(14, Action::Update, Profile::OpenBsd6),
    row::<Tdb52>(15, Action::Tdb, Body::Tdb),
];

/// FreeBSD. A receiver accepts every layout that it knows, whichever it sends.
static VERSION_5: [Message; 15] = [
    row::<Clear>(0, Action::Clear, Body::Clear),
    state::<State242>(1, Action::Insert, Profile::FreeBsd1301),
    row::<Id>(2, Action::InsertAck, Body::Id),
    state::<State242>(3, Action::Update, Profile::FreeBsd1301),
    row::<Compressed>(4, Action::UpdateCompressed, Body::Compressed),
    row::<Id>(5, Action::UpdateRequest, Body::Id),
    state::<State242>(6, Action::Delete, Profile::FreeBsd1301),
    row::<Id>(7, Action::DeleteCompressed, Body::Id),
    row::<BulkStatus>(10, Action::BulkStatus, Body::BulkStatus),
    row::<Tdb48>(11, Action::Tdb, Body::Tdb),
    row::<()>(EOF, Action::Eof, Body::Empty),
    state::<State277>(13, Action::Insert, Profile::FreeBsd1400),
    state::<State277>(14, Action::Update, Profile::FreeBsd1400),
    state::<State360>(15, Action::Insert, Profile::FreeBsd1500),
    state::<State360>(16, Action::Update, Profile::FreeBsd1500),
];

/// The row of each number: one load on the receive path instead of a search.
const fn index(rows: &[Message]) -> [u8; 32] {
    let mut table = [NO_ROW; 32];
    let mut row = 0;
    while row < rows.len() {
        table[rows[row].number as usize] = row as u8;
        row += 1;
    }
    table
}

const NO_ROW: u8 = u8::MAX;
static INDEX_6: [u8; 32] = index(&VERSION_6);
static INDEX_5: [u8; 32] = index(&VERSION_5);

impl Version {
    /// Returns the message with this number, if this version has a handler for it.
    #[inline]
    pub(crate) fn message(self, number: u8) -> Option<&'static Message> {
        let (rows, index): (&'static [Message], _) = match self {
            Self::V5 => (&VERSION_5, &INDEX_5),
            Self::V6 => (&VERSION_6, &INDEX_6),
        };
        rows.get(*index.get(number as usize)? as usize)
    }
}

impl Profile {
    /// Returns the message that carries this action in this profile, if there is one.
    ///
    /// A match with constants, because the writer calls it for every record with a literal action.
    #[inline]
    pub(crate) const fn message(self, action: Action) -> Option<&'static Message> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_reads_every_message_that_its_profiles_write() {
        for profile in Profile::ALL {
            for action in Action::ALL {
                let Some(message) = profile.message(action) else { continue };
                assert_eq!(message.action, action, "{profile}");
                assert_eq!(profile.version().message(message.number), Some(message), "{profile} {action}");
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
}
