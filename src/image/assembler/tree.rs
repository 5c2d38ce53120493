//! What an image's file system holds, as far as copying into it has to know: directories, links, names of users.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::image::context::ENTRY_TIME;

/// More links than this on the way to a path go in a circle, as for Linux.
const LINKS: usize = 40;

/// `/etc/passwd` and `/etc/group` are no longer than this.
const ACCOUNTS: u64 = 1 << 20;

/// A merged file system, paths without a leading `/`; text paths alone, since no other names a directory that a
/// Dockerfile could copy to.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Tree {
    nodes: BTreeMap<String, Node>,
    passwd: String,
    group: String,
}

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Node {
    Directory(Attributes),
    Link(String),
    Other,
}

/// What a directory's entry in a layer says. A layer that writes below a directory repeats it: the Engine (20.10) takes
/// a directory without an entry for one of root's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attributes {
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    pub(super) time: u64,
}

impl Attributes {
    /// A directory that nobody described.
    pub(super) const USUAL: Self = Self { mode: 0o755, uid: 0, gid: 0, time: ENTRY_TIME };
}

/// Why a path cannot be used; for people.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unusable(pub(super) String);

impl Tree {
    /// Applies a layer (OCI image specification, "Applying Changesets").
    pub(super) fn apply(&mut self, layer: impl Read) -> std::io::Result<()> {
        let mut archive = tar::Archive::new(layer);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let Some(path) = entry.path()?.to_str().and_then(clean) else { continue };
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", &path));
            if name == ".wh..wh..opq" {
                self.remove_below(parent);
            } else if let Some(hidden) = name.strip_prefix(".wh.") {
                let hidden = if parent.is_empty() { hidden.to_owned() } else { format!("{parent}/{hidden}") };
                self.nodes.remove(&hidden);
                self.remove_below(&hidden);
            } else {
                let node = match entry.header().entry_type() {
                    // A number that is left blank is 0, as for the Engine.
                    tar::EntryType::Directory => Node::Directory(Attributes {
                        mode: entry.header().mode().unwrap_or(0),
                        uid: entry.header().uid().unwrap_or(0),
                        gid: entry.header().gid().unwrap_or(0),
                        time: entry.header().mtime().unwrap_or(0),
                    }),
                    tar::EntryType::Symlink => {
                        Node::Link(entry.link_name()?.map(|to| to.to_string_lossy().into_owned()).unwrap_or_default())
                    }
                    _ => Node::Other,
                };
                match path.as_str() {
                    "etc/passwd" => self.passwd = text(&mut entry)?,
                    "etc/group" => self.group = text(&mut entry)?,
                    _ => {}
                }
                self.put(&path, node);
            }
        }
        Ok(())
    }

    /// Places a node; what is no directory has nothing below it.
    pub(super) fn put(&mut self, path: &str, node: Node) {
        if !matches!(node, Node::Directory(_)) && self.directory(path).is_some() {
            self.remove_below(path);
        }
        self.nodes.insert(path.to_owned(), node);
    }

    pub(super) fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// The directory at a path; the root always is one.
    pub(super) fn directory(&self, path: &str) -> Option<Attributes> {
        match self.nodes.get(path) {
            Some(Node::Directory(attributes)) => Some(*attributes),
            None if path.is_empty() => Some(Attributes::USUAL),
            _ => None,
        }
    }

    fn remove_below(&mut self, path: &str) {
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        let below: Vec<String> = self
            .nodes
            .range(prefix.clone()..)
            .map(|(path, _)| path)
            .take_while(|path| path.starts_with(&prefix))
            .cloned()
            .collect();
        for path in &below {
            self.nodes.remove(path);
        }
    }

    /// Follows the links of a path, its last part included; what is not there yet stays as it was written.
    pub(super) fn resolve(&self, path: &str) -> Result<String, Unusable> {
        let mut links = 0;
        let mut done = String::new();
        let mut rest: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        while let Some(part) = rest.pop() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    done.truncate(done.rfind('/').unwrap_or(0));
                    continue;
                }
                _ => {}
            }
            let next = if done.is_empty() { part } else { format!("{done}/{part}") };
            match self.nodes.get(&next) {
                Some(Node::Link(to)) => {
                    links += 1;
                    if links > LINKS {
                        return Err(Unusable(format!("`/{next}` is a link that goes round in a circle")));
                    }
                    if to.starts_with('/') {
                        done.clear();
                    }
                    rest.extend(to.split('/').rev().map(str::to_owned));
                }
                Some(Node::Other) if rest.iter().any(|part| !part.is_empty()) => {
                    return Err(Unusable(format!("`/{next}` is no directory")));
                }
                Some(Node::Other | Node::Directory(_)) | None => done = next,
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
        let uid = user.parse().ok().or_else(|| named(&self.passwd, user, 2));
        let uid = uid.ok_or_else(|| Unusable(format!("the base image has no user `{user}`")))?;
        let gid = match group {
            Some(group) => group.parse().ok().or_else(|| named(&self.group, group, 2)),
            None if user.parse::<u64>().is_ok() => Some(uid),
            None => named(&self.passwd, user, 3),
        };
        Ok((uid, gid.ok_or_else(|| Unusable(format!("the base image has no group `{}`", group.unwrap_or(user))))?))
    }
}

/// A path without `.`, `..` and slashes at its ends; none where it leaves the root.
pub(super) fn clean(path: &str) -> Option<String> {
    let mut clean = PathBuf::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    clean.into_os_string().into_string().ok()
}

fn text(entry: &mut impl Read) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    entry.take(ACCOUNTS).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let mut tree =
            Tree { passwd: "app:x:10001:10002::/:\n".into(), group: "staff:x:50:\n".into(), ..Tree::default() };
        for (path, node) in [
            ("usr", Node::Directory(Attributes::USUAL)),
            ("usr/lib", Node::Directory(Attributes::USUAL)),
            ("lib", Node::Link("usr/lib".into())),
            ("var", Node::Directory(Attributes::USUAL)),
            ("var/run", Node::Link("/run".into())),
            ("a", Node::Link("b".into())),
            ("b", Node::Link("a".into())),
            ("file", Node::Other),
        ] {
            tree.put(path, node);
        }
        tree
    }

    #[test]
    fn links_of_the_base_are_followed() {
        for (path, resolved) in
            [("lib/x", "usr/lib/x"), ("var/run/y", "run/y"), ("lib/../../z", "z"), ("new/lib", "new/lib"), ("", "")]
        {
            assert_eq!(tree().resolve(path).as_deref(), Ok(resolved), "{path}");
        }
        assert!(tree().resolve("a/x").is_err());
        assert!(tree().resolve("file/x").is_err());
    }

    #[test]
    fn owners_have_numbers() {
        assert_eq!(tree().owner("app"), Ok((10001, 10002)));
        assert_eq!(tree().owner("app:staff"), Ok((10001, 50)));
        assert_eq!(tree().owner("7"), Ok((7, 7)));
        assert_eq!(tree().owner("7:8"), Ok((7, 8)));
        assert!(tree().owner("nobody").is_err() && tree().owner("app:none").is_err());
    }

    #[test]
    fn whiteouts_remove() {
        let mut layer = tar::Builder::new(Vec::new());
        for path in ["usr/.wh.lib", "var/.wh..wh..opq", "etc/passwd"] {
            let mut header = tar::Header::new_gnu();
            header.set_size(0);
            layer.append_data(&mut header, path, std::io::empty()).unwrap();
        }
        let mut tree = tree();
        tree.apply(layer.into_inner().unwrap().as_slice()).unwrap();
        assert_eq!(tree.get("usr/lib"), None);
        assert_eq!(tree.get("var/run"), None);
        assert_eq!(tree.directory("var"), Some(Attributes::USUAL));
        assert!(tree.owner("app").is_err());
    }
}
