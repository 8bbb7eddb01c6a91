//! Adds options to the trailer behind a frame.

use super::FrameWriter;
use crate::SUBHEADER_BYTES;
use crate::error::Full;
use crate::profile::Version;
use crate::trailer::{
    Protection, StateOption, TRAILER_BYTES, TrailerOption, option_bytes, option_header, write_option,
};

impl FrameWriter<'_> {
    /// Reserves the space for a trailer without options. [`Self::push_option`] does so by itself if the frame is not protected.
    ///
    /// # Errors
    /// [`Full`] if it does not fit, was begun before, or [`WriterOptions::trailer`](crate::WriterOptions::trailer) is not 0.
    pub fn begin_trailer(&mut self, protection: Protection) -> Result<(), Full> {
        let limit = self.limit_with_trailer(protection).filter(|_| self.protection.is_none());
        self.limit = limit.ok_or(Full)?;
        self.protection = Some(protection);
        Ok(())
    }

    /// Returns whether the trailer has an option.
    #[must_use]
    pub const fn has_options(&self) -> bool {
        self.options > 0
    }

    /// The limit of records once there is a trailer, which takes the place of the end mark.
    fn limit_with_trailer(&self, protection: Protection) -> Option<usize> {
        let end_mark = match self.profile.version() {
            Version::V5 => SUBHEADER_BYTES,
            Version::V6 => 0,
        };
        let limit = (self.limit + end_mark).checked_sub(TRAILER_BYTES + protection.tag_bytes())?;
        (limit >= self.at && self.trailer == 0).then_some(limit)
    }

    /// Adds an option to the trailer. Options are sent in the opposite order.
    ///
    /// # Errors
    /// [`Full`] if it does not fit, or if the frame can have no trailer.
    pub fn push_option(&mut self, option: &TrailerOption<'_>) -> Result<(), Full> {
        self.push_parts(option.kind, [option.value, &[]])
    }

    /// Adds an option about a state.
    ///
    /// # Errors
    /// As [`Self::push_option`].
    pub fn push_state_option(&mut self, option: &StateOption<'_>) -> Result<(), Full> {
        self.push_parts(option.kind, [&option_header(option.id), option.value])
    }

    fn push_parts(&mut self, kind: u8, parts: [&[u8]; 2]) -> Result<(), Full> {
        let protection = self.protection.unwrap_or_default();
        let limit = match self.protection {
            Some(_) => self.limit,
            None => self.limit_with_trailer(protection).ok_or(Full)?,
        };
        let bytes = option_bytes(parts[0].len() + parts[1].len());
        let limit = limit.checked_sub(bytes).filter(|&limit| limit >= self.at);
        self.limit = limit.ok_or(Full)?;
        self.protection = Some(protection);
        let end = self.buffer.len() - protection.tag_bytes() - self.options;
        write_option(kind, parts, &mut self.buffer[end - bytes..end]);
        self.options += bytes;
        Ok(())
    }
}
