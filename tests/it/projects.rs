//! Folders with an application: the fixtures and the examples, as planning sees them.

use std::path::{Path, PathBuf};

use slipway::catalog::{Catalog, Operator, OwnDockerfiles, embedded};
use slipway::model::failure::Failure;
use slipway::model::origin::OriginKind;
use slipway::model::plan::Plan;
use slipway::model::request::{BuildRequest, RequestedSource};
use slipway::model::settings::Settings;
use slipway::model::source_tree::{Entry, EntryKind, SourceTree, Text, Wanted};

/// A folder with an application.
pub(crate) struct Project {
    /// The folder's name; an example's begins with `example-`.
    pub(crate) id: String,
    /// The application's name.
    pub(crate) name: String,
    pub(crate) root: PathBuf,
}

/// Every fixture and every example, sorted by name.
pub(crate) fn all() -> Vec<Project> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [("", root.join("tests/fixtures/projects")), ("example-", root.join("examples"))];
    let mut projects = Vec::new();
    for (prefix, folder) in folders {
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let entry = entry.unwrap();
            // An example that builds nothing says nothing about its test.
            if entry.path().is_dir() && (prefix.is_empty() || entry.path().join("slipway-test.json").is_file()) {
                let name = entry.file_name().to_str().unwrap().to_owned();
                projects.push(Project { id: format!("{prefix}{name}"), name, root: entry.path() });
            }
        }
    }
    projects.sort_by(|a, b| a.id.cmp(&b.id));
    projects
}

impl Project {
    /// The listing, at a fixed commit; texts come with [`Project::load`].
    pub(crate) fn tree(&self) -> SourceTree {
        let mut entries = Vec::new();
        list(&self.root, &self.root, &mut entries);
        let mut tree = SourceTree::new(entries);
        tree.revision.commit = Some("0123456789abcdef0123456789abcdef01234567".parse().unwrap());
        tree.revision.commit_time = Some(self.committed());
        tree
    }

    /// When it was committed: `.committed` says it as a date, where that matters.
    fn committed(&self) -> i64 {
        let stated = std::fs::read_to_string(self.root.join(".committed")).unwrap_or("2026-01-01".to_owned());
        let date: jiff::civil::Date = stated.trim().parse().unwrap();
        date.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_second()
    }

    /// Gives the tree the texts that planning asked for.
    pub(crate) fn load(&self, tree: &mut SourceTree, wanted: Wanted) {
        for path in wanted.changes {
            tree.set_changed(&path, tree.revision.commit_time);
        }
        for path in wanted.texts {
            let text = String::from_utf8(std::fs::read(self.root.join(&path)).unwrap());
            tree.set_text(&path, text.map_or(Text::NotUtf8, Text::Utf8));
        }
    }

    /// What a local build asks for.
    pub(crate) fn request(&self) -> BuildRequest {
        let stated = std::fs::read_to_string(self.root.join("slipway.toml")).ok();
        let stated = stated.and_then(|text| slipway::plan::local_settings("slipway.toml", &text).ok());
        let mut request = request(&self.name);
        request.kind = stated.and_then(|(settings, _)| settings.application.kind).unwrap_or_default();
        request
    }

    /// Plans the project, and gives the tree that was planned.
    pub(crate) fn plan(&self, catalog: &Catalog) -> (SourceTree, Result<Plan, Failure>) {
        let mut tree = self.tree();
        let plan = slipway::plan::with_texts(&self.request(), &mut tree, catalog, |tree, wanted| {
            self.load(tree, wanted);
            Ok(())
        });
        (tree, plan)
    }
}

/// A request for the application of a directory.
pub(crate) fn request(name: &str) -> BuildRequest {
    BuildRequest {
        id: "test".parse().unwrap(),
        source: RequestedSource::Directory {
            path: PathBuf::new(),
            url: Some("https://gitlab.example.com/trade/order.git".parse().unwrap()),
            directory: String::new(),
        },
        credentials: None,
        product_line: "trade".parse().unwrap(),
        name: name.parse().unwrap(),
        kind: slipway::model::settings::Kind::Service,
        tags: Vec::new(),
        settings: Settings::default(),
        asked_by: OriginKind::Flag,
        timeout: None,
        untrusted: false,
    }
}

/// The catalogue that the program brings along, at an operator's who allows everything.
pub(crate) fn catalog() -> Catalog {
    let operator = Operator {
        registry: Some("harbor.example.com".into()),
        own_dockerfiles: OwnDockerfiles::Switch(true),
        ..Operator::default()
    };
    Catalog::from_files(&embedded(), operator).unwrap()
}

fn list(root: &Path, directory: &Path, entries: &mut Vec<(String, Entry)>) {
    use std::os::unix::fs::PermissionsExt;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with(".committed") {
            continue;
        }
        let metadata = path.symlink_metadata().unwrap();
        if metadata.is_dir() {
            list(root, &path, entries);
            continue;
        }
        let kind = if metadata.is_symlink() {
            EntryKind::Symlink(path.read_link().unwrap().to_str().unwrap().to_owned())
        } else {
            EntryKind::File
        };
        let executable = metadata.permissions().mode() & 0o100 != 0;
        let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        entries.push((name, Entry { kind, executable, size: metadata.len() }));
    }
}
