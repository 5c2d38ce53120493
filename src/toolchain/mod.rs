//! How ecosystems are built: their definitions (data), and what their manifests say.

pub mod definition;
pub mod findings;
pub mod manifest;
pub mod version;
