//! Which library this is.

use core::ffi::{CStr, c_char};

/// The number of the binary interface. It changes when a caller must be compiled again.
pub const PFPLANE_ABI_VERSION: u32 = 1;

const VERSION_TEXT: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(text) => text,
        Err(_) => panic!("a NUL inside the version"),
    };

const fn number(text: &str) -> u32 {
    let bytes = text.as_bytes();
    let mut value = 0;
    let mut place = 0;
    while place < bytes.len() {
        value = value * 10 + (bytes[place] - b'0') as u32;
        place += 1;
    }
    value
}

const VERSION: u32 = number(env!("CARGO_PKG_VERSION_MAJOR")) << 24
    | number(env!("CARGO_PKG_VERSION_MINOR")) << 16
    | number(env!("CARGO_PKG_VERSION_PATCH")) << 8;

/// The library's version as one number: major, minor and patch in the three upper bytes.
///
/// Thread: any.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_version() -> u32 {
    VERSION
}

/// The library's version as text, for instance "0.1.0".
///
/// Returns: a text that lives as long as the program.
/// Thread: any.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_version_string() -> *const c_char {
    VERSION_TEXT.as_ptr()
}

/// The binary interface that this library has: compare it with `PFPLANE_ABI_VERSION` of the header that the caller
/// was compiled with, and do not go on when they differ.
///
/// Thread: any.
#[unsafe(no_mangle)]
pub extern "C" fn pfplane_abi_version() -> u32 {
    PFPLANE_ABI_VERSION
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_says_the_same_as_the_text() {
        let [major, minor, patch, _] = pfplane_version().to_be_bytes();
        assert_eq!(format!("{major}.{minor}.{patch}"), VERSION_TEXT.to_str().unwrap());
    }
}
