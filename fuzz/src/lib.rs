//! What the fuzz targets do with their input.

pub mod calls;
pub mod codec;
mod input;
pub mod nat;
pub mod node;
pub mod packet;
