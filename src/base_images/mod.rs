//! The base images: what toolchains run in and what applications run on, made without any image hub.
//!
//! `base-images/images.toml` says what there is, a folder each holds the `Dockerfile`. A root file
//! system comes from debootstrap (or is pulled), everything else is built on it by the Engine. What
//! belongs to the host (apt sources, CA bundle, Maven settings) is mounted while building and never
//! copied. An image carries the hash of its inputs as a label; while that hash stays, it is not built
//! again.

mod apt;
mod build;
mod check;
mod context;
mod definition;
mod engine;
mod inputs;
mod list;
mod lock;
mod maker;
mod own;
mod probe;
mod push;
mod root;
#[cfg(test)]
mod tests;
mod validate;

pub use build::{Options, build};
pub use check::{Checked, check};
pub use context::Host;
pub use definition::{Image, Images, Origin, Probe, Root, RootOrigin};
pub use list::{Listed, State, list};
pub use lock::{Lock, Locked};
pub use maker::Maker;
pub use push::push;

/// The repository that every base image of ours is in: `slipway/NAME`.
pub const REPOSITORY: &str = "slipway";

/// The label that holds the hash of an image's inputs.
pub const INPUTS_LABEL: &str = "slipway.inputs";

/// The reference under which the Engine knows the image `name`.
///
/// ```
/// assert_eq!(slipway::base_images::reference("jre-17"), "slipway/jre-17:latest");
/// ```
#[must_use]
pub fn reference(name: &str) -> String {
    format!("{REPOSITORY}/{name}:latest")
}
