//! The states' part of the C API: what a new state gets, what a state looks like, and states that an operator deletes.

mod admin_delete;
mod contents;
mod options;
mod view;

pub use admin_delete::*;
pub use contents::*;
pub use options::*;
pub use view::*;
