//! What toolchains made is brought into a fixed shape on disk: one directory per image layer, each a tree relative to `/`.
//!
//! Everything here reads what an untrusted build left behind, so nothing follows a symbolic link, opens a device or
//! believes a declared size.

pub mod entrypoint;
mod excluded;
pub mod jar;
pub mod kind;
pub mod layers;
pub mod manifest;
pub mod plain_jar;
pub mod quarkus;
pub mod remove;
pub mod safe_fs;
pub mod spring_boot;
pub mod tree;
pub mod war;
pub mod zip;
pub mod zip_write;

#[cfg(test)]
mod tests;
