//! Settings that can be changed while all goes on. Nothing that is under way begins anew because of it.

use super::Exporter;
use crate::error::{Error, check_range};
use crate::sync::settings::SyncSettings;
use crate::time::Nanos;

const MILLISECOND: Nanos = 1_000_000;

/// Pace and bounds of the sending side. Of one word, so that lanes can be told without a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// [`SyncSettings::insert_age`] in milliseconds, up to 10,000.
    pub insert_age_ms: u32,
    /// [`SyncSettings::update_age`] in milliseconds, up to 60,000.
    pub update_age_ms: u32,
    /// [`SyncSettings::maxupd`].
    pub maxupd: u8,
    /// [`SyncSettings::bulk_frames`], 1 to 4096.
    pub bulk_frames: u32,
}

impl Tuning {
    /// What the settings say.
    #[must_use]
    pub fn of(settings: &SyncSettings) -> Self {
        let ms = |time: Nanos| u32::try_from(time / MILLISECOND).unwrap_or(u32::MAX);
        Self {
            insert_age_ms: ms(settings.insert_age),
            update_age_ms: ms(settings.update_age),
            maxupd: settings.maxupd,
            bulk_frames: settings.bulk_frames,
        }
    }

    /// Tests the ranges.
    ///
    /// # Errors
    /// [`Error::Setting`] with the setting's name.
    pub fn check(&self) -> Result<(), Error> {
        check_range("insert_age_ms", self.insert_age_ms.into(), 0, 10_000)?;
        check_range("update_age_ms", self.update_age_ms.into(), 0, 60_000)?;
        check_range("bulk_frames_per_ms", self.bulk_frames.into(), 1, 4096)
    }

    /// As one word that is not 0. The tuning has been checked.
    #[must_use]
    pub fn packed(&self) -> u64 {
        u64::from(self.insert_age_ms)
            | u64::from(self.update_age_ms) << 16
            | u64::from(self.bulk_frames) << 32
            | u64::from(self.maxupd) << 48
            | 1 << 63
    }

    /// The tuning of [`Self::packed`].
    #[must_use]
    pub const fn unpacked(word: u64) -> Self {
        Self {
            insert_age_ms: (word & 0xffff) as u32,
            update_age_ms: (word >> 16 & 0xffff) as u32,
            maxupd: (word >> 48 & 0xff) as u8,
            bulk_frames: (word >> 32 & 0xffff) as u32,
        }
    }
}

impl Exporter {
    /// Takes over a tuning that has been checked.
    pub fn tune(&mut self, tuning: &Tuning) {
        self.settings.insert_age = u64::from(tuning.insert_age_ms) * MILLISECOND;
        self.settings.update_age = u64::from(tuning.update_age_ms) * MILLISECOND;
        self.settings.maxupd = tuning.maxupd;
        self.settings.bulk_frames = tuning.bulk_frames;
        self.aging.set_age(self.settings.update_age);
        // What waits may be due now.
        self.deadline = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::WalkOrder;
    use crate::sync::fixture::{MS, Node, S, settings, state};
    use pfsync::{Action, Profile};

    #[test]
    fn one_word_holds_every_tuning() {
        for tuning in [
            Tuning::of(&SyncSettings::default()),
            Tuning { insert_age_ms: 10_000, update_age_ms: 60_000, maxupd: 255, bulk_frames: 4096 },
            Tuning { insert_age_ms: 0, update_age_ms: 0, maxupd: 0, bulk_frames: 1 },
        ] {
            assert_eq!(tuning.check(), Ok(()));
            assert_eq!(Tuning::unpacked(tuning.packed()), tuning);
            assert_ne!(tuning.packed(), 0);
        }
        let wrong = Tuning { bulk_frames: 0, ..Tuning::of(&SyncSettings::default()) };
        assert!(matches!(wrong.check(), Err(Error::Setting { name: "bulk_frames_per_ms", .. })));
    }

    #[test]
    fn a_change_of_pace_takes_effect_at_once_and_restarts_no_walk() {
        let mut node = Node::new(settings(&[Profile::OpenBsd6]));
        (0..200).for_each(|n| _ = node.put(&state(n)));
        let late = node.insert(500);
        node.exporter.bulk_walk(&node.table, WalkOrder { peer: 0, generation: 1 });
        assert_eq!(node.said(), vec![vec![(Action::Update, 5)]; 8]);
        node.update(late);
        let tuning = Tuning { insert_age_ms: 2000, bulk_frames: 100, ..Tuning::of(node.exporter.settings()) };
        node.exporter.tune(&tuning);
        assert_eq!(node.wait(MS).said(), vec![vec![(Action::Update, 5)]; 32], "the other 160, and no insert");
        assert!(node.exporter.take_finished_walk().is_some());
        node.exporter.tune(&Tuning { insert_age_ms: 1, ..tuning });
        assert_eq!(node.wait(MS).said(), [[(Action::Insert, 1)]]);
        node.update(late);
        node.wait(S / 2);
        assert!(node.said().is_empty());
        node.exporter.tune(&Tuning { update_age_ms: 100, ..tuning });
        assert_eq!(node.said(), [[(Action::UpdateCompressed, 1)]]);
    }
}
