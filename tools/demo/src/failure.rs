//! A failure is a sentence for the person at the screen.

use std::fmt;

/// What went wrong, said once and in full.
#[derive(Debug)]
pub struct Failure(pub String);

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

/// The result of everything that can fail in front of the user.
pub type Outcome<T> = Result<T, Failure>;

/// A failure made of a sentence.
pub fn fail<T>(sentence: impl Into<String>) -> Outcome<T> {
    Err(Failure(sentence.into()))
}

/// Puts what was being done in front of a lower error.
pub trait Because<T> {
    /// `doing` reads as "cannot DOING: error".
    fn because(self, doing: impl FnOnce() -> String) -> Outcome<T>;
}

impl<T, E: fmt::Display> Because<T> for Result<T, E> {
    fn because(self, doing: impl FnOnce() -> String) -> Outcome<T> {
        self.map_err(|error| Failure(format!("cannot {}: {error}", doing())))
    }
}
