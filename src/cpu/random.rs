//! Random bits of the operating system.

use std::io::{Error, ErrorKind};

/// Returns 256 random bits of the operating system; `None` if it has none to give. Early after boot it waits until the
/// system has gathered enough.
#[must_use]
pub fn system_random() -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    loop {
        // SAFETY: the buffer has as many bytes as are requested.
        let written = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        if usize::try_from(written).is_ok_and(|written| written == bytes.len()) {
            return Some(bytes);
        }
        if written >= 0 || Error::last_os_error().kind() != ErrorKind::Interrupted {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() {
        assert_ne!(system_random().unwrap(), system_random().unwrap());
    }
}
