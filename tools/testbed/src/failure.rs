//! Errors for people: a failure is one complete sentence.

use std::fmt;

/// What went wrong.
#[derive(Debug)]
pub struct Failure(pub String);

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

/// The result of an operation whose error is shown to the user.
pub type Fallible<T> = Result<T, Failure>;

/// Returns a failure with this sentence.
pub fn fail<T>(sentence: impl Into<String>) -> Fallible<T> {
    Err(Failure(sentence.into()))
}

/// Adds the failed action to an error.
pub trait Context<T> {
    /// Turns an error into "cannot ACTION: error".
    fn context<A: fmt::Display>(self, action: impl FnOnce() -> A) -> Fallible<T>;
}

impl<T, E: fmt::Display> Context<T> for Result<T, E> {
    fn context<A: fmt::Display>(self, action: impl FnOnce() -> A) -> Fallible<T> {
        self.map_err(|error| Failure(format!("cannot {}: {error}", action())))
    }
}
