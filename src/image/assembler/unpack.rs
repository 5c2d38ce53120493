//! `ADD` of an archive: its entries replace what stands in their way (moby `pkg/archive`, measured on 20.10).

use std::collections::BTreeSet;
use std::io::{self, Read};

use super::contents::Contents;
use super::copy::Writing;
use super::guard::Guarded;
use super::name::Name;
use super::node::{Attributes, File, Kind, Node, Place};
use super::recipe::{failed, unsupported};
use super::scan::text_file;
use super::sources::Found;
use super::tree::{Tree, Unusable};
use crate::model::failure::Failure;

/// More bytes than this out of one archive are refused: a gzip bomb would fill the disk.
const LIMIT: u64 = 64 << 30;

/// Unpacks the source where it is an archive; otherwise it is copied as any file.
pub(super) fn unpack(
    writing: &mut Writing<'_>,
    from: &Tree,
    found: &Found,
    contents: &mut Contents,
) -> Result<bool, Failure> {
    let Some(Node { kind: Kind::File(file), .. }) = from.get(&found.path) else { return Ok(false) };
    let line = writing.copy.line;
    let mut start = Vec::new();
    let broken = |error: io::Error| failed(line, &format!("the archive `{}`: {error}", found.path.shown()));
    contents.reader(file)?.take(6).read_to_end(&mut start).map_err(broken)?;
    for (magic, kind) in [(&b"BZh"[..], "bzip2"), (b"\xfd7zXZ", "xz"), (b"\x28\xb5\x2f\xfd", "Zstandard")] {
        if start.starts_with(magic) {
            return Err(unsupported(
                line,
                &format!("`ADD` of `{}`, an archive compressed by {kind}", found.path.shown()),
            ));
        }
    }
    let gzip = start.starts_with(&[0x1f, 0x8b]);
    let open = || -> Result<Box<dyn Read>, Failure> {
        // The archive and what comes out of it share the scratch file, so it is copied to one of its own.
        let mut own = tempfile::tempfile().map_err(broken)?;
        contents.read(file, &mut |bytes| io::Write::write_all(&mut own, bytes))?;
        io::Seek::rewind(&mut own).map_err(broken)?;
        let own = io::BufReader::with_capacity(1 << 17, own);
        Ok(if gzip {
            Box::new(Guarded::new(flate2::bufread::MultiGzDecoder::new(own), LIMIT))
        } else {
            Box::new(Guarded::new(own, LIMIT))
        })
    };
    let first = tar::Archive::new(open()?)
        .entries()
        .ok()
        .and_then(|mut entries| entries.next())
        .is_some_and(|entry| entry.is_ok());
    if !first {
        return Ok(false);
    }
    let archive = open()?;
    let unusable = |why: Unusable| failed(line, &why.0);
    let root = writing.tree.resolve(writing.copy.destination.as_bytes()).map_err(unusable)?;
    writing.parents(&root).map_err(unusable)?;
    // What the archive says of owners counts.
    let owner = writing.owner.replace((0, 0));
    let result = entries(writing, &root, archive, contents, &broken);
    writing.owner = owner;
    result.map(|()| true)
}

fn entries(
    writing: &mut Writing<'_>,
    root: &Name,
    archive: Box<dyn Read>,
    contents: &mut Contents,
    broken: &impl Fn(io::Error) -> Failure,
) -> Result<(), Failure> {
    let mut gone: BTreeSet<Name> = BTreeSet::new();
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let shown = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let refused = |why: &str| broken(io::Error::other(format!("`{shown}` {why}")));
        let Some(inside) = Name::clean(&entry.path_bytes()) else { return Err(refused("leads out of it")) };
        if inside.0.is_empty() {
            continue;
        }
        if inside.last().starts_with(b".wh.") {
            return Err(refused("would mean a deletion in an image layer"));
        }
        let parent = writing.tree.resolve_below(root, &inside.parent().0).map_err(|why| refused(&why.0))?;
        writing.parents(&parent).map_err(|why| refused(&why.0))?;
        let path = parent.join(inside.last());
        let is_link = entry.header().entry_type().is_hard_link();
        let unread = Place::Layer(0, None);
        let Some(mut node) = writing.tree.node_of(&mut entry, root, unread).map_err(broken)? else {
            if is_link {
                return Err(refused("is a link to what is not there"));
            }
            continue;
        };
        if is_link {
            // The link's own header counts for nothing but the name; a file of the base becomes a file of this layer.
            own_link(writing, root, &mut entry, &node).map_err(|why| refused(&why))?;
        } else if let Kind::File(File { place, .. }) = &mut node.kind {
            *place = contents.keep(&mut entry).map_err(broken)?;
        }
        match writing.tree.get(&path) {
            Some(there) if there.is_directory() && !node.is_directory() => {
                gone.extend(writing.tree.children(&path).into_iter().map(|(child, _)| child));
                forget(writing, &path);
            }
            Some(there) if !there.is_directory() && node.is_directory() => forget(writing, &path),
            _ => {}
        }
        writing.write(path, node);
    }
    for child in gone {
        if writing.tree.get(&child).is_none() && writing.tree.is_directory(&child.parent()) {
            let name = [b".wh.", child.last()].concat();
            let file = text_file("", writing.tree.inode());
            let attributes = Attributes { mode: 0o644, ..Attributes::USUAL };
            let whiteout = Node { kind: Kind::File(file), ..Node::directory(attributes) };
            writing.items.insert(child.parent().join(&name), whiteout);
        }
    }
    Ok(())
}

/// A hard link may name only what this layer writes: one across layers does not extract everywhere.
fn own_link(
    writing: &Writing<'_>,
    root: &Name,
    entry: &mut tar::Entry<'_, Box<dyn Read>>,
    node: &Node,
) -> Result<(), String> {
    let target = entry.link_name_bytes().and_then(|to| Name::clean(&to)).map(|to| root.join(&to.0));
    let here = target.as_ref().is_some_and(|target| writing.items.contains_key(target));
    match (&node.kind, here) {
        (_, true) => Ok(()),
        (_, false) => Err("is a hard link to a file of another layer".to_owned()),
    }
}

/// Takes what is at a path, and below it, out of the tree and the layer.
fn forget(writing: &mut Writing<'_>, path: &Name) {
    writing.tree.remove(path);
    writing.items.retain(|item, _| item != path && path.strip(item).is_none());
}
