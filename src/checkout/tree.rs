//! The source tree of a commit or of a directory: the listing at once, texts on demand.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::history;
use super::listing::{self, Kind, unreadable, walk};
use super::oid;
use crate::model::failure::Failure;
use crate::model::names::CommitSha;
use crate::model::source_tree::{Entry, EntryKind, SourceTree, Text, Wanted, join, parent};

/// The most of a file that planning reads.
const TEXT: u64 = 1 << 20;
/// The most links that one path may pass through, as in Linux.
const LINKS: usize = 40;
/// The longest pointer of Git LFS, and how each begins (git-lfs, `docs/spec.md`).
const LFS_LENGTH: u64 = 1024;
pub(super) const LFS_START: &str = "version https://git-lfs.github.com/spec/v1\n";

/// Reads a tree.
pub struct TreeReader(Origin);

enum Origin {
    Commit { repository: git2::Repository, commit: git2::Oid, tree: git2::Oid },
    Directory { root: PathBuf, entries: BTreeMap<String, Entry> },
}

impl std::fmt::Debug for TreeReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TreeReader")
    }
}

impl TreeReader {
    /// Reads from a commit's objects.
    pub(super) fn of_commit(repository: git2::Repository, commit: &CommitSha) -> Result<Self, Failure> {
        listing::trust_packs();
        let (commit, tree) = oid::of(commit)
            .and_then(|id| Ok((id, repository.find_commit(id)?.tree_id())))
            .map_err(|error| unreadable(&error))?;
        Ok(Self(Origin::Commit { repository, commit, tree }))
    }

    /// Reads listed files of a directory.
    pub(super) fn of_directory(root: PathBuf, entries: BTreeMap<String, Entry>) -> Self {
        Self(Origin::Directory { root, entries })
    }

    /// The listing, with no texts yet.
    ///
    /// # Errors
    /// `source_unusable` for more than two million entries, `internal` for a damaged cache.
    pub fn source_tree(&self) -> Result<SourceTree, Failure> {
        match &self.0 {
            Origin::Directory { entries, .. } => Ok(SourceTree::new(entries.clone())),
            Origin::Commit { repository, tree, .. } => listing(repository, *tree).map(SourceTree::new),
        }
    }

    /// Gives the tree what it wants. A link is followed as far as it stays inside.
    pub fn load(&self, tree: &mut SourceTree, wanted: &Wanted) {
        for path in &wanted.texts {
            let text = self.text(tree, path);
            tree.set_text(path, text);
        }
        for path in &wanted.changes {
            tree.set_changed(path, self.changed(path));
        }
    }

    /// The time of the last commit that changed a file.
    fn changed(&self, path: &str) -> Option<i64> {
        match &self.0 {
            Origin::Commit { repository, commit, .. } => history::last_change(repository, *commit, path),
            Origin::Directory { root, .. } => {
                let repository = git2::Repository::discover(root).ok()?;
                let head = repository.head().ok()?.target()?;
                history::last_change(&repository, head, path)
            }
        }
    }

    /// The files that are pointers of Git LFS, below a directory (`""` for all): their content
    /// is elsewhere, and is not fetched.
    #[must_use]
    pub fn lfs_pointers(&self, tree: &SourceTree, below: &str) -> Vec<String> {
        let all = |path: &str, most| self.bytes(path, most).and_then(Bytes::all).unwrap_or_default();
        let is_pointer = |path: &str| all(path, LFS_LENGTH).starts_with(LFS_START.as_bytes());
        let marked = |path: &str| contains(&all(path, TEXT), b"filter=lfs");
        // Only attributes make pointers, so most repositories need no look at their files.
        if !tree.entries().any(|(path, _)| path.rsplit('/').next() == Some(".gitattributes") && marked(path)) {
            return Vec::new();
        }
        let candidates = tree.below(below).filter(|(_, entry)| entry.kind == EntryKind::File).map(|(path, _)| path);
        candidates.filter(|path| is_pointer(path)).map(str::to_owned).collect()
    }

    /// The text of a small file, whether or not anything wanted it.
    pub(super) fn small_text(&self, path: &str) -> Option<String> {
        String::from_utf8(self.bytes(path, TEXT)?.all()?).ok()
    }

    /// Paths and commits of the submodules.
    pub(super) fn submodules(&self) -> Result<Vec<(String, CommitSha)>, Failure> {
        let Origin::Commit { repository, tree, .. } = &self.0 else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        walk(repository, *tree, |path, kind, id| {
            if kind == Kind::Submodule
                && let (Ok(path), Ok(commit)) = (std::str::from_utf8(path), id.to_string().parse())
            {
                found.push((path.to_owned(), commit));
            }
        })?;
        Ok(found)
    }

    fn text(&self, tree: &SourceTree, path: &str) -> Text {
        let Some(real) = follow(tree, path) else { return Text::Outside };
        match self.bytes(&real, TEXT) {
            Some(Bytes::All(bytes)) => super::encoding::text(&real, bytes),
            Some(Bytes::More(size)) => Text::TooLarge(size),
            None => Text::Outside,
        }
    }

    /// The bytes of the regular file at a path without links, or their number where they are more than `most`.
    fn bytes(&self, path: &str, most: u64) -> Option<Bytes> {
        match &self.0 {
            Origin::Commit { repository, tree, .. } => {
                let id = repository.find_tree(*tree).ok()?.get_path(Path::new(path)).ok()?.id();
                let (size, kind) = repository.odb().ok()?.read_header(id).ok()?;
                match size as u64 {
                    _ if kind != git2::ObjectType::Blob => None,
                    size if size > most => Some(Bytes::More(size)),
                    _ => Some(Bytes::All(repository.find_blob(id).ok()?.content().to_vec())),
                }
            }
            Origin::Directory { root, .. } => {
                let file = open_beneath(root, path).ok()?;
                let size = file.metadata().ok()?.len();
                let mut bytes = Vec::new();
                file.take(most + 1).read_to_end(&mut bytes).ok()?;
                Some(if bytes.len() as u64 > most { Bytes::More(size) } else { Bytes::All(bytes) })
            }
        }
    }
}

/// What a file holds.
enum Bytes {
    All(Vec<u8>),
    More(u64),
}

impl Bytes {
    fn all(self) -> Option<Vec<u8>> {
        if let Self::All(bytes) = self { Some(bytes) } else { None }
    }
}

/// Opens a regular file without passing through any link: the listing knew none on this path,
/// but the directory may have changed since.
fn open_beneath(root: &Path, path: &str) -> std::io::Result<std::fs::File> {
    use rustix::fs::{Mode, OFlags, openat};
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    if path.split('/').any(|part| part == "..") {
        return Err(std::io::Error::other("the path leaves the directory"));
    }
    let mut directory = rustix::fs::open(root, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
    for part in above.split('/').filter(|part| !part.is_empty()) {
        directory = openat(&directory, part, flags | OFlags::DIRECTORY, Mode::empty())?;
    }
    let file = std::fs::File::from(openat(&directory, name, flags, Mode::empty())?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(std::io::Error::other("not a regular file")) }
}

/// Everything but directories. Names that are not UTF-8 cannot be spoken of, and are left out; sizes cost a look
/// at every object, and are not known.
fn listing(repository: &git2::Repository, tree: git2::Oid) -> Result<Vec<(String, Entry)>, Failure> {
    let mut entries = Vec::new();
    walk(repository, tree, |path, kind, id| {
        let (kind, executable) = match kind {
            Kind::Directory => return,
            Kind::Submodule => (EntryKind::Submodule, false),
            Kind::File { executable } => (EntryKind::File, executable),
            Kind::Link => {
                let target = repository.find_blob(id).map(|blob| String::from_utf8_lossy(blob.content()).into_owned());
                (EntryKind::Symlink(target.unwrap_or_default()), false)
            }
        };
        if let Ok(path) = std::str::from_utf8(path) {
            entries.push((path.to_owned(), Entry { kind, executable, size: 0 }));
        }
    })?;
    Ok(entries)
}

/// Where a path leads when links, of files and of directories, are followed inside the tree.
/// `None` when it leaves the tree, runs in a circle or ends at no file.
fn follow(tree: &SourceTree, path: &str) -> Option<String> {
    let mut path = path.to_owned();
    for _ in 0..=LINKS {
        let Some((link, target)) = first_link(tree, &path) else {
            return tree.entry(&path).is_some_and(|entry| entry.kind == EntryKind::File).then_some(path);
        };
        let rest = path[link.len()..].trim_start_matches('/').to_owned();
        path = join("", &format!("{}/{rest}", join(parent(&link), &target)?))?;
    }
    None
}

fn first_link(tree: &SourceTree, path: &str) -> Option<(String, String)> {
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    ends.map(|end| &path[..end]).find_map(|part| match &tree.entry(part)?.kind {
        EntryKind::Symlink(target) => Some((part.to_owned(), target.clone())),
        _ => None,
    })
}

fn contains(bytes: &[u8], words: &[u8]) -> bool {
    bytes.windows(words.len()).any(|window| window == words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(entries: &[(&str, Option<&str>)]) -> SourceTree {
        SourceTree::new(entries.iter().map(|(path, target)| {
            let kind = target.map_or(EntryKind::File, |target| EntryKind::Symlink(target.to_owned()));
            ((*path).to_owned(), Entry { kind, executable: false, size: 1 })
        }))
    }

    #[test]
    fn links_are_followed_inside_the_tree_only() {
        let tree = tree(&[
            ("real/pom.xml", None),
            ("pom.xml", Some("real/pom.xml")),
            ("module", Some("real")),
            ("deep/link", Some("../module/pom.xml")),
            ("outside", Some("../../etc/passwd")),
            ("absolute", Some("/etc/passwd")),
            ("loop", Some("loop")),
            ("dangling", Some("nothing")),
        ]);
        assert_eq!(follow(&tree, "pom.xml").as_deref(), Some("real/pom.xml"));
        assert_eq!(follow(&tree, "deep/link").as_deref(), Some("real/pom.xml"));
        for bad in ["outside", "absolute", "loop", "dangling"] {
            assert_eq!(follow(&tree, bad), None, "{bad}");
        }
    }

    #[test]
    fn a_directorys_files_are_read_through_no_link() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("a")).unwrap();
        std::fs::write(root.path().join("a/file"), "text").unwrap();
        std::os::unix::fs::symlink("a", root.path().join("b")).unwrap();
        assert!(open_beneath(root.path(), "a/file").is_ok());
        assert!(open_beneath(root.path(), "b/file").is_err());
        assert!(open_beneath(root.path(), "../x").is_err());
        assert!(open_beneath(root.path(), "a").is_err());
    }
}
