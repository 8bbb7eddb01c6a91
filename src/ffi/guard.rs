//! What every exported function runs in: a failure becomes a status, a panic does not cross into C.

use super::status::{self, PFPLANE_ERROR_ARGUMENT, PFPLANE_ERROR_MEMORY, PFPLANE_ERROR_NULL};
use super::status::{PFPLANE_ERROR_PANIC, PFPLANE_ERROR_SETTING, PFPLANE_ERROR_SIZE};
use crate::error::Error;
use core::fmt;
use core::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

/// Why a call failed: the number for the caller. The sentence is the thread's last error already, so that nothing is
/// allocated for it.
pub(super) struct Failure {
    status: i32,
}

impl Failure {
    #[cold]
    pub(super) fn new(status: i32, text: impl fmt::Display) -> Self {
        status::set_last_error(format_args!("{text}"));
        Self { status }
    }

    pub(super) fn null(name: &str) -> Self {
        Self::new(PFPLANE_ERROR_NULL, format_args!("{name} is NULL"))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match error {
            Error::OutOfMemory { .. } => PFPLANE_ERROR_MEMORY,
            _ => PFPLANE_ERROR_SETTING,
        };
        Self::new(status, error)
    }
}

/// Runs the body of an exported function: a failure becomes its status and this thread's last error, a panic
/// becomes [`PFPLANE_ERROR_PANIC`].
#[inline]
pub(super) fn guard(body: impl FnOnce() -> Result<i32, Failure>) -> i32 {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(status)) => status,
        Ok(Err(failure)) => failure.status,
        Err(_) => Failure::new(PFPLANE_ERROR_PANIC, "a defect in pfplane was contained").status,
    }
}

/// Checks the `size` that a caller's struct begins with: it must be that of this library's struct.
///
/// Later versions append fields and then accept the older sizes too, each with its own row here.
pub(super) fn check_size<T>(size: u32, name: &str) -> Result<(), Failure> {
    let expected = size_of::<T>();
    if size as usize == expected {
        return Ok(());
    }
    Err(Failure::new(
        PFPLANE_ERROR_SIZE,
        format_args!("{name}.size is {size}, this library expects {expected}"),
    ))
}

/// The failure for an argument or field that is none of a family's constants.
pub(super) fn unknown(name: impl fmt::Display, value: impl Into<u32>) -> Failure {
    Failure::new(
        PFPLANE_ERROR_ARGUMENT,
        format_args!("{name} is {}, which is not a known value", value.into()),
    )
}
