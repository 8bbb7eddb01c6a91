//! The C door (L6): one file a C noun. `include/pfplane.h` is generated from here.
//!
//! Every exported function is one call of `guard` (or is so plain that it cannot fail), so that neither a
//! panic nor a wrong pointer that can be recognised crosses into C. Outputs come last and are named `_out`; zero is
//! success; numbers are never reused; `NULL` to a `_free` function is fine.
#![expect(non_camel_case_types, reason = "these are the C names")]

mod allocator;
mod answer;
mod config;
mod engine;
mod exposure;
mod facts;
mod frame_fields;
#[cfg(feature = "dpdk")]
mod frame_mbufs;
mod frame_reader;
mod frame_record;
mod frame_writer;
mod held;
mod lane;
mod lane_facts;
#[cfg(feature = "dpdk")]
mod lane_mbufs;
mod packet;
mod peer;
mod replica;
mod source_limits;
mod state_kill;
mod state_options;
mod state_view;
mod stats;
mod status;
mod store;
mod version;

pub use allocator::*;
pub use answer::*;
pub use config::*;
pub use engine::*;
pub use exposure::*;
pub use facts::*;
#[cfg(feature = "dpdk")]
pub use frame_mbufs::*;
pub use frame_reader::*;
pub use frame_record::*;
pub use frame_writer::*;
pub use held::*;
pub use lane::*;
pub use lane_facts::*;
#[cfg(feature = "dpdk")]
pub use lane_mbufs::*;
pub use packet::*;
pub use peer::*;
pub use replica::*;
pub use source_limits::*;
pub use state_kill::*;
pub use state_options::*;
pub use state_view::*;
pub use stats::*;
pub use status::*;
pub use store::pfplane_store;
pub use version::*;

use core::panic::AssertUnwindSafe;
use std::panic::catch_unwind;

/// Why a call failed: the number for the caller, the sentence for [`pfplane_last_error`].
pub(crate) struct Failure {
    status: i32,
    text: String,
}

impl Failure {
    pub(crate) fn new(status: i32, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    pub(crate) fn null(name: &'static str) -> Self {
        Self::new(PFPLANE_ERROR_NULL, format!("{name} is NULL"))
    }
}

impl From<crate::error::Error> for Failure {
    fn from(error: crate::error::Error) -> Self {
        let status = match error {
            crate::error::Error::OutOfMemory { .. } => PFPLANE_ERROR_MEMORY,
            _ => PFPLANE_ERROR_SETTING,
        };
        Self::new(status, error.to_string())
    }
}

/// Runs the body of an exported function: a failure becomes its status and this thread's last error, a panic
/// becomes [`PFPLANE_ERROR_PANIC`].
#[inline]
pub(crate) fn guard(body: impl FnOnce() -> Result<i32, Failure>) -> i32 {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(status)) => status,
        Ok(Err(failure)) => remember(failure),
        Err(_) => remember(Failure::new(PFPLANE_ERROR_PANIC, "a defect in pfplane was contained")),
    }
}

#[cold]
fn remember(failure: Failure) -> i32 {
    status::set_last_error(failure.text);
    failure.status
}

/// The struct behind a pointer that C gave for reading.
///
/// # Safety
/// `pointer` is NULL, or points to a `T` that nobody writes while the reference lives.
pub(crate) unsafe fn reference<'a, T>(pointer: *const T, name: &'static str) -> Result<&'a T, Failure> {
    if !pointer.is_aligned() {
        return Err(Failure::new(PFPLANE_ERROR_NULL, format!("{name} is not aligned")));
    }
    // SAFETY: the caller promises NULL or a valid `T` that nobody writes; the alignment was checked above.
    unsafe { pointer.as_ref() }.ok_or_else(|| Failure::null(name))
}

/// The struct behind a pointer that C gave for writing.
///
/// # Safety
/// `pointer` is NULL, or points to a `T` that only this call uses while the reference lives.
pub(crate) unsafe fn exclusive<'a, T>(pointer: *mut T, name: &'static str) -> Result<&'a mut T, Failure> {
    if !pointer.is_aligned() {
        return Err(Failure::new(PFPLANE_ERROR_NULL, format!("{name} is not aligned")));
    }
    // SAFETY: the caller promises NULL or a valid `T` that only this call uses; the alignment was checked above.
    unsafe { pointer.as_mut() }.ok_or_else(|| Failure::null(name))
}

/// Writes one value through an output pointer, which may point to uninitialised memory.
///
/// # Safety
/// `pointer` is NULL, or points to room for a `T` that only this call uses.
pub(crate) unsafe fn put<T>(pointer: *mut T, name: &'static str, value: T) -> Result<(), Failure> {
    if pointer.is_null() || !pointer.is_aligned() {
        return Err(Failure::null(name));
    }
    // SAFETY: not NULL and aligned, checked above; the caller promises room for a `T` that only this call uses.
    unsafe { pointer.write(value) };
    Ok(())
}

/// The elements behind a pointer and a count that C gave for reading.
///
/// # Safety
/// `pointer` is NULL, or points to `count` values of `T` that nobody writes while the slice lives.
pub(crate) unsafe fn elements<'a, T>(
    pointer: *const T,
    count: u32,
    name: &'static str,
) -> Result<&'a [T], Failure> {
    if count == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() || !pointer.is_aligned() {
        return Err(Failure::null(name));
    }
    // SAFETY: not NULL and aligned, checked above; the caller promises `count` values that nobody writes.
    Ok(unsafe { core::slice::from_raw_parts(pointer, count as usize) })
}

/// The elements behind a pointer and a count that C gave for writing. They must hold valid values of `T` before.
///
/// # Safety
/// `pointer` is NULL, or points to `count` initialised values of `T` that only this call uses.
pub(crate) unsafe fn elements_mut<'a, T>(
    pointer: *mut T,
    count: u32,
    name: &'static str,
) -> Result<&'a mut [T], Failure> {
    if count == 0 {
        return Ok(&mut []);
    }
    if pointer.is_null() || !pointer.is_aligned() {
        return Err(Failure::null(name));
    }
    // SAFETY: not NULL and aligned, checked above; the caller promises `count` values that only this call uses.
    Ok(unsafe { core::slice::from_raw_parts_mut(pointer, count as usize) })
}

/// Checks the `size` that a caller's struct begins with: it must be that of this library's struct.
///
/// Later versions append fields and then accept the older sizes too, each with its own row here.
pub(crate) fn check_size<T>(size: u32, name: &'static str) -> Result<(), Failure> {
    let expected = size_of::<T>();
    if size as usize == expected {
        return Ok(());
    }
    Err(Failure::new(PFPLANE_ERROR_SIZE, format!("{name}.size is {size}, this library knows {expected}")))
}
