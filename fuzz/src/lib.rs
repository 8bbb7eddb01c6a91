//! What the fuzz targets do with their input.

pub mod adverts;
pub mod calls;
pub mod codec;
pub mod election;
mod input;
pub mod nat;
pub mod node;
pub mod packet;
pub mod seal;
