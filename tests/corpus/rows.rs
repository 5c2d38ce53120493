//! `tests/corpus.toml`: public repositories, and what has to come of each.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    repository: Vec<Row>,
}

/// One application of a public repository.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    /// `owner/name` on the forge that it was cloned from.
    pub(crate) name: String,
    /// The commit, in full.
    pub(crate) commit: String,
    /// The application's directory, where it is not the root.
    #[serde(default)]
    pub(crate) directory: String,
    /// The toolchain that has to be recognised.
    pub(crate) ecosystem: String,
    /// What is asked of it: `runs`, `library`, or the failure code that is right for it.
    #[serde(default = "runs")]
    pub(crate) outcome: String,
    /// Settings, as `--set` takes them, that Slipway is allowed to ask for: the row passes without them, or with them
    /// where planning without them ends in one of the failures that a line in `slipway.toml` settles.
    #[serde(default)]
    pub(crate) hints: Vec<String>,
    /// Decisions of the plan by their keys, as text.
    #[serde(default)]
    pub(crate) plan: BTreeMap<String, String>,
    /// Environment of the container: what a platform would give.
    #[serde(default)]
    pub(crate) env: BTreeMap<String, String>,
    /// Arguments of the container, behind the image's entry point: what a platform would give.
    #[serde(default)]
    pub(crate) args: Vec<String>,
    /// What the started container has to answer.
    pub(crate) probe: Option<Probe>,
}

/// A question to a started container.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Probe {
    /// The port; the plan's first if absent.
    pub(crate) port: Option<u16>,
    /// Path and query of a GET.
    pub(crate) path: Option<String>,
    /// The status that has to come.
    #[serde(default = "ok")]
    pub(crate) status: u16,
    /// Text of the answer's body.
    #[serde(default)]
    pub(crate) contains: String,
    /// For what cannot answer alone, as it needs a database: text that its log has to show.
    pub(crate) log: Option<String>,
}

impl Row {
    /// `owner/name`, with the directory where there is one.
    pub(crate) fn id(&self) -> String {
        if self.directory.is_empty() { self.name.clone() } else { format!("{} {}", self.name, self.directory) }
    }

    /// Why the row is no good row.
    fn wrong(&self, catalog: &BTreeSet<String>, codes: &BTreeSet<&str>) -> Option<String> {
        let owner_and_name = self.name.split('/').filter(|part| !part.is_empty()).count() == 2;
        let full = self.commit.len() == 40 && self.commit.bytes().all(|b| b.is_ascii_hexdigit());
        let probe = self.probe.as_ref();
        if !owner_and_name || self.name.split('/').any(|part| part.starts_with('.')) {
            Some("its name is not `owner/name`".into())
        } else if !full {
            Some(format!("`{}` is no full commit", self.commit))
        } else if !catalog.contains(&self.ecosystem) {
            Some(format!("there is no toolchain `{}`", self.ecosystem))
        } else if !["runs", "library"].contains(&self.outcome.as_str()) && !codes.contains(self.outcome.as_str()) {
            Some(format!("`{}` is neither `runs` nor `library` nor a failure code", self.outcome))
        } else if (self.outcome == "runs") != probe.is_some() {
            Some("what runs has a probe, and nothing else has one".into())
        } else if probe.is_some_and(|probe| probe.path.is_some() == probe.log.is_some()) {
            Some("a probe has either a `path` or a `log`".into())
        } else {
            None
        }
    }
}

/// Reads and checks the rows; the sentences say what is wrong.
pub(crate) fn read(file: &Path, catalog: &BTreeSet<String>, codes: &BTreeSet<&str>) -> Result<Vec<Row>, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let rows = toml::from_str::<File>(&text).map_err(|error| format!("{}: {error}", file.display()))?.repository;
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for row in &rows {
        wrong.extend(row.wrong(catalog, codes).map(|why| format!("{}: {why}", row.id())));
        if !seen.insert(row.id()) {
            wrong.push(format!("{}: there twice", row.id()));
        }
    }
    if wrong.is_empty() { Ok(rows) } else { Err(wrong.join("\n")) }
}

fn runs() -> String {
    "runs".to_owned()
}

fn ok() -> u16 {
    200
}
