//! A tree as files on disk.

use std::collections::HashMap;
use std::fs::{self, File as OpenFile};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, lchown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags};

use super::super::contents::Contents;
use super::super::name::Name;
use super::super::node::{File, Kind, Node};
use super::super::tree::Tree;
use crate::model::failure::Failure;

/// Why a tree cannot be written.
pub(super) enum Error {
    Io(io::Error),
    /// Of reading what a file holds.
    Own(Box<Failure>),
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Writes all of a tree below a directory that is not there yet; the contents of files must have been taken out of
/// the layers.
pub(super) fn write(tree: &Tree, contents: &Contents, root: &Path) -> Result<(), Error> {
    fs::create_dir(root)?;
    let mut files: HashMap<u64, PathBuf> = HashMap::new();
    let mut directories = Vec::new();
    let top = Name::default();
    for (path, node) in tree.below(&top) {
        let place = root.join(path.path());
        if !tree.is_directory(&path.parent()) {
            // A link above would lead out of the root.
            let message = format!("`{}` is in no directory of the image", path.shown());
            return Err(io::Error::other(message).into());
        }
        match &node.kind {
            Kind::Directory => {
                fs::create_dir(&place)?;
                directories.push((place.clone(), node));
            }
            Kind::Link(to) => symlink(std::ffi::OsStr::from_bytes(&to.0), &place)?,
            Kind::Device(kind, major, minor) => device(&place, *kind, *major, *minor)?,
            Kind::File(file) => {
                if let Some(first) = files.get(&file.inode) {
                    fs::hard_link(first, &place)?;
                    continue;
                }
                content(contents, file, &place)?;
                files.insert(file.inode, place.clone());
            }
        }
        describe(&place, node)?;
    }
    // What is made in a directory changes its time.
    for (place, node) in directories.iter().rev() {
        time(place, node)?;
    }
    Ok(())
}

fn content(contents: &Contents, file: &File, place: &Path) -> Result<(), Error> {
    let mut out = OpenFile::create_new(place)?;
    contents.read(file, &mut |bytes| out.write_all(bytes)).map_err(|failure| Error::Own(Box::new(failure)))
}

fn device(place: &Path, kind: u8, major: u32, minor: u32) -> io::Result<()> {
    let file_type = match tar::EntryType::new(kind) {
        tar::EntryType::Block => FileType::BlockDevice,
        tar::EntryType::Char => FileType::CharacterDevice,
        _ => FileType::Fifo,
    };
    Ok(rustix::fs::mknodat(CWD, place, file_type, Mode::RUSR, rustix::fs::makedev(major, minor))?)
}

fn describe(place: &Path, node: &Node) -> io::Result<()> {
    let number = |id: u64| u32::try_from(id).map_err(|_| io::Error::other(format!("no user has the number {id}")));
    let attributes = &node.attributes;
    lchown(place, Some(number(attributes.uid)?), Some(number(attributes.gid)?))?;
    if !matches!(node.kind, Kind::Link(_)) {
        // After the owner, whose change takes the set-user-ID bit away.
        fs::set_permissions(place, fs::Permissions::from_mode(attributes.mode))?;
    }
    for (name, value) in &node.xattrs {
        rustix::fs::lsetxattr(place, name.as_str(), value, XattrFlags::empty())?;
    }
    time(place, node)
}

fn time(place: &Path, node: &Node) -> io::Result<()> {
    let seconds = i64::try_from(node.attributes.time).unwrap_or_default();
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(rustix::fs::utimensat(CWD, place, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}
