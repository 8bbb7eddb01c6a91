//! Pointers as C passes them. References in a signature stand for pointers that are valid or NULL; arrays come as a pointer and
//! a count, and are the only ones that need `unsafe` here.

use super::guard::Failure;
use super::status::PFPLANE_ERROR_BUFFER;
use core::mem::MaybeUninit;

/// The argument `name`, which must not be NULL.
pub(super) fn given<'a, T>(argument: Option<&'a T>, name: &str) -> Result<&'a T, Failure> {
    argument.ok_or_else(|| Failure::null(name))
}

/// As [`given`], for an argument that the call changes.
pub(super) fn given_mut<'a, T>(argument: Option<&'a mut T>, name: &str) -> Result<&'a mut T, Failure> {
    argument.ok_or_else(|| Failure::null(name))
}

/// Writes an output, whose memory may be uninitialised.
pub(super) fn put<T>(out: Option<&mut MaybeUninit<T>>, name: &str, value: T) -> Result<(), Failure> {
    given_mut(out, name)?.write(value);
    Ok(())
}

/// An array that C passed for reading.
///
/// # Safety
/// `pointer` is NULL, or points to `count` values that nobody writes while the slice lives.
pub(super) unsafe fn elements<'a, T>(pointer: *const T, count: u32, name: &str) -> Result<&'a [T], Failure> {
    if count == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() || !pointer.is_aligned() {
        return Err(Failure::null(name));
    }
    // SAFETY: not NULL and aligned, as just checked; the caller vouches for `count` values that stay as they are.
    Ok(unsafe { core::slice::from_raw_parts(pointer, count as usize) })
}

/// An array that C passed for writing. Its elements are taken for initialised.
///
/// # Safety
/// `pointer` is NULL, or points to `count` initialised values that only the caller uses while the slice lives.
pub(super) unsafe fn elements_mut<'a, T>(
    pointer: *mut T,
    count: u32,
    name: &str,
) -> Result<&'a mut [T], Failure> {
    if count == 0 {
        return Ok(&mut []);
    }
    if pointer.is_null() || !pointer.is_aligned() {
        return Err(Failure::null(name));
    }
    // SAFETY: not NULL and aligned, as just checked; the caller vouches for `count` values and for being their only user.
    Ok(unsafe { core::slice::from_raw_parts_mut(pointer, count as usize) })
}

/// The first `needed` bytes of an output buffer of `capacity` bytes, set to zero.
///
/// # Safety
/// `buffer` is NULL, or points to `capacity` bytes, initialised or not, that only the caller uses while the slice lives.
pub(super) unsafe fn out_buffer<'a>(
    buffer: *mut u8,
    capacity: u32,
    needed: usize,
) -> Result<&'a mut [u8], Failure> {
    if (capacity as usize) < needed {
        let text = format_args!("capacity is {capacity}, up to {needed} bytes are needed");
        return Err(Failure::new(PFPLANE_ERROR_BUFFER, text));
    }
    if buffer.is_null() {
        return Err(Failure::null("buffer"));
    }
    // SAFETY: not NULL; `needed` is at most `capacity`, and the caller guarantees that `capacity` bytes are writable.
    unsafe { buffer.write_bytes(0, needed) };
    // SAFETY: the same bytes, which the line above initialised.
    Ok(unsafe { core::slice::from_raw_parts_mut(buffer, needed) })
}
