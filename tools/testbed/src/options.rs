//! Values of command line options.

use std::fmt::Display;
use std::path::PathBuf;
use std::str::FromStr;

use crate::failure::{Context, Fallible, fail};

/// Reads the value of `--option`, a number from `min` to `max`.
pub fn number<T>(parser: &mut lexopt::Parser, option: &str, min: T, max: T) -> Fallible<T>
where
    T: FromStr + PartialOrd + Display,
{
    let value = parser.value().context(|| format!("read --{option}"))?;
    let text = value.to_string_lossy();
    match text.parse::<T>() {
        Ok(number) if number >= min && number <= max => Ok(number),
        _ => fail(format!("--{option} takes a number from {min} to {max}, not '{text}'")),
    }
}

/// Reads the value of `--option`, a path.
pub fn path(parser: &mut lexopt::Parser, option: &str) -> Fallible<PathBuf> {
    Ok(parser.value().context(|| format!("read --{option}"))?.into())
}
