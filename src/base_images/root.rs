//! Root file systems: debootstrap makes a directory, this makes a small tar archive of it.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::context::Host;
use crate::model::failure::{Failure, FailureCode};

/// Where a root file system says its suite, which `/etc/os-release` of a suite in development does not.
const SUITE_FILE: &str = "usr/share/slipway/suite";

/// Directories whose contents are the host's, made at run time, or of no use in an image.
const EMPTIED: &[&str] = &[
    "dev",
    "proc",
    "run",
    "sys",
    "tmp",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "var/cache/apt",
    "var/cache/ldconfig",
    "var/lib/apt/lists",
    "var/log",
];

/// What debootstrap copied from the host, or what names the mirror.
const LEFT_OUT: &[&str] = &["debootstrap", "etc/apt/sources.list", "etc/hostname", "etc/resolv.conf"];

/// Makes the archive of a suite's root file system in `cache`, or finds it there.
///
/// # Errors
///
/// [`FailureCode::ToolMissing`] without debootstrap or the rights that it needs,
/// [`FailureCode::DependencyUnavailable`] when debootstrap fails, most often for its mirror.
pub(super) fn archive(suite: &str, host: &Host, cache: &Path, refresh: bool) -> Result<PathBuf, Failure> {
    let archive = cache.join(format!("root-{suite}.tar"));
    if archive.is_file() && !refresh {
        return Ok(archive);
    }
    let failed = |error: io::Error| {
        Failure::new(FailureCode::Internal, format!("making `{}`: {error}", archive.display()))
            .hint("Choose a cache directory that can be written, with 1 GB of space.")
    };
    fs::create_dir_all(cache).map_err(failed)?;
    let directory = tempfile::Builder::new().prefix("debootstrap-").tempdir_in(cache).map_err(failed)?;
    debootstrap(suite, host.mirrors().main.as_deref(), &host.proxies, directory.path())?;
    let file = tempfile::NamedTempFile::new_in(cache).map_err(failed)?;
    let mut writer = io::BufWriter::with_capacity(1 << 20, file);
    write(directory.path(), suite, &mut writer).map_err(failed)?;
    let file = writer.into_inner().map_err(|error| failed(error.into_error()))?;
    file.persist(&archive).map_err(|error| failed(error.error))?;
    Ok(archive)
}

#[allow(
    clippy::disallowed_methods,
    reason = "runs to its end off the asynchronous threads, in the caller's environment"
)]
fn debootstrap(
    suite: &str,
    mirror: Option<&str>,
    proxies: &BTreeMap<String, String>,
    directory: &Path,
) -> Result<(), Failure> {
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::new(FailureCode::ToolMissing, "debootstrap makes root file systems only as root")
            .hint("Run `sudo slipway base-images build`, or set a `reference` to pull for the root file systems."));
    }
    let mut command = Command::new("debootstrap");
    command.args(["--variant=minbase", "--include=ca-certificates", suite]).arg(directory).args(mirror).envs(proxies);
    let output = command.output().map_err(|error| {
        Failure::new(FailureCode::ToolMissing, format!("`debootstrap` does not start: {error}")).hint(
            "Install it: `apt-get install debootstrap` (with `debian-archive-keyring` on other systems than Debian).",
        )
    })?;
    if output.status.success() {
        return Ok(());
    }
    let mut lines: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
    lines.extend(String::from_utf8_lossy(&output.stderr).lines().map(str::to_owned));
    let surplus = lines.len().saturating_sub(20);
    lines.drain(..surplus);
    let last = lines.last().cloned().unwrap_or_default();
    let message = format!("debootstrap of `{suite}` failed ({}): {last}", output.status);
    Err(Failure::new(FailureCode::DependencyUnavailable, message)
        .hint("Check that the mirror in the host's apt sources has this suite and can be reached.")
        .log_tail(lines))
}

/// Writes a directory as a tar archive: entries in order, hard links kept, devices and sockets left out.
fn write(root: &Path, suite: &str, writer: &mut impl io::Write) -> io::Result<()> {
    let mut archive = tar::Builder::new(writer);
    let mut links = HashMap::new();
    add(&mut archive, root, Path::new(""), &mut links)?;
    let mut header = tar::Header::new_gnu();
    for directory in ["usr/share/slipway", "usr/share/man/man1"] {
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(0o755);
        header.set_size(0);
        archive.append_data(&mut header, directory, io::empty())?;
    }
    let text = format!("{suite}\n");
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header.set_size(text.len() as u64);
    archive.append_data(&mut header, SUITE_FILE, text.as_bytes())?;
    archive.into_inner()?.flush()
}

type Links = HashMap<(u64, u64), PathBuf>;

fn add<W: io::Write>(archive: &mut tar::Builder<W>, root: &Path, below: &Path, links: &mut Links) -> io::Result<()> {
    let mut names =
        fs::read_dir(root.join(below))?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    names.sort();
    for name in names {
        let path = below.join(name);
        if LEFT_OUT.iter().any(|left_out| path == Path::new(left_out)) || is_documentation(&path, root) {
            continue;
        }
        let metadata = fs::symlink_metadata(root.join(&path))?;
        let mut header = tar::Header::new_gnu();
        header.set_metadata(&metadata);
        if metadata.is_dir() {
            header.set_size(0);
            archive.append_data(&mut header, &path, io::empty())?;
            if !EMPTIED.iter().any(|emptied| path == Path::new(emptied)) {
                add(archive, root, &path, links)?;
            }
        } else if metadata.is_symlink() {
            header.set_size(0);
            archive.append_link(&mut header, &path, fs::read_link(root.join(&path))?)?;
        } else if metadata.is_file() {
            if metadata.nlink() > 1 {
                if let Some(first) = links.get(&(metadata.dev(), metadata.ino())) {
                    header.set_entry_type(tar::EntryType::Link);
                    header.set_size(0);
                    archive.append_link(&mut header, &path, first)?;
                    continue;
                }
                links.insert((metadata.dev(), metadata.ino()), path.clone());
            }
            archive.append_data(&mut header, &path, fs::File::open(root.join(&path))?)?;
        }
    }
    Ok(())
}

/// Documentation goes; licences have to stay with the programs.
fn is_documentation(path: &Path, root: &Path) -> bool {
    path.starts_with("usr/share/doc")
        && path.components().count() > 4
        && path.file_name().is_none_or(|name| name != "copyright")
        && !root.join(path).is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_is_the_directory_without_what_is_the_hosts() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("usr/bin/perl", "perl");
        fs::hard_link(root.path().join("usr/bin/perl"), root.path().join("usr/bin/perl5")).unwrap();
        std::os::unix::fs::symlink("usr/bin", root.path().join("bin")).unwrap();
        put("etc/resolv.conf", "nameserver 10.0.0.1");
        put("etc/apt/sources.list", "deb http://mirror.example/ x main");
        put("etc/passwd", "root:x:0:0::/root:/bin/bash");
        put("var/log/apt/term.log", "log");
        put("dev/console", "");
        put("usr/share/doc/bash/copyright", "licence");
        put("usr/share/doc/bash/README", "text");
        let mut bytes = Vec::new();
        write(root.path(), "sid", &mut bytes).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let entries: BTreeMap<String, (tar::EntryType, Option<String>)> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let link = entry.link_name().unwrap().map(|link| link.display().to_string());
                (entry.path().unwrap().display().to_string(), (entry.header().entry_type(), link))
            })
            .collect();
        assert_eq!(entries["usr/bin/perl5"], (tar::EntryType::Link, Some("usr/bin/perl".into())));
        assert_eq!(entries["bin"], (tar::EntryType::Symlink, Some("usr/bin".into())));
        for kept in ["etc/passwd", "dev/", "var/log/", SUITE_FILE, "usr/share/doc/bash/copyright"] {
            assert!(entries.contains_key(kept) || entries.contains_key(kept.trim_end_matches('/')), "{kept}");
        }
        for gone in
            ["etc/resolv.conf", "etc/apt/sources.list", "var/log/apt", "dev/console", "usr/share/doc/bash/README"]
        {
            assert!(!entries.contains_key(gone), "{gone}");
        }
    }

    #[test]
    fn a_cached_archive_is_not_made_again() {
        let cache = tempfile::tempdir().unwrap();
        let path = cache.path().join("root-sid.tar");
        fs::write(&path, "cached").unwrap();
        assert_eq!(archive("sid", &Host::default(), cache.path(), false).unwrap(), path);
    }
}
