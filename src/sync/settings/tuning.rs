//! Settings that can be changed at run time. Nothing in progress restarts because of a change.

use super::{MILLISECOND, SyncSettings};
use crate::error::{Error, check_range};
use crate::time::Nanos;

/// Pace and limits of the export. Fits into one word, so that lanes can read it without a lock.
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
    /// Returns the current values of the settings.
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

    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Setting`] with the setting's name.
    pub fn check(&self) -> Result<(), Error> {
        check_range("max_insert_age_ms", self.insert_age_ms.into(), 0, 10_000)?;
        check_range("max_update_age_ms", self.update_age_ms.into(), 0, 60_000)?;
        check_range("max_bulk_frames_per_ms", self.bulk_frames.into(), 1, 4096)
    }

    /// Packs a checked tuning into one word, which is never 0.
    #[must_use]
    pub fn packed(&self) -> u64 {
        u64::from(self.insert_age_ms)
            | u64::from(self.update_age_ms) << 16
            | u64::from(self.bulk_frames) << 32
            | u64::from(self.maxupd) << 48
            | 1 << 63
    }

    /// Unpacks a word of [`Self::packed`].
    #[must_use]
    pub const fn unpacked(word: u64) -> Self {
        Self {
            insert_age_ms: (word & 0xffff) as u32,
            update_age_ms: (word >> 16 & 0xffff) as u32,
            maxupd: (word >> 48 & 0xff) as u8,
            bulk_frames: (word >> 32 & 0xffff) as u32,
        }
    }

    /// Writes the values into the settings.
    pub(in crate::sync) fn apply_to(&self, settings: &mut SyncSettings) {
        settings.insert_age = u64::from(self.insert_age_ms) * MILLISECOND;
        settings.update_age = u64::from(self.update_age_ms) * MILLISECOND;
        settings.maxupd = self.maxupd;
        settings.bulk_frames = self.bulk_frames;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(matches!(wrong.check(), Err(Error::Setting { name: "max_bulk_frames_per_ms", .. })));
    }
}
