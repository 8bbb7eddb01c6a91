//! The states' part of the C API: what a new state gets, what a state looks like, and states that an operator deletes.

mod contents;
mod kill;
mod options;
mod view;

pub use contents::*;
pub use kill::*;
pub use options::*;
pub use view::*;
