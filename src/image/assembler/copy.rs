//! What a `COPY` writes where (`BuildKit`'s copier: measured against the Engine, `tests/it/assembler`).
//!
//! A destination is followed through the links of the image so far, directories that are missing are made. What stands
//! in the way of the kind of thing that comes is an error; only an unpacked archive replaces it.

use std::collections::HashMap;

use super::contents::Contents;
use super::layer::Items;
use super::name::Name;
use super::node::{Attributes, File, Kind, Node};
use super::recipe::{Copy, failed};
use super::scan::text_file;
use super::sources::{Found, found};
use super::tree::{Tree, Unusable};
use super::unpack;
use crate::image::context::ENTRY_TIME;
use crate::model::failure::Failure;

/// Carries a copy out on the tree and returns the entries of its layer. Sources that are in layers of a base must be
/// taken out of them before.
///
/// # Errors
/// `image_failed` with the line, for a source that is not there and a destination that cannot be.
pub(super) fn copy(copy: &Copy, from: &Tree, contents: &mut Contents, tree: &mut Tree) -> Result<Items, Failure> {
    if !copy.linked {
        return within(copy, from, contents, tree);
    }
    // Dockerfile reference, "COPY --link": no link of the image is followed, and no directory's owner and mode are kept.
    let mut alone = tree.emptied();
    let items = within(copy, from, contents, &mut alone)?;
    tree.overlay(&items, &alone);
    Ok(items)
}

fn within(copy: &Copy, from: &Tree, contents: &mut Contents, tree: &mut Tree) -> Result<Items, Failure> {
    let failed = |why: Unusable| failed(copy.line, &why.0);
    let owner = copy.owner.as_deref().map(|owner| tree.owner(owner)).transpose().map_err(failed)?;
    let mut writing = Writing { copy, owner, tree, items: Items::new(), links: HashMap::new() };
    for source in &copy.sources {
        for found in found(copy, source, from)? {
            writing.links.clear();
            if copy.add && unpack::unpack(&mut writing, from, &found, contents)? {
                continue;
            }
            writing.one(from, &found).map_err(failed)?;
        }
    }
    for (name, text) in &copy.texts {
        let mut tree = Tree::default();
        let file = text_file(text, tree.inode());
        let attributes = Attributes { mode: 0o644, ..Attributes::USUAL };
        tree.put(name.as_str().into(), Node { kind: Kind::File(file), ..Node::directory(attributes) });
        let found = Found { path: name.as_str().into(), name: name.as_bytes().to_vec() };
        writing.one(&tree, &found).map_err(failed)?;
    }
    Ok(writing.items)
}

/// Makes a directory where it is missing, with its parents, and returns the entries of its layer. What is made belongs to
/// the `USER` so far.
///
/// # Errors
/// `image_failed` with the line, where something else stands in the way and for a user that the image does not have.
pub(super) fn directory(line: u32, path: &str, owner: Option<&str>, tree: &mut Tree) -> Result<Items, Failure> {
    let copy = Copy { line, ..Copy::default() };
    let owner = owner.map(|owner| tree.owner(owner)).transpose().map_err(|why| failed(line, &why.0))?;
    let mut writing = Writing { copy: &copy, owner, tree, items: Items::new(), links: HashMap::new() };
    let resolved = writing.tree.resolve(path.as_bytes()).and_then(|path| {
        // What is there takes no layer.
        if writing.tree.is_directory(&path) { Ok(()) } else { writing.parents(&path) }
    });
    resolved.map_err(|why| failed(line, &why.0))?;
    Ok(writing.items)
}

/// A layer in the making.
pub(super) struct Writing<'a> {
    pub(super) copy: &'a Copy,
    pub(super) owner: Option<(u64, u64)>,
    pub(super) tree: &'a mut Tree,
    pub(super) items: Items,
    /// Files of the source that have their number in the tree; names of one file stay so within one source.
    links: HashMap<u64, u64>,
}

impl Writing<'_> {
    /// What is in a directory goes into the destination; a file goes into it where it is a directory, else becomes it.
    fn one(&mut self, from: &Tree, found: &Found) -> Result<(), Unusable> {
        let destination = self.copy.destination.as_bytes();
        let above = if destination.ends_with(b"/") { destination } else { parent_of(destination) };
        let above = self.tree.resolve(above)?;
        self.parents(&above)?;
        let mut to = self.tree.resolve(destination)?;
        let node = from.get(&found.path);
        if let Some(node) = node.filter(|node| !node.is_directory()) {
            if self.tree.is_directory(&to) {
                // A link of that name is replaced, not followed.
                to = to.join(&found.name);
            }
            self.parents(&to.parent())?;
            return self.put(to, node);
        }
        self.parents(&to)?;
        for (path, node) in from.below(&found.path) {
            if let Some(inside) = found.path.strip(path) {
                self.put(to.join(inside), node)?;
            }
        }
        Ok(())
    }

    fn put(&mut self, path: Name, node: &Node) -> Result<(), Unusable> {
        if path.last().starts_with(b".wh.") {
            return Err(Unusable(format!("`{}` would mean a deletion in an image layer", path.shown())));
        }
        match self.tree.get(&path).map(Node::is_directory) {
            Some(true) if !node.is_directory() => {
                return Err(Unusable(format!("`/{}` is there and is a directory", path.shown())));
            }
            Some(false) if node.is_directory() => {
                return Err(Unusable(format!("`/{}` is there and is no directory", path.shown())));
            }
            _ => {}
        }
        let mut node = node.clone();
        if let Kind::File(File { inode, .. }) = &mut node.kind {
            *inode = *self.links.entry(*inode).or_insert_with(|| self.tree.inode());
        }
        if let Some((uid, gid)) = self.owner {
            (node.attributes.uid, node.attributes.gid) = (uid, gid);
        }
        if let Some(mode) = self.copy.mode.filter(|_| !matches!(node.kind, Kind::Link(_))) {
            // The bits beyond the permissions stay off, as the Engine has it.
            node.attributes.mode = mode & 0o777;
        }
        self.write(path, node);
        Ok(())
    }

    /// Brings a node into the tree and the layer.
    pub(super) fn write(&mut self, path: Name, node: Node) {
        self.tree.put(path.clone(), node.clone());
        self.items.insert(path, node);
    }

    /// Brings a directory and those above it into the layer, as they are, or made where they are missing: the Engine
    /// (20.10) takes a directory without an entry for one of root's.
    pub(super) fn parents(&mut self, path: &Name) -> Result<(), Unusable> {
        for parent in path.ancestry() {
            let node = match self.tree.get(&parent) {
                Some(node) if node.is_directory() => node.clone(),
                Some(_) => return Err(Unusable(format!("`/{}` is no directory", parent.shown()))),
                None => {
                    // As Linux makes a directory: one in a set-group-ID directory has its group, and the bit.
                    let above = self.tree.get(&parent.parent()).map(|node| node.attributes);
                    let group = above.filter(|above| above.mode & 0o2000 != 0).map(|above| above.gid);
                    let (uid, gid) = self.owner.unwrap_or((0, group.unwrap_or(0)));
                    let mode = if group.is_some() { 0o2755 } else { 0o755 };
                    Node::directory(Attributes { mode, uid, gid, time: ENTRY_TIME })
                }
            };
            self.write(parent, node);
        }
        Ok(())
    }
}

fn parent_of(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    &path[..end]
}
