//! The source tree of a commit or of a directory: the listing at once, texts on demand.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use super::history;
use super::listing::{self, Kind, unreadable, walk};
use super::oid;
use crate::model::each::each;
use crate::model::failure::Failure;
use crate::model::names::CommitSha;
use crate::model::source_tree::{Entry, EntryKind, SourceTree, Text, Wanted, join, parent};

/// The most of a file that planning reads, and of a lock: tools write those, a line for every file of every distribution.
const TEXT: u64 = 1 << 20;
const LOCK: u64 = 8 << 20;
/// Fewer files than this are read sooner than a thread starts.
const FEW: usize = 32;
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
        let real: Vec<_> = wanted.texts.iter().map(|path| follow(tree, path)).collect();
        for (path, text) in wanted.texts.iter().zip(self.texts(&real)) {
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

    /// The texts at paths without links; where there is no path, it leads outside.
    fn texts(&self, paths: &[Option<String>]) -> Vec<Text> {
        match &self.0 {
            Origin::Directory { root, .. } if paths.len() > FEW => {
                let root = Root::open(root);
                each(paths, |path| text(path.as_deref(), |path| root.as_ref()?.bytes(path, most(path))))
            }
            _ => paths.iter().map(|path| text(path.as_deref(), |path| self.bytes(path, most(path)))).collect(),
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
            Origin::Directory { root, .. } => Root::open(root)?.bytes(path, most),
        }
    }
}

fn most(path: &str) -> u64 {
    let name = path.rsplit('/').next().unwrap_or_default();
    if name.rsplit('.').next() == Some("lock") || name.contains(".lock.") || name.starts_with("pylock.") {
        LOCK
    } else {
        TEXT
    }
}

fn text(path: Option<&str>, bytes: impl Fn(&str) -> Option<Bytes>) -> Text {
    match path.and_then(|path| Some((path, bytes(path)?))) {
        Some((path, Bytes::All(bytes))) => super::encoding::text(path, bytes),
        Some((_, Bytes::More(size))) => Text::TooLarge(size),
        None => Text::Outside,
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

/// A directory whose files are read without passing through any link: the listing knew none on their paths, but the
/// directory may have changed since.
struct Root(OwnedFd);

impl Root {
    fn open(path: &Path) -> Option<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(path, flags, Mode::empty()).ok().map(Self)
    }

    /// The bytes of a regular file, or their number where they are more than `most`.
    fn bytes(&self, path: &str, most: u64) -> Option<Bytes> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let file = std::fs::File::from(openat2(&self.0, path, flags, Mode::empty(), resolve).ok()?);
        let of = file.metadata().ok()?;
        if !of.is_file() {
            return None;
        }
        // One byte beside it says that there is no more.
        let mut bytes = Vec::with_capacity(usize::try_from(of.len().min(most)).ok()? + 1);
        file.take(most + 1).read_to_end(&mut bytes).ok()?;
        Some(if bytes.len() as u64 > most { Bytes::More(of.len()) } else { Bytes::All(bytes) })
    }
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
        std::fs::write(root.path().join("long"), "four").unwrap();
        let outside = tempfile::NamedTempFile::new_in(root.path().parent().unwrap()).unwrap();
        let outside = format!("../{}", outside.path().file_name().unwrap().to_str().unwrap());
        let read = |path: &str| Root::open(root.path()).unwrap().bytes(path, 4).map(Bytes::all);
        assert_eq!(read("a/file"), Some(Some(b"text".to_vec())));
        assert_eq!(read("long"), Some(Some(b"four".to_vec())));
        std::fs::write(root.path().join("long"), "four!").unwrap();
        assert_eq!(read("long"), Some(None));
        for bad in ["b/file", outside.as_str(), "a", "gone", "/etc/passwd"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
