//! A command in a root file system: `unshare`, `mount` and `chroot` of every Debian system.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::super::name::Name;
use super::super::recipe::{Run, failed};
use crate::model::failure::{Failure, FailureCode};
use crate::process::{Program, SYSTEM_PATH, capture};

/// Installing packages takes minutes.
const TIMEOUT: Duration = Duration::from_hours(1);

/// A command's last lines that a failure shows.
const TAIL: usize = 40;

/// What `SETUP` ends with when the mounts fail, which no shell says of itself.
const NOT_MOUNTED: i32 = 213;

/// Mounts what commands expect, and becomes the command: `ROOT CONTEXT USER DIRECTORY MOUNTS… -- VARIABLES… COMMAND…`.
/// All of it is gone with the mount namespace.
const SETUP: &str = r#"
exec 2>&1
set -eu
trap 'exit 213' EXIT
root=$1 context=$2 user=$3 directory=$4
shift 4
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755,size=1m tmpfs "$root/dev"
for device in null zero full random urandom; do
    : >"$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
ln -s /proc/self/fd "$root/dev/fd"
for file in resolv.conf hosts; do
    if [ -f "/etc/$file" ] && [ -f "$root/etc/$file" ] && [ ! -L "$root/etc/$file" ]; then
        mount --bind "/etc/$file" "$root/etc/$file"
    fi
done
while [ "$1" != -- ]; do
    mount --bind "$context" "$root$1"
    mount -o remount,bind,ro "$root$1"
    shift
done
shift
trap - EXIT
exec chroot "--userspec=$user" "$root" /bin/sh -c 'cd "$0" && exec env -i "$@"' "$directory" "$@"
"#;

/// Makes what is mounted upon where it is missing, and returns what of it is no part of the image.
pub(super) fn mount_points(root: &Path, mounts: &[String]) -> io::Result<Vec<Name>> {
    let mut made = Vec::new();
    for directory in ["proc", "dev", "etc"].into_iter().chain(mounts.iter().map(|path| path.trim_matches('/'))) {
        let mut path = PathBuf::new();
        for part in Path::new(directory) {
            path.push(part);
            if fs::symlink_metadata(root.join(&path)).is_ok_and(|found| found.is_symlink()) {
                return Err(io::Error::other(format!(
                    "`/{}` is a link, and nothing can be mounted there",
                    path.display()
                )));
            }
            if !root.join(&path).exists() {
                fs::create_dir(root.join(&path))?;
                made.push(Name::from(path.to_string_lossy().as_ref()));
            }
        }
    }
    for file in ["etc/resolv.conf", "etc/hosts"] {
        if fs::symlink_metadata(root.join(file)).is_err() {
            fs::File::create_new(root.join(file))?;
            made.push(file.into());
        }
    }
    Ok(made)
}

/// Runs it to its end, or until `stop` fires. Blocks.
///
/// # Errors
/// `cancelled`; `tool_missing` where nothing can be mounted or `unshare` is missing, `image_failed` with the log's end.
pub(super) fn run(run: &Run, root: &Path, context: &Path, stop: &CancellationToken) -> Result<(), Failure> {
    let wanting = |what: String| {
        Failure::new(FailureCode::ToolMissing, what)
            .hint("run it as root of a machine, or in a container that may mount (`--privileged`); or use a Docker Engine")
            .at("Dockerfile", Some(run.line))
    };
    let program = Program { timeout: TIMEOUT, ..Program::new("unshare", arguments(run, root, context)) };
    let handle = tokio::runtime::Handle::current();
    let ended = handle.block_on(capture(&program, stop));
    let ended = match ended {
        Ok(ended) => ended,
        Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(failed(run.line, &error.to_string())),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(crate::work::cancelled()),
        Err(error) => return Err(wanting(format!("`unshare` (of `util-linux`) does not start: {error}"))),
    };
    if ended.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ended.stdout);
    let lines: Vec<String> = said.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect();
    let tail = lines[lines.len().saturating_sub(TAIL)..].to_vec();
    let said = String::from_utf8_lossy(&ended.stderr);
    let last = tail.last().map_or_else(|| said.trim(), String::as_str).to_owned();
    if ended.code == NOT_MOUNTED || last.starts_with("unshare:") {
        return Err(wanting(format!("commands need mounts of their own, which are refused here: {last}")));
    }
    let message = format!("the command `{}` ended with {}: {last}", run.command.join(" "), ended.code);
    Err(failed(run.line, &message).log_tail(tail))
}

fn arguments(run: &Run, root: &Path, context: &Path) -> Vec<OsString> {
    let fixed = ["--mount", "--pid", "--fork", "--kill-child", "--", "/bin/sh", "-c", SETUP, "sh"];
    let mut all: Vec<OsString> = fixed.into_iter().map(OsString::from).collect();
    all.extend([root.into(), context.into()]);
    let user = if run.user.is_empty() { "0:0" } else { &run.user };
    all.extend([user, &run.directory].map(OsString::from));
    all.extend(run.mounts.iter().map(OsString::from));
    all.push("--".into());
    let mut environment = run.environment.clone();
    for (name, value) in [("PATH", SYSTEM_PATH), ("HOME", "/root")] {
        if !environment.iter().any(|(set, _)| set == name) {
            environment.push((name.to_owned(), value.to_owned()));
        }
    }
    all.extend(environment.iter().map(|(name, value)| OsString::from(format!("{name}={value}"))));
    all.extend(run.command.iter().map(OsString::from));
    all
}
