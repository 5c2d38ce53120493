//! `RUN` without an Engine: the image so far is written into a directory, the command runs in it, and what is other
//! afterwards is the layer.
//!
//! Root's work, in a root file system and with mounts and processes of its own, but in no container: only what the
//! operator wrote may be run so.

mod changes;
mod chroot;
mod directory;

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use tokio_util::sync::CancellationToken;

use super::contents::Contents;
use super::layer::{Items, Layer};
use super::name::Name;
use super::recipe::Run;
use super::tree::Tree;
use crate::leftovers::{OwnDirectory, sweep_directories};
use crate::model::failure::{Failure, FailureCode};

/// Runs a command on the tree, whose base has these layers, and returns the entries of its layer. Blocks.
///
/// # Errors
/// `tool_missing` where this is not root or may not mount, `image_failed` with the line and the log's end when the
/// command fails, `disk_full`.
pub(super) fn run(
    run: &Run,
    tree: &mut Tree,
    layers: &[Layer],
    contents: &mut Contents,
    (context, stop): (&Path, &CancellationToken),
) -> Result<Items, Failure> {
    if !rustix::process::geteuid().is_root() {
        let message =
            format!("line {} of the Dockerfile has `RUN`, which only root carries out without an Engine", run.line);
        return Err(Failure::new(FailureCode::ToolMissing, message)
            .hint("run it with `sudo`, or with a Docker Engine")
            .at("Dockerfile", Some(run.line)));
    }
    let failure = |error: io::Error| {
        let code = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FailureCode::DiskFull,
            _ => FailureCode::Internal,
        };
        let message = format!("the root file system for line {} of the Dockerfile: {error}", run.line);
        Failure::new(code, message).at("Dockerfile", Some(run.line))
    };
    contents.materialise(tree, layers, &[Name::default()])?;
    let roots = contents.directory().join(".roots");
    // An image's set-user-ID programs are nothing for other users of this machine.
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&roots).map_err(failure)?;
    let _ = sweep_directories(&roots);
    let place = OwnDirectory::create(&roots, "run").map_err(failure)?;
    let root = place.path().join("root");
    directory::write(tree, contents, &root).map_err(|error| match error {
        directory::Error::Own(failure) => *failure,
        directory::Error::Io(error) => failure(error),
    })?;
    let mounts = chroot::mount_points(&root, &run.mounts).map_err(failure)?;
    let before = changes::look(&root, &mounts).map_err(failure)?;
    chroot::run(run, &root, context, stop)?;
    let after = changes::look(&root, &mounts).map_err(failure)?;
    changes::apply(&root, &before, &after, tree, contents).map_err(failure)
}
