//! Status and errors
//!
//! Numbers are never reused. A later version may add some: treat an unknown negative number as a failure.

use core::cell::RefCell;
use core::ffi::{CStr, c_char};
use core::fmt::{self, Write};

// enum pfplane_status: What a call returns, as int32_t.
/// Success.
pub const PFPLANE_OK: i32 = 0;
/// Nothing more: an iteration is complete, or what was requested does not exist.
pub const PFPLANE_END: i32 = 1;
/// A pointer that must not be `NULL` is `NULL`.
pub const PFPLANE_ERROR_NULL: i32 = -1;
/// A struct's `size` is not the one that this library expects.
pub const PFPLANE_ERROR_SIZE: i32 = -2;
/// A setting is out of range. The last error names it and its limits.
pub const PFPLANE_ERROR_SETTING: i32 = -3;
/// Out of memory. The last error says for what, and how many bytes.
pub const PFPLANE_ERROR_MEMORY: i32 = -4;
/// There is no such lane, or the call is for lane 0 only.
pub const PFPLANE_ERROR_LANE: i32 = -5;
/// The caller's buffer is too small.
pub const PFPLANE_ERROR_BUFFER: i32 = -6;
/// An argument or a field has an unknown value.
pub const PFPLANE_ERROR_ARGUMENT: i32 = -7;
/// There is no statistic of that name.
pub const PFPLANE_ERROR_UNKNOWN: i32 = -8;
/// There is no space left.
pub const PFPLANE_ERROR_FULL: i32 = -9;
/// There already is a state with this key.
pub const PFPLANE_ERROR_EXISTS: i32 = -10;
/// A defect in the library was contained. Do not use the lane or replica any more; its later calls fail in the same way.
pub const PFPLANE_ERROR_PANIC: i32 = -99;

const TEXTS: [(i32, &CStr); 13] = [
    (PFPLANE_OK, c"success"),
    (PFPLANE_END, c"nothing more"),
    (PFPLANE_ERROR_NULL, c"a pointer is NULL"),
    (PFPLANE_ERROR_SIZE, c"a struct has another size than this library expects"),
    (PFPLANE_ERROR_SETTING, c"a setting is out of range"),
    (PFPLANE_ERROR_MEMORY, c"out of memory"),
    (PFPLANE_ERROR_LANE, c"no such lane, or not the sync lane"),
    (PFPLANE_ERROR_BUFFER, c"the buffer is too small"),
    (PFPLANE_ERROR_ARGUMENT, c"an argument has an unknown value"),
    (PFPLANE_ERROR_UNKNOWN, c"no statistic of that name"),
    (PFPLANE_ERROR_FULL, c"no space left"),
    (PFPLANE_ERROR_EXISTS, c"a state with this key exists"),
    (PFPLANE_ERROR_PANIC, c"a defect in pfplane was contained"),
];

/// A text with a NUL behind it, without an allocation. A longer one is cut.
struct LastError {
    bytes: [u8; 512],
    length: usize,
}

impl Write for LastError {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // The last byte stays the NUL.
        let (_, free) = self.bytes[..511].split_at_mut(self.length);
        let count = free.len().min(text.len());
        for (to, byte) in free.iter_mut().zip(text.bytes()) {
            *to = if byte == 0 { b' ' } else { byte };
        }
        self.length += count;
        Ok(())
    }
}

thread_local! {
    static LAST_ERROR: RefCell<LastError> = const { RefCell::new(LastError { bytes: [0; 512], length: 0 }) };
}

pub(super) fn set_last_error(text: fmt::Arguments<'_>) {
    LAST_ERROR.with_borrow_mut(|last| {
        (last.bytes, last.length) = ([0; 512], 0);
        // A text never fails to be written.
        let _ = last.write_fmt(text);
    });
}

/// Describes a status in a few words.
///
/// Returns: a text that lives as long as the program, never `NULL`; "unknown status" for an unknown number.
/// Thread: any.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_status_text(status: i32) -> *const c_char {
    TEXTS.iter().find(|(number, _)| *number == status).map_or(c"unknown status", |(_, text)| text).as_ptr()
}

/// Describes the last failure of the calling thread in one sentence, which names the argument or setting and its limits.
///
/// Returns: a text, empty when no call has failed yet, never `NULL`. It is valid until the thread's next failing call.
/// Thread: any; each thread has its own.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_last_error() -> *const c_char {
    LAST_ERROR.with_borrow(|last| last.bytes.as_ptr().cast())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: *const c_char) -> String {
        // SAFETY: both calls return texts that end with a NUL and live until the thread's next failure.
        unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_owned()
    }

    #[test]
    fn every_status_has_a_text_of_its_own() {
        let mut seen: Vec<_> = TEXTS.iter().map(|(number, _)| text(pfplane_status_text(*number))).collect();
        assert!(seen.iter().zip(TEXTS).all(|(got, (_, expected))| got.as_bytes() == expected.to_bytes()));
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), TEXTS.len());
        assert_eq!(text(pfplane_status_text(12345)), "unknown status");
    }

    #[test]
    fn the_last_error_is_kept_per_thread() {
        set_last_error(format_args!("lanes is {}", 0));
        std::thread::spawn(|| assert_eq!(text(pfplane_last_error()), "")).join().unwrap();
        assert_eq!(text(pfplane_last_error()), "lanes is 0");
        set_last_error(format_args!("{}\0{}", "a", "x".repeat(600)));
        assert_eq!(text(pfplane_last_error()), format!("a {}", "x".repeat(509)));
    }
}
