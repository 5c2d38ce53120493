//! The files of a revision as a value: what planning sees of a repository.

#[cfg(test)]
mod tests;

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::each::each;
use super::names::CommitSha;

/// What an entry of the tree is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A symbolic link and its target as written.
    Symlink(String),
    /// Another repository, fetched apart.
    Submodule,
}

/// One entry of the listing. Directories have none; they follow from paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: EntryKind,
    /// Whether the owner may execute it.
    pub executable: bool,
    /// Bytes; 0 where the listing does not know.
    pub size: u64,
}

/// A file's text, as far as planning may look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text {
    /// The whole text.
    Utf8(String),
    /// Bytes that are not UTF-8.
    NotUtf8,
    /// More bytes than planning reads.
    TooLarge(u64),
    /// A symbolic link that leaves the repository, or a loop of them.
    Outside,
}

/// What the source resolved to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revision {
    /// The commit; absent for a directory that is no repository.
    pub commit: Option<CommitSha>,
    /// When it was committed, in seconds since 1970.
    pub commit_time: Option<i64>,
    /// The tag that was asked for, where the revision is one.
    pub tag: Option<String>,
    /// Whether the files differ from the commit.
    pub dirty: bool,
}

/// The listing of a revision and the texts of the files that planning asked for.
///
/// Planning is pure, yet which files it needs only shows while it plans. So a text that is
/// not there yet is noted as wanted; whoever owns the repository loads what is wanted and
/// plans again, until nothing is missing (see `plan::with_texts`).
///
/// Paths are relative to the repository's root, with `/`, without `.` or `..`.
#[derive(Debug, Clone, Default)]
pub struct SourceTree {
    /// The revision that this is the tree of.
    pub revision: Revision,
    entries: BTreeMap<String, Entry>,
    directories: BTreeSet<String>,
    texts: HashMap<String, Text>,
    changes: BTreeMap<String, Option<i64>>,
    wanted: RefCell<Wanted>,
    derived: RefCell<HashMap<TypeId, Derived>>,
}

/// What was made of texts, by the path.
type Derived = HashMap<String, Arc<dyn Any + Send + Sync>>;

/// Less text than this is read sooner than a thread starts.
const LITTLE: usize = 64 << 10;

/// What planning asked for and the tree does not hold yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Files whose texts are wanted.
    pub texts: BTreeSet<String>,
    /// Files of which the last change is wanted.
    pub changes: BTreeSet<String>,
}

impl Wanted {
    /// Whether nothing is missing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.changes.is_empty()
    }
}

impl SourceTree {
    /// A tree with these entries and no texts.
    pub fn new(entries: impl IntoIterator<Item = (String, Entry)>) -> Self {
        let entries: BTreeMap<_, _> = entries.into_iter().collect();
        let mut directories = BTreeSet::new();
        let mut last = "";
        for path in entries.keys() {
            let mut rest = parent(path);
            // Most files lie beside the one before them.
            if std::mem::replace(&mut last, rest) == rest {
                continue;
            }
            while !rest.is_empty() && directories.insert(rest.to_owned()) {
                rest = parent(rest);
            }
        }
        Self { entries, directories, ..Self::default() }
    }

    /// A tree of plain files with these texts; a trailing `*` of a path marks it executable.
    pub fn of_texts<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut texts = HashMap::new();
        let entries = files.into_iter().map(|(path, text)| {
            let name = path.trim_end_matches('*').to_owned();
            texts.insert(name.clone(), Text::Utf8(text.to_owned()));
            let entry = Entry { kind: EntryKind::File, executable: path.ends_with('*'), size: text.len() as u64 };
            (name, entry)
        });
        let mut tree = Self::new(entries.collect::<Vec<_>>());
        tree.texts = texts;
        tree
    }

    /// All entries, sorted by path.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(path, entry)| (path.as_str(), entry))
    }

    /// The entry at a path.
    #[must_use]
    pub fn entry(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// Whether a file or link stands at the path.
    #[must_use]
    pub fn has_file(&self, path: &str) -> bool {
        self.entries.get(path).is_some_and(|entry| entry.kind != EntryKind::Submodule)
    }

    /// Whether anything lies below the path. The root `""` is always a directory.
    #[must_use]
    pub fn has_directory(&self, path: &str) -> bool {
        path.is_empty() || self.directories.contains(path)
    }

    /// The entries below a directory, with paths relative to the root.
    pub fn below<'a>(&'a self, directory: &'a str) -> impl Iterator<Item = (&'a str, &'a Entry)> {
        let start = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        let prefix = start.clone();
        self.entries
            .range(start..)
            .take_while(move |(path, _)| path.starts_with(&prefix))
            .map(|(path, entry)| (path.as_str(), entry))
    }

    /// The files and links that lie directly in a directory.
    pub fn files_in<'a>(&'a self, directory: &'a str) -> impl Iterator<Item = &'a str> {
        let start = if directory.is_empty() { String::new() } else { format!("{directory}/") };
        let mut rest = self.entries.range(start.clone()..);
        std::iter::from_fn(move || {
            loop {
                let (path, _) = rest.next()?;
                match path.strip_prefix(&start)?.split_once('/') {
                    None => return Some(path.as_str()),
                    // A directory may hold most of the repository. `0` comes after `/`, and so after all that is in it.
                    Some((deeper, _)) => rest = self.entries.range(format!("{start}{deeper}0")..),
                }
            }
        })
    }

    /// The text of a file, or `None` when there is no such file, it is no text, or it has
    /// not been loaded yet; then it is noted as wanted and planning runs again.
    pub fn text(&self, path: &str) -> Option<&str> {
        match self.raw_text(path)? {
            Text::Utf8(text) => Some(text),
            _ => None,
        }
    }

    /// The text of a file that something else already wanted.
    #[must_use]
    pub fn known_text(&self, path: &str) -> Option<&str> {
        match self.texts.get(path)? {
            Text::Utf8(text) => Some(text),
            _ => None,
        }
    }

    /// Like [`SourceTree::text`], telling apart why a file has no text.
    pub fn raw_text(&self, path: &str) -> Option<&Text> {
        let text = self.texts.get(path);
        if text.is_none() && self.has_file(path) {
            self.wanted.borrow_mut().texts.insert(path.to_owned());
        }
        text
    }

    /// What is made of a file's text: once, however often planning runs again. `None` as for [`SourceTree::text`].
    pub fn derived<T: Send + Sync + 'static>(&self, path: &str, make: impl FnOnce(&str) -> T) -> Option<Arc<T>> {
        let text = self.text(path)?;
        self.known(path).or_else(|| {
            let new = Arc::new(make(text));
            self.keep(path, Arc::clone(&new));
            Some(new)
        })
    }

    /// The same for many files, several at a time; those without a text are left out. `make` gets path and text.
    pub fn derived_each<'p, T: Send + Sync + 'static>(
        &self,
        paths: impl IntoIterator<Item = &'p str>,
        make: impl Fn(&str, &str) -> T + Sync,
    ) -> Vec<(&'p str, Arc<T>)> {
        let texts: Vec<(&str, &str)> = paths.into_iter().filter_map(|path| Some((path, self.text(path)?))).collect();
        let new: Vec<_> = texts.iter().filter(|(path, _)| self.known::<T>(path).is_none()).collect();
        if new.iter().map(|(_, text)| text.len()).sum::<usize>() > LITTLE {
            for ((path, _), made) in new.iter().zip(each(&new, |(path, text)| make(path, text))) {
                self.keep(path, Arc::new(made));
            }
        }
        texts.iter().filter_map(|(path, _)| Some((*path, self.derived(path, |text| make(path, text))?))).collect()
    }

    fn known<T: Send + Sync + 'static>(&self, path: &str) -> Option<Arc<T>> {
        let known = self.derived.borrow().get(&TypeId::of::<T>())?.get(path).cloned();
        known?.downcast().ok()
    }

    fn keep<T: Send + Sync + 'static>(&self, path: &str, made: Arc<T>) {
        self.derived.borrow_mut().entry(TypeId::of::<T>()).or_default().insert(path.to_owned(), made);
    }

    /// When a file was last changed, in seconds since 1970: the time of the last commit that touched it, or of the
    /// oldest that the history holds. `None` when nobody knows, or when it has not been loaded yet; then it is noted
    /// as wanted.
    pub fn changed(&self, path: &str) -> Option<i64> {
        let known = self.changes.get(path);
        if known.is_none() {
            self.wanted.borrow_mut().changes.insert(path.to_owned());
        }
        known.copied().flatten()
    }

    /// Says when a file was last changed; `None` when nobody knows.
    pub fn set_changed(&mut self, path: &str, time: Option<i64>) {
        self.changes.insert(path.to_owned(), time);
    }

    /// Takes what was asked for and is not there.
    pub fn take_wanted(&self) -> Wanted {
        self.wanted.take()
    }

    /// Gives a file its text.
    pub fn set_text(&mut self, path: &str, text: Text) {
        if self.texts.insert(path.to_owned(), text).is_some() {
            for made in self.derived.get_mut().values_mut() {
                made.remove(path);
            }
        }
    }
}

/// Joins a relative reference to a directory of the tree; `None` when it leaves the tree.
///
/// `join("a/b", "../c")` is `Some("a/c")`; `join("a", "../../c")` and absolute paths are `None`.
#[must_use]
pub fn join(directory: &str, reference: &str) -> Option<String> {
    if reference.starts_with('/') || reference.contains('\0') {
        return None;
    }
    let mut parts: Vec<&str> = directory.split('/').filter(|part| !part.is_empty()).collect();
    for part in reference.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// The directory part of a path of the tree; `""` for the root.
#[must_use]
pub fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}
