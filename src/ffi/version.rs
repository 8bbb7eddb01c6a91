//! Version
//!
//! Compare PFPLANE_ABI_VERSION with pfplane_abi_version() at start, and stop when they differ.

use core::ffi::{CStr, c_char};

/// The version of this binary interface. It changes when callers must be compiled again.
pub const PFPLANE_ABI_VERSION: u32 = 2;

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(text) => text,
    Err(_) => panic!("a NUL inside the version"),
};

/// Returns the binary interface of the loaded library, to compare with `PFPLANE_ABI_VERSION` of the caller's header.
///
/// Thread: any.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_abi_version() -> u32 {
    PFPLANE_ABI_VERSION
}

/// Returns the library's version as text, for instance "0.1.0".
///
/// Returns: a text that lives as long as the program.
/// Thread: any.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_version_string() -> *const c_char {
    VERSION.as_ptr()
}
