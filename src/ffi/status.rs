//! Status numbers and the text of the last failure.

use core::cell::RefCell;
use core::ffi::{CStr, c_char};
use std::ffi::CString;

/// Success.
pub const PFPLANE_OK: i32 = 0;
/// An iterator has nothing more.
pub const PFPLANE_END: i32 = 1;
/// A pointer that must not be `NULL` is, or is not aligned for its type.
pub const PFPLANE_ERROR_NULL: i32 = -1;
/// A struct's `size` is not one that this library knows.
pub const PFPLANE_ERROR_SIZE: i32 = -2;
/// A setting is out of its range; the last error names it and the limit.
pub const PFPLANE_ERROR_SETTING: i32 = -3;
/// Memory could not be had; the last error says for what and how much.
pub const PFPLANE_ERROR_MEMORY: i32 = -4;
/// There is no such lane, or the call is for the sync lane (lane 0) only.
pub const PFPLANE_ERROR_LANE: i32 = -5;
/// The caller's buffer is too small.
pub const PFPLANE_ERROR_BUFFER: i32 = -6;
/// An argument has a value that the call does not know.
pub const PFPLANE_ERROR_ARGUMENT: i32 = -7;
/// There is no statistic of that name.
pub const PFPLANE_ERROR_UNKNOWN: i32 = -8;
/// There is no room.
pub const PFPLANE_ERROR_FULL: i32 = -9;
/// Another one is there already.
pub const PFPLANE_ERROR_EXISTS: i32 = -10;
/// A defect in the library was contained. The lane or engine that it happened in must not be used further.
pub const PFPLANE_ERROR_PANIC: i32 = -99;

const TEXTS: [(i32, &CStr); 13] = [
    (PFPLANE_OK, c"success"),
    (PFPLANE_END, c"nothing more"),
    (PFPLANE_ERROR_NULL, c"a pointer is NULL or not aligned"),
    (PFPLANE_ERROR_SIZE, c"a struct's size is not known to this library"),
    (PFPLANE_ERROR_SETTING, c"a setting is out of its range"),
    (PFPLANE_ERROR_MEMORY, c"memory could not be had"),
    (PFPLANE_ERROR_LANE, c"no such lane, or not the sync lane"),
    (PFPLANE_ERROR_BUFFER, c"the buffer is too small"),
    (PFPLANE_ERROR_ARGUMENT, c"an argument has an unknown value"),
    (PFPLANE_ERROR_UNKNOWN, c"no statistic of that name"),
    (PFPLANE_ERROR_FULL, c"no room"),
    (PFPLANE_ERROR_EXISTS, c"another one is there already"),
    (PFPLANE_ERROR_PANIC, c"a defect in pfplane was contained"),
];

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::new(CString::default());
}

pub(super) fn set_last_error(text: String) {
    let text = CString::new(text.replace('\0', " ")).unwrap_or_default();
    LAST_ERROR.with_borrow_mut(|last| *last = text);
}

/// What a status number means, in a few words.
///
/// Parameters: `status`, any number.
/// Returns: a text that lives as long as the program, never `NULL`; an unknown number is "unknown status".
/// Thread: any.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_status_text(status: i32) -> *const c_char {
    TEXTS.iter().find(|(number, _)| *number == status).map_or(c"unknown status", |(_, text)| text).as_ptr()
}

/// The last failure of this thread as a sentence that names the thing and the limit.
///
/// Returns: a text, empty when nothing failed yet, never `NULL`. It is valid until this thread's next failing call.
/// Ownership: the library's.
/// Thread: any; each has its own.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_last_error() -> *const c_char {
    LAST_ERROR.with_borrow(|last| last.as_ptr())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_a_text_of_its_own() {
        for (number, text) in TEXTS {
            // SAFETY: the function returns a NUL-terminated static text.
            let got = unsafe { CStr::from_ptr(pfplane_status_text(number)) };
            assert_eq!(got, text);
        }
        // SAFETY: as above.
        assert_eq!(unsafe { CStr::from_ptr(pfplane_status_text(12345)) }, c"unknown status");
    }

    #[test]
    fn the_last_error_is_kept_per_thread() {
        set_last_error("lanes is 0".into());
        std::thread::spawn(|| {
            // SAFETY: the function returns a NUL-terminated text of this thread.
            assert_eq!(unsafe { CStr::from_ptr(pfplane_last_error()) }, c"");
        })
        .join()
        .unwrap();
        // SAFETY: as above.
        assert_eq!(unsafe { CStr::from_ptr(pfplane_last_error()) }, c"lanes is 0");
    }
}
