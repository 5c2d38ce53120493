//! What a worker that died leaves behind, and how it is told from what a living one uses.
//!
//! A container carries labels with its worker and a deadline ([`containers`]); a directory holds a lock that the
//! kernel lets go when its owner dies ([`OwnDirectory`]).

pub mod containers;
mod directory;

pub use directory::{OwnDirectory, sweep_directories};
