//! What the fuzz targets do with their input.

pub mod codec;
pub mod nat;
pub mod node;
pub mod packet;
