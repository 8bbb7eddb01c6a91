//! Shared values under observation: loom's `Arc` with the calls of ours.

use core::ops::Deref;
use loom::sync::Arc;
use pfplane::internals::error::Error;
use pfplane::internals::memory::Heap;

/// One owner of a value.
#[derive(Debug)]
pub(crate) struct Counted<T>(Arc<T>);

impl<T> Counted<T> {
    /// Shares a value.
    pub(crate) fn new(_: Heap, _: &'static str, value: T) -> Result<Self, Error> {
        Ok(Self(Arc::new(value)))
    }

    /// Returns the bytes of a shared value.
    #[must_use]
    pub(crate) const fn bytes() -> usize {
        size_of::<T>()
    }
}

impl<T> Clone for Counted<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Deref for Counted<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
