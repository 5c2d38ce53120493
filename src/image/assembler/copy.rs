//! What a `COPY` writes where: destinations through the links of the image so far, parents that are missing made.

use super::context::{Content, Context, Entry};
use super::layer::{Item, Items};
use super::recipe::{Copy, unsupported};
use super::tree::{Attributes, Node, Tree, Unusable, clean};
use crate::image::context::ENTRY_TIME;
use crate::model::failure::{Failure, FailureCode};

/// Carries a copy out on the tree and returns the entries of its layer.
///
/// # Errors
/// `image_failed` with the line, for a source that is not there and a destination that cannot be.
pub(super) fn copy(copy: &Copy, context: &Context, tree: &mut Tree) -> Result<Items, Failure> {
    let failed = |why: Unusable| failed(copy.line, &why.0);
    let owner = copy.owner.as_deref().map(|owner| tree.owner(owner)).transpose().map_err(failed)?;
    let mut writing = Writing { copy, owner, tree, items: Items::new() };
    for source in &copy.sources {
        let path = clean(source).ok_or_else(|| failed_source(copy.line, source, "leads out of the build context"))?;
        let found = context.entries.iter().find(|entry| entry.path == path.as_bytes());
        match found.map(|entry| &entry.content) {
            None if !path.is_empty() => return Err(failed_source(copy.line, source, "is not in the build context")),
            None | Some(Content::Directory) => writing.contents(&path, context).map_err(failed)?,
            Some(Content::Link(_)) => return Err(unsupported(copy.line, &format!("the link `{source}` as a source"))),
            Some(Content::File { .. }) => {
                let entry = found.cloned();
                entry.map_or(Ok(()), |entry| writing.one(&path, &entry)).map_err(failed)?;
            }
        }
    }
    Ok(writing.items)
}

/// Makes a directory where it is missing, with its parents, and returns the entries of its layer.
///
/// # Errors
/// `image_failed` with the line, where something else stands in the way.
pub(super) fn directory(line: u32, path: &str, tree: &mut Tree) -> Result<Items, Failure> {
    let copy = Copy { line, sources: Vec::new(), destination: path.to_owned(), owner: None, mode: None };
    let mut writing = Writing { copy: &copy, owner: None, tree, items: Items::new() };
    let resolved = writing.tree.resolve(path).and_then(|path| {
        // What is there takes no layer.
        if writing.tree.directory(&path).is_some() { Ok(()) } else { writing.parents(&path) }
    });
    resolved.map_err(|why| failed(line, &why.0))?;
    Ok(writing.items)
}

struct Writing<'a> {
    copy: &'a Copy,
    owner: Option<(u64, u64)>,
    tree: &'a mut Tree,
    items: Items,
}

impl Writing<'_> {
    /// What is in a directory goes into the destination.
    fn contents(&mut self, source: &str, context: &Context) -> Result<(), Unusable> {
        let destination = self.tree.resolve(&self.copy.destination)?;
        self.parents(&destination)?;
        let prefix = if source.is_empty() { Vec::new() } else { format!("{source}/").into_bytes() };
        for entry in &context.entries {
            if let Some(inside) = entry.path.strip_prefix(prefix.as_slice()).filter(|inside| !inside.is_empty()) {
                let mut to = destination.clone().into_bytes();
                if !to.is_empty() {
                    to.push(b'/');
                }
                to.extend_from_slice(inside);
                self.put(to, entry)?;
            }
        }
        Ok(())
    }

    /// A file goes into the destination where that is a directory, else it becomes the destination.
    fn one(&mut self, source: &str, entry: &Entry) -> Result<(), Unusable> {
        let name = source.rsplit('/').next().unwrap_or(source);
        let destination = &self.copy.destination;
        let is_directory = destination.ends_with('/')
            || self.tree.resolve(destination).is_ok_and(|path| self.tree.directory(&path).is_some());
        let path = if is_directory {
            let directory = self.tree.resolve(destination)?;
            if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
        } else {
            // A link that stands there is followed, not replaced.
            self.tree.resolve(destination)?
        };
        self.parents(path.rsplit_once('/').map_or("", |(parent, _)| parent))?;
        self.put(path.into_bytes(), entry)
    }

    fn put(&mut self, path: Vec<u8>, entry: &Entry) -> Result<(), Unusable> {
        let text = String::from_utf8_lossy(&path).into_owned();
        let name = text.rsplit('/').next().unwrap_or(&text);
        if name.starts_with(".wh.") {
            return Err(Unusable(format!("`{text}` would mean a deletion in an image layer")));
        }
        let there = self.tree.get(&text).cloned();
        match (&entry.content, there) {
            // What is there keeps its owner and mode.
            (Content::Directory, Some(Node::Directory(attributes))) => {
                self.items.insert(path, directory_item(attributes));
                return Ok(());
            }
            (Content::Directory, Some(_)) => return Err(Unusable(format!("`/{text}` is there and is no directory"))),
            (Content::Directory, None) => {}
            (_, Some(Node::Directory(_))) => return Err(Unusable(format!("`/{text}` is there and is a directory"))),
            (Content::Link(to), _) => self.tree.put(&text, Node::Link(String::from_utf8_lossy(to).into_owned())),
            (Content::File { .. }, _) => self.tree.put(&text, Node::Other),
        }
        let (uid, gid) = self.owner.unwrap_or((entry.uid, entry.gid));
        if entry.content == Content::Directory {
            let mode = self.copy.mode.unwrap_or(entry.mode);
            let attributes = Attributes { mode, uid, gid, ..Attributes::USUAL };
            self.tree.put(&text, Node::Directory(attributes));
            self.items.insert(path, directory_item(attributes));
            return Ok(());
        }
        let is_link = matches!(entry.content, Content::Link(_));
        let mode = self.copy.mode.filter(|_| !is_link).unwrap_or(entry.mode);
        self.items.insert(path, Item { content: entry.content.clone(), mode, uid, gid, time: ENTRY_TIME });
        Ok(())
    }

    /// Brings a directory and those above it into the layer, as they are, or made where they are missing.
    fn parents(&mut self, path: &str) -> Result<(), Unusable> {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for end in ends.filter(|end| *end > 0) {
            let parent = &path[..end];
            let attributes = match self.tree.get(parent) {
                Some(Node::Directory(attributes)) => *attributes,
                Some(_) => return Err(Unusable(format!("`/{parent}` is no directory"))),
                None => {
                    let (uid, gid) = self.owner.unwrap_or((0, 0));
                    let attributes = Attributes { uid, gid, ..Attributes::USUAL };
                    self.tree.put(parent, Node::Directory(attributes));
                    attributes
                }
            };
            self.items.insert(parent.as_bytes().to_vec(), directory_item(attributes));
        }
        Ok(())
    }
}

fn directory_item(attributes: Attributes) -> Item {
    let Attributes { mode, uid, gid, time } = attributes;
    Item { content: Content::Directory, mode, uid, gid, time }
}

fn failed(line: u32, why: &str) -> Failure {
    Failure::new(FailureCode::ImageFailed, format!("line {line} of the Dockerfile: {why}")).at("Dockerfile", Some(line))
}

fn failed_source(line: u32, source: &str, why: &str) -> Failure {
    failed(line, &format!("`{source}` {why}"))
}
