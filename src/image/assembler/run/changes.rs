//! What a command did to a root file system.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use super::super::contents::Contents;
use super::super::layer::Items;
use super::super::name::Name;
use super::super::node::{Attributes, File, Kind, Node};
use super::super::scan::text_file;
use super::super::tree::Tree;

/// Everything below a directory.
pub(super) type Seen = BTreeMap<Name, Metadata>;

/// Looks at everything below a directory but these paths.
pub(super) fn look(root: &Path, without: &[Name]) -> io::Result<Seen> {
    let mut seen = Seen::new();
    let mut waiting = vec![Name::default()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(root.join(directory.path()))? {
            let entry = entry?;
            let path = directory.join(entry.file_name().as_bytes());
            if without.contains(&path) {
                continue;
            }
            let metadata = fs::symlink_metadata(entry.path())?;
            if metadata.is_dir() {
                waiting.push(path.clone());
            }
            seen.insert(path, metadata);
        }
    }
    Ok(seen)
}

/// Brings the changes into the tree and returns the entries of their layer.
pub(super) fn apply(
    root: &Path,
    before: &Seen,
    after: &Seen,
    tree: &mut Tree,
    contents: &mut Contents,
) -> io::Result<Items> {
    let mut items = Items::new();
    for path in before.keys().filter(|path| !after.contains_key(*path)) {
        tree.remove(path);
        // What is gone with its directory needs no word; nor what something else has taken the place of.
        if path.parent().0.is_empty() || after.get(&path.parent()).is_some_and(Metadata::is_dir) {
            let hidden = path.parent().join(&[b".wh.", path.last()].concat());
            let file = Kind::File(text_file("", tree.inode()));
            items.insert(
                hidden,
                Node { kind: file, ..Node::directory(Attributes { mode: 0o644, ..Attributes::USUAL }) },
            );
        }
    }
    let mut inodes: HashMap<u64, u64> = HashMap::new();
    for (path, metadata) in after {
        if before.get(path).is_some_and(|known| same(known, metadata)) {
            continue;
        }
        if path.last().starts_with(b".wh.") {
            return Err(io::Error::other(format!("`/{}` would mean a deletion in an image layer", path.shown())));
        }
        let Some(node) = node(&root.join(path.path()), metadata, &mut inodes, tree, contents)? else { continue };
        tree.put(path.clone(), node.clone());
        items.insert(path.clone(), node);
    }
    // The Engine (20.10) takes a directory without an entry for one of root's.
    let parents: Vec<Name> = items.keys().flat_map(|path| path.parent().ancestry().collect::<Vec<_>>()).collect();
    for parent in parents {
        if let Some(node) = tree.get(&parent) {
            items.entry(parent).or_insert_with(|| node.clone());
        }
    }
    Ok(items)
}

fn same(one: &Metadata, other: &Metadata) -> bool {
    let of =
        |data: &Metadata| (data.ino(), data.size(), data.mtime(), data.mtime_nsec(), data.ctime(), data.ctime_nsec());
    of(one) == of(other)
}

/// What is there now; none for sockets, which no archive has.
fn node(
    place: &Path,
    metadata: &Metadata,
    inodes: &mut HashMap<u64, u64>,
    tree: &mut Tree,
    contents: &mut Contents,
) -> io::Result<Option<Node>> {
    let kind = metadata.file_type();
    let device = |kind: tar::EntryType| {
        let number = metadata.rdev();
        Kind::Device(kind.as_byte(), rustix::fs::major(number), rustix::fs::minor(number))
    };
    let kind = if kind.is_dir() {
        Kind::Directory
    } else if kind.is_symlink() {
        Kind::Link(Name(fs::read_link(place)?.into_os_string().into_vec()))
    } else if kind.is_file() {
        let inode = *inodes.entry(metadata.ino()).or_insert_with(|| tree.inode());
        let content = contents.keep(&mut fs::File::open(place)?)?;
        Kind::File(File { size: metadata.size(), inode, place: content })
    } else if kind.is_block_device() {
        device(tar::EntryType::Block)
    } else if kind.is_char_device() {
        device(tar::EntryType::Char)
    } else if kind.is_fifo() {
        device(tar::EntryType::Fifo)
    } else {
        return Ok(None);
    };
    let attributes = Attributes {
        mode: metadata.mode() & 0o7777,
        uid: metadata.uid().into(),
        gid: metadata.gid().into(),
        time: u64::try_from(metadata.mtime()).unwrap_or_default(),
    };
    Ok(Some(Node { attributes, xattrs: capabilities(place)?, kind }))
}

/// What a program may do beyond its user: the one attribute that packages set.
fn capabilities(place: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let name = "security.capability";
    let mut value = vec![0; 1024];
    match rustix::fs::lgetxattr(place, name, value.as_mut_slice()) {
        Ok(length) => {
            value.truncate(length);
            Ok(BTreeMap::from([(name.to_owned(), value)]))
        }
        Err(rustix::io::Errno::NODATA | rustix::io::Errno::OPNOTSUPP) => Ok(BTreeMap::new()),
        Err(error) => Err(error.into()),
    }
}
