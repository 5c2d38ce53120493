//! The file system of an image so far: what a `COPY` finds where it writes, and what it can copy from.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::io::Read;

use serde::{Deserialize, Serialize};

use super::name::Name;
use super::node::{Attributes, File, Kind, Node, Place};

/// More links than this on the way to a path go in a circle, as for Linux.
const LINKS: usize = 40;

/// `/etc/passwd` and `/etc/group` are no longer than this.
pub(super) const ACCOUNTS: u64 = 1 << 20;

/// The longest extended attributes that are kept, as for Linux.
const XATTR: usize = 64 << 10;

/// A merged file system.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Tree {
    nodes: BTreeMap<Name, Node>,
    /// `/etc/passwd` and `/etc/group` as they are by now.
    pub(super) passwd: String,
    pub(super) group: String,
    inodes: u64,
}

/// Why a path cannot be used; for people.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unusable(pub(super) String);

impl Tree {
    /// Applies a layer of the base (OCI image specification, "Applying Changesets").
    pub(super) fn apply(&mut self, layer: impl Read, index: u32) -> std::io::Result<()> {
        let mut archive = tar::Archive::new(layer);
        let mut own = HashSet::new();
        for entry in archive.entries()? {
            let mut entry = entry?;
            let Some(path) = Name::within(&entry.path_bytes()) else {
                let shown = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
                return Err(std::io::Error::other(format!("its entry `{shown}` leads out of the image")));
            };
            let parent = path.parent();
            self.found(&parent);
            if path.last() == b".wh..wh..opq" {
                // What the layer itself has stays, also where it came first.
                self.retain_below(&parent, &own);
                continue;
            }
            if let Some(hidden) = path.last().strip_prefix(b".wh.") {
                self.remove(&parent.join(hidden));
                continue;
            }
            match path.0.as_slice() {
                b"etc/passwd" => self.passwd = text(&mut entry)?,
                b"etc/group" => self.group = text(&mut entry)?,
                _ => {}
            }
            if let Some(node) = self.node_of(&mut entry, &Name::default(), Place::Layer(index, None))? {
                own.insert(path.clone());
                self.put(path, node);
            }
        }
        Ok(())
    }

    /// A directory that has something in it is there, also where no layer names it: as the Engine makes it, which sees a
    /// layer by itself, and so follows no link of those below.
    fn found(&mut self, directory: &Name) {
        for path in directory.ancestry() {
            if !self.get(&path).is_some_and(Node::is_directory) {
                self.nodes.insert(path, Node::directory(Attributes::USUAL));
            }
        }
    }

    /// An archive's entry as a node, its bytes in that place; none for what is no part of a file system. A hard link
    /// is another name of what stands below `root`.
    pub(super) fn node_of(
        &mut self,
        entry: &mut tar::Entry<'_, impl Read>,
        root: &Name,
        place: Place,
    ) -> std::io::Result<Option<Node>> {
        let xattrs = xattrs(entry)?;
        let header = entry.header();
        let number = |field: std::io::Result<u64>| field.unwrap_or(0);
        // A number that is left blank is 0, as for the Engine.
        let attributes = Attributes {
            mode: header.mode().unwrap_or(0) & 0o7777,
            uid: number(header.uid()),
            gid: number(header.gid()),
            time: number(header.mtime()),
        };
        let link = || entry.link_name_bytes().map(std::borrow::Cow::into_owned).unwrap_or_default();
        let kind = match header.entry_type() {
            tar::EntryType::Directory => Kind::Directory,
            tar::EntryType::Symlink => Kind::Link(Name(link())),
            tar::EntryType::Link => {
                let Some(inside) = Name::clean(&link()) else { return Ok(None) };
                let target = root.join(&inside.0);
                let Some(node) = self.get(&target) else { return Ok(None) };
                let mut node = node.clone();
                if let Kind::File(File { place: Place::Layer(_, origin @ None), .. }) = &mut node.kind {
                    *origin = Some(target);
                }
                return Ok(Some(node));
            }
            tar::EntryType::Block | tar::EntryType::Char | tar::EntryType::Fifo => {
                let part = |field: std::io::Result<Option<u32>>| field.ok().flatten().unwrap_or(0);
                Kind::Device(header.entry_type().as_byte(), part(header.device_major()), part(header.device_minor()))
            }
            tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
                Kind::File(File { size: entry.size(), inode: self.inode(), place })
            }
            _ => return Ok(None),
        };
        Ok(Some(Node { attributes, xattrs, kind }))
    }

    /// A number that no file of this tree has.
    pub(super) fn inode(&mut self) -> u64 {
        self.inodes += 1;
        self.inodes
    }

    /// Places a node; what is no directory has nothing below it.
    pub(super) fn put(&mut self, path: Name, node: Node) {
        if !node.is_directory() && self.get(&path).is_some_and(Node::is_directory) {
            self.remove_below(&path);
        }
        self.nodes.insert(path, node);
    }

    /// The same accounts, and no files.
    pub(super) fn emptied(&self) -> Self {
        let (passwd, group) = (self.passwd.clone(), self.group.clone());
        Self { nodes: BTreeMap::new(), passwd, group, inodes: self.inodes }
    }

    /// Puts the entries of a layer over what is there; `made` is the tree that they were made in.
    pub(super) fn overlay(&mut self, layer: &BTreeMap<Name, Node>, made: &Self) {
        self.inodes = made.inodes;
        for (path, node) in layer {
            self.put(path.clone(), node.clone());
        }
    }

    /// Says where a file's bytes are now.
    pub(super) fn set_place(&mut self, path: &Name, to: Place) {
        if let Some(Node { kind: Kind::File(File { place, .. }), .. }) = self.nodes.get_mut(path) {
            *place = to;
        }
    }

    pub(super) fn get(&self, path: &Name) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// Whether a directory is at a path; the root always is one.
    pub(super) fn is_directory(&self, path: &Name) -> bool {
        path.0.is_empty() || self.get(path).is_some_and(Node::is_directory)
    }

    /// What is below a directory, at any depth, parents before what they hold.
    pub(super) fn below<'a>(&'a self, directory: &'a Name) -> impl Iterator<Item = (&'a Name, &'a Node)> {
        let prefix =
            if directory.0.is_empty() { Name::default() } else { Name([&directory.0, b"/".as_slice()].concat()) };
        let start = prefix.clone();
        self.nodes
            .range(start..)
            .take_while(move |(path, _)| path.0.starts_with(&prefix.0))
            .filter(|(path, _)| !path.0.is_empty())
    }

    /// What is in a directory.
    pub(super) fn children(&self, directory: &Name) -> Vec<(Name, Node)> {
        let own = self.below(directory).filter(|(path, _)| path.parent() == *directory);
        own.map(|(path, node)| (path.clone(), node.clone())).collect()
    }

    pub(super) fn remove(&mut self, path: &Name) {
        self.nodes.remove(path);
        self.remove_below(path);
    }

    fn remove_below(&mut self, directory: &Name) {
        self.retain_below(directory, &HashSet::new());
    }

    fn retain_below(&mut self, directory: &Name, kept: &HashSet<Name>) {
        let below = self.below(directory).map(|(path, _)| path).filter(|path| !kept.contains(*path));
        let gone: Vec<Name> = below.cloned().collect();
        for path in &gone {
            self.nodes.remove(path);
        }
    }

    /// Follows the links of a path, its last part included; what is not there yet stays as it was written.
    pub(super) fn resolve(&self, path: &[u8]) -> Result<Name, Unusable> {
        self.resolve_below(&Name::default(), path)
    }

    /// The same for a path in a directory that is taken for the root.
    pub(super) fn resolve_below(&self, root: &Name, path: &[u8]) -> Result<Name, Unusable> {
        let parts =
            |path: &[u8]| -> Vec<Vec<u8>> { path.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec).collect() };
        let mut links = 0;
        let mut done = root.clone();
        let mut rest = parts(path);
        while let Some(part) = rest.pop() {
            match part.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    if done != *root {
                        done = done.parent();
                    }
                    continue;
                }
                _ => {}
            }
            let next = done.join(&part);
            match self.get(&next).map(|node| &node.kind) {
                Some(Kind::Link(to)) => {
                    links += 1;
                    if links > LINKS {
                        return Err(Unusable(format!("`/{}` is a link that goes round in a circle", next.shown())));
                    }
                    if to.0.starts_with(b"/") {
                        done = root.clone();
                    }
                    rest.extend(parts(&to.0));
                }
                Some(Kind::File(_) | Kind::Device(..)) if rest.iter().any(|part| !part.is_empty()) => {
                    return Err(Unusable(format!("`/{}` is no directory", next.shown())));
                }
                Some(Kind::File(_) | Kind::Device(..) | Kind::Directory) | None => done = next,
            }
        }
        Ok(done)
    }

    /// The numbers of `user[:group]`; a user without a group has the group of the same number, or its own by name
    /// (Dockerfile reference, `COPY --chown`).
    pub(super) fn owner(&self, text: &str) -> Result<(u64, u64), Unusable> {
        let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
        let named = |file: &str, name: &str, column: usize| {
            file.lines().find_map(|line| {
                let fields: Vec<&str> = line.split(':').collect();
                (fields.first() == Some(&name)).then(|| fields.get(column)?.parse::<u64>().ok()).flatten()
            })
        };
        let number = |text: &str| text.parse::<u32>().ok().map(u64::from);
        let uid = number(user).or_else(|| named(&self.passwd, user, 2));
        let uid = uid.ok_or_else(|| Unusable(format!("the image has no user `{user}`")))?;
        let gid = match group {
            Some(group) => number(group).or_else(|| named(&self.group, group, 2)),
            None if number(user).is_some() => Some(uid),
            None => named(&self.passwd, user, 3),
        };
        Ok((uid, gid.ok_or_else(|| Unusable(format!("the image has no group `{}`", group.unwrap_or(user))))?))
    }
}

/// The extended attributes that an entry's PAX records name (`SCHILY.xattr.`, as GNU tar and Go write them).
fn xattrs(entry: &mut tar::Entry<'_, impl Read>) -> std::io::Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    if let Some(records) = entry.pax_extensions()? {
        for record in records {
            // The crate cannot read a value that holds a line end.
            let Ok(record) = record else { continue };
            if let Some(name) = record.key_bytes().strip_prefix(b"SCHILY.xattr.")
                && let Ok(name) = std::str::from_utf8(name)
                && record.value_bytes().len() <= XATTR
            {
                found.insert(name.to_owned(), record.value_bytes().to_vec());
            }
        }
    }
    Ok(found)
}

fn text(entry: &mut impl Read) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    entry.take(ACCOUNTS).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
